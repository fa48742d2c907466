//! Freeing the blocks of dead records: never under a reader, and never so that a deleted object comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::os::unix::fs::FileExt;

use bytes::Bytes;
use larder::blobs::{Location, RecordHeader, SegmentStore, StoreOptions, replay};
use larder::key::{Namespace, ObjectKey, ObjectName};

fn store(dir: &std::path::Path) -> SegmentStore {
    store_with(dir, StoreOptions { segment_size: 1 << 20, lanes: 1, in_turn: false, punch_holes: true })
}

fn store_with(dir: &std::path::Path, options: StoreOptions) -> SegmentStore {
    let store = SegmentStore::open(dir, options).unwrap();
    store.set_loaded();
    store
}

fn append(store: &SegmentStore, sequence: u64, key: &str, length: usize) -> Location {
    let body = Bytes::from(vec![0x5a; length]);
    let name = ObjectName { namespace: Namespace::default_namespace(), key: ObjectKey::new(key).unwrap() };
    let body_checksum = twox_hash::XxHash3_128::oneshot(&body);
    let header =
        RecordHeader { sequence, name, body_len: length as u64, created_ms: 1, cost_ms: 0, body_checksum };
    store.append(&header, &[body], |location| location).unwrap()
}

fn keys_on_disk(dir: &std::path::Path) -> Vec<String> {
    let store = store(dir);
    let mut keys = Vec::new();
    for segment in store.segments() {
        for (header, block) in replay::replay(&segment, 0).unwrap().records {
            if replay::header_is_there(&segment, &header, block).unwrap() {
                keys.push(header.name.key.as_str().to_owned());
            }
        }
    }
    keys
}

#[test]
fn a_reader_keeps_a_record_that_dies_after_others_of_its_segment_were_freed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let first = append(&store, 1, "first", 50_000);
    let read = append(&store, 2, "read", 50_000);
    let third = append(&store, 3, "third", 50_000);

    let pin = store.pin(&read).unwrap();
    // Another record dies: the segment gets a new epoch, the reader stays in the old one.
    store.release(first, 1);
    store.reclaim().unwrap();
    store.release(read, 2);
    store.reclaim().unwrap();

    let mut body = vec![0; 50_000];
    pin.file().unwrap().read_exact_at(&mut body, read.body_offset()).unwrap();
    assert!(body.iter().all(|byte| *byte == 0x5a), "the record was freed under its reader");
    assert_eq!(store.pending_bytes(), first.disk_len() + read.disk_len());

    drop(pin);
    store.reclaim().unwrap();
    assert_eq!(store.pending_bytes(), 0);
    let left = store.segment(third.segment).unwrap();
    assert_eq!((left.live_records(), left.live_bytes()), (1, third.disk_len()));
}

#[test]
fn a_version_that_waits_for_its_readers_is_killed_with_its_object() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let evicted = append(&store, 1, "evicted", 5_000);
    let kept = append(&store, 2, "kept", 5_000);
    let pin = store.pin(&kept).unwrap();
    store.release(evicted, 7);
    store.reclaim().unwrap();
    // The object is stored again and deleted; the process dies while the reader is still there.
    store.kill_replaced(7).unwrap();
    assert_eq!(keys_on_disk(dir.path()), ["kept"]);
    drop(pin);
}

#[test]
fn a_version_that_a_sync_is_about_to_free_is_killed_with_its_object() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let replaced = append(&store, 1, "replaced", 5_000);
    let kept = append(&store, 2, "kept", 5_000);
    store.release_replaced(replaced, 7, &kept);
    store.sync_lane(0).unwrap();
    store.kill_replaced(7).unwrap();
    assert_eq!(keys_on_disk(dir.path()), ["kept"]);
}

#[test]
fn a_replaced_version_waits_for_the_lane_of_the_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { segment_size: 1 << 20, lanes: 2, in_turn: true, punch_holes: true };
    let store = store_with(dir.path(), options);
    let older = append(&store, 1, "older", 5_000);
    let newer = append(&store, 2, "newer", 5_000);
    let (of_older, of_newer) = (store.lane_of(&older), store.lane_of(&newer));
    assert_ne!(of_older, of_newer, "lanes take turns");
    store.release_replaced(older, 7, &newer);
    store.sync_lane(of_older).unwrap();
    store.reclaim().unwrap();
    assert_eq!(store.pending_bytes(), older.disk_len(), "a power cut could take both");
    assert_eq!(keys_on_disk(dir.path()), ["older", "newer"]);
    store.sync_lane(of_newer).unwrap();
    assert_eq!(keys_on_disk(dir.path()), ["newer"], "marked before anybody hears of the sync");
    store.reclaim().unwrap();
    assert_eq!(store.pending_bytes(), 0);
}
