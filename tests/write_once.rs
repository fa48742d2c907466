//! Write-once namespaces (`overwrite = "never"`): the first body of a key stays, over every way to write, and who brings
//! the same one again is served as if he had stored it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;
#[path = "support/running.rs"]
mod running;

use bytes::Bytes;
use larder::cache::{CacheError, PutOptions};
use larder::config::{Durability, NamespaceConfig, Overwrite};
use larder::key::Namespace;
use larder::object::Precondition;
use opened::{Opened, body, name_in};
use running::{Client, Running};

/// Above 8 MiB a body gets a file of its own.
const LARGE: usize = (8 << 20) + 4321;

fn once(base: Option<&str>) -> NamespaceConfig {
    let base = base.map(|base| Namespace::new(base).unwrap());
    NamespaceConfig { overwrite: Overwrite::Never, base, ..NamespaceConfig::default() }
}

async fn start() -> (Running, Client) {
    let running = Running::start(|config| {
        config.namespaces.insert(Namespace::new("once").unwrap(), once(None));
        config.namespaces.insert(Namespace::new("layer").unwrap(), once(Some("once")));
        config.namespaces.insert(Namespace::new("free").unwrap(), NamespaceConfig::default());
    })
    .await;
    let client = running.client().await;
    (running, client)
}

