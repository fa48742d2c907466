//! A million small objects in a real larder: how fast they go in, what they cost in memory and on disk, how soon
//! it serves again after `kill -9`, with its index as it was, gone, damaged or cut in half, and whether reading
//! is as fast as with a thousand. Times are printed and not judged; a wrong byte or a lost object fails.
//!
//! Knows larder from outside only, and of its data directory only that the index is in a directory of its own
//! (`MILLION_INDEX`, by default `index`).

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that measures and prints")]
#![allow(missing_docs, reason = "no library")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "load/small_objects.rs"]
mod load;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{Larder, Options, block_bytes};
use load::{BODY_BYTES, Load};

fn main() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
    };
    let objects = number("MILLION_OBJECTS", 1_000_000);
    let reads = number("MILLION_READS", 200_000);
    let few = objects.min(1000);
    println!("| measured | value |\n|---|---|");

    let mut larder = Larder::start(Options::default().flag("--capacity", "60GiB"));
    let empty = larder.disk_bytes();
    let load = Load { address: larder.address(), connections: 16 };
    row(&format!("PUT of the first {few}"), &rate(&load.put(0..few)));
    row(&format!("GET, random, of {few} objects"), &rate(&load.get_random(few, reads)));

    let put = load.put(few..objects);
    row(
        &format!("PUT up to {objects} objects of {BODY_BYTES} bytes, {} connections", load.connections),
        &rate(&put),
    );
    row("memory under sustained writes, most", &mib(status_bytes(larder.pid(), "VmHWM")));
    common::wait_for("the gauge of stored objects to say that all are there", || {
        ((larder.metric("larder_stored_objects") - as_float(objects)).abs() < 0.5).then_some(())
    });
    let bodies = objects * BODY_BYTES;
    let beyond = |larder: &Larder| larder.disk_bytes().saturating_sub(empty).saturating_sub(bodies);
    row(
        "disk beyond the bodies",
        &format!("{} ({} bytes an object)", mib(beyond(&larder)), beyond(&larder) / objects),
    );
    row("of it the index", &mib(block_bytes(&index_dir(&larder))));
    let before = load.get_random(objects, reads);
    row(&format!("GET, random, of {objects} objects"), &rate(&before));
    row("memory after it", &mib(status_bytes(larder.pid(), "VmRSS")));
    // A thousand keys again, now among a million: the same requests, so the same hits of every tier above the index.
    row(&format!("GET, random, of {few} objects among {objects}"), &rate(&load.get_random(few, reads)));

    let mut again = |what: &str, harm: &dyn Fn(&Path)| {
        larder.kill9();
        harm(&index_dir(&larder));
        start_over(&mut larder, what, objects, reads);
    };
    again("kill -9", &|_| {});
    again("the index is gone", &|index| std::fs::remove_dir_all(index).unwrap());
    again("the index is damaged", &|index| each_file(index, &flip_bytes));
    again("the index is cut in half", &|index| each_file(index, &cut_in_half));
    again("kill -9 at once after that", &|_| {});
    println!("\nEvery object that was read had its bytes, and none was lost.");
}

/// Starts the server again on the port it chooses, prints how long that took, and reads back what it holds.
fn start_over(larder: &mut Larder, what: &str, objects: u64, reads: u64) {
    let started = Instant::now();
    larder.restart_with(Options::default().flag("--capacity", "60GiB").only_listening());
    row(&format!("{what}: until it listens"), &seconds(larder.listened_after()));
    row(&format!("{what}: until it is ready"), &seconds(larder.wait_ready()));
    // A lost index is built again behind the requests; until then objects may be missing, but never for good.
    let all = || (larder.metric("larder_stored_objects") - as_float(objects)).abs() < 0.5;
    while !all() {
        assert!(
            started.elapsed() < Duration::from_secs(600),
            "{what}: objects are missing:\n{}",
            larder.log()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    row(&format!("{what}: until every object is known"), &seconds(started.elapsed()));
    let load = Load { address: larder.address(), connections: 16 };
    row(&format!("{what}: GET, random, of {objects} objects"), &rate(&load.get_random(objects, reads)));
    row(&format!("{what}: memory"), &mib(status_bytes(larder.pid(), "VmRSS")));
}

fn index_dir(larder: &Larder) -> PathBuf {
    let name = std::env::var("MILLION_INDEX").unwrap_or_else(|_| "index".to_owned());
    let path = larder.data_dir().join(name);
    assert!(path.is_dir(), "no index at {}: name its directory in MILLION_INDEX", path.display());
    path
}

fn each_file(directory: &Path, harm: &dyn Fn(&Path)) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { each_file(&path, harm) } else { harm(&path) }
    }
}

fn cut_in_half(file: &Path) {
    let length = file.metadata().unwrap().len();
    std::fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
}

/// Flips a bit in one byte of each 64 KiB, and in the first and the last.
fn flip_bytes(file: &Path) {
    use std::os::unix::fs::FileExt;
    let length = file.metadata().unwrap().len();
    let file = std::fs::File::options().read(true).write(true).open(file).unwrap();
    let places = (0..length).step_by(64 << 10).chain(length.checked_sub(1));
    for at in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    }
}

/// A value of `/proc/<pid>/status`, which has it in kB, in bytes.
fn status_bytes(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn row(what: &str, value: &str) {
    println!("| {what} | {value} |");
}

fn rate(done: &load::Done) -> String {
    let per_second = as_float(done.requests) / done.time.as_secs_f64();
    format!("{per_second:.0} a second ({} in {})", done.requests, seconds(done.time))
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", as_float(bytes) / f64::from(1 << 20))
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
fn as_float(number: u64) -> f64 {
    number as f64
}
