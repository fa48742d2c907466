//! Slow and surplus clients over TLS: what holds over plain TCP holds here, and the handshake is under the same watch.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;
#[path = "support/tls.rs"]
mod tls;

use std::time::Duration;

use larder::config::Config;
use running::{Client, Running, until};
use tls::Files;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);
const HTTP1: &[&[u8]] = &[b"http/1.1"];

/// Limits of which none is reached but those a test shortens.
fn patient(config: &mut Config) {
    (config.header_timeout, config.body_timeout, config.idle_timeout) = (LONG, LONG, LONG);
}

async fn client(files: &Files, server: &Running) -> Client {
    Client::over(files.connect(server, HTTP1).await)
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_cut_off_and_counts_as_a_connection() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.header_timeout = SHORT;
        })
        .await;
    // Nothing at all, the start of a record, and a record that is never finished.
    let beginnings: [&[u8]; 3] = [b"", &[22], &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]];
    let mut stalled = Vec::new();
    for beginning in beginnings {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        stalled.push(stream);
    }
    until("all count", async || server.metrics.connections.get() == 3).await;
    for mut stream in stalled {
        let _ = tokio::time::timeout(running::PATIENCE, stream.read_to_end(&mut Vec::new())).await.unwrap();
    }
    until("their places are free", async || server.metrics.connections.get() == 0).await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_for_heads() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.header_timeout = SHORT;
        })
        .await;
    let mut fresh = client(&files, &server).await;
    let mut used = client(&files, &server).await;
    assert_eq!(used.ask("GET", "/a/miss").await.status, 404);
    for _ in 0..2 {
        // Another client's half head is the clock: when that is closed, the time for heads has passed.
        let mut clock = client(&files, &server).await;
        clock.send("GET").await;
        assert_eq!(clock.answer().await.status, 408);
        clock.assert_closed().await;
    }
    assert_eq!(fresh.ask("GET", "/a/miss").await.status, 404);
    assert_eq!(used.ask("GET", "/a/miss").await.status, 404);
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end_and_says_goodbye() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.idle_timeout = SHORT;
        })
        .await;
    let mut stream = files.connect(&server, HTTP1).await;
    // Without close_notify rustls calls the end unexpected.
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stalled_upload_is_ended_and_leaves_no_object() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.body_timeout = SHORT;
        })
        .await;
    let mut client = client(&files, &server).await;
    client.send("PUT /a/b HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nhalf").await;
    assert_eq!(client.answer().await.status, 408);
    client.assert_closed().await;
    until("it is no longer in flight", async || server.metrics.in_flight.get() == 0).await;
    assert!(!server.has("a/b").await);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_closed() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            patient(config);
            config.body_timeout = SHORT;
        })
        .await;
    let length = 32 << 20;
    assert_eq!(client(&files, &server).await.put("/a/big", &vec![7; length]).await.status / 100, 2);
    until("the upload is over", async || server.metrics.connections.get() == 0).await;
    let mut client = client(&files, &server).await;
    client.send("GET /a/big HTTP/1.1\r\nHost: test\r\n\r\n").await;
    until("it is in flight", async || server.metrics.in_flight.get() == 1).await;
    until("it is given up", async || server.metrics.in_flight.get() == 0).await;
    assert!(client.bytes_to_the_end().await < length, "the answer was cut off");
    until("its place is free", async || server.metrics.connections.get() == 0).await;
}

#[tokio::test]
async fn one_connection_too_many_is_refused_in_due_form() {
    let files = Files::new();
    let server = files.serve(|config| config.max_connections = 1).await;
    let mut first = client(&files, &server).await;
    assert_eq!(first.ask("GET", "/a/miss").await.status, 404);
    let mut late = client(&files, &server).await;
    let answer = late.ask("GET", "/a/miss").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    late.assert_closed().await;
    assert_eq!(client(&files, &server).await.ask("GET", "/a/.sccache_check").await.status, 404);
    assert_eq!(first.ask("GET", "/a/miss").await.status, 404);
}

#[tokio::test]
async fn an_upload_under_way_finishes_at_shutdown_and_a_handshake_does_not_hold_it_up() {
    let files = Files::new();
    let mut server = files.serve(|config| config.header_timeout = SHORT).await;
    let mut idle = client(&files, &server).await;
    assert_eq!(idle.ask("GET", "/a/miss").await.status, 404);
    let stalled = TcpStream::connect(server.address).await.unwrap();
    let mut upload = client(&files, &server).await;
    upload.send("PUT /a/b HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nhalf").await;
    until("the upload is in flight", async || server.metrics.in_flight.get() == 1).await;
    server.tell_to_stop();
    idle.assert_closed().await;
    upload.send("full").await;
    let answer = upload.answer().await;
    assert_eq!((answer.status / 100, answer.header("connection")), (2, Some("close")));
    server.ended().await;
    drop(stalled);
}

#[tokio::test]
async fn beyond_the_surplus_a_connection_is_closed_without_a_handshake() {
    let files = Files::new();
    let server = files.serve(|config| config.max_connections = 1).await;
    let mut silent = Vec::new();
    for _ in 0..65 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    until("all are accepted", async || server.metrics.connections.get() == 65).await;
    let mut late = Client::connect(server.address).await;
    late.assert_closed().await;
    assert_eq!(server.metrics.refused.with_label_values(&["connections"]).get(), 1);
}

#[tokio::test]
async fn whoever_ends_a_handshake_after_the_server_began_to_stop_is_sent_away() {
    let files = Files::new();
    let mut server = files
        .serve(|config| {
            patient(config);
            config.drain_timeout = LONG;
        })
        .await;
    let early = TcpStream::connect(server.address).await.unwrap();
    until("it is accepted", async || server.metrics.connections.get() == 1).await;
    server.tell_to_stop();
    until("nobody listens", async || TcpStream::connect(server.address).await.is_err()).await;
    let mut early = Client::over(files.greet(early, HTTP1, None).await.unwrap());
    early.assert_closed().await;
    server.ended().await;
}
