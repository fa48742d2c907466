//! The bucket's own budget: what goes first, what is over its time, what is nobody's, and who removes when several servers
//! share a bucket, here a directory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/directory.rs"]
mod directory;
#[path = "support/opened.rs"]
mod opened;
#[path = "support/sampler.rs"]
mod sampler;

use std::path::Path;
use std::time::{Duration, SystemTime};

use directory::Directory;
use larder::cache::CacheOptions;
use larder::config::NamespaceConfig;
use larder::key::{Namespace, NamespacePattern};
use opened::{Opened, body, until};
use sampler::Sampler;

const MIB: u64 = 1 << 20;
const HOUR: Duration = Duration::from_secs(3600);

/// Lists soon and often.
fn scanning(options: &mut CacheOptions) {
    options.bucket.scan_interval = Duration::from_millis(100);
}

/// An object that others wrote so long ago.
fn write_old(bucket: &Directory, below: &str, length: usize, age: Duration) {
    bucket.write(below, &body(1, length));
    set_age(&bucket.path(below), age);
}

fn set_age(path: &Path, age: Duration) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

/// Waits for two more listings to be over.
async fn listed_twice(opened: &Opened) {
    let lists = || opened.metrics.bucket_requests.with_label_values(&["list", "ok"]).get();
    // A listing ends with an empty page; a removal makes two of them.
    let before = lists();
    until("the bucket is listed", async || lists() >= before + 8).await;
}

#[tokio::test]
async fn the_gauges_say_what_lies_there() {
    let bucket = Directory::new();
    write_old(&bucket, "default/a", 1000, HOUR);
    write_old(&bucket, "default/b/c", 500, HOUR);
    write_old(&bucket, "somebody-elses", 100_000, HOUR);
    write_old(&bucket, "unknown-namespace/x", 100_000, HOUR);
    let opened = bucket.cache(scanning).await;
    let gauges = || (opened.metrics.bucket_objects.get(), opened.metrics.bucket_bytes.get());
    until("both are counted", async || gauges() == (2, 1500)).await;
    opened.put("c", body(1, 70)).await.unwrap();
    until("what was written is counted", async || gauges() == (3, 1570)).await;
    std::fs::remove_file(bucket.path("default/a")).unwrap();
    until("what others removed is not", async || gauges() == (2, 570)).await;
}

#[tokio::test]
async fn above_its_capacity_the_least_recently_used_objects_go_and_what_is_nobodys_stays() {
    let bucket = Directory::new();
    for n in 0..20_u32 {
        write_old(&bucket, &format!("default/{n}"), 1 << 20, HOUR * (100 - n));
    }
    write_old(&bucket, "other/old", 40 << 20, HOUR * 1000);
    let opened = bucket
        .cache(|options| {
            scanning(options);
            options.bucket.capacity = Some(10 * MIB);
            options.bucket.absent_for = Duration::ZERO;
            // Used now, before the first listing.
            options.bucket.scan_interval = Duration::from_secs(1);
        })
        .await;
    for n in [0, 3] {
        assert!(opened.get(&format!("{n}")).await.is_some());
    }
    let kept = || bucket.files();
    // 95 % of the capacity: nine objects.
    until("it is below its capacity", async || kept().len() == 10).await;
    let mut expected = vec!["other/old".to_owned()];
    expected.extend([0, 3].into_iter().chain(13..20).map(|n| format!("default/{n}")));
    expected.sort();
    assert_eq!(kept(), expected);
    let removed = || opened.metrics.bucket_removed.with_label_values(&["capacity"]).get();
    until("all of them are counted", async || removed() == 11).await;
    assert_eq!(opened.metrics.bucket_capacity_bytes.get(), 10 << 20);
    listed_twice(&opened).await;
    assert_eq!(kept(), expected);
}

#[tokio::test]
async fn uses_of_what_is_on_disk_count() {
    let bucket = Directory::new();
    let opened = bucket
        .cache(|options| {
            scanning(options);
            options.bucket.ttl = Some(24 * HOUR);
        })
        .await;
    for key in ["used", "unused"] {
        opened.put(key, body(1, 1000)).await.unwrap();
    }
    // A file that is being written counts as another one.
    bucket.has_all(&opened, ["used", "unused"].map(|key| (key, body(1, 1000)))).await;
    opened.options.clock.put_forward(20 * HOUR);
    assert!(opened.get("used").await.is_some());
    opened.options.clock.put_forward(10 * HOUR);
    bucket.loses(&["unused"]).await;
    listed_twice(&opened).await;
    assert_eq!(bucket.files(), ["default/used"]);
    assert_eq!(opened.metrics.bucket_removed.with_label_values(&["expired"]).get(), 1);
}

