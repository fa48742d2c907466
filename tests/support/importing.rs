//! What the tests of `larder import` share: a source, the program, and counts of what reached a server.
//!
//! Knows how a bucket's objects lie in a directory; nothing of how they are copied.

#![allow(dead_code, reason = "every test program uses its own part")]
#![allow(unreachable_pub, missing_docs, reason = "a module of test programs, not a library")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::common::{Larder, tools};

/// A directory with objects as sccache writes them to a bucket.
pub struct Source {
    directory: tempfile::TempDir,
}

impl Source {
    /// One with so many numbered objects.
    pub fn new(objects: u32) -> Self {
        let source = Self { directory: tempfile::tempdir().unwrap() };
        for number in 0..objects {
            source.add(&key(number), &source.body(number));
        }
        source
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("file://{}", self.directory.path().to_str().unwrap())
    }

    /// What a numbered object holds: some are empty, some above what is read at once.
    pub fn body(&self, number: u32) -> Vec<u8> {
        let length = if number % 50 == 7 { 300_000 } else { number as usize % 50 * 41 };
        key(number).bytes().cycle().take(length).collect()
    }

    pub fn add(&self, key: &str, body: &[u8]) {
        let path = self.directory.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }

    /// Adds an object that was written so many seconds ago.
    pub fn add_aged(&self, key: &str, body: &[u8], seconds: u32) {
        self.add(key, body);
        let file = std::fs::File::options().write(true).open(self.directory.path().join(key)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds.into())).unwrap();
    }
}

/// The key of a numbered object, as sccache asks servers for it.
pub fn key(number: u32) -> String {
    let hash = format!("{:08x}{}", number.wrapping_mul(2_654_435_761), "5".repeat(56));
    format!("{}/{}/{}/{hash}", &hash[..1], &hash[1..2], &hash[2..3])
}

/// The program, in an environment that steers it nowhere.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    tools::isolate(&mut command);
    command.stdin(Stdio::null());
    command
}

/// Runs `larder import`: exit code, stdout, stderr.
pub fn import(arguments: &[&str], vars: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = command().arg("import").args(arguments).envs(vars.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Uploads that the server has answered as stored so far.
pub fn puts(larder: &Larder) -> f64 {
    larder
        .metrics()
        .get("larder_requests_total{method=\"PUT\",protocol=\"plain\",status=\"2xx\"}")
        .copied()
        .unwrap_or_default()
}

pub fn only_for_me(path: &str) {
    std::fs::set_permissions(Path::new(path), std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Something that speaks HTTP and finds nothing.
pub fn not_a_larder() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let _ =
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    address
}
