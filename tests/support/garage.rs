//! Garage, a real S3 server, over a directory of its own: one bucket and one key are there when it is. It can be killed and
//! started again at the same ports.
//!
//! Knows how Garage is told what to do; nothing of larder.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, tools};

/// The bucket that is there.
pub const BUCKET: &str = "larder";
/// The region that signatures name.
pub const REGION: &str = "garage";
/// The id of the key that may do everything to the bucket.
pub const KEY_ID: &str = "GK31c2f218a2e44f485b94239e";
/// The secret of that key.
pub const SECRET: &str = "b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835";

/// A running server. Dropping it ends it and removes what it stored.
pub struct Garage {
    address: SocketAddr,
    scratch: tempfile::TempDir,
    process: Mutex<Option<Child>>,
}

/// The one that the tests of a program share while any of them needs it.
static SHARED: Mutex<Weak<Garage>> = Mutex::new(Weak::new());

impl Garage {
    /// A server that other tests of this program use as well: keep to prefixes of your own, and do not end it.
    pub fn shared() -> Arc<Self> {
        // A test that failed in here leaves nothing half-made.
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let garage = Arc::new(Self::start());
            *shared = Arc::downgrade(&garage);
            garage
        })
    }

    /// A server of one's own.
    pub fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        // Ports that are free now may be taken in the next moment: then with others.
        for _ in 0..5 {
            let [address, peers] = free_ports();
            std::fs::write(scratch.path().join("garage.toml"), settings(scratch.path(), address, peers))
                .unwrap();
            if let Some(process) = spawn(scratch.path(), address) {
                return Self { address, scratch, process: Mutex::new(Some(process)) };
            }
        }
        panic!("Garage does not start:\n{}", log(scratch.path()));
    }

    /// Where it speaks S3.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again, over what it stored, at the same ports.
    pub fn restart(&self) {
        self.kill();
        let began = Instant::now();
        let process = loop {
            match spawn(self.scratch.path(), self.address) {
                Some(process) => break process,
                None => assert!(began.elapsed() < PATIENCE, "Garage does not start again:\n{}", self.log()),
            }
        };
        *self.process.lock().unwrap() = Some(process);
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        log(self.scratch.path())
    }
}

impl Drop for Garage {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts it and waits until it answers; `None` where it ended instead.
fn spawn(scratch: &Path, address: SocketAddr) -> Option<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(scratch.join("log")).unwrap();
    let mut command = Command::new(tools::tool("garage"));
    tools::isolate(&mut command);
    command.arg("-c").arg(scratch.join("garage.toml")).args(["server", "--single-node", "--default-bucket"]);
    command.env("GARAGE_DEFAULT_BUCKET", BUCKET).env("RUST_LOG", "garage=warn");
    command.env("GARAGE_DEFAULT_ACCESS_KEY", KEY_ID).env("GARAGE_DEFAULT_SECRET_KEY", SECRET);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut process = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let began = Instant::now();
    loop {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        // It makes its bucket and its key before it listens.
        if TcpStream::connect(address).is_ok() && process.try_wait().unwrap().is_none() {
            return Some(process);
        }
        assert!(began.elapsed() < PATIENCE, "Garage does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn settings(scratch: &Path, address: SocketAddr, peers: SocketAddr) -> String {
    let (metadata, data) = (scratch.join("metadata"), scratch.join("data"));
    format!(
        "metadata_dir = {metadata:?}\ndata_dir = {data:?}\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
         compression_level = \"none\"\nrpc_bind_addr = \"{peers}\"\nrpc_public_addr = \"{peers}\"\nrpc_secret = \"{SECRET}\"\n\
         [s3_api]\napi_bind_addr = \"{address}\"\ns3_region = \"{REGION}\"\n"
    )
}

fn free_ports() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

fn log(scratch: &Path) -> String {
    std::fs::read_to_string(scratch.join("log")).unwrap_or_default()
}
