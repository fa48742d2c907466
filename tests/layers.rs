//! Layers over HTTP and WebDAV: a pull request's namespace sees what the trusted one has, and nothing that is done to it
//! changes what anybody else sees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;

use larder::config::NamespaceConfig;
use larder::key::{Namespace, NamespacePattern};
use running::{Answer, Client, Running};

const TRUSTED: &[u8] = b"built from what was reviewed";
const EVIL: &[u8] = b"built from anybody's request";
/// What the trusted builds stored, and what everyone else must go on seeing.
const KEYS: &[&str] = &["k", "dir/one", "dir/two", "large"];
/// Above 8 MiB a body gets a file of its own.
const LARGE: usize = (8 << 20) + 12_345;

/// `main`, `dev` on it, and the layers `pr-*` on `dev`.
async fn start() -> Running {
    Running::start(|config| {
        let on = |base: &str| NamespaceConfig {
            base: Some(Namespace::new(base).unwrap()),
            ..NamespaceConfig::default()
        };
        config.namespaces.insert(Namespace::new("main").unwrap(), NamespaceConfig::default());
        config.namespaces.insert(Namespace::new("dev").unwrap(), on("main"));
        config.namespace_patterns.insert(NamespacePattern::new("pr-*").unwrap(), on("dev"));
    })
    .await
}

async fn start_with_trusted_objects() -> (Running, Client) {
    let running = start().await;
    let mut client = running.client().await;
    for key in &KEYS[..3] {
        assert_eq!(client.put(&format!("/main/{key}"), TRUSTED).await.status, 201);
    }
    assert_eq!(client.put("/main/large", &vec![b't'; LARGE]).await.status, 201);
    (running, client)
}

/// Sends a request with headers, each with its line's end, and a body.
async fn request(client: &mut Client, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: {length}\r\n\r\n");
    client.send(&head).await;
    client.send_bytes(body).await;
    client.answer().await
}

/// COPY or MOVE to `to`.
async fn transfer(client: &mut Client, method: &str, from: &str, to: &str, overwrite: &str) -> u16 {
    let headers = format!("Destination: {to}\r\nOverwrite: {overwrite}\r\n");
    request(client, method, from, &headers, b"").await.status
}

/// Everything that a reader of `namespace` learns of the trusted keys.
async fn seen(client: &mut Client, namespace: &str) -> Vec<(u16, String, String)> {
    let mut all = Vec::new();
    for key in KEYS {
        let answer = client.ask("GET", &format!("/{namespace}/{key}")).await;
        let header = |name| answer.header(name).unwrap_or_default().to_owned();
        all.push((answer.status, header("etag") + &header("last-modified"), answer.body));
    }
    all
}

/// The paths that a listing of `namespace` names.
async fn listed(client: &mut Client, namespace: &str) -> Vec<String> {
    client.send(&format!("PROPFIND /{namespace}/ HTTP/1.1\r\nHost: t\r\nDepth: 1\r\n\r\n")).await;
    let body = chunked_body(client).await;
    let rows = body.split("<D:href>").skip(1);
    rows.map(|row| row.split_once("</D:href>").unwrap().0.to_owned()).collect()
}

async fn chunked_body(client: &mut Client) -> String {
    let answer = client.answer().await;
    assert_eq!(answer.status, 207, "{answer:?}");
    if answer.header("content-length").is_some() {
        return answer.body;
    }
    client.chunks().await
}

#[tokio::test]
async fn every_read_sees_through_a_layer() {
    let (running, mut client) = start_with_trusted_objects().await;
    let trusted = seen(&mut client, "main").await;
    assert!(trusted.iter().all(|(status, ..)| *status == 200));
    assert_eq!(seen(&mut client, "dev").await, trusted);
    assert_eq!(seen(&mut client, "pr-17").await, trusted);
    assert!(running.metrics.base_hits.get() >= 8, "hits of bases are counted");
    let tag = client.ask("GET", "/main/k").await.header("etag").unwrap().to_owned();
    let head = client.ask("OPTIONS", "/pr-17/k").await;
    assert_eq!(head.status, 200);
    for (method, headers, status) in [
        ("GET", format!("If-None-Match: {tag}\r\n"), 304),
        ("GET", "If-Match: \"other\"\r\n".to_owned(), 412),
        ("GET", "Range: bytes=0-4\r\n".to_owned(), 206),
        ("PROPFIND", "Depth: 0\r\n".to_owned(), 207),
    ] {
        let mut client = running.client().await;
        let answer = request(&mut client, method, "/pr-17/k", &headers, b"").await;
        assert_eq!(answer.status, status, "{method} {headers}");
    }
    assert_eq!(client.ask("GET", "/pr-17/nothing").await.status, 404);
    // What the nearer base has wins.
    assert_eq!(client.put("/dev/k", b"newer").await.status, 201);
    assert_eq!(client.ask("GET", "/pr-17/k").await.body, "newer");
    assert_eq!(seen(&mut client, "main").await, trusted);
}

