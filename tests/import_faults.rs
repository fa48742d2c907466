//! `larder import` where answers fail: what passes is waited out, what does not is told, and nothing is lost or sent twice.
//!
//! A real server stands behind a gate that spoils some answers on their way; knows both from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "support/importing.rs"]
mod importing;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use common::{Larder, Options, http};
use importing::{Source, import, key, puts};

/// What the gate does with a request.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// The server gets it, the client gets the answer.
    None,
    /// The client gets this status, the server gets nothing.
    Answer(u16),
    /// The connection ends, the server gets nothing.
    Reset,
    /// The server gets it, the client gets no answer.
    LoseAnswer,
}

#[test]
fn passing_failures_are_waited_out() {
    let larder = Larder::start(Options::default());
    let source = Source::new(12);
    let faults = [Fault::Answer(503), Fault::Reset, Fault::Answer(500), Fault::Answer(507)];
    let seen = Mutex::new(HashMap::<String, usize>::new());
    // Each object's first PUT fails, of some the second, too; and each third object's first HEAD.
    let gate = gate(larder.address(), move |method, path| {
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(format!("{method} {path}")).or_default();
        *times += 1;
        match (method, *times) {
            ("PUT", 1) => faults[path.len() % 4],
            ("PUT", 2) => faults[usize::from(path.as_bytes()[1]) % 4],
            ("HEAD", 1) if path.as_bytes()[1] % 3 == 0 => Fault::Answer(503),
            _ => Fault::None,
        }
    });
    let (code, said, why) = import(&[&source.url(), "--to", &format!("http://{gate}")], &[]);
    assert_eq!(code, Some(0), "{said}{why}");
    assert!(said.starts_with("copied 12 objects"), "{said}");
    assert_complete(&larder, &source, 0..12);
    assert_eq!(puts(&larder), 12.0);
}

#[test]
fn a_lost_answer_stores_nothing_twice() {
    let larder = Larder::start(Options::default());
    let source = Source::new(10);
    let gate =
        gate(larder.address(), |method, _| if method == "PUT" { Fault::LoseAnswer } else { Fault::None });
    let (code, said, why) = import(&[&source.url(), "--to", &format!("http://{gate}")], &[]);
    assert_eq!(code, Some(0), "{said}{why}");
    assert!(said.contains("skipped 10 "), "what was stored is found by the next HEAD: {said}");
    assert_complete(&larder, &source, 0..10);
    assert_eq!(puts(&larder), 10.0);
}

#[test]
fn what_fails_to_the_end_is_told_and_the_others_are_copied() {
    let larder = Larder::start(Options::default());
    let source = Source::new(10);
    let bad = format!("/default/{}", key(3));
    let gate = gate(larder.address(), move |method, path| match method {
        "PUT" if path == bad => Fault::Answer(500),
        _ => Fault::None,
    });
    let (code, said, why) = import(&[&source.url(), "--to", &format!("http://{gate}")], &[]);
    assert_eq!(code, Some(1), "{said}{why}");
    assert!(said.starts_with("copied 9 objects") && said.contains("1 failed"), "{said}");
    assert!(why.contains(&format!("not copied: {}", key(3))), "{why}");
    let (code, said, _) = import(&[&source.url(), "--to", &larder.url("")], &[]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("copied 1 object ") && said.contains("skipped 9 "), "{said}");
    assert_complete(&larder, &source, 0..10);
}

#[test]
fn it_ends_where_every_object_would_fail() {
    let larder = Larder::start(Options::default());
    let source = Source::new(300);
    for (fault, says) in [
        (Fault::Answer(507), "has no room"),
        (Fault::Answer(403), "does not allow it"),
        (Fault::Reset, "does not answer any more"),
    ] {
        let gate = gate(larder.address(), move |method, _| if method == "PUT" { fault } else { Fault::None });
        let (code, said, why) = import(&[&source.url(), "--to", &format!("http://{gate}")], &[]);
        assert_eq!(code, Some(1), "{said}{why}");
        let told = why.lines().last().unwrap_or_default();
        assert!(told.starts_with("larder: cannot import: ") && told.contains(says), "{says}: {why}");
        assert!(!said.contains("300 failed"), "it tried them all: {said}");
    }
    assert_eq!(puts(&larder), 0.0);
}

fn assert_complete(larder: &Larder, source: &Source, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let found = http::get(larder.address(), &format!("/{}", key(number)));
        assert_eq!((found.status, found.body), (200, source.body(number)), "{number}");
    }
}

/// Listens, and hands requests on to `server` as `judge` says; each on a connection of its own.
fn gate(server: SocketAddr, judge: impl Fn(&str, &str) -> Fault + Send + Sync + 'static) -> SocketAddr {
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
    if fault == Fault::LoseAnswer { Ok(()) } else { stream.get_mut().write_all(&answer) }
}
