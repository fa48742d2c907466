//! Load of small objects over keep-alive connections, one thread each: PUTs of given keys, GETs of random ones,
//! every answer checked byte for byte.
//!
//! Knows plain HTTP only. Cheap on purpose: the client shares the machine with the server it measures.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Bytes of every body.
pub(crate) const BODY_BYTES: u64 = 1024;

const BODY: usize = 1024;

/// Where the load goes, and over how many connections at once.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: u64,
}

/// What was done.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) time: Duration,
}

impl Load {
    /// Does `step` again and again for so long; it is told how often it was done before.
    pub(crate) fn go_on(&self, time: Duration, step: impl Fn(&Self, u64) -> Done) -> Done {
        let mut all = Done::default();
        let mut steps = 0;
        while all.time < time {
            let done = step(self, steps);
            all.requests += done.requests;
            all.time += done.time;
            steps += 1;
        }
        all
    }

    /// Stores the objects of these numbers.
    pub(crate) fn put(&self, numbers: Range<u64>) -> Done {
        let requests = numbers.end - numbers.start;
        self.on_every_connection(requests, |connection, lane| {
            for number in numbers.clone().skip(lane).step_by(self.lanes()) {
                connection.put(number);
            }
        })
    }

    /// Reads `requests` objects at random out of the first `objects`, and checks each. The same seed reads the same ones.
    pub(crate) fn get_random(&self, objects: u64, requests: u64, seed: u64) -> Done {
        self.on_every_connection(requests, |connection, lane| {
            let mut random = Random::new((seed << 16) + lane as u64);
            for _ in (0..requests).skip(lane).step_by(self.lanes()) {
                connection.get(random.next() % objects);
            }
        })
    }

    /// Reads the objects of these numbers, and checks each.
    pub(crate) fn get(&self, numbers: Range<u64>) -> Done {
        let requests = numbers.end - numbers.start;
        self.on_every_connection(requests, |connection, lane| {
            for number in numbers.clone().skip(lane).step_by(self.lanes()) {
                connection.get(number);
            }
        })
    }

    fn lanes(&self) -> usize {
        usize::try_from(self.connections).unwrap()
    }

    fn on_every_connection(&self, requests: u64, work: impl Fn(&mut Connection, usize) + Sync) -> Done {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for lane in 0..self.lanes() {
                let work = &work;
                scope.spawn(move || work(&mut Connection::open(self.address), lane));
            }
        });
        Done { requests, time: started.elapsed() }
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    expected: [u8; BODY],
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, buffer: vec![0; 16 << 10], expected: [0; BODY] }
    }

    fn put(&mut self, number: u64) {
        let mut request = Vec::with_capacity(BODY + 200);
        let path = path(number);
        write!(request, "PUT {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {BODY}\r\n\r\n").unwrap();
        let mut body = [0; BODY];
        fill(&mut body, number);
        request.extend_from_slice(&body);
        self.stream.write_all(&request).unwrap();
        let (status, _) = self.answer();
        assert!(status == 201 || status == 204, "PUT {path}: {status}");
    }

    fn get(&mut self, number: u64) {
        let path = path(number);
        // One write: a formatted write to the socket itself would be a packet for each piece.
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
        let (status, body) = self.answer();
        assert_eq!(status, 200, "GET {path}");
        let mut expected = self.expected;
        fill(&mut expected, number);
        assert!(self.buffer[body] == expected, "GET {path}: wrong bytes");
    }

    /// Reads one answer: its status, and where its body is in the buffer.
    fn answer(&mut self) -> (u16, Range<usize>) {
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            let Some(head) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let text = std::str::from_utf8(&self.buffer[..head]).unwrap();
            let status = text[9..12].parse().unwrap();
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
            });
            let body = head + 4..head + 4 + length.unwrap_or(0);
            assert!(body.end <= self.buffer.len(), "an answer of {} bytes", body.end);
            while filled < body.end {
                let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
                assert!(read > 0, "the server closed the connection in a body");
                filled += read;
            }
            return (status, body);
        }
    }
}

/// Keys as sccache writes them: three levels and 64 hexadecimal digits.
fn path(number: u64) -> String {
    let mut random = Random::new(number);
    let key = format!("{:016x}{:016x}{:016x}{number:016x}", random.next(), random.next(), random.next());
    format!("/{}/{}/{}/{key}", &key[..1], &key[1..2], &key[2..3])
}

/// Bytes that no compression helps with, the same for the same number.
fn fill(body: &mut [u8; BODY], number: u64) {
    let mut random = Random::new(!number);
    for chunk in body.chunks_exact_mut(8) {
        chunk.copy_from_slice(&random.next().to_le_bytes());
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
