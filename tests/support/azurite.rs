//! Azurite, Microsoft's emulator of Azure's blobs, in memory: one container is there when it is.
//!
//! Knows how Azurite is told what to do; nothing of larder.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::common::{PATIENCE, http, tools};

/// The container that is there.
pub const CONTAINER: &str = "larder";
/// The one account of every emulator.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its key, which Microsoft's documentation tells everybody.
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running emulator. Dropping it ends it, and what it stored is gone.
pub struct Azurite {
    address: SocketAddr,
    _scratch: tempfile::TempDir,
    process: Child,
}

/// The one that the tests of a program share while any of them needs it: it takes seconds to start.
static SHARED: Mutex<Weak<Azurite>> = Mutex::new(Weak::new());

impl Azurite {
    /// An emulator that other tests of this program use as well: keep to prefixes of your own.
    pub fn shared() -> Arc<Self> {
        // A test that failed in here leaves nothing half-made.
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let azurite = Arc::new(Self::start());
            *shared = Arc::downgrade(&azurite);
            azurite
        })
    }

    /// An emulator of one's own.
    pub fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = Command::new(tools::tool("azurite"));
        tools::isolate(&mut command);
        command.args([
            "--blobPort",
            "0",
            "--inMemoryPersistence",
            "--skipApiVersionCheck",
            "--disableTelemetry",
        ]);
        // The account stands in the path, whatever host is asked for.
        command.args(["--disableProductStyleUrl", "--silent"]).current_dir(scratch.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (found, address) = mpsc::channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listens on http://") {
                    let _ = found.send(address.trim().parse());
                }
            }
        });
        let Ok(Ok(address)) = address.recv_timeout(PATIENCE) else {
            let _ = process.kill();
            panic!("Azurite does not say where it listens: {:?}", process.wait());
        };
        let azurite = Self { address, _scratch: scratch, process };
        azurite.make_container();
        azurite
    }

    /// Where it speaks.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One signed request: the clients of larder's own library make no containers.
    fn make_container(&self) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let headers = [("x-ms-date", date.as_str()), ("x-ms-version", "2021-12-02")];
        // Shared Key: the verb, eleven headers that are not sent, those of Microsoft, and what is asked for. The account
        // comes twice, because here it stands in the path as well.
        let signed: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let text =
            format!("PUT{}{signed}/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container", "\n".repeat(12));
        let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(KEY).unwrap()).unwrap();
        mac.update(text.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let authorization = format!("SharedKey {ACCOUNT}:{signature}");
        let headers = [headers[0], headers[1], ("Authorization", &authorization)];
        let path = format!("/{ACCOUNT}/{CONTAINER}?restype=container");
        let answer = http::request(self.address, "PUT", &path, &headers, b"");
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
