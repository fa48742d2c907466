//! `kill -9` at random moments: what was answered is still there, what was deleted is gone, nothing is torn.
//!
//! Drives the real program over sockets, on one data directory a test. Every test prints its seed;
//! `LARDER_TEST_SEED` sets it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "modules of a test program, not a library")]
#![allow(clippy::cast_possible_truncation, reason = "gauges are small whole numbers")]

mod common;

#[path = "crash/bodies.rs"]
mod bodies;
#[path = "crash/history.rs"]
mod history;
#[path = "crash/workload.rs"]
mod workload;

use std::sync::atomic::AtomicU64;

use common::{Larder, Options, wait_for};
use history::History;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Room for everything that the rounds write, with segments of a few MiB so that many are filled and sealed.
const ROOMY: &str = "640MiB";
/// How far the disk gauge may be from the disk: it holds room ready for the index and counts a second late.
const GAUGE_SLACK: u64 = 4 << 20;

fn seed() -> u64 {
    let given = std::env::var("LARDER_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| rand::rng().random());
    eprintln!("LARDER_TEST_SEED={seed}");
    seed
}

#[test]
fn answered_writes_survive_kill_9() {
    kill_writers(Options::default().flag("--capacity", ROOMY), 20);
}

#[test]
fn answered_writes_survive_kill_9_with_durability_commit() {
    let options = Options::default().flag("--capacity", ROOMY).env("LARDER_DURABILITY", "commit");
    kill_writers(options, 20);
}

fn kill_writers(options: Options, rounds: u64) {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut larder = Larder::start(options);
    let (history, versions) = (History::default(), AtomicU64::new(1));
    let mut old: Vec<String> = Vec::new();
    for round in 0..rounds {
        let (address, pause) = (larder.address(), workload::moment(&mut random, 250));
        let torn = workload::run(address, &history, &versions, random.random(), || {
            std::thread::sleep(pause);
            larder.kill9();
        });
        assert!(torn.is_empty(), "round {round}: {}", torn.join("\n"));
        larder.restart();
        // All that may have changed, and some of what should not have.
        let all = history.keys();
        let (mut known, new): (Vec<String>, Vec<String>) =
            all.into_iter().partition(|key| key.starts_with("own/") && old.binary_search(key).is_ok());
        known.shuffle(&mut random);
        known.truncate(300);
        let wrong = workload::check(larder.address(), &history, &[new, known].concat());
        assert!(wrong.is_empty(), "round {round}, {} wrong: {}", wrong.len(), wrong.join("\n"));
        assert_nothing_strange(&larder, round);
        old = history.keys();
        old.sort();
    }
    larder.restart();
    let wrong = workload::check(larder.address(), &history, &history.keys());
    assert!(wrong.is_empty(), "at the end, {} wrong: {}", wrong.len(), wrong.join("\n"));
    assert_disk_is_counted(&larder);
    assert_nothing_is_left_over(&larder, &history);
}

/// A process that is killed damages nothing and evicts nothing.
fn assert_nothing_strange(larder: &Larder, round: u64) {
    let metrics = larder.metrics();
    let sum = |name: &str| -> f64 {
        metrics.iter().filter(|(found, _)| found.starts_with(name)).map(|(_, value)| value).sum()
    };
    for name in [
        "larder_damaged_records_total",
        "larder_evictions_total",
        "larder_store_errors_total",
        "larder_index_rebuilds_total",
    ] {
        assert_eq!(sum(name), 0.0, "round {round}: {name}; the log:\n{}", larder.log());
    }
}

/// Files of unfinished, replaced and deleted large objects go.
fn assert_nothing_is_left_over(larder: &Larder, history: &History) {
    let large = history
        .keys()
        .iter()
        .filter(|key| key.starts_with("large/"))
        .filter(|key| history.is_there(key))
        .count();
    wait_for("one file for each large object", || {
        let names = std::fs::read_dir(larder.data_dir().join("segments")).unwrap();
        let files =
            names.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "obj"));
        (files.count() == large).then_some(())
    });
    wait_for("the blocks of dead records to be free", || {
        let in_use =
            larder.metric("larder_stored_bytes") + larder.metric("larder_stored_objects") * 4096.0 * 2.0;
        (larder.disk_bytes() as f64 <= in_use + 8e6).then_some(())
    });
}

