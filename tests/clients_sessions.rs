//! Real sccache builds that name themselves: what `larder sessions` lists is what sccache itself counted, over WebDAV and S3.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::Cell;
use std::process::{Command, Stdio};

use common::project::{Project, count};
use common::s3::{Key, WRITER, environment};
use common::sccache::{Sccache, Stats};
use common::{Larder, Options, total};
use larder::analytics::sessions::SessionSummary;
use larder::analytics::summary::{SessionList, Summary};
use serde::de::DeserializeOwned;

const ADMIN: &str = "the-secret-of-whoever-looks";
const CONFIG: &str = "[namespaces.team]\n[tokens.ci]\nsecret_env = \"CI\"\n[tokens.boss]\nsecret_env = \"BOSS\"\nallow = [\"admin\"]\n";

fn start() -> Larder {
    Larder::start(Options::default().config(CONFIG).env("CI", WRITER.secret).env("BOSS", ADMIN))
}

/// What a subcommand prints with `--json`, read back.
fn asked<T: DeserializeOwned>(larder: &Larder, subcommand: &str) -> T {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    common::tools::isolate(&mut command);
    command.args([subcommand, "--json"]).env("LARDER_URL", larder.url("")).env("LARDER_TOKEN", ADMIN);
    let output = common::tools::run(command.stdin(Stdio::null()));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one session with this label.
fn session(larder: &Larder, label: &str) -> SessionSummary {
    let list: SessionList = asked(larder, "sessions");
    let mut found: Vec<_> = list.sessions.into_iter().filter(|session| session.label == label).collect();
    assert_eq!(found.len(), 1, "{label}: {found:?}");
    found.remove(0)
}

fn counts_as(session: &SessionSummary, stats: &Stats) {
    assert_eq!((session.principal.as_str(), session.is_running), ("ci", true));
    assert_eq!(session.hits, stats.hits, "hits, ours and sccache's: {session:?}");
    assert_eq!(session.misses, stats.misses + stats.failed, "misses, ours and sccache's: {session:?}");
    assert_eq!(session.stored, stats.writes, "{session:?}");
    assert!(session.requests >= session.hits + session.misses + session.stored, "{session:?}");
    assert!(session.clients[0].client.starts_with("sccache "), "{:?}", session.clients);
    assert!(session.cache_seconds > 0.0 && session.sent_bytes > 0);
}

/// Builds twice with daemons that are told by `storage` to use this label.
fn builds(larder: &Larder, kind: &str, storage: impl Fn(&str) -> Vec<(String, String)>) {
    let number = Cell::new(0);
    let project = Project::new("cargo-project");
    let (first, second) = project.build_twice(larder, |scratch| {
        number.set(number.get() + 1);
        let variables = storage(&format!("{kind}/build-{}", number.get()));
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Sccache::start_with(scratch, &variables)
    });
    let session_1 = session(larder, &format!("{kind}/build-1"));
    counts_as(&session_1, &first);
    assert!(session_1.stored_bytes > 0 && session_1.slowest_misses.len() == 10, "{session_1:?}");
    let slowest = &session_1.slowest_misses[0];
    assert!(slowest.cost_ms > 0 && slowest.bytes > 0, "{slowest:?}");
    let session_2 = session(larder, &format!("{kind}/build-2"));
    counts_as(&session_2, &second);
    assert!(session_2.largest_misses.is_empty() && session_2.stored == 0, "{session_2:?}");
}

#[test]
fn builds_over_webdav_are_listed_as_sccache_counted_them() {
    let larder = start();
    let endpoint = larder.url("/team");
    builds(&larder, "webdav", |label| {
        [
            ("SCCACHE_WEBDAV_ENDPOINT", endpoint.clone()),
            ("SCCACHE_WEBDAV_USERNAME", format!("ci+{label}")),
            ("SCCACHE_WEBDAV_PASSWORD", WRITER.secret.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    });
    let (summary, metrics): (Summary, _) = (asked(&larder, "stats"), larder.metrics());
    for (ours, metric) in [
        (summary.hits, "larder_hits_total"),
        (summary.misses, "larder_misses_total"),
        (summary.hit_bytes, "larder_hit_bytes_total"),
    ] {
        assert_eq!(count(ours), total(&metrics, metric), "{metric}");
        assert!(
            metrics.contains_key(&format!("{metric}{{namespace=\"team\",protocol=\"plain\"}}")),
            "{metrics:?}"
        );
    }
    assert!(summary.clients[0].client.starts_with("sccache "), "{:?}", summary.clients);
}

#[test]
fn builds_over_s3_are_listed_as_sccache_counted_them() {
    let larder = start();
    let endpoint = larder.url("");
    builds(&larder, "s3", |label| {
        let id = format!("ci+{label}");
        let key = Key { id: Box::leak(id.into_boxed_str()), ..WRITER };
        let bucket = [
            ("SCCACHE_BUCKET", "team"),
            ("SCCACHE_ENDPOINT", endpoint.as_str()),
            ("SCCACHE_REGION", "auto"),
            ("SCCACHE_S3_USE_SSL", "false"),
        ];
        bucket
            .into_iter()
            .chain(environment(key))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    });
    assert!(larder.metrics().contains_key("larder_hits_total{namespace=\"team\",protocol=\"s3\"}"));
}
