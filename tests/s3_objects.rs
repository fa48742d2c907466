//! Objects through S3: conditions, ranges, checksums, copies, deletions in bulk, and the errors that clients act on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;

use larder::config::NamespaceConfig;
use larder::key::Namespace;
use running::{Answer, Client, Running};

/// Sends a request that is S3's by its first header, and nobody's by its signature.
async fn s3(client: &mut Client, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nx-amz-meta-s3: yes\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    client.send(&format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    client.answer().await
}

fn assert_code(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{} {}", answer.head, answer.body);
    assert!(answer.body.contains(&format!("<Code>{code}</Code>")), "{code}: {}", answer.body);
    let id = answer.header("x-amz-request-id").expect("a request id");
    assert!(answer.body.contains(&format!("<RequestId>{id}</RequestId>")), "{}", answer.body);
    assert!(answer.body.contains("<Message>"), "{}", answer.body);
}

#[tokio::test]
async fn what_one_protocol_stored_the_others_find() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    let stored = s3(&mut client, "PUT", "/default/a/b", &[], "by s3").await;
    assert_eq!(stored.status, 200);
    let plain = client.ask("GET", "/a/b").await;
    assert_eq!((&*plain.body, plain.header("etag")), ("by s3", stored.header("etag")));
    assert_eq!(client.put("/c", b"by http").await.status, 201);
    let found = s3(&mut client, "GET", "/default/c", &[("range", "bytes=3-")], "").await;
    assert_eq!((found.status, &*found.body), (206, "http"));
    let head = s3(&mut client, "GET", "/default/c", &[("range", "bytes=9-")], "").await;
    assert_code(&head, 416, "InvalidRange");
    assert_eq!(head.header("content-range"), Some("bytes */7"));
    assert_eq!(s3(&mut client, "DELETE", "/default/c", &[], "").await.status, 204);
    assert_eq!(
        s3(&mut client, "DELETE", "/default/c", &[], "").await.status,
        204,
        "S3 deletes nothing as well"
    );
    assert_eq!(client.ask("GET", "/c").await.status, 404);
}

#[tokio::test]
async fn conditions_hold_for_reads_writes_and_copies() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    let absent = [("if-none-match", "*")];
    let tag = s3(&mut client, "PUT", "/default/k", &absent, "one").await.header("etag").unwrap().to_owned();
    assert_code(&s3(&mut client, "PUT", "/default/k", &absent, "two").await, 412, "PreconditionFailed");
    assert_eq!(s3(&mut client, "GET", "/default/k", &[("if-none-match", &tag)], "").await.status, 304);
    assert_code(
        &s3(&mut client, "GET", "/default/k", &[("if-match", "\"x\"")], "").await,
        412,
        "PreconditionFailed",
    );
    let source = ("x-amz-copy-source", "/default/k");
    for (name, value, status) in [
        ("x-amz-copy-source-if-match", "\"x\"", 412),
        ("x-amz-copy-source-if-none-match", &tag, 412),
        ("x-amz-copy-source-if-match", &tag, 200),
        ("if-none-match", "*", 412),
    ] {
        let answer = s3(&mut client, "PUT", "/default/copy", &[source, (name, value)], "").await;
        assert_eq!(answer.status, status, "{name} {}", answer.body);
    }
    assert_eq!(client.ask("GET", "/copy").await.body, "one");
    let missing = [("x-amz-copy-source", "/default/none")];
    assert_code(&s3(&mut client, "PUT", "/default/copy", &missing, "").await, 404, "NoSuchKey");
    let elsewhere = [("x-amz-copy-source", "/nowhere/none")];
    assert_code(&s3(&mut client, "PUT", "/default/copy", &elsewhere, "").await, 404, "NoSuchBucket");
    assert_eq!(s3(&mut client, "DELETE", "/default/k", &[("if-match", "\"x\"")], "").await.status, 412);
}

