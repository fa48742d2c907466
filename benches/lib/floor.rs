//! The least that a server can do for a cache's requests, to see what a machine has to give: a request's head is looked at no
//! further than its path and length; a body is gathered and written behind others in a large file, asked for its
//! blocks and aligned as larder does; a hit is one `sendfile` from there, or where it is small, one `send` of head and body from
//! memory. No checksum, no rights, no capacity, nothing kept
//! over a restart, nobody that goes away or sends bad requests. Whoever is near it has nothing left to gain by less work in
//! the server.
//!
//! Arguments: PORT DIRECTORY THREADS [commit]. Each thread has the connections it accepted and a file of its own. With `commit` an
//! upload is answered once its file was synced, together with the others that had arrived by then.

#![allow(clippy::unwrap_used, reason = "a program that measures")]
#![allow(missing_docs, reason = "no library")]

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, RwLock};

use rustix::event::epoll;
use rustix::fs::{FallocateFlags, fallocate, sendfile};
use rustix::net::{SendFlags, send};

/// Room for a request, head and body.
const LARGEST: usize = 12 << 20;
/// Bytes of a write call.
const WRITE: usize = 128 << 10;
const LISTENER: u64 = u64::MAX;
/// Bodies up to this many bytes are sent from memory.
const SMALL: usize = 4096;
const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

/// What one thread has.
struct Floor<'a> {
    shared: &'a Shared,
    file: usize,
    tail: u64,
    stored: u64,
    /// Connections whose uploads are to be answered after a sync.
    unsynced: Vec<usize>,
}

struct Shared {
    files: Vec<File>,
    commits: bool,
    objects: RwLock<HashMap<Vec<u8>, Object>>,
}

#[derive(Clone)]
struct Object {
    place: Place,
    small: Option<Arc<[u8]>>,
}

/// Where a body is, or what is left of it to send.
#[derive(Clone, Copy)]
struct Place {
    file: usize,
    offset: u64,
    length: usize,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    sending: Option<Place>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, directory, threads, commits) = match &arguments[..] {
        [port, directory, threads] => (port, directory, threads, false),
        [port, directory, threads, word] if word == "commit" => (port, directory, threads, true),
        _ => panic!("usage: floor PORT DIRECTORY THREADS [commit]"),
    };
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    listener.set_nonblocking(true).unwrap();
    let create = |thread: usize| File::create_new(Path::new(directory).join(thread.to_string())).unwrap();
    let files: Vec<File> = (0..threads.parse().unwrap()).map(create).collect();
    let shared = Shared { files, commits, objects: RwLock::default() };
    std::thread::scope(|scope| {
        for file in 0..shared.files.len() {
            let floor = Floor { shared: &shared, file, tail: 0, stored: 0, unsynced: Vec::new() };
            scope.spawn(|| serve(floor, &listener));
        }
    });
}

fn serve(mut floor: Floor<'_>, listener: &TcpListener) {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let of = epoll::EventData::new_u64;
    epoll::add(&poll, listener, of(LISTENER), epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE).unwrap();
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        for event in &events {
            if event.data.u64() == LISTENER {
                let Ok((stream, _)) = listener.accept() else { continue };
                stream.set_nonblocking(true).unwrap();
                stream.set_nodelay(true).unwrap();
                let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
                epoll::add(&poll, &stream, of(connections.len() as u64), flags).unwrap();
                let buffer = vec![0; LARGEST];
                connections.push(Some(Connection { stream, buffer, filled: 0, sending: None }));
                continue;
            }
            let at = usize::try_from(event.data.u64()).unwrap();
            let Some(connection) = &mut connections[at] else { continue };
            let before = floor.stored;
            if connection.advance(&mut floor).is_none() {
                connections[at] = None;
            } else if floor.shared.commits && floor.stored > before {
                floor.unsynced.push(at);
            }
        }
        if !floor.unsynced.is_empty() {
            floor.shared.files[floor.file].sync_data().unwrap();
        }
        for at in std::mem::take(&mut floor.unsynced) {
            let stream = connections[at].as_ref().map(|connection| &connection.stream);
            if stream.is_some_and(|stream| send(stream, CREATED, SendFlags::NOSIGNAL).is_err()) {
                connections[at] = None;
            }
        }
    }
}

impl Connection {
    /// Goes on until the socket gives or takes no more. `None`: it is over.
    fn advance(&mut self, floor: &mut Floor<'_>) -> Option<()> {
        loop {
            while let Some(place) = &mut self.sending {
                match sendfile(
                    &self.stream,
                    &floor.shared.files[place.file],
                    Some(&mut place.offset),
                    place.length,
                ) {
                    Ok(sent) => place.length -= sent,
                    Err(rustix::io::Errno::AGAIN) => return Some(()),
                    Err(_) => return None,
                }
                if place.length == 0 {
                    self.sending = None;
                }
            }
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return None,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
                Err(_) => return None,
            }
            self.answer(floor).ok()?;
        }
    }

    /// Answers the request once it is whole.
    fn answer(&mut self, floor: &mut Floor<'_>) -> std::io::Result<()> {
        let request = &self.buffer[..self.filled];
        let Some(head) = find(&request[..self.filled.min(4096)], b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(());
        };
        let mut words = request[..head].split(|byte| *byte == b' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let length_at = find(&request[..head], b"Content-Length: ")
            .or_else(|| find(&request[..head], b"content-length: "));
        let length = length_at.map_or(0, |at| number(&request[at + 16..head]));
        if request.len() < head + length {
            // curl waits for it before it sends a large body.
            let waits = request.len() == head && find(request, b"Expect: ").is_some();
            return if waits { self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n") } else { Ok(()) };
        }
        let found = floor.shared.objects.read().unwrap().get(path).cloned();
        let mut answer = match (method, &found) {
            (b"PUT", _) => {
                floor.store(path, &request[head..head + length])?;
                if floor.shared.commits {
                    self.filled = 0;
                    return Ok(());
                }
                CREATED.to_vec()
            }
            (b"GET", Some(object)) => {
                self.sending = object.small.is_none().then_some(object.place);
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", object.place.length).into_bytes()
            }
            // Whoever uploads by WebDAV makes directories first.
            (b"MKCOL", _) => CREATED.to_vec(),
            _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        };
        if let (b"GET", Some(small)) = (method, found.and_then(|object| object.small)) {
            answer.extend_from_slice(&small);
        }
        self.filled = 0;
        let more = if self.sending.is_some() { SendFlags::MORE } else { SendFlags::empty() };
        send(&self.stream, &answer, more | SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Floor<'_> {
    fn store(&mut self, path: &[u8], body: &[u8]) -> std::io::Result<()> {
        let (file, length) = (&self.shared.files[self.file], body.len() as u64);
        let offset = self.tail.next_multiple_of(if body.len() < WRITE { 4096 } else { 65536 });
        self.tail = offset + length;
        if body.len() >= WRITE {
            fallocate(file, FallocateFlags::KEEP_SIZE, offset, length)?;
        }
        for (at, part) in (offset..).step_by(WRITE).zip(body.chunks(WRITE)) {
            file.write_all_at(part, at)?;
        }
        self.stored += 1;
        let place = Place { file: self.file, offset, length: body.len() };
        let small = (body.len() <= SMALL).then(|| Arc::from(body));
        self.shared.objects.write().unwrap().insert(path.to_owned(), Object { place, small });
        Ok(())
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn number(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'))
}
