//! Writing behind the disk: what clients store and delete reaches the bucket, here a directory, whatever happens on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/directory.rs"]
mod directory;
#[path = "support/opened.rs"]
mod opened;

use std::time::Duration;

use directory::Directory;
use larder::cache::PutOptions;
use larder::config::{BucketWrite, NamespaceConfig, Overwrite};
use larder::key::Namespace;
use larder::object::Precondition;
use opened::{Opened, block_bytes, body, name, name_in, until};

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn what_is_stored_lies_in_the_bucket_as_it_is() {
    let bucket = Directory::new();
    let opened = bucket.cache(|_| ()).await;
    let bodies = [("empty", 0), ("a/b/small", 5000), ("gathered", 3 << 20), ("large", 20 << 20)];
    for (key, length) in bodies {
        opened.put(key, body(1, length)).await.unwrap();
    }
    bucket.has_all(&opened, bodies.map(|(key, length)| (key, body(1, length)))).await;
    opened.put("a/b/small", body(2, 7000)).await.unwrap();
    bucket.has_all(&opened, [("a/b/small", body(2, 7000))]).await;
    let sent: usize = bodies.iter().map(|(_, length)| length).sum();
    assert_eq!(opened.metrics.bucket_sent_bytes.get(), sent as u64 + 7000);
    assert_eq!(opened.metrics.bucket_objects.get(), 4);
    assert_eq!(opened.metrics.bucket_bytes.get(), sent as i64 - 5000 + 7000);
    assert_eq!(opened.metrics.bucket_not_queued.get(), 0);
}

#[tokio::test]
async fn the_probe_and_parts_of_uploads_stay_on_the_disk() {
    let bucket = Directory::new();
    let opened = bucket.cache(|_| ()).await;
    opened.put(".sccache_check", body(1, 10)).await.unwrap();
    let mut part = name("default/some-upload/00001");
    part.namespace = Namespace::uploads();
    opened.put_as(part, body(1, 10)).await.unwrap();
    opened.put("last", body(1, 10)).await.unwrap();
    bucket.has_all(&opened, [("last", body(1, 10))]).await;
    assert_eq!(bucket.files().len(), 1);
}

#[tokio::test]
async fn a_deletion_reaches_the_bucket_and_nothing_comes_back() {
    let bucket = Directory::new();
    let opened = bucket.cache(|_| ()).await;
    for key in ["a", "b", "c"] {
        opened.put(key, body(1, 1000)).await.unwrap();
    }
    bucket.has_all(&opened, ["a", "b", "c"].map(|key| (key, body(1, 1000)))).await;
    assert!(opened.cache.delete(&name("a"), Precondition::None).await.unwrap());
    assert!(opened.get("a").await.is_none(), "also while the bucket has it");
    bucket.loses(&["a"]).await;
    assert!(!opened.cache.delete(&name("a"), Precondition::None).await.unwrap());
    let refused = opened.cache.delete(&name("b"), Precondition::Unchanged(1)).await;
    assert!(refused.is_err());
    assert!(opened.get("b").await.is_some());
    opened.put("a", body(3, 500)).await.unwrap();
    bucket.has_all(&opened, [("a", body(3, 500)), ("b", body(1, 1000))]).await;
    assert_eq!(opened.metrics.bucket_removed.with_label_values(&["deleted"]).get(), 1);
}

#[tokio::test]
async fn what_only_the_bucket_has_can_be_deleted() {
    let bucket = Directory::new();
    bucket.write("default/theirs", &body(1, 1000));
    let opened = bucket.cache(|_| ()).await;
    assert!(opened.cache.delete(&name("theirs"), Precondition::None).await.unwrap());
    assert!(!opened.cache.delete(&name("nobodys"), Precondition::None).await.unwrap());
    assert!(opened.get("theirs").await.is_none());
    bucket.loses(&["theirs"]).await;
}

