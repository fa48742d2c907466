//! Reads of a bucket that fails: a miss, or the right bytes, or a broken transfer; never others, and right as soon as the
//! bucket is.

use std::time::Duration;

use crate::behind::{Behind, Settings, noise};
use crate::common::{http, wait_for};
use crate::wire::Fault;

/// Little patience, so that a fault is one.
const HASTY: Settings = Settings { top: "", bucket: "read_timeout = \"300ms\"", tables: "", secret: None };
const SLOW: Fault = Fault::Latency { request: Duration::from_secs(5), answer: Duration::ZERO };

#[test]
fn a_bucket_that_is_slow_makes_misses_and_the_build_goes_on() {
    let mut larder = Behind::s3(HASTY);
    let body = noise(1, 50_000);
    larder.put_into_bucket_only(&[("/key", &body), ("/other", b"other")]);
    for fault in [SLOW, Fault::Hang] {
        larder.wire.fault(fault);
        assert_eq!(larder.get("/key").status, 404, "{fault:?}");
        assert_eq!(larder.head("/key").status, 404, "{fault:?}");
        // What the build makes instead is stored, and found.
        larder.put("/made", &body);
        larder.assert_hit("/made", &body);
        assert!(larder.larder.metric("larder_bucket_failed_reads_total") >= 1.0);
        assert!(larder.calls("get", "too_slow") >= 1.0);
        larder.wire.pass();
        // It was never taken for absent.
        wait_for_hit(&larder, "/other", b"other");
        larder.forget_disk();
    }
    assert_eq!(larder.larder.metric("larder_bucket_absent_hits_total"), 0.0);
}

#[test]
fn answers_that_break_off_are_never_torn_bodies() {
    let mut larder = Behind::s3(HASTY);
    let bodies =
        [("/small", noise(1, 3_000)), ("/middle", noise(2, 1 << 20)), ("/large", noise(3, 18 << 20))];
    let objects: Vec<_> = bodies.iter().map(|(path, body)| (*path, body.as_slice())).collect();
    larder.put_into_bucket_only(&objects);
    let faults = [
        Fault::Half,
        Fault::Stall,
        Fault::Reset { after: 0 },
        Fault::Reset { after: 1000 },
        Fault::Reset { after: 900_000 },
    ];
    for fault in faults {
        for (path, body) in &bodies {
            larder.wire.fault_on("GET", fault);
            whole_or_not(&larder, path, body);
            larder.wire.pass();
        }
    }
    larder.wire.pass();
    for (path, body) in &bodies {
        wait_for_hit(&larder, path, body);
    }
    // What is on disk is what was stored, too.
    larder.wire.go_down();
    for (path, body) in &bodies {
        larder.assert_hit(path, body);
    }
}

#[test]
fn a_body_that_breaks_off_once_is_gone_on_with() {
    let mut larder = Behind::s3(Settings::default());
    let body = noise(1, 18 << 20);
    larder.put_into_bucket_only(&[("/key", &body)]);
    larder.wire.forget();
    // Each answer is the half of what is left, so that a few of them get near the end and none past it.
    larder.wire.fault_on("GET", Fault::Half);
    std::thread::scope(|scope| {
        let get = scope.spawn(|| larder.get("/key"));
        wait_for("the body to be asked for again", || (larder.wire.count("GET", "/key") >= 2).then_some(()));
        larder.wire.pass();
        let answer = get.join().unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "other bytes");
    });
}

#[test]
fn a_bit_that_is_another_is_never_served_and_never_stored() {
    let mut larder = Behind::s3(Settings::default());
    let bodies =
        [("/small", noise(1, 3_000)), ("/middle", noise(2, 1 << 20)), ("/large", noise(3, 18 << 20))];
    let objects: Vec<_> = bodies.iter().map(|(path, body)| (*path, body.as_slice())).collect();
    larder.put_into_bucket_only(&objects);
    // Nor of what somebody else stored, where the store knows a checksum.
    let others = noise(4, 200_000);
    larder.put_from_outside("default/others", &others);
    larder.wire.fault_on("GET", Fault::Corrupt);
    for (path, body) in bodies.iter().chain([&("/others", others.clone())]) {
        let damaged = larder.larder.metric("larder_bucket_damaged_total");
        match request(&larder, path) {
            Ok(answer) => assert_ne!(answer.status, 200, "{path}: {} bytes served", answer.body.len()),
            // A large one had begun.
            Err(_) => assert!(body.len() > 100_000, "{path} was broken off"),
        }
        assert_eq!(larder.larder.metric("larder_bucket_damaged_total"), damaged + 1.0, "{path}");
    }
    assert_eq!(larder.larder.metric("larder_stored_objects"), 0.0, "a damaged one was stored");
    // The store has them as they were; what happened on the way removed nothing.
    larder.wire.pass();
    for (path, body) in bodies.iter().chain([&("/others", others)]) {
        wait_for_hit(&larder, path, body);
    }
}

#[test]
fn a_bucket_that_says_slow_down_makes_misses_and_is_asked_again() {
    let mut larder = Behind::s3(Settings::default());
    larder.put_into_bucket_only(&[("/key", b"body")]);
    larder.wire.fault(Fault::SlowDown { every: 1 });
    assert_eq!(larder.get("/key").status, 404);
    assert!(larder.calls("get", "unavailable") >= 1.0);
    larder.wire.pass();
    wait_for_hit(&larder, "/key", b"body");
}

#[test]
fn a_hundred_who_wait_for_a_bucket_that_hangs_all_get_a_miss() {
    let mut larder = Behind::s3(HASTY);
    larder.put_into_bucket_only(&[("/key", b"body")]);
    larder.wire.forget();
    larder.wire.fault(Fault::Hang);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(|| larder.get("/key").status)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 404);
        }
    });
    // They share reads, and the breaker ends them: it is no storm.
    let asked = larder.wire.count("GET", "/key");
    assert!((1..=20).contains(&asked), "{asked} reads for a hundred requests");
    larder.wire.pass();
    wait_for_hit(&larder, "/key", b"body");
}

/// A GET that may be a miss or break off, but not be anything else than the body when it is whole.
fn whole_or_not(larder: &Behind, path: &str, body: &[u8]) {
    match request(larder, path) {
        Err(_) => (),
        Ok(answer) if answer.status == 404 => (),
        Ok(answer) => {
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(answer.body == body, "{path}: torn: {} of {} bytes", answer.body.len(), body.len());
        }
    }
}

fn request(larder: &Behind, path: &str) -> std::io::Result<http::Response> {
    http::Connection::open(larder.larder.address())?.request("GET", path, &[("Connection", "close")], b"")
}

/// Once the bucket is well again its objects are hits, without anything being done about it.
fn wait_for_hit(larder: &Behind, path: &str, body: &[u8]) {
    wait_for("a hit after the fault", || {
        let answer = request(larder, path).ok()?;
        assert!([200, 404].contains(&answer.status), "{path}: {}", answer.status);
        (answer.status == 200).then(|| assert!(answer.body == body, "{path}: other bytes"))
    });
}
