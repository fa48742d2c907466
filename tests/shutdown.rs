//! The end of a server: what is under way is finished, nothing new is taken on.

#[path = "support/running.rs"]
mod running;

use std::time::Duration;

use running::{Running, until};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_running_upload_finishes_and_new_connections_are_refused() {
    let mut server = Running::start(|_| ()).await;
    let mut idle = server.client().await;
    assert_eq!(idle.ask("GET", "/a/miss").await.status, 404);
    until("that is over", async || server.metrics.in_flight.get() == 0).await;
    let mut upload = server.client().await;
    upload.send("PUT /a/b HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nhalf").await;
    until("the upload is in flight", async || server.metrics.in_flight.get() == 1).await;

    server.tell_to_stop();
    until("nobody listens", async || TcpStream::connect(server.address).await.is_err()).await;
    idle.assert_closed().await;

    upload.send("full").await;
    let answer = upload.answer().await;
    assert_eq!(answer.status / 100, 2);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(server.has("a/b").await);
    server.ended().await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let mut server = Running::start(|config| config.drain_timeout = Duration::from_millis(200)).await;
    let mut upload = server.client().await;
    upload.send("PUT /a/b HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nhalf").await;
    until("the upload is in flight", async || server.metrics.in_flight.get() == 1).await;
    let (cache, metrics) = (server.cache.clone(), server.metrics.clone());
    server.tell_to_stop();
    server.ended().await;
    upload.assert_closed().await;
    assert_eq!(metrics.in_flight.get(), 0);
    assert_eq!(metrics.connections.get(), 0);
    drop(cache);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = Running::start(|_| ()).await;
    let error = larder::server::bind(server.address).expect_err("in use").to_string();
    assert!(error.contains(&server.address.to_string()) && error.contains("in use"), "{error}");
}
