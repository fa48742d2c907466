//! The byte budget is hard: whatever is written and however, the blocks of the whole data directory, index included,
//! stay within the capacity, and writes go on by eviction.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use larder::cache::{Cache, CacheError, PutOptions};
use larder::object::Precondition;
use opened::{Opened, block_bytes, body, name, until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const MIB: u64 = 1 << 20;

/// Measures a directory's blocks again and again, and remembers the most it saw.
struct Sampler {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Sampler {
    fn start(dir: PathBuf) -> Self {
        let (most, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (shared_most, shared_stop) = (Arc::clone(&most), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut samples = 0;
            while !shared_stop.load(Ordering::Relaxed) {
                shared_most.fetch_max(block_bytes(&dir), Ordering::Relaxed);
                samples += 1;
            }
            samples
        });
        Self { most, stop, thread: Some(thread) }
    }

    /// The most bytes of blocks that were ever seen.
    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let samples = self.thread.take().unwrap().join().unwrap();
        let most = self.most.load(Ordering::Relaxed);
        println!("{samples} samples, at most {most} bytes");
        most
    }
}

/// What several writers at once do to a cache.
#[derive(Clone, Copy)]
struct Pressure {
    capacity: u64,
    punch_holes: bool,
    writers: u64,
    /// Largest body in bytes.
    largest: usize,
    /// Bytes that all writers together store.
    total: u64,
}

impl Pressure {
    fn length(&self, random: &mut StdRng) -> usize {
        let largest = match random.random_range(0..100) {
            0..60 => 20_000,
            60..85 => 300_000,
            85..97 => 1_500_000,
            _ => self.largest,
        };
        random.random_range(0..largest.min(self.largest))
    }

    /// Stores, overwrites, deletes and abandons until the writer's share is written. Returns the writes refused.
    async fn write(self, cache: Cache, seed: u64, content: Bytes) -> Vec<CacheError> {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut written, mut refused) = (0, Vec::new());
        while written < self.total / self.writers {
            let key = name(&format!("{}/{}", seed % 3, random.random_range(0..2000)));
            if random.random_ratio(1, 10) {
                cache.delete(&key, Precondition::None).await.unwrap();
                continue;
            }
            let length = self.length(&mut random);
            let from = random.random_range(0..content.len() - length);
            let body = content.slice(from..from + length);
            let declared_length = random.random_ratio(3, 4).then_some(length as u64);
            let abandoned = random.random_ratio(1, 20);
            match store(&cache, key, body, declared_length, abandoned).await {
                Ok(()) => written += length as u64,
                Err(error) => {
                    refused.push(error);
                    written += length as u64;
                }
            }
        }
        refused
    }

    async fn apply(self) {
        let seed = opened::seed();
        let opened = Opened::new(self.capacity, |options| options.punch_holes = self.punch_holes).await;
        let content = body(seed, self.largest + (1 << 20));
        let sampler = Sampler::start(opened.dir());
        let writers: Vec<_> = (0..self.writers)
            .map(|at| tokio::spawn(self.write(opened.cache.clone(), seed.wrapping_add(at), content.clone())))
            .collect();
        let mut refused = Vec::new();
        for writer in writers {
            refused.extend(writer.await.unwrap());
        }
        // The index comes after the writes.
        opened.put("the last", body(1, 5000)).await.unwrap();
        opened.cache.list(&name("x").namespace, "", None, 10).await.unwrap();
        let most = sampler.end();
        assert!(most <= self.capacity, "{most} bytes of blocks seen with a capacity of {}", self.capacity);
        assert!(refused.is_empty(), "{} writes were refused: {}", refused.len(), refused[0]);
        assert!(opened.metrics.evictions.with_label_values(&["capacity"]).get() > 0, "nothing was evicted");
        assert_eq!(opened.metrics.index_rebuilds.get(), 0, "indexes given up");
        assert_eq!(opened.get("the last").await.unwrap(), body(1, 5000));
        // Room is not only kept but used.
        let used = block_bytes(&opened.dir());
        assert!(used > self.capacity / 2, "{used} bytes of blocks used of {}", self.capacity);
    }
}

