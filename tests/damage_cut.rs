//! Segments that were cut off, and every damage to the file of a large object: what lay there is lost, nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules shared by test programs, not a library")]

mod common;

#[path = "crash/bodies.rs"]
mod bodies;
#[path = "damage/files.rs"]
mod files;
#[path = "damage/store.rs"]
mod store;

use std::path::Path;

use common::Options;
use files::Damage;
use store::{End, Place, Store};

/// The objects in the file of `place` that reach beyond `length`.
fn behind(places: &[Place], file: &Path, length: u64) -> Vec<String> {
    let cut = |place: &&Place| place.file == file && place.location.end() > length;
    let mut keys: Vec<String> = places.iter().filter(cut).map(|place| place.key.clone()).collect();
    keys.sort_by_key(|key| key.rsplit('-').next().unwrap().parse::<usize>().unwrap());
    keys
}

#[test]
fn a_segment_that_was_cut_costs_what_lay_behind() {
    for end in [End::Clean, End::Killed] {
        let mut store = Store::build(Options::default(), end);
        let places = store.places();
        let middle = places.iter().find(|place| place.key.ends_with("-5")).unwrap();
        let location = middle.location;
        let header = location.offset();
        for length in
            [0, 20, 4095, 4096, header, header + 30, header + 400, location.end() - 1, location.end()]
        {
            let what = format!("a cut at {length}, {end:?}");
            let lost = behind(&places, &middle.file, length);
            let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
            store.restore();
            Damage::Cut(length).apply(&middle.file);
            store.larder.restart();
            if end == End::Clean && length >= 4096 {
                store.assert_only_lost(&lost, &what);
            } else {
                // What was neither in the index nor is in the segment is known to nobody.
                store.assert_only_missing(&lost, &what);
            }
            let index = store.larder.data_dir().join("index");
            store.restore();
            Damage::Cut(length).apply(&middle.file);
            std::fs::remove_dir_all(index).unwrap();
            store.larder.restart();
            store.assert_only_missing(&lost, &format!("{what}, no index"));
        }
        store.restore();
        Damage::Missing.apply(&middle.file);
        store.larder.restart();
        let lost = behind(&places, &middle.file, 0);
        store.assert_only_missing(&lost.iter().map(String::as_str).collect::<Vec<_>>(), "a missing segment");
    }
}

#[test]
fn damage_to_a_large_object_costs_that_one() {
    for end in [End::Clean, End::Killed] {
        let mut store = Store::build(Options::default(), end);
        let places = store.places();
        let large = places.iter().find(|place| place.key.ends_with("-0")).unwrap();
        let lost = [&large.key[..]];
        for offset in (0..u64::from(large.location.header_len)).step_by(17) {
            store.case(large, Damage::Flip(offset), &lost);
        }
        let body = large.location.body_offset();
        for damage in
            [Damage::Flip(body), Damage::Flip(body + 5_000_000), Damage::Flip(large.location.end() - 1)]
        {
            store.case(large, damage, &lost);
        }
        for length in [large.location.end() - 1, 5_000_000, 4096, body, 90] {
            store.case(large, Damage::Cut(length), &lost);
        }
        store.case(large, Damage::Zeros(4096), &lost);
    }
}
