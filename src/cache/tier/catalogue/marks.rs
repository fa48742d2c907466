//! Marks of deletion: objects that are gone for everybody who asks here, and that the bucket has yet to hear of.
//!
//! In memory and on disk. A mark carries a sequence number: it is about what was stored before it, and an upload of
//! something newer takes it away. Knows nothing of who deletes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use sled::Tree;

use super::rows::{self, PathHash};
use super::{Catalogue, Open, care};
use crate::bucket::BucketPath;
use crate::index::IndexError;

/// A mark of deletion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cache) struct Mark {
    /// Where the object lies.
    pub(in crate::cache) path: BucketPath,
    /// What was stored with this or a higher number is not meant.
    pub(in crate::cache) sequence: u64,
}

/// All marks.
#[derive(Default)]
pub(super) struct Marks {
    by_path: RwLock<HashMap<PathHash, Mark>>,
    /// Asked by every read of the bucket; nearly always 0.
    count: AtomicUsize,
}

impl Marks {
    pub(super) fn load(&self, tree: &Tree) -> Result<(), IndexError> {
        let mut by_path = self.by_path.write();
        for row in tree {
            let mark = rows::decode_mark(&row?.1)?;
            by_path.insert(rows::hash_of(&mark.path), mark);
        }
        self.count.store(by_path.len(), Ordering::Release);
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<(PathHash, Mark)> {
        self.by_path.read().iter().map(|(hash, mark)| (*hash, mark.clone())).collect()
    }
}

impl Catalogue {
    /// True where the object at `path` was deleted here, and the bucket has not heard of that yet.
    pub(in crate::cache) fn is_deleted(&self, path: &BucketPath) -> bool {
        self.marks.count.load(Ordering::Acquire) > 0
            && self.marks.by_path.read().contains_key(&rows::hash_of(path))
    }

    /// Marks what was stored at `path` before `sequence`, for every reader from now on. Returns the mark that was there.
    pub(in crate::cache) fn mark(&self, path: &BucketPath, sequence: u64) -> Option<Mark> {
        self.change_mark(path, Some(Mark { path: path.clone(), sequence }))
    }

    /// Puts back the mark that [`Catalogue::mark`] found.
    pub(in crate::cache) fn restore(&self, path: &BucketPath, before: Option<Mark>) {
        self.change_mark(path, before);
    }

    /// Takes the mark away where it is not about what has this number.
    pub(in crate::cache) fn unmark(&self, path: &BucketPath, sequence: u64) {
        if self.marks.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let hash = rows::hash_of(path);
        let mut by_path = self.marks.by_path.write();
        if by_path.get(&hash).is_some_and(|mark| mark.sequence <= sequence) {
            by_path.remove(&hash);
            self.marks.count.store(by_path.len(), Ordering::Release);
            self.write_mark(hash, None);
        }
    }

    /// Up to `limit` of the marks that are `wanted`, in no order.
    pub(in crate::cache) fn marks(&self, limit: usize, mut wanted: impl FnMut(&Mark) -> bool) -> Vec<Mark> {
        self.marks.by_path.read().values().filter(|mark| wanted(mark)).take(limit).cloned().collect()
    }

    /// Number of marks.
    pub(in crate::cache) fn marked(&self) -> usize {
        self.marks.count.load(Ordering::Acquire)
    }

    /// Brings the marks out of this process, and with `sync` to the disk itself. False where that failed. Blocks.
    pub(in crate::cache) fn flush_marks(&self, sync: bool) -> bool {
        let flush = |open: &Open| {
            if sync {
                return care::flush(&open.db, &self.directory);
            }
            open.db.flush()?;
            Ok(())
        };
        self.with(flush).is_some()
    }

    fn change_mark(&self, path: &BucketPath, mark: Option<Mark>) -> Option<Mark> {
        let hash = rows::hash_of(path);
        let mut by_path = self.marks.by_path.write();
        self.write_mark(hash, mark.as_ref());
        let before = match mark {
            Some(mark) => by_path.insert(hash, mark),
            None => by_path.remove(&hash),
        };
        self.marks.count.store(by_path.len(), Ordering::Release);
        before
    }

    fn write_mark(&self, hash: PathHash, mark: Option<&Mark>) {
        self.changed.store(true, Ordering::Release);
        self.with(|open| {
            match mark {
                Some(mark) => open.deleted.insert(hash, rows::encode_mark(mark))?,
                None => open.deleted.remove(hash)?,
            };
            Ok(())
        });
    }
}