/// The gauge comes to agree with the disk.
fn assert_disk_is_counted(larder: &Larder) {
    wait_for("larder_disk_bytes to agree with the disk", || {
        let (counted, real) = (larder.metric("larder_disk_bytes") as u64, larder.disk_bytes());
        (counted >= real && counted - real <= GAUGE_SLACK).then_some(())
    });
}

#[test]
fn kill_9_while_it_starts_loses_nothing() {
    const OBJECTS: usize = 6000;
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut larder = Larder::start(Options::default().flag("--capacity", ROOMY));
    workload::fill(larder.address(), "first", OBJECTS, 300);
    workload::fill(larder.address(), "solo", 3, bodies::LARGE);
    // Once with an index that knows little, later with one that knows all, then with one that was half written.
    for round in 0..24 {
        larder.kill_while_starting(workload::moment(&mut random, 60));
        if round % 8 == 7 {
            larder.restart();
            workload::assert_filled(larder.address(), "first", OBJECTS, 300);
            workload::assert_filled(larder.address(), "solo", 3, bodies::LARGE);
            assert_nothing_strange(&larder, round);
            workload::fill(larder.address(), &format!("round-{round}"), 500, 4000);
        }
    }
    larder.restart();
    for round in [7, 15, 23] {
        workload::assert_filled(larder.address(), &format!("round-{round}"), 500, 4000);
    }
    assert_nothing_strange(&larder, 24);
    assert_disk_is_counted(&larder);
}

#[test]
fn kill_9_while_it_is_full_and_evicts_serves_nothing_torn() {
    const CAPACITY: u64 = 48 << 20;
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut larder = Larder::start(Options::default().flag("--capacity", "48MiB"));
    let (history, versions) = (History::default(), AtomicU64::new(1));
    history.allow_evictions();
    let mut evicted = 0.0;
    // A machine that is slow that day needs more rounds for the same work.
    for round in 0..100 {
        if round >= 12 && evicted > 1000.0 {
            break;
        }
        let pause = std::time::Duration::from_millis(200) + workload::moment(&mut random, 400);
        let torn = workload::run(larder.address(), &history, &versions, random.random(), || {
            std::thread::sleep(pause);
            evicted += larder.metrics().get("larder_evictions_total{reason=\"capacity\"}").unwrap_or(&0.0);
            larder.kill9();
        });
        assert!(torn.is_empty(), "round {round}: {}", torn.join("\n"));
        assert!(larder.disk_bytes() <= CAPACITY, "round {round}: {} bytes on disk", larder.disk_bytes());
        larder.restart();
        let wrong = workload::check(larder.address(), &history, &history.keys());
        assert!(wrong.is_empty(), "round {round}, {} wrong: {}", wrong.len(), wrong.join("\n"));
        assert_eq!(larder.metric("larder_damaged_records_total"), 0.0, "round {round}");
        assert!(larder.disk_bytes() <= CAPACITY, "round {round}: {} bytes on disk", larder.disk_bytes());
    }
    assert!(evicted > 1000.0, "only {evicted} evictions: nothing was tested");
    assert_disk_is_counted(&larder);
}

#[test]
fn what_was_deleted_right_before_a_kill_9_is_not_listed() {
    let mut larder = Larder::start(Options::default());
    workload::fill(larder.address(), "gone", 40, 3000);
    workload::fill(larder.address(), "kept", 10, 3000);
    // A listing tells the index all; a restart makes that durable.
    assert_eq!(workload::listed(larder.address(), "gone"), 40);
    assert!(larder.terminate().success());
    larder.restart();
    for number in 0..40 {
        let path = format!("/gone/{number}");
        assert_eq!(common::http::request(larder.address(), "DELETE", &path, &[], &[]).status, 204);
    }
    larder.restart();
    wait_for("the listing without what was deleted", || {
        (workload::listed(larder.address(), "gone") == 0).then_some(())
    });
    assert_eq!(workload::listed(larder.address(), "kept"), 10);
    let create = [("If-None-Match", "*")];
    assert_eq!(common::http::request(larder.address(), "PUT", "/gone/0", &create, b"new").status, 201);
    assert_nothing_strange(&larder, 0);
}
