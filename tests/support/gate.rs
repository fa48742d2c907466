//! A gate in front of a server, which spoils some answers on their way, by method and path.
//!
//! Knows as much HTTP/1.1 as it takes to hand one request on for each connection; nothing of what is asked.

#![allow(dead_code, reason = "every test program uses its own part")]
#![allow(unreachable_pub, missing_docs, reason = "a module of test programs, not a library")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// What the gate does with a request.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    /// The server gets it, the client gets the answer.
    None,
    /// The client gets this status, the server gets nothing.
    Answer(u16),
    /// The connection ends, the server gets nothing.
    Reset,
    /// The server gets it, the client gets no answer.
    LoseAnswer,
    /// The answer ends in the middle of its body.
    Half,
}

/// Listens, and hands requests on to `server` as `judge` says; each on a connection of its own.
pub fn gate(server: SocketAddr, judge: impl Fn(&str, &str) -> Fault + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let judge = Arc::new(judge);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let judge = Arc::clone(&judge);
            // Whatever fails here the client sees as a connection that ends.
            std::thread::spawn(move || pass_on(stream, server, &*judge));
        }
    });
    address
}

fn pass_on(
    stream: TcpStream,
    server: SocketAddr,
    judge: &dyn Fn(&str, &str) -> Fault,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" || line.is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fault = judge(method, path);
    if fault == Fault::Reset {
        return Ok(());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if let Fault::Answer(status) = fault {
        let answer = format!("HTTP/1.1 {status} Spoilt\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return stream.get_mut().write_all(answer.as_bytes());
    }
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
    let sent = match fault {
        Fault::LoseAnswer => 0,
        Fault::Half => (head + answer.len()) / 2,
        Fault::None | Fault::Answer(_) | Fault::Reset => answer.len(),
    };
    stream.get_mut().write_all(&answer[..sent])
}
