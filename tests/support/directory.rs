//! A directory that serves as a bucket, and that can be away.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use larder::cache::CacheOptions;
use tempfile::TempDir;

use crate::opened::{Opened, until};

/// The directory.
pub struct Directory(TempDir);

impl Directory {
    pub fn new() -> Self {
        let directory = Self(TempDir::new().unwrap());
        std::fs::create_dir(directory.root()).unwrap();
        directory
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("bucket")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.root().display())
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    /// Puts an object there, as somebody else would.
    pub fn write(&self, below: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        std::fs::write(self.path(below), bytes).unwrap();
    }

    /// From now on every call for an object of the default namespace fails: its directory is a link to itself.
    pub fn away(&self) {
        let away = self.0.path().join("away");
        if std::fs::rename(self.path("default"), &away).is_err() {
            std::fs::create_dir(away).unwrap();
        }
        std::os::unix::fs::symlink("default", self.path("default")).unwrap();
    }

    /// It is back with all that it had.
    pub fn back(&self) {
        std::fs::remove_file(self.path("default")).unwrap();
        std::fs::rename(self.0.path().join("away"), self.path("default")).unwrap();
    }

    /// A cache in front of it.
    pub async fn cache(&self, adjust: impl FnOnce(&mut CacheOptions)) -> Opened {
        Opened::new(256 << 20, |options| {
            options.bucket.url = Some(self.url());
            adjust(options);
        })
        .await
    }

    /// The objects, by their paths below the bucket, without larder's own.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(&self.root(), "", &mut files);
        files.retain(|file| !file.starts_with(".larder/"));
        files.sort();
        files
    }

    /// Waits until these keys of the default namespace have these bodies, and nothing waits to be written.
    pub async fn has_all<'a>(&self, opened: &Opened, objects: impl IntoIterator<Item = (&'a str, Bytes)>) {
        for (key, body) in objects {
            let path = self.path(&format!("default/{key}"));
            let is_there = async || std::fs::read(&path).is_ok_and(|found| found == body);
            until(&format!("{key} is in the bucket"), is_there).await;
        }
        let nothing_waits = async || opened.cache.bucket_status().unwrap().queue_objects == 0;
        until("nothing waits", nothing_waits).await;
    }

    /// Waits until the bucket does not have these keys of the default namespace.
    pub async fn loses(&self, keys: &[&str]) {
        for key in keys {
            let path = self.path(&format!("default/{key}"));
            until(&format!("{key} is gone"), async || !path.exists()).await;
        }
    }
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.push(name);
        }
    }
}
