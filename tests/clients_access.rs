//! Real sccache with tokens: a good one, one that may only read, and a wrong one.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::sccache::Sccache;
use common::{Larder, Options, http, tools};

const BUILDER: &str = "secret-of-those-who-build";
const READER: &str = "secret-of-those-who-read";

const CONFIG: &str = "[namespaces.team-a]\n[tokens.builder]\nsecret_env = \"BUILDER\"\nnamespaces = [\"team-a\"]\n\
                      [tokens.reader]\nsecret_env = \"READER\"\nallow = [\"read\"]\nnamespaces = [\"team-a\"]\n";

struct Setup {
    larder: Larder,
    scratch: tempfile::TempDir,
}

impl Setup {
    fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        tools::copy_fixture("c-project", &scratch.path().join("source"));
        let options = Options::default().config(CONFIG).env("BUILDER", BUILDER).env("READER", READER);
        Self { larder: Larder::start(options), scratch }
    }

    /// A daemon that sends `credentials`, variables of sccache.
    fn sccache(&self, credentials: &[(&str, &str)]) -> Sccache {
        let endpoint = self.larder.url("/team-a");
        let storage = [&[("SCCACHE_WEBDAV_ENDPOINT", endpoint.as_str())], credentials].concat();
        Sccache::start_with(self.scratch.path(), &storage)
    }

    /// What sccache says when it refuses to start below `path`.
    fn refusal(&self, path: &str, credentials: &[(&str, &str)]) -> String {
        let endpoint = self.larder.url(path);
        let storage = [&[("SCCACHE_WEBDAV_ENDPOINT", endpoint.as_str())], credentials].concat();
        Sccache::refusal_with(self.scratch.path(), &storage)
    }

    /// Compiles `sources` and returns the objects.
    fn compile(&self, sccache: &Sccache, sources: &[&str]) -> BTreeMap<PathBuf, Vec<u8>> {
        let directory = self.scratch.path().join("source");
        for source in sources {
            let mut command = sccache.command(&tools::tool("sccache"));
            command.args(["gcc", "-O1", "-c", source, "-o", &format!("{source}.o")]).current_dir(&directory);
            tools::run(&mut command);
        }
        let objects = tools::contents(&directory, &|name| name.ends_with(".o"));
        objects.keys().for_each(|object| std::fs::remove_file(object).unwrap());
        objects
    }

    fn refused(&self, reason: &str) -> f64 {
        let name = format!("larder_auth_refusals_total{{reason=\"{reason}\"}}");
        self.larder.metrics().get(&name).copied().unwrap_or_default()
    }
}

#[test]
fn a_token_that_may_only_read_gives_hits_and_stores_nothing() {
    let setup = Setup::start();
    // The one stores, with the token as Basic password.
    let sccache =
        setup.sccache(&[("SCCACHE_WEBDAV_USERNAME", "anyone"), ("SCCACHE_WEBDAV_PASSWORD", BUILDER)]);
    let first = setup.compile(&sccache, &["ring.c", "checksum.c"]);
    let stats = sccache.settled_stats();
    assert_eq!((stats.misses, stats.writes, stats.write_errors), (2, 2, 0), "{stats:?}\n{}", sccache.log());
    assert!(setup.refused("right") < 1.0);
    drop(sccache);

    // The other reads, with the token as Bearer. sccache learns from its probe that it may not write.
    let sccache = setup.sccache(&[("SCCACHE_WEBDAV_TOKEN", READER)]);
    tools::assert_same_files(&first, &setup.compile(&sccache, &["ring.c", "checksum.c"]));
    let probes = setup.refused("right");
    assert!(probes >= 1.0, "the probe was not refused");
    setup.compile(&sccache, &["main.c"]);
    let stats = sccache.stats();
    assert_eq!((stats.hits, stats.misses, stats.writes, stats.read_errors), (2, 1, 0, 0), "{stats:?}");
    assert!((setup.refused("right") - probes).abs() < f64::EPSILON, "sccache went on trying to write");
    drop(sccache);

    let sccache = setup.sccache(&[("SCCACHE_WEBDAV_TOKEN", BUILDER)]);
    setup.compile(&sccache, &["main.c"]);
    assert_eq!((sccache.settled_stats().hits, sccache.stats().misses), (0, 1), "the reader stored something");
}

#[test]
fn a_build_without_the_right_token_is_told_what_is_wrong() {
    let setup = Setup::start();
    let token = |secret| [("SCCACHE_WEBDAV_TOKEN", secret)];
    for (path, credentials, says) in [
        ("/team-a", &token("secret-of-nobody-at-all")[..], "does not know the token"),
        ("/team-a", &[], "SCCACHE_WEBDAV_TOKEN"),
        ("", &token(READER), "no rights in the namespace default, only in team-a"),
    ] {
        let said = setup.refusal(path, credentials);
        assert!(said.contains(says), "{path} {credentials:?}: {said}");
    }
    assert_eq!(http::get(setup.larder.address(), "/-/ready").status, 200);
}
