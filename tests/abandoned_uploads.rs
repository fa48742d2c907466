//! An upload whose client leaves while it is being committed ends in one of two ways: stored, or without a trace.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::path::Path;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder::cache::{Cache, CacheOptions, PutOptions};
use larder::config::{Config, Durability};
use larder::key::{Namespace, ObjectKey, ObjectName};
use larder::metrics::Metrics;
use larder::object::Precondition;

fn open(dir: &Path) -> Cache {
    let config =
        Config { data_dir: dir.to_owned(), capacity: 1 << 30, min_free_disk: 0, ..Config::default() };
    let options = CacheOptions { durability: Durability::Periodic, ..CacheOptions::from(&config) };
    let cache = Cache::open(options, Metrics::new().unwrap()).unwrap();
    wait_for("the cache to be ready", || cache.is_ready().then_some(()));
    cache
}

fn name(key: &str) -> ObjectName {
    ObjectName { namespace: Namespace::default_namespace(), key: ObjectKey::new(key).unwrap() }
}

fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Commits `length` bytes under `key` and walks away at the first moment the commit has to wait.
fn abandon_commit(runtime: &tokio::runtime::Runtime, cache: &Cache, key: &str, length: usize) {
    runtime.block_on(async {
        let options = PutOptions { declared_length: Some(length as u64), ..PutOptions::default() };
        let mut upload = cache.begin_put(name(key), options).await.unwrap();
        upload.write(Bytes::from(vec![7; length])).await.unwrap();
        // The only thread for such work is taken, so that the commit has to wait.
        let (go_on, taken) = std::sync::mpsc::channel::<()>();
        let taken = tokio::task::spawn_blocking(move || taken.recv());
        let mut commit = Box::pin(upload.commit());
        let polled = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "the commit did not wait, the test shows nothing");
        drop(commit);
        drop(go_on);
        assert!(taken.await.unwrap().is_err(), "nothing was sent");
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().max_blocking_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_commit_that_nobody_waits_for_is_published_and_can_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let cache = open(dir.path());
    abandon_commit(&runtime, &cache, "gathered", 3 << 20);
    let find = || runtime.block_on(cache.get(&name("gathered"))).unwrap();
    let found = wait_for("the record to become an object", find);
    assert_eq!(found.info().length, 3 << 20);
    drop(found);
    assert!(runtime.block_on(cache.delete(&name("gathered"), Precondition::None)).unwrap());

    // As after kill -9: no close.
    drop(cache);
    let cache = open(dir.path());
    assert!(runtime.block_on(cache.get(&name("gathered"))).unwrap().is_none(), "a deleted object came back");
}

#[test]
fn a_large_upload_that_nobody_waits_for_leaves_no_file_behind_that_is_no_object() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let cache = open(dir.path());
    abandon_commit(&runtime, &cache, "solo", 20 << 20);
    wait_for("the file to become an object or to go", || {
        let stored = runtime.block_on(cache.get(&name("solo"))).unwrap().is_some();
        let files = std::fs::read_dir(dir.path().join("segments")).unwrap();
        let there = files.flatten().any(|file| file.path().extension().is_some_and(|end| end == "obj"));
        (stored == there).then_some(())
    });
}
