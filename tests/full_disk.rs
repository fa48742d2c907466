//! A file system that is really full: the cache evicts, then refuses, and reads go on; nothing is lost or torn, and
//! writes succeed again as soon as there is room.
//!
//! Each test mounts a file system of its own, which needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;
#[path = "support/small_disk.rs"]
mod small_disk;

use larder::cache::{CacheError, PutOptions};
use opened::{Opened, body, name, until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use small_disk::SmallDisk;

const MIB: u64 = 1 << 20;

/// A cache on `disk` that believes to have a gigabyte.
async fn on(disk: &SmallDisk, min_free_disk: u64) -> Opened {
    let data_dir = disk.path().join("data");
    Opened::new(1024 * MIB, |options| {
        options.data_dir = data_dir;
        options.min_free_disk = min_free_disk;
    })
    .await
}

/// Every object that is there is whole. Returns how many are.
async fn count_whole(opened: &Opened, lengths: &[usize]) -> usize {
    let mut there = 0;
    for (at, length) in lengths.iter().enumerate() {
        if let Some(found) = opened.get(&format!("a/{at}")).await {
            assert!(found == body(at as u64, *length), "a/{at} has other bytes");
            there += 1;
        }
    }
    there
}

async fn put_unless_full(opened: &Opened, at: usize, length: usize) -> bool {
    match opened.put(&format!("a/{at}"), body(at as u64, length)).await {
        Ok(_) => true,
        Err(CacheError::NoSpace { .. }) => false,
        Err(error) => panic!("a/{at}: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_the_oldest_objects_and_nothing_else() {
    let seed = opened::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let disk = SmallDisk::mount(64 * MIB);
    let mut opened = on(&disk, 0).await;
    let lengths: Vec<usize> = (0..400)
        .map(|_| match random.random_range(0..20) {
            0..19 => random.random_range(0..500_000),
            _ => random.random_range(8 << 20..10 << 20),
        })
        .collect();
    let mut refused = 0;
    for (at, length) in lengths.iter().enumerate() {
        refused += usize::from(!put_unless_full(&opened, at, *length).await);
    }
    let evictions = |reason| opened.metrics.evictions.with_label_values(&[reason]).get();
    println!(
        "{refused} of {} refused, {} evicted for a full disk, {} for too little free",
        lengths.len(),
        evictions("disk_full"),
        evictions("min_free_disk")
    );
    assert!(evictions("disk_full") + evictions("min_free_disk") > 0, "the disk was never full");
    assert!(refused * 4 < lengths.len(), "{refused} of {} writes were refused", lengths.len());
    assert_eq!(opened.metrics.damaged.get(), 0);
    assert!(count_whole(&opened, &lengths).await > 20);
    // All of that survives a crash and a clean restart.
    let before = count_whole(&opened, &lengths).await;
    opened = opened.after_crash().await;
    assert!(count_whole(&opened, &lengths).await + 1 >= before);
    opened = opened.reopen(|_| {}).await;
    assert!(count_whole(&opened, &lengths).await + 1 >= before);
    assert_eq!(opened.metrics.damaged.get(), 0);
    opened.cache.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_fill_refuses_writes_serves_reads_and_recovers() {
    let disk = SmallDisk::mount(64 * MIB);
    let opened = on(&disk, 0).await;
    let lengths = vec![200_000; 20];
    for (at, length) in lengths.iter().enumerate() {
        opened.put(&format!("a/{at}"), body(at as u64, *length)).await.unwrap();
    }
    disk.fill();
    // Small and large, declared and not: refused in due form, and no more than the objects that made way are gone.
    for (at, length) in [(0, 100), (1, 100_000), (2, 30 << 20), (3, 9 << 20)] {
        for declared_length in [Some(length as u64), None] {
            let options = PutOptions { declared_length, ..PutOptions::default() };
            let stored = async {
                let mut upload = opened.cache.begin_put(name(&format!("b/{at}")), options).await?;
                upload.write(body(at, length)).await?;
                upload.commit().await
            };
            match stored.await {
                Ok(_) => assert_eq!(opened.get(&format!("b/{at}")).await.unwrap(), body(at, length)),
                Err(CacheError::NoSpace { .. }) => {}
                Err(error) => panic!("b/{at}: {error}"),
            }
            count_whole(&opened, &lengths).await;
        }
        disk.fill();
    }
    disk.empty();
    until("a large object can be stored again", async || opened.put("c", body(9, 9 << 20)).await.is_ok())
        .await;
    assert_eq!(opened.get("c").await.unwrap(), body(9, 9 << 20));
    for at in 0..20 {
        until("small objects can be stored again", async || {
            opened.put(&format!("d/{at}"), body(at, 100_000)).await.is_ok()
        })
        .await;
    }
    assert_eq!(opened.metrics.damaged.get(), 0);
    let opened = opened.reopen(|_| {}).await;
    for at in 0..20 {
        assert_eq!(opened.get(&format!("d/{at}")).await.unwrap(), body(at, 100_000));
    }
    opened.cache.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_finds_no_room_stops_nothing() {
    let disk = SmallDisk::mount(48 * MIB);
    let opened = on(&disk, 0).await;
    let namespace = name("x").namespace;
    for at in 0..200 {
        opened.put(&format!("a/{at}"), body(at, 50_000)).await.unwrap();
    }
    disk.fill();
    // Recency, removals and new entries all want to be written; the index has to give up or wait.
    for round in 0..5 {
        for at in 0..200 {
            opened.get(&format!("a/{at}")).await;
            let _ = opened.put(&format!("b/{round}/{at}"), body(at, 2000)).await;
        }
        let _ = opened.cache.list(&namespace, "", None, 1000).await;
        disk.fill();
    }
    disk.empty();
    until("an object can be stored again", async || opened.put("c", body(9, 1 << 20)).await.is_ok()).await;
    let mut listed = Vec::new();
    until("the listing works again", async || {
        let rows = opened.cache.list(&namespace, "", None, 10_000).await;
        listed = rows.map(|rows| rows.into_iter().map(|row| row.key).collect()).unwrap_or_default();
        !listed.is_empty()
    })
    .await;
    for key in &listed {
        assert!(opened.has(key.as_str()).await, "{key} is listed and not there");
    }
    assert!(listed.iter().any(|key| key.as_str() == "c"), "what was stored last is not listed");
    let opened = opened.reopen(|_| {}).await;
    assert_eq!(opened.get("c").await.unwrap(), body(9, 1 << 20));
    opened.cache.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn min_free_disk_is_kept_free_while_others_grow() {
    let disk = SmallDisk::mount(128 * MIB);
    let opened = on(&disk, 20 * MIB).await;
    for at in 0..1500 {
        opened.put(&format!("a/{at}"), body(at, 100_000)).await.unwrap();
    }
    assert!(disk.free() >= 20 * MIB, "{} bytes are free", disk.free());
    assert!(disk.free() < 40 * MIB, "the disk was not used: {} bytes are free", disk.free());
    disk.grow_file("other", 15 * MIB);
    until("room is made for the other file", async || disk.free() >= 20 * MIB).await;
    assert!(opened.metrics.evictions.with_label_values(&["min_free_disk"]).get() > 0);
    for at in 0..200 {
        opened.put(&format!("b/{at}"), body(at, 100_000)).await.unwrap();
        assert!(disk.free() >= 20 * MIB, "{} bytes are free", disk.free());
    }
    assert_eq!(opened.get("b/199").await.unwrap(), body(199, 100_000));
    opened.cache.close().await.unwrap();
}
