//! From larder to the bucket: as it is, in parts where it is large, replaced, deleted.

use crate::behind::{Behind, Settings, noise};
use crate::common::{http, tools, wait_for};
use crate::garage;

#[test]
fn what_is_put_lies_in_the_bucket_as_it_is() {
    let larder = Behind::s3(Settings::default());
    let body = noise(1, 70_000);
    larder.put("/a/key", &body);
    larder.put("/empty", b"");
    larder.wait_until_drained();
    assert_eq!(larder.names(), ["default/a/key", "default/empty"]);
    assert_eq!(larder.stored("default/empty").unwrap(), b"");

    // And as a client sees it that shares no code with larder.
    let scratch = tempfile::tempdir().unwrap();
    let mut aws = std::process::Command::new(tools::tool("aws"));
    tools::isolate(&mut aws);
    aws.env("AWS_ACCESS_KEY_ID", garage::KEY_ID).env("AWS_SECRET_ACCESS_KEY", garage::SECRET);
    aws.env("AWS_ENDPOINT_URL", format!("http://{}", larder.garage().address())).env("HOME", scratch.path());
    aws.env("AWS_DEFAULT_REGION", garage::REGION).env("AWS_EC2_METADATA_DISABLED", "true");
    let file = scratch.path().join("body");
    aws.args(["s3api", "get-object", "--bucket", garage::BUCKET, "--key", &larder.path("default/a/key")]);
    let said = String::from_utf8(tools::run(aws.arg(&file)).stdout).unwrap();
    assert!(std::fs::read(&file).unwrap() == body, "other bytes");
    assert!(said.contains("larder_xxh3"), "no checksum beside it: {said}");
}

#[test]
fn a_large_object_goes_up_in_parts() {
    let mut larder = Behind::s3(Settings::default());
    let body = noise(2, (20 << 20) + 12_345);
    larder.put("/large", &body);
    larder.wait_until_drained();
    assert!(larder.stored("default/large").unwrap() == body, "other bytes in the bucket");
    let parts = larder.wire.seen(|seen| seen.method == "PUT" && seen.query.contains("partNumber="));
    assert!(parts.len() >= 2, "{parts:?}");
    let whole = larder.wire.seen(|seen| seen.method == "PUT" && !seen.query.contains("partNumber="));
    assert!(whole.iter().all(|seen| !seen.path.ends_with("/large")), "{whole:?}");

    larder.forget_disk();
    larder.assert_hit("/large", &body);
}

#[test]
fn what_is_overwritten_is_overwritten_in_the_bucket() {
    let mut larder = Behind::s3(Settings::default());
    larder.put("/key", b"first");
    larder.wait_until_drained();
    assert_eq!(larder.stored("default/key").unwrap(), b"first");
    larder.put("/key", b"second, and longer");
    larder.assert_hit("/key", b"second, and longer");
    larder.wait_until_drained();
    assert_eq!(larder.stored("default/key").unwrap(), b"second, and longer");
    larder.forget_disk();
    larder.assert_hit("/key", b"second, and longer");
}

#[test]
fn what_is_only_in_the_bucket_can_be_overwritten() {
    let mut larder = Behind::s3(Settings::default());
    larder.put_into_bucket_only(&[("/key", b"first")]);
    larder.put("/key", b"second");
    larder.assert_hit("/key", b"second");
    larder.wait_until_drained();
    assert_eq!(larder.stored("default/key").unwrap(), b"second");
}

#[test]
fn what_is_deleted_is_deleted_in_the_bucket_and_does_not_come_back() {
    let mut larder = Behind::s3(Settings::default());
    larder.put_into_bucket_only(&[("/only-in-bucket", b"a"), ("/on-both", b"b")]);
    larder.assert_hit("/on-both", b"b");
    for path in ["/on-both", "/only-in-bucket"] {
        assert_eq!(larder.delete(path).status, 204, "{path}");
        assert_eq!(larder.get(path).status, 404, "{path}");
    }
    assert_eq!(larder.delete("/on-both").status, 404, "deleted twice");
    wait_for("the bucket to be empty", || larder.names().is_empty().then_some(()));
    larder.wait_until_drained();
    larder.larder.restart();
    for path in ["/on-both", "/only-in-bucket"] {
        assert_eq!(larder.get(path).status, 404, "{path}");
    }
    // And it can be stored again.
    larder.put("/on-both", b"again");
    larder.wait_until_drained();
    assert_eq!(larder.stored("default/on-both").unwrap(), b"again");
}

#[test]
fn with_write_through_an_acknowledged_put_is_in_the_bucket() {
    let mut larder = Behind::s3(Settings { bucket: "write = \"through\"", ..Settings::default() });
    for (number, length) in [10, 5_000, 1 << 20, 17 << 20].into_iter().enumerate() {
        let (key, body) = (format!("key-{number}"), noise(number as u64, length));
        larder.put(&format!("/{key}"), &body);
        assert!(larder.stored(&format!("default/{key}")).is_some_and(|stored| stored == body), "{key}");
    }
    // The disk may go at any moment.
    larder.larder.kill9();
    std::fs::remove_dir_all(larder.larder.data_dir()).unwrap();
    larder.larder.restart();
    larder.assert_hit("/key-1", &noise(1, 5_000));
}

#[test]
fn a_put_in_chunks_of_unknown_length_comes_to_the_bucket_whole() {
    let larder = Behind::s3(Settings::default());
    let body = noise(3, 3 << 20);
    let mut connection = http::Connection::open(larder.larder.address()).unwrap();
    connection.send(b"PUT /chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for chunk in body.chunks(700_001) {
        connection.send(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
        connection.send(chunk).unwrap();
        connection.send(b"\r\n").unwrap();
    }
    connection.send(b"0\r\n\r\n").unwrap();
    assert_eq!(connection.read_response("PUT").unwrap().status, 201);
    larder.wait_until_drained();
    assert!(larder.stored("default/chunked").is_some_and(|stored| stored == body));
}

#[test]
fn sccaches_probe_never_goes_to_the_bucket() {
    let larder = Behind::s3(Settings::default());
    larder.put("/.sccache_check", b"Hello, World!");
    larder.put("/behind-it", b"x");
    larder.assert_hit("/.sccache_check", b"Hello, World!");
    larder.wait_until_drained();
    assert_eq!(larder.names(), ["default/behind-it"]);
    assert_eq!(larder.wire.seen(|seen| seen.path.contains(".sccache_check")), []);
}
