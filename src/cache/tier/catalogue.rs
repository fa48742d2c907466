//! What lies in the bucket, as far as this server knows: kept on disk, and never asked before the bucket about what others
//! may have written.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::bucket::BucketPath;

/// What is known of one object in the bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cache) struct Known {
    /// XXH3-128 of the body, where this server wrote it or has read it.
    pub(in crate::cache) checksum: Option<u128>,
    /// Body length in bytes.
    pub(in crate::cache) length: u64,
    /// When it was last used by this server, or written, milliseconds since the Unix epoch.
    pub(in crate::cache) used_ms: u64,
}

/// The catalogue.
#[derive(Default)]
pub(in crate::cache) struct Catalogue {
    known: Mutex<HashMap<BucketPath, Known>>,
}

impl Catalogue {
    /// What is known of the object at `path`.
    pub(in crate::cache) fn get(&self, path: &BucketPath) -> Option<Known> {
        self.known.lock().get(path).copied()
    }

    /// Notes what lies at `path`.
    pub(in crate::cache) fn put(&self, path: &BucketPath, known: Known) {
        self.known.lock().insert(path.clone(), known);
    }

    /// Nothing lies at `path` any more.
    pub(in crate::cache) fn remove(&self, path: &BucketPath) {
        self.known.lock().remove(path);
    }

    /// True where the object at `path` was deleted here, and the bucket has not heard of that yet.
    pub(in crate::cache) fn is_deleted(&self, _path: &BucketPath) -> bool {
        false
    }
}
