//! Real sccache fills its local disk; after `larder import` a sccache that has only larder finds all of it.
//!
//! Knows the programs from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "support/importing.rs"]
mod importing;

use common::project::{Project, count};
use common::sccache::Sccache;
use common::{Larder, Options, tools};
use importing::{import, puts};

#[test]
fn what_sccache_has_on_its_disk_is_all_hits_from_larder() {
    let larder = Larder::start(Options::default());
    let project = Project::new("cargo-project");
    let disk = project.scratch.path().join("sccache-disk");
    let path = disk.to_str().unwrap();
    let sccache = Sccache::start_with(project.scratch.path(), &[("SCCACHE_DIR", path)]);
    project.build(&sccache);
    sccache.settled_stats();
    drop(sccache);
    // Without the preprocessor mode, as sccache works without a disk.
    let c_project = Project::new("c-project");
    let storage = [("SCCACHE_DIR", path), ("SCCACHE_DIRECT", "false")];
    let sccache = Sccache::start_with(c_project.scratch.path(), &storage);
    let objects = c_project.compile_c(&sccache);
    sccache.settled_stats();
    drop(sccache);
    let entries = count_of(tools::contents(&disk, &|_| true).len());
    assert!(entries > 12, "{entries}");
    std::fs::write(disk.join(".sccachetmpAbCdEf"), b"half an entry").unwrap();
    std::fs::remove_dir_all(&project.target).unwrap();

    let (code, said, why) = import(&["--to", &larder.url("")], &[("SCCACHE_DIR", path)]);
    assert_eq!(code, Some(0), "{said}{why}");
    assert!(said.starts_with(&format!("copied {entries} objects")), "{said}{why}");
    assert!(why.contains("left out 1 object") && !why.contains("MULTILEVEL"), "{why}");
    assert_eq!(puts(&larder), count(entries), "nothing but entries");

    let sccache = Sccache::start(project.scratch.path(), &larder.url(""), None);
    project.build(&sccache);
    tools::assert_same_files(&objects, &c_project.compile_c(&sccache));
    let stats = sccache.settled_stats();
    assert!(stats.location.contains("webdav"), "{stats:?}");
    assert_eq!((stats.hits, stats.misses), (entries, 0), "{stats:?}");
}

#[test]
fn entries_of_the_preprocessor_mode_are_hits_of_a_disk_with_larder_behind_it() {
    let larder = Larder::start(Options::default());
    let project = Project::new("c-project");
    let (first, second) = (project.scratch.path().join("first"), project.scratch.path().join("second"));
    let (first, second, endpoint) = (first.to_str().unwrap(), second.to_str().unwrap(), larder.url(""));
    let sccache = Sccache::start_with(project.scratch.path(), &[("SCCACHE_DIR", first)]);
    project.compile_c(&sccache);
    let writes = sccache.settled_stats().writes;
    drop(sccache);

    let (code, said, why) = import(&[first, "--to", &endpoint], &[]);
    assert_eq!(code, Some(0), "{why}");
    assert!(said.starts_with(&format!("copied {writes} objects")), "{said}");
    assert!(why.contains("SCCACHE_MULTILEVEL_CHAIN=disk,webdav"), "no word of who finds them: {why}");

    let chain = [
        ("SCCACHE_DIR", second),
        ("SCCACHE_WEBDAV_ENDPOINT", endpoint.as_str()),
        ("SCCACHE_MULTILEVEL_CHAIN", "disk,webdav"),
    ];
    let sccache = Sccache::start_with(project.scratch.path(), &chain);
    project.compile_c(&sccache);
    let stats = sccache.settled_stats();
    assert_eq!((stats.hits, stats.misses), (writes, 0), "{stats:?}");
}

fn count_of(number: usize) -> u64 {
    u64::try_from(number).unwrap()
}
