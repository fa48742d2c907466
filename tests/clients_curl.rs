//! What people and scripts do with curl: uploads of known and unknown length, ranges, resumed downloads,
//! conditions, HEAD and DELETE.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Larder, Options, tools};

#[test]
fn a_large_file_is_uploaded_after_100_continue_and_comes_back() {
    let (larder, scratch) = (Larder::start(Options::default()), tempfile::tempdir().unwrap());
    let body = noise(3 << 20);
    std::fs::write(scratch.path().join("up"), &body).unwrap();
    let url = larder.url("/builds/large");
    let said = curl(scratch.path(), &["-v", "-H", "Expect: 100-continue", "-T", "up", &url], None);
    assert!(said.stderr.contains("< HTTP/1.1 100 Continue"), "no interim answer:\n{}", said.stderr);
    assert_eq!(said.code, 201, "{}", said.stderr);
    assert_eq!(curl(scratch.path(), &["-T", "up", &url], None).code, 204, "a second PUT replaces");

    let said = curl(scratch.path(), &["-o", "down", "-D", "head", &url], None);
    assert_eq!(said.code, 200);
    assert!(std::fs::read(scratch.path().join("down")).unwrap() == body, "the body changed on its way");
    let head = std::fs::read_to_string(scratch.path().join("head")).unwrap().to_ascii_lowercase();
    assert!(head.contains("content-length: 3145728\r\n"), "{head}");
}

#[test]
fn standard_input_is_uploaded_in_chunks() {
    let (larder, scratch) = (Larder::start(Options::default()), tempfile::tempdir().unwrap());
    let body = noise(1_500_001);
    let url = larder.url("/builds/chunked");
    let said = curl(scratch.path(), &["-v", "-T", "-", &url], Some(&body));
    assert!(said.stderr.to_ascii_lowercase().contains("> transfer-encoding: chunked"), "{}", said.stderr);
    assert_eq!(said.code, 201, "{}", said.stderr);
    assert_eq!(curl(scratch.path(), &["-o", "down", &url], None).code, 200);
    assert!(std::fs::read(scratch.path().join("down")).unwrap() == body, "the body changed on its way");
}

#[test]
fn an_empty_file_is_an_object_too() {
    let (larder, scratch) = (Larder::start(Options::default()), tempfile::tempdir().unwrap());
    std::fs::write(scratch.path().join("up"), "").unwrap();
    let url = larder.url("/builds/empty");
    assert_eq!(curl(scratch.path(), &["-T", "up", &url], None).code, 201);
    assert_eq!(curl(scratch.path(), &["-o", "down", &url], None).code, 200);
    assert_eq!(std::fs::read(scratch.path().join("down")).unwrap(), b"");
}

#[test]
fn ranges_are_served_and_a_download_is_resumed() {
    let (larder, scratch) = (Larder::start(Options::default()), tempfile::tempdir().unwrap());
    let body = noise(1 << 20);
    let length = body.len();
    std::fs::write(scratch.path().join("up"), &body).unwrap();
    let url = larder.url("/builds/ranges");
    assert_eq!(curl(scratch.path(), &["-T", "up", &url], None).code, 201);
    let ranges = [
        ("0-0", 0..1),
        ("100-65635", 100..65636),
        ("-7", length - 7..length),
        ("1048000-", 1_048_000..length),
    ];
    for (range, expected) in ranges {
        let said = curl(scratch.path(), &["-r", range, "-o", "part", &url], None);
        assert_eq!(said.code, 206, "range {range}");
        assert!(std::fs::read(scratch.path().join("part")).unwrap() == body[expected], "range {range}");
    }
    assert_eq!(curl(scratch.path(), &["-r", "1048576-", "-o", "none", &url], None).code, 416);

    std::fs::write(scratch.path().join("down"), &body[..300_000]).unwrap();
    assert_eq!(curl(scratch.path(), &["-C", "-", "-o", "down", &url], None).code, 206, "the rest only");
    assert!(std::fs::read(scratch.path().join("down")).unwrap() == body, "the resumed download differs");
}

#[test]
fn head_conditions_and_delete() {
    let (larder, scratch) = (Larder::start(Options::default()), tempfile::tempdir().unwrap());
    let body = b"text that a server might want to compress ".repeat(100);
    std::fs::write(scratch.path().join("up"), &body).unwrap();
    let url = larder.url("/builds/a%20name%20with%20%C3%BC");
    assert_eq!(curl(scratch.path(), &["-I", "-o", "head", &url], None).code, 404);
    assert_eq!(curl(scratch.path(), &["-T", "up", &url], None).code, 201);

    assert_eq!(curl(scratch.path(), &["-I", "-o", "head", &url], None).code, 200);
    let head = std::fs::read_to_string(scratch.path().join("head")).unwrap().to_ascii_lowercase();
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    assert!(head.contains("\r\netag: \""), "{head}");
    assert!(head.contains("\r\nlast-modified: "), "{head}");

    // What was stored is what is served, whatever encodings a client would take.
    assert_eq!(curl(scratch.path(), &["--compressed", "-o", "down", "-D", "head", &url], None).code, 200);
    assert_eq!(std::fs::read(scratch.path().join("down")).unwrap(), body);
    let head = std::fs::read_to_string(scratch.path().join("head")).unwrap().to_ascii_lowercase();
    assert!(!head.contains("content-encoding"), "{head}");

    assert_eq!(curl(scratch.path(), &["--etag-save", "tag", "-o", "down", &url], None).code, 200);
    assert_eq!(curl(scratch.path(), &["--etag-compare", "tag", "-o", "down", &url], None).code, 304);
    assert_eq!(
        curl(scratch.path(), &["-T", "up", "-H", "If-None-Match: *", &url], None).code,
        412,
        "create only"
    );

    assert_eq!(curl(scratch.path(), &["-X", "DELETE", &url], None).code, 204);
    assert_eq!(curl(scratch.path(), &["-o", "down", &url], None).code, 404);
    assert_eq!(curl(scratch.path(), &["-X", "DELETE", &url], None).code, 404);
}

struct Said {
    code: u16,
    stderr: String,
}

/// Runs curl in `directory` and returns the status code of its last answer.
fn curl(directory: &Path, arguments: &[&str], input: Option<&[u8]>) -> Said {
    let mut command = Command::new(tools::tool("curl"));
    tools::isolate(&mut command);
    command.args(["-sS", "--max-time", "60", "-w", "\n%{http_code}"]).args(arguments).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.unwrap_or_default()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}: {stderr}", output.status);
    let code = stdout.rsplit('\n').next().and_then(|code| code.parse().ok());
    Said { code: code.unwrap_or_else(|| panic!("no status code in {stdout:?}")), stderr: stderr.into_owned() }
}

/// Bytes that no compression helps with, the same on every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