async fn store(
    cache: &Cache,
    key: larder::key::ObjectName,
    mut body: Bytes,
    declared_length: Option<u64>,
    abandoned: bool,
) -> Result<(), CacheError> {
    let mut upload = cache.begin_put(key, PutOptions { declared_length, ..PutOptions::default() }).await?;
    while !body.is_empty() {
        upload.write(body.split_to(body.len().min(100_000))).await?;
    }
    if !abandoned {
        upload.commit().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smallest_cache_keeps_its_capacity() {
    let (capacity, total) = (16 * MIB, 200 * MIB);
    Pressure { capacity, punch_holes: true, writers: 6, largest: 1 << 20, total }.apply().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smallest_cache_keeps_its_capacity_without_hole_punching() {
    let (capacity, total) = (16 * MIB, 100 * MIB);
    Pressure { capacity, punch_holes: false, writers: 3, largest: 500_000, total }.apply().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_chunked_bodies_keep_the_capacity() {
    let (capacity, total) = (64 * MIB, 600 * MIB);
    Pressure { capacity, punch_holes: true, writers: 3, largest: 10 << 20, total }.apply().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_chunked_bodies_keep_the_capacity_without_hole_punching() {
    let (capacity, total) = (64 * MIB, 400 * MIB);
    Pressure { capacity, punch_holes: false, writers: 3, largest: 9 << 20, total }.apply().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_fit_is_refused_and_evicts_nothing() {
    let opened = Opened::new(16 * MIB, |options| options.max_object_size = 64 * MIB).await;
    for at in 0..20 {
        opened.put(&format!("kept/{at}"), body(at, 50_000)).await.unwrap();
    }
    let options = PutOptions { declared_length: Some(16 * MIB), ..PutOptions::default() };
    let refused = opened.cache.begin_put(name("large"), options).await.err();
    assert!(matches!(refused, Some(CacheError::NoSpace { wanted }) if wanted == 16 * MIB), "{refused:?}");
    let options = PutOptions { declared_length: Some(65 * MIB), ..PutOptions::default() };
    let refused = opened.cache.begin_put(name("large"), options).await.err();
    assert!(matches!(refused, Some(CacheError::TooLarge { limit }) if limit == 64 * MIB), "{refused:?}");
    for at in 0..20 {
        assert_eq!(opened.get(&format!("kept/{at}")).await.unwrap(), body(at, 50_000), "kept/{at}");
    }
    // One that does not say how long it is is found out on the way.
    let sampler = Sampler::start(opened.dir());
    let refused = store(&opened.cache, name("large"), body(1, 20 << 20), None, false).await;
    assert!(matches!(refused, Err(CacheError::NoSpace { .. })), "{refused:?}");
    assert!(sampler.end() <= 16 * MIB);
    assert!(!opened.has("large").await);
    opened.put("after", body(2, 1 << 20)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_uploads_give_their_room_back() {
    let opened = Opened::new(32 * MIB, |_| {}).await;
    for round in 0..20 {
        // Declared, they take all their room at once; chunked, step by step.
        let declared_length = (round % 2 == 0).then_some(20 * MIB);
        let mut upload = opened
            .cache
            .begin_put(name("abandoned"), PutOptions { declared_length, ..PutOptions::default() })
            .await
            .unwrap();
        for part in 0..12 {
            upload.write(body(part, 1 << 20)).await.unwrap();
        }
        drop(upload);
        // A write that was under way still has to end.
        until("there is room again", async || {
            let options = PutOptions { declared_length: Some(20 * MIB), ..PutOptions::default() };
            opened.cache.begin_put(name("next"), options).await.is_ok()
        })
        .await;
    }
    until("the files are gone", async || block_bytes(&opened.dir().join("segments")) < 64 << 10).await;
    assert!(!opened.has("abandoned").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_capacity_at_the_next_start_is_kept() {
    let mut opened = Opened::new(64 * MIB, |_| {}).await;
    for at in 0..500 {
        opened.put(&format!("old/{at}"), body(at, 100_000)).await.unwrap();
    }
    opened =
        opened.reopen(|options| (options.capacity, options.max_object_size) = (16 * MIB, 16 * MIB)).await;
    until("what is too much is evicted", async || block_bytes(&opened.dir()) <= 16 * MIB).await;
    assert_eq!(opened.get("old/499").await.unwrap(), body(499, 100_000));
    assert!(!opened.has("old/0").await);
    let sampler = Sampler::start(opened.dir());
    for at in 0..200 {
        opened.put(&format!("new/{at}"), body(at, 100_000)).await.unwrap();
    }
    assert!(sampler.end() <= 16 * MIB);
    assert_eq!(opened.get("new/199").await.unwrap(), body(199, 100_000));
}
