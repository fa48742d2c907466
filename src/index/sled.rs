//! The engine on disk: sled 0.34, held as something that can be lost.
//!
//! Owns the trees; every precaution that sled needs is in [`care`]. Batches stay small. Knows nothing of segments.

pub mod care;

use std::path::{Path, PathBuf};

use sled::{Db, IVec, Tree};

use self::care::guarded;
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
        let db = care::open(path, CACHE_BYTES)?;
        guarded(|| {
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
            care::flush(&self.db, &self.path)
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

    fn entries_from(&self, from: u64, limit: usize) -> Result<Vec<Entry>, IndexError> {
        guarded(|| {
            let mut found = Vec::new();
            for row in self.entries.range(from.to_be_bytes()..).take(limit) {
                let (key, value) = row?;
                found.push(record::decode(number_u64(&key)?, &value)?);
            }
            Ok(found)
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
        // sled writes behind its callers, on threads of its own: on a busy machine much of what was applied is not in its file yet.
        guarded(|| Ok(self.db.flush().map(drop)?))?;
        Ok(care::directory_bytes(&self.path)?)
    }
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

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        Self::Engine(error.to_string())
    }
}
