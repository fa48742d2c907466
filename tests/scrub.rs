//! What is checked without anybody asking: records on disk each week, and what the bucket has lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules shared by test programs, not a library")]

#[path = "support/directory.rs"]
mod directory;
#[path = "damage/files.rs"]
mod files;
#[path = "support/opened.rs"]
mod opened;

use std::time::Duration;

use directory::Directory;
use files::{files_below, flip};
use opened::{Opened, body, until};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[tokio::test]
async fn damage_that_came_after_the_first_pass_is_found_by_a_later_one() {
    let opened = Opened::new(64 << 20, |_| {}).await;
    opened.put("a", body(1, 5000)).await.unwrap();
    assert!(opened.get("a").await.is_some());
    let segments = files_below(&opened.dir().join("segments"));
    let file = std::fs::File::options().read(true).write(true).open(&segments[0]).unwrap();
    flip(&file, 4096 + 2000);
    until("the record is checked again", async || {
        opened.options.clock.put_forward(WEEK);
        tokio::time::sleep(Duration::from_millis(200)).await;
        opened.metrics.damaged.get() == 1
    })
    .await;
    assert!(!opened.has("a").await);
}

#[tokio::test]
async fn what_the_bucket_has_lost_is_written_again_where_the_disk_has_it() {
    let bucket = Directory::new();
    let opened = bucket
        .cache(|options| {
            options.bucket.scan_interval = Duration::from_millis(100);
            options.bucket.capacity = Some(10 << 20);
        })
        .await;
    let objects = [("lost", body(1, 9000)), ("kept", body(2, 100))];
    for (key, body) in &objects {
        opened.put(key, body.clone()).await.unwrap();
    }
    bucket.has_all(&opened, objects.clone()).await;
    until("they are counted", async || opened.metrics.bucket_objects.get() == 2).await;
    std::fs::remove_file(bucket.path("default/lost")).unwrap();
    bucket.has_all(&opened, objects).await;
    // What a client deletes stays away.
    assert!(opened.cache.delete(&opened::name("kept"), larder::object::Precondition::None).await.unwrap());
    bucket.loses(&["kept"]).await;
    let lists = || opened.metrics.bucket_requests.with_label_values(&["list", "ok"]).get();
    let before = lists();
    until("the bucket is listed", async || lists() >= before + 6).await;
    assert_eq!(bucket.files(), ["default/lost"]);
}
