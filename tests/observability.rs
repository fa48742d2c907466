//! What the server shows of itself: metrics, pages, one log line a request, and the answer to a panic.

#![allow(clippy::expect_used, reason = "a test may fail")]

#[path = "support/running.rs"]
mod running;

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use http_body::Frame;
use larder::app::App;
use larder::config::{Anonymous, Config};
use larder::http::Caller;
use larder::metrics::DESCRIPTIONS;
use running::{Running, until};
use serde_json::Value;

/// Lines of the log, shared by the tests of this file.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The one log of this process, at debug and as JSON.
    fn capture() -> &'static Self {
        static LINES: OnceLock<Lines> = OnceLock::new();
        LINES.get_or_init(|| {
            let lines = Self::default();
            let writer = lines.clone();
            tracing_subscriber::fmt()
                .json()
                .with_env_filter("larder=debug")
                .with_writer(move || writer.clone())
                .init();
            lines
        })
    }

    /// The fields of every request line about `path`.
    fn about(&self, path: &str) -> Vec<Value> {
        let log = self.0.lock().expect("no panic").clone();
        let log = String::from_utf8(log).expect("text");
        log.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"))
            .filter(|line| line["target"] == "larder::request" && line["fields"]["path"] == path)
            .inspect(|line| assert_eq!(line["level"], "DEBUG"))
            .map(|line| line["fields"].clone())
            .collect()
    }
}

/// Name of each metric in the text, and its type.
fn families(text: &str) -> BTreeMap<String, String> {
    let words = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    words.filter_map(|line| line.split_once(' ')).map(|(n, t)| (n.to_owned(), t.to_owned())).collect()
}

#[tokio::test]
async fn the_metrics_text_parses_and_holds_what_is_documented() {
    let server = Running::start(|_| ()).await;
    assert_eq!(server.client().await.put("/a/b", b"12345").await.status / 100, 2);
    assert_eq!(server.ask("GET", "/a/b").await.status, 200);
    assert_eq!(server.ask("GET", "/a/miss").await.status, 404);
    until("the answers are over", async || server.metrics.in_flight.get() == 0).await;
    let answer = server.ask("GET", "/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));

    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let quotes = name.matches('"').count();
        assert!(quotes % 2 == 0 && name.contains('{') == name.ends_with('}'), "{line}");
    }
    let shown = families(&answer.body);
    for (name, kind) in &shown {
        let documented = DESCRIPTIONS.iter().find(|row| row.name == name);
        assert!(name.starts_with("process_") || documented.is_some(), "{name} is not documented");
        assert!(documented.is_none_or(|row| row.kind == kind), "{name}");
    }
    for row in DESCRIPTIONS.iter().filter(|row| row.labels.is_empty()) {
        assert!(shown.contains_key(row.name), "{} is documented and not shown", row.name);
    }
    for row in [
        "larder_requests_total{method=\"PUT\",protocol=\"plain\",status=\"2xx\"} 1",
        "larder_received_bytes_total 5",
    ] {
        assert!(answer.body.contains(row), "{row} is not in\n{}", answer.body);
    }
    assert_eq!(server.metrics.requests.with_label_values(&["admin", "GET", "2xx"]).get(), 1);
}

#[tokio::test]
async fn own_pages_answer() {
    let server = Running::start(|_| ()).await;
    for (path, status) in [("/-/healthy", 200), ("/-/ready", 200), ("/metrics", 200), ("/-/nothing", 404)] {
        let answer = server.ask("GET", path).await;
        assert_eq!((answer.status, answer.header("cache-control")), (status, Some("no-store")), "{path}");
    }
    let unknown = server.ask("GET", "/-/nothing").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("/-/healthy"), "{}", unknown.body);
}

#[tokio::test]
async fn a_request_is_one_line_at_debug() {
    let lines = Lines::capture();
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    assert_eq!(client.put("/log/one", b"12345").await.status / 100, 2);
    assert_eq!(client.ask("GET", "/log/one").await.status, 200);
    until("both are over", async || server.metrics.in_flight.get() == 0).await;
    let about = lines.about("/log/one");
    assert_eq!(about.len(), 2, "{about:?}");
    let (put, get) = (&about[0], &about[1]);
    assert_eq!((&put["method"], put["received_bytes"].as_u64()), (&"PUT".into(), Some(5)));
    assert_eq!((&get["method"], get["sent_bytes"].as_u64()), (&"GET".into(), Some(5)));
    for line in [put, get] {
        assert!(line["status"].as_u64().is_some_and(|status| status / 100 == 2), "{line}");
        assert!(line["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{line}");
        assert_eq!((&line["principal"], &line["complete"]), (&"local".into(), &true.into()), "{line}");
        assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    }
    assert_ne!(put["id"], get["id"]);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_a_line_without_a_status() {
    let lines = Lines::capture();
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    client.send("PUT /log/gone HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf").await;
    until("it is in flight", async || server.metrics.in_flight.get() == 1).await;
    drop(client);
    until("it is over", async || server.metrics.in_flight.get() == 0).await;
    assert_eq!(lines.about("/log/gone").len(), 1);
    assert!(!server.has("log/gone").await);
}

#[tokio::test]
async fn whoever_may_only_read_is_told_what_to_change() {
    let server = Running::start(|config| config.anonymous = Some(Anonymous::Read)).await;
    let refused = server.client().await.put("/a/b", &vec![7; 1 << 20]).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("anonymous"), "{}", refused.body);
    assert!(!server.has("a/b").await);
    assert_eq!(server.ask("DELETE", "/a/b").await.status, 403);
    assert_eq!(server.ask("GET", "/a/.sccache_check").await.status, 404);
}

/// A request body that panics when it is read.
struct Panics;

impl http_body::Body for Panics {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        panic!("the body that panics")
    }
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_site_goes_on() {
    let data = tempfile::TempDir::new().expect("a directory");
    let app =
        App::build(&Config { data_dir: data.path().join("data"), ..Config::default() }).expect("an app");
    let caller = Caller {
        peer: "127.0.0.1:1".parse().expect("an address"),
        surplus: false,
        certificate: None,
        files: None,
    };
    let request =
        |method: &str| Request::builder().method(method).uri("/a/b").body(Panics).expect("a request");
    let answer = app.site().respond(request("PUT"), &caller).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    drop(answer);
    let answer = app.site().respond(request("GET"), &caller).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    drop(answer);
    assert_eq!(app.metrics().in_flight.get(), 0);
}
