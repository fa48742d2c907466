//! `larder token new` as a person uses it: what is printed where, and that it works when it is pasted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use common::{Larder, Options, http, tools};

/// Exit code, stdout and stderr of `larder token new` with these arguments, run in `dir`.
fn token_new(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    tools::isolate(&mut command);
    let output = command.current_dir(dir).args(["token", "new"]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn made(dir: &Path, arguments: &[&str]) -> (String, String, String) {
    let (code, table, told) = token_new(dir, arguments);
    assert_eq!(code, Some(0), "{told}");
    let secret = told.lines().find_map(|line| line.trim().strip_prefix("larder_")).unwrap();
    let secret = format!("larder_{secret}");
    (table, secret, told)
}

fn status(larder: &Larder, method: &str, path: &str, secret: &str) -> u16 {
    let header = format!("Bearer {secret}");
    http::request(larder.address(), method, path, &[("Authorization", &header)], b"").status
}

#[test]
fn what_is_printed_works_when_it_is_pasted() {
    let dir = tempfile::tempdir().unwrap();
    let arguments =
        ["--name", "ci", "--namespace", "team-a,pr-*", "--allow", "read", "--expires", "2999-12-31"];
    let (table, secret, _) = made(dir.path(), &arguments);
    assert!(!table.contains(&secret) && table.contains("secret_sha256"), "{table}");
    let larder = Larder::start(Options::default().config(&format!("[namespaces.team-a]\n{table}")));
    assert_eq!(status(&larder, "GET", "/team-a/x", &secret), 404);
    assert_eq!(status(&larder, "PUT", "/team-a/x", &secret), 403);
    assert_eq!(status(&larder, "GET", "/x", &secret), 403);
    assert_eq!(status(&larder, "GET", "/team-a/x", &secret[..secret.len() - 1]), 401);
}

#[test]
fn a_token_for_s3_names_a_file_and_says_how_to_write_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("larder.toml");
    std::fs::write(&config, "listen = \"127.0.0.1:4227\"\n").unwrap();
    let (table, secret, told) =
        made(dir.path(), &["--name", "ci", "--s3", "--namespace", "team-a", "--config", "larder.toml"]);
    let file = dir.path().join("ci.secret");
    assert!(table.contains(&format!("secret_file = \"{}\"", file.display())), "{table}");
    assert!(!table.contains(&secret) && table.contains("[namespaces.team-a]"), "{table}");
    assert!(!file.exists(), "it keeps nothing");
    assert!(told.contains(&format!("AWS_SECRET_ACCESS_KEY='{secret}'")), "{told}");
    // What it says to do, done.
    let says = told.lines().find_map(|line| line.trim().strip_prefix("install ")).unwrap();
    let script = format!("printf '%s\\n' '{secret}' | install {says}");
    tools::run(Command::new("sh").args(["-ec", &script]));
    std::fs::write(&config, format!("{}{table}", std::fs::read_to_string(&config).unwrap())).unwrap();
    let larder = Larder::start(Options::default().config(&std::fs::read_to_string(&config).unwrap()));
    assert_eq!(status(&larder, "PUT", "/team-a/x", &secret), 201);
}

#[test]
fn every_secret_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let secrets: BTreeSet<_> = (0..5).map(|_| made(dir.path(), &["--name", "ci"]).1).collect();
    assert_eq!(secrets.len(), 5);
    assert!(secrets.iter().all(|secret| secret.len() == "larder_".len() + 43), "{secrets:?}");
}

#[test]
fn what_no_table_can_have_is_refused_and_nothing_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("larder.toml"), "[tokens.ci]\nsecret_env = \"S\"\n").unwrap();
    for (arguments, says) in [
        (&["--namespace", "a"][..], "--name"),
        (&["--name", "a b"], "--name: \"a b\": a token's name is"),
        (&["--name", "a\"]"], "--name"),
        (&["--name", "ci", "--config", "larder.toml"], "has a token ci already"),
        (&["--name", "ci", "--config", "missing.toml"], "missing.toml"),
        (&["--name", "ci", "--allow", "read,wriet"], "\"wriet\" is none of the choices"),
        (&["--name", "ci", "--namespace", "a/b"], "a-z"),
        (&["--name", "ci", "--expires", "soon"], "write 2027-01-31"),
        (&["--name", "ci", "--expires", "2020-01-01"], "--expires: this is over already"),
    ] {
        let (code, stdout, stderr) = token_new(dir.path(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("larder_"), "a secret is shown: {stderr}");
    }
}