#[tokio::test]
async fn a_body_without_its_checksum_is_not_stored() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    let chunked = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let length = ("x-amz-decoded-content-length", "9");
    let trailer = ("x-amz-trailer", "x-amz-checksum-crc32");
    let framed = |sum: &str| format!("9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n");
    for (headers, body, status, code) in [
        (&[("x-amz-checksum-crc32c", "4waSgw==")][..], "123456780".to_owned(), 400, "BadDigest"),
        (&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")], "123456780".to_owned(), 400, "BadDigest"),
        (&[("content-md5", "no md5")], "123456789".to_owned(), 400, "InvalidDigest"),
        (&[("x-amz-checksum-crc99", "AAAA")], "123456789".to_owned(), 501, "NotImplemented"),
        (&[chunked, length, trailer], framed("y/Q5JQ=="), 400, "BadDigest"),
        (&[chunked, length, trailer], "9\r\n123456789\r\n0\r\n\r\n".to_owned(), 400, "IncompleteBody"),
        (&[chunked, length], "8\r\n12345678\r\n0\r\n\r\n".to_owned(), 400, "IncompleteBody"),
        (&[chunked, length], "A\r\n1234567890\r\n0\r\n\r\n".to_owned(), 400, "IncompleteBody"),
        (&[chunked, length], "9\r\n123456789\r\n".to_owned(), 400, "IncompleteBody"),
        (&[chunked], framed("y/Q5Jg=="), 411, "MissingContentLength"),
        (&[chunked, length], framed("y/Q5Jg=="), 400, "InvalidArgument"),
    ] {
        assert_code(&s3(&mut client, "PUT", "/default/k", headers, &body).await, status, code);
        assert!(!server.has("k").await, "{headers:?}");
    }
    let good = s3(&mut client, "PUT", "/default/k", &[chunked, length, trailer], &framed("y/Q5Jg==")).await;
    assert_eq!((good.status, &*client.ask("GET", "/k").await.body), (200, "123456789"));
}

#[tokio::test]
async fn many_objects_are_deleted_in_one_go() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    for key in ["a", "b", "c"] {
        assert_eq!(client.put(&format!("/{key}"), b"x").await.status, 201);
    }
    let keys = |keys: &[&str]| {
        keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect::<String>()
    };
    let list = format!("<Delete>{}</Delete>", keys(&["a", "none", "../b"]));
    let answer = s3(&mut client, "POST", "/default?delete", &[], &list).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body.matches("<Deleted>").count(), 2, "{}", answer.body);
    assert!(answer.body.contains("<Error>") && answer.body.contains("../b"), "{}", answer.body);
    let quiet = format!("<Delete><Quiet>true</Quiet>{}</Delete>", keys(&["b"]));
    let answer = s3(&mut client, "POST", "/default?delete", &[], &quiet).await;
    assert!(!answer.body.contains("<Deleted>"), "{}", answer.body);
    assert!(!server.has("a").await && !server.has("b").await && server.has("c").await);
    assert_eq!(client.put("/ac", b"x").await.status, 201);
    let hidden = "<Delete><Object><Key>a<![CDATA[b]]>c</Key></Object></Delete>";
    assert_code(&s3(&mut client, "POST", "/default?delete", &[], hidden).await, 400, "MalformedXML");
    assert!(server.has("ac").await, "another key than the one that was written");
    for bad in [
        "<Delete></Delete>",
        "<Delete><Object>",
        "no xml",
        &format!("<Delete>{}</Delete>", keys(&["k"; 1001])),
    ] {
        assert_eq!(s3(&mut client, "POST", "/default?delete", &[], bad).await.status, 400, "{bad:.40}");
    }
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let server = Running::start(|config| {
        config.namespaces.insert(
            Namespace::new("small").unwrap(),
            NamespaceConfig { max_object_size: Some(4), ..NamespaceConfig::default() },
        );
    })
    .await;
    let mut client = server.client().await;
    for (method, path, status, code) in [
        ("GET", "/default/none", 404, "NoSuchKey"),
        ("GET", "/other/none", 404, "NoSuchBucket"),
        ("GET", "/default/dir/", 404, "NoSuchKey"),
        ("PUT", "/default/dir/", 400, "InvalidURI"),
        ("GET", "/default/a//b", 400, "InvalidURI"),
        ("GET", "/default/%ff", 400, "InvalidURI"),
        ("GET", "/default/a?x=%zz", 400, "InvalidURI"),
        ("PUT", "/small/k", 400, "EntityTooLarge"),
        ("GET", "/default?acl", 501, "NotImplemented"),
        ("PUT", "/default?policy", 501, "NotImplemented"),
        ("GET", "/default/k?tagging", 501, "NotImplemented"),
        ("PUT", "/default/k?acl", 501, "NotImplemented"),
        ("GET", "/default/k?versionId=1", 501, "NotImplemented"),
        ("POST", "/default", 501, "NotImplemented"),
        ("POST", "/default?delete", 400, "MissingRequestBodyError"),
        ("DELETE", "/default", 501, "NotImplemented"),
        ("PUT", "/other", 403, "AccessDenied"),
        ("PUT", "/default?abac", 501, "NotImplemented"),
        ("GET", "/default?metadataTable", 501, "NotImplemented"),
        ("GET", "/?max-buckets=1", 501, "NotImplemented"),
    ] {
        let body = if path == "/small/k" { "12345" } else { "" };
        let answer = s3(&mut client, method, path, &[], body).await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.body);
        assert_code(&answer, status, code);
    }
    assert_eq!(s3(&mut client, "PUT", "/small", &[], "").await.status, 200, "a namespace that is there");
    assert_eq!(s3(&mut client, "HEAD", "/small", &[], "").await.status, 200);
    assert!(!server.has("k").await);
}

