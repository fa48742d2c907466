//! Real builds through a real sccache: what it stores once it must find again, bit for bit, and no trouble of
//! the cache may ever break a build.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::sccache::{Sccache, Stats};
use common::{Larder, Options, http, tools, wait_for};

#[test]
fn a_cargo_build_is_all_hits_the_second_time() {
    let larder = Larder::start(Options::default());
    let project = Project::new("cargo-project");
    let (first, second) = project.build_twice(&larder, &larder.url(""), None);
    assert!(first.misses >= 12, "the fixture has too little to cache: {first:?}");
    assert_eq!(second.hits, first.misses, "{second:?}");
}

#[test]
fn a_namespace_and_a_key_prefix_hold_a_build_of_their_own() {
    let larder = Larder::start(Options::default().config("[namespaces.ci]\n"));
    let project = Project::new("cargo-project");
    let (first, _) = project.build_twice(&larder, &larder.url("/ci"), Some("team/a"));

    // Another prefix and the default namespace share nothing with it.
    for (endpoint, prefix) in [("/ci", "team/b"), ("", "team/a")] {
        let sccache = Sccache::start(project.scratch.path(), &larder.url(endpoint), Some(prefix));
        compile_one(&sccache, &project);
        let stats = sccache.settled_stats();
        assert_eq!((stats.hits, stats.misses), (0, 1), "{endpoint} {prefix}: {stats:?}");
    }
    wait_for("the gauge of stored objects to be right", || {
        (stored_results(&larder) == count(first.writes) + 2.0).then_some(())
    });
}

#[test]
fn an_endpoint_that_ends_in_a_slash_is_explained_when_sccache_starts() {
    // sccache then sends `GET //.sccache_check`. A 400 keeps its daemon from starting, so the reason must reach
    // the person who has just set the endpoint.
    let larder = Larder::start(Options::default().config("[namespaces.ci]\n"));
    let scratch = tempfile::tempdir().unwrap();
    for endpoint in ["/", "/ci/"] {
        let said = Sccache::refusal(scratch.path(), &larder.url(endpoint));
        assert!(said.contains("slash too many at the end"), "{endpoint}: {said}");
    }
}

#[test]
fn c_and_cpp_objects_are_hits_the_second_time() {
    let larder = Larder::start(Options::default());
    let project = Project::new("c-project");
    let mut builds = Vec::new();
    for _ in 0..2 {
        let sccache = Sccache::start(project.scratch.path(), &larder.url(""), None);
        let objects = compile_c(&sccache, &project);
        let stats = sccache.settled_stats();
        assert_eq!((stats.write_errors, stats.read_errors), (0, 0), "{stats:?}\n{}", sccache.log());
        builds.push((objects, stats));
    }
    tools::assert_same_files(&builds[0].0, &builds[1].0);
    let sources = u64::try_from(builds[0].0.len()).unwrap();
    assert_eq!((builds[0].1.hits, builds[0].1.misses), (0, sources));
    assert_eq!((builds[1].1.hits, builds[1].1.misses), (sources, 0));
}

#[test]
fn a_read_only_cache_gives_hits_and_takes_nothing() {
    let mut larder = Larder::start(Options::default());
    let project = Project::new("c-project");
    let sccache = Sccache::start(project.scratch.path(), &larder.url(""), None);
    let first = compile_c(&sccache, &project);
    let stored = sccache.settled_stats().writes;
    drop(sccache);
    assert_eq!(larder.terminate().code(), Some(0));
    larder.restart_with(Options::default().env("LARDER_ANONYMOUS", "read"));
    assert_eq!(http::put(larder.address(), "/refused", b"x").status, 403);

    let sccache = Sccache::start(project.scratch.path(), &larder.url(""), None);
    tools::assert_same_files(&first, &compile_c(&sccache, &project));
    compile_one(&sccache, &project);
    let stats = sccache.stats();
    assert_eq!((stats.hits, stats.misses, stats.read_errors), (stored, 1, 0), "{stats:?}");
    assert_eq!(stats.writes, 0, "sccache thinks it wrote to a read-only cache");
    wait_for("the gauge of stored objects to be right", || {
        (stored_results(&larder) == count(stored)).then_some(())
    });
}

#[test]
fn a_server_that_dies_in_the_middle_leaves_the_build_green() {
    let mut larder = Larder::start(Options::default());
    let project = Project::new("cargo-project");
    let sccache = Sccache::start(project.scratch.path(), &larder.url(""), None);
    let mut build = sccache.cargo_build(&project.source, &project.target).spawn().unwrap();
    wait_for("the build to store its first objects", || (stored_results(&larder) >= 2.0).then_some(()));
    assert!(build.try_wait().unwrap().is_none(), "the build was over before the server died");
    larder.kill9();
    assert!(build.wait().unwrap().success(), "the build broke with its cache");
    assert_eq!(project.run_program(), EXPECTED_OUTPUT);
    let stats = sccache.stats();
    assert!(stats.read_errors + stats.write_errors > 0, "the build never noticed: {stats:?}");
    let acknowledged = stats.writes;
    assert!(acknowledged >= 2, "{stats:?}");

    // Back again: what was acknowledged before the death is found, by a fresh daemon.
    drop(sccache);
    larder.restart();
    std::fs::remove_dir_all(&project.target).unwrap();
    let sccache = Sccache::start(project.scratch.path(), &larder.url(""), None);
    project.build(&sccache);
    let stats = sccache.settled_stats();
    assert!(stats.hits >= acknowledged, "{acknowledged} were acknowledged, then {stats:?}");
    assert_eq!((stats.write_errors, stats.read_errors), (0, 0), "{stats:?}");
}

