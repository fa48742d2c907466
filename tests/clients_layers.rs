//! A trusted build and a pull request's build through a real sccache: the second profits from the first, and never the
//! other way round, also when larder is killed in between.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;

use common::sccache::{Sccache, Stats};
use common::{Larder, Options, http, tools};

const CONFIG: &str = "[namespaces.main]\noverwrite = \"never\"\n[namespaces.\"pr-*\"]\nbase = \"main\"\n";

/// Compiles `source` with a fresh sccache that caches at `endpoint`; the object and what sccache counted.
fn build(larder: &Larder, scratch: &Path, endpoint: &str, source: &str) -> (Vec<u8>, Stats) {
    std::fs::write(scratch.join("one.c"), source).unwrap();
    let sccache = Sccache::start(scratch, &larder.url(endpoint), None);
    let arguments = ["gcc", "-O1", "-c", "one.c", "-o", "one.o"];
    tools::run(sccache.command(&tools::tool("sccache")).args(arguments));
    let stats = sccache.settled_stats();
    assert_eq!((stats.write_errors, stats.read_errors), (0, 0), "{stats:?}\n{}", sccache.log());
    let object = std::fs::read(scratch.join("one.o")).unwrap();
    std::fs::remove_file(scratch.join("one.o")).unwrap();
    (object, stats)
}

#[test]
fn a_pull_request_gets_the_trusted_hits_and_its_own_stay_its_own() {
    let mut larder = Larder::start(Options::default().config(CONFIG));
    let scratch = tempfile::tempdir().unwrap();
    let (reviewed, proposed) = ("int one(void) { return 1; }\n", "int one(void) { return 2; }\n");
    let step = |endpoint: &str, source: &str, hits: u64, larder: &Larder| {
        let (object, stats) = build(larder, scratch.path(), endpoint, source);
        let expected = (hits, 1 - hits, 1 - hits);
        assert_eq!((stats.hits, stats.misses, stats.writes), expected, "{endpoint} {source}: {stats:?}");
        object
    };
    let trusted = step("/main", reviewed, 0, &larder);
    assert_eq!(step("/pr-1", reviewed, 1, &larder), trusted, "its base has it");
    let own = step("/pr-1", proposed, 0, &larder);
    assert_ne!(own, trusted);
    larder.kill9();
    larder.restart();
    assert_eq!(step("/pr-1", proposed, 1, &larder), own, "it is stored in the layer");
    step("/pr-2", proposed, 0, &larder);
    // Not in the trusted namespace, which starts with a compilation of its own.
    step("/main", proposed, 0, &larder);
    assert_eq!(step("/main", reviewed, 1, &larder), trusted);
    // The trusted builds' probe, written again and again, and no other object can be replaced.
    let address = larder.address();
    assert_eq!(http::put(address, "/main/.sccache_check", b"again").status, 204);
    assert_eq!(http::put(address, "/main/k", b"first").status, 201);
    assert_eq!(http::put(address, "/main/k", b"other").status, 409);
    let metrics = larder.metrics();
    assert!((metrics["larder_overwrites_refused_total{namespace=\"main\"}"] - 1.0).abs() < f64::EPSILON);
    assert!(larder.log().contains("write-once namespace refused"), "{}", larder.log());
    assert!(metrics["larder_namespace_objects{namespace=\"pr-*\"}"] >= 2.0, "{metrics:?}");
    assert!(!metrics.keys().any(|name| name.contains("pr-1")), "one label for all of a pattern: {metrics:?}");
}
