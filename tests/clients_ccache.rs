//! C code through a real ccache over plain HTTP, in each of the layouts that it knows.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Larder, Options, http, tools};

#[test]
fn a_second_build_with_an_empty_local_cache_is_all_remote_hits() {
    let larder = Larder::start(Options::default().config("[namespaces.ci]\n"));
    for (path, layout) in [("/ccache", "subdirs"), ("/ci/ccache", "flat"), ("/ci", "bazel")] {
        let storage = format!("{}|layout={layout}", larder.url(path));
        let scratch = tempfile::tempdir().unwrap();
        let (first, counted) = build(scratch.path(), "first", &storage);
        assert_eq!((counted("cache_miss"), counted("remote_storage_hit")), (4, 0), "{layout}");
        assert_eq!(counted("remote_storage_error") + counted("remote_storage_timeout"), 0, "{layout}");
        let before = larder.total("larder_hits_total");
        let (second, counted) = build(scratch.path(), "second", &storage);
        assert_eq!((counted("direct_cache_hit"), counted("cache_miss")), (4, 0), "{layout}");
        assert_eq!(counted("local_storage_hit"), 0, "{layout}: the local cache was to be empty");
        assert_eq!(counted("remote_storage_miss"), 0, "{layout}");
        assert_eq!(counted("remote_storage_error") + counted("remote_storage_timeout"), 0, "{layout}");
        tools::assert_same_files(&first, &second);
        // A direct hit reads a manifest and a result.
        let hits = larder.total("larder_hits_total") - before;
        assert!((hits - 8.0).abs() < 0.5, "{layout}: larder counted {hits} hits for 4 objects");
    }
}

#[test]
fn a_server_that_is_gone_leaves_the_build_green() {
    let mut larder = Larder::start(Options::default());
    let storage = larder.url("/ccache");
    larder.kill9();
    let scratch = tempfile::tempdir().unwrap();
    let (objects, counted) = build(scratch.path(), "local", &storage);
    assert_eq!((objects.len(), counted("cache_miss")), (4, 4));
}

#[test]
fn a_read_only_server_leaves_the_build_green() {
    let larder = Larder::start(Options::default().env("LARDER_ANONYMOUS", "read"));
    let scratch = tempfile::tempdir().unwrap();
    let (objects, counted) = build(scratch.path(), "local", &larder.url("/ccache"));
    assert_eq!((objects.len(), counted("cache_miss")), (4, 4));
    assert_eq!(http::put(larder.address(), "/ccache/refused", b"x").status, 403);
    assert!(larder.metric("larder_stored_objects") == 0.0, "something was stored");
}

/// Compiles the C project with a local cache directory of this name and returns the objects and ccache's counts.
fn build(
    scratch: &Path,
    name: &str,
    storage: &str,
) -> (BTreeMap<PathBuf, Vec<u8>>, impl Fn(&str) -> u64 + use<>) {
    let source = scratch.join("source");
    tools::copy_fixture("c-project", &source);
    let ccache = |arguments: &[&str]| {
        let mut command = Command::new(tools::tool("ccache"));
        tools::isolate(&mut command);
        std::fs::write(scratch.join("ccache.conf"), "").unwrap();
        command.args(arguments).current_dir(&source);
        command.env("CCACHE_DIR", scratch.join(name)).env("CCACHE_CONFIGPATH", scratch.join("ccache.conf"));
        // Sources that are newer than the compilation would keep ccache from storing a manifest.
        command.env("CCACHE_SLOPPINESS", "include_file_mtime,include_file_ctime");
        command.env("CCACHE_REMOTE_STORAGE", storage);
        String::from_utf8(tools::run(&mut command).stdout).unwrap()
    };
    for (compiler, file) in [("gcc", "ring.c"), ("gcc", "checksum.c"), ("gcc", "main.c"), ("g++", "ring.c")] {
        ccache(&[compiler, "-O1", "-c", file, "-o", &format!("{compiler}-{file}.o")]);
    }
    let objects = tools::contents(&source, &|name| name.ends_with(".o"));
    std::fs::remove_dir_all(&source).unwrap();
    std::fs::create_dir(&source).unwrap();
    let printed = ccache(&["--print-stats"]);
    let counts: BTreeMap<String, u64> = printed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect();
    (objects, move |name| *counts.get(name).unwrap_or_else(|| panic!("ccache counts no {name}: {counts:?}")))
}
