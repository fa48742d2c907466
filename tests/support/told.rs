//! A store that answers what it was told to, and remembers what it was asked.
//!
//! One request a connection, so that an answer may also be none, or half of one.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

/// The store; it goes on until the process ends.
pub struct Told {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    directory: TempDir,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub line: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Told {
    /// A store whose answers `answer` makes, whole with their status line; an empty one closes the connection.
    pub fn start(answer: impl Fn(&Asked) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let list = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                list.lock().unwrap().push(request.clone());
                let _ = stream.write_all(&answer(&request));
            }
        });
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("secret"), "a-secret\n").unwrap();
        Self { address, asked, directory }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A file with a secret.
    pub fn secret_file(&self) -> PathBuf {
        self.directory.path().join("secret")
    }

    /// All requests up to now.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// An answer with these header lines, each with its end.
pub fn answer(status: u16, head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} so\r\nConnection: close\r\nContent-Length: {}\r\n{head}\r\n{body}", body.len())
        .into_bytes()
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next()?;
    let headers: Vec<_> = lines
        .filter_map(|line| {
            Some((line.split_once(": ")?.0.to_ascii_lowercase(), line.split_once(": ")?.1.to_owned()))
        })
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line, headers, body })
}
