//! The bucket's client against a directory and against larder's own S3: what goes in comes out, under whatever key, and
//! nothing else is touched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::s3::{S3Server, WRITER};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use larder::bucket::{Bucket, BucketError, BucketPath, Marked, WriteMode};
use larder::config::BucketConfig;
use tempfile::TempDir;

/// Keys as clients may have them. No two are one below the other.
const KEYS: &[&str] = &[
    "5/1/d/51db",
    "with space/and  two",
    "percent/%41%2F%zz",
    "plus+and&amp=<x>",
    "hash#tag/#",
    "question?mark=1",
    "ünïcödé/日本/🦀",
    "quote\"'`",
    "back\\slash",
    "[brackets]{braces}",
    "tilde~^|",
    "…/...",
    "comma,;:@!$*()",
    " leading and trailing ",
    "a\u{a0}\u{2028}b",
    "%2e%2e/x",
];

fn directory(dir: &Path) -> Bucket {
    let url = Some(format!("file://{}", dir.display()));
    Bucket::open(&BucketConfig { url, ..BucketConfig::default() }).unwrap().unwrap()
}

/// larder itself, as somebody's S3.
fn s3(server: &S3Server, prefix: &str) -> Bucket {
    let secret = server.file("bucket.secret", WRITER.secret.as_bytes());
    let config = BucketConfig {
        url: Some(format!("s3://default{prefix}")),
        endpoint: Some(server.larder.url("")),
        access_key_id: Some(WRITER.id.to_owned()),
        secret_access_key_file: Some(secret),
        ..BucketConfig::default()
    };
    Bucket::open(&config).unwrap().unwrap()
}

async fn put(bucket: &Bucket, path: &BucketPath, body: &[u8], mode: WriteMode) -> Result<(), BucketError> {
    bucket.put(path, vec![Bytes::copy_from_slice(body)], Marked::by(0), mode).await
}

async fn body(bucket: &Bucket, path: &BucketPath, from: u64) -> Result<Vec<u8>, BucketError> {
    let chunks: Vec<_> = bucket.get(path, from).await?.body.try_collect().await?;
    Ok(chunks.concat())
}

async fn listed(bucket: &Bucket) -> BTreeSet<String> {
    let rows: Vec<_> = bucket.list().try_collect().await.unwrap();
    rows.iter().map(|row| bucket.below(&row.path).unwrap().to_owned()).collect()
}

/// Everything that a bucket does, with every kind of key.
async fn is_a_bucket(bucket: &Bucket) {
    for key in KEYS {
        let path = bucket.path(key).unwrap_or_else(|| panic!("{key:?} has a path"));
        assert_eq!(bucket.below(&path), Some(*key));
        assert!(matches!(bucket.head(&path).await, Err(BucketError::NotFound)), "{key:?}");
        assert!(matches!(bucket.get(&path, 0).await.err(), Some(BucketError::NotFound)), "{key:?}");
        bucket.delete(&path).await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
        put(bucket, &path, format!("the body of {key}").as_bytes(), WriteMode::Replace).await.unwrap();
    }
    assert_eq!(listed(bucket).await, KEYS.iter().map(|key| (*key).to_owned()).collect());
    for key in KEYS {
        let path = bucket.path(key).unwrap();
        let expected = format!("the body of {key}");
        assert_eq!(body(bucket, &path, 0).await.unwrap(), expected.as_bytes(), "{key:?}");
        assert_eq!(body(bucket, &path, 9).await.unwrap(), &expected.as_bytes()[9..], "{key:?}");
        let head = bucket.head(&path).await.unwrap();
        assert_eq!(head.length, expected.len() as u64);
        assert!(head.version != 0 && head.modified_ms > 1_600_000_000_000, "{head:?}");
        assert_eq!(head, bucket.get(&path, 3).await.unwrap().object, "a part is of the same object");
    }
    let first = bucket.path(KEYS[0]).unwrap();
    let before = bucket.head(&first).await.unwrap();
    let again = put(bucket, &first, b"another", WriteMode::Create).await;
    assert!(matches!(again, Err(BucketError::Exists)), "{again:?}");
    put(bucket, &first, b"other", WriteMode::Replace).await.unwrap();
    assert_ne!(bucket.head(&first).await.unwrap().version, before.version);
    let new = bucket.path("new").unwrap();
    put(bucket, &new, b"first", WriteMode::Create).await.unwrap();
    assert_eq!(body(bucket, &new, 0).await.unwrap(), b"first");

    let missing = bucket.path("not there").unwrap();
    let all: Vec<_> = KEYS.iter().map(|key| bucket.path(key).unwrap()).chain([missing]).collect();
    let gone = bucket.delete_all(all.clone()).await.unwrap();
    assert_eq!(gone, all.into_iter().collect());
    assert_eq!(listed(bucket).await, BTreeSet::from(["new".to_owned()]));
    bucket.delete(&new).await.unwrap();
    bucket.delete(&new).await.unwrap();
    assert!(bucket.delete_all(Vec::new()).await.unwrap().is_empty());
    assert!(listed(bucket).await.is_empty());
}

