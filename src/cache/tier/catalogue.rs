//! What lies in the bucket, as far as this server knows: kept on disk, and never believed before the bucket about what
//! others may have written.
//!
//! It can be lost: what is not known is looked up again, and everything on disk that it does not know is compared with the
//! bucket once more. It also keeps what the bucket has yet to hear of, [`marks`], and how far everything is saved. Owns the
//! database; knows nothing of uploads or of records.

mod marks;
mod rows;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use sled::{Db, Tree};

pub(in crate::cache) use self::marks::Mark;
use self::marks::Marks;
#[cfg(test)]
pub(super) use self::rows::hash;
pub(super) use self::rows::hash_of;
pub(in crate::cache) use self::rows::{Known, PathHash};
use crate::bucket::BucketPath;
use crate::index::IndexError;
use crate::index::sled::care::{self, guarded};

/// Bytes of memory for the database's pages.
const CACHE_BYTES: u64 = 8 << 20;
/// Rows visited in one go.
const PAGE: usize = 1024;

/// How far the records on disk are in the bucket, by their sequence numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cache) struct Saved {
    /// All below are in the bucket, or were not queued: eviction may have them.
    pub(in crate::cache) below: u64,
    /// All below are in the bucket.
    pub(in crate::cache) complete_below: u64,
}

/// The catalogue.
pub(in crate::cache) struct Catalogue {
    directory: PathBuf,
    /// What tells this bucket from another.
    bucket: PathHash,
    /// `None` after a failure, until it is begun anew.
    open: RwLock<Option<Open>>,
    marks: Marks,
    /// Records that were not queued, and are not written yet.
    not_queued: Mutex<Vec<u64>>,
    rows: AtomicU64,
    /// Most bytes of disk blocks that it is to take.
    most_bytes: u64,
    /// No more objects are taken in: what is not known is found out when it is asked for.
    is_full: AtomicBool,
    changed: AtomicBool,
}

/// The database.
struct Open {
    db: Db,
    /// Path → [`Known`].
    known: Tree,
    /// Path → [`Mark`].
    deleted: Tree,
    /// Sequence numbers of records that were not queued, from [`Saved::below`] on.
    not_queued: Tree,
    /// Name → number: see the constants below.
    about: Tree,
}

const BUCKET: &str = "bucket";
const SERVER: &str = "server";
const SAVED: &str = "saved";
const COMPLETE: &str = "complete";
const ROWS: &str = "rows";

impl Catalogue {
    /// Opens the catalogue of the bucket `url` in `directory`, which is to take about `most_bytes` of disk. One that is damaged,
    /// or of another bucket, is begun anew.
    pub(in crate::cache) fn open(directory: PathBuf, url: &str, most_bytes: u64) -> Self {
        let bucket = rows::hash(url.as_bytes());
        let open = match Open::in_directory(&directory) {
            Ok(open) if open.is_of(bucket) => Some(open),
            Ok(open) => {
                if !open.is_new() {
                    tracing::info!("another bucket than before: what was known of that one is forgotten");
                }
                drop(open);
                Open::anew(&directory, bucket)
            }
            Err(error) => {
                tracing::warn!(%error, "what is known of the bucket cannot be read; it is begun anew");
                Open::anew(&directory, bucket)
            }
        };
        let catalogue = Self {
            directory,
            bucket,
            open: RwLock::new(open),
            marks: Marks::default(),
            not_queued: Mutex::default(),
            rows: AtomicU64::new(0),
            most_bytes,
            is_full: AtomicBool::new(false),
            changed: AtomicBool::new(false),
        };
        catalogue.with(|open| {
            catalogue.rows.store(open.number(ROWS)?.unwrap_or(0), Ordering::Relaxed);
            catalogue.marks.load(&open.deleted)
        });
        catalogue
    }

    /// What is known of the object at `path`.
    pub(in crate::cache) fn get(&self, path: &BucketPath) -> Option<Known> {
        let hash = rows::hash_of(path);
        self.with(|open| Ok(open.known.get(hash)?.map(|bytes| Known::decode(&bytes)).transpose()?)).flatten()
    }

