//! Minutes of a bucket that is down or sick, under load: nothing that was acknowledged is lost or another, no client gets an
//! error, memory has a bound. Started by `tests/soak_bucket`, not by CI.
//!
//! Knows larder, and the bucket, from outside only. Says what it saw.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/azurite.rs"]
mod azurite;
#[path = "support/behind.rs"]
mod behind;
mod common;
#[path = "support/garage.rs"]
mod garage;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use behind::{Behind, Engine, Settings, noise};
use common::http;
use garage::Garage;
use wire::Fault;

/// A disk that holds a part of what is stored, so that the rest has to come from the bucket.
const SMALL_DISK: Settings = Settings {
    top: "capacity = \"256MiB\"\nmin_free_disk = 0",
    bucket: "read_timeout = \"500ms\"\nqueue_limit = \"128MiB\"",
    tables: "",
    secret: None,
};
/// Clients that read, beside the one that stores, and how long each of them rests behind each request.
const READERS: u64 = 4;
const READ_PAUSE: Duration = Duration::from_millis(25);
const WRITE_PAUSE: Duration = Duration::from_millis(100);

#[test]
#[ignore = "takes minutes: tests/soak_bucket"]
fn nothing_is_lost_over_minutes_of_a_sick_bucket() {
    let seconds = |name: &str, otherwise| {
        let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
        Duration::from_secs(given.unwrap_or(otherwise))
    };
    let (down, sick) = (seconds("LARDER_SOAK_DOWN", 600), seconds("LARDER_SOAK_FAULT", 60));
    let mut larder = Behind::start(Engine::S3(Arc::new(Garage::start())), SMALL_DISK);
    let stored = AtomicU64::new(0);
    let second = Duration::from_secs(1);

    load(&larder, &stored, sick, "well");
    let faults = [
        Fault::Latency { request: 2 * second, answer: 2 * second },
        Fault::Latency { request: second / 5, answer: second / 5 },
        Fault::Hang,
        Fault::Stall,
        Fault::Half,
        Fault::Reset { after: 5000 },
        Fault::Corrupt,
        Fault::SlowDown { every: 1 },
        Fault::SlowDown { every: 2 },
    ];
    for fault in faults {
        larder.wire.fault(fault);
        load(&larder, &stored, sick, &format!("{fault:?}"));
        larder.wire.pass();
        all_is_there(&larder, &stored);
    }

    larder.wire.go_down();
    load(&larder, &stored, down / 2, "down");
    larder.larder.kill9();
    larder.larder.restart();
    load(&larder, &stored, down / 2, "down, after kill -9");
    larder.wire.come_back();
    all_is_there(&larder, &stored);
    larder.forget_disk();
    all_is_there(&larder, &stored);
}

/// Clients that store and read for a while. Every PUT is taken, every GET is right or a miss.
fn load(larder: &Behind, stored: &AtomicU64, time: Duration, what: &str) {
    let (hits, misses) = (AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    let before = stored.load(Ordering::SeqCst);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while began.elapsed() < time {
                let number = stored.load(Ordering::SeqCst);
                larder.put(&format!("/{number}"), &body(number));
                stored.store(number + 1, Ordering::SeqCst);
                std::thread::sleep(WRITE_PAUSE);
            }
        });
        for reader in 0..READERS {
            let (hits, misses) = (&hits, &misses);
            scope.spawn(move || {
                let mut chance = StdRng::seed_from_u64(reader);
                while began.elapsed() < time {
                    let there = stored.load(Ordering::SeqCst).max(1);
                    let counter = if get(larder, chance.random_range(0..there)) { hits } else { misses };
                    counter.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(READ_PAUSE);
                }
            });
        }
    });
    let puts = stored.load(Ordering::SeqCst) - before;
    let metrics = larder.larder.metrics();
    eprintln!(
        "{what}: {} puts, {} hits, {} misses or broken off; {} objects wait ({} MiB), {} not queued; {} MiB resident",
        puts,
        hits.into_inner(),
        misses.into_inner(),
        metrics["larder_bucket_queue_objects"],
        (metrics["larder_bucket_queue_bytes"] / 1_048_576.0).round(),
        metrics["larder_bucket_not_queued_total"],
        (metrics["process_resident_memory_bytes"] / 1_048_576.0).round(),
    );
    assert!(metrics["larder_bucket_queue_bytes"] <= 134_217_728.0, "the queue has no bound");
    assert!(metrics["process_resident_memory_bytes"] < 1_073_741_824.0, "memory has no bound");
}

/// True for a hit, which has the right bytes; false for a miss or an answer that broke off.
fn get(larder: &Behind, number: u64) -> bool {
    let ask = |mut connection: http::Connection| {
        connection.request("GET", &format!("/{number}"), &[("Connection", "close")], b"")
    };
    let Ok(answer) = http::Connection::open(larder.larder.address()).and_then(ask) else { return false };
    assert!([200, 404].contains(&answer.status), "{number}: {} {}", answer.status, answer.text());
    assert!(answer.status == 404 || answer.body == body(number), "{number}: other bytes");
    answer.status == 200
}

/// Once the queue has drained, everything that was queued is in the bucket or on disk, and right.
fn all_is_there(larder: &Behind, stored: &AtomicU64) {
    let began = Instant::now();
    while larder.larder.metric("larder_bucket_queue_objects") > 0.0 {
        assert!(began.elapsed() < Duration::from_secs(600), "the queue does not drain");
        std::thread::sleep(Duration::from_millis(100));
    }
    let drained = began.elapsed();
    let all = stored.load(Ordering::SeqCst);
    let not_queued = larder.larder.metric("larder_bucket_not_queued_total");
    let mut missing = Vec::new();
    for number in 0..all {
        let tried = Instant::now();
        // A breaker that is still open, or an absence that is still remembered, takes seconds.
        while !get(larder, number) {
            if tried.elapsed() > Duration::from_secs(30) {
                missing.push(number);
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(missing.len() as f64 <= not_queued, "lost: {missing:?}");
    }
    eprintln!("drained after {drained:?}; {all} objects looked for, gone (never queued): {}", missing.len());
}

fn body(number: u64) -> Vec<u8> {
    let length = match number % 500 {
        0 => 12 << 20,
        1..=5 => 0,
        other => 200 * other,
    };
    noise(number, usize::try_from(length).unwrap())
}
