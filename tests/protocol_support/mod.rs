//! A server of the protocols alone, over an empty cache, for tests that talk to it through real sockets.
//!
//! Must not know connections' limits or authorisation: those are tested where they live.
#![allow(dead_code, unreachable_pub, reason = "each test file is its own crate and uses a part of it")]

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use larder::analytics::Analytics;
use larder::cache::{Cache, CacheOptions};
use larder::config::{Config, NamespaceConfig};
use larder::key::Namespace;
use larder::metrics::Metrics;
use larder::protocol::Protocols;
use larder::protocol::operation::Admission;
use larder::protocol::visible::Visible;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Limit of the namespace `small`, in bytes.
pub const SMALL: u64 = 1 << 20;

/// A running server; it ends with the test's runtime.
pub struct Server {
    pub address: SocketAddr,
    pub metrics: Metrics,
    _data: tempfile::TempDir,
}

/// An answer read from a raw connection.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Server {
    /// Starts a server with the namespaces `team` and `small`.
    pub async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config =
            Config { data_dir: data.path().to_owned(), max_object_size: 64 << 20, ..Config::default() };
        let namespace = |name: &str| Namespace::new(name).unwrap();
        config.namespaces.insert(namespace("team"), NamespaceConfig::default());
        let small = NamespaceConfig { max_object_size: Some(SMALL), ..NamespaceConfig::default() };
        config.namespaces.insert(namespace("small"), small);
        let metrics = Metrics::new().unwrap();
        let cache = Cache::open(CacheOptions::from(&config), metrics.clone()).unwrap();
        let protocols = Protocols::new(cache, &config, metrics.clone(), Analytics::open(&config, &metrics));
        let router = Router::new().fallback(answer).with_state(protocols);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, metrics, _data: data }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `head` (lines separated by `\n`, without Host) and `body`, and reads the answer.
    pub async fn raw(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        send(&mut stream, head, body).await;
        receive(&mut stream).await
    }

    /// The same with a request line and no more.
    pub async fn bare(&self, method: &str, path: &str) -> Answer {
        self.raw(&format!("{method} {path} HTTP/1.1"), b"").await
    }

    /// Stores `body` under `path`.
    pub async fn put(&self, path: &str, body: &str) -> Answer {
        let head = format!("PUT {path} HTTP/1.1\nContent-Length: {}", body.len());
        self.raw(&head, body.as_bytes()).await
    }
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// Sends a request on an open connection.
pub async fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let host = stream.peer_addr().unwrap();
    let head = head.replace('\n', "\r\n");
    stream.write_all(format!("{head}\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
}

/// Reads one answer, with a body of declared length or until the connection closes.
pub async fn receive(stream: &mut TcpStream) -> Answer {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "closed within the head: {read:?}");
    };
    let head = String::from_utf8(read[..head_end].to_vec()).unwrap();
    let mut answer = Answer { status: head[9..12].parse().unwrap(), head, body: String::new() };
    let mut body = read.split_off(head_end + 4);
    let length = match answer.status {
        100 | 204 | 304 => 0,
        _ => answer.header("content-length").map_or(usize::MAX, |length| length.parse().unwrap()),
    };
    while body.len() < length && stream.read_buf(&mut body).await.unwrap() > 0 {}
    answer.body = String::from_utf8(body).unwrap();
    answer
}

async fn answer(State(protocols): State<Protocols>, mut request: Request) -> Response {
    // Whoever asks here may see everything.
    request.extensions_mut().insert(Visible::new(|_| true));
    let operation = protocols.parse(&request);
    protocols.handle(operation, Admission::default(), request, None).response().await
}
