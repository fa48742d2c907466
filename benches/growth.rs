//! larder with more and more small objects: how fast they go in and come out, what they cost in memory and on disk, what an
//! eviction costs, and how soon it serves again after a clean stop, after `kill -9`, and with its index gone, damaged or cut
//! in half. One column for each number of objects. Times are printed and not judged; a wrong byte or a lost object fails.
//!
//! Knows larder from outside only, and of its data directory only that the index is in a directory of its own
//! (`GROWTH_INDEX`, by default `index`).

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that measures and prints")]
#![allow(missing_docs, reason = "no library")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "load/harm.rs"]
mod harm;
#[path = "load/small_objects.rs"]
mod load;
#[path = "load/process.rs"]
mod process;
#[path = "load/table.rs"]
mod table;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Larder, Options, block_bytes};
use load::{BODY_BYTES, Load};
use process::{cpu_micros, most_resident_bytes, resident_bytes};
use table::{Column, as_float};

/// Larger than any number of objects that is measured, so that nothing is evicted.
const ROOMY: &str = "100GiB";
/// What an object takes at most, index and all, for the question whether the disk has room.
const BYTES_ON_DISK: u64 = 6500;
/// Requests after which a measurement looks whether its time is over.
const STEP: u64 = 4000;
/// Measurements of each number of objects.
const SLICES: u64 = 5;
/// Also asked for alone, among all others: the same requests, so the same hits of every tier above the index.
const FEW: u64 = 1000;

fn main() {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no number"));
    let counts = setting("GROWTH_OBJECTS", "1000 100000 1000000 5000000");
    let counts: Vec<u64> = counts.split_whitespace().map(number).collect();
    let seconds = number(&setting("BENCH_SECONDS", "200"));
    let slice = Duration::from_secs((seconds / (SLICES * counts.len() as u64)).max(1));
    let mut columns = Vec::new();
    for objects in counts {
        let free = free_bytes(&std::env::temp_dir());
        // What is written for the measurements comes on top.
        if free < objects * BYTES_ON_DISK + (4 << 30) {
            eprintln!("benches/growth: left out: {objects} objects, the disk has only {free} bytes free");
            continue;
        }
        eprintln!("benches/growth: {objects} objects");
        columns.push(Run { objects, slice }.measure());
    }
    assert!(!columns.is_empty(), "nothing was measured");
    println!(
        "Objects of {BODY_BYTES} bytes over 16 connections; CPU is user and system time of the server a request.\n"
    );
    table::print(&columns);
    println!("\nEvery object that was read had its bytes, and none was lost.");
}

/// One number of objects, in a data directory of its own.
struct Run {
    objects: u64,
    slice: Duration,
}

impl Run {
    fn measure(&self) -> Column {
        let mut column = Column::new(self.objects);
        let mut larder = Larder::start(Options::default().flag("--capacity", ROOMY));
        let empty = larder.disk_bytes();
        let rate = measured(&larder, |load| load.put(0..self.objects));
        column.add("PUT until all are there", rate);
        self.wait_all(&larder, self.objects);
        column.add("memory after it", table::mib(resident_bytes(larder.pid())));
        column.add("memory, most", table::mib(most_resident_bytes(larder.pid())));
        column.add("until nothing is left to do behind the requests", settle(&larder));
        column.add("memory then", table::mib(resident_bytes(larder.pid())));
        let beyond = larder.disk_bytes().saturating_sub(empty).saturating_sub(self.objects * BODY_BYTES);
        let index = block_bytes(&harm::index_dir(&larder));
        column.add("disk beyond the bodies, bytes an object", format!("{}", beyond / self.objects));
        column.add("of it the index", format!("{}", index / self.objects));

        let read = |load: &Load, objects: u64| {
            load.go_on(self.slice, |load, step| load.get_random(objects, STEP, step))
        };
        // Once before, so that the bodies are checked that larder checks at their first read.
        read(&larder_load(&larder), self.objects);
        column.add("GET, random", measured(&larder, |load| read(load, self.objects)));
        let few = FEW.min(self.objects);
        column.add("GET, a thousand of them", measured(&larder, |load| read(load, few)));
        column.add("memory after the GETs", table::mib(resident_bytes(larder.pid())));
        let mut all = self.objects;
        column.add("PUT of more", measured(&larder, |load| self.write(load, &mut all)));
        self.wait_all(&larder, all);

        let index = harm::index_dir(&larder);
        let status = larder.terminate();
        assert!(status.success(), "it ended with {status}:\n{}", larder.log());
        self.start_over(&mut column, &mut larder, "a clean stop", all);
        let after = |column: &mut Column, larder: &mut Larder, what: &str, harm: &dyn Fn(&Path)| {
            larder.kill9();
            harm(&index);
            self.start_over(column, larder, what, all);
        };
        after(&mut column, &mut larder, "kill -9", &|_| {});
        after(&mut column, &mut larder, "losing the index", &|index| std::fs::remove_dir_all(index).unwrap());
        after(&mut column, &mut larder, "damage to the index", &|index| {
            harm::each_file(index, &harm::flip_bytes);
        });
        after(&mut column, &mut larder, "half of the index", &|index| {
            harm::each_file(index, &harm::cut_in_half);
        });

        self.evict(&mut column, &mut larder, all);
        column
    }

