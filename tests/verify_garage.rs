//! `larder verify` over a real S3 server: bodies that are not what their metadata say, keys that no client can name, a store
//! that is away.
//!
//! Knows larder and the bucket from outside, but for what is written with a wrong checksum: that takes larder's own client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/azurite.rs"]
mod azurite;
#[path = "support/behind.rs"]
mod behind;
mod common;
#[path = "support/garage.rs"]
mod garage;
#[path = "support/outside.rs"]
mod outside;
#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
#[path = "support/signer.rs"]
mod signer;
#[path = "support/verifying.rs"]
mod verifying;
#[path = "support/wire.rs"]
mod wire;

use behind::{Behind, Engine, Settings, noise};
use bytes::Bytes;
use garage::{BUCKET, Garage, KEY_ID, REGION, SECRET};
use larder::bucket::{Bucket, Marked, WriteMode};
use larder::config::BucketConfig;
use verifying::{Verified, verify};

fn run(behind: &Behind, more: &[&str]) -> Verified {
    let data_dir = behind.larder.data_dir();
    let config = data_dir.with_file_name("larder.toml");
    let base = ["--json", "--config", config.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()];
    verify(&[&base[..], more].concat())
}

/// Writes a body below the metadata of another.
fn put_damaged(behind: &Behind, below: &str, body: &[u8]) {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&secret, SECRET).unwrap();
    let config = BucketConfig {
        url: Some(format!("s3://{BUCKET}")),
        endpoint: Some(format!("http://{}", behind.garage().address())),
        region: Some(REGION.to_owned()),
        access_key_id: Some(KEY_ID.to_owned()),
        secret_access_key_file: Some(secret.path().to_owned()),
        ..BucketConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bucket = Bucket::open(&config).unwrap().unwrap();
        let path = bucket.path(&behind.path(below)).unwrap();
        bucket
            .put(&path, vec![Bytes::copy_from_slice(body)], Marked::by(12345), WriteMode::Replace)
            .await
            .unwrap();
    });
}

/// Somebody with another client puts an object there whose key has an empty part.
fn put_odd(behind: &Behind, below: &str) {
    let path = format!("/{BUCKET}/{}", behind.path(below));
    let headers = signer::sign_in((REGION, "larder.test"), "PUT", &path, (KEY_ID, SECRET), &[]);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = common::http::request(behind.garage().address(), "PUT", &path, &headers, b"odd");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn damage_in_a_store_is_repaired_and_odd_keys_hide_nothing() {
    let mut behind = Behind::s3(Settings::default());
    let objects: Vec<(String, Vec<u8>)> =
        (0..8).map(|n| (format!("d/{n}"), noise(n, if n == 3 { 20 << 20 } else { 70_000 }))).collect();
    for (key, body) in &objects {
        behind.put(&format!("/{key}"), body);
    }
    behind.wait_until_drained();
    assert!(behind.larder.terminate().success());
    put_odd(&behind, "default//odd");
    put_odd(&behind, "default/d//odd");
    put_damaged(&behind, "default/d/1", b"damaged");
    put_damaged(&behind, "default/nobody-has-it", b"damaged");
    behind.put_from_outside("default/from-sccache", b"with an MD5");
    behind.put_from_outside("not-larders/x", b"foreign");

    let looked = run(&behind, &["--dry-run", "--deep"]);
    assert_eq!(looked.code, Some(1), "{}", looked.stderr);
    assert_eq!(behind.stored("default/d/1").unwrap(), b"damaged");
    let verified = run(&behind, &["--deep"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    verified.assert_counts(
        "bucket",
        &[
            ("objects", 10),
            ("unknown", 2),
            ("foreign", 1),
            ("read", 10),
            ("damaged", 2),
            ("uploaded", 1),
            ("removed", 1),
        ],
    );
    assert!(
        verified.stderr.contains("default//odd") && verified.stderr.contains("default/d//odd"),
        "{}",
        verified.stderr
    );
    for (key, body) in &objects {
        assert!(behind.stored(&format!("default/{key}")).unwrap() == *body, "{key}");
    }
    assert_eq!(behind.stored("default/nobody-has-it"), None);
    assert_eq!(behind.stored("not-larders/x").unwrap(), b"foreign");
    for more in [&["--deep", "--dry-run"][..], &["--deep"], &[]] {
        let again = run(&behind, more);
        assert_eq!(again.code, Some(0), "{}{}", again.stdout, again.stderr);
        assert_eq!(again.counts("bucket").get("damaged"), None);
    }
    behind.forget_disk_of_ended();
    for (key, body) in &objects {
        behind.assert_hit(&format!("/{key}"), body);
    }
}

#[test]
fn a_store_that_is_away_is_told_and_nothing_is_forgotten() {
    let mut behind = Behind::start(Engine::S3(std::sync::Arc::new(Garage::start())), Settings::default());
    behind.put("/a", b"body");
    behind.wait_until_drained();
    assert!(behind.larder.terminate().success());
    behind.garage().kill();
    for more in [&[][..], &["--dry-run"]] {
        let verified = run(&behind, more);
        assert_eq!(verified.code, Some(1), "{}", verified.stdout);
        assert!(verified.report()["bucket_error"].is_string(), "{}", verified.stdout);
        verified.assert_counts("disk", &[("checked", 1)]);
    }
    behind.garage().restart();
    let verified = run(&behind, &[]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    verified.assert_counts("bucket", &[("objects", 1)]);
}
