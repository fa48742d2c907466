//! Every on-disk format that ever existed still opens, and one that is newer is left alone: see
//! `migrations/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "common/mod.rs"]
mod common;
#[path = "migrations/dump.rs"]
mod dump;
#[path = "migrations/generator.rs"]
mod generator;
#[path = "migrations/newer.rs"]
mod newer;

use std::path::Path;

use dump::{Expected, Versions, dumps, manifest, newest, unpack};
use larder::blobs::{footer, record as blob, segment};
use larder::cache::{Cache, CacheOptions, DIRECTORY_FORMAT};
use larder::config::Config;
use larder::index::{Index, SledIndex, record};
use larder::key::{Namespace, ObjectKey, ObjectName};
use larder::metrics::Metrics;

fn todays_versions() -> Versions {
    Versions {
        directory: DIRECTORY_FORMAT,
        segment: segment::SEGMENT_VERSION,
        record: blob::RECORD_VERSION,
        footer: footer::FOOTER_VERSION,
        entry: record::ENTRY_VERSION,
    }
}

fn name(key: &str) -> ObjectName {
    ObjectName { namespace: Namespace::default_namespace(), key: ObjectKey::new(key).unwrap() }
}

/// A cache over `data`, ready, with its metrics.
fn open(data: &Path) -> (Cache, Metrics) {
    let config =
        Config { data_dir: data.to_owned(), capacity: 64 << 20, min_free_disk: 0, ..Config::default() };
    let metrics = Metrics::new().unwrap();
    let cache = Cache::open(CacheOptions::from(&config), metrics.clone()).unwrap();
    common::wait_for("the cache to be ready", || cache.is_ready().then_some(()));
    (cache, metrics)
}

async fn read(cache: &Cache, key: &str) -> Option<Vec<u8>> {
    let object = cache.get(&name(key)).await.unwrap()?;
    let length = object.info().length;
    let mut body = object.into_body(0..length);
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next_chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
}

/// Every object of `dump` is in the cache over `data` byte for byte, and no other.
async fn assert_whole(dump: &Path, data: &Path) -> Metrics {
    let manifest = manifest(dump);
    let (cache, metrics) = open(data);
    for expected in &manifest.objects {
        let body = read(&cache, &expected.key).await.unwrap_or_else(|| panic!("{} is gone", expected.key));
        assert_eq!(Expected::of(&expected.key, &body), *expected);
    }
    for key in &manifest.absent {
        assert!(read(&cache, key).await.is_none(), "{key} is back");
    }
    let listed = cache.list(&Namespace::default_namespace(), "", None, 1000).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|row| row.key.as_str().to_owned()).collect();
    let expected: Vec<_> = manifest.objects.iter().map(|object| object.key.clone()).collect();
    assert_eq!(listed, expected);
    cache.close().await.unwrap();
    metrics
}

#[test]
fn todays_formats_have_a_dump() {
    let newest = manifest(&newest());
    let said = "a format version was raised: write its dump, see migrations/README.md";
    assert_eq!(newest.versions, todays_versions(), "{said}");
    assert_eq!(dumps().len(), usize::try_from(DIRECTORY_FORMAT).unwrap(), "{said}");
}

#[tokio::test]
async fn every_format_that_ever_was_opens() {
    for dump in dumps() {
        let data = unpack(&dump);
        let metrics = assert_whole(&dump, data.path()).await;
        assert_eq!(metrics.index_rebuilds.get(), 0, "the index of {} was not taken over", dump.display());
        // What this larder wrote to it is whole as well.
        assert_whole(&dump, data.path()).await;
    }
}

#[tokio::test]
async fn every_format_that_ever_was_opens_without_its_index() {
    for dump in dumps() {
        let data = unpack(&dump);
        std::fs::remove_dir_all(data.path().join("index")).unwrap();
        assert_whole(&dump, data.path()).await;
    }
}

#[test]
fn every_index_that_ever_was_knows_what_was_used() {
    for dump in dumps() {
        let data = unpack(&dump);
        let manifest = manifest(&dump);
        let index = SledIndex::open(&data.path().join("index")).unwrap();
        let (mut entries, mut most) = (Vec::new(), None);
        index.load(&mut |entry| entries.push(entry)).unwrap();
        index.load_recency(&mut |row| most = most.max(Some((row.hits, row.sequence)))).unwrap();
        let (hits, sequence) = most.expect("recency was saved");
        let entry = entries.iter().find(|entry| entry.sequence == sequence).expect("it has an entry");
        assert_eq!((entry.name.key.as_str(), hits), (&*manifest.most_read.0, manifest.most_read.1));
    }
}
