//! Above the connection limit the server says so at once, and what must work still works.

#[path = "support/running.rs"]
mod running;

use running::{Client, Running, until};

/// Surplus connections that are still read; above them the refusal is written unasked.
const SURPLUS: usize = 64;

/// A server at its limit, and the clients that hold it there.
async fn full(limit: usize) -> (Running, Vec<Client>) {
    let server = Running::start(|config| config.max_connections = limit).await;
    let mut clients = Vec::new();
    for _ in 0..limit {
        let mut client = server.client().await;
        assert_eq!(client.ask("GET", "/a/miss").await.status, 404);
        clients.push(client);
    }
    (server, clients)
}

#[tokio::test]
async fn one_connection_too_many_is_refused_in_due_form() {
    let (server, _clients) = full(2).await;
    let mut late = server.client().await;
    let answer = late.ask("GET", "/a/miss").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(answer.body.contains("max_connections"), "{}", answer.body);
    late.assert_closed().await;
    assert_eq!(server.metrics.refused.with_label_values(&["connections"]).get(), 1);
}

#[tokio::test]
async fn those_who_were_there_first_go_on() {
    let (server, mut clients) = full(2).await;
    assert_eq!(server.ask("GET", "/a/miss").await.status, 503);
    for client in &mut clients {
        assert_eq!(client.put("/a/hit", b"body").await.status / 100, 2);
        assert_eq!(client.ask("GET", "/a/hit").await.body, "body");
    }
}

#[tokio::test]
async fn the_probe_and_the_servers_own_pages_still_work() {
    let (server, _clients) = full(1).await;
    assert_eq!(server.ask("GET", "/a/.sccache_check").await.status, 404);
    assert_eq!(server.client().await.put("/a/.sccache_check", b"Hello, World!").await.status / 100, 2);
    assert_eq!(server.ask("GET", "/a/.sccache_check").await.status, 200);
    for page in ["/-/healthy", "/-/ready", "/metrics"] {
        let answer = server.ask("GET", page).await;
        assert_eq!(answer.status, 200, "{page}");
        assert_eq!(answer.header("connection"), Some("close"), "{page}");
    }
}

#[tokio::test]
async fn a_refused_upload_is_told_although_it_was_still_sending() {
    let (server, _clients) = full(1).await;
    let answer = server.client().await.put("/a/big", &vec![7; 4 << 20]).await;
    assert_eq!(answer.status, 503);
    assert!(!server.has("a/big").await);
}

#[tokio::test]
async fn beyond_the_surplus_the_refusal_comes_unasked() {
    let (server, _clients) = full(1).await;
    let mut silent = Vec::new();
    for _ in 0..SURPLUS {
        silent.push(server.client().await);
    }
    let all = i64::try_from(1 + SURPLUS).expect("small");
    until("all are accepted", async || server.metrics.connections.get() == all).await;
    let mut late = server.client().await;
    let answer = late.answer().await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    late.assert_closed().await;
    assert_eq!(server.metrics.connections.get(), all);
}

#[tokio::test]
async fn a_freed_place_is_given_to_the_next() {
    let (server, mut clients) = full(2).await;
    assert_eq!(server.ask("GET", "/a/miss").await.status, 503);
    clients.pop();
    until("the place is free", async || server.metrics.connections.get() == 1).await;
    assert_eq!(server.ask("GET", "/a/miss").await.status, 404);
}
