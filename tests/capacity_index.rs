//! The index on disk counts: with many small objects of long names it is a large part of what the data directory takes,
//! and the capacity holds all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;
#[path = "support/sampler.rs"]
mod sampler;

use std::os::unix::fs::MetadataExt;

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

/// With small objects an index takes more than the eighth of the capacity that is usually enough, also when it is new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_large_when_it_is_new_is_kept_and_lists_everything() {
    const WRITES: usize = 16_000;
    let key = |number: usize| format!("{number:0>300}");
    let opened = Opened::new(48 * MIB, |_| {}).await;
    let content = body(1, 500);
    for number in 0..WRITES {
        opened.put(&key(number), content.clone()).await.unwrap();
    }
    let list = async || {
        let rows = opened.cache.list(&name("x").namespace, "", None, WRITES).await.unwrap();
        rows.into_iter().map(|row| row.key.as_str().to_owned()).collect::<Vec<_>>()
    };
    // The index takes room from the objects, so that some have to go while it is filled.
    opened::until("a listing has every object that is there", async || {
        let mut there = Vec::new();
        for number in 0..WRITES {
            if opened.has(&key(number)).await {
                there.push(key(number));
            }
        }
        list().await == there
    })
    .await;
    let index = opened.dir().join("index/db");
    let made = std::fs::metadata(&index).unwrap().ino();
    assert!(block_bytes(&index) > 6 * MIB, "too small to be put to the test");
    for _ in 0..3 {
        list().await;
    }
    assert_eq!(
        std::fs::metadata(&index).unwrap().ino(),
        made,
        "it was written anew, and nothing had changed"
    );
}
