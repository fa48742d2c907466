//! A whole server in this process, on a port of its own, and a client that can misbehave.
//!
//! The client writes and reads bytes, because a proper HTTP library cannot stop in the middle of a head.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail")]

use std::net::SocketAddr;
use std::time::Duration;

use larder::app::{App, AppError};
use larder::cache::Cache;
use larder::config::Config;
use larder::key::{Namespace, ObjectKey, ObjectName};
use larder::metrics::Metrics;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Far more than anything here takes; a test that gets there has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs until it is stopped or dropped.
pub struct Running {
    pub address: SocketAddr,
    pub cache: Cache,
    pub metrics: Metrics,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), AppError>>,
    _data: TempDir,
}

impl Running {
    /// A server with `adjust`ed limits.
    pub async fn start(adjust: impl FnOnce(&mut Config)) -> Self {
        let data = TempDir::new().expect("a directory");
        let mut config = Config {
            listen: "127.0.0.1:0".parse().expect("an address"),
            data_dir: data.path().join("data"),
            capacity: 256 << 20,
            min_free_disk: 0,
            ..Config::default()
        };
        adjust(&mut config);
        let listener = larder::server::bind(config.listen).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let app = App::build(&config).expect("a server");
        let (cache, metrics) = (app.cache().clone(), app.metrics().clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(app.serve(listener, async {
            let _ = stopped.await;
        }));
        let running = Self { address, cache, metrics, stop: Some(stop), task, _data: data };
        until("the server is ready", async || running.cache.is_ready()).await;
        running
    }

    /// Tells it to stop; it may still be draining afterwards.
    pub fn tell_to_stop(&mut self) {
        let _ = self.stop.take().expect("told once").send(());
    }

    /// Waits for its end.
    pub async fn ended(self) {
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("the server ends");
        ended.expect("no panic").expect("a good end");
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Asks once, on a connection of its own.
    pub async fn ask(&self, method: &str, path: &str) -> Answer {
        let mut client = self.client().await;
        client.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        client.answer().await
    }

    /// True when the cache itself has an object of this key.
    pub async fn has(&self, key: &str) -> bool {
        let key = ObjectKey::new(key).expect("a key");
        let name = ObjectName { namespace: Namespace::default_namespace(), key };
        self.cache.head(&name).await.expect("a look").is_some()
    }
}

/// What a client speaks through: TCP, or TLS over it.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection to a server.
pub struct Client {
    stream: Box<dyn Transport>,
    unread: Vec<u8>,
}

/// What the server said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header, if there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        // Otherwise a body in a packet of its own waits for the head's acknowledgement.
        stream.set_nodelay(true).expect("a socket's option");
        Self::over(stream)
    }

    /// A client that speaks through `stream`.
    pub fn over(stream: impl Transport + 'static) -> Self {
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    /// A client that takes little before it has to read.
    pub async fn connect_with_small_buffer(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        Self::over(socket.connect(address).await.expect("a connection"))
    }

    pub async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("sent");
    }

    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Asks and reads the answer, on this connection.
    pub async fn ask(&mut self, method: &str, path: &str) -> Answer {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        self.answer().await
    }

    /// Stores `body`, on this connection.
    pub async fn put(&mut self, path: &str, body: &[u8]) -> Answer {
        self.send(&format!("PUT {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()))
            .await;
        self.send_bytes(body).await;
        self.answer().await
    }

    /// Reads the answer to a HEAD: its length is that of a body that does not come.
    pub async fn head(&mut self) -> Answer {
        tokio::time::timeout(PATIENCE, self.read_head()).await.expect("an answer in time")
    }

    /// Reads one answer with its `Content-Length`.
    pub async fn answer(&mut self) -> Answer {
        tokio::time::timeout(PATIENCE, self.read_answer()).await.expect("an answer in time")
    }

    async fn read_answer(&mut self) -> Answer {
        let mut answer = self.read_head().await;
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        while self.unread.len() < length {
            assert!(self.more().await, "the body ended early");
        }
        let rest = self.unread.split_off(length);
        answer.body = String::from_utf8_lossy(&std::mem::replace(&mut self.unread, rest)).into_owned();
        answer
    }

    async fn read_head(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            assert!(self.more().await, "the connection ended without an answer");
        };
        let rest = self.unread.split_off(end + 4);
        let head = String::from_utf8(std::mem::replace(&mut self.unread, rest)).expect("a head is text");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Answer { status, head, body: String::new() }
    }

    /// Reads a body in chunks, whose head was read by [`Client::answer`].
    pub async fn chunks(&mut self) -> String {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = self.unread.windows(2).position(|window| window == b"\r\n") {
                    break at;
                }
                assert!(self.more().await, "the connection ended within a chunk's head");
            };
            let size = std::str::from_utf8(&self.unread[..end]).expect("a size is text");
            let size = usize::from_str_radix(size, 16).expect("a size");
            while self.unread.len() < end + 2 + size + 2 {
                assert!(self.more().await, "the connection ended within a chunk");
            }
            let rest = self.unread.split_off(end + 2 + size + 2);
            let chunk = std::mem::replace(&mut self.unread, rest);
            if size == 0 {
                return String::from_utf8(body).expect("text");
            }
            body.extend_from_slice(&chunk[end + 2..end + 2 + size]);
        }
    }

    async fn more(&mut self) -> bool {
        self.stream.read_buf(&mut self.unread).await.expect("a read") > 0
    }

    /// Reads until the server closes; how many bytes came. A reset counts as the end.
    pub async fn bytes_to_the_end(&mut self) -> usize {
        let mut all = std::mem::take(&mut self.unread);
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut all));
        let _ = read.await.expect("the server closes the connection");
        all.len()
    }

    /// Waits for the server to close, after which nothing more may come.
    pub async fn assert_closed(&mut self) {
        assert_eq!(self.bytes_to_the_end().await, 0, "nothing but the end");
    }
}

/// Waits until `holds`.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}