/// The fixture's own output: the letters of a sentence as JSON, in base64 and in hex.
const EXPECTED_OUTPUT: &str = include_str!("clients/cargo-project/expected-output");

struct Project {
    scratch: tempfile::TempDir,
    source: PathBuf,
    target: PathBuf,
}

impl Project {
    fn new(fixture: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let (source, target) = (scratch.path().join("source"), scratch.path().join("target"));
        tools::copy_fixture(fixture, &source);
        Self { scratch, source, target }
    }

    fn build(&self, sccache: &Sccache) {
        tools::run(&mut sccache.cargo_build(&self.source, &self.target));
        assert_eq!(self.run_program(), EXPECTED_OUTPUT);
    }

    fn run_program(&self) -> String {
        let output = tools::run(&mut std::process::Command::new(self.target.join("debug/larder-fixture")));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Two builds into an empty target directory, each with a fresh daemon; the second finds all of the first.
    fn build_twice(&self, larder: &Larder, endpoint: &str, prefix: Option<&str>) -> (Stats, Stats) {
        let mut builds = Vec::new();
        for _ in 0..2 {
            let before = larder.metrics();
            let sccache = Sccache::start(self.scratch.path(), endpoint, prefix);
            self.build(&sccache);
            let stats = sccache.settled_stats();
            assert!(stats.location.contains("webdav"), "sccache caches elsewhere: {}", stats.location);
            assert_eq!((stats.write_errors, stats.read_errors), (0, 0), "{stats:?}\n{}", sccache.log());
            let after = larder.metrics();
            let counted = |name: &str| after[name] - before[name];
            assert_eq!(counted("larder_hits_total"), count(stats.hits), "hits, ours and sccache's");
            let missed = count(stats.misses + stats.failed);
            assert_eq!(counted("larder_misses_total"), missed, "misses, ours and sccache's: {stats:?}");
            builds.push((self.artifacts(), stats));
            std::fs::remove_dir_all(&self.target).unwrap();
        }
        tools::assert_same_files(&builds[0].0, &builds[1].0);
        let (first, second) = (builds[0].1.clone(), builds[1].1.clone());
        assert_eq!((first.hits, first.writes), (0, first.misses), "{first:?}");
        assert_eq!((second.hits, second.misses), (first.misses, 0), "{second:?}");
        (first, second)
    }

    /// Every library and program that a build left, by path.
    fn artifacts(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tools::contents(&self.target.join("debug/deps"), &|name| !name.ends_with(".d"))
    }
}

/// Compiles the C project's sources, and one of them as C++, and returns the objects.
fn compile_c(sccache: &Sccache, project: &Project) -> BTreeMap<PathBuf, Vec<u8>> {
    let sources = [("gcc", "ring.c"), ("gcc", "checksum.c"), ("gcc", "main.c"), ("g++", "ring.c")];
    for (compiler, source) in sources {
        compile(
            sccache,
            &project.source,
            &[compiler, "-O1", "-c", source, "-o", &format!("{compiler}-{source}.o")],
        );
    }
    let objects = tools::contents(&project.source, &|name| name.ends_with(".o"));
    for object in objects.keys() {
        std::fs::remove_file(object).unwrap();
    }
    objects
}

/// Compiles one small source that nothing else compiles.
fn compile_one(sccache: &Sccache, project: &Project) {
    std::fs::write(project.source.join("one.c"), "int one(void) { return 1; }\n").unwrap();
    compile(sccache, &project.source, &["gcc", "-c", "one.c", "-o", "one.o"]);
    std::fs::remove_file(project.source.join("one.o")).unwrap();
}

fn compile(sccache: &Sccache, directory: &Path, arguments: &[&str]) {
    tools::run(sccache.command(&tools::tool("sccache")).args(arguments).current_dir(directory));
}

/// Stored results of compilations: what the gauge says without the probes `.sccache_check`, which are objects too.
fn stored_results(larder: &Larder) -> f64 {
    let places = ["", "/team/a", "/ci/team/a", "/ci/team/b"];
    let is_there =
        |place: &&str| http::get(larder.address(), &format!("{place}/.sccache_check")).status == 200;
    larder.metric("larder_stored_objects")
        - count(places.iter().filter(|place| is_there(place)).count() as u64)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are far below 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}
