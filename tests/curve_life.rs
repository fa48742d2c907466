//! The miss-ratio curve over its life: what is old fades, a restart changes nothing, another capacity keeps what is known, and what
//! was damaged is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use larder::analytics::{Curve, DEFAULT_SAMPLES, FACTORS, StateError};
use larder::key::{Namespace, ObjectKey, ObjectName};

const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Some name's hash: the n-th object.
fn object(curve: &Curve, n: u64) -> u64 {
    curve.hash(&ObjectName {
        namespace: Namespace::default_namespace(),
        key: ObjectKey::new(&format!("5/1/d/{n:064x}")).unwrap(),
    })
}

fn miss_and_store(curve: &Curve, n: u64, bytes: u64) {
    curve.missed(object(curve, n));
    curve.stored(object(curve, n), bytes, true);
}

fn ratios(curve: &Curve) -> [f64; 6] {
    curve.points().unwrap().map(|point| point.hit_ratio)
}

#[test]
fn nothing_is_predicted_before_something_was_read() {
    let curve = Curve::new(64 * MIB);
    curve.stored(object(&curve, 1), 4096, false);
    assert_eq!((curve.points(), curve.predicted_hit_ratio(64 * MIB)), (None, None));
    curve.missed(object(&curve, 2));
    assert_eq!(curve.predicted_hit_ratio(64 * MIB), Some(0.0));
}

#[test]
fn a_miss_and_its_upload_are_one_read() {
    let curve = Curve::new(64 * MIB);
    miss_and_store(&curve, 1, 4096);
    curve.read(object(&curve, 1), 4096);
    assert_eq!(ratios(&curve), [0.5; 6]);
    // Never stored, as with a compilation that failed: no cache would have had it.
    curve.missed(object(&curve, 2));
    curve.missed(object(&curve, 2));
    assert_eq!(ratios(&curve), [0.25; 6]);
}

#[test]
fn what_the_real_cache_evicted_a_larger_one_still_has() {
    let curve = Curve::new(16 * MIB);
    // 24 MiB, twice, one after the other: too much for an LRU cache of 16 MiB, not for one of 32.
    for _ in 0..2 {
        (0..24).for_each(|n| miss_and_store(&curve, n, MIB));
    }
    assert_eq!(ratios(&curve), [0.0, 0.0, 0.0, 0.5, 0.5, 0.5]);
    let between = curve.predicted_hit_ratio(24 * MIB).unwrap();
    assert!(between > 0.25 && between < 0.35, "{between} for a capacity between two sizes");
    let (smaller, larger) =
        (curve.predicted_hit_ratio(4 * MIB - 4096), curve.predicted_hit_ratio(128 * MIB + 4096));
    assert_eq!((smaller, larger), (None, None), "outside the curve");
}

#[test]
fn what_was_deleted_is_in_no_cache() {
    let curve = Curve::new(64 * MIB);
    miss_and_store(&curve, 1, 4096);
    curve.removed(object(&curve, 1));
    curve.missed(object(&curve, 1));
    assert_eq!(ratios(&curve), [0.0; 6]);
}

#[test]
fn an_object_of_another_size_takes_the_room_of_its_last_one() {
    let curve = Curve::new(16 * MIB);
    for bytes in [MIB, 12 * MIB, MIB] {
        curve.stored(object(&curve, 1), bytes, false);
    }
    // Three more fit into the smallest, of 4 MiB.
    (2..5).for_each(|n| miss_and_store(&curve, n, MIB));
    curve.read(object(&curve, 1), MIB);
    assert_eq!(ratios(&curve), [0.25; 6]);
}

#[test]
fn an_object_too_large_for_a_cache_evicts_nothing_there() {
    let curve = Curve::new(16 * MIB);
    miss_and_store(&curve, 1, MIB);
    miss_and_store(&curve, 2, 10 * MIB);
    curve.read(object(&curve, 1), MIB);
    curve.read(object(&curve, 2), 10 * MIB);
    assert_eq!(ratios(&curve), [0.25, 0.25, 0.5, 0.5, 0.5, 0.5]);
}

#[test]
fn last_weeks_load_does_not_rule_for_ever() {
    let curve = Curve::new(64 * MIB);
    let now = 1000 * DAY_MS;
    curve.age(now);
    (0..20_000).for_each(|n| miss_and_store(&curve, n, 40 * KIB));
    assert_eq!(ratios(&curve), [0.0; 6]);
    // A day later as much is read as then, and all of it is found.
    curve.age(now + DAY_MS);
    (0..20_000).for_each(|n| curve.read(object(&curve, 19_999 - n % 100), 40 * KIB));
    let after_a_day = ratios(&curve)[2];
    assert!((after_a_day - 1.0 / 1.5).abs() < 0.001, "yesterday counts half: {after_a_day}");
    curve.age(now + 7 * DAY_MS);
    (0..20_000).for_each(|n| curve.read(object(&curve, 19_999 - n % 100), 40 * KIB));
    let after_a_week = ratios(&curve)[2];
    assert!(after_a_week > 0.99, "{after_a_week}");
    // How often it was called, or a clock that was put back, changes nothing.
    let before = ratios(&curve);
    (0..1000).for_each(|ms| curve.age(now + 7 * DAY_MS + ms));
    curve.age(now);
    assert_eq!(ratios(&curve), before);
}