fn parts(bytes: &[u8]) -> impl futures_util::Stream<Item = Result<Bytes, String>> + use<> {
    let chunks: Vec<_> = bytes.chunks(700_001).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    stream::iter(chunks)
}

/// Why a large object was not written.
#[derive(Debug)]
enum NotWritten {
    Body(String),
    Bucket(BucketError),
}

/// Writes an object in parts, and takes it back where its body or a part of it fails.
async fn put_large(
    bucket: &Bucket,
    path: &BucketPath,
    length: u64,
    mode: WriteMode,
    body: impl futures_util::Stream<Item = Result<Bytes, String>>,
) -> Result<(), NotWritten> {
    let begun = bucket.begin_large(path, length, Marked::by(7), mode).await;
    let mut upload = begun.map_err(NotWritten::Bucket)?;
    let mut body = std::pin::pin!(body);
    while let Some(chunk) = body.next().await {
        let written = match chunk {
            Ok(chunk) => upload.write(chunk).await.map_err(NotWritten::Bucket),
            Err(error) => Err(NotWritten::Body(error)),
        };
        if let Err(error) = written {
            upload.abort().await;
            return Err(error);
        }
    }
    upload.complete().await.map_err(NotWritten::Bucket)
}

/// Objects in parts are whole or not there.
async fn takes_large_objects(bucket: &Bucket) {
    let large: Vec<u8> = (0..20_000_003_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2]).collect();
    let (path, length) = (bucket.path("large/one").unwrap(), large.len() as u64);
    put_large(bucket, &path, length, WriteMode::Create, parts(&large)).await.unwrap();
    assert!(body(bucket, &path, 0).await.unwrap() == large);
    let again = put_large(bucket, &path, length, WriteMode::Create, parts(&large)).await;
    assert!(matches!(again, Err(NotWritten::Bucket(BucketError::Exists))), "{again:?}");
    put_large(bucket, &path, 4, WriteMode::Replace, parts(b"tiny")).await.unwrap();
    assert_eq!(body(bucket, &path, 0).await.unwrap(), b"tiny");

    let other = bucket.path("large/other").unwrap();
    let failing = parts(&large).chain(stream::once(async { Err("the disk failed".to_owned()) }));
    match put_large(bucket, &other, length, WriteMode::Replace, failing).await {
        Err(NotWritten::Body(error)) => assert_eq!(error, "the disk failed"),
        other => panic!("{other:?}"),
    }
    let mut dropped = bucket.begin_large(&other, length, Marked::by(7), WriteMode::Replace).await.unwrap();
    dropped.write(Bytes::from(large)).await.unwrap();
    drop(dropped);
    assert!(matches!(bucket.head(&other).await, Err(BucketError::NotFound)));
    assert_eq!(listed(bucket).await, BTreeSet::from(["large/one".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_a_bucket() {
    let dir = TempDir::new().unwrap();
    let bucket = directory(&dir.path().join("made/if missing % # ü"));
    is_a_bucket(&bucket).await;
    let left: Vec<_> = std::fs::read_dir(dir.path().join("made/if missing % # ü")).unwrap().collect();
    assert!(left.is_empty(), "directories that are empty are removed: {left:?}");
    takes_large_objects(&bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn larders_own_s3_is_a_bucket_at_its_top_and_below_a_prefix() {
    let server = S3Server::start();
    is_a_bucket(&s3(&server, "")).await;
    is_a_bucket(&s3(&server, "/a prefix/of ü+%41")).await;
    takes_large_objects(&s3(&server, "/larder")).await;
    // Neither uploads that were broken off nor those that were dropped are left over; these are taken back in a moment.
    let stored = || server.larder.metrics()["larder_stored_objects"];
    let until = Instant::now() + Duration::from_secs(30);
    while stored() > 1.0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stored(), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_keeps_to_itself() {
    let server = S3Server::start();
    let (whole, part, neighbour) = (s3(&server, ""), s3(&server, "/part"), s3(&server, "/part2"));
    for bucket in [&part, &neighbour] {
        put(bucket, &bucket.path("x").unwrap(), b"x", WriteMode::Replace).await.unwrap();
    }
    assert_eq!(listed(&part).await, BTreeSet::from(["x".to_owned()]));
    assert_eq!(listed(&whole).await, BTreeSet::from(["part/x".to_owned(), "part2/x".to_owned()]));
    assert_eq!(part.below(&neighbour.path("x").unwrap()), None);
    assert_eq!(part.path("x"), whole.path("part/x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_a_missing_bucket_are_refused_and_no_miss() {
    let server = S3Server::start();
    let config = |url: &str, secret: &str| BucketConfig {
        url: Some(url.to_owned()),
        endpoint: Some(server.larder.url("")),
        access_key_id: Some(WRITER.id.to_owned()),
        secret_access_key_file: Some(server.file(&format!("{}.secret", secret.len()), secret.as_bytes())),
        ..BucketConfig::default()
    };
    let wrong = Bucket::open(&config("s3://default", "wrong")).unwrap().unwrap();
    let missing = Bucket::open(&config("s3://nobodys", WRITER.secret)).unwrap().unwrap();
    for (bucket, says) in [(wrong, "SignatureDoesNotMatch"), (missing, "NoSuchBucket")] {
        let path = bucket.path("x").unwrap();
        let refused = |error: Option<BucketError>| match error {
            Some(BucketError::Refused(text)) => assert!(text.contains(says), "{text}"),
            other => panic!("{says}: {other:?}"),
        };
        refused(bucket.get(&path, 0).await.err());
        refused(put(&bucket, &path, b"x", WriteMode::Replace).await.err());
        refused(put(&bucket, &path, b"x", WriteMode::Create).await.err());
        refused(bucket.delete(&path).await.err());
        refused(bucket.list().next().await.unwrap().err());
        refused(bucket.begin_large(&path, 1, Marked::by(1), WriteMode::Replace).await.err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_directory_cannot_hold_is_a_miss_and_no_failure_of_the_directory() {
    let dir = TempDir::new().unwrap();
    let bucket = directory(dir.path());
    let path = |key: &str| bucket.path(key).unwrap();
    put(&bucket, &path("a"), b"a file", WriteMode::Replace).await.unwrap();
    put(&bucket, &path("d/x"), b"in a directory", WriteMode::Replace).await.unwrap();
    for key in ["a/b", "a/b/c", "d"] {
        assert!(matches!(bucket.get(&path(key), 0).await.err(), Some(BucketError::NotFound)), "{key}");
        assert!(matches!(bucket.head(&path(key)).await, Err(BucketError::NotFound)), "{key}");
        let written = put(&bucket, &path(key), b"x", WriteMode::Replace).await;
        assert!(matches!(written, Err(BucketError::Impossible(_))), "{key}: {written:?}");
        bucket.delete(&path(key)).await.unwrap();
    }
    assert_eq!(listed(&bucket).await, BTreeSet::from(["a".to_owned(), "d/x".to_owned()]));
    for key in ["a/file#1", "file#42", &"x".repeat(250)] {
        assert_eq!(bucket.path(key), None, "{key}");
    }
    assert!(bucket.path("file#1a").is_some() && bucket.path("dir#1/file").is_some());
}

#[test]
fn keys_that_no_store_takes_have_no_path() {
    let server = S3Server::start();
    let bucket = s3(&server, "/larder");
    for key in ["a//b", "/a", "a/", "a/../b", ".", "a\u{ffff}", "a\nb", ""] {
        assert_eq!(bucket.path(key), None, "{key:?}");
    }
    assert!(bucket.path(&"k".repeat(1017)).is_some());
    assert_eq!(bucket.path(&"k".repeat(1018)), None, "S3 counts the prefix");
}