    /// Notes what lies at `path`. What was known before is returned.
    pub(in crate::cache) fn put(&self, path: &BucketPath, known: Known) -> Option<Known> {
        let hash = rows::hash_of(path);
        let put = |open: &Open| {
            if self.is_full.load(Ordering::Relaxed) && !open.known.contains_key(hash)? {
                return Ok(None);
            }
            let before = open.known.insert(hash, &known.encode()[..])?;
            if before.is_none() {
                self.rows.fetch_add(1, Ordering::Relaxed);
            }
            Ok(before.and_then(|bytes| Known::decode(&bytes).ok()))
        };
        let before = self.with(put).flatten();
        self.changed.store(true, Ordering::Release);
        before
    }

    /// Nothing lies at `path` any more. What was known is returned.
    pub(in crate::cache) fn remove(&self, path: &BucketPath) -> Option<Known> {
        self.remove_hash(rows::hash_of(path))
    }

    /// As [`Catalogue::remove`].
    pub(in crate::cache) fn remove_hash(&self, hash: PathHash) -> Option<Known> {
        let remove = |open: &Open| Ok(open.known.remove(hash)?.and_then(|bytes| Known::decode(&bytes).ok()));
        let before = self.with(remove).flatten();
        if before.is_some() {
            let _ = self.rows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |rows| rows.checked_sub(1));
            self.changed.store(true, Ordering::Release);
        }
        before
    }

    /// Visits every row, a page at a time.
    pub(in crate::cache) fn visit(&self, mut visit: impl FnMut(PathHash, Known)) {
        let mut from = PathHash::default();
        loop {
            let page = self.with(|open| {
                let mut rows: Vec<(PathHash, Known)> = Vec::with_capacity(PAGE);
                for row in open.known.range(from..).take(PAGE) {
                    let (key, value) = row?;
                    let hash = PathHash::try_from(&key[..]).map_err(|_| rows::malformed())?;
                    rows.push((hash, Known::decode(&value)?));
                }
                Ok(rows)
            });
            let page = page.unwrap_or_default();
            page.iter().for_each(|(hash, known)| visit(*hash, *known));
            match page.last().and_then(|(last, _)| u128::from_be_bytes(*last).checked_add(1)) {
                Some(next) if page.len() == PAGE => from = next.to_be_bytes(),
                _ => return,
            }
        }
    }

    /// About how many objects are known.
    pub(in crate::cache) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// How far everything was saved at the last checkpoint; `None` in a new catalogue.
    pub(in crate::cache) fn saved(&self) -> Option<Saved> {
        let saved = self.with(|open| {
            let (below, complete) = (open.number(SAVED)?, open.number(COMPLETE)?);
            Ok(below.zip(complete).map(|(below, complete_below)| Saved { below, complete_below }))
        });
        saved.flatten()
    }

    /// Notes that a record was not queued: nobody is promised that it stays. Written with the next checkpoint.
    pub(in crate::cache) fn note_not_queued(&self, sequence: u64) {
        self.not_queued.lock().push(sequence);
    }

    /// The records, from [`Saved::below`] on, that were not queued.
    pub(in crate::cache) fn not_queued(&self) -> HashSet<u64> {
        let all = self.with(|open| {
            let number = |key: sled::IVec| key[..].try_into().map(u64::from_be_bytes).ok();
            Ok(open.not_queued.iter().keys().filter_map(|key| key.map(number).transpose()).collect())
        });
        all.and_then(|all: sled::Result<_>| all.ok()).unwrap_or_default()
    }

    /// The number that this server goes by among those that share the bucket; a new one where the catalogue is.
    pub(in crate::cache) fn server(&self) -> u64 {
        self.with(|open| open.number(SERVER)).flatten().unwrap_or(0)
    }

    /// Brings everything to disk, and that everything is `saved` so far. A catalogue that failed is begun anew: then nothing
    /// is complete any more, and false is returned. Blocks.
    pub(in crate::cache) fn checkpoint(&self, saved: Saved) -> bool {
        let not_queued = std::mem::take(&mut *self.not_queued.lock());
        let changed = self.changed.swap(false, Ordering::AcqRel) || !not_queued.is_empty();
        let written = self.with(|open| {
            let known = (open.number(SAVED)?, open.number(COMPLETE)?);
            if !changed && known == (Some(saved.below), Some(saved.complete_below)) {
                return Ok(());
            }
            for sequence in not_queued.into_iter().filter(|sequence| *sequence >= saved.below) {
                open.not_queued.insert(sequence.to_be_bytes(), &[])?;
            }
            for key in open.not_queued.range(..saved.below.to_be_bytes()).keys() {
                open.not_queued.remove(key?)?;
            }
            open.set_number(SAVED, saved.below)?;
            open.set_number(COMPLETE, saved.complete_below)?;
            open.set_number(ROWS, self.rows())?;
            care::flush(&open.db, &self.directory)
        });
        if written.is_some() {
            return true;
        }
        self.begin_anew();
        false
    }

    /// Keeps it small, given how many bytes it takes: nothing more is taken in when it is full, and when it is mostly a log of
    /// what has changed, or of more than it is to hold, it is begun anew. The next checkpoint completes that.
    pub(in crate::cache) fn limit(&self, bytes: u64) {
        let is_far_above = bytes > self.most_bytes.saturating_mul(2);
        if is_far_above {
            tracing::info!(bytes, "what is known of the bucket is begun anew to make it smaller");
            self.begin_anew();
        }
        self.is_full.store(bytes > self.most_bytes && !is_far_above, Ordering::Relaxed);
    }

    fn begin_anew(&self) {
        let mut open = self.open.write();
        *open = None;
        *open = Open::anew(&self.directory, self.bucket);
        drop(open);
        self.rows.store(0, Ordering::Relaxed);
        let marks = self.marks.all();
        self.with(|open| {
            for (hash, mark) in &marks {
                open.deleted.insert(hash, rows::encode_mark(mark))?;
            }
            Ok(())
        });
    }

    /// Bytes of disk blocks that it takes, with all that it was told.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::cache) fn disk_bytes(&self) -> io::Result<u64> {
        // As the index: sled writes behind its callers.
        self.with(|open| Ok(open.db.flush().map(drop)?));
        care::directory_bytes(&self.directory)
    }

    /// Runs `work` on the database. `None`: there is none, or it failed; then it is given up.
    fn with<T>(&self, work: impl FnOnce(&Open) -> Result<T, IndexError>) -> Option<T> {
        let worked = {
            let open = self.open.read();
            let open = open.as_ref()?;
            guarded(|| work(open))
        };
        worked
            .inspect_err(|error| {
                tracing::warn!(%error, "what is known of the bucket is lost; it is found out again");
                *self.open.write() = None;
            })
            .ok()
    }
}

