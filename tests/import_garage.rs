//! `larder import` from S3: a bucket that real sccache filled, in Garage, is all hits from a larder that got a copy; and what a
//! store refuses is told.
//!
//! Knows the programs from outside only.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "support/garage.rs"]
mod garage;
#[path = "support/gate.rs"]
mod gate;
#[path = "support/importing.rs"]
mod importing;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::project::{Project, count};
use common::sccache::Sccache;
use common::{Larder, Options};
use garage::{BUCKET, Garage, KEY_ID, REGION, SECRET};
use importing::{import, puts};
use wire::{Fault, Wire};

/// A store with a build of real sccache in it, below the prefix `team`.
struct Filled {
    garage: Garage,
    project: Project,
    entries: u64,
    secret: tempfile::NamedTempFile,
}

impl Filled {
    fn new() -> Self {
        let (garage, project) = (Garage::start(), Project::new("c-project"));
        let endpoint = format!("http://{}", garage.address());
        let storage = [
            ("SCCACHE_BUCKET", BUCKET),
            ("SCCACHE_ENDPOINT", endpoint.as_str()),
            ("SCCACHE_REGION", REGION),
            ("SCCACHE_S3_USE_SSL", "false"),
            ("SCCACHE_S3_KEY_PREFIX", "team"),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let sccache = Sccache::start_with(project.scratch.path(), &storage);
        project.compile_c(&sccache);
        let entries = sccache.settled_stats().writes;
        assert!(entries > 0, "{}", sccache.log());
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&secret, SECRET).unwrap();
        drop(sccache);
        Self { garage, project, entries, secret }
    }

    /// Imports `source` by way of `endpoint`.
    fn import(&self, source: &str, endpoint: &str, to: &str, more: &[&str]) -> (Option<i32>, String, String) {
        let secret = self.secret.path().to_str().unwrap();
        let base = [source, "--endpoint", endpoint, "--region", REGION, "--to", to];
        let key = ["--access-key-id", KEY_ID, "--secret-access-key-file", secret];
        import(&[&base[..], &key, more].concat(), &[])
    }

    /// True when a build whose cache is `larder` alone finds everything.
    fn is_found(&self, larder: &Larder, prefix: Option<&str>) -> bool {
        let sccache = Sccache::start(self.project.scratch.path(), &larder.url(""), prefix);
        self.project.compile_c(&sccache);
        let stats = sccache.settled_stats();
        (stats.hits, stats.misses) == (self.entries, 0)
    }
}

#[test]
fn a_bucket_that_sccache_filled_is_all_hits_from_larder() {
    let filled = Filled::new();
    let endpoint = format!("http://{}", filled.garage.address());
    let larder = Larder::start(Options::default());
    for (source, more, prefix) in [
        (format!("s3://{BUCKET}/team"), &[][..], None),
        (format!("s3://{BUCKET}/team/"), &["--prefix", "other"], Some("other")),
        // Without a prefix in the URL the keys keep theirs.
        (format!("s3://{BUCKET}"), &[], Some("team")),
    ] {
        let before = puts(&larder);
        let (code, said, why) = filled.import(&source, &endpoint, &larder.url(""), more);
        assert_eq!(code, Some(0), "{source}: {said}{why}");
        assert!(said.starts_with(&format!("copied {} objects", filled.entries)), "{source}: {said}{why}");
        assert_eq!(puts(&larder) - before, count(filled.entries), "{source}: the probe is no entry");
        assert!(filled.is_found(&larder, prefix), "{source}");
    }
}

#[test]
fn what_the_store_refuses_is_told() {
    let filled = Filled::new();
    let endpoint = format!("http://{}", filled.garage.address());
    let larder = Larder::start(Options::default());
    let to = larder.url("");
    let refused = |source: &str, says: &str| {
        let (code, _, why) = filled.import(source, &endpoint, &to, &[]);
        assert_eq!(code, Some(1), "{why}");
        assert!(why.contains(says) && !why.contains(SECRET), "no {says:?} in {why}");
    };
    refused("s3://no-such-bucket", "cannot list s3://no-such-bucket: ");
    refused(&format!("s3://{BUCKET}/nothing/here"), "there is nothing to import in");
    std::fs::write(&filled.secret, SECRET.replace('8', "9")).unwrap();
    refused(&format!("s3://{BUCKET}"), "whether the key may list and read");
    filled.garage.kill();
    refused(&format!("s3://{BUCKET}"), "is not to be had");
    assert_eq!(puts(&larder), 0.0);
}

#[test]
fn a_store_that_fails_now_and_then_is_copied_whole() {
    let filled = Filled::new();
    let wire = Wire::start(filled.garage.address());
    let larder = Larder::start(Options::default());
    let source = format!("s3://{BUCKET}/team");
    wire.fault(Fault::SlowDown { every: 2 });
    let (code, said, why) =
        filled.import(&source, &format!("http://{}", wire.address()), &larder.url(""), &[]);
    assert_eq!(code, Some(0), "{said}{why}");
    assert!(said.starts_with(&format!("copied {} objects", filled.entries)), "{said}{why}");
    assert!(filled.is_found(&larder, None));
}

#[test]
fn a_body_that_breaks_off_is_never_stored_as_a_whole_one() {
    let filled = Filled::new();
    let larder = Larder::start(Options::default());
    let is_broken = Arc::new(AtomicBool::new(true));
    let listings = format!("/{BUCKET}?");
    let gate = gate::gate(filled.garage.address(), {
        let is_broken = Arc::clone(&is_broken);
        move |_, path| match path.starts_with(&listings) {
            false if is_broken.load(Ordering::SeqCst) => gate::Fault::Half,
            _ => gate::Fault::None,
        }
    });
    let import =
        || filled.import(&format!("s3://{BUCKET}/team"), &format!("http://{gate}"), &larder.url(""), &[]);
    let (code, said, why) = import();
    assert_eq!((code, puts(&larder)), (Some(1), 0.0), "{said}{why}");
    assert!(said.contains(&format!("{} failed", filled.entries)), "{said}{why}");
    is_broken.store(false, Ordering::SeqCst);
    let (code, said, why) = import();
    assert_eq!(code, Some(0), "{said}{why}");
    assert!(filled.is_found(&larder, None));
}
