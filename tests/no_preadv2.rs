//! A kernel that lacks `preadv2`, as an emulator or a sandbox may: strace refuses the call, and reads are as good as ever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules shared by test programs, not a library")]

mod common;

use std::process::{Child, Command, Stdio};

use common::{Larder, Options, http, wait_for};

/// A tracer that answers each `preadv2` of a process with ENOSYS, and writes down that it did.
struct Refusing {
    tracer: Child,
    log: tempfile::NamedTempFile,
}

impl Refusing {
    fn of(pid: u32) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let tracer = Command::new("strace")
            .args(["-f", "-e", "trace=preadv2", "-e", "inject=preadv2:error=ENOSYS", "-o"])
            .arg(log.path())
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("strace does not start: {error}; tests/install installs it"));
        wait_for("strace to hold the process", || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")).then_some(())
        });
        Self { tracer, log }
    }

    fn refused(&self) -> usize {
        let log = std::fs::read_to_string(self.log.path()).unwrap();
        log.lines().filter(|line| line.contains("ENOSYS") && line.contains("INJECTED")).count()
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        let _ = self.tracer.kill();
        let _ = self.tracer.wait();
    }
}

#[test]
fn objects_of_every_size_are_read_and_none_is_taken_for_damaged() {
    let larder = Larder::start(Options::default().flag("--memory-tier", "0"));
    let refusing = Refusing::of(larder.pid());
    for length in [1, 20_000, 300_000, 3_000_000, 12_000_000] {
        let path = format!("/of/{length}");
        let body: Vec<u8> = (0..length).map(|at: u32| u8::try_from(at % 251).unwrap()).collect();
        assert_eq!(http::put(larder.address(), &path, &body).status, 201, "{length}");
        for _ in 0..2 {
            let answer = http::get(larder.address(), &path);
            assert_eq!(answer.status, 200, "{length}");
            assert!(answer.body == body, "{length}: other bytes");
        }
    }
    assert!(refusing.refused() > 0, "nobody called preadv2: this tests nothing");
    assert_eq!(larder.metric("larder_damaged_records_total"), 0.0);
}
