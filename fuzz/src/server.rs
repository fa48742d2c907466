//! XML bodies, sent through the protocols of a server over an empty cache.
//!
//! In this process and without a socket, so that thousands fit into a second.

#![expect(clippy::expect_used, reason = "a server that cannot be made fails the run")]

use std::cell::LazyCell;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use larder::analytics::Analytics;
use larder::cache::{Cache, CacheOptions};
use larder::config::Config;
use larder::metrics::Metrics;
use larder::protocol::Protocols;
use larder::protocol::operation::Admission;

thread_local! {
    static SERVER: LazyCell<Server> = LazyCell::new(Server::start);
}

/// The first byte says which operation the rest is the body of.
pub fn xml_bodies(data: &[u8]) {
    let Some((which, body)) = data.split_first() else {
        return;
    };
    SERVER.with(|server| {
        let query = if which % 2 == 0 { "default?delete".to_owned() } else { server.complete.clone() };
        let (status, text) = server.ask("POST", &query, body.to_vec());
        assert!(status < 500 || status == 501, "{status}: {text}");
        // Nothing was stored, so nothing can come of the parts that a completion names.
        assert!(which % 2 == 0 || status >= 400 || text.contains("<Error>"), "{status}: {text}");
    });
}

struct Server {
    protocols: Protocols,
    runtime: tokio::runtime::Runtime,
    /// Path and query of the completion of an upload without parts.
    complete: String,
    _data: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let config = Config { data_dir: data.path().to_owned(), min_free_disk: 0, ..Config::default() };
        let metrics = Metrics::new().expect("metrics");
        let cache = Cache::open(CacheOptions::from(&config), metrics.clone()).expect("a cache");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            while !cache.is_ready() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        });
        let protocols = Protocols::new(cache, &config, metrics.clone(), Analytics::open(&config, &metrics));
        let mut server = Self { protocols, runtime, complete: String::new(), _data: data };
        let (status, answer) = server.ask("POST", "default/key?uploads", Vec::new());
        let id = answer.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next());
        let id = id.unwrap_or_else(|| panic!("no upload: {status} {answer}"));
        server.complete = format!("default/key?uploadId={id}");
        server
    }

    fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, String) {
        let request = Request::builder().method(method).uri(format!("/{path}"));
        let request = request.header("content-length", body.len()).body(Body::from(body)).expect("a request");
        self.runtime.block_on(async {
            let operation = self.protocols.parse(&request);
            let response: Response<Body> =
                self.protocols.handle(operation, Admission::default(), request, None).response().await;
            let status = response.status().as_u16();
            let text = response.into_body().collect().await.expect("an answer").to_bytes();
            (status, String::from_utf8_lossy(&text).into_owned())
        })
    }
}