#[tokio::test]
async fn no_write_to_a_layer_changes_what_anybody_else_sees() {
    let (running, mut client) = start_with_trusted_objects().await;
    let (trusted, names) = (seen(&mut client, "main").await, listed(&mut client, "main").await);
    let tag = client.ask("GET", "/main/k").await.header("etag").unwrap().to_owned();
    let large = vec![b'e'; LARGE];
    let matches = format!("If-Match: {tag}\r\n");
    let differs = format!("If-None-Match: {tag}\r\n");
    // Conditions are about what a reader of the layer sees.
    let writes: &[(&str, &str, &str, &[u8], u16)] = &[
        ("PUT", "/pr-1/k", "", EVIL, 201),
        ("PUT", "/pr-1/k", "", EVIL, 204),
        ("PUT", "/pr-1/large", "", &large, 201),
        ("PUT", "/pr-2/k", &matches, EVIL, 201),
        ("PUT", "/pr-3/k", &differs, EVIL, 412),
        ("PUT", "/pr-3/k", "If-None-Match: *\r\n", EVIL, 412),
        ("PUT", "/pr-3/k", "If-Match: \"other\"\r\n", EVIL, 412),
        ("PUT", "/pr-3/own", "If-None-Match: *\r\n", EVIL, 201),
        ("PUT", "/pr-3/own", "If-None-Match: *\r\n", EVIL, 412),
        ("PUT", "/pr-3/k", "If-Match: *\r\n", EVIL, 201),
        ("DELETE", "/pr-3/k", "", b"", 204),
        ("DELETE", "/pr-3/k", "", b"", 404),
        ("DELETE", "/pr-3/k", &matches, b"", 404),
        ("DELETE", "/pr-3/k", "If-Match: \"other\"\r\n", b"", 412),
        ("MKCOL", "/pr-4/dir/", "", b"", 201),
        ("DELETE", "/pr-4/dir/", "", b"", 404),
        ("PUT", "/pr-4/dir/one", "", EVIL, 201),
        ("DELETE", "/pr-4/dir/", "", b"", 204),
        ("DELETE", "/pr-4/", "", b"", 403),
        ("DELETE", "/dev/dir/", "", b"", 404),
    ];
    for (method, path, headers, body, status) in writes {
        let answer = request(&mut client, method, path, headers, body).await;
        assert_eq!(answer.status, *status, "{method} {path} {headers}: {}", answer.body);
        assert_eq!(seen(&mut client, "main").await, trusted, "after {method} {path} {headers}");
    }
    let transfers = [
        ("COPY", "/pr-1/k", "/pr-5/k", "T", 201),
        ("COPY", "/pr-1/k", "/pr-5/k", "T", 204),
        ("COPY", "/pr-1/k", "/pr-6/k", "F", 412),
        ("COPY", "/pr-1/k", "/pr-6/new", "F", 201),
        ("COPY", "/pr-1/large", "/pr-5/large", "T", 201),
        ("COPY", "/pr-6/k", "/pr-6/copied", "T", 201),
        ("MOVE", "/pr-5/k", "/pr-6/k", "T", 201),
        // Only its base has it: copied, and it stays.
        ("MOVE", "/pr-7/k", "/pr-7/moved", "T", 409),
        ("MOVE", "/pr-7/dir/one", "/pr-7/dir/two", "F", 412),
    ];
    for (method, from, to, overwrite, status) in transfers {
        let found = transfer(&mut client, method, from, to, overwrite).await;
        assert_eq!(found, status, "{method} {from} {to} {overwrite}");
        assert_eq!(seen(&mut client, "main").await, trusted, "after {method} {from} {to}");
    }
    assert_eq!(listed(&mut client, "main").await, names);
    assert_eq!(seen(&mut client, "dev").await, trusted);
    assert_eq!(seen(&mut client, "pr-99").await, trusted, "nor do other pull requests see it");
    // Where it was written it is seen, until it is deleted there.
    let evil = String::from_utf8_lossy(EVIL).into_owned();
    for path in ["/pr-1/k", "/pr-2/k", "/pr-6/k", "/pr-6/new"] {
        assert_eq!(client.ask("GET", path).await.body, evil, "{path}");
        assert_eq!(client.ask("DELETE", path).await.status, 204, "{path}");
    }
    assert_eq!(client.ask("GET", "/pr-1/k").await.body.as_bytes(), TRUSTED);
    assert_eq!(client.ask("GET", "/pr-6/new").await.status, 404);
    assert_eq!(client.ask("GET", "/pr-6/copied").await.body.as_bytes(), TRUSTED);
    assert_eq!(client.ask("GET", "/pr-7/k").await.body.as_bytes(), TRUSTED);
    drop(running);
}

#[tokio::test]
async fn listings_and_unfinished_uploads_stay_in_the_layer() {
    let (running, mut client) = start_with_trusted_objects().await;
    assert_eq!(listed(&mut client, "pr-1").await, ["/pr-1/"], "what the base has is not listed");
    assert_eq!(client.put("/pr-1/dir/own", EVIL).await.status, 201);
    assert_eq!(listed(&mut client, "pr-1").await, ["/pr-1/", "/pr-1/dir/"]);
    let mut broken = running.client().await;
    broken.send("PUT /pr-1/k HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nhalf").await;
    drop(broken);
    assert_eq!(client.ask("GET", "/pr-1/k").await.body.as_bytes(), TRUSTED);
    // A name that the pattern matches and that is none: never a key of `default`.
    let long = format!("/pr-{}/k", "x".repeat(64));
    let refused = client.put(&long, EVIL).await;
    assert!(refused.status == 400 && refused.body.contains("a namespace is 1 to 63"), "{refused:?}");
}
