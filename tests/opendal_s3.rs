//! OpenDAL's S3 service, which is what sccache speaks S3 with, against a running larder.
//!
//! Knows larder from outside only.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure in a test's helper fails the test")]

mod common;
mod opendal_support;

use std::time::Duration;

use common::s3::{DOMAIN, Key, READER, S3Server, WRITER};
use opendal::{Buffer, EntryMode, ErrorKind, Operator, services};
use opendal_support::Sent;

fn builder(server: &S3Server, bucket: &str, root: &str, key: Key) -> services::S3 {
    services::S3::default()
        .endpoint(&server.larder.url(""))
        .bucket(bucket)
        .region("auto")
        .root(root)
        .access_key_id(key.id)
        .secret_access_key(key.secret)
        .disable_config_load()
        .disable_ec2_metadata()
}

fn operator(server: &S3Server, bucket: &str, root: &str) -> Operator {
    observed(builder(server, bucket, root, WRITER), Sent::default())
}

fn observed(builder: services::S3, sent: Sent) -> Operator {
    larder::tls::use_ring();
    let context = opendal_support::context(reqwest::Client::new(), sent);
    Operator::new(builder).unwrap().with_context(context)
}

/// Every way of naming a place that people configure.
const PLACES: [(&str, &str); 3] = [("default", "/"), ("team", "/key/prefix/"), ("default", "/x y&+/ü/")];

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_written_read_and_deleted() {
    let server = S3Server::start();
    for (bucket, root) in PLACES {
        let operator = operator(&server, bucket, root);
        operator.check().await.unwrap();
        let body: Vec<u8> = (0..=255).cycle().take(700_000).collect();
        let path = "5/1/d/51db a&b+c";
        assert_eq!(operator.read(path).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!operator.exists(path).await.unwrap());
        let written = operator.write(path, body.clone()).await.unwrap();
        assert!(operator.read(path).await.unwrap().to_vec() == body);
        assert_eq!(operator.read_with(path).range(3..10).await.unwrap().to_vec(), body[3..10]);
        assert_eq!(operator.read_with(path).range(699_990..).await.unwrap().to_vec(), body[699_990..]);
        let stat = operator.stat(path).await.unwrap();
        assert_eq!((stat.content_length(), stat.mode()), (700_000, EntryMode::FILE));
        assert_eq!(stat.etag(), written.etag());
        assert!(stat.etag().unwrap().starts_with("\"xxh3-"), "{stat:?}");
        assert!(stat.last_modified().is_some());
        operator.write(path, "replaced").await.unwrap();
        assert_eq!(operator.read(path).await.unwrap().to_vec(), b"replaced");
        operator.write("empty", "").await.unwrap();
        assert_eq!(operator.stat("empty").await.unwrap().content_length(), 0);
        operator.delete(path).await.unwrap();
        operator.delete(path).await.unwrap();
        assert!(!operator.exists(path).await.unwrap());
        operator.delete_iter(["empty", "none"]).await.unwrap();
        assert!(!operator.exists("empty").await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold() {
    let server = S3Server::start();
    let operator = operator(&server, "team", "/");
    operator.write("a", "body").await.unwrap();
    let stat = operator.stat("a").await.unwrap();
    let (etag, date) = (stat.etag().unwrap().to_owned(), stat.last_modified().unwrap());
    let failed = |result: opendal::Result<Buffer>| result.unwrap_err().kind();
    operator.read_with("a").if_match(&etag).await.unwrap();
    operator.read_with("a").if_none_match("\"other\"").await.unwrap();
    operator.read_with("a").if_unmodified_since(date).await.unwrap();
    assert_eq!(failed(operator.read_with("a").if_match("\"other\"").await), ErrorKind::ConditionNotMatch);
    assert_eq!(failed(operator.read_with("a").if_none_match(&etag).await), ErrorKind::ConditionNotMatch);
    assert_eq!(failed(operator.read_with("a").if_modified_since(date).await), ErrorKind::ConditionNotMatch);

    let refused = operator.write_with("a", "other").if_not_exists(true).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConditionNotMatch);
    let refused = operator.write_with("a", "other").if_match("\"other\"").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConditionNotMatch);
    assert_eq!(operator.read("a").await.unwrap().to_vec(), b"body");
    operator.write_with("a", "other").if_match(&etag).await.unwrap();
    operator.write_with("b", "new").if_not_exists(true).await.unwrap();
    assert_eq!(operator.read("a").await.unwrap().to_vec(), b"other");
    assert_eq!(operator.read("b").await.unwrap().to_vec(), b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_listed_and_removed() {
    let server = S3Server::start();
    for (bucket, root) in PLACES {
        let operator = operator(&server, bucket, root);
        for path in ["dir/a", "dir/b c&d", "dir/sub/x", "dir/sub/y/z", "dir0"] {
            operator.write(path, "x").await.unwrap();
        }
        let paths = |entries: Vec<opendal::Entry>| {
            let mut paths: Vec<_> = entries.iter().map(|entry| entry.path().to_owned()).collect();
            paths.sort();
            paths
        };
        assert_eq!(paths(operator.list("dir/").await.unwrap()), ["dir/a", "dir/b c&d", "dir/sub/"]);
        let tree = ["dir/a", "dir/b c&d", "dir/sub/x", "dir/sub/y/z"];
        assert_eq!(paths(operator.list_with("dir/").recursive(true).await.unwrap()), tree);
        // Page by page.
        assert_eq!(paths(operator.list_with("dir/").recursive(true).limit(1).await.unwrap()), tree);
        let after = operator.list_with("dir/").recursive(true).start_after("dir/b c&d").await.unwrap();
        assert_eq!(paths(after), tree[2..]);
        assert!(operator.stat("dir/").await.unwrap().is_dir());
        operator.delete_with("dir/").recursive(true).await.unwrap();
        assert!(!operator.exists("dir/sub/y/z").await.unwrap());
        assert!(operator.exists("dir0").await.unwrap());
    }
    let older = observed(builder(&server, "team", "/", WRITER).disable_list_objects_v2(), Sent::default());
    for path in ["v1/a", "v1/b/c", "v1/d"] {
        older.write(path, "x").await.unwrap();
    }
    assert_eq!(older.list_with("v1/").recursive(true).limit(1).await.unwrap().len(), 3);
    assert_eq!(older.list_with("v1/").limit(1).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_copied() {
    let server = S3Server::start();
    for (bucket, root) in PLACES {
        let operator = operator(&server, bucket, root);
        operator.write("from/a ü+", "body").await.unwrap();
        operator.copy("from/a ü+", "to/deep/b c").await.unwrap();
        assert_eq!(operator.read("to/deep/b c").await.unwrap().to_vec(), b"body");
        let refused = operator.copy_with("from/a ü+", "to/deep/b c").if_not_exists(true).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConditionNotMatch);
        assert_eq!(operator.copy("from/none", "x").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_sends_parts() {
    let server = S3Server::start();
    let sent = Sent::default();
    let operator = observed(builder(&server, "team", "/", WRITER), sent.clone());
    let body: Vec<u8> = (0..12_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    let mut writer = operator.writer_with("parts").chunk(5 << 20).await.unwrap();
    for piece in body.chunks(1_000_003) {
        writer.write(piece.to_vec()).await.unwrap();
    }
    writer.close().await.unwrap();
    assert!(operator.read("parts").await.unwrap().to_vec() == body);
    let methods = sent.lock().unwrap().clone();
    assert_eq!(methods.iter().filter(|method| *method == "PUT").count(), 3, "{methods:?}");

    let mut writer = operator.writer_with("given up").chunk(5 << 20).await.unwrap();
    writer.write(body[..6 << 20].to_vec()).await.unwrap();
    writer.abort().await.unwrap();
    assert!(!operator.exists("given up").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_one_request_and_a_miss_too() {
    let server = S3Server::start();
    let sent = Sent::default();
    let operator = observed(builder(&server, "team", "/new/prefix/", WRITER), sent.clone());
    operator.write("5/1/d/51db", "x").await.unwrap();
    operator.read("5/1/d/none").await.unwrap_err();
    assert_eq!(*sent.lock().unwrap(), ["PUT", "GET"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_may_be_a_host_name() {
    let server = S3Server::start();
    let address = server.larder.address();
    larder::tls::use_ring();
    let client = reqwest::Client::builder().resolve(&format!("team.{DOMAIN}"), address).build().unwrap();
    let endpoint = format!("http://{DOMAIN}:{}", address.port());
    let by_host = builder(&server, "team", "/", WRITER).endpoint(&endpoint).enable_virtual_host_style();
    let context = opendal_support::context(client, Sent::default());
    let by_host = Operator::new(by_host).unwrap().with_context(context);
    by_host.write("default/a b", "body").await.unwrap();
    let by_path = operator(&server, "team", "/");
    assert_eq!(by_path.read("default/a b").await.unwrap().to_vec(), b"body");
    by_path.write("c", "other").await.unwrap();
    assert_eq!(by_host.read("c").await.unwrap().to_vec(), b"other");
    assert_eq!(by_host.list_with("/").recursive(true).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn presigned_requests_need_no_key() {
    let server = S3Server::start();
    let operator = operator(&server, "team", "/x y/");
    larder::tls::use_ring();
    let client = reqwest::Client::new();
    let minute = Duration::from_secs(60);
    let send = async |request: opendal::raw::PresignedRequest, body: &'static str| {
        let (method, uri) = (request.method().clone(), request.uri().to_string());
        let answer = client.request(method, uri).headers(request.header().clone()).body(body).send().await;
        answer.unwrap().error_for_status().unwrap().text().await.unwrap()
    };
    send(operator.presign_write("a+b", minute).await.unwrap(), "body").await;
    assert_eq!(send(operator.presign_read("a+b", minute).await.unwrap(), "").await, "body");
    send(operator.presign_stat("a+b", minute).await.unwrap(), "").await;
    send(operator.presign_delete("a+b", minute).await.unwrap(), "").await;
    assert!(!operator.exists("a+b").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_apart() {
    let server = S3Server::start();
    operator(&server, "team", "/").write("a", "body").await.unwrap();
    let reader = observed(builder(&server, "team", "/", READER), Sent::default());
    assert_eq!(reader.read("a").await.unwrap().to_vec(), b"body");
    assert_eq!(reader.write("a", "x").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let wrong = Key { secret: "not-the-secret-of-this-key", ..WRITER };
    let wrong = observed(builder(&server, "team", "/", wrong), Sent::default());
    let error = wrong.read("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    let nowhere = operator(&server, "no-such-bucket", "/");
    let error = nowhere.read("a").await.unwrap_err();
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    let unsigned = services::S3::default().endpoint(&server.larder.url("")).bucket("team").region("auto");
    let unsigned = observed(unsigned.skip_signature().disable_config_load(), Sent::default());
    let error = unsigned.read("a").await.unwrap_err();
    assert!(error.to_string().contains("asks for a token"), "{error}");
}
