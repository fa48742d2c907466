//! `larder health` as a container runs it: its exit code and its words, against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::net::TcpListener;
use std::process::Command;

use common::{Larder, Options};

fn health(arguments: &[&str], listen: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.arg("health").args(arguments).env_clear();
    if !listen.is_empty() {
        command.env("LARDER_LISTEN", listen).env("LARDER_ANONYMOUS", "read");
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_server_that_serves_is_healthy_by_its_settings_and_by_its_url() {
    let server = Larder::start(Options::default());
    let port = server.address().port();
    // As in the image: bound to every interface, asked over loopback.
    let (code, stdout, stderr) = health(&[], &format!("0.0.0.0:{port}"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, format!("http://127.0.0.1:{port}/-/healthy: ok\n"));
    let (code, stdout, _) = health(&[&server.url("/-/ready")], "");
    assert_eq!((code, stdout), (Some(0), format!("{}: ready\n", server.url("/-/ready"))));
}

#[test]
fn a_server_that_is_not_there_or_says_no_is_1_and_a_wrong_url_is_2() {
    let server = Larder::start(Options::default());
    let (code, _, stderr) = health(&[&server.url("/-/nothing")], "");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("answers 404") && stderr.contains("not_found"), "{stderr}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, stdout, stderr) = health(&[], &free);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains(&free) && stderr.contains("does not answer"), "{stderr}");

    let (code, _, stderr) = health(&["cache.lan"], "");
    assert_eq!(code, Some(2));
    assert!(stderr.contains("write it as http://"), "{stderr}");
}