async fn send(client: &mut Client, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    client.send(&format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{headers}\r\n")).await;
    client.send_bytes(body).await;
    let answer = client.answer().await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn another_body_is_refused_and_the_same_one_accepted_without_a_write() {
    let (running, mut client) = start().await;
    assert_eq!(client.put("/once/k", b"first").await.status, 201);
    let stored = client.ask("GET", "/once/k").await;
    let writes = running.metrics.append_seconds.get_sample_count();
    let again = client.put("/once/k", b"first").await;
    assert_eq!((again.status, again.header("etag")), (204, stored.header("etag")));
    let chunked = "Transfer-Encoding: chunked\r\n";
    assert_eq!(send(&mut client, "PUT", "/once/k", chunked, b"5\r\nfirst\r\n0\r\n\r\n").await.0, 204);
    let refused = client.put("/once/k", b"other").await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.starts_with("error: exists: ") && refused.body.contains("once"), "{}", refused.body);
    assert_eq!(client.put("/once/k", b"longer body").await.status, 409);
    assert_eq!(send(&mut client, "PUT", "/once/k", chunked, b"5\r\nother\r\n0\r\n\r\n").await.0, 409);
    let longer = b"5\r\nfirst\r\n6\r\n and on\r\n0\r\n\r\n";
    assert_eq!(send(&mut running.client().await, "PUT", "/once/k", chunked, longer).await.0, 409);
    // Its length shows that it is another: refused before it is sent.
    let waits = "Content-Length: 99\r\nExpect: 100-continue\r\n";
    assert_eq!(send(&mut running.client().await, "PUT", "/once/k", waits, b"").await.0, 409);
    assert_eq!(running.metrics.append_seconds.get_sample_count(), writes, "something was written");
    assert_eq!(running.metrics.overwrites_refused.with_label_values(&["once"]).get(), 5);
    let now = client.ask("GET", "/once/k").await;
    assert_eq!((now.body.as_str(), now.header("etag")), ("first", stored.header("etag")));
    assert_eq!(now.header("last-modified"), stored.header("last-modified"));
    // Who may delete may begin anew.
    assert_eq!(client.ask("DELETE", "/once/k").await.status, 204);
    assert_eq!(client.put("/once/k", b"other").await.status, 201);
}

#[tokio::test]
async fn no_other_way_to_write_gets_around_it() {
    let (_running, mut client) = start().await;
    for (path, body) in [("/once/k", "first"), ("/once/same", "first"), ("/free/evil", "evil!")] {
        assert_eq!(client.put(path, body.as_bytes()).await.status, 201);
    }
    let tag = client.ask("GET", "/once/k").await.header("etag").unwrap().to_owned();
    let put = |condition: &str| format!("Content-Length: 5\r\n{condition}\r\n");
    let to = |path: &str| format!("Destination: {path}\r\nContent-Length: 0\r\n");
    for (method, path, headers, body, status) in [
        ("PUT", "/once/k", put(&format!("If-Match: {tag}")), "evil!", 409),
        ("PUT", "/once/k", put("If-Match: *"), "evil!", 409),
        ("PUT", "/once/k", put("If-None-Match: *"), "evil!", 412),
        ("PUT", "/once/k", put("If-None-Match: *"), "first", 412),
        ("PUT", "/once/k", put(&format!("If-Match: {tag}")), "first", 204),
        ("COPY", "/free/evil", to("/once/k"), "", 409),
        ("MOVE", "/free/evil", to("/once/k"), "", 409),
        ("COPY", "/once/same", to("/once/k"), "", 204),
        ("MOVE", "/once/same", to("/once/k"), "", 204),
    ] {
        let (found, text) = send(&mut client, method, path, &headers, body.as_bytes()).await;
        assert_eq!(found, status, "{method} {path} {headers} {text}");
        assert_eq!(client.ask("GET", "/once/k").await.body, "first", "after {method} {headers}");
    }
    assert_eq!(client.ask("GET", "/free/evil").await.body, "evil!", "a refused move takes nothing away");
    assert_eq!(client.ask("GET", "/once/same").await.status, 404);
}

#[tokio::test]
async fn the_probe_can_always_be_written_and_a_layer_looks_only_at_itself() {
    let (running, mut client) = start().await;
    for body in ["Hello, World!", "something else"] {
        let answer = client.put("/once/team/.sccache_check", body.as_bytes()).await;
        assert!(matches!(answer.status, 201 | 204), "{answer:?}");
        assert_eq!(client.ask("GET", "/once/team/.sccache_check").await.body, body);
    }
    assert_eq!(client.put("/once/k", b"base").await.status, 201);
    assert_eq!(client.put("/layer/k", b"own").await.status, 201, "the layer had no such key");
    assert_eq!(client.put("/layer/k", b"base").await.status, 409);
    assert_eq!(client.ask("GET", "/once/k").await.body, "base");
    assert_eq!(running.metrics.overwrites_refused.with_label_values(&["layer"]).get(), 1);
    assert_eq!(running.metrics.overwrites_refused.with_label_values(&["once"]).get(), 0);
}

async fn of_many_writers_one_wins(durability: Durability, length: usize) {
    let opened = Opened::new(256 << 20, |options| {
        options.durability = durability;
        options.namespaces.insert(Namespace::new("once").unwrap(), once(None));
    })
    .await;
    for round in 0..if length > 1 << 20 { 2 } else { 20 } {
        let key = format!("k{round}");
        let writers: Vec<_> = (0..12)
            .map(|writer| {
                let (cache, name) = (opened.cache.clone(), name_in("once", &key));
                tokio::spawn(async move {
                    // Three writers have the same body.
                    let body = body(round * 100 + writer / 3, length);
                    let mut upload = cache.begin_put(name, PutOptions::default()).await?;
                    upload.write(body.clone()).await?;
                    tokio::task::yield_now().await;
                    upload.commit().await.map(|stored| (body, stored))
                })
            })
            .collect();
        let mut winners: Vec<(Bytes, larder::cache::Stored)> = Vec::new();
        for writer in writers {
            match writer.await.unwrap() {
                Ok(won) => winners.push(won),
                Err(CacheError::Exists { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(winners.len(), 3, "all with one body and no other");
        let (body, _) = &winners[0];
        assert!(winners.iter().all(|(other, _)| other == body));
        assert_eq!(winners.iter().filter(|(_, stored)| stored.created).count(), 1);
        assert_eq!(opened.get_as(&name_in("once", &key)).await.unwrap(), *body);
        let sequence = opened.cache.head(&name_in("once", &key)).await.unwrap().unwrap().sequence;
        assert!(winners.iter().all(|(_, stored)| stored.info.sequence == sequence));
    }
    // After a crash as well.
    let before = opened.cache.list(&Namespace::new("once").unwrap(), "", None, 99).await.unwrap();
    let opened = opened.after_crash().await;
    let after = opened.cache.list(&Namespace::new("once").unwrap(), "", None, 99).await.unwrap();
    let infos = |rows: &[larder::cache::ListedObject]| rows.iter().map(|row| row.info).collect::<Vec<_>>();
    assert_eq!(infos(&before), infos(&after));
    let key = name_in("once", "k0");
    let refused = opened.put_as(key.clone(), body(7, length)).await;
    assert!(matches!(refused, Err(CacheError::Exists { .. })), "{refused:?}");
    assert!(opened.cache.delete(&key, Precondition::None).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_of_small_bodies_one_wins() {
    of_many_writers_one_wins(Durability::Periodic, 3000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_that_wait_for_the_disk_one_wins() {
    of_many_writers_one_wins(Durability::Commit, 3000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_of_large_bodies_one_wins() {
    of_many_writers_one_wins(Durability::Periodic, LARGE).await;
}
