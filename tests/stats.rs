//! `larder stats` and `larder sessions` against a real server: numbers, tokens, restarts, and what they say when nothing works.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::process::{Command, Stdio};

use common::project::count;
use common::{Larder, Options, http};
use serde_json::Value;

const ADMIN: &str = "the-secret-of-whoever-looks";
const CONFIG: &str =
    "[tokens.ci]\nsecret_env = \"CI\"\n[tokens.boss]\nsecret_env = \"BOSS\"\nallow = [\"admin\"]\n";

fn closed() -> Options {
    Options::default().config(CONFIG).env("CI", "the-secret-of-those-who-build").env("BOSS", ADMIN)
}

/// Exit code, stdout and stderr of the program with these arguments and variables.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LARDER_") {
            command.env_remove(name);
        }
    }
    let output =
        command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn stats_say_what_the_metrics_say() {
    let larder = Larder::start(Options::default());
    http::put(larder.address(), "/a", b"12345");
    http::get(larder.address(), "/a");
    http::get(larder.address(), "/b");
    let url = larder.url("");
    let (code, json, stderr) = run(&["stats", &url, "--json"], &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let json: Value = serde_json::from_str(&json).unwrap();
    let metrics = larder.metrics();
    for (field, metric) in [
        ("hits", "larder_hits_total"),
        ("misses", "larder_misses_total"),
        ("hit_bytes", "larder_hit_bytes_total"),
        ("stored_objects", "larder_stored_objects"),
        ("stored_bytes", "larder_stored_bytes"),
        ("received_bytes", "larder_received_bytes_total"),
        ("sent_bytes", "larder_sent_bytes_total"),
        ("capacity_bytes", "larder_capacity_bytes"),
    ] {
        let expected = common::total(&metrics, metric);
        assert_eq!(json[field].as_f64(), Some(expected), "{field}: {json}");
    }
    // By the variable, for people.
    let (code, text, _) = run(&["stats"], &[("LARDER_URL", &url)]);
    assert_eq!(code, Some(0));
    assert!(text.contains("50.0 %, 1 hits and 1 misses") && text.contains("default"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let listen = larder.address().to_string();
    assert_eq!(run(&["stats", "--listen", &listen], &[]).0, Some(0));
    assert_eq!(
        run(&["sessions", &url], &[]),
        (
            Some(0),
            "No build has named itself yet: larder sessions --help says how.\n".to_owned(),
            String::new()
        )
    );
}

#[test]
fn a_watch_goes_on_and_looks_again() {
    use std::io::{BufRead, BufReader};
    let larder = Larder::start(Options::default());
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command
        .args(["stats", "--watch", "--json", &larder.url("")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let misses = |line: String| serde_json::from_str::<Value>(&line).unwrap()["misses"].as_u64().unwrap();
    assert_eq!(misses(lines.next().unwrap().unwrap()), 0);
    http::get(larder.address(), "/nothing");
    // The next look may be under way already.
    assert!(lines.take(2).any(|line| misses(line.unwrap()) == 1));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn who_may_not_or_cannot_is_told_what_to_do() {
    let larder = Larder::start(closed());
    let url = larder.url("");
    for (variables, says) in [
        (&[][..], &["--token-file", "right admin", "--allow read,admin"][..]),
        (&[("LARDER_TOKEN", "a-wrong-secret-of-nobody")], &["does not know the token"]),
        (&[("LARDER_TOKEN", "the-secret-of-those-who-build")], &["403", "[tokens.ci]", "admin"]),
    ] {
        for command in ["stats", "sessions"] {
            let (code, stdout, stderr) = run(&[command, &url], variables);
            assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
            assert!(says.iter().all(|part| stderr.contains(part)), "{variables:?}: {stderr}");
            assert!(variables.iter().all(|(_, secret)| !stderr.contains(secret)));
        }
    }
    assert_eq!(run(&["stats", &url], &[("LARDER_TOKEN", ADMIN)]).0, Some(0));
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("token");
    std::fs::write(&file, format!("{ADMIN}\n")).unwrap();
    assert_eq!(run(&["stats", &url, "--token-file", file.to_str().unwrap()], &[]).0, Some(0));

    let (code, _, stderr) = run(&["stats", "http://127.0.0.1:1"], &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("refused") && stderr.contains("does larder run there"), "{stderr}");
    let (code, _, stderr) = run(&["stats", "cache.lan:4227"], &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("http://cache.lan:4227"), "{stderr}");
    let (code, _, stderr) = run(&["sessions", "--limit", "0"], &[]);
    assert_eq!(code, Some(2), "{stderr}");
}

#[test]
fn sessions_outlive_a_restart_and_a_kill_costs_the_last_minute() {
    let mut larder = Larder::start(Options::default());
    let session = [("X-Larder-Session", "build-17")];
    let ask =
        |larder: &Larder, path: &str| http::request(larder.address(), "GET", path, &session, &[]).status;
    assert_eq!(ask(&larder, "/a"), 404);
    let list = |larder: &Larder| {
        let (code, json, stderr) = run(&["sessions", &larder.url(""), "--json"], &[]);
        assert_eq!(code, Some(0), "{stderr}");
        serde_json::from_str::<Value>(&json).unwrap()["sessions"].as_array().unwrap().clone()
    };
    assert_eq!(larder.terminate().code(), Some(0));
    larder.restart();
    let before = list(&larder);
    assert_eq!((before.len(), &before[0]["misses"], &before[0]["label"]), (1, &1.into(), &"build-17".into()));
    assert_eq!(ask(&larder, "/b"), 404);
    let after = list(&larder);
    assert_eq!((after.len(), &after[0]["misses"], &after[0]["id"]), (1, &2.into(), &before[0]["id"]));
    larder.kill9();
    larder.restart();
    assert_eq!(list(&larder)[0]["id"], before[0]["id"]);
    // What cannot be read is begun anew, and told.
    larder.kill9();
    std::fs::write(larder.data_dir().join("analytics/sessions.json"), "{").unwrap();
    larder.restart();
    assert_eq!(list(&larder).len(), 0);
    assert!(larder.log().contains("saved sessions cannot be read"), "{}", larder.log());
    let (_, text, _) = run(&["sessions", &larder.url("")], &[]);
    assert!(text.contains("No build"), "{text}");
    assert!(larder.total("larder_misses_total") < count(1));
}