#[tokio::test]
async fn the_times_of_namespaces_hold_in_the_bucket() {
    let bucket = Directory::new();
    let short = NamespaceConfig { ttl: Some(10 * HOUR), ..NamespaceConfig::default() };
    let pull = NamespaceConfig { idle_expiry: Some(10 * HOUR), ..NamespaceConfig::default() };
    for namespace in ["short", "default", "pr-1", "pr-2"] {
        write_old(&bucket, &format!("{namespace}/old"), 100, 20 * HOUR);
    }
    for namespace in ["short", "pr-2"] {
        write_old(&bucket, &format!("{namespace}/new"), 100, HOUR);
    }
    let opened = bucket
        .cache(|options| {
            scanning(options);
            options.namespaces.insert(Namespace::new("short").unwrap(), short);
            options.namespace_patterns.insert(NamespacePattern::new("pr-*").unwrap(), pull);
        })
        .await;
    let expected = ["default/old", "pr-2/new", "pr-2/old", "short/new"];
    until("what is over is gone", async || bucket.files() == expected).await;
    // A removal is counted once the bucket has answered, so a moment after the file is gone.
    let removed = |reason| opened.metrics.bucket_removed.with_label_values(&[reason]).get();
    until("both are counted", async || (removed("idle"), removed("expired")) == (1, 1)).await;
}

#[tokio::test]
async fn of_two_servers_one_removes_and_none_too_much() {
    let bucket = Directory::new();
    for n in 0..40_u32 {
        write_old(&bucket, &format!("default/{n}"), 1 << 20, HOUR * (100 - n));
    }
    let adjust = |options: &mut CacheOptions| {
        scanning(options);
        options.bucket.capacity = Some(20 * MIB);
    };
    let (first, second) = tokio::join!(bucket.cache(adjust), bucket.cache(adjust));
    until("it is below its capacity", async || bucket.files().len() <= 20).await;
    listed_twice(&first).await;
    listed_twice(&second).await;
    assert_eq!(bucket.files().len(), 19, "95 % of the capacity");
    let removed = |opened: &Opened| opened.metrics.bucket_removed.with_label_values(&["capacity"]).get();
    let mut both = [removed(&first), removed(&second)];
    both.sort_unstable();
    assert_eq!(both, [0, 21]);
    let gauges = async || [&first, &second].iter().all(|opened| opened.metrics.bucket_objects.get() == 19);
    until("both know what is left", gauges).await;
}

#[tokio::test]
async fn a_lease_of_another_server_is_kept_until_it_ends() {
    let bucket = Directory::new();
    for n in 0..10 {
        write_old(&bucket, &format!("default/{n}"), 1 << 20, HOUR);
    }
    let until_ms = larder::index::table::now_us() / 1000 + 24 * 3_600_000;
    bucket.write(".larder/lease", format!(r#"{{"server":"other","until_ms":{until_ms}}}"#).as_bytes());
    let opened = bucket
        .cache(|options| {
            scanning(options);
            options.bucket.capacity = Some(5 * MIB);
        })
        .await;
    listed_twice(&opened).await;
    assert_eq!(bucket.files().len(), 10, "that is the other's work");
    opened.options.clock.put_forward(25 * HOUR);
    until("it is taken over", async || bucket.files().len() == 4).await;
}

#[tokio::test]
async fn an_upload_past_the_capacity_has_the_bucket_looked_at_before_its_time() {
    let bucket = Directory::new();
    let opened = bucket
        .cache(|options| {
            options.bucket.capacity = Some(5 * MIB);
            options.bucket.scan_interval = Duration::from_secs(4);
            // Side by side they would be there in another order than they were stored in.
            options.bucket.uploads = 1;
        })
        .await;
    for n in 0..10 {
        opened.put(&format!("{n}"), body(n, 1 << 20)).await.unwrap();
    }
    // Four are there on the way up, too.
    until("nothing waits", async || opened.cache.bucket_status().unwrap().queue_objects == 0).await;
    until("it is below its capacity", async || {
        bucket.files().len() == 4 && opened.metrics.bucket_objects.get() == 4
    })
    .await;
    assert_eq!(bucket.files(), ["default/6", "default/7", "default/8", "default/9"]);
}

/// What is known of the bucket is in the capacity, also while a large listing is taken in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_capacity_holds_while_a_large_bucket_is_listed_for_the_first_time() {
    const OBJECTS: usize = 40_000;
    let bucket = Directory::new();
    for n in 0..OBJECTS {
        bucket.write(&format!("default/{:02}/{n}", n % 100), b"x");
    }
    let capacity = 64 * MIB;
    let opened = bucket
        .cache(|options| {
            options.capacity = capacity;
            options.max_object_size = capacity;
            options.bucket.scan_interval = Duration::from_secs(2);
        })
        .await;
    let sampler = Sampler::start(opened.dir());
    let is_listed = || opened.metrics.bucket_objects.get() > i64::try_from(OBJECTS).unwrap();
    let mut stored = 0;
    while !is_listed() || stored < 300 {
        opened.put(&format!("new/{stored}"), body(stored, 1 << 20)).await.unwrap();
        stored += 1;
    }
    let most = sampler.end();
    assert!(most <= capacity, "{most} bytes of blocks seen with a capacity of {capacity}");
}