#[tokio::test]
async fn a_deletion_that_was_answered_survives_a_crash_and_a_bucket_that_is_away() {
    let bucket = Directory::new();
    let opened = bucket.cache(|_| ()).await;
    opened.put("a", body(1, 1000)).await.unwrap();
    opened.put("b", body(1, 1000)).await.unwrap();
    bucket.has_all(&opened, [("a", body(1, 1000)), ("b", body(1, 1000))]).await;
    bucket.away();
    for key in ["a", "b"] {
        assert!(opened.cache.delete(&name(key), Precondition::None).await.unwrap());
    }
    let opened = opened.after_crash().await;
    bucket.back();
    assert!(opened.get("a").await.is_none(), "it is in the bucket, and deleted");
    opened.put("b", body(2, 10)).await.unwrap();
    bucket.loses(&["a"]).await;
    bucket.has_all(&opened, [("b", body(2, 10))]).await;
}

#[tokio::test]
async fn what_was_acknowledged_reaches_the_bucket_after_a_crash_with_a_full_queue() {
    let bucket = Directory::new();
    let opened = bucket.cache(|_| ()).await;
    opened.put("before", body(1, 3000)).await.unwrap();
    bucket.has_all(&opened, [("before", body(1, 3000))]).await;
    bucket.away();
    let keys: Vec<String> = (0..300).map(|n| format!("k/{n}")).collect();
    for (seed, key) in (0..).zip(&keys) {
        opened.put(key, body(seed, 3000)).await.unwrap();
    }
    opened.put("before", body(2, 10)).await.unwrap();
    until("the queue is told", async || opened.metrics.bucket_queue_objects.get() == 301).await;
    assert_eq!(opened.metrics.bucket_queue_bytes.get(), 300 * 3000 + 10);
    let opened = opened.after_crash().await;
    assert!(opened.get("k/7").await.is_some());
    bucket.back();
    let all = (0..).zip(&keys).map(|(seed, key)| (key.as_str(), body(seed, 3000)));
    bucket.has_all(&opened, all.chain([("before", body(2, 10))])).await;
    until("nothing waits", async || opened.metrics.bucket_queue_objects.get() == 0).await;
}

#[tokio::test]
async fn a_clean_restart_writes_nothing_twice() {
    let bucket = Directory::new();
    let opened = bucket.cache(|_| ()).await;
    for n in 0..50 {
        opened.put(&format!("{n}"), body(n, 2000)).await.unwrap();
    }
    // Closing gives the queue a moment.
    let opened = opened.reopen(|_| ()).await;
    assert_eq!(bucket.files().len(), 50);
    opened.put("last", body(1, 2000)).await.unwrap();
    bucket.has_all(&opened, [("last", body(1, 2000))]).await;
    assert_eq!(opened.metrics.bucket_requests.with_label_values(&["put", "ok"]).get(), 1);
    assert_eq!(opened.metrics.bucket_requests.with_label_values(&["head", "ok"]).get(), 0);
}

#[tokio::test]
async fn what_was_stored_before_there_was_a_bucket_goes_there() {
    let bucket = Directory::new();
    let opened = Opened::new(256 * MIB, |_| ()).await;
    for n in 0..50 {
        opened.put(&format!("{n}"), body(n, 2000)).await.unwrap();
    }
    bucket.write("default/3", &body(77, 2000));
    let theirs = std::fs::File::options().write(true).open(bucket.path("default/3")).unwrap();
    theirs.set_modified(std::time::SystemTime::now() + Duration::from_secs(60)).unwrap();
    let opened = opened.reopen(|options| options.bucket.url = Some(bucket.url())).await;
    let all: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    // What the bucket had is newer than what lies here.
    let expected = (0..).zip(&all).map(|(n, key)| (key.as_str(), body(if n == 3 { 77 } else { n }, 2000)));
    bucket.has_all(&opened, expected).await;
}

#[tokio::test]
async fn a_lost_catalogue_costs_nothing_but_time() {
    let bucket = Directory::new();
    let opened = bucket.cache(|_| ()).await;
    opened.put("a", body(1, 2000)).await.unwrap();
    bucket.has_all(&opened, [("a", body(1, 2000))]).await;
    bucket.away();
    opened.put("b", body(2, 2000)).await.unwrap();
    opened.cache.close().await.unwrap();
    std::fs::remove_dir_all(opened.dir().join("bucket")).unwrap();
    let opened = opened.after_crash().await;
    bucket.back();
    bucket.has_all(&opened, [("a", body(1, 2000)), ("b", body(2, 2000))]).await;
}

