//! strace on a running process: what it calls, in the order in which that happened, or with other outcomes.
//!
//! Knows the tracer; nothing of what its lines mean to a test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Child, Command, Stdio};

use crate::common::wait_for;

/// A tracer that holds a process and all its threads, and writes down what it was asked to.
pub struct Tracer {
    tracer: Child,
    log: tempfile::NamedTempFile,
}

impl Tracer {
    /// Traces `pid` with these arguments of strace; returns once nothing of the process can be missed.
    pub fn of(pid: u32, arguments: &[&str]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let tracer = Command::new("strace")
            .args(["-f", "-o"])
            .arg(log.path())
            .args(arguments)
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("strace does not start: {error}; tests/install installs it"));
        let is_held = |task: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
        };
        wait_for("strace to hold the process", || {
            std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(is_held).then_some(())
        });
        Self { tracer, log }
    }

    /// What it wrote down so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// Ends it, and returns all that it wrote down. The process goes on.
    pub fn end(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.tracer);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.tracer.wait().unwrap();
        self.log()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.tracer.kill();
        let _ = self.tracer.wait();
    }
}
