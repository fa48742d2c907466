//! Reading through to a bucket, here a directory: what others put there is found, adopted, kept apart by namespace, and
//! never handed out damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;

use std::path::PathBuf;
use std::time::Duration;

use larder::cache::{CacheError, CacheOptions, Look, PutOptions};
use larder::config::{NamespaceConfig, Overwrite};
use larder::key::{Namespace, NamespacePattern, ObjectName};
use larder::object::Precondition;
use opened::{Opened, body, name, name_in};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A directory that serves as a bucket.
struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn url(&self) -> String {
        format!("file://{}", self.0.path().display())
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn write(&self, below: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        std::fs::write(self.path(below), bytes).unwrap();
    }

    /// A cache in front of it.
    async fn cache(&self, adjust: impl FnOnce(&mut CacheOptions)) -> Opened {
        Opened::new(256 * MIB, |options| {
            options.bucket.url = Some(self.url());
            // A storm of misses is another test's.
            options.bucket.absent_for = Duration::ZERO;
            adjust(options);
        })
        .await
    }
}

fn namespace(options: &mut CacheOptions, name: &str, own: NamespaceConfig) {
    options.namespaces.insert(Namespace::new(name).unwrap(), own);
}

fn with_prefix(prefix: &str) -> NamespaceConfig {
    NamespaceConfig { bucket_prefix: Some(prefix.to_owned()), ..NamespaceConfig::default() }
}