#[tokio::test]
async fn what_larder_has_not_is_never_left_out() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    assert_eq!(client.put("/k", b"0123456789").await.status, 201);
    for header in [
        ("x-amz-write-offset-bytes", "10"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-acl", "public-read"),
        ("x-amz-if-match-size", "3"),
    ] {
        for (method, path) in
            [("PUT", "/default/k"), ("DELETE", "/default/k"), ("POST", "/default/k?uploads")]
        {
            assert_code(&s3(&mut client, method, path, &[header], "").await, 501, "NotImplemented");
        }
    }
    // The same asked for without any header of S3's.
    for (method, path) in [
        ("DELETE", "/default/k?tagging"),
        ("PUT", "/default/k?acl"),
        ("PUT", "/default/k?%61cl"),
        ("GET", "/default/k?versionId=17"),
        ("GET", "/default/k?torrent"),
    ] {
        assert_code(&client.ask(method, path).await, 501, "NotImplemented");
    }
    assert_eq!(
        s3(&mut client, "PUT", "/default/k?x-id=PutObject", &[("x-amz-acl", "private")], "new").await.status,
        200
    );
    assert_eq!(client.ask("GET", "/default/k?x-amz-checksum-mode=ENABLED&x-id=GetObject").await.body, "new");
}

#[tokio::test]
async fn a_page_of_another_site_deletes_nothing() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    assert_eq!(client.put("/k", b"x").await.status, 201);
    let list = "<Delete><Object><Key>k</Key></Object></Delete>";
    let evil = [("origin", "http://evil.example"), ("content-type", "text/plain")];
    assert_code(&s3(&mut client, "POST", "/default?delete", &evil, list).await, 403, "AccessDenied");
    assert!(server.has("k").await);
    assert_eq!(
        s3(&mut client, "POST", "/default?delete", &[("origin", "http://test")], list).await.status,
        200
    );
}

#[tokio::test]
async fn a_copy_can_come_from_a_namespace_of_any_name() {
    let server = Running::start(|config| {
        for name in ["ci", "A_b"] {
            config.namespaces.insert(Namespace::new(name).unwrap(), NamespaceConfig::default());
        }
    })
    .await;
    let mut client = server.client().await;
    assert_eq!(client.put("/ci/a", b"x").await.status, 201);
    for (source, to) in [("ci/a", "/A_b/b"), ("/A_b/b?versionId=null", "/ci/c")] {
        let answer = s3(&mut client, "PUT", to, &[("x-amz-copy-source", source)], "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(client.ask("GET", "/ci/c").await.body, "x");
    let version = [("x-amz-copy-source", "/ci/a?versionId=17")];
    assert_code(&s3(&mut client, "PUT", "/ci/d", &version, "").await, 501, "NotImplemented");
}

#[tokio::test]
async fn paths_of_a_buckets_own_host_are_keys() {
    let server = Running::start(|config| config.s3_domain = Some("s3.test".to_owned())).await;
    let mut client = server.client().await;
    for key in ["metrics", "-/healthy", "default/a"] {
        let put = format!("PUT /{key} HTTP/1.1\r\nhost: default.s3.test:1\r\ncontent-length: 1\r\n\r\nx");
        client.send(&put).await;
        assert_eq!(client.answer().await.status, 200, "{key}");
        assert!(server.has(key).await, "{key}");
    }
    assert!(
        client.ask("GET", "/metrics").await.body.contains("larder_"),
        "the server's own name has its pages"
    );
}

#[tokio::test]
async fn a_body_that_has_to_be_gathered_counts_as_memory() {
    let server = Running::start(|config| config.memory_budget = 16 << 20).await;
    let mut client = server.client().await;
    let big = "x".repeat(100_000);
    assert_code(&s3(&mut client, "GET", "/default?list-type=2", &[], &big).await, 400, "EntityTooLarge");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = server.client().await;
        let length = 8 << 20;
        let head = "POST /default?delete HTTP/1.1\r\nhost: test\r\nx-amz-meta-a: b\r\n";
        client.send(&format!("{head}content-length: {length}\r\n\r\n<Delete>")).await;
        held.push(client);
    }
    running::until("two of them hold all of the budget", async || {
        let list = "<Delete><Object><Key>k</Key></Object></Delete>";
        s3(&mut client, "POST", "/default?delete", &[], list).await.status == 503
    })
    .await;
}