/// A curve whose samples are thinned: 8 times 30,000 objects went by.
fn worn(capacity: u64) -> Curve {
    let curve = Curve::new(capacity);
    for round in 0..2 {
        (0..60_000).for_each(|n| miss_and_store(&curve, n, 4 * KIB * (1 + (n + round) % 30)));
    }
    curve
}

#[test]
fn a_restart_changes_nothing() {
    let curve = worn(500 * MIB);
    let state = curve.save();
    assert!(state.len() <= Curve::MOST_STATE_BYTES, "{} bytes", state.len());
    let restored = Curve::restore(&state, 500 * MIB).unwrap();
    assert_eq!(ratios(&restored), ratios(&curve));
    // Both go on alike: names are hashed, objects drawn and put in order as before.
    for n in 0..30_000 {
        for curve in [&curve, &restored] {
            let hash = object(curve, n * 7 % 60_000);
            if n % 3 == 0 {
                curve.read(hash, 8 * KIB)
            } else {
                curve.missed(hash)
            }
            curve.stored(hash, 8 * KIB, n % 3 != 0);
        }
    }
    for (restored, curve) in ratios(&restored).iter().zip(ratios(&curve)) {
        assert!((restored - curve).abs() < 1e-6, "{restored} after the restart, {curve} without");
    }
}

#[test]
fn another_capacity_begins_to_count_anew_and_knows_its_objects() {
    let state = worn(500 * MIB).save();
    for capacity in [100 * MIB, 300 * MIB, 2000 * MIB] {
        let curve = Curve::restore(&state, capacity).unwrap();
        assert_eq!(curve.points(), None);
        // The last that were stored are in the smallest of them already.
        (59_900..60_000).for_each(|n| curve.read(object(&curve, n), 4 * KIB * (1 + (n + 1) % 30)));
        assert_eq!(ratios(&curve), [1.0; 6]);
        let factors: BTreeSet<u64> =
            curve.points().unwrap().map(|point| point.capacity * 4 / capacity).into();
        assert_eq!(factors, [1, 2, 4, 8, 16, 32].into());
    }
}

#[test]
fn damaged_and_newer_states_are_refused() {
    let curve = Curve::with_samples(64 * MIB, 64, 1);
    (0..500).for_each(|n| miss_and_store(&curve, n, 4096));
    let state = curve.save();
    assert!(Curve::restore(&state, 64 * MIB).is_ok());
    for at in 0..state.len() {
        let mut damaged = state.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Curve::restore(&damaged, 64 * MIB).is_err(), "byte {at}");
    }
    for length in 0..state.len() {
        assert_eq!(Curve::restore(&state[..length], 64 * MIB).map(|_| ()), Err(StateError::Damaged));
    }
    let mut newer = state;
    newer[8] = 2;
    assert_eq!(Curve::restore(&newer, 64 * MIB).map(|_| ()), Err(StateError::Newer(2)));
}

#[test]
fn all_threads_teach_the_same_curve() {
    let curve = Curve::new(64 * MIB);
    let (threads, each) = (4_u64, 20_000_u64);
    (0..100).for_each(|n| curve.stored(object(&curve, n), 4096, false));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let curve = &curve;
            // A quarter of them finds nothing.
            scope.spawn(move || {
                (0..each).for_each(|n| match n % 4 {
                    0 => curve.missed(object(curve, 1_000_000 + thread * each + n)),
                    _ => curve.read(object(curve, n % 100), 4096),
                });
            });
        }
    });
    assert_eq!(ratios(&curve), [0.75; 6]);
}

/// The size of a sample is what its memory is bounded by: `lru` in the module has the arithmetic.
#[test]
fn the_state_is_bounded_whatever_was_read() {
    const { assert!(Curve::MOST_STATE_BYTES < MIB as usize) };
    assert_eq!((FACTORS.len(), DEFAULT_SAMPLES), (6, 8192));
}

/// What the lock, the tables and the arithmetic cost on this machine: `cargo test --release --test curve_life -- --ignored --nocapture`.
#[test]
#[ignore = "prints times, asserts none"]
fn what_an_access_costs() {
    for objects in [2_000_u64, 20_000, 200_000, 2_000_000] {
        // Half of them fit.
        let curve = Curve::new(objects * 10 * KIB);
        let place = |n: u64| {
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (a, b) = ((mixed >> 32) % objects, (mixed >> 11) % objects);
            a * b / objects
        };
        let reads: Vec<(u64, u64)> =
            (0..2_000_000).map(place).map(|n| (object(&curve, n), 4096 * (1 + n % 9))).collect();
        let time = |what: &str, each: &dyn Fn(u64, u64)| {
            let started = std::time::Instant::now();
            reads.iter().for_each(|(hash, bytes)| each(*hash, *bytes));
            println!("{objects} objects, {what}: {} ns", started.elapsed().as_nanos() / reads.len() as u128);
        };
        time("stored", &|hash, bytes| curve.stored(hash, bytes, false));
        time("read", &|hash, bytes| curve.read(hash, bytes));
        time("missed", &|hash, _| curve.missed(hash));
    }
}
