//! The program and the signals that end it: the first lets uploads finish, the second does not wait.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// The program, serving on a port of its own.
struct Program {
    child: Child,
    address: SocketAddr,
    _stdout: BufReader<ChildStdout>,
    _data: TempDir,
}

impl Program {
    fn start() -> Self {
        let data = TempDir::new().expect("a directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path().join("data"))
            // The settings of the test run are no settings of the server.
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a first line");
        let (_, rest) = line.split_once("http://").expect("an address in the first line");
        let address = rest.split(',').next().and_then(|text| text.parse().ok()).expect("an address");
        Self { child, address, _stdout: stdout, _data: data }
    }

    /// Begins an upload of 8 bytes and sends 4, once the server asks for them: then it is under way.
    fn begin_upload(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.address).expect("a connection");
        client.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let head = "PUT /a/b HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n";
        client.write_all(head.as_bytes()).expect("sent");
        let mut go_on = [0; 25];
        client.read_exact(&mut go_on).expect("leave to go on");
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"half").expect("sent");
        client
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("signalled");
    }

    fn wait_until_nobody_listens(&self) {
        wait(|| TcpStream::connect(self.address).is_err());
    }

    fn exit_code(mut self) -> Option<i32> {
        let mut status = None;
        wait(|| {
            status = self.child.try_wait().expect("a status");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(mut over: impl FnMut() -> bool) {
    let start = Instant::now();
    while !over() {
        assert!(start.elapsed() < PATIENCE, "in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_first_signal_lets_an_upload_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let program = Program::start();
        let mut upload = program.begin_upload();
        program.signal(signal);
        program.wait_until_nobody_listens();
        upload.write_all(b"full").expect("sent");
        let mut answer = String::new();
        upload.read_to_string(&mut answer).expect("an answer, then the end");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert_eq!(program.exit_code(), Some(0));
    }
}

#[test]
fn the_second_signal_does_not_wait() {
    let program = Program::start();
    let _upload = program.begin_upload();
    program.signal(Signal::TERM);
    program.wait_until_nobody_listens();
    program.signal(Signal::TERM);
    assert_eq!(program.exit_code(), Some(1));
}
