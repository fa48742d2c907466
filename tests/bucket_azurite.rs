//! The core of it over Azure's protocol: one code path, but another store, with other ways to say what it has and has not.
//!
//! Knows larder, and the container, from outside only.

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

use behind::{Behind, Settings, noise};
use common::{http, wait_for};
use wire::Fault;

#[test]
fn what_is_put_lies_in_the_container_and_is_a_hit_from_there() {
    let mut larder = Behind::azure(Settings::default());
    let body = noise(1, 100_000);
    larder.put("/a/key", &body);
    larder.put("/empty", b"");
    let before = larder.assert_hit("/a/key", &body);
    larder.wait_until_drained();
    assert_eq!(larder.names(), ["default/a/key", "default/empty"]);
    assert!(larder.stored("default/a/key").unwrap() == body);
    larder.forget_disk();
    let after = larder.assert_hit("/a/key", &body);
    assert_eq!(after.header("etag"), before.header("etag"));
    larder.assert_hit("/empty", b"");
    assert_eq!(larder.larder.metric("larder_bucket_hits_total"), 2.0);
    assert_eq!(larder.get("/nowhere").status, 404);
    assert_eq!(larder.larder.metric("larder_bucket_misses_total"), 1.0);
}

#[test]
fn a_large_object_goes_up_in_blocks_and_comes_back_whole() {
    let mut larder = Behind::azure(Settings::default());
    let body = noise(2, (20 << 20) + 12_345);
    larder.put("/large", &body);
    larder.wait_until_drained();
    let blocks = larder.wire.seen(|seen| seen.method == "PUT" && seen.query.contains("comp=block&"));
    let blocks = blocks.len().max(larder.wire.seen(|seen| seen.query.contains("blockid=")).len());
    assert!(blocks >= 2, "{:?}", larder.wire.seen(|_| true));
    assert!(larder.stored("default/large").unwrap() == body);
    larder.forget_disk();
    let range = [("Range", "bytes=20000000-20000099")];
    let answer = http::request(larder.larder.address(), "GET", "/large", &range, b"");
    assert_eq!(answer.status, 206);
    assert!(answer.body == body[20_000_000..20_000_100]);
    larder.assert_hit("/large", &body);
}

#[test]
fn what_is_deleted_is_deleted_in_the_container() {
    let mut larder = Behind::azure(Settings::default());
    larder.put_into_bucket_only(&[("/only-there", b"a"), ("/on-both", b"b")]);
    larder.assert_hit("/on-both", b"b");
    for path in ["/on-both", "/only-there"] {
        assert_eq!(larder.delete(path).status, 204, "{path}");
        assert_eq!(larder.get(path).status, 404, "{path}");
    }
    wait_for("the container to be empty", || larder.names().is_empty().then_some(()));
}

#[test]
fn what_others_put_there_is_adopted_and_found_within_seconds() {
    let larder = Behind::azure(Settings::default());
    assert_eq!(larder.get("/others").status, 404);
    let body = noise(3, 50_000);
    larder.put_from_outside("default/others", &body);
    let answer = wait_for("the other's object", || {
        let answer = larder.get("/others");
        (answer.status == 200).then_some(answer)
    });
    assert!(answer.body == body);
}

#[test]
fn a_put_that_wants_to_be_the_first_sees_what_only_the_container_has() {
    let mut larder = Behind::azure(Settings {
        tables: "[namespaces.once]\noverwrite = \"never\"\n",
        ..Settings::default()
    });
    larder.put_into_bucket_only(&[("/key", b"first"), ("/once/key", b"first")]);
    let put = |path: &str, headers: &[(&str, &str)]| {
        http::request(larder.larder.address(), "PUT", path, headers, b"second").status
    };
    assert_eq!(put("/key", &[("If-None-Match", "*")]), 412);
    assert!(put("/once/key", &[]) >= 400, "a write-once object was replaced");
    larder.assert_hit("/key", b"first");
    larder.assert_hit("/once/key", b"first");
    larder.wait_until_drained();
    assert_eq!(larder.stored("once/key").unwrap(), b"first");
}

#[test]
fn faults_on_the_wire_make_misses_and_lose_nothing() {
    let mut larder = Behind::azure(Settings { bucket: "read_timeout = \"1s\"", ..Settings::default() });
    let body = noise(4, 400_000);
    larder.put_into_bucket_only(&[("/key", &body)]);
    for fault in
        [Fault::SlowDown { every: 1 }, Fault::Reset { after: 0 }, Fault::Half, Fault::Corrupt, Fault::Hang]
    {
        larder.wire.fault(fault);
        let mut connection = http::Connection::open(larder.larder.address()).unwrap();
        if let Ok(answer) = connection.request("GET", "/key", &[], b"") {
            assert!(answer.status == 404 || answer.body == body, "{fault:?}: {}", answer.status);
        }
        larder.wire.pass();
    }
    larder.wire.go_down();
    larder.put("/waits", b"waits");
    larder.larder.kill9();
    larder.larder.restart();
    larder.wire.come_back();
    larder.wait_until_stored(&[
        ("default/waits".to_owned(), b"waits".to_vec()),
        ("default/key".to_owned(), body),
    ]);
}