impl Open {
    fn in_directory(directory: &Path) -> Result<Self, IndexError> {
        let db = care::open(directory, CACHE_BYTES)?;
        guarded(|| {
            let known = db.open_tree("known")?;
            // Damage of the first page shows here, and not to the first request.
            known.first()?;
            let (deleted, not_queued) = (db.open_tree("deleted")?, db.open_tree("not queued")?);
            Ok(Self { known, deleted, not_queued, about: db.open_tree("about")?, db })
        })
    }

    /// A new one in place of what is there. `None`, and told, where that cannot be.
    fn anew(directory: &Path, bucket: PathHash) -> Option<Self> {
        let emptied = match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(IndexError::from(error)),
            _ => Ok(()),
        };
        let opened = emptied.and_then(|()| {
            let open = Self::in_directory(directory)?;
            guarded(|| {
                open.about.insert(BUCKET, &bucket[..])?;
                open.set_number(SERVER, rows::random())?;
                care::flush(&open.db, directory)
            })?;
            Ok(open)
        });
        opened.inspect_err(|error| {
            tracing::error!(%error, "what is known of the bucket cannot be kept on disk; tried again later");
        })
        .ok()
    }

    fn is_of(&self, bucket: PathHash) -> bool {
        matches!(self.about.get(BUCKET), Ok(Some(of)) if *of == bucket)
    }

    fn is_new(&self) -> bool {
        matches!(self.about.get(BUCKET), Ok(None))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, IndexError> {
        let bytes = self.about.get(name)?;
        let number = |bytes: sled::IVec| {
            bytes[..].try_into().map(u64::from_be_bytes).map_err(|_| IndexError::from(rows::malformed()))
        };
        bytes.map(number).transpose()
    }

    fn set_number(&self, name: &str, number: u64) -> Result<(), IndexError> {
        self.about.insert(name, &number.to_be_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
