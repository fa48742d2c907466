//! From the bucket to a client: the same object as before, one read for all who wait, and no read for what is not there.

use std::sync::Barrier;

use crate::behind::{Behind, Settings, noise};
use crate::common::{http, wait_for};
use crate::wire::Fault;

#[test]
fn what_only_the_bucket_has_is_the_same_hit_that_the_disk_gave() {
    let mut larder = Behind::s3(Settings::default());
    let body = noise(1, 100_000);
    larder.put("/key", &body);
    let before = larder.assert_hit("/key", &body);
    larder.wait_until_drained();
    larder.forget_disk();

    let from_bucket = larder.assert_hit("/key", &body);
    assert_eq!(larder.larder.metric("larder_bucket_hits_total"), 1.0);
    larder.wire.forget();
    let from_disk = larder.assert_hit("/key", &body);
    assert_eq!(larder.wire.count("GET", "/key"), 0, "it is on disk by now");
    for header in ["etag", "content-length", "content-type", "last-modified"] {
        assert_eq!(from_bucket.header(header), from_disk.header(header), "{header}");
    }
    assert!(before.header("etag").is_some());
    assert_eq!(from_bucket.header("etag"), before.header("etag"));
    assert_eq!(larder.larder.total("larder_hits_total"), 2.0);
    assert_eq!(larder.larder.total("larder_misses_total"), 0.0);
}

#[test]
fn what_an_object_cost_to_make_outlives_the_disk_with_it() {
    for length in [100, 20 << 20] {
        let mut larder = Behind::s3(Settings { bucket: "absent_for = \"0s\"", ..Settings::default() });
        let body = noise(9, length);
        assert_eq!(larder.get("/key").status, 404);
        std::thread::sleep(std::time::Duration::from_millis(30));
        larder.put("/key", &body);
        larder.assert_hit("/key", &body);
        let saved = larder.larder.total("larder_time_saved_seconds_total");
        assert!(saved >= 0.03, "{saved}");
        larder.wait_until_drained();
        larder.forget_disk();
        larder.assert_hit("/key", &body);
        let again = larder.larder.total("larder_time_saved_seconds_total");
        assert!((again - saved).abs() < 1e-9, "{again} instead of {saved}");
    }
}

#[test]
fn an_empty_object_in_the_bucket_is_a_hit() {
    let mut larder = Behind::s3(Settings::default());
    larder.put_into_bucket_only(&[("/empty", b"")]);
    larder.assert_hit("/empty", b"");
}

#[test]
fn a_hundred_who_want_the_same_object_cost_the_bucket_one_read() {
    let mut larder = Behind::s3(Settings::default());
    let body = noise(2, 300_000);
    larder.put_into_bucket_only(&[("/key", &body)]);
    larder.wire.forget();
    // Long enough for all to come, short enough to be no failure.
    larder.wire.fault(latency(150));
    all_at_once(&larder, 100, |_| larder.assert_hit("/key", &body).body.len());
    assert_eq!(larder.wire.count("GET", "/key"), 1, "{:?}", larder.wire.seen(|_| true));
    let shared = larder.larder.metric("larder_bucket_shared_reads_total");
    assert!(shared >= 1.0, "nobody shared a read");
}

#[test]
fn a_hundred_who_want_the_same_large_object_cost_the_bucket_one_read() {
    let mut larder = Behind::s3(Settings::default());
    let body = noise(3, (20 << 20) + 7);
    larder.put_into_bucket_only(&[("/large", &body)]);
    larder.wire.forget();
    larder.wire.fault(latency(150));
    all_at_once(&larder, 100, |_| larder.assert_hit("/large", &body).body.len());
    assert_eq!(larder.wire.count("GET", "/large"), 1, "{:?}", larder.wire.seen(|_| true));
}

#[test]
fn a_storm_of_misses_is_no_storm_of_requests() {
    let larder = Behind::s3(Settings { bucket: "absent_for = \"1m\"", ..Settings::default() });
    for _ in 0..10 {
        all_at_once(&larder, 20, |_| larder.get("/nowhere").status as usize);
    }
    let asked = larder.wire.seen(|seen| seen.path.ends_with("/nowhere")).len();
    // Those of the first wave may have come before the first answer, each behind the other's back.
    assert!((1..=20).contains(&asked), "{asked} requests for 200 misses");
    assert!(larder.larder.metric("larder_bucket_absent_hits_total") >= 180.0);

    // A PUT is found at once, whatever was remembered.
    larder.put("/nowhere", b"now here");
    larder.assert_hit("/nowhere", b"now here");
    larder.wait_until_drained();
    let mut larder = larder;
    larder.forget_disk();
    larder.assert_hit("/nowhere", b"now here");
}

#[test]
fn what_was_a_miss_is_found_once_another_server_has_stored_it() {
    let larder = Behind::s3(Settings::default());
    let other = larder.another();
    assert_eq!(larder.get("/key").status, 404);
    assert_eq!(http::put(other.address(), "/key", b"from the other").status, 201);
    let answer = wait_for("the other's object", || {
        let answer = larder.get("/key");
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(answer.body, b"from the other");
}

#[test]
fn a_client_that_leaves_does_not_end_the_read_for_the_others() {
    let mut larder = Behind::s3(Settings::default());
    let body = noise(4, 2 << 20);
    larder.put_into_bucket_only(&[("/key", &body)]);
    larder.wire.forget();
    larder.wire.fault(latency(200));
    let mut leaves = http::Connection::open(larder.larder.address()).unwrap();
    leaves.send(b"GET /key HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    wait_for("the read of the bucket to begin", || (larder.wire.count("GET", "/key") > 0).then_some(()));
    drop(leaves);
    larder.assert_hit("/key", &body);
    wait_for("the object to be on disk", || {
        (larder.larder.metric("larder_stored_objects") == 1.0).then_some(())
    });
    assert_eq!(larder.wire.count("GET", "/key"), 1);
}

/// What `one` gives to each of `number` threads that begin in the same moment; all have to be the same.
fn all_at_once(larder: &Behind, number: usize, one: impl Fn(&Behind) -> usize + Sync) {
    let barrier = Barrier::new(number);
    let answers: Vec<usize> = std::thread::scope(|scope| {
        let run = || {
            barrier.wait();
            one(larder)
        };
        let threads: Vec<_> = (0..number).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("every answer is right")).collect()
    });
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

fn latency(milliseconds: u64) -> Fault {
    let request = std::time::Duration::from_millis(milliseconds);
    Fault::Latency { request, answer: std::time::Duration::ZERO }
}