#[tokio::test]
async fn nothing_that_waits_for_the_bucket_is_evicted_and_capacity_is_kept() {
    let bucket = Directory::new();
    let capacity = 64 * MIB;
    let limit = 24 * MIB;
    let opened = bucket
        .cache(|options| {
            options.capacity = capacity;
            options.bucket.queue_limit = Some(limit);
        })
        .await;
    bucket.away();
    let mut waiting = Vec::new();
    for n in 0..200 {
        let key = format!("{n}");
        let before = opened.metrics.bucket_not_queued.get();
        opened.put(&key, body(n, 700_000)).await.unwrap();
        if opened.metrics.bucket_not_queued.get() == before {
            waiting.push(n);
        }
        assert!(block_bytes(&opened.dir()) <= capacity, "after {n}");
    }
    assert_eq!(waiting.len() as u64, limit / 700_000, "as many as the queue takes");
    assert!(opened.metrics.evictions.with_label_values(&["capacity"]).get() > 50);
    for n in &waiting {
        assert!(opened.has(&format!("{n}")).await, "{n} was acknowledged and is nowhere else");
    }
    // The process before has not said that they are saved.
    let opened = opened.after_crash().await;
    for n in 200..260 {
        opened.put(&format!("{n}"), body(n, 700_000)).await.unwrap();
    }
    for n in &waiting {
        assert!(opened.has(&format!("{n}")).await, "{n} after the restart");
    }
    bucket.back();
    let keys: Vec<(String, u64)> = waiting.iter().map(|n| (n.to_string(), *n)).collect();
    bucket.has_all(&opened, keys.iter().map(|(key, n)| (key.as_str(), body(*n, 700_000)))).await;
}

#[tokio::test]
async fn what_was_not_queued_is_queued_later_and_what_it_replaced_does_not_come_back() {
    let bucket = Directory::new();
    let opened = bucket.cache(|options| options.bucket.queue_limit = Some(100_000)).await;
    opened.put("k", body(1, 1000)).await.unwrap();
    bucket.has_all(&opened, [("k", body(1, 1000))]).await;
    bucket.away();
    for n in 0..9 {
        opened.put(&format!("fill/{n}"), body(n, 11_000)).await.unwrap();
    }
    opened.put("k", body(2, 5000)).await.unwrap();
    assert_eq!(opened.metrics.bucket_not_queued.get(), 1);
    bucket.back();
    bucket.has_all(&opened, [("k", body(2, 5000)), ("fill/8", body(8, 11_000))]).await;
    assert_eq!(opened.get("k").await.unwrap(), body(2, 5000));
}

#[tokio::test]
async fn a_write_through_is_in_the_bucket_when_it_is_answered_and_a_bucket_that_is_away_does_not_hold_it_up()
{
    let bucket = Directory::new();
    let opened = bucket.cache(|options| options.bucket.write = BucketWrite::Through).await;
    for n in 0..20 {
        opened.put(&format!("{n}"), body(n, 3000)).await.unwrap();
        assert_eq!(std::fs::read(bucket.path(&format!("default/{n}"))).unwrap(), body(n, 3000));
    }
    bucket.away();
    for n in 20..40 {
        opened.put(&format!("{n}"), body(n, 3000)).await.unwrap();
    }
    bucket.back();
    let keys: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    bucket.has_all(&opened, (0..).zip(&keys).map(|(n, key)| (key.as_str(), body(n, 3000)))).await;
}

#[tokio::test]
async fn in_a_write_once_namespace_the_first_in_the_bucket_stays() {
    let bucket = Directory::new();
    let opened = bucket
        .cache(|options| {
            let own = NamespaceConfig { overwrite: Overwrite::Never, ..NamespaceConfig::default() };
            options.namespaces.insert(Namespace::new("once").unwrap(), own);
            options.bucket.absent_for = Duration::ZERO;
        })
        .await;
    let upload = opened.cache.begin_put(name_in("once", "k"), PutOptions::default()).await.unwrap();
    bucket.write("once/k", &body(1, 1000));
    let mut upload = upload;
    upload.write(body(2, 500)).await.unwrap();
    upload.commit().await.unwrap();
    until("this server's own is gone", async || {
        opened.get_as(&name_in("once", "k")).await.is_some_and(|found| found == body(1, 1000))
    })
    .await;
    assert_eq!(std::fs::read(bucket.path("once/k")).unwrap(), body(1, 1000));
}
