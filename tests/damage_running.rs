//! Damage on disk under a running server: a miss that is counted, never wrong bytes, and the object can be stored
//! again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules shared by test programs, not a library")]

mod common;

#[path = "crash/bodies.rs"]
mod bodies;
#[path = "damage/files.rs"]
mod files;
#[path = "damage/store.rs"]
mod store;

use common::http::{get, put, request};
use common::{Options, wait_for};
use files::Damage;
use store::{End, Store, body_of};

/// Object 0 is a file of its own, 2 fills less than a block, 5 is longer than one read.
const HIT: [usize; 3] = [0, 2, 5];

fn hit(options: Options, read_before: bool, damage: impl Fn(u64, u64) -> Damage, how: &str) {
    let mut store = Store::build(options, End::Clean);
    let places = store.places();
    store.larder.restart();
    if read_before {
        store.assert_only_lost(&[], "before the damage");
    }
    for (count, number) in (1..).zip(HIT) {
        let place = places.iter().find(|place| place.key.ends_with(&format!("-{number}"))).unwrap();
        let path = format!("/{}", place.key);
        damage(place.location.offset(), place.location.body_offset()).apply(&place.file);
        let found = get(store.larder.address(), &path);
        assert_eq!(found.status, 404, "{path}, {how}");
        assert_eq!(store.larder.metric("larder_damaged_records_total"), f64::from(count), "{path}, {how}");
        assert_eq!(request(store.larder.address(), "HEAD", &path, &[], &[]).status, 404, "{path}, {how}");
        assert_eq!(put(store.larder.address(), &path, &body_of(&place.key)).status, 201, "{path}, {how}");
        assert!(get(store.larder.address(), &path).body == body_of(&place.key), "{path}, {how}");
    }
    // The damaged ones, which had an older version, are not back either.
    store.larder.restart();
    store.assert_only_lost(&[], how);
}

#[test]
fn a_flip_in_a_body_not_read_since_the_start() {
    hit(Options::default(), false, |_, body| Damage::Flip(body + 17), "a flip in the body");
}

#[test]
fn a_flip_in_a_body_that_was_read_before_with_verify_always() {
    let options = Options::default().env("LARDER_VERIFY", "always").env("LARDER_MEMORY_TIER", "0");
    hit(options, true, |_, body| Damage::Flip(body + 17), "a flip in the body, verify always");
}

#[test]
fn a_flip_in_a_header_that_was_read_before() {
    let options = Options::default().env("LARDER_MEMORY_TIER", "0");
    hit(options, true, |header, _| Damage::Flip(header + 30), "a flip in the header");
}

#[test]
fn the_scrub_finds_what_nobody_reads() {
    let mut store = Store::build(Options::default(), End::Clean);
    let places = store.places();
    let place = places.iter().find(|place| place.key.ends_with("-2")).unwrap();
    Damage::Flip(place.location.body_offset()).apply(&place.file);
    store.larder.restart();
    wait_for("the scrub to find the damage", || {
        (store.larder.metric("larder_damaged_records_total") > 0.0).then_some(())
    });
    store.assert_only_lost(&[&place.key], "a flip found by the scrub");
}
