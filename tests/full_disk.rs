//! A file system that is really full: the cache evicts, then refuses, and reads go on; nothing is lost or torn, and
//! writes succeed again as soon as there is room.
//!
//! Each test mounts a file system of its own, which needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;
#[path = "support/small_disk.rs"]
mod small_disk;

use larder::blobs::{RecordHeader, SegmentStore, StoreOptions};
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

/// The numbers of the objects that are there, each of which is whole.
async fn whole(opened: &Opened, lengths: &[usize]) -> Vec<usize> {
    let mut there = Vec::new();
    for (at, length) in lengths.iter().enumerate() {
        if let Some(found) = opened.get(&format!("a/{at}")).await {
            assert!(found == body(at as u64, *length), "a/{at} has other bytes");
            there.push(at);
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
    let bytes_whole = whole(&opened, &lengths).await.iter().map(|at| lengths[*at] as u64).sum::<u64>();
    assert!(bytes_whole > 32 * MIB, "{bytes_whole} bytes are there");
    // All of that survives a crash and a clean restart, but for what makes way for the index.
    let before = whole(&opened, &lengths).await.len() as u64;
    for is_crash in [true, false] {
        opened = if is_crash { opened.after_crash().await } else { opened.reopen(|_| {}).await };
        let after = whole(&opened, &lengths).await.len() as u64;
        let evicted = opened.metrics.evictions.with_label_values(&["min_free_disk"]).get();
        assert!(evicted < 16, "{evicted} objects made way");
        // One may have made way before the end.
        assert!(after + evicted + 1 >= before, "{before} objects before, {after} now, {evicted} evicted");
    }
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
            whole(&opened, &lengths).await;
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

#[test]
fn a_record_that_finds_no_room_keeps_none_of_it() {
    let disk = SmallDisk::mount(32 * MIB);
    let options = StoreOptions { segment_size: 16 * MIB, lanes: 1, in_turn: false, punch_holes: true };
    let store = SegmentStore::open(&disk.path().join("segments"), options).unwrap();
    let append = |sequence, length: usize| {
        let header = RecordHeader {
            sequence,
            name: name(&sequence.to_string()),
            body_len: length as u64,
            created_ms: 1,
            cost_ms: 0,
            body_checksum: 0,
        };
        store.append(&header, &[body(sequence, length)], |location| location)
    };
    // The file ends within a block.
    append(1, 100).unwrap();
    store.sync_lane(0).unwrap();
    disk.grow_file("other", disk.free() - 3 * MIB);
    store.sync_lane(0).unwrap();
    // A block for what the file system notes of the file may come.
    let (least_free, most_allocated) = (disk.free() - (64 << 10), store.allocated() + (64 << 10));
    assert!(least_free > MIB, "{least_free} bytes are free");
    for sequence in 2..5 {
        let error = append(sequence, 8 << 20).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        store.sync_lane(0).unwrap();
        let (free, allocated) = (disk.free(), store.allocated());
        assert!(free >= least_free && allocated <= most_allocated, "{free} bytes free, {allocated} taken");
    }
    append(5, 1 << 20).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_that_a_killed_process_had_asked_for_are_free_after_the_start() {
    let disk = SmallDisk::mount(64 * MIB);
    let mut opened = on(&disk, 0).await;
    let lengths = vec![1000; 8];
    for (at, length) in lengths.iter().enumerate() {
        opened.put(&format!("a/{at}"), body(at as u64, *length)).await.unwrap();
    }
    // As it is left by a kill between asking for a record's blocks and writing to them.
    let mut asked_for = 0;
    for entry in std::fs::read_dir(disk.path().join("data/segments")).unwrap() {
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        let end = file.metadata().unwrap().len().next_multiple_of(4096);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, end, 8 * MIB).unwrap();
        asked_for += 8 * MIB;
    }
    assert!(asked_for > 0, "there is no segment");
    let before = disk.free();
    opened = opened.after_crash().await;
    until("they are free", async || disk.free() + MIB >= before + asked_for).await;
    assert_eq!(whole(&opened, &lengths).await.len(), lengths.len());
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
