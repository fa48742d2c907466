//! Real builds through a real sccache: what it stores once it must find again, bit for bit, and no trouble of
//! the cache may ever break a build.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;

use common::project::{EXPECTED_OUTPUT, Project, count};
use common::sccache::Sccache;
use common::{Larder, Options, http, tools, wait_for};

#[test]
fn a_cargo_build_is_all_hits_the_second_time() {
    let larder = Larder::start(Options::default());
    let project = Project::new("cargo-project");
    let (first, second) = project.build_twice(&larder, webdav(&larder, "", None));
    assert!(first.misses >= 12, "the fixture has too little to cache: {first:?}");
    assert_eq!(second.hits, first.misses, "{second:?}");
}

#[test]
fn a_namespace_and_a_key_prefix_hold_a_build_of_their_own() {
    let larder = Larder::start(Options::default().config("[namespaces.ci]\n"));
    let project = Project::new("cargo-project");
    let (first, _) = project.build_twice(&larder, webdav(&larder, "/ci", Some("team/a")));

    // Another prefix and the default namespace share nothing with it.
    for (endpoint, prefix) in [("/ci", "team/b"), ("", "team/a")] {
        let sccache = Sccache::start(project.scratch.path(), &larder.url(endpoint), Some(prefix));
        project.compile_one(&sccache);
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
        let objects = project.compile_c(&sccache);
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
    let first = project.compile_c(&sccache);
    let stored = sccache.settled_stats().writes;
    drop(sccache);
    assert_eq!(larder.terminate().code(), Some(0));
    larder.restart_with(Options::default().env("LARDER_ANONYMOUS", "read"));
    assert_eq!(http::put(larder.address(), "/refused", b"x").status, 403);

    let sccache = Sccache::start(project.scratch.path(), &larder.url(""), None);
    tools::assert_same_files(&first, &project.compile_c(&sccache));
    project.compile_one(&sccache);
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

/// Starts daemons that cache over WebDAV below `path`.
fn webdav(larder: &Larder, path: &str, prefix: Option<&'static str>) -> impl Fn(&Path) -> Sccache {
    let endpoint = larder.url(path);
    move |scratch| {
        let sccache = Sccache::start(scratch, &endpoint, prefix);
        let location = sccache.stats().location;
        assert!(location.contains("webdav"), "sccache caches elsewhere: {location}");
        sccache
    }
}

/// Stored results of compilations: what the gauge says without the probes `.sccache_check`, which are objects too.
fn stored_results(larder: &Larder) -> f64 {
    let places = ["", "/team/a", "/ci/team/a", "/ci/team/b"];
    let is_there =
        |place: &&str| http::get(larder.address(), &format!("{place}/.sccache_check")).status == 200;
    larder.metric("larder_stored_objects")
        - count(places.iter().filter(|place| is_there(place)).count() as u64)
}
