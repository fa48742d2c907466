//! Real sccache builds with cache tokens that jobs got for their identity: a trusted one, and a pull request's.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod common;
#[path = "support/exchange.rs"]
mod exchange;
#[path = "support/identity.rs"]
mod identity;
#[path = "support/issuer.rs"]
mod issuer;

use std::path::Path;
use std::process::Command;

use common::sccache::Sccache;
use common::{Larder, tools};
use exchange::{config, start};
use identity::{Signer, claims, push};
use issuer::Issuer;
use serde_json::json;

/// The cache token, got as a job's script gets it.
fn fetched(larder: &Larder, identity: &str) -> String {
    let mut curl = Command::new(tools::tool("curl"));
    tools::isolate(&mut curl);
    let authorization = format!("Authorization: Bearer {identity}");
    curl.args(["-fsS", "-X", "POST", "-H", &authorization, "-H", "Accept: text/plain"]);
    let output = tools::run(curl.arg(larder.url("/-/token")));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Compiles `sources` with a daemon of its own that sends `token`; hits, misses and writes.
fn build(scratch: &Path, endpoint: &str, token: &str, sources: &[&str]) -> (u64, u64, u64) {
    let storage = [("SCCACHE_WEBDAV_ENDPOINT", endpoint), ("SCCACHE_WEBDAV_TOKEN", token)];
    let sccache = Sccache::start_with(scratch, &storage);
    for source in sources {
        let mut command = sccache.command(&tools::tool("sccache"));
        command.args(["gcc", "-O1", "-c", source, "-o", "out.o"]).current_dir(scratch.join("source"));
        tools::run(&mut command);
    }
    let stats = sccache.settled_stats();
    assert_eq!((stats.read_errors, stats.write_errors), (0, 0), "{stats:?}\n{}", sccache.log());
    (stats.hits, stats.misses, stats.writes)
}

#[test]
fn sccache_builds_with_an_exchanged_token() {
    let signer = Signer::rsa("key");
    let issuer = Issuer::start(&[&signer]);
    let mut larder = start(&config(issuer.url(), ""), "debug");
    let scratch = tempfile::tempdir().unwrap();
    tools::copy_fixture("c-project", &scratch.path().join("source"));
    let main = fetched(&larder, &signer.token(&push(issuer.url(), "main")));
    let of_pull_request = json!({
        "repository": "org/app", "ref": "refs/pull/7/merge", "event_name": "pull_request", "run_id": "8",
    });
    let pull = fetched(&larder, &signer.token(&claims(issuer.url(), &of_pull_request)));

    let built = build(scratch.path(), &larder.url("/main"), &main, &["ring.c", "checksum.c"]);
    assert_eq!(built, (0, 2, 2));
    // It has the hits of main, and keeps its own to itself.
    let built = build(scratch.path(), &larder.url("/pr-7"), &pull, &["ring.c", "checksum.c", "main.c"]);
    assert_eq!(built, (2, 1, 1));
    larder.restart();
    let built = build(scratch.path(), &larder.url("/main"), &main, &["ring.c", "main.c"]);
    assert_eq!(built, (1, 1, 1));
    let log = larder.log();
    assert!(log.contains("oidc:github:org/app@refs/heads/main#4711") && !log.contains(&main), "{log}");
}
