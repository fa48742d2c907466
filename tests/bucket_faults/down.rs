//! A bucket that is not there: hits from disk go on, PUTs are taken, the queue has a bound, and all of it can be seen.

use std::collections::BTreeMap;

use crate::behind::{Behind, Settings, noise};
use crate::common::{http, wait_for};
use crate::wire::Fault;

#[test]
fn a_build_goes_on_while_the_bucket_is_down_and_everything_arrives_after() {
    let larder = Behind::s3(Settings { bucket: "queue_limit = \"1MiB\"", ..Settings::default() });
    larder.put("/before", b"before");
    larder.wait_until_drained();
    assert!(larder.readiness().contains("ok"), "{}", larder.readiness());

    larder.wire.go_down();
    let mut objects = vec![("default/before".to_owned(), b"before".to_vec())];
    for number in 0..30 {
        let body = noise(number, 100_000);
        larder.put(&format!("/key-{number}"), &body);
        objects.push((format!("default/key-{number}"), body));
        let waiting = larder.larder.metric("larder_bucket_queue_bytes");
        assert!(waiting <= 1_048_576.0, "{waiting} bytes wait, more than the limit");
    }
    for (name, body) in &objects {
        larder.assert_hit(name.strip_prefix("default").unwrap(), body);
    }
    assert_eq!(larder.get("/nowhere").status, 404);
    let metrics = larder.larder.metrics();
    assert!(metrics["larder_bucket_not_queued_total"] >= 10.0, "the queue has no bound");
    assert!(metrics["larder_bucket_queue_objects"] >= 5.0, "nothing waits");

    // All of that can be seen.
    wait_for("the breaker to leave the bucket alone", || {
        (larder.larder.metric("larder_bucket_breaker") == 2.0).then_some(())
    });
    let said = larder.readiness();
    for part in ["bucket s3://larder/", "failing", "objects", "uploaded"] {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    wait_for("the age of the queue", || {
        (larder.larder.metric("larder_bucket_queue_age_seconds") >= 1.0).then_some(())
    });

    larder.wire.come_back();
    larder.wait_until_stored(&objects);
    wait_for("the breaker to close", || (larder.larder.metric("larder_bucket_breaker") == 0.0).then_some(()));
    assert!(larder.readiness().contains("ok"), "{}", larder.readiness());
    assert_eq!(larder.larder.metric("larder_bucket_queue_bytes"), 0.0);
    assert_eq!(larder.larder.metric("larder_bucket_queue_age_seconds"), 0.0);
}

#[test]
fn a_server_that_starts_without_its_bucket_serves_what_it_has() {
    let mut larder = Behind::s3(Settings::default());
    larder.put("/key", b"body");
    larder.wait_until_drained();
    larder.wire.go_down();
    larder.larder.restart();
    larder.assert_hit("/key", b"body");
    larder.put("/new", b"new");
    larder.assert_hit("/new", b"new");
    assert_eq!(larder.get("/nowhere").status, 404);
    larder.wire.come_back();
    larder.wait_until_stored(&[
        ("default/key".to_owned(), b"body".to_vec()),
        ("default/new".to_owned(), b"new".to_vec()),
    ]);
}

#[test]
fn what_waits_for_the_bucket_is_never_evicted() {
    const SMALL: Settings =
        Settings { top: "capacity = \"32MiB\"\nmin_free_disk = 0", bucket: "", tables: "", secret: None };
    let larder = Behind::s3(SMALL);
    let mut bodies = BTreeMap::new();
    for number in 0..24_u64 {
        let (key, body) = (format!("/safe-{number}"), noise(number, 1 << 20));
        larder.put(&key, &body);
        bodies.insert(key, body);
    }
    larder.wait_until_drained();
    let evicted = || {
        let metrics = larder.larder.metrics();
        metrics
            .iter()
            .filter(|(name, _)| name.starts_with("larder_evictions_total"))
            .map(|(_, n)| n)
            .sum::<f64>()
    };
    let before = evicted();
    larder.wire.go_down();
    // More than the disk holds. Some are queued; beyond the queue's bound they are as good as evicted.
    let mut queued = Vec::new();
    for number in 100..140_u64 {
        let (key, body) = (format!("/waits-{number}"), noise(number, 1 << 20));
        let passed_by = larder.larder.metric("larder_bucket_not_queued_total");
        larder.put(&key, &body);
        if larder.larder.metric("larder_bucket_not_queued_total") == passed_by {
            queued.push((format!("default{key}"), body));
        }
    }
    assert!(queued.len() >= 8, "only {} were queued", queued.len());
    wait_for("the disk to be full", || (evicted() > before).then_some(()));
    for (name, body) in &queued {
        larder.assert_hit(name.strip_prefix("default").unwrap(), body);
    }
    larder.wire.come_back();
    larder.wait_until_stored(&queued);
    // And what was evicted, because it was safe, is a hit from there.
    for (key, body) in &bodies {
        larder.assert_hit(key, body);
    }
}

#[test]
fn what_is_deleted_while_the_bucket_is_down_stays_deleted() {
    let mut larder = Behind::s3(Settings::default());
    larder.put("/on-both", b"a");
    larder.put("/again", b"first");
    larder.wait_until_drained();
    larder.wire.go_down();
    for path in ["/on-both", "/again"] {
        assert_eq!(larder.delete(path).status, 204, "{path}");
        assert_eq!(larder.get(path).status, 404, "{path}");
    }
    larder.put("/again", b"second");
    larder.larder.kill9();
    larder.larder.restart();
    larder.wire.come_back();
    assert_eq!(larder.get("/on-both").status, 404, "it came back from the bucket");
    larder.assert_hit("/again", b"second");
    wait_for("the bucket to hear of it", || (larder.names() == ["default/again"]).then_some(()));
    larder.wait_until_drained();
    assert_eq!(larder.stored("default/again").unwrap(), b"second");
    larder.forget_disk();
    assert_eq!(larder.get("/on-both").status, 404);
    larder.assert_hit("/again", b"second");
}

#[test]
fn what_was_overwritten_while_the_bucket_was_down_is_not_read_from_it_again() {
    // The queue is too short for the newer one, which then is on disk only; and the disk forgets it.
    let larder = Behind::s3(Settings { bucket: "queue_limit = \"1MiB\"", ..Settings::default() });
    let (older, newer) = (noise(1, 300_000), noise(2, 3 << 20));
    larder.put("/key", &older);
    larder.wait_until_drained();
    larder.wire.go_down();
    larder.put("/key", &newer);
    larder.assert_hit("/key", &newer);
    larder.wire.come_back();
    larder.assert_hit("/key", &newer);
    larder.wait_until_stored(&[("default/key".to_owned(), newer.clone())]);
    let mut larder = larder;
    larder.forget_disk();
    larder.assert_hit("/key", &newer);
}

#[test]
fn a_wrong_secret_is_told_and_breaks_nothing() {
    let larder = Behind::s3(Settings {
        secret: Some("0000000000000000000000000000000000000000000000000000000000000000"),
        ..Settings::default()
    });
    larder.put("/key", b"body");
    larder.assert_hit("/key", b"body");
    assert_eq!(larder.get("/nowhere").status, 404);
    wait_for("the refusal to be told", || {
        (larder.calls("put", "refused") >= 1.0 && larder.readiness().contains("failing")).then_some(())
    });
    assert_eq!(larder.larder.metric("larder_bucket_queue_objects"), 1.0);
    let log = larder.larder.log();
    assert!(log.contains("refuse"), "{log}");
    assert!(!log.contains("00000000000000000000"), "the secret is in the log");
}

#[test]
fn with_write_through_a_put_is_acknowledged_though_the_bucket_is_down() {
    let larder =
        Behind::s3(Settings { bucket: "write = \"through\"\nwrite_timeout = \"1s\"", ..Settings::default() });
    larder.wire.go_down();
    larder.put("/refused", b"refused");
    larder.wire.come_back();
    larder.wire.fault(Fault::Hang);
    larder.put("/hangs", b"hangs");
    larder.assert_hit("/hangs", b"hangs");
    larder.wire.pass();
    larder.wait_until_stored(&[
        ("default/hangs".to_owned(), b"hangs".to_vec()),
        ("default/refused".to_owned(), b"refused".to_vec()),
    ]);
    // Then it is as it was: acknowledged means in the bucket.
    wait_for("write-through to work again", || {
        assert_eq!(http::put(larder.larder.address(), "/after", b"after").status / 100, 2);
        (larder.stored("default/after").is_some()).then_some(())
    });
}
