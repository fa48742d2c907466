//! Real builds through a real sccache that speaks S3: all hits the second time, honest refusals, and what one
//! protocol stored the other finds.
//!
//! Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;

use common::project::Project;
use common::s3::{self, Key, READER, S3Server, WRITER};
use common::sccache::Sccache;
use common::tools;

#[test]
fn a_cargo_build_through_s3_is_all_hits_the_second_time() {
    let server = S3Server::start();
    let project = Project::new("cargo-project");
    let (first, second) = project.build_twice(&server.larder, |scratch| {
        let sccache = s3_cache(&server, "default", "team/a", Some(WRITER)).start(scratch);
        let location = sccache.stats().location;
        assert!(location.to_ascii_lowercase().contains("s3"), "sccache caches elsewhere: {location}");
        sccache
    });
    assert!(first.misses >= 12, "the fixture has too little to cache: {first:?}");
    assert_eq!(second.hits, first.misses, "{second:?}");
}

#[test]
fn a_key_that_is_wrong_is_explained_when_sccache_starts() {
    let server = S3Server::start();
    let scratch = tempfile::tempdir().unwrap();
    let wrong = Key { secret: "not-the-secret-of-this-key", ..WRITER };
    let said = s3_cache(&server, "default", "a", Some(wrong)).refusal(scratch.path());
    assert!(said.contains("SignatureDoesNotMatch"), "{said}");
    assert!(said.contains("secret"), "nothing says what to look at: {said}");

    let unknown = Key { id: "nobody", ..WRITER };
    let said = s3_cache(&server, "default", "a", Some(unknown)).refusal(scratch.path());
    assert!(said.contains("InvalidAccessKeyId"), "{said}");

    let said = s3_cache(&server, "no-such-bucket", "a", Some(WRITER)).refusal(scratch.path());
    assert!(said.contains("NoSuchBucket"), "{said}");

    // Nobody gave callers without a key anything.
    let said = s3_cache(&server, "default", "a", None).refusal(scratch.path());
    assert!(said.contains("asks for a token"), "{said}");
}

#[test]
fn a_key_that_may_only_read_gives_hits_and_takes_nothing() {
    reads_but_does_not_write(&S3Server::start(), Some(READER));
}

#[test]
fn callers_without_a_key_read_where_anonymous_is_read() {
    reads_but_does_not_write(&S3Server::start_with("anonymous = \"read\""), None);
}

#[test]
fn what_one_protocol_stored_the_other_finds() {
    let server = S3Server::start_with("anonymous = \"read-write\"");
    let webdav = |path: &str, prefix: &str| {
        let endpoint = server.larder.url(path);
        let prefix = prefix.to_owned();
        move |scratch: &Path| Sccache::start(scratch, &endpoint, Some(&prefix))
    };
    let s3 = |bucket: &str, prefix: &str| {
        let cache = s3_cache(&server, bucket, prefix, Some(WRITER));
        move |scratch: &Path| cache.start(scratch)
    };
    hits_what_the_first_stored(webdav("", "key/prefix"), s3("default", "key/prefix"));
    hits_what_the_first_stored(s3("team", "b"), webdav("/team", "b"));
    hits_what_the_first_stored(webdav("/team", "c"), s3("team", "c"));
    hits_what_the_first_stored(s3("default", "d"), webdav("/default", "d"));
}

/// Builds with the one daemon, then with the other, which has to find everything and build the same.
fn hits_what_the_first_stored(first: impl Fn(&Path) -> Sccache, second: impl Fn(&Path) -> Sccache) {
    let project = Project::new("c-project");
    let sccache = first(project.scratch.path());
    let stored = project.compile_c(&sccache);
    let stats = sccache.settled_stats();
    assert_eq!((stats.hits, stats.writes), (0, 4), "{stats:?}\n{}", sccache.log());
    drop(sccache);
    let sccache = second(project.scratch.path());
    let found = project.compile_c(&sccache);
    let stats = sccache.stats();
    assert_eq!((stats.hits, stats.misses, stats.read_errors), (4, 0, 0), "{stats:?}\n{}", sccache.log());
    tools::assert_same_files(&stored, &found);
}

/// Has one key store a build, and another, or none, find it without storing what is new.
fn reads_but_does_not_write(server: &S3Server, reader: Option<Key>) {
    let project = Project::new("c-project");
    let sccache = s3_cache(server, "team", "a", Some(WRITER)).start(project.scratch.path());
    let first = project.compile_c(&sccache);
    let stored = sccache.settled_stats().writes;
    assert_eq!(stored, 4, "{}", sccache.log());
    drop(sccache);
    let objects = server.larder.metric("larder_stored_objects");

    let sccache = s3_cache(server, "team", "a", reader).start(project.scratch.path());
    tools::assert_same_files(&first, &project.compile_c(&sccache));
    project.compile_one(&sccache);
    let stats = sccache.stats();
    assert_eq!((stats.hits, stats.misses, stats.read_errors), (stored, 1, 0), "{stats:?}");
    assert_eq!(stats.writes, 0, "sccache thinks it wrote to a cache that it may only read");
    drop(sccache);
    assert_eq!(server.larder.metric("larder_stored_objects"), objects, "something was stored");
}

/// How a daemon is told its bucket.
struct S3Cache {
    bucket: String,
    prefix: String,
    endpoint: String,
    key: Option<Key>,
}

fn s3_cache(server: &S3Server, bucket: &str, prefix: &str, key: Option<Key>) -> S3Cache {
    let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
    S3Cache { bucket, prefix, endpoint: server.larder.url(""), key }
}

impl S3Cache {
    fn start(&self, scratch: &Path) -> Sccache {
        Sccache::start_with(scratch, &self.variables())
    }

    fn refusal(&self, scratch: &Path) -> String {
        Sccache::refusal_with(scratch, &self.variables())
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        let mut variables = vec![
            ("SCCACHE_BUCKET", self.bucket.as_str()),
            ("SCCACHE_ENDPOINT", &self.endpoint),
            ("SCCACHE_REGION", "auto"),
            ("SCCACHE_S3_USE_SSL", "false"),
            ("SCCACHE_S3_KEY_PREFIX", &self.prefix),
        ];
        match self.key {
            Some(key) => variables.extend(s3::environment(key)),
            None => variables.push(("SCCACHE_S3_NO_CREDENTIALS", "true")),
        }
        variables
    }
}
