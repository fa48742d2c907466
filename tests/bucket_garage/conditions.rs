//! HEAD, ranges, conditions and deletes of an object that is in the bucket only: as if it were on disk.

use crate::behind::{Behind, Settings, noise};
use crate::common::http;

#[test]
fn head_sees_what_only_the_bucket_has() {
    let mut larder = Behind::s3(Settings::default());
    let body = noise(1, 12_345);
    larder.put_into_bucket_only(&[("/key", &body)]);
    let head = larder.head("/key");
    assert_eq!((head.status, head.header("content-length")), (200, Some("12345")));
    let get = larder.assert_hit("/key", &body);
    assert_eq!(head.header("etag"), get.header("etag"));
    assert_eq!(larder.head("/nowhere").status, 404);
}

#[test]
fn a_put_that_wants_to_be_the_first_sees_what_only_the_bucket_has() {
    let mut larder = Behind::s3(Settings::default());
    larder.put_into_bucket_only(&[("/key", b"first")]);
    let put = |path: &str, body: &[u8]| {
        http::request(larder.larder.address(), "PUT", path, &[("If-None-Match", "*")], body).status
    };
    assert_eq!(put("/key", b"second"), 412);
    assert_eq!(put("/new", b"second"), 201);
    larder.assert_hit("/key", b"first");
    larder.wait_until_drained();
    assert_eq!(larder.stored("default/key").unwrap(), b"first");
    assert_eq!(larder.stored("default/new").unwrap(), b"second");
}

#[test]
fn conditions_and_ranges_of_what_only_the_bucket_has_are_as_ever() {
    let mut larder = Behind::s3(Settings::default());
    let body = noise(2, 3 << 20);
    larder.put("/key", &body);
    let etag = larder.head("/key").header("etag").unwrap().to_owned();
    larder.wait_until_drained();
    let ranges = [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=3000000-", 3_000_000, 3 << 20)];
    for (range, start, end) in ranges {
        larder.forget_disk();
        let answer = http::request(larder.larder.address(), "GET", "/key", &[("Range", range)], b"");
        assert_eq!(answer.status, 206, "{range}: {}", answer.text());
        assert!(answer.body == body[start..end], "{range}");
        let said = format!("bytes {start}-{}/{}", end - 1, body.len());
        assert_eq!(answer.header("content-range"), Some(said.as_str()));
    }
    larder.forget_disk();
    let ask =
        |header, value| http::request(larder.larder.address(), "GET", "/key", &[(header, value)], b"").status;
    assert_eq!(ask("If-None-Match", etag.as_str()), 304);
    assert_eq!(ask("If-Match", "\"another\""), 412);
    assert_eq!(ask("If-Match", etag.as_str()), 200);
}
