//! A real Prometheus, with the configuration and the rules that are shipped, scrapes real servers under load: every expression
//! of every panel and every rule has data, and alerts fire when what they are for happens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "support/dashboards.rs"]
mod dashboards;
#[path = "support/prometheus.rs"]
mod prometheus;

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use common::http::{self, Connection};
use common::project::Project;
use common::sccache::Sccache;
use common::{Larder, Options, PATIENCE, wait_for};
use prometheus::{Prometheus, promtool, shipped};

const CI: &str = "the-secret-of-ci-0123456789";
/// What the damaged object is filled with: found nowhere else on the disk.
const MARK: &[u8] = b"a body that will be damaged ";

/// Connections that the server takes which is to be overloaded.
const CONNECTIONS: usize = 16;
/// Least time of a round of load. Four of them fill the cache, so what makes way was used so long ago; its age is told in whole seconds,
/// and 0 is what there is before anything had to go.
const ROUND: Duration = Duration::from_millis(600);
/// Where nothing listens.
const NO_BUCKET: &str = "url = \"s3://away\"\nendpoint = \"http://127.0.0.1:1\"";

/// A server with a bucket behind it, namespaces, tokens, and so little room that it evicts.
struct Server {
    larder: Larder,
    _bucket: tempfile::TempDir,
    authorization: String,
    rounds: usize,
}

impl Server {
    /// With a directory behind it.
    fn start(more: &str) -> Self {
        Self::behind("", more)
    }

    /// With another bucket than a directory behind it, if `bucket` names one.
    fn behind(bucket: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let default = format!("url = \"file://{}\"", directory.path().display());
        let bucket = if bucket.is_empty() { &default } else { bucket };
        let config = format!(
            "capacity = \"32MiB\"\nverify = \"always\"\nmemory_tier = 0\n{more}\n[bucket]\n{bucket}\n\
             [namespaces.ci]\n[namespaces.once]\noverwrite = \"never\"\n[namespaces.\"pr-*\"]\nbase = \"ci\"\n\
             [tokens.ci]\nsecret_env = \"CI\"\nallow = [\"read\", \"write\", \"delete\"]\n"
        );
        let options = Options::default().config(&config).env("CI", CI);
        let options = options.env("AWS_ACCESS_KEY_ID", "nobody").env("AWS_SECRET_ACCESS_KEY", "nothing");
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("ci:{CI}"));
        let authorization = format!("Basic {credentials}");
        Self { larder: Larder::start(options), _bucket: directory, authorization, rounds: 0 }
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> u16 {
        let headers = [("Authorization", self.authorization.as_str())];
        http::request(self.larder.address(), method, path, &headers, body).status
    }

    /// A PUT while others hold all connections that it allows.
    fn crowd(&self) {
        let held: Vec<_> =
            (0..CONNECTIONS).map(|_| Connection::open(self.larder.address()).unwrap()).collect();
        assert_eq!(self.ask("PUT", "/ci/no-connection", &[1; 4096]), 503);
        drop(held);
    }

    /// Some of everything: misses, stores, hits from disk and bucket, evictions, deletions and refusals.
    fn round(&mut self) {
        self.rounds += 1;
        for i in 0..8 {
            let path = format!("/ci/{}-{i}", self.rounds);
            assert_eq!(self.ask("GET", &path, b""), 404);
            assert_eq!(self.ask("PUT", &path, &vec![7; 1 << 20]), 201);
            assert_eq!(self.ask("GET", &path, b""), 200);
        }
        // Evicted long ago, and in the bucket still.
        if let Some(early) = self.rounds.checked_sub(6) {
            self.ask("GET", &format!("/ci/{early}-0"), b"");
        }
        self.ask("GET", &format!("/pr-1/{}-1", self.rounds), b"");
        self.ask("DELETE", &format!("/ci/{}-2", self.rounds), b"");
        self.ask("PUT", "/once/key", format!("{}", self.rounds).as_bytes());
        assert_eq!(http::get(self.larder.address(), "/ci/key").status, 401);
    }
}

/// A real build, whose second half finds what the first one stored.
fn build(server: &Server) {
    let project = Project::new("c-project");
    for _ in 0..2 {
        let endpoint = server.larder.url("/ci");
        let storage = [
            ("SCCACHE_WEBDAV_ENDPOINT", endpoint.as_str()),
            ("SCCACHE_WEBDAV_USERNAME", "ci"),
            ("SCCACHE_WEBDAV_PASSWORD", CI),
        ];
        let sccache = Sccache::start_with(project.scratch.path(), &storage);
        project.compile_c(&sccache);
        sccache.settled_stats();
    }
}

/// Overwrites the body of [`MARK`]s below `directory`; how many files had one.
fn damage(directory: &Path) -> usize {
    let mut damaged = 0;
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            damaged += damage(&path);
        } else if let Some(at) =
            std::fs::read(&path).unwrap().windows(MARK.len()).position(|part| part == MARK)
        {
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(b"DAMAGE", at as u64).unwrap();
            damaged += 1;
        }
    }
    damaged
}

