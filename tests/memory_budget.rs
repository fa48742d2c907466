//! Memory for bodies in flight is bounded: above the budget the answer is 503 at once, the probe still works, and
//! whoever lets go of a body, or stalls, gives the memory back.

#[path = "support/running.rs"]
mod running;

use std::time::Duration;

use running::{Answer, Client, Running, until};

const MIB: u64 = 1 << 20;
/// A reader of a large object holds two chunks of this size.
const CHUNK: u64 = 256 << 10;

/// A server with a memory budget of 16 MiB, and an object in it.
async fn small(body_timeout: Duration) -> Running {
    let server = Running::start(|config| {
        config.memory_budget = 16 * MIB;
        config.memory_tier = 0;
        config.body_timeout = body_timeout;
    })
    .await;
    assert_eq!(server.client().await.put("/a/small", &[7; 1000]).await.status / 100, 2);
    assert_eq!(server.client().await.put("/a/.sccache_check", b"Hello, World!").await.status / 100, 2);
    server
}

/// An upload of 8 MiB that stops after its first bytes.
async fn hold(server: &Running, key: &str) -> Client {
    let mut client = server.client().await;
    let head = format!("PUT /a/{key} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", 8 * MIB);
    client.send(&head).await;
    client.send_bytes(&[1; 1000]).await;
    client
}

fn assert_overloaded(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.head);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.body.contains("bodies in flight"), "{}", answer.body);
}

/// Fails unless the server is at its budget, says so, and still answers the probe.
async fn assert_full(server: &Running) {
    assert_overloaded(&server.client().await.put("/a/next", &[1; 100_000]).await);
    assert_overloaded(&server.ask("GET", "/a/small").await);
    assert_eq!(server.ask("GET", "/a/.sccache_check").await.status, 200);
    assert_eq!(server.ask("GET", "/b/c/.sccache_check").await.status, 404);
    assert_eq!(server.client().await.put("/a/.sccache_check", b"Hello, World!").await.status / 100, 2);
    assert_eq!(server.ask("GET", "/a/miss").await.status, 404, "a miss needs no memory");
    assert!(server.metrics.refused.with_label_values(&["memory"]).get() >= 2);
}

/// Waits until all of the budget can be had again, which two uploads of 8 MiB show.
async fn assert_all_is_back(server: &Running) {
    until("the budget is free again", async || {
        let mut first = hold(server, "first").await;
        // Given to the first before the second asks.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let answer = server.client().await.put("/a/second", &vec![2; 8 << 20]).await;
        // Refused, it may be cut off while it is still sending.
        let _ = first.try_send(&vec![1; (8 << 20) - 1000]).await;
        first.answer().await.status / 100 == 2 && answer.status / 100 == 2
    })
    .await;
    assert_eq!(server.ask("GET", "/a/small").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_uploads_give_their_memory_back() {
    let server = small(Duration::from_secs(30)).await;
    let held = (hold(&server, "one").await, hold(&server, "two").await);
    until("both uploads are under way", async || server.ask("GET", "/a/small").await.status == 503).await;
    assert_full(&server).await;
    drop(held);
    assert_all_is_back(&server).await;
    assert!(!server.has("one").await && !server.has("two").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_uploads_are_cut_and_give_their_memory_back() {
    let server = small(Duration::from_secs(2)).await;
    // A machine that stands still for two seconds cuts them before anyone could look: then once more.
    until("both uploads are under way and then cut", async || {
        let (mut one, mut two) = (hold(&server, "one").await, hold(&server, "two").await);
        let mut held = false;
        for _ in 0..200 {
            held |= server.ask("GET", "/a/small").await.status == 503;
            if held {
                break;
            }
        }
        one.bytes_to_the_end().await;
        two.bytes_to_the_end().await;
        held
    })
    .await;
    assert_all_is_back(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stall_or_go_give_their_memory_back() {
    let server = small(Duration::from_secs(2)).await;
    assert_eq!(server.client().await.put("/a/large", &vec![3; 12 << 20]).await.status / 100, 2);
    let mut readers = Vec::new();
    for _ in 0..16 * MIB / (2 * CHUNK) {
        let mut reader = Client::connect_with_small_buffer(server.address).await;
        reader.send("GET /a/large HTTP/1.1\r\nHost: test\r\n\r\n").await;
        readers.push(reader);
    }
    until("all readers hold their share", async || server.ask("GET", "/a/small").await.status == 503).await;
    assert_eq!(server.ask("GET", "/a/.sccache_check").await.status, 200);
    // Half of them go, the others are cut because they take nothing.
    readers.truncate(readers.len() / 2);
    assert_all_is_back(&server).await;
}
