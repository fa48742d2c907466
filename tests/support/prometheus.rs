//! A real Prometheus over a directory of its own, with the scrape configuration and the rules that larder ships, only faster:
//! it scrapes each second, and alerts do not wait.
//!
//! Knows how Prometheus is started and asked; nothing of what larder counts.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::common::http::Connection;
use crate::common::{tools, wait_for};

/// What the repository has for Prometheus.
pub fn shipped() -> PathBuf {
    tools::repository().join("deploy/prometheus")
}

/// A running Prometheus. Dropping it ends it and removes what it stored.
pub struct Prometheus {
    address: SocketAddr,
    child: Child,
    _scratch: tempfile::TempDir,
}

impl Prometheus {
    /// One that scrapes these servers.
    pub fn start(targets: &[SocketAddr]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        write_settings(scratch.path(), targets);
        // A port that is free now may be taken in the next moment: then with another.
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            let mut child = spawn(scratch.path(), address);
            let is_up = wait_for("Prometheus to be ready or to end", || {
                if child.try_wait().unwrap().is_some() {
                    return Some(false);
                }
                let ready =
                    Connection::open(address).and_then(|mut c| c.request("GET", "/-/ready", &[], b""));
                ready.is_ok_and(|answer| answer.status == 200).then_some(true)
            });
            if is_up {
                return Self { address, child, _scratch: scratch };
            }
        }
        let log = std::fs::read_to_string(scratch.path().join("log")).unwrap_or_default();
        panic!("Prometheus does not start:\n{log}");
    }

    /// What its API says at `path`.
    pub fn api(&self, path: &str) -> Value {
        let mut connection = Connection::open(self.address).unwrap();
        let answer = connection.request("GET", &format!("/api/v1/{path}"), &[], b"").unwrap();
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(said["status"], "success", "{path}: {said}");
        said["data"].clone()
    }

    /// The values that an expression has now; those that are no number are left out.
    pub fn values(&self, expression: &str) -> Vec<f64> {
        let data = self.api(&format!("query?query={}", utf8_percent_encode(expression, NON_ALPHANUMERIC)));
        let rows = data["result"].as_array().unwrap_or_else(|| panic!("{expression}: {data}"));
        let values = rows.iter().map(|row| row["value"][1].as_str().unwrap().parse::<f64>().unwrap());
        values.filter(|value| !value.is_nan()).collect()
    }

    /// Every rule it has.
    pub fn rules(&self) -> Vec<Value> {
        let groups = self.api("rules");
        let groups = groups["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    /// The alerts that fire.
    pub fn firing(&self) -> Vec<Value> {
        let alerts = self.api("alerts");
        let alerts = alerts["alerts"].as_array().unwrap().iter();
        alerts.filter(|alert| alert["state"] == "firing").cloned().collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs promtool and fails with what it says where it complains.
pub fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(tools::tool("promtool"));
    command.args(arguments).current_dir(shipped());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(output.status.success(), "promtool {arguments:?}:\n{}", String::from_utf8_lossy(&said));
    output
}

fn spawn(scratch: &Path, address: SocketAddr) -> Child {
    let log = std::fs::File::create(scratch.join("log")).unwrap();
    let mut command = Command::new(tools::tool("prometheus"));
    command.arg(format!("--config.file={}", scratch.join("prometheus.yml").display()));
    command.arg(format!("--storage.tsdb.path={}", scratch.join("data").display()));
    command.arg(format!("--web.listen-address={address}")).arg("--log.level=warn");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// What is shipped, with other targets and less patience.
fn write_settings(scratch: &Path, targets: &[SocketAddr]) {
    let changed = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(shipped().join(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        text.replace(from, to)
    };
    let targets: Vec<_> = targets.iter().map(|address| format!("\"{address}\"")).collect();
    let settings = changed("prometheus.yml", "\"localhost:4227\"", &targets.join(", "));
    assert_eq!(settings.matches("_interval: 15s").count(), 2);
    std::fs::write(scratch.join("prometheus.yml"), settings.replace("_interval: 15s", "_interval: 1s"))
        .unwrap();
    std::fs::create_dir(scratch.join("rules")).unwrap();
    let recording = changed("rules/recording.yml", "interval: 1m", "interval: 1s");
    std::fs::write(scratch.join("rules/recording.yml"), recording).unwrap();
    let alerts = changed("rules/alerts.yml", "        for: ", "        for: 0s # ");
    std::fs::write(scratch.join("rules/alerts.yml"), alerts).unwrap();
}
