//! The index on disk counts: with many small objects of long names it is a large part of what the data directory takes,
//! and the capacity holds all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;
#[path = "support/sampler.rs"]
mod sampler;

use larder::cache::CacheError;
use opened::{Opened, block_bytes, body, name};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sampler::Sampler;

const MIB: u64 = 1 << 20;

/// Stores `writes` small objects with names of 900 bytes, listing now and then, which hurries the index. Returns what was
/// refused.
async fn write(cache: larder::cache::Cache, seed: u64, writes: usize) -> Vec<CacheError> {
    let mut random = StdRng::seed_from_u64(seed);
    let content = body(seed, 3000);
    let mut refused = Vec::new();
    for at in 0..writes {
        let key = name(&format!("{}/{:0>880}", seed % 4, random.random_range(0..1_000_000)));
        let length = random.random_range(0..3000);
        let options =
            larder::cache::PutOptions { declared_length: Some(length as u64), ..Default::default() };
        let stored = async {
            let mut upload = cache.begin_put(key, options).await?;
            upload.write(content.slice(..length)).await?;
            upload.commit().await
        };
        refused.extend(stored.await.err());
        if at % 500 == 499 {
            cache.list(&name("x").namespace, "", None, 10).await.unwrap();
        }
    }
    refused
}

async fn an_index_keeps_to_the_capacity(capacity: u64, writes: usize) {
    let seed = opened::seed();
    let opened = Opened::new(capacity, |_| {}).await;
    let sampler = Sampler::start(opened.dir());
    let writers: Vec<_> =
        (0..4).map(|at| tokio::spawn(write(opened.cache.clone(), seed.wrapping_add(at), writes))).collect();
    let mut refused = Vec::new();
    for writer in writers {
        refused.extend(writer.await.unwrap());
    }
    eprintln!("the index takes {} bytes", block_bytes(&opened.dir().join("index")));
    let opened = opened.reopen(|_| {}).await;
    refused.extend(write(opened.cache.clone(), !seed, writes).await);
    let most = sampler.end();
    assert!(most <= capacity, "{most} bytes of blocks seen with a capacity of {capacity}");
    assert!(refused.is_empty(), "{} writes were refused: {}", refused.len(), refused[0]);
    assert_eq!(opened.metrics.index_rebuilds.get(), 0, "indexes given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_of_the_smallest_cache_keeps_to_its_capacity() {
    an_index_keeps_to_the_capacity(16 * MIB, 5000).await;
}
