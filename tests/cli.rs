//! The program as a person meets it: exit codes, and what it prints where. Runs the real binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The program without any `LARDER_*` of the outer process, in a directory of its own.
fn larder(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LARDER_") {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), text(&stdout), text(&stderr))
}

fn entries(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn check_prints_the_configuration_with_its_sources_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = larder(dir.path());
    command.args(["check", "--capacity", "2GiB"]).env("LARDER_VERIFY", "always");
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for (setting, source) in [
        ("capacity = \"2GiB\"", "flag --capacity"),
        ("verify = \"always\"", "env LARDER_VERIFY"),
        ("listen = \"127.0.0.1:4227\"", "default"),
    ] {
        let line = stdout.lines().find(|line| line.starts_with(setting)).expect(&stdout);
        assert!(line.ends_with(source), "{line}");
    }
    assert!(entries(dir.path()).is_empty());
}

#[test]
fn check_and_serve_name_every_problem_and_exit_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("larder.toml");
    std::fs::write(&file, "capasity = \"1GiB\"\nverify = \"never\"\n").unwrap();
    std::fs::write(dir.path().join("in-the-way"), b"").unwrap();
    for subcommand in ["check", "serve"] {
        let mut command = larder(dir.path());
        command.args([
            subcommand,
            "--config",
            "larder.toml",
            "--data-dir",
            "in-the-way",
            "--listen",
            "0.0.0.0:1",
        ]);
        command.env("LARDER_CAPACITY", "10G").env("LARDER_LISTENN", "x");
        let (code, stdout, stderr) = run(&mut command);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        for part in [
            "6 problems",
            "capasity (larder.toml:1)",
            "verify (larder.toml:2)",
            "capacity (env LARDER_CAPACITY)",
            "LARDER_LISTENN (env LARDER_LISTENN)",
            "listen (flag --listen)",
            "data_dir (flag --data-dir): cannot use in-the-way",
        ] {
            assert!(stderr.contains(part), "{subcommand}: no {part:?} in\n{stderr}");
        }
        assert_eq!(stderr.lines().count(), 7, "one line a problem:\n{stderr}");
    }
}

#[test]
fn a_wrong_flag_or_no_command_is_2_with_usage_and_version_is_0() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, stderr) = run(larder(dir.path()).args(["serve", "--capasity", "1GiB"]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--capacity"), "{stderr}");
    let (code, _, stderr) = run(&mut larder(dir.path()));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("Usage"), "{stderr}");
    let (code, stdout, _) = run(larder(dir.path()).arg("--version"));
    assert_eq!((code, stdout.as_str()), (Some(0), concat!("larder ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn help_names_every_setting() {
    let dir = tempfile::tempdir().unwrap();
    for subcommand in ["serve", "check"] {
        let (code, stdout, _) = run(larder(dir.path()).args([subcommand, "--help"]));
        assert_eq!(code, Some(0));
        for key in larder::config::KEYS {
            assert!(stdout.contains(&format!("--{} ", key.flag())), "{subcommand}: {}\n{stdout}", key.name);
        }
    }
}

/// What a shell has in `variable` after it evaluated the program's output.
fn evaluated(dir: &Path, arguments: &str, variable: &str) -> String {
    let script = format!("eval \"$(\"$0\" {arguments})\" && printf %s \"${variable}\"");
    let mut command = Command::new("sh");
    command.args(["-euc", &script, env!("CARGO_BIN_EXE_larder")]).current_dir(dir);
    command.env_clear().env("LARDER_LISTEN", "127.0.0.1:4999");
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!(code, Some(0), "{arguments}: {stderr}");
    stdout
}

#[test]
fn a_shell_can_evaluate_env() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, variable, value) in [
        ("env", "SCCACHE_WEBDAV_ENDPOINT", "http://127.0.0.1:4999"),
        ("env", "RUSTC_WRAPPER", "sccache"),
        ("env --webdav", "CARGO_INCREMENTAL", "0"),
        ("env --url http://c.lan:1/ --namespace ci", "SCCACHE_WEBDAV_ENDPOINT", "http://c.lan:1/ci"),
        ("env --url 'http://[fd00::1]:1'", "SCCACHE_WEBDAV_ENDPOINT", "http://[fd00::1]:1"),
        ("env --s3", "SCCACHE_ENDPOINT", "http://127.0.0.1:4999"),
        ("env --s3", "SCCACHE_BUCKET", "default"),
        ("env --s3 --namespace ci --url https://c.lan", "SCCACHE_BUCKET", "ci"),
        ("env --s3 --namespace ci --url https://c.lan", "SCCACHE_S3_USE_SSL", "true"),
        ("env --ccache", "CCACHE_REMOTE_STORAGE", "http://127.0.0.1:4999/ccache"),
        ("env --ccache --namespace ci", "CCACHE_SECONDARY_STORAGE", "http://127.0.0.1:4999/ci/ccache"),
        ("env --ccache --webdav", "SCCACHE_WEBDAV_ENDPOINT", "http://127.0.0.1:4999"),
    ] {
        assert_eq!(evaluated(dir.path(), arguments, variable), value, "{arguments}");
    }
}

#[test]
fn env_refuses_what_a_client_could_not_use() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, says) in [
        (["--url", "cache.lan:4227"], "http://"),
        (["--url", "ftp://cache.lan"], "http://"),
        (["--url", "http://a b"], "not a URL"),
        (["--url", "http://a/?q"], "query"),
        (["--namespace", "a/b"], "a-z"),
    ] {
        let (code, stdout, stderr) = run(larder(dir.path()).arg("env").args(arguments));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains(arguments[0]) && stderr.contains(says), "{stderr}");
    }
}

#[test]
fn an_address_in_use_is_one_clear_line_and_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = run(larder(dir.path()).args(["serve", "--listen", &address]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let expected = format!("larder: cannot start: listen: {address} is in use by another process; ");
    assert!(stderr.starts_with(&expected), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

/// Kills the server when a test fails half-way.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn serve_says_where_it_listens_logs_to_stderr_and_stops_at_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = larder(dir.path());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut server = Server(command.spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().expect("a first line");
    let address = first.strip_prefix("larder listens on http://").and_then(|rest| rest.split(',').next());
    let address = address.expect(&first).to_owned();
    assert!(first.ends_with("larder-data"), "{first}");
    let pasted: Vec<_> = lines.by_ref().skip(1).take(3).collect();
    assert!(pasted.iter().any(|line| line.ends_with(&format!("ENDPOINT='http://{address}'"))), "{pasted:?}");

    let mut stream = TcpStream::connect(&address).unwrap();
    write!(stream, "GET /absent HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n\r\n").unwrap();
    let status = BufReader::new(stream).lines().next().unwrap().unwrap();
    assert!(status.starts_with("HTTP/1.1 404"), "{status}");

    let pid = i32::try_from(server.0.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    let log = std::io::read_to_string(server.0.stderr.take().unwrap()).unwrap();
    let records: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let says_so = |record: &serde_json::Value| {
        record["message"].as_str().is_some_and(|text| text.starts_with("told to stop"))
    };
    assert!(records.iter().any(says_so), "{log}");
}