#[tokio::test]
async fn what_others_put_there_is_found_and_stored() {
    let bucket = Directory::new();
    let bodies = [("empty", 0), ("small", 5000), ("a/b/middling", 300_000), ("large", 9 << 20)];
    for (key, length) in bodies {
        bucket.write(&format!("default/{key}"), &body(1, length));
    }
    let opened = bucket.cache(|_| ()).await;
    for (key, length) in bodies {
        let info = opened.cache.head(&name(key)).await.unwrap().unwrap();
        assert_eq!(info.length, length as u64, "{key}");
        assert_eq!(opened.get(key).await.unwrap(), body(1, length), "{key}");
        std::fs::remove_file(bucket.path(&format!("default/{key}"))).unwrap();
    }
    let opened = opened.reopen(|_| ()).await;
    for (key, length) in bodies {
        assert_eq!(opened.get(key).await.unwrap(), body(1, length), "{key} is on disk now");
    }
    assert!(!opened.has("other").await);
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_read() {
    let bucket = Directory::new();
    for (key, length) in [("small", 200_000), ("large", 20 << 20)] {
        bucket.write(&format!("default/{key}"), &body(2, length));
        let opened = bucket.cache(|options| options.memory_budget = 1 << 30).await;
        let readers: Vec<_> = (0..50).map(|_| opened.get(key)).collect();
        for found in futures_util::future::join_all(readers).await {
            assert!(found.unwrap() == body(2, length), "{key}");
        }
        let gets = opened.metrics.bucket_requests.with_label_values(&["get", "ok"]).get();
        assert_eq!(gets, 1, "{key}");
    }
}

/// A reader looks at the disk and then at the bucket. Between the two a read for somebody else may store the object.
#[tokio::test]
async fn what_is_stored_between_the_looks_at_disk_and_bucket_is_found() {
    let bucket = Directory::new();
    bucket.write("default/k", &body(2, 5000));
    let opened = bucket.cache(|_| ()).await;
    let Ok(Look::Waits(waits)) = opened.cache.look(&name("k")) else { panic!("no disk has it") };
    assert!(opened.cache.head(&name("k")).await.unwrap().is_some(), "this brings it to the disk");
    std::fs::remove_file(bucket.path("default/k")).unwrap();
    let found = opened.cache.wait(&name("k"), waits).await.unwrap();
    assert_eq!(found.expect("the disk has it").info().length, 5000);
}

#[tokio::test]
async fn a_part_of_an_object_that_only_the_bucket_has() {
    let bucket = Directory::new();
    let whole = body(3, 12 << 20);
    bucket.write("default/k", &whole);
    let opened = bucket.cache(|_| ()).await;
    let object = opened.cache.get(&name("k")).await.unwrap().unwrap();
    let mut part = object.into_body(9_000_000..9_000_100);
    let mut bytes = Vec::new();
    while let Some(chunk) = part.next_chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(bytes, whole[9_000_000..9_000_100]);
}

#[tokio::test]
async fn an_absent_object_is_not_asked_for_again_in_the_next_moment() {
    let bucket = Directory::new();
    let opened = bucket.cache(|options| options.bucket.absent_for = Duration::from_secs(3600)).await;
    for _ in 0..10 {
        assert!(opened.get("k").await.is_none());
    }
    let asked = opened.metrics.bucket_requests.with_label_values(&["get", "not_found"]).get();
    assert_eq!((asked, opened.metrics.bucket_absent_hits.get()), (1, 9));
    opened.put("k", body(4, 100)).await.unwrap();
    assert_eq!(opened.get("k").await.unwrap(), body(4, 100));
}

#[tokio::test]
async fn a_namespace_has_its_own_place_and_reaches_no_other() {
    let bucket = Directory::new();
    bucket.write("legacy/k", b"old");
    bucket.write("team/secret", b"theirs");
    bucket.write("a/b", b"top");
    bucket.write("nobody/k", b"not configured");
    let opened = bucket
        .cache(|options| {
            namespace(options, "default", with_prefix(""));
            namespace(options, "team", NamespaceConfig::default());
            namespace(options, "moved", with_prefix("/legacy/"));
        })
        .await;
    assert_eq!(opened.get_as(&name_in("moved", "k")).await.unwrap(), b"old");
    assert_eq!(opened.get("a/b").await.unwrap(), b"top");
    assert_eq!(opened.get_as(&name_in("team", "secret")).await.unwrap(), b"theirs");
    assert!(opened.get("team/secret").await.is_none(), "by way of another namespace's key");
    assert!(opened.get("legacy/k").await.is_none(), "by way of another namespace's key");
    assert_eq!(opened.get("nobody/k").await.unwrap(), b"not configured", "a key like any other");
}

#[tokio::test]
async fn a_layer_reads_its_own_and_its_bases_part_of_the_bucket() {
    let bucket = Directory::new();
    bucket.write("main/k", b"base");
    bucket.write("pr-1/own", b"layer");
    bucket.write("main/own", b"base's");
    let opened = bucket
        .cache(|options| {
            namespace(options, "main", NamespaceConfig::default());
            let base = Some(Namespace::new("main").unwrap());
            let pattern = NamespacePattern::new("pr-*").unwrap();
            options
                .namespace_patterns
                .insert(pattern, NamespaceConfig { base, ..NamespaceConfig::default() });
        })
        .await;
    let in_layer = |key: &str| name_in("pr-1", key);
    assert_eq!(opened.get_as(&in_layer("own")).await.unwrap(), b"layer");
    assert_eq!(opened.get_as(&in_layer("k")).await.unwrap(), b"base");
    assert_eq!(opened.metrics.base_hits.get(), 1);
    assert_eq!(opened.get_as(&name_in("main", "own")).await.unwrap(), b"base's");
}

#[tokio::test]
async fn conditions_and_write_once_see_what_only_the_bucket_has() {
    let bucket = Directory::new();
    for key in ["default/absent", "default/match", "default/gone", "once/k"] {
        bucket.write(key, b"stored");
    }
    let opened = bucket
        .cache(|options| {
            let once = NamespaceConfig { overwrite: Overwrite::Never, ..NamespaceConfig::default() };
            namespace(options, "once", once);
        })
        .await;
    let begin = async |name: ObjectName, precondition| {
        opened.cache.begin_put(name, PutOptions { precondition, ..PutOptions::default() }).await.err()
    };
    let refused = begin(name("absent"), Precondition::Absent).await;
    assert!(matches!(refused, Some(CacheError::PreconditionFailed)), "{refused:?}");
    let version = opened.cache.head(&name("match")).await.unwrap().unwrap().sequence;
    assert!(begin(name("match"), Precondition::Unchanged(version)).await.is_none());
    let version = opened.cache.head(&name("gone")).await.unwrap().unwrap().sequence;
    assert!(opened.cache.delete(&name("gone"), Precondition::Unchanged(version)).await.unwrap());
    let refused = opened.put_as(name_in("once", "k"), &b"other!"[..]).await;
    assert!(matches!(refused, Err(CacheError::Exists { .. })), "{refused:?}");
    opened.put_as(name_in("once", "k"), &b"stored"[..]).await.unwrap();
}

#[tokio::test]
async fn what_is_over_or_too_large_stays_in_the_bucket() {
    let bucket = Directory::new();
    bucket.write("short/k", b"old by now");
    bucket.write("default/k", &body(5, 5000));
    let opened = bucket
        .cache(|options| {
            let ttl = Some(Duration::from_secs(3600));
            namespace(options, "short", NamespaceConfig { ttl, ..NamespaceConfig::default() });
            options.max_object_size = 4000;
            options.clock.put_forward(Duration::from_secs(2 * 3600));
        })
        .await;
    assert!(opened.get_as(&name_in("short", "k")).await.is_none());
    assert!(opened.get("k").await.is_none());
}

#[tokio::test]
async fn a_body_larger_than_the_disk_is_a_miss_and_one_that_memory_holds_is_not() {
    let bucket = Directory::new();
    bucket.write("default/large", &body(6, 40 << 20));
    bucket.write("default/small", &body(7, 1 << 20));
    let opened = bucket
        .cache(|options| {
            options.capacity = 16 * MIB;
            options.max_object_size = 1 << 30;
        })
        .await;
    assert!(opened.get("large").await.is_none());
    assert_eq!(opened.get("small").await.unwrap(), body(7, 1 << 20));
}

#[tokio::test]
async fn a_listing_shows_what_disk_and_bucket_have_page_by_page() {
    let bucket = Directory::new();
    let opened = bucket
        .cache(|options| {
            namespace(options, "default", with_prefix(""));
            namespace(options, "team", NamespaceConfig::default());
        })
        .await;
    bucket.write("team/theirs", b"theirs");
    let mut expected = Vec::new();
    for number in 0..30 {
        let key = format!("d/{number:02}");
        if number % 3 == 0 {
            opened.put(&key, body(number, 10)).await.unwrap();
        } else {
            bucket.write(&key, &body(number, 10));
        }
        expected.push(key);
    }
    bucket.write("d2/other", b"other");
    // One that both have is one row.
    opened.get("d/01").await.unwrap();
    for page_size in [1, 4, 7, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let namespace = Namespace::default_namespace();
            let page = opened.cache.list_with_bucket(&namespace, "d/", after.as_deref(), page_size);
            let page = page.await.unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(last.as_str().to_owned());
            found.extend(page.into_iter().map(|(key, _)| key.as_str().to_owned()));
        }
        assert_eq!(found, expected, "pages of {page_size}");
    }
    let namespace = Namespace::default_namespace();
    let all = opened.cache.list_with_bucket(&namespace, "", None, 100).await.unwrap();
    let keys: Vec<_> = all.iter().map(|(key, _)| key.as_str()).filter(|key| !key.starts_with("d/")).collect();
    assert_eq!(keys, ["d2/other"], "nothing of another namespace");
    let etag = |key: &str| all.iter().find(|(other, _)| other.as_str() == key).unwrap().1.etag;
    assert!(etag("d/00").is_some() && etag("d/01").is_some() && etag("d/02").is_none());
}
