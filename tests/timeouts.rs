//! A slow client loses its connection and what it held, and only a slow one.

#[path = "support/running.rs"]
mod running;

use std::time::Duration;

use larder::config::Config;
use running::{Client, Running, until};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);

/// Limits of which none is reached but those a test shortens.
fn patient(config: &mut Config) {
    (config.header_timeout, config.body_timeout, config.idle_timeout) = (LONG, LONG, LONG);
}

#[tokio::test]
async fn half_a_head_is_answered_with_408_and_closed() {
    let server = Running::start(|config| {
        patient(config);
        config.header_timeout = SHORT;
    })
    .await;
    let mut client = server.client().await;
    client.send("GET /a/b HTTP/1.1\r\nHost: te").await;
    assert_eq!(client.answer().await.status, 408);
    client.assert_closed().await;
    until("its place is free", async || server.metrics.connections.get() == 0).await;
}

#[tokio::test]
async fn a_head_that_trickles_has_no_more_time() {
    let server = Running::start(|config| {
        patient(config);
        config.header_timeout = SHORT;
    })
    .await;
    let mut client = server.client().await;
    client.send("GET /a/b HTTP/1.1\r\nX: ").await;
    until("the server closes", async || client.try_send(b"x").await.is_err()).await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_for_heads() {
    let server = Running::start(|config| {
        patient(config);
        config.header_timeout = SHORT;
    })
    .await;
    let mut idle = server.client().await;
    for _ in 0..3 {
        assert_eq!(idle.ask("GET", "/a/miss").await.status, 404);
        // Another client's half head is the clock: when that is closed, the time for heads has passed.
        let mut clock = server.client().await;
        clock.send("GET").await;
        assert_eq!(clock.answer().await.status, 408);
    }
    assert_eq!(idle.ask("GET", "/a/miss").await.status, 404);
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let server = Running::start(|config| {
        patient(config);
        config.idle_timeout = SHORT;
    })
    .await;
    let mut client = server.client().await;
    assert_eq!(client.ask("GET", "/a/miss").await.status, 404);
    client.assert_closed().await;
    let mut silent = server.client().await;
    silent.assert_closed().await;
}

#[tokio::test]
async fn a_stalled_upload_is_ended_and_leaves_no_object() {
    let server = Running::start(|config| {
        patient(config);
        config.body_timeout = SHORT;
    })
    .await;
    for length in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut client = server.client().await;
        client.send(&format!("PUT /a/b HTTP/1.1\r\nHost: test\r\n{length}\r\n\r\n4\r\nhalf\r\n")).await;
        assert_eq!(client.answer().await.status, 408, "{length}");
        client.assert_closed().await;
        until("it is no longer in flight", async || server.metrics.in_flight.get() == 0).await;
        assert!(!server.has("a/b").await, "{length}");
    }
}

#[tokio::test]
async fn a_slow_upload_that_makes_progress_is_stored() {
    let server = Running::start(|config| {
        patient(config);
        config.body_timeout = 4 * SHORT;
    })
    .await;
    let mut slow = server.client().await;
    slow.send("PUT /a/slow HTTP/1.1\r\nHost: test\r\nContent-Length: 32768\r\n\r\n").await;
    for _ in 0..8 {
        slow.send_bytes(&[7; 4096]).await;
        tokio::time::sleep(SHORT * 2 / 3).await;
    }
    assert_eq!(slow.answer().await.status / 100, 2);
    assert!(server.has("a/slow").await);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_closed() {
    let server = Running::start(|config| {
        patient(config);
        config.body_timeout = SHORT;
    })
    .await;
    let length = 32 << 20;
    assert_eq!(server.client().await.put("/a/big", &vec![7; length]).await.status / 100, 2);
    until("the upload is over", async || server.metrics.in_flight.get() == 0).await;
    let mut client = Client::connect_with_small_buffer(server.address).await;
    client.send("GET /a/big HTTP/1.1\r\nHost: test\r\n\r\n").await;
    until("it is in flight", async || server.metrics.in_flight.get() == 1).await;
    until("it is given up", async || server.metrics.in_flight.get() == 0).await;
    assert!(client.bytes_to_the_end().await < length, "the answer was cut off");
    until("its place is free", async || server.metrics.connections.get() == 0).await;
}
