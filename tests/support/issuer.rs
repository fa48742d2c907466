//! An issuer of identity tokens on a real socket: discovery document and key set over HTTP or HTTPS. It can rotate its keys,
//! go down and come back, hang, and lie.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::identity::Signer;

/// A running issuer.
pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

struct Shared {
    url: String,
    tls: Option<Arc<ServerConfig>>,
    pages: Mutex<Pages>,
    asked: AtomicUsize,
    hangs: AtomicBool,
}

struct Pages {
    discovery: Value,
    keys: Value,
}

impl Issuer {
    /// An issuer over plain HTTP that signs with these keys.
    pub fn start(signers: &[&Signer]) -> Self {
        Self::start_with(signers, None)
    }

    /// As [`Issuer::start`], over TLS, for the name `localhost`.
    pub fn start_with(signers: &[&Signer], tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let url = match &tls {
            None => format!("http://{address}"),
            Some(_) => format!("https://localhost:{}", address.port()),
        };
        let discovery = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        let pages = Mutex::new(Pages { discovery, keys: key_set(signers) });
        let (asked, hangs) = (AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { url, tls: tls.map(Arc::new), pages, asked, hangs });
        let mut issuer = Self { address, shared, listening: None };
        issuer.listen(listener);
        issuer
    }

    /// Its name, `iss`.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Signs with these keys from now on.
    pub fn rotate(&self, signers: &[&Signer]) {
        self.shared.pages.lock().unwrap().keys = key_set(signers);
    }

    /// Says this instead of its discovery document.
    pub fn say(&self, discovery: Value) {
        self.shared.pages.lock().unwrap().discovery = discovery;
    }

    /// How many requests it had.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Takes requests and answers none, or answers again.
    pub fn hang(&self, hangs: bool) {
        self.shared.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Refuses connections.
    pub fn go_down(&mut self) {
        if let Some((stop, thread)) = self.listening.take() {
            stop.store(true, Ordering::SeqCst);
            thread.join().unwrap();
        }
    }

    /// Is there again, at the same address.
    pub fn come_back(&mut self) {
        self.listen(TcpListener::bind(self.address).unwrap());
    }

    fn listen(&mut self, listener: TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let (stop, shared) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.shared));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let (shared, stopped) = (Arc::clone(&shared), Arc::clone(&stopped));
                        std::thread::spawn(move || shared.serve(stream, &stopped));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        self.listening = Some((stop, thread));
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.go_down();
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream, stopped: &AtomicBool) {
        stream.set_nonblocking(false).unwrap();
        self.asked.fetch_add(1, Ordering::SeqCst);
        // A client that does not trust the certificate, or has waited enough, goes away: its affair.
        let _ = match &self.tls {
            None => self.answer(stream, stopped),
            Some(tls) => {
                let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
                self.answer(StreamOwned::new(connection, stream), stopped)
            }
        };
    }

    fn answer(&self, mut stream: impl Read + Write, stopped: &AtomicBool) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        while self.hangs.load(Ordering::SeqCst) && !stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let (status, body) = {
            let pages = self.pages.lock().unwrap();
            match head.split(' ').nth(1) {
                Some("/.well-known/openid-configuration") => ("200 OK", pages.discovery.to_string()),
                Some("/keys") => ("200 OK", pages.keys.to_string()),
                Some("/moved") => ("302 Found\r\nLocation: /keys", String::new()),
                _ => ("404 Not Found", String::new()),
            }
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
        stream.flush()
    }
}

fn key_set(signers: &[&Signer]) -> Value {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() })
}
