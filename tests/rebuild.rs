//! An index built again from the segments says what the lost one said, also of what was deleted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;

use larder::key::Namespace;
use larder::object::Precondition;
use opened::{Opened, body, name};

async fn deleted_objects_stay_away(punch_holes: bool) {
    let cache = Opened::new(64 << 20, |options| options.punch_holes = punch_holes).await;
    for number in 0..20 {
        cache.put(&format!("{number:02}"), body(number, 5_000)).await.unwrap();
    }
    for number in (0..20).step_by(2) {
        assert!(cache.cache.delete(&name(&format!("{number:02}")), Precondition::None).await.unwrap());
    }
    // Closed in good order, so that the segment has its footer, which lists all twenty.
    cache.cache.close().await.unwrap();
    std::fs::remove_dir_all(cache.options.data_dir.join("index")).unwrap();
    let cache = cache.after_crash().await;
    cache.cache.update_gauges();
    assert_eq!(cache.metrics.stored_objects.get(), 10, "deleted objects count as stored");
    let rows = cache.cache.list(&Namespace::default_namespace(), "", None, 100).await.unwrap();
    let keys: Vec<_> = rows.iter().map(|row| row.key.as_str().parse::<u64>().unwrap()).collect();
    assert_eq!(keys, (1..20).step_by(2).collect::<Vec<_>>());
    assert_eq!(cache.metrics.damaged.get(), 0);
}

#[tokio::test]
async fn deleted_objects_stay_away_where_holes_are_punched() {
    deleted_objects_stay_away(true).await;
}

#[tokio::test]
async fn deleted_objects_stay_away_where_no_holes_are_punched() {
    deleted_objects_stay_away(false).await;
}
