//! Uploads over real sockets: all or nothing, refused early, and refused so that the client reads why.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure in a test's helper fails the test")]

mod protocol_support;

use std::process::Command;

use protocol_support::{SMALL, Server, receive, send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn chunked_uploads_are_stored_whole() {
    let server = Server::start().await;
    let chunks = b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let answer = server.raw("PUT /a HTTP/1.1\nTransfer-Encoding: chunked", chunks).await;
    assert_eq!(answer.status, 201);
    assert_eq!(server.bare("GET", "/a").await.body, "abcdefg");
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let server = Server::start().await;
    for (head, part) in [
        ("PUT /a HTTP/1.1\nContent-Length: 10", &b"12345"[..]),
        ("PUT /a HTTP/1.1\nTransfer-Encoding: chunked", b"5\r\n12345\r\n"),
        ("PUT /a HTTP/1.1\nTransfer-Encoding: chunked", b"5\r\n12345\r\nnonsense\r\n"),
    ] {
        let mut stream = server.connect().await;
        send(&mut stream, head, part).await;
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // Reading to the end waits until the server is done with the connection.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 2"), "{head}");
        assert_eq!(server.bare("GET", "/a").await.status, 404, "{head}");
    }
}

#[tokio::test]
async fn a_refusal_comes_before_100_continue() {
    let server = Server::start().await;
    server.put("/there", "x").await;
    let large = SMALL + 1;
    for (head, status) in [
        (format!("PUT /small/a HTTP/1.1\nContent-Length: {large}"), 413),
        ("PUT /there HTTP/1.1\nContent-Length: 5\nIf-None-Match: *".to_owned(), 412),
        ("PUT /a/ HTTP/1.1\nContent-Length: 5".to_owned(), 405),
        ("PUT /a/../b HTTP/1.1\nContent-Length: 5".to_owned(), 400),
    ] {
        let mut stream = server.connect().await;
        send(&mut stream, &format!("{head}\nExpect: 100-continue"), b"").await;
        let answer = receive(&mut stream).await;
        assert_eq!(answer.status, status, "{head}");
        assert_eq!(answer.header("connection"), Some("close"), "{head}");
    }
    let mut stream = server.connect().await;
    send(&mut stream, "PUT /a HTTP/1.1\nContent-Length: 2\nExpect: 100-continue", b"").await;
    assert_eq!(receive(&mut stream).await.status, 100);
    stream.write_all(b"ok").await.unwrap();
    assert_eq!(receive(&mut stream).await.status, 201);
}

#[tokio::test]
async fn the_limit_of_a_namespace_holds_for_both_kinds_of_length() {
    let server = Server::start().await;
    let body = vec![b'x'; usize::try_from(SMALL).unwrap() + 1];
    let head = format!("PUT /small/a HTTP/1.1\nContent-Length: {}", body.len());
    let declared = server.raw(&head, &body).await;
    assert_eq!(declared.status, 413);
    assert!(declared.body.contains("max_object_size"), "{}", declared.body);
    let mut chunked = format!("{:x}\r\n", body.len()).into_bytes();
    chunked.extend_from_slice(&body);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    assert_eq!(server.raw("PUT /small/a HTTP/1.1\nTransfer-Encoding: chunked", &chunked).await.status, 413);
    assert_eq!(server.bare("GET", "/small/a").await.status, 404);
    let exact = format!("PUT /small/a HTTP/1.1\nContent-Length: {SMALL}");
    assert_eq!(server.raw(&exact, &body[1..]).await.status, 201);
    let other = format!("PUT /team/a HTTP/1.1\nContent-Length: {}", body.len());
    assert_eq!(server.raw(&other, &body).await.status, 201, "the limit is the namespace's own");
}

#[tokio::test]
async fn the_connection_goes_on_after_a_refused_body() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let body = vec![b'x'; 4 << 20];
    send(&mut stream, &format!("PUT /small/a HTTP/1.1\nContent-Length: {}", body.len()), &body).await;
    assert_eq!(receive(&mut stream).await.status, 413);
    send(&mut stream, "GET /none HTTP/1.1", b"").await;
    assert_eq!(receive(&mut stream).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_the_refusal_of_a_body_twenty_times_too_large() {
    let server = Server::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(20 << 20).unwrap();
    for expect in ["Expect:", "Expect: 100-continue"] {
        for length in ["X-None: 1", "Transfer-Encoding: chunked"] {
            let output = Command::new("curl")
                .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", expect, "-H", length, "-T"])
                .arg(file.path())
                .arg(server.url("/small/big"))
                .output()
                .expect("curl is installed");
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(text, "413", "{expect} {length}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let read = server.metrics.received_bytes.get();
    assert!(read > SMALL, "the chunked uploads were read up to the limit, {read} bytes");
}

#[tokio::test]
async fn a_large_body_comes_back_byte_for_byte() {
    let server = Server::start().await;
    let body: Vec<u8> = (0..3_000_001_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    larder::tls::use_ring();
    let client = reqwest::Client::new();
    let put = client.put(server.url("/team/large")).body(body.clone()).send().await.unwrap();
    assert_eq!(put.status(), 201);
    let read = client.get(server.url("/team/large")).send().await.unwrap();
    assert_eq!(read.content_length(), Some(3_000_001));
    assert!(read.bytes().await.unwrap() == body);
    let part = client.get(server.url("/team/large")).header("range", "bytes=262143-1500000").send().await;
    assert!(part.unwrap().bytes().await.unwrap() == body[262_143..=1_500_000]);
}
