//! What the cache is worth, over real HTTP: time saved, what other sizes would have answered, what evictions cost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/running.rs"]
mod running;

use std::time::Duration;

use running::{Running, until};
use serde_json::Value;

/// What the "compiler" takes; no less can be measured between a miss and its upload.
const COMPILING: Duration = Duration::from_millis(60);

async fn put(server: &Running, path: &str, body: &[u8]) {
    assert_eq!(server.client().await.put(path, body).await.status, 201, "{path}");
}

async fn saved_seconds(server: &Running) -> f64 {
    summary(server).await["time_saved_seconds"].as_f64().unwrap()
}

async fn summary(server: &Running) -> Value {
    serde_json::from_str(&server.ask("GET", "/-/api/summary").await.body).unwrap()
}

/// The value of the line of `/metrics` that begins so.
async fn metric(server: &Running, line: &str) -> Option<f64> {
    let text = server.ask("GET", "/metrics").await.body;
    text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[tokio::test]
async fn every_hit_saves_what_its_object_cost_also_after_a_restart_and_in_a_copy() {
    let data = tempfile::TempDir::new().unwrap();
    let start = || Running::start(|config| config.data_dir = data.path().join("data"));
    let mut server = start().await;
    assert_eq!(server.ask("GET", "/k").await.status, 404);
    tokio::time::sleep(COMPILING).await;
    put(&server, "/k", b"compiled").await;
    put(&server, "/nobody-missed-it", b"x").await;
    assert!(saved_seconds(&server).await.abs() < f64::EPSILON, "nothing was read yet");
    server.ask("GET", "/nobody-missed-it").await;
    assert!(saved_seconds(&server).await.abs() < f64::EPSILON, "its cost is not known");
    server.ask("GET", "/k").await;
    let once = saved_seconds(&server).await;
    assert!(once >= COMPILING.as_secs_f64(), "{once}");
    server.ask("GET", "/k").await;
    assert!((saved_seconds(&server).await - 2.0 * once).abs() < 1e-9);
    server.client().await.send("COPY /k HTTP/1.1\r\nHost: test\r\nDestination: /copy\r\n\r\n").await;
    until("it is copied", async || server.has("copy").await).await;
    server.tell_to_stop();
    server.ended().await;

    let server = start().await;
    server.ask("GET", "/k").await;
    assert!((saved_seconds(&server).await - once).abs() < 1e-9, "kept with the object");
    server.ask("GET", "/copy").await;
    assert!((saved_seconds(&server).await - 2.0 * once).abs() < 1e-9, "kept with its copy");
    let shown = metric(&server, "larder_time_saved_seconds_total{namespace=\"default\"}").await.unwrap();
    assert!((shown - 2.0 * once).abs() < 1e-9);
}

#[tokio::test]
async fn what_other_sizes_would_have_answered_is_learnt_shown_and_kept() {
    let data = tempfile::TempDir::new().unwrap();
    let start = || Running::start(|config| config.data_dir = data.path().join("data"));
    let mut server = start().await;
    assert!(summary(&server).await["curve"].is_null(), "nothing was read yet");
    let mut client = server.client().await;
    for key in 0..20 {
        let path = format!("/{key}");
        assert_eq!(server.ask("GET", &path).await.status, 404);
        assert_eq!(client.put(&path, &[7; 5000]).await.status, 201);
        for _ in 0..3 {
            assert_eq!(server.ask("GET", &path).await.status, 200);
        }
    }
    let curve = summary(&server).await["curve"].clone();
    let points = curve.as_array().unwrap();
    let of = |point: &Value, field: &str| point[field].as_f64().unwrap();
    let factors: Vec<f64> = points.iter().map(|point| of(point, "factor")).collect();
    assert_eq!(factors, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]);
    // Everything fits into the smallest: 60 of 80 reads were hits.
    for point in points {
        assert!((of(point, "predicted_hit_ratio") - 0.75).abs() < 0.01, "{point}");
    }
    let shown = metric(&server, "larder_predicted_hit_ratio{factor=\"0.25\"}").await.unwrap();
    assert!((shown - 0.75).abs() < 0.01);
    server.tell_to_stop();
    server.ended().await;
    let server = start().await;
    let kept = summary(&server).await["curve"].clone();
    assert!((of(&kept[0], "predicted_hit_ratio") - 0.75).abs() < 0.01, "kept over a restart: {kept}");
}

#[tokio::test]
async fn what_nobody_read_before_it_went_is_told() {
    let server = Running::start(|config| config.capacity = 16 << 20).await;
    let mut client = server.client().await;
    for key in 0..40 {
        assert_eq!(client.put(&format!("/{key}"), &vec![7; 1 << 20]).await.status, 201);
    }
    let evicted = metric(&server, "larder_evicted_bytes_total{reason=\"capacity\"}").await.unwrap();
    let unread = metric(&server, "larder_evicted_unread_bytes_total").await.unwrap();
    assert!(evicted > 0.0 && (evicted - unread).abs() < f64::EPSILON, "{evicted} {unread}");
    assert_eq!(summary(&server).await["never_read_share"].as_f64(), Some(1.0));
    let age = metric(&server, "larder_evicted_age_seconds{share=\"0.9\"}").await.unwrap();
    assert!(age <= 60.0, "{age}: they were seconds old");
}
