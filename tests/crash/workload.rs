//! Writers that never stop by themselves, and the readers that check what they left.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::bodies::{body, body_of_length};
use super::common::http::{Connection, Response, request};
use super::history::History;

/// Writers at the same time.
pub const WRITERS: u64 = 16;
/// Of them, those that send large bodies only.
const LARGE_WRITERS: u64 = 2;
/// Readers beside the writers, and readers that check after a restart.
const READERS: u64 = 2;

/// Lets the writers loose until `stop`, which runs on this thread, has ended the server. Returns what readers saw
/// meanwhile that no writer has ever sent.
pub fn run(
    address: SocketAddr,
    history: &History,
    versions: &AtomicU64,
    seed: u64,
    stop: impl FnOnce(),
) -> Vec<String> {
    let torn = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..WRITERS {
            scope.spawn(move || write_on(address, history, versions, number, seed));
        }
        for number in 0..READERS {
            let torn = &torn;
            scope.spawn(move || read_on(address, history, seed ^ number, torn));
        }
        stop();
    });
    torn.into_inner().unwrap()
}

/// Writes until the connection breaks.
fn write_on(address: SocketAddr, history: &History, versions: &AtomicU64, number: u64, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(number));
    let Ok(mut connection) = Connection::open(address) else { return };
    loop {
        let version = versions.fetch_add(1, Ordering::SeqCst);
        let key = match random.random_range(0..10) {
            _ if number < LARGE_WRITERS => format!("large/{}", random.random_range(0..3)),
            0..6 => format!("own/{version}"),
            6..9 => format!("shared/{}", random.random_range(0..24)),
            // Often there, from an earlier round or a moment ago.
            _ => format!("own/{}", version - random.random_range(0..version.min(40) + 1)),
        };
        let removes = random.random_ratio(1, 5) && (key.starts_with("shared/") || version % 10 == 9);
        let chunked = random.random_ratio(1, 4);
        let answer = if removes {
            let began = history.begin(&key, None);
            delete(&mut connection, &key).map(|answer| (began, answer))
        } else {
            let began = history.begin(&key, Some(version));
            put(&mut connection, &key, &body(&key, version), chunked).map(|answer| (began, answer))
        };
        match answer {
            Ok((began, Response { status: 200 | 201 | 204, .. })) => history.end(&key, began),
            Ok((began, Response { status: 404, .. })) if removes => history.end(&key, began),
            // An overload or a full disk says no and may be asked again.
            Ok((_, Response { status: 503 | 507, .. })) => {}
            Ok((_, answer)) => panic!("{key}: {} {}", answer.status, answer.text()),
            Err(_) => return,
        }
    }
}

/// Reads what is being written until the connection breaks; whatever is served is a whole version.
fn read_on(address: SocketAddr, history: &History, seed: u64, torn: &Mutex<Vec<String>>) {
    let mut random = StdRng::seed_from_u64(seed);
    let Ok(mut connection) = Connection::open(address) else { return };
    loop {
        let key = format!("shared/{}", random.random_range(0..24));
        let Ok(answer) = connection.request("GET", &url_path(&key), &[], &[]) else { return };
        // Asked after the answer: it has every version that may be in it.
        let sent = history.versions(&key);
        if answer.status == 200 && !sent.iter().any(|version| body(&key, *version) == answer.body) {
            let mut torn = torn.lock().unwrap();
            torn.push(format!("{key}: {} bytes that are none of {sent:?}", answer.body.len()));
        }
    }
}

/// Reads every key and compares it with its history. Returns what does not fit.
pub fn check(address: SocketAddr, history: &History, keys: &[String]) -> Vec<String> {
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for part in keys.chunks(keys.len().div_ceil(4).max(1)) {
            let wrong = &wrong;
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                for key in part {
                    let answer = connection.request("GET", &url_path(key), &[], &[]).unwrap();
                    let found = match answer.status {
                        200 => Some(&answer.body[..]),
                        404 => None,
                        other => panic!("GET {key}: {other} {}", answer.text()),
                    };
                    if let Err(error) = history.settle(key, found) {
                        wrong.lock().unwrap().push(error);
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

/// Stores `count` objects `{prefix}/{number}` of `length` bytes, each of version 0.
pub fn fill(address: SocketAddr, prefix: &str, count: usize, length: usize) {
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                for number in (part..count).step_by(4) {
                    let key = format!("{prefix}/{number}");
                    let body = body_of_length(&key, 0, length);
                    let answer = put(&mut connection, &key, &body, false).unwrap();
                    assert!(matches!(answer.status, 201 | 204), "PUT {key}: {}", answer.status);
                }
            });
        }
    });
}

/// Fails unless what [`fill`] stored is all there.
pub fn assert_filled(address: SocketAddr, prefix: &str, count: usize, length: usize) {
    let missing: Vec<String> = (0..count)
        .map(|number| format!("{prefix}/{number}"))
        .collect::<Vec<_>>()
        .chunks(count.div_ceil(4))
        .flat_map(|keys| {
            let mut connection = Connection::open(address).unwrap();
            keys.iter()
                .filter(|key| {
                    let answer = connection.request("GET", &url_path(key), &[], &[]).unwrap();
                    answer.status != 200 || answer.body != body_of_length(key, 0, length)
                })
                .cloned()
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(missing.is_empty(), "{} of {count} are missing: {missing:?}", missing.len());
}

/// How many objects `PROPFIND` lists right below `prefix`; none where it lists nothing at all.
pub fn listed(address: SocketAddr, prefix: &str) -> usize {
    let path = format!("/{prefix}/");
    let answer = request(address, "PROPFIND", &path, &[("Depth", "1")], &[]);
    assert_eq!(answer.status, 207, "{}", answer.text());
    let text = answer.text();
    text.split("href>")
        .filter(|part| part.starts_with(&path) && part.split('<').next() != Some(&path))
        .count()
}

/// A time to let the server run before it is killed.
pub fn moment(random: &mut StdRng, at_most_ms: u64) -> Duration {
    Duration::from_micros(random.random_range(0..at_most_ms * 1000))
}

/// The path of a key's URL.
pub fn url_path(key: &str) -> String {
    format!("/{key}")
}

fn put(connection: &mut Connection, key: &str, body: &[u8], chunked: bool) -> std::io::Result<Response> {
    if !chunked {
        return connection.request("PUT", &url_path(key), &[], body);
    }
    let path = url_path(key);
    let head = format!("PUT {path} HTTP/1.1\r\nHost: larder.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(head.as_bytes())?;
    for chunk in body.chunks(40_000) {
        connection.send(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())?;
    }
    connection.send(b"0\r\n\r\n")?;
    connection.read_response("PUT")
}

fn delete(connection: &mut Connection, key: &str) -> std::io::Result<Response> {
    connection.request("DELETE", &url_path(key), &[], &[])
}
