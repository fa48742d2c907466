//! Thin segments are merged in the background, and nothing is lost by it: not for readers, a restart or a crash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;

use larder::object::Precondition;
use opened::{Opened, body, name, until};

const OBJECTS: u64 = 600;
/// One in so many objects is kept.
const KEPT: u64 = 24;

fn key(at: u64) -> String {
    format!("a/{at}")
}

async fn assert_kept_and_nothing_else(opened: &Opened) {
    for at in 0..OBJECTS {
        let expected = (at % KEPT == 0).then(|| body(at, 50_000));
        assert!(opened.get(&key(at)).await.as_deref() == expected.as_deref(), "{}", key(at));
    }
    let listed = opened.cache.list(&name("x").namespace, "", None, 10_000).await.unwrap();
    assert_eq!(listed.len() as u64, OBJECTS / KEPT);
    assert_eq!(opened.metrics.damaged.get(), 0);
    assert_eq!(opened.metrics.index_rebuilds.get(), 0);
}

async fn thin_segments_are_merged(punch_holes: bool) {
    let opened = Opened::new(64 << 20, |options| options.punch_holes = punch_holes).await;
    for at in 0..OBJECTS {
        opened.put(&key(at), body(at, 50_000)).await.unwrap();
    }
    let full = opened.segment_files();
    assert!(full > 25, "{full} segments are too few to show anything");
    for at in (0..OBJECTS).filter(|at| at % KEPT != 0) {
        assert!(opened.cache.delete(&name(&key(at)), Precondition::None).await.unwrap());
    }
    // A reader that started before goes on in the segment that is emptied under it.
    let early = opened.cache.get(&name(&key(0))).await.unwrap().unwrap();
    // What is left fills two segments; a few thin ones are tolerated, and each writer has one open.
    until("the segments are merged", async || opened.segment_files() <= 10).await;
    assert!(opened.metrics.compacted_segments.get() > 0);
    let mut reader = early.into_body(0..u64::MAX);
    assert!(reader.next_chunk().await.unwrap().unwrap() == body(0, 50_000));
    assert_kept_and_nothing_else(&opened).await;
    let opened = opened.after_crash().await;
    assert_kept_and_nothing_else(&opened).await;
    let opened = opened.reopen(|_| {}).await;
    assert_kept_and_nothing_else(&opened).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_thin_segments_are_merged() {
    thin_segments_are_merged(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_thin_segments_are_merged_without_hole_punching() {
    thin_segments_are_merged(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_whose_records_all_died_while_they_were_filled_are_freed() {
    let opened = Opened::new(64 << 20, |_| {}).await;
    // The same few objects again and again: whatever is sealed holds nothing but older versions.
    for round in 0..300 {
        for at in 0..4 {
            opened.put(&key(at), body(round, 50_000)).await.unwrap();
        }
    }
    until("only segments with a live record are left", async || opened.segment_files() <= 6).await;
    let opened = opened.after_crash().await;
    until("only segments with a live record are left", async || opened.segment_files() <= 6).await;
    for at in 0..4 {
        assert!(opened.get(&key(at)).await.unwrap() == body(299, 50_000));
    }
}
