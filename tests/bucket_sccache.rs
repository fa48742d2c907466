//! Real builds through real sccache over real S3: a server that lost its disk gives all hits from the bucket, and so does one
//! that took over a bucket which sccache had filled itself.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/azurite.rs"]
mod azurite;
#[path = "support/behind.rs"]
mod behind;
mod common;
#[path = "support/garage.rs"]
mod garage;
#[path = "support/outside.rs"]
mod outside;
#[path = "support/wire.rs"]
mod wire;

use behind::{Behind, Settings};
use common::project::{Project, count};
use common::sccache::{Sccache, Stats};
use common::tools;
use wire::Fault;

#[test]
fn a_build_with_an_emptied_disk_is_all_hits_from_the_bucket() {
    let mut larder = Behind::s3(Settings::default());
    let project = Project::new("cargo-project");
    let first = build(&project, &Sccache::start(project.scratch.path(), &larder.larder.url(""), None));
    assert!(first.misses >= 12 && first.hits == 0, "the fixture has too little to cache: {first:?}");
    larder.wait_until_drained();
    assert_eq!(larder.names().len() as u64, first.writes, "objects in the bucket");
    larder.forget_disk();

    let second = build(&project, &Sccache::start(project.scratch.path(), &larder.larder.url(""), None));
    assert_eq!((second.hits, second.misses), (first.misses, 0), "{second:?}");
    assert_eq!(larder.larder.metric("larder_bucket_hits_total"), count(second.hits));

    // And from the disk, now.
    larder.wire.go_down();
    let third = build(&project, &Sccache::start(project.scratch.path(), &larder.larder.url(""), None));
    assert_eq!((third.hits, third.misses), (first.misses, 0), "{third:?}");
}

#[test]
fn a_bucket_that_sccache_filled_itself_is_taken_over() {
    const TAKEN_OVER: Settings = Settings {
        top: "",
        bucket: "",
        tables: "[namespaces.default]\nbucket_prefix = \"\"\n",
        secret: None,
    };
    let larder = Behind::s3(TAKEN_OVER);
    let project = Project::new("cargo-project");
    let endpoint = format!("http://{}", larder.garage().address());
    let prefix = larder.path("team");
    let direct = [
        ("SCCACHE_BUCKET", garage::BUCKET),
        ("SCCACHE_ENDPOINT", &endpoint),
        ("SCCACHE_REGION", garage::REGION),
        ("SCCACHE_S3_USE_SSL", "false"),
        ("SCCACHE_S3_KEY_PREFIX", &prefix),
        ("AWS_ACCESS_KEY_ID", garage::KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", garage::SECRET),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let first = build(&project, &Sccache::start_with(project.scratch.path(), &direct));
    assert!(first.misses >= 12 && first.hits == 0, "{first:?}");

    let through = || Sccache::start(project.scratch.path(), &larder.larder.url(""), Some("team"));
    let second = build(&project, &through());
    assert_eq!((second.hits, second.misses), (first.misses, 0), "{second:?}");
    assert_eq!(larder.larder.metric("larder_bucket_hits_total"), count(second.hits));
}

#[test]
fn a_build_is_green_while_the_bucket_does_all_it_can_to_break_it() {
    let mut larder = Behind::s3(Settings { bucket: "read_timeout = \"100ms\"", ..Settings::default() });
    let project = Project::new("c-project");
    for fault in [Fault::Hang, Fault::Half, Fault::Corrupt, Fault::SlowDown { every: 1 }] {
        larder.wire.pass();
        let sccache = Sccache::start(project.scratch.path(), &larder.larder.url(""), None);
        let right = project.compile_c(&sccache);
        sccache.settled_stats();
        drop(sccache);
        larder.wait_until_drained();
        larder.forget_disk();

        larder.wire.fault(fault);
        let sccache = Sccache::start(project.scratch.path(), &larder.larder.url(""), None);
        tools::assert_same_files(&right, &project.compile_c(&sccache));
        let stats = sccache.settled_stats();
        assert_eq!(
            (stats.write_errors, stats.read_errors),
            (0, 0),
            "{fault:?}: {stats:?}\n{}",
            sccache.log()
        );
    }
}

/// Builds the cargo project anew; nothing may have gone wrong.
fn build(project: &Project, sccache: &Sccache) -> Stats {
    let _ = std::fs::remove_dir_all(&project.target);
    project.build(sccache);
    let stats = sccache.settled_stats();
    assert_eq!((stats.write_errors, stats.read_errors), (0, 0), "{stats:?}\n{}", sccache.log());
    stats
}
