//! Bodies that go from their file to the socket: the right bytes in the right order, pipelined, in parts, and of objects
//! that are deleted while they are sent.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::http::{Connection, put, request};
use common::{Larder, Options};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// Lengths around every border: in memory, whole from a segment, from a segment's file, more than one part of it, and a file
/// of its own.
const LENGTHS: [usize; 7] = [0, 700, 128 << 10, (128 << 10) + 1, 1 << 20, (3 << 20) + 17, (9 << 20) + 5];

fn body(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(length as u64).fill_bytes(&mut bytes);
    bytes
}

fn store_all(larder: &Larder) {
    for length in LENGTHS {
        assert_eq!(put(larder.address(), &format!("/h/{length}"), &body(length)).status, 201);
    }
}

#[test]
fn pipelined_answers_are_whole_and_in_order() {
    let larder = Larder::start(Options::default());
    store_all(&larder);
    // Twice: the second time some come from the memory tier.
    for _ in 0..2 {
        let mut asked = Vec::new();
        for length in LENGTHS.into_iter().chain(LENGTHS.into_iter().rev()) {
            asked.push(("GET", length, 0..length));
            asked.push(("HEAD", length, 0..0));
            if length > 2 {
                asked.push(("GET", length, length / 3..length - 1));
            }
        }
        let mut connection = Connection::open(larder.address()).unwrap();
        let mut requests = String::new();
        for (method, length, range) in &asked {
            requests.push_str(&format!("{method} /h/{length} HTTP/1.1\r\nHost: test\r\n"));
            if *method == "GET" && *range != (0..*length) {
                requests.push_str(&format!("Range: bytes={}-{}\r\n", range.start, range.end - 1));
            }
            requests.push_str("\r\n");
        }
        connection.send(requests.as_bytes()).unwrap();
        for (method, length, range) in asked {
            let answer = connection.read_response(method).unwrap();
            let expected = if range == (0..length) || method == "HEAD" { 200 } else { 206 };
            assert_eq!(answer.status, expected, "{method} {length} {range:?}");
            assert!(answer.body == body(length)[range.clone()], "{method} {length} {range:?}: other bytes");
        }
    }
    assert!(larder.metric("larder_memory_hits_total") > 0.0, "nothing came from the memory tier");
}

#[test]
fn what_is_being_sent_is_sent_to_its_end_though_it_is_deleted() {
    let larder = Larder::start(Options::default());
    store_all(&larder);
    for length in [(3 << 20) + 17, (9 << 20) + 5] {
        let path = format!("/h/{length}");
        let mut stream = TcpStream::connect(larder.address()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut received = vec![0; 1000];
        stream.read_exact(&mut received).unwrap();
        assert_eq!(request(larder.address(), "DELETE", &path, &[], &[]).status, 204);
        assert_eq!(request(larder.address(), "GET", &path, &[], &[]).status, 404);
        // Something else may take the room meanwhile.
        assert_eq!(put(larder.address(), &path, &body(length + 1)).status, 201);
        stream.read_to_end(&mut received).unwrap();
        let head = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert!(received[head..] == body(length), "{length}: other bytes");
    }
}
