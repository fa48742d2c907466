//! `kill -9` of the real program while writers write behind a bucket that is there, away, and there again: what was answered
//! arrives, what was deleted does not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::http::Connection;
use common::{Larder, Options, wait_for};
use tempfile::TempDir;

/// Bodies that tell which write they are of.
fn body(key: usize, round: usize) -> Vec<u8> {
    format!("{key} in round {round} ").into_bytes().repeat(200 + key)
}

fn path(directory: &Path, key: usize) -> PathBuf {
    directory.join(format!("default/k{key}"))
}

#[test]
fn what_was_answered_arrives_though_the_process_is_killed_again_and_again() {
    let scratch = TempDir::new().unwrap();
    let (directory, away) = (scratch.path().join("bucket"), scratch.path().join("away"));
    std::fs::create_dir_all(directory.join("default")).unwrap();
    let url = format!("file://{}", directory.display());
    let mut larder = Larder::start(Options::default().env("LARDER_BUCKET_URL", &url));
    let mut expected: BTreeMap<usize, Option<usize>> = BTreeMap::new();
    for round in 0..6 {
        let is_away = round % 2 == 1;
        if is_away {
            std::fs::rename(directory.join("default"), &away).unwrap();
            std::os::unix::fs::symlink("default", directory.join("default")).unwrap();
        }
        let mut client = Connection::open(larder.address()).unwrap();
        let mut ask = |method: &str, key: usize, body: &[u8]| {
            client.request(method, &format!("/k{key}"), &[], body).unwrap().status
        };
        for step in 0..60 {
            let key = (round * 17 + step) % 80;
            if step % 7 == 3 {
                // 404 where it was never stored, or where only a bucket that is away could tell.
                assert!([204, 404].contains(&ask("DELETE", key, b"")));
                expected.insert(key, None);
            } else {
                assert!(ask("PUT", key, &body(key, round)) < 300);
                expected.insert(key, Some(round));
            }
        }
        larder.kill9();
        if is_away {
            std::fs::remove_file(directory.join("default")).unwrap();
            std::fs::rename(&away, directory.join("default")).unwrap();
        }
        larder.restart();
    }
    for (key, round) in &expected {
        let found = wait_for(&format!("k{key} as of {round:?}"), || {
            let found = std::fs::read(path(&directory, *key)).ok();
            (found == round.map(|round| body(*key, round))).then_some(found)
        });
        assert_eq!(found.is_some(), round.is_some());
    }
    wait_for("nothing to wait", || (larder.metric("larder_bucket_queue_objects") == 0.0).then_some(()));
    for (key, round) in &expected {
        let found = std::fs::read(path(&directory, *key)).ok();
        assert_eq!(found, round.map(|round| body(*key, round)), "k{key} at the end");
    }
}
