//! A cache opened in this process: its directory, its options, and bodies that can be told apart byte by byte.
//!
//! Knows the cache through its public calls and its directory's blocks; nothing of HTTP.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder::cache::{Cache, CacheError, CacheOptions, OpenError, PutOptions, Stored};
use larder::config::{BucketConfig, Durability, Verify};
use larder::index::Clock;
use larder::key::{Namespace, ObjectKey, ObjectName};
use larder::metrics::Metrics;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tempfile::TempDir;

/// Far more than anything here takes; a test that gets there has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Options of a cache of `capacity` bytes below `dir`, that otherwise limits nothing.
pub fn options(dir: &Path, capacity: u64) -> CacheOptions {
    CacheOptions {
        data_dir: dir.join("data"),
        capacity,
        min_free_disk: 0,
        max_object_size: capacity,
        durability: Durability::Periodic,
        verify: Verify::First,
        memory_budget: 256 << 20,
        memory_tier: 0,
        punch_holes: true,
        namespaces: BTreeMap::new(),
        namespace_patterns: BTreeMap::new(),
        bucket: BucketConfig::default(),
        clock: Clock::default(),
    }
}

/// A cache that can be closed, killed and opened again.
pub struct Opened {
    pub cache: Cache,
    pub metrics: Metrics,
    pub options: CacheOptions,
    _scratch: Option<TempDir>,
}

impl Opened {
    /// A new cache of `capacity` bytes with `adjust`ed options.
    pub async fn new(capacity: u64, adjust: impl FnOnce(&mut CacheOptions)) -> Self {
        let scratch = TempDir::new().unwrap();
        let mut options = options(scratch.path(), capacity);
        adjust(&mut options);
        let (cache, metrics) = open(&options).await;
        Self { cache, metrics, options, _scratch: Some(scratch) }
    }

    /// Closes the cache as a shutdown does and opens it again, with `adjust`ed options.
    pub async fn reopen(mut self, adjust: impl FnOnce(&mut CacheOptions)) -> Self {
        self.cache.close().await.unwrap();
        adjust(&mut self.options);
        self.after_crash().await
    }

    /// Drops the cache with nothing flushed and opens it again.
    pub async fn after_crash(self) -> Self {
        let Self { cache, metrics, options, _scratch } = self;
        drop((cache, metrics));
        // sled lets go of its file a moment after it was dropped, on a thread of its own. Of a process that ended nothing is left.
        let db = options.data_dir.join("index/db");
        let is_locked = || {
            let tried = std::fs::File::open(&db).map(|file| file.try_lock());
            matches!(tried, Ok(Err(std::fs::TryLockError::WouldBlock)))
        };
        until("sled lets go of its file", async || !is_locked()).await;
        let (cache, metrics) = open(&options).await;
        Self { cache, metrics, options, _scratch }
    }

    /// Stores a body of declared length in one piece.
    pub async fn put(&self, key: &str, body: impl Into<Bytes>) -> Result<Stored, CacheError> {
        self.put_as(name(key), body).await
    }

    /// The same, in any namespace.
    pub async fn put_as(&self, name: ObjectName, body: impl Into<Bytes>) -> Result<Stored, CacheError> {
        let body = body.into();
        let options = PutOptions { declared_length: Some(body.len() as u64), ..PutOptions::default() };
        let mut upload = self.cache.begin_put(name, options).await?;
        upload.write(body).await?;
        upload.commit().await
    }

    /// The whole body of an object; `None` when it is not there.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.get_as(&name(key)).await
    }

    /// The same, of any namespace.
    pub async fn get_as(&self, name: &ObjectName) -> Option<Vec<u8>> {
        let object = self.cache.get(name).await.unwrap()?;
        let mut body = object.into_body(0..u64::MAX);
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next_chunk().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        Some(bytes)
    }

    /// True when the object is there; not a use.
    pub async fn has(&self, key: &str) -> bool {
        self.cache.head(&name(key)).await.unwrap().is_some()
    }

    /// The data directory.
    pub fn dir(&self) -> PathBuf {
        self.options.data_dir.clone()
    }

    /// Segment files of all kinds.
    pub fn segment_files(&self) -> usize {
        std::fs::read_dir(self.dir().join("segments")).unwrap().count()
    }
}

async fn open(options: &CacheOptions) -> (Cache, Metrics) {
    let began = Instant::now();
    loop {
        let metrics = Metrics::new().unwrap();
        match Cache::open(options.clone(), metrics.clone()) {
            Ok(cache) => {
                until("the cache is ready", async || cache.is_ready()).await;
                return (cache, metrics);
            }
            // An upload that was dropped may still hold the directory until its last write is done.
            Err(OpenError::Locked { .. }) if began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Polls until `condition` holds; fails after [`PATIENCE`], naming what was waited for.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The object `key` of the default namespace.
pub fn name(key: &str) -> ObjectName {
    name_in("default", key)
}

/// The object `key` of a namespace.
pub fn name_in(namespace: &str, key: &str) -> ObjectName {
    ObjectName { namespace: Namespace::new(namespace).unwrap(), key: ObjectKey::new(key).unwrap() }
}

/// `length` bytes that no other `seed` gives.
pub fn body(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    Bytes::from(bytes)
}

/// The seed of this run, printed: from `LARDER_TEST_SEED`, so that a run can be repeated, or from the clock.
pub fn seed() -> u64 {
    let given = std::env::var("LARDER_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(larder::index::table::now_us);
    eprintln!("to repeat this run: LARDER_TEST_SEED={seed}");
    seed
}

/// Bytes of disk blocks of `path` and of all below it. What vanishes while it is counted counts nothing.
pub fn block_bytes(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    let below = std::fs::read_dir(path).into_iter().flatten().flatten();
    metadata.blocks() * 512 + below.map(|entry| block_bytes(&entry.path())).sum::<u64>()
}
