//! What a namespace may hold, and for how long: quotas, expiry, and namespaces that come and go by pattern.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::cache::{CacheError, CacheOptions, PutOptions};
use larder::config::NamespaceConfig;
use larder::key::{Namespace, NamespacePattern};
use larder::object::Precondition;
use opened::{Opened, body, name, name_in, until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const MIB: u64 = 1 << 20;
const BLOCK: u64 = 4096;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn set(options: &mut CacheOptions, namespace: &str, settings: NamespaceConfig) {
    options.namespaces.insert(Namespace::new(namespace).unwrap(), settings);
}

fn quota(bytes: u64) -> NamespaceConfig {
    NamespaceConfig { quota: Some(bytes), ..NamespaceConfig::default() }
}

fn ttl(time: Duration) -> NamespaceConfig {
    NamespaceConfig { ttl: Some(time), ..NamespaceConfig::default() }
}

/// Stores objects `from..to` of `length` bytes in a namespace.
async fn fill(opened: &Opened, namespace: &str, keys: std::ops::Range<u64>, length: usize) {
    for at in keys {
        opened.put_as(name_in(namespace, &at.to_string()), body(at, length)).await.unwrap();
    }
}

/// Which of `keys` a namespace has.
async fn present(opened: &Opened, namespace: &str, keys: std::ops::Range<u64>) -> Vec<u64> {
    let mut there = Vec::new();
    for at in keys {
        if opened.cache.head(&name_in(namespace, &at.to_string())).await.unwrap().is_some() {
            there.push(at);
        }
    }
    there
}

/// What the metrics say a namespace or pattern takes: objects, bytes.
fn taken(opened: &Opened, label: &str) -> (u64, u64) {
    opened.cache.update_gauges();
    let value =
        |gauge: &prometheus::IntGaugeVec| u64::try_from(gauge.with_label_values(&[label]).get()).unwrap();
    (value(&opened.metrics.namespace_objects), value(&opened.metrics.namespace_disk_bytes))
}

fn evicted(opened: &Opened, reason: &str) -> u64 {
    opened.metrics.evictions.with_label_values(&[reason]).get()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_keep_a_quota_and_cost_nobody_else_anything() {
    const WRITERS: u64 = 8;
    const LARGEST: usize = 60_000;
    let seed = opened::seed();
    let limit = 8 * MIB;
    let opened = Opened::new(64 * MIB, |options| set(options, "small", quota(limit))).await;
    // Older than all that follows, so the first to go were it for the order of use alone.
    fill(&opened, "default", 0..100, 30_000).await;
    let writers = (0..WRITERS).map(|writer| {
        let cache = opened.cache.clone();
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed + writer);
            for step in 0..250 {
                // Some keys are shared, so that writers overwrite and delete what others wrote.
                let key = if random.random_ratio(1, 4) { step % 20 } else { 1000 * (writer + 1) + step };
                let name = name_in("small", &key.to_string());
                if random.random_ratio(1, 10) {
                    cache.delete(&name, Precondition::None).await.unwrap();
                    continue;
                }
                let body = body(step, random.random_range(1..LARGEST));
                let mut upload = cache.begin_put(name, PutOptions::default()).await.unwrap();
                upload.write(body).await.unwrap();
                upload.commit().await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut most = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(taken(&opened, "small").1);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(most > limit / 2, "the quota was never near: {most}");
    let in_flight = WRITERS * (LARGEST as u64 + 2 * BLOCK);
    assert!(most <= limit + limit / 16 + in_flight, "{most} bytes under a quota of {limit}");
    until("the quota is kept", async || taken(&opened, "small").1 <= limit).await;
    assert!(evicted(&opened, "quota") > 0);
    assert_eq!(evicted(&opened, "capacity"), 0);
    assert_eq!(present(&opened, "default", 0..100).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_above_its_quota_loses_its_own_least_recently_used() {
    let opened = Opened::new(64 * MIB, |options| set(options, "small", quota(4 * MIB))).await;
    fill(&opened, "small", 0..30, 100_000).await;
    for at in (0..30).step_by(5) {
        assert!(opened.get_as(&name_in("small", &at.to_string())).await.is_some());
    }
    fill(&opened, "small", 100..125, 100_000).await;
    until("the quota is kept", async || taken(&opened, "small").1 <= 4 * MIB).await;
    let left = present(&opened, "small", 0..30).await;
    let unused: Vec<u64> = left.iter().copied().filter(|at| at % 5 != 0).collect();
    assert_eq!(left.len() - unused.len(), 6, "those that were read stay: {left:?}");
    let newest: Vec<u64> = (0..30).filter(|at| at % 5 != 0).skip(24 - unused.len()).collect();
    assert_eq!(unused, newest, "of the others the last ones stay");
    assert_eq!(present(&opened, "small", 100..125).await.len(), 25);
    assert_eq!(taken(&opened, "small").0, left.len() as u64 + 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_idle_namespace_leaves_is_used_by_others_until_it_wakes() {
    // Together more than the capacity.
    let opened = Opened::new(32 * MIB, |options| {
        set(options, "a", quota(20 * MIB));
        set(options, "b", quota(24 * MIB));
    })
    .await;
    fill(&opened, "a", 0..10, 100_000).await;
    fill(&opened, "b", 0..230, 100_000).await;
    assert_eq!(
        present(&opened, "b", 0..230).await.len(),
        230,
        "more than half of all, and its quota allows it"
    );
    assert_eq!(present(&opened, "a", 0..10).await.len(), 10);
    assert_eq!(evicted(&opened, "capacity") + evicted(&opened, "quota"), 0);
    for at in 0..10 {
        assert!(opened.get_as(&name_in("a", &at.to_string())).await.is_some());
    }
    fill(&opened, "a", 10..150, 100_000).await;
    assert_eq!(present(&opened, "a", 0..150).await.len(), 150, "within its quota, and used last");
    assert_eq!(evicted(&opened, "quota"), 0);
    let left = present(&opened, "b", 0..230).await;
    assert_eq!(
        left.len() as u64,
        230 - evicted(&opened, "capacity"),
        "room came from b, which had most of it"
    );
    assert_eq!(left, (230 - left.len() as u64..230).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_and_quotas_come_through_restarts_and_crashes_and_a_lowered_one_is_kept_at_once() {
    let mut opened = Opened::new(64 * MIB, |options| set(options, "team", quota(20 * MIB))).await;
    // The oldest of all, and not in the namespace that has too much.
    fill(&opened, "default", 0..50, 100_000).await;
    fill(&opened, "team", 0..150, 100_000).await;
    fill(&opened, "team", 0..10, 5000).await;
    opened.put_as(name_in("team", "large"), body(1, 3 << 20)).await.unwrap();
    let (counted, in_default) = (taken(&opened, "team"), taken(&opened, "default"));
    assert_eq!(counted.0, 151);
    assert!(counted.1 > 16 * MIB && in_default.0 == 50, "{counted:?} {in_default:?}");
    opened = opened.reopen(|_| {}).await;
    assert_eq!(taken(&opened, "team"), counted);
    opened = opened.after_crash().await;
    assert_eq!((taken(&opened, "team"), taken(&opened, "default")), (counted, in_default));
    opened = opened.reopen(|options| set(options, "team", quota(8 * MIB))).await;
    until("the new quota is kept", async || taken(&opened, "team").1 <= 8 * MIB).await;
    assert_eq!(present(&opened, "default", 0..50).await.len(), 50);
    assert_eq!(evicted(&opened, "capacity"), 0);
    // Without the table in the configuration nobody reaches it, and it is still counted.
    opened = opened.reopen(|options| options.namespaces.clear()).await;
    let (objects, _) = taken(&opened, "(unconfigured)");
    assert!(objects > 0 && objects < counted.0, "{objects}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_namespaces_of_a_pattern_share_its_quota() {
    let opened = Opened::new(64 * MIB, |options| {
        options.namespace_patterns.insert(NamespacePattern::new("pr-*").unwrap(), quota(4 * MIB));
    })
    .await;
    for pull_request in 0..20 {
        fill(&opened, &format!("pr-{pull_request}"), 0..10, 100_000).await;
    }
    until("the quota is kept", async || taken(&opened, "pr-*").1 <= 4 * MIB).await;
    assert_eq!(present(&opened, "pr-0", 0..10).await, Vec::<u64>::new());
    assert_eq!(present(&opened, "pr-19", 0..10).await.len(), 10);
}

#[tokio::test]
async fn what_is_larger_than_its_namespace_allows_is_refused_whatever_the_protocol_says() {
    let opened = Opened::new(64 * MIB, |options| {
        set(options, "small", quota(2 * MIB));
        set(options, "tiny", NamespaceConfig { max_object_size: Some(1000), ..quota(MIB) });
    })
    .await;
    for (namespace, limit, max_length) in
        [("small", 2 * MIB, Some(9 * MIB)), ("small", 2 * MIB, None), ("tiny", 1000, None)]
    {
        let options = PutOptions { max_length, ..PutOptions::default() };
        let mut upload = opened.cache.begin_put(name_in(namespace, "k"), options).await.unwrap();
        let refused = upload.write(body(1, usize::try_from(limit + 1).unwrap())).await;
        assert!(
            matches!(refused, Err(CacheError::TooLarge { limit: found }) if found == limit),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_a_miss_once_its_time_is_over_however_often_it_was_read() {
    let opened = Opened::new(64 * MIB, |options| {
        options.memory_tier = 16 * MIB;
        set(options, "brief", ttl(HOUR));
    })
    .await;
    let (brief, other) = (name_in("brief", "k"), name("k"));
    opened.put_as(brief.clone(), body(1, 5000)).await.unwrap();
    opened.put_as(other.clone(), body(2, 5000)).await.unwrap();
    for _ in 0..59 {
        opened.options.clock.put_forward(Duration::from_secs(60));
        assert!(opened.get_as(&brief).await.is_some(), "its time is not over");
    }
    opened.options.clock.put_forward(Duration::from_secs(61));
    let found = opened.cache.head(&brief).await.unwrap();
    assert!(found.is_none() && opened.get_as(&brief).await.is_none(), "reading prolonged it: {found:?}");
    assert!(opened.cache.list(&brief.namespace, "", None, 9).await.unwrap().is_empty());
    assert!(!opened.cache.delete(&brief, Precondition::None).await.unwrap());
    assert_eq!(evicted(&opened, "expired"), 1);
    assert!(opened.get_as(&other).await.is_some(), "another namespace's");
    // To a condition, too, it is not there.
    let absent = PutOptions { precondition: Precondition::Absent, ..PutOptions::default() };
    let upload = opened.cache.begin_put(brief.clone(), absent).await.unwrap();
    assert!(upload.commit().await.unwrap().created);
    // A write begins its time anew.
    opened.options.clock.put_forward(HOUR / 2);
    assert!(!opened.put_as(brief.clone(), body(3, 10)).await.unwrap().created);
    opened.options.clock.put_forward(HOUR / 2 + HOUR / 4);
    assert!(opened.get_as(&brief).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_objects_are_removed_though_nobody_asks_for_them() {
    let mut opened = Opened::new(64 * MIB, |options| set(options, "brief", ttl(DAY))).await;
    fill(&opened, "brief", 0..100, 20_000).await;
    fill(&opened, "default", 0..10, 20_000).await;
    opened.options.clock.put_forward(DAY / 2);
    fill(&opened, "brief", 100..120, 20_000).await;
    opened = opened.after_crash().await;
    assert_eq!(taken(&opened, "brief").0, 120, "half a day is not a day");
    opened.options.clock.put_forward(DAY / 2 + HOUR);
    until("the first hundred are gone", async || taken(&opened, "brief").0 == 20).await;
    assert_eq!(evicted(&opened, "expired"), 100);
    assert_eq!(present(&opened, "brief", 0..120).await, (100..120).collect::<Vec<_>>());
    // The rule is the configuration's: it holds for what is stored already.
    opened = opened.reopen(|options| set(options, "brief", ttl(HOUR))).await;
    until("all are gone", async || taken(&opened, "brief").0 == 0).await;
    assert_eq!(present(&opened, "default", 0..10).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_namespace_of_a_pattern_vanishes_and_one_in_use_stays() {
    let mut opened = Opened::new(64 * MIB, |options| {
        set(options, "main", NamespaceConfig::default());
        let base = Some(Namespace::new("main").unwrap());
        let layer = NamespaceConfig { base, ..NamespaceConfig::default() };
        options.namespace_patterns.insert(NamespacePattern::new("pr-*").unwrap(), layer);
    })
    .await;
    for namespace in ["main", "pr-1", "pr-2", "pr-3"] {
        fill(&opened, namespace, 0..20, 10_000).await;
    }
    opened.options.clock.put_forward(4 * DAY);
    // A read and a write count as use of the whole layer; reads that its base serves do not.
    assert!(opened.get_as(&name_in("pr-2", "7")).await.is_some());
    opened.put_as(name_in("pr-3", "new"), body(1, 10)).await.unwrap();
    opened.put_as(name_in("main", "trusted"), body(2, 10)).await.unwrap();
    assert_eq!(opened.get_as(&name_in("pr-1", "trusted")).await.unwrap(), body(2, 10));
    opened.options.clock.put_forward(4 * DAY);
    until("pr-1 has vanished", async || taken(&opened, "pr-*").0 == 20 + 21).await;
    assert_eq!(evicted(&opened, "idle"), 20);
    assert_eq!(present(&opened, "main", 0..20).await.len(), 20, "a namespace of its own name never vanishes");
    assert!(opened.cache.list(&Namespace::new("pr-1").unwrap(), "", None, 9).await.unwrap().is_empty());
    assert_eq!(present(&opened, "pr-1", 0..20).await.len(), 20, "its base is seen");
    // When it was last used is known after a restart, and a namespace that has gone may come again.
    opened = opened.reopen(|_| {}).await;
    opened.put_as(name_in("pr-1", "again"), body(3, 10)).await.unwrap();
    assert_eq!(taken(&opened, "pr-*").0, 20 + 21 + 1);
    opened.options.clock.put_forward(4 * DAY);
    until("pr-2 and pr-3 have vanished", async || taken(&opened, "pr-*").0 == 1).await;
    assert_eq!(opened.get_as(&name_in("pr-1", "again")).await.unwrap(), body(3, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_through_a_layer_counts_as_used_in_its_base() {
    let opened = Opened::new(32 * MIB, |options| {
        set(options, "main", NamespaceConfig::default());
        let base = Some(Namespace::new("main").unwrap());
        set(options, "layer", NamespaceConfig { base, ..NamespaceConfig::default() });
    })
    .await;
    fill(&opened, "main", 0..200, 100_000).await;
    for at in (0..200).step_by(10) {
        assert!(opened.get_as(&name_in("layer", &at.to_string())).await.is_some());
    }
    assert_eq!(opened.metrics.base_hits.get(), 20);
    fill(&opened, "default", 0..200, 100_000).await;
    let left = present(&opened, "main", 0..200).await;
    assert!(left.len() < 150, "{} are left", left.len());
    assert_eq!(left.iter().filter(|at| **at % 10 == 0).count(), 20, "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_expire_while_they_are_used_leave_no_trace_and_no_wrong_answer() {
    let opened = Opened::new(64 * MIB, |options| set(options, "brief", ttl(HOUR))).await;
    let stop = AtomicBool::new(false);
    let churn = async {
        for round in 0..40_u64 {
            fill(&opened, "brief", 0..20, 9000).await;
            for at in 0..20 {
                if let Some(found) = opened.get_as(&name_in("brief", &at.to_string())).await {
                    assert_eq!(found, body(at, 9000), "round {round}");
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    let time = async {
        while !stop.load(Ordering::Relaxed) {
            opened.options.clock.put_forward(HOUR / 3);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::join!(churn, time);
    opened.options.clock.put_forward(2 * HOUR);
    until("all are gone", async || taken(&opened, "brief") == (0, 0)).await;
    assert_eq!(opened.metrics.damaged.get(), 0);
}
