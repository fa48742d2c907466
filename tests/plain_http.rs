//! Plain HTTP over real sockets: what sccache, ccache, Bazel and Gradle send, and what hostile clients send.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure in a test's helper fails the test")]

mod protocol_support;

use protocol_support::{Server, receive};
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn an_object_is_stored_read_replaced_and_deleted() {
    let server = Server::start().await;
    assert_eq!(server.bare("GET", "/team/a/b").await.status, 404);
    let created = server.put("/team/a/b", "one").await;
    assert_eq!(created.status, 201);
    let read = server.bare("GET", "/team/a/b").await;
    assert_eq!((read.status, read.body.as_str()), (200, "one"));
    assert_eq!(read.header("content-length"), Some("3"));
    assert_eq!(read.header("content-type"), Some("application/octet-stream"));
    assert_eq!(read.header("accept-ranges"), Some("bytes"));
    assert_eq!(read.header("etag"), created.header("etag"));
    assert!(httpdate::parse_http_date(read.header("last-modified").unwrap()).is_ok());

    assert_eq!(server.put("/team/a/b", "three").await.status, 204);
    assert_eq!(server.bare("GET", "/team/a/b").await.body, "three");
    assert_eq!(server.bare("GET", "/a/b").await.status, 404, "another namespace");

    assert_eq!(server.bare("DELETE", "/team/a/b").await.status, 204);
    assert_eq!(server.bare("DELETE", "/team/a/b").await.status, 404);
    assert_eq!(server.bare("GET", "/team/a/b").await.status, 404);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::start().await;
    server.put("/a", "body").await;
    larder::tls::use_ring();
    let client = reqwest::Client::new();
    let get = client.get(server.url("/a")).send().await.unwrap();
    let head = client.head(server.url("/a")).send().await.unwrap();
    let strip = |response: &reqwest::Response| {
        let mut headers = response.headers().clone();
        headers.remove("date");
        (response.status(), headers)
    };
    assert_eq!(strip(&get), strip(&head));
    assert_eq!(head.text().await.unwrap(), "");
    assert_eq!(client.head(server.url("/none")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let server = Server::start().await;
    assert_eq!(server.put("/empty", "").await.status, 201);
    let read = server.bare("GET", "/empty").await;
    assert_eq!((read.status, read.header("content-length")), (200, Some("0")));
    let range = server.raw("GET /empty HTTP/1.1\nRange: bytes=0-", b"").await;
    assert_eq!((range.status, range.header("content-range")), (416, Some("bytes */0")));
}

#[tokio::test]
async fn ranges_are_served_refused_or_ignored() {
    let server = Server::start().await;
    let etag = server.put("/a", "0123456789").await.header("etag").unwrap().to_owned();
    for (headers, status, body, content_range) in [
        ("Range: bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("Range: bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("Range: bytes=-2", 206, "89", Some("bytes 8-9/10")),
        ("Range: bytes=0-99", 206, "0123456789", Some("bytes 0-9/10")),
        ("Range: bytes=0-0,2-3", 200, "0123456789", None),
        ("Range: bytes=4-2", 200, "0123456789", None),
        ("Range: lines=1-2", 200, "0123456789", None),
        (&format!("Range: bytes=2-4\nIf-Range: {etag}"), 206, "234", Some("bytes 2-4/10")),
        ("Range: bytes=2-4\nIf-Range: \"other\"", 200, "0123456789", None),
    ] {
        let answer = server.raw(&format!("GET /a HTTP/1.1\n{headers}"), b"").await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{headers}");
        assert_eq!(answer.header("content-range"), content_range, "{headers}");
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()), "{headers}");
    }
    let behind = server.raw("GET /a HTTP/1.1\nRange: bytes=10-", b"").await;
    assert_eq!((behind.status, behind.header("content-range")), (416, Some("bytes */10")));
    let head = server.raw("HEAD /a HTTP/1.1\nRange: bytes=2-4\nConnection: close", b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
}

#[tokio::test]
async fn conditions_on_reads() {
    let server = Server::start().await;
    let etag = server.put("/a", "x").await.header("etag").unwrap().to_owned();
    let known = server.raw(&format!("GET /a HTTP/1.1\nIf-None-Match: {etag}"), b"").await;
    assert_eq!((known.status, known.header("etag")), (304, Some(etag.as_str())));
    assert_eq!(server.raw("GET /a HTTP/1.1\nIf-None-Match: \"x\"", b"").await.status, 200);
    assert_eq!(server.raw("GET /a HTTP/1.1\nIf-Match: \"x\"", b"").await.status, 412);
    let since = httpdate::fmt_http_date(std::time::SystemTime::now());
    assert_eq!(server.raw(&format!("GET /a HTTP/1.1\nIf-Modified-Since: {since}"), b"").await.status, 304);
}

#[tokio::test]
async fn conditions_on_writes() {
    let server = Server::start().await;
    let put = |path: &'static str, condition: String| {
        let head = format!("PUT {path} HTTP/1.1\nContent-Length: 1\n{condition}");
        let server = &server;
        async move { server.raw(&head, b"x").await.status }
    };
    assert_eq!(put("/a", "If-Match: *".to_owned()).await, 412);
    assert_eq!(put("/a", "If-None-Match: *".to_owned()).await, 201);
    assert_eq!(put("/a", "If-None-Match: *".to_owned()).await, 412);
    assert_eq!(put("/a", "If-Match: \"other\"".to_owned()).await, 412);
    let etag = server.bare("GET", "/a").await.header("etag").unwrap().to_owned();
    assert_eq!(put("/a", format!("If-Match: {etag}")).await, 204);
    assert_eq!(put("/a", "If-Match: *".to_owned()).await, 204);
    assert_eq!(server.raw("DELETE /a HTTP/1.1\nIf-Match: \"other\"", b"").await.status, 412);
    assert_eq!(server.raw(&format!("DELETE /a HTTP/1.1\nIf-Match: {etag}"), b"").await.status, 204);
}

#[tokio::test]
async fn hostile_paths_get_a_400_that_says_why() {
    let server = Server::start().await;
    let long = format!("/{}", "k".repeat(4096));
    for (path, reason) in [
        ("/a/../b", "'..'"),
        ("/a/%2e%2e/b", "'..'"),
        ("/a%00b", "control character"),
        ("/a%2fb", "encoded slash"),
        ("/a%ffb", "UTF-8"),
        ("/a%4", "hex digits"),
        ("/a//b", "empty segment"),
        (&long, "limit is 1024"),
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "PROPFIND", "MKCOL", "COPY"] {
            let head = format!("{method} {path} HTTP/1.1\nConnection: close\nContent-Length: 1");
            let answer = server.raw(&head, b"x").await;
            assert_eq!(answer.status, 400, "{method} {path}");
            if method != "HEAD" {
                assert!(answer.body.starts_with("error: bad_path: "), "{}", answer.body);
                assert!(answer.body.contains(reason), "{method} {path}: {}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn bytes_that_no_request_line_may_have_are_refused_before_the_path_is_read() {
    let server = Server::start().await;
    for path in [&b"/a\0b"[..], b"/a\xffb", b"/a\x7fb", b"/a b", b"a"] {
        let mut stream = server.connect().await;
        stream.write_all(&[b"GET ", path, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat()).await.unwrap();
        let answer = receive(&mut stream).await;
        assert_eq!(answer.status, 400, "{path:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_says_what_can() {
    let server = Server::start().await;
    for (method, path) in [
        ("POST", "/a"),
        ("PATCH", "/a/"),
        ("LOCK", "/a"),
        ("PROPPATCH", "/a"),
        ("PUT", "/team"),
        ("PUT", "/team/"),
        ("PUT", "/"),
    ] {
        let answer = server.bare(method, path).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("allow").unwrap().contains("PROPFIND"), "{method} {path}");
        assert!(answer.body.starts_with("error: method_not_allowed: "), "{}", answer.body);
    }
    for path in ["/", "/team", "/team/a/"] {
        assert_eq!(server.bare("GET", path).await.status, 404, "{path}");
    }
    let part = server.raw("PUT /a HTTP/1.1\nContent-Length: 1\nContent-Range: bytes 0-0/2", b"x").await;
    assert_eq!(part.status, 400);
    assert!(part.body.contains("Content-Range"));
    assert_eq!(server.bare("GET", "/a").await.status, 404);
}

#[tokio::test]
async fn hits_misses_and_bytes_are_counted_but_not_the_probe() {
    let server = Server::start().await;
    let metrics = &server.metrics;
    server.put("/team/x/.sccache_check", "Hello, World!").await;
    server.bare("GET", "/team/x/.sccache_check").await;
    server.bare("GET", "/team/none/.sccache_check").await;
    assert_eq!((metrics.hits.get(), metrics.misses.get()), (0, 0));
    server.put("/team/a", "12345").await;
    let sent = metrics.sent_bytes.get();
    server.bare("GET", "/team/a").await;
    server.raw("GET /team/a HTTP/1.1\nRange: bytes=0-1", b"").await;
    server.bare("GET", "/team/b").await;
    server.bare("GET", "/team/").await;
    assert_eq!((metrics.hits.get(), metrics.misses.get()), (2, 1));
    assert_eq!(metrics.sent_bytes.get() - sent, 7);
    assert_eq!(metrics.received_bytes.get(), 13 + 5);
}
