//! `durability = "commit"` as the kernel sees it: before an answer goes out, all that it speaks of has been synced.
//!
//! No kill can show that, as the page cache outlives it. So strace writes down in which order larder writes, syncs and answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules shared by test programs, not a library")]

mod common;
#[path = "support/strace.rs"]
mod strace;

use std::collections::{BTreeMap, BTreeSet};

use common::{Larder, Options, http};
use strace::Tracer;

const CALLS: &str = "trace=openat,pwritev,pwrite64,fdatasync,fsync,sendto";

/// What was written and not synced since, as a trace goes on.
#[derive(Default)]
struct Disk {
    /// Files, and their directory as where they came into it, with the number of the write that was the last.
    unsynced: BTreeMap<String, usize>,
    /// Of each thread the sync that it is in, and the number of writes before.
    syncing: BTreeMap<String, (String, usize)>,
    writes: usize,
    synced: BTreeSet<String>,
    answers: usize,
}

impl Disk {
    fn write(&mut self, file: String) {
        self.writes += 1;
        self.unsynced.insert(file, self.writes);
    }

    fn end_sync(&mut self, file: String, before: usize) {
        if self.unsynced.get(&file).is_some_and(|last| *last <= before) {
            self.unsynced.remove(&file);
        }
        self.synced.insert(file);
    }

    /// Takes one line of the trace, `thread call(…) = result` or one half of it.
    fn take(&mut self, line: &str) {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let in_segments = |text: &str| {
            let path = text.split_once('<')?.1.split_once('>')?.0;
            path.contains("/segments").then(|| path.to_owned())
        };
        if call.starts_with("pwrite") {
            // From its beginning on: a sync that begins while it is under way may miss it.
            in_segments(call).into_iter().for_each(|file| self.write(file));
        } else if call.starts_with("openat") && call.contains("O_CREAT") {
            let path = call.split('"').nth(1).unwrap();
            if let Some((directory, _)) =
                path.rsplit_once('/').filter(|(directory, _)| directory.ends_with("/segments"))
            {
                self.write(directory.to_owned());
            }
        } else if call.starts_with("fdatasync") || call.starts_with("fsync") {
            let Some(file) = in_segments(call) else { return };
            match call.contains("<unfinished") {
                true => drop(self.syncing.insert(thread.to_owned(), (file, self.writes))),
                false if call.ends_with("= 0") => self.end_sync(file, self.writes),
                false => panic!("{line}"),
            }
        } else if call.contains("sync resumed>") {
            let Some((file, before)) = self.syncing.remove(thread) else { return };
            assert!(call.ends_with("= 0"), "{line}");
            self.end_sync(file, before);
        } else if call.starts_with("sendto") && call.contains("\"HTTP/1.1 20") {
            self.answers += 1;
            assert!(
                self.unsynced.is_empty(),
                "answer {} while {:?} wait for a sync",
                self.answers,
                self.unsynced
            );
        }
    }
}

#[test]
fn an_answer_waits_for_the_sync_of_all_that_it_speaks_of() {
    // Segments of 1 MiB, so that some are sealed meanwhile; objects from 8 MiB on have files of their own.
    let options = Options::default().flag("--capacity", "64MiB").env("LARDER_DURABILITY", "commit");
    let larder = Larder::start(options);
    let tracer = Tracer::of(larder.pid(), &["-y", "-s", "16", "-e", CALLS]);
    let put = |key: &str, length: usize, fill: u8| {
        let answer = http::put(larder.address(), key, &vec![fill; length]);
        assert!(answer.status == 201 || answer.status == 204, "{key}: {}", answer.status);
    };
    let mut answers = 0;
    for number in 0..24 {
        put(&format!("/new/{number}"), 200_000 + number * 7, 1);
        put(&format!("/small/{number}"), 1000, 1);
        answers += 2;
    }
    put("/large/1", 9 << 20, 1);
    put("/large/2", 9 << 20, 1);
    assert_eq!(http::request(larder.address(), "DELETE", "/new/3", &[], b"").status, 204);
    answers += 3;
    let mut disk = Disk::default();
    tracer.end().lines().for_each(|line| disk.take(line));
    assert_eq!(disk.answers, answers, "the trace has not all of it");
    let segments = disk.synced.iter().filter(|file| file.contains(".seg")).count();
    assert!(segments > 4 && disk.synced.iter().any(|file| file.ends_with("/segments")), "{:?}", disk.synced);
}