    /// Starts the server again, which has ended, and measures how long that takes. Nothing may be lost.
    fn start_over(&self, column: &mut Column, larder: &mut Larder, what: &str, objects: u64) {
        let started = Instant::now();
        larder.restart_with(Options::default().flag("--capacity", ROOMY).only_listening());
        assert_eq!(
            common::http::get(larder.address(), "/-/healthy").status,
            200,
            "the first answer after {what}"
        );
        column.add(&format!("start after {what}: first answer"), table::seconds(started.elapsed()));
        column.add(&format!("start after {what}: ready"), table::seconds(larder.wait_ready()));
        // A lost index is built again behind the requests; until then objects may be missing, but never for good.
        self.wait_all(larder, objects);
        column.add(&format!("start after {what}: every object known"), table::seconds(started.elapsed()));
        larder_load(larder).get_random(objects, STEP, 0);
        column.add(&format!("start after {what}: memory"), table::mib(resident_bytes(larder.pid())));
    }

    /// PUTs into a cache that is full, so that each costs evictions.
    fn evict(&self, column: &mut Column, larder: &mut Larder, objects: u64) {
        // What is there already, so that little has to go before it is full; a small cache has a least capacity.
        let capacity = larder.disk_bytes().max(32 << 20);
        larder.terminate();
        larder.restart_with(Options::default().flag("--capacity", &format!("{capacity}B")));
        let evicted = |larder: &Larder| larder.total("larder_evictions_total");
        let mut next = objects;
        // A small one first has to be filled.
        let most = objects + capacity / BODY_BYTES;
        while evicted(larder) < 1.0 {
            assert!(next < most, "nothing was evicted with {capacity} bytes and {next} objects");
            larder_load(larder).put(next..next + 1000);
            next += 1000;
        }
        settle(larder);
        let (before, started) = (evicted(larder), Instant::now());
        let rate = measured(larder, |load| self.write(load, &mut next));
        let per_second = (evicted(larder) - before) / started.elapsed().as_secs_f64();
        column.add("PUT into a full cache", rate);
        column.add("evictions a second meanwhile", format!("{per_second:.0}"));
        assert!(evicted(larder) > before, "nothing was evicted");
        larder_load(larder).get(next - 1..next);
        assert!(
            larder.disk_bytes() <= capacity,
            "{} bytes where {capacity} are the limit",
            larder.disk_bytes()
        );
    }

    /// Stores new objects for a slice, from number `next` on, which is moved behind them.
    fn write(&self, load: &Load, next: &mut u64) -> load::Done {
        let first = *next;
        let done =
            load.go_on(self.slice, |load, step| load.put(first + step * STEP..first + (step + 1) * STEP));
        *next += done.requests;
        done
    }

    fn wait_all(&self, larder: &Larder, objects: u64) {
        let until = Instant::now() + Duration::from_secs(900);
        while (larder.metric("larder_stored_objects") - as_float(objects)).abs() > 0.5 {
            assert!(Instant::now() < until, "objects are missing:\n{}", larder.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits until nothing that was stored is worked on any more, so that what is measured next does not pay for it: a listing is
/// answered once the index has everything, and then the file system writes what it holds back. Says how long that took.
fn settle(larder: &Larder) -> String {
    let started = Instant::now();
    let url = format!("http://{}/default/there-is-nothing-below-this/", larder.address());
    let listing = ["-sSf", "-o", "/dev/null", "-X", "PROPFIND", "-H", "Depth: 1", "--max-time", "1800", &url];
    run(Command::new("curl").args(listing));
    run(Command::new("sync").arg("-f").arg(larder.data_dir()));
    table::seconds(started.elapsed())
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn larder_load(larder: &Larder) -> Load {
    Load { address: larder.address(), connections: 16 }
}

/// Requests a second under this load, and the server's processor time for each.
fn measured(larder: &Larder, load: impl FnOnce(&Load) -> load::Done) -> String {
    let before = cpu_micros(larder.pid());
    let done = load(&larder_load(larder));
    let cpu = as_float(cpu_micros(larder.pid()) - before) / as_float(done.requests);
    format!("{:.0}/s, {cpu:.1} µs CPU", as_float(done.requests) / done.time.as_secs_f64())
}

fn free_bytes(directory: &Path) -> u64 {
    let disk = rustix::fs::statvfs(directory).unwrap();
    disk.f_bavail * disk.f_frsize
}
