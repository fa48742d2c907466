//! What goes when room is needed: the objects that were not used for the longest time, exactly, also across restarts;
//! and what is being read is read to its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use larder::cache::{Cache, PutOptions};
use larder::object::Precondition;
use opened::{Opened, block_bytes, body, name, until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const MIB: u64 = 1 << 20;
const BLOCK: u64 = 4096;

/// Exact LRU by bytes of disk blocks: what the cache is measured against.
struct ExactLru {
    capacity: u64,
    used: u64,
    clock: u64,
    /// Object to its last use and its blocks.
    objects: HashMap<usize, (u64, u64)>,
    by_use: BTreeMap<u64, usize>,
}

impl ExactLru {
    fn new(capacity: u64) -> Self {
        Self { capacity, used: 0, clock: 0, objects: HashMap::new(), by_use: BTreeMap::new() }
    }

    /// Uses an object, or stores it where it is missing. True when it was there.
    fn request(&mut self, object: usize, bytes: u64) -> bool {
        self.clock += 1;
        let known = self.objects.get(&object).copied();
        if let Some((used, _)) = known {
            self.by_use.remove(&used);
        } else {
            while self.used + bytes > self.capacity {
                let (_, oldest) = self.by_use.pop_first().unwrap();
                self.used -= self.objects.remove(&oldest).unwrap().1;
            }
            self.used += bytes;
        }
        self.objects.insert(object, (self.clock, bytes));
        self.by_use.insert(self.clock, object);
        known.is_some()
    }
}

/// Draws object numbers so that the n-th is asked for in proportion to n^-`exponent`.
struct Zipf {
    cumulated: Vec<f64>,
}

impl Zipf {
    fn new(objects: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: usize| (rank as f64).powf(-exponent);
        let cumulated = (1..=objects).map(|rank| {
            sum += weight(rank);
            sum
        });
        Self { cumulated: cumulated.collect() }
    }

    fn draw(&self, random: &mut StdRng) -> usize {
        let at = random.random_range(0.0..self.cumulated[self.cumulated.len() - 1]);
        self.cumulated.partition_point(|sum| *sum < at)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_are_within_a_point_of_exact_lru() {
    let capacity = 256 * MIB;
    let seed = opened::seed();
    let opened = Opened::new(capacity, |_| {}).await;
    let mut random = StdRng::seed_from_u64(seed);
    let objects = 30_000;
    // Most objects are small and some are large, as build artifacts are.
    let lengths: Vec<usize> = (0..objects)
        .map(|_| match random.random_range(0..10) {
            0..6 => random.random_range(100..20_000),
            6..9 => random.random_range(20_000..60_000),
            _ => random.random_range(60_000..400_000),
        })
        .collect();
    let content = body(seed, 1 << 20);
    let zipf = Zipf::new(objects, 1.0);
    let mut requests = Vec::new();
    let (mut asked, mut found, mut exact_found) = (0_u64, 0_u64, 0_u64);
    let (mut asked_bytes, mut found_bytes, mut exact_found_bytes) = (0_u64, 0_u64, 0_u64);
    for _ in 0..90_000 {
        let object = zipf.draw(&mut random);
        let key = format!("{object}");
        let length = lengths[object];
        let hit = opened.cache.get(&name(&key)).await.unwrap().is_some();
        if !hit {
            opened.put(&key, content.slice(object..object + length)).await.unwrap();
        }
        requests.push((object, hit));
    }
    // The index is in the capacity, too; the exact one has none, and it is the order that the two are compared in.
    let mut exact = ExactLru::new(capacity - block_bytes(&opened.dir().join("index")));
    for (step, (object, hit)) in requests.into_iter().enumerate() {
        let length = lengths[object];
        let blocks = (length as u64 + 120).div_ceil(BLOCK) * BLOCK;
        let exact_hit = exact.request(object, blocks);
        // Both caches are full by then.
        if step > 40_000 {
            asked += 1;
            found += u64::from(hit);
            exact_found += u64::from(exact_hit);
            asked_bytes += length as u64;
            found_bytes += if hit { length as u64 } else { 0 };
            exact_found_bytes += if exact_hit { length as u64 } else { 0 };
        }
    }
    assert!(exact.used > capacity / 10 * 9, "the trace does not fill the cache");
    let points = |part: u64, all: u64| part as f64 * 100.0 / all as f64;
    let (by_requests, by_bytes) = (
        points(exact_found, asked) - points(found, asked),
        points(exact_found_bytes, asked_bytes) - points(found_bytes, asked_bytes),
    );
    println!(
        "{:.2} % hits, {:.2} points below exact LRU; {:.2} % of bytes, {by_bytes:.2} points below",
        points(found, asked),
        by_requests,
        points(found_bytes, asked_bytes),
    );
    assert!(points(exact_found, asked) < 90.0, "a trace that anything serves shows nothing");
    assert!(by_requests.abs() <= 1.0, "{by_requests:.2} points from exact LRU by requests");
    assert!(by_bytes.abs() <= 1.0, "{by_bytes:.2} points from exact LRU by bytes");
    assert!(block_bytes(&opened.dir()) <= capacity);
}

/// Stores objects `0..count` of `length` bytes under `prefix`.
async fn fill(opened: &Opened, prefix: &str, count: u64, length: usize) {
    for at in 0..count {
        opened.put(&format!("{prefix}/{at}"), body(at, length)).await.unwrap();
    }
}

/// Which of `0..count` under `prefix` are there.
async fn present(opened: &Opened, prefix: &str, count: u64) -> Vec<u64> {
    let mut there = Vec::new();
    for at in 0..count {
        if opened.has(&format!("{prefix}/{at}")).await {
            there.push(at);
        }
    }
    there
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_recently_used_go_first_and_nothing_else() {
    let opened = Opened::new(32 * MIB, |_| {}).await;
    fill(&opened, "a", 200, 100_000).await;
    // Uses that count: reads and overwrites. One that does not: head.
    for at in (0..200).step_by(10) {
        assert!(opened.get(&format!("a/{at}")).await.is_some());
        opened.put(&format!("a/{}", at + 1), body(at, 100_000)).await.unwrap();
        assert!(opened.has(&format!("a/{}", at + 2)).await);
    }
    fill(&opened, "b", 160, 100_000).await;
    let left = present(&opened, "a", 200).await;
    let used = |at: &u64| at % 10 < 2;
    let evicted = opened.metrics.evictions.with_label_values(&["capacity"]).get();
    assert_eq!(evicted, 200 - left.len() as u64);
    assert!(
        left.iter().filter(|at| used(at)).count() == 40,
        "a used object went before an unused one: {left:?}"
    );
    let unused: Vec<u64> = left.into_iter().filter(|at| !used(at)).collect();
    let newest: Vec<u64> = (0..200).filter(|at| !used(at)).skip(160 - unused.len()).collect();
    assert_eq!(unused, newest, "those stored last are left");
    assert_eq!(present(&opened, "b", 160).await.len(), 160);
    let bytes = opened.metrics.evicted_bytes.with_label_values(&["capacity"]).get();
    assert_eq!(bytes, evicted * 100_000_u64.div_ceil(BLOCK) * BLOCK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_restart_remembers_who_was_used_when() {
    let mut opened = Opened::new(32 * MIB, |_| {}).await;
    fill(&opened, "a", 200, 100_000).await;
    // In an order of their own, so that neither names nor places can stand in for it.
    let order: Vec<u64> = (0..200).map(|at| at * 77 % 200).collect();
    for at in &order {
        assert!(opened.get(&format!("a/{at}")).await.is_some());
    }
    // Twice, because objects change their places with a restart.
    opened = opened.reopen(|_| {}).await;
    assert!(opened.get("a/77").await.is_some());
    opened = opened.reopen(|_| {}).await;
    fill(&opened, "b", 150, 100_000).await;
    let left = present(&opened, "a", 200).await;
    assert!(left.len() > 20 && left.len() < 180, "{} are left", left.len());
    let mut expected: Vec<u64> =
        order.iter().copied().filter(|at| *at != 77).skip(200 - left.len()).chain([77]).collect();
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_age_of_what_was_evicted_is_told() {
    let opened = Opened::new(16 * MIB, |_| {}).await;
    assert_eq!(opened.metrics.last_evicted_age.get(), 0);
    let began = std::time::Instant::now();
    fill(&opened, "a", 10, 100_000).await;
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    // Enough to evict some of the first ten and nothing younger.
    let mut at = 0;
    while opened.metrics.evictions.with_label_values(&["capacity"]).get() == 0 {
        opened.put(&format!("b/{at}"), body(at, 100_000)).await.unwrap();
        at += 1;
    }
    until("the age is told", async || opened.metrics.last_evicted_age.get() >= 2).await;
    let age = opened.metrics.last_evicted_age.get();
    assert!(age <= i64::try_from(began.elapsed().as_secs()).unwrap(), "{age} s");
}

/// A body that says on every eight bytes whose it is.
fn marked(key: u64, version: u64, length: usize) -> Bytes {
    let word = (key << 32 | version).to_le_bytes();
    Bytes::from(word.into_iter().cycle().take(length).collect::<Vec<u8>>())
}

/// Reads an object in small steps, letting the writers in between, and fails unless it is one version of its key from
/// the first to the last byte. True when it was there.
async fn read_slowly(cache: &Cache, key: u64) -> bool {
    let Some(object) = cache.get(&name(&format!("k/{key}"))).await.unwrap() else { return false };
    let length = usize::try_from(object.info().length).unwrap();
    let mut reader = object.into_body(0..u64::MAX);
    let (mut read, mut word) = (0, None);
    // A chunk ends where the page cache did, not where a mark does.
    let mut left_over = Vec::new();
    while let Some(chunk) = reader.next_chunk().await.unwrap() {
        left_over.extend_from_slice(&chunk);
        let whole = left_over.len() / 8 * 8;
        for eight in left_over[..whole].chunks_exact(8) {
            let found = u64::from_le_bytes(eight.try_into().unwrap());
            assert_eq!(found >> 32, key, "bytes of another object");
            assert_eq!(*word.get_or_insert(found), found, "bytes of another version of {key}, or none");
        }
        left_over.drain(..whole);
        read += chunk.len();
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(read, length, "{key} was cut");
    true
}

async fn readers_get_whole_bodies(punch_holes: bool) {
    let seed = opened::seed();
    let opened = Opened::new(32 * MIB, |options| options.punch_holes = punch_holes).await;
    // All of them together are half as much again as fits.
    let keys = 90;
    let readers: Vec<_> = (0..12)
        .map(|at| {
            let (cache, mut random) = (opened.cache.clone(), StdRng::seed_from_u64(seed + at));
            let evictions = opened.metrics.evictions.with_label_values(&["capacity"]);
            tokio::spawn(async move {
                let mut hits = 0;
                // However slow the disk makes the writer: reads amid evictions are what is tested.
                while hits < 120 || evictions.get() < 20 {
                    hits += u64::from(read_slowly(&cache, random.random_range(0..keys)).await);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let cache = opened.cache.clone();
    let writer = tokio::spawn(async move {
        let mut random = StdRng::seed_from_u64(!seed);
        for version in 1.. {
            let key = random.random_range(0..keys);
            if random.random_ratio(1, 8) {
                cache.delete(&name(&format!("k/{key}")), Precondition::None).await.unwrap();
                continue;
            }
            // In blocks of eight bytes; now and then a file of its own.
            let blocks = if random.random_ratio(1, 60) { 1_100_000 } else { random.random_range(1..150_000) };
            let body = marked(key, version, 8 * blocks);
            let options = PutOptions { declared_length: Some(body.len() as u64), ..PutOptions::default() };
            let Ok(mut upload) = cache.begin_put(name(&format!("k/{key}")), options).await else {
                // Readers may hold more of so small a cache than can be done without.
                tokio::task::yield_now().await;
                continue;
            };
            upload.write(body).await.unwrap();
            upload.commit().await.unwrap();
        }
    });
    for reader in readers {
        reader.await.unwrap();
    }
    writer.abort();
    let _ = writer.await;
    assert_eq!(opened.metrics.damaged.get(), 0);
    assert!(block_bytes(&opened.dir()) <= 32 * MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_read_is_read_to_its_end() {
    readers_get_whole_bodies(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_read_is_read_to_its_end_without_hole_punching() {
    readers_get_whole_bodies(false).await;
}
