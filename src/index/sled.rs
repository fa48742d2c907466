//! The engine on disk: sled 0.34, held as something that can be lost.
//!
//! Owns the trees and every precaution that sled needs, each measured: leftovers of a killed start are removed before
//! opening, `flush` is followed by an fsync of its file (it does none itself), batches stay small, and every call that
//! may panic is caught. Knows nothing of segments.

use std::any::Any;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sled::{Db, IVec, Tree};

use super::{Change, Entry, Index, IndexError, Progress, Recency, record};
use crate::key::Namespace;

/// sled's own cache of pages, in bytes. Requests never read through it, so it only has to hold the writer's edge.
const CACHE_BYTES: u64 = 16 << 20;

/// Entries in a sled database.
pub struct SledIndex {
    path: PathBuf,
    db: Db,
    /// Sequence number, big endian → entry.
    entries: Tree,
    /// Namespace, NUL, key → sequence number.
    names: Tree,
    /// Group number → recency rows.
    recency: Tree,
    /// Segment number → first block not taken in, identity of the segment.
    progress: Tree,
}

impl SledIndex {
    /// Opens or makes the database in the directory `path`.
    ///
    /// # Errors
    /// Whatever keeps sled from opening it, panics included.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        remove_leftovers(path)?;
        guarded(|| {
            // No background flush: a checkpoint is the only flush, so that progress and entries agree.
            let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
            let db = config.open()?;
            Ok(Self {
                path: path.to_owned(),
                entries: db.open_tree("entries")?,
                names: db.open_tree("names")?,
                recency: db.open_tree("recency")?,
                progress: db.open_tree("progress")?,
                db,
            })
        })
    }

    fn put(&self, entry: &Entry) -> sled::Result<()> {
        self.entries.insert(entry.sequence.to_be_bytes(), record::encode(entry))?;
        self.names.insert(name_key(entry), &entry.sequence.to_be_bytes())?;
        Ok(())
    }

    fn remove(&self, sequence: u64) -> Result<(), IndexError> {
        let Some(bytes) = self.entries.remove(sequence.to_be_bytes())? else { return Ok(()) };
        let name = name_key(&record::decode(sequence, &bytes)?);
        if self.names.get(&name)?.is_some_and(|current| *current == sequence.to_be_bytes()) {
            self.names.remove(&name)?;
        }
        Ok(())
    }
}

impl Index for SledIndex {
    fn apply(&self, changes: &[Change]) -> Result<(), IndexError> {
        guarded(|| {
            for change in changes {
                match change {
                    Change::Put(entry) => self.put(entry)?,
                    Change::Remove(sequence) => self.remove(*sequence)?,
                }
            }
            Ok(())
        })
    }

    fn put_recency(&self, group: u32, rows: &[Recency]) -> Result<(), IndexError> {
        guarded(|| {
            self.recency.insert(group.to_be_bytes(), record::encode_recency(rows))?;
            Ok(())
        })
    }

    fn checkpoint(&self, progress: &[Progress]) -> Result<(), IndexError> {
        guarded(|| {
            let mut stale: std::collections::HashSet<IVec> =
                self.progress.iter().keys().collect::<Result<_, _>>()?;
            for row in progress {
                let key = row.segment.to_be_bytes();
                stale.remove(&key[..]);
                let value = [&row.block.to_be_bytes()[..], &row.identity.to_be_bytes()].concat();
                if self.progress.get(key)?.is_none_or(|known| *known != value) {
                    self.progress.insert(key, value)?;
                }
            }
            for key in stale {
                self.progress.remove(key)?;
            }
            self.db.flush()?;
            // sled's flush writes but does not sync on Linux.
            File::open(self.path.join("db"))?.sync_data()?;
            Ok(())
        })
    }

    fn progress(&self) -> Result<Vec<Progress>, IndexError> {
        guarded(|| {
            let mut rows = Vec::new();
            for row in &self.progress {
                let (key, value) = row?;
                if value.len() == size_of::<u32>() {
                    // As the first larder wrote it, without an identity: for all one knows of another segment.
                    continue;
                }
                let (block, identity) = value.split_at_checked(4).ok_or(record::EntryError::Malformed)?;
                rows.push(Progress {
                    segment: number_u32(&key)?,
                    block: number_u32(block)?,
                    identity: number_u64(identity)?,
                });
            }
            Ok(rows)
        })
    }

    fn load(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), IndexError> {
        guarded(|| {
            for row in &self.entries {
                let (key, value) = row?;
                visit(record::decode(number_u64(&key)?, &value)?);
            }
            Ok(())
        })
    }

    fn load_recency(&self, visit: &mut dyn FnMut(Recency)) -> Result<(), IndexError> {
        guarded(|| {
            for row in &self.recency {
                record::decode_recency(&row?.1)?.into_iter().for_each(&mut *visit);
            }
            Ok(())
        })
    }

    fn list(
        &self,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, IndexError> {
        guarded(|| {
            let base = [namespace.as_str().as_bytes(), b"\0"].concat();
            let full_prefix = [&base, prefix.as_bytes()].concat();
            let start =
                after.map_or_else(|| full_prefix.clone(), |after| [&base, after.as_bytes(), b"\0"].concat());
            let mut found = Vec::new();
            for row in self.names.range(start.max(full_prefix.clone())..) {
                let (name, sequence) = row?;
                if found.len() == limit || !name.starts_with(&full_prefix) {
                    break;
                }
                if let Some(bytes) = self.entries.get(&sequence)? {
                    found.push(record::decode(number_u64(&sequence)?, &bytes)?);
                }
            }
            Ok(found)
        })
    }

    fn disk_bytes(&self) -> Result<u64, IndexError> {
        Ok(directory_bytes(&self.path)?)
    }
}

/// Bytes of disk blocks that `path` and all below it take; 0 where it is not there.
///
/// # Errors
/// Those of the file system.
pub fn directory_bytes(path: &Path) -> std::io::Result<u64> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // sled removes its own files while they are counted.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            bytes += directory_bytes(&entry?.path())?;
        }
    }
    Ok(bytes)
}

/// A process killed while it opens leaves `snap.*.generating`, and sled never opens again until it is gone.
fn remove_leftovers(path: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn name_key(entry: &Entry) -> Vec<u8> {
    let name = &entry.name;
    [name.namespace.as_str().as_bytes(), b"\0", name.key.as_str().as_bytes()].concat()
}

fn number_u64(bytes: &[u8]) -> Result<u64, IndexError> {
    Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| record::EntryError::Malformed)?))
}

fn number_u32(bytes: &[u8]) -> Result<u32, IndexError> {
    Ok(u32::from_be_bytes(bytes.try_into().map_err(|_| record::EntryError::Malformed)?))
}

/// Runs sled's code and turns a panic into an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    // Whatever state a panic leaves behind is given up with the engine.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(IndexError::Panicked(panic_text(&*panic))))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self::Engine(error.to_string())
    }
}
