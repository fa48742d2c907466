//! Bit flips, truncation and loss in every file of the data directory: never wrong bytes, never a refusal to start,
//! and nothing is lost but the record that was hit.
//!
//! Drives the real program; finds its way in the files with larder's own reader of segments.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules shared by test programs, not a library")]

mod common;

#[path = "crash/bodies.rs"]
mod bodies;
#[path = "damage/files.rs"]
mod files;
#[path = "damage/store.rs"]
mod store;

use common::Options;
use files::Damage;
use store::{End, Place, Store};

/// Offsets of every part of a record's header and of its key.
fn header_offsets(place: &Place) -> Vec<u64> {
    let length = u64::from(place.location.header_len);
    (0..length).step_by(13).chain([length - 1]).map(|offset| place.location.offset() + offset).collect()
}

fn flips_in_a_record(end: End, verify: &str) {
    let mut store = Store::build_small(Options::default().env("LARDER_VERIFY", verify), end);
    let places = store.places();
    let place = |number: usize| places.iter().find(|p| p.key.ends_with(&format!("-{number}"))).unwrap();
    let middle = place(4);
    for offset in header_offsets(middle) {
        store.case(middle, Damage::Flip(offset), &[&middle.key]);
    }
    for (hit, at) in [(place(1), 0), (middle, 0), (middle, 19_999), (place(5), 140_000)] {
        store.case(hit, Damage::Flip(hit.location.body_offset() + at), &[&hit.key]);
    }
    let padding = middle.location.offset() + middle.location.disk_len() - 1;
    store.case(middle, Damage::Flip(padding), &[]);
    for offset in [0, 8, 12, 16, 24, 31, 32, 4095] {
        store.case(middle, Damage::Flip(offset), &[]);
    }
}

#[test]
fn flips_in_a_sealed_segment_cost_the_record_they_hit() {
    flips_in_a_record(End::Clean, "first");
}

#[test]
fn flips_in_an_unsealed_segment_cost_the_record_they_hit() {
    flips_in_a_record(End::Killed, "always");
}

#[test]
fn flips_and_cuts_in_a_footer_cost_nothing() {
    let mut store = Store::build_small(Options::default(), End::Clean);
    let places = store.places();
    let last = places.iter().filter(|p| p.location.block > 0).max_by_key(|p| p.location.end()).unwrap();
    let footer = last.location.offset() + last.location.disk_len();
    let length = last.file.metadata().unwrap().len();
    for offset in (footer..length).step_by(150).chain((length - 56..length).step_by(8)) {
        store.case(last, Damage::Flip(offset), &[]);
    }
    for length in [footer, footer + 1, footer + 100, length - 57, length - 56, length - 1] {
        store.case(last, Damage::Cut(length), &[]);
    }
}
