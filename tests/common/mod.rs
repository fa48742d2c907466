//! The harness of the integration tests: starts the real `larder` program on a free port over its own data
//! directory, kills and restarts it, and reads its metrics, its log and its disk blocks.
//!
//! Knows the program only from outside: arguments, environment, output, sockets and files.

#![allow(dead_code, reason = "every test program uses its own part of the harness")]
#![allow(unreachable_pub, missing_docs, reason = "a module of test programs, not a library")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod http;
pub mod project;
pub mod s3;
pub mod sccache;
pub mod tools;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Longest wait for anything that should take milliseconds: only a broken server ever uses it up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What to start. `Options::default()` is a server with nothing configured.
#[derive(Clone, Default)]
pub struct Options {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    config: Option<String>,
    only_listening: bool,
}

impl Options {
    /// Adds a flag of `serve`.
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Adds a variable to the environment, such as `LARDER_ANONYMOUS`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives the server this text as its configuration file.
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// Returns from the start as soon as the server accepts connections, before it is ready.
    pub fn only_listening(mut self) -> Self {
        self.only_listening = true;
        self
    }
}

/// A running server with a data directory of its own. Dropping it kills the one and removes the other.
pub struct Larder {
    options: Options,
    scratch: tempfile::TempDir,
    process: Process,
}

impl Larder {
    /// Starts a server over an empty data directory and waits until it is ready.
    pub fn start(options: Options) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let process = Process::spawn(&options, scratch.path());
        Self { options, scratch, process }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// The URL of `path`, which starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.process.address)
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(self.scratch.path())
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Time from the spawn to the first accepted connection.
    pub fn listened_after(&self) -> Duration {
        self.process.listened_after
    }

    /// Time from the spawn to the first 200 of `/-/ready`; waits for it.
    pub fn wait_ready(&mut self) -> Duration {
        self.process.wait_ready()
    }

    /// Kills the process at once, as `kill -9` does.
    pub fn kill9(&mut self) {
        let _ = self.process.child.kill();
        self.process.child.wait().unwrap();
    }

    /// Kills the process if it still runs, then starts it on the same data, on a new port.
    pub fn restart(&mut self) {
        self.kill9();
        self.process = Process::spawn(&self.options, self.scratch.path());
    }

    /// Kills the process if it still runs, starts another on the same data, and kills that one `after` its spawn,
    /// however far it has come.
    pub fn kill_while_starting(&mut self, after: Duration) {
        self.kill9();
        let mut command = command(&self.options, self.scratch.path());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// As [`Larder::restart`], with other options.
    pub fn restart_with(&mut self, options: Options) {
        self.options = options;
        self.restart();
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.process.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.process.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server did not end on SIGTERM within {PATIENCE:?}; its log:\n{}", self.log());
    }

    /// What it wrote to stdout and stderr so far.
    pub fn log(&self) -> String {
        self.process.log.lock().unwrap().clone()
    }

    /// Every sample of `/metrics`: `name` or `name{labels}` to value.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = http::get(self.address(), "/metrics");
        assert_eq!(answer.status, 200, "/metrics");
        answer
            .text()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect()
    }

    /// One sample of `/metrics` that has no labels.
    pub fn metric(&self, name: &str) -> f64 {
        *self.metrics().get(name).unwrap_or_else(|| panic!("/metrics has no {name}"))
    }

    /// The samples of a metric with labels, added up; 0 while there are none.
    pub fn total(&self, name: &str) -> f64 {
        total(&self.metrics(), name)
    }

    /// Bytes of disk blocks below the data directory, directories included.
    pub fn disk_bytes(&self) -> u64 {
        block_bytes(&self.data_dir())
    }
}

impl Drop for Larder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

/// The samples of a metric with labels, added up; 0 where there are none.
pub fn total(metrics: &BTreeMap<String, f64>, name: &str) -> f64 {
    let is_of_it = |sample: &str| sample.split('{').next() == Some(name);
    metrics.iter().filter(|(sample, _)| is_of_it(sample)).map(|(_, value)| value).sum()
}

/// Bytes of disk blocks of `path` and of all below it. What vanishes while it is counted counts nothing.
pub fn block_bytes(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else {
        return 0;
    };
    let below = std::fs::read_dir(path).into_iter().flatten().flatten();
    metadata.blocks() * 512 + below.map(|entry| block_bytes(&entry.path())).sum::<u64>()
}

/// Polls until `condition` gives a value; fails after [`PATIENCE`] naming what was waited for.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Process {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    started: Instant,
    listened_after: Duration,
}

impl Process {
    fn spawn(options: &Options, scratch: &Path) -> Self {
        let mut command = command(options, scratch);
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = mpsc::channel();
        follow(child.stderr.take().unwrap(), Arc::clone(&log), |_| {});
        follow(child.stdout.take().unwrap(), Arc::clone(&log), move |line| {
            if let Some(address) = listen_address(line) {
                let _ = found.send(address);
            }
        });
        let Ok(address) = address.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let status = child.wait().unwrap();
            panic!("the server printed no address and ended with {status}:\n{}", log.lock().unwrap());
        };
        let mut process = Self { child, address, log, started, listened_after: Duration::ZERO };
        wait_for("the server to accept a connection", || std::net::TcpStream::connect(address).ok());
        process.listened_after = started.elapsed();
        if !options.only_listening {
            process.wait_ready();
        }
        process
    }

    fn wait_ready(&mut self) -> Duration {
        let deadline = Instant::now() + 5 * PATIENCE;
        while http::get(self.address, "/-/ready").status != 200 {
            assert!(Instant::now() < deadline, "the server never got ready");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.started.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts a server over the data in `scratch`.
fn command(options: &Options, scratch: &Path) -> Command {
    // A stand-in may be named, so that the tests themselves can be tried against another server.
    let program = std::env::var_os("LARDER_TEST_BIN").unwrap_or(env!("CARGO_BIN_EXE_larder").into());
    let mut command = Command::new(&program);
    // The server refuses LARDER_* variables that it does not know, and the tests' own are among them.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LARDER_") {
            command.env_remove(name);
        }
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir(scratch));
    if let Some(config) = &options.config {
        let file = scratch.join("larder.toml");
        std::fs::write(&file, config).unwrap();
        command.arg("--config").arg(file);
    }
    command.args(&options.arguments).envs(options.environment.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn data_dir(scratch: &Path) -> PathBuf {
    scratch.join("data")
}

/// The first `http://127.0.0.1:PORT` of a line.
fn listen_address(line: &str) -> Option<SocketAddr> {
    let rest = line.split_once("http://127.0.0.1:")?.1;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let port: u16 = rest[..digits].parse().ok().filter(|port| *port != 0)?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn follow(
    stream: impl Read + Send + 'static,
    log: Arc<Mutex<String>>,
    on_line: impl Fn(&str) + Send + 'static,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            on_line(&line);
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}