#[test]
fn promtool_accepts_what_is_shipped_and_every_alert_fires_in_its_time() {
    promtool(&["check", "config", "prometheus.yml"], "");
    promtool(&["check", "rules", "rules/recording.yml", "rules/alerts.yml"], "");
    promtool(&["test", "rules", "tests/alerts.yml"], "");
    let rules = std::fs::read_to_string(shipped().join("rules/alerts.yml")).unwrap();
    let tests = std::fs::read_to_string(shipped().join("tests/alerts.yml")).unwrap();
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let fires = format!("alertname=\"{alert}\", alertstate=\"firing\"");
        assert!(tests.contains(&fires), "{alert} is not made to fire");
    }
}

#[test]
fn every_panel_and_every_rule_has_data_and_alerts_fire() {
    let mut busy = Server::start("");
    // Wants more free than any disk has, and lets few in.
    let full = Server::start(&format!("min_free_disk = \"4096TiB\"\nmax_connections = {CONNECTIONS}"));
    let down = Server::behind(NO_BUCKET, "");
    let addresses = [&busy, &full, &down].map(|server| server.larder.address());
    let prometheus = Prometheus::start(&addresses);
    build(&busy);
    assert_eq!(down.ask("PUT", "/ci/marked", &MARK.repeat(1000)), 201);
    let boards = dashboards::all();
    let mut waiting: Vec<_> = boards.iter().flat_map(|board| board.expressions("15s")).collect();
    let rules = prometheus.rules();
    for rule in &rules {
        waiting
            .push((rule["name"].as_str().unwrap().to_owned(), comparable(rule["query"].as_str().unwrap())));
    }
    let expressions = waiting.len();
    let deadline = Instant::now() + PATIENCE;
    while !waiting.is_empty() {
        assert!(Instant::now() < deadline, "{} of {expressions} have no data:\n{waiting:#?}", waiting.len());
        let began = Instant::now();
        busy.round();
        full.ask("PUT", "/ci/no-room", &[1; 4096]);
        waiting.retain(|(_, expression)| prometheus.values(expression).is_empty());
        std::thread::sleep(ROUND.saturating_sub(began.elapsed()));
    }
    promtool(&["check", "metrics"], &http::get(busy.larder.address(), "/metrics").text());

    make_them_fire(&prometheus, &busy, full, &down);
}

/// What an alert compares, whether it fires or not.
fn comparable(expression: &str) -> String {
    [">", "<", "=="].iter().fold(expression.to_owned(), |expression, operator| {
        expression.replace(&format!(" {operator} "), &format!(" {operator} bool "))
    })
}

fn make_them_fire(prometheus: &Prometheus, busy: &Server, full: Server, down: &Server) {
    assert!(damage(&down.larder.data_dir()) > 0);
    // Dropped, and asked of the bucket.
    assert_eq!(down.ask("GET", "/ci/marked", b""), 404);
    let is_firing = |alert: &str, server: &Server| {
        let instance = server.larder.address().to_string();
        let mut firing = prometheus.firing().into_iter();
        firing.find(|found| found["labels"]["alertname"] == alert && found["labels"]["instance"] == *instance)
    };
    let mut expected = vec![
        ("LarderBucketDown", 2),
        ("LarderBucketFailsReads", 2),
        ("LarderDamagedRecords", 2),
        ("LarderAuthRefusalsRising", 2),
        ("LarderDiskNearlyFull", 1),
        ("LarderDiskLimitsCapacity", 1),
        ("LarderFailingRequests", 1),
        ("LarderOverloaded", 1),
        ("LarderEvictsTooYoung", 0),
    ];
    let mut asked = 0;
    wait_for("the alerts to fire", || {
        asked += 1;
        for i in 0..10 {
            down.ask("GET", &format!("/ci/only-in-the-bucket-{asked}-{i}"), b"");
            http::get(down.larder.address(), "/ci/key");
        }
        full.ask("PUT", "/ci/no-room", &[1; 4096]);
        full.crowd();
        expected.retain(|(alert, at)| {
            let Some(found) = is_firing(alert, [busy, &full, down][*at]) else { return true };
            for text in ["summary", "description"] {
                let said = found["annotations"][text].as_str().unwrap();
                assert!(
                    !said.contains("{{") && !said.contains("<error") && !said.contains("no value"),
                    "{said}"
                );
            }
            false
        });
        expected.is_empty().then_some(())
    });
    // Nothing is wrong with this one but its size.
    let instance = busy.larder.address().to_string();
    for alert in prometheus.firing().iter().filter(|alert| alert["labels"]["instance"] == *instance) {
        assert_ne!(alert["labels"]["severity"], "critical", "{alert}");
    }
    let address = full.larder.address();
    drop(full);
    wait_for("the alert of a server that is gone", || {
        let firing = prometheus.firing();
        let is_it = |alert: &serde_json::Value| {
            alert["labels"]["alertname"] == "LarderDown"
                && alert["labels"]["instance"] == *address.to_string()
        };
        firing.iter().any(is_it).then_some(())
    });
}
