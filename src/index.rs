//! The index: what is stored, where, and how recently it was used.
//!
//! Two halves: [`table`], in memory, answers requests and knows the exact LRU order; an engine behind the
//! [`Index`] trait remembers it across restarts and lists names in order. Knows nothing of files but
//! [`Location`]s, and nothing of HTTP.
//!
//! The engine is disposable: the segments can rebuild it, so an engine that fails is set aside, never trusted.

pub mod clock;
pub mod memory;
pub mod record;
pub mod sled;
pub mod table;

#[cfg(test)]
mod conformance;

pub use self::sled::SledIndex;
pub use clock::Clock;
pub use memory::MemoryIndex;
pub use table::Table;

use crate::blobs::Location;
use crate::key::{Namespace, ObjectName};

/// What an engine keeps of one stored object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The record's sequence number: the entry's key.
    pub sequence: u64,
    /// Whose record it is.
    pub name: ObjectName,
    /// Where it lies.
    pub location: Location,
    /// When it was stored, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// XXH3-128 of the body.
    pub body_checksum: u128,
}

/// How recently and how often an object was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recency {
    /// The record's sequence number.
    pub sequence: u64,
    /// When it was last used, microseconds since the Unix epoch.
    pub used_us: u64,
    /// How often it was read.
    pub hits: u32,
}

/// How far an engine has taken in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Number of the segment.
    pub segment: u32,
    /// Records below this block are taken in; `u32::MAX`: all of the segment, for good.
    pub block: u32,
    /// What tells this segment from another that had or will have its number: an index may be older than its segments,
    /// or of another data directory.
    pub identity: u64,
}

/// One step of an engine's work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Insert or replace the entry of this sequence number, and name it as the current one of its object.
    Put(Entry),
    /// Remove the entry of this sequence number, and its name where no newer entry has it.
    Remove(u64),
}

/// Why an engine failed. Whatever it is, the engine is set aside and built again from the segments.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The engine's own error.
    #[error("the index engine failed: {0}")]
    Engine(String),
    /// The engine panicked; its state cannot be trusted.
    #[error("the index engine panicked: {0}")]
    Panicked(String),
    /// An entry does not decode.
    #[error("an index entry is damaged or of a newer format: {0}")]
    Entry(#[from] record::EntryError),
    /// The file system failed.
    #[error("the index directory: {0}")]
    Io(#[from] std::io::Error),
}

/// An engine that remembers entries across restarts.
///
/// One thread writes; any thread lists. Nothing is durable before [`Index::checkpoint`].
pub trait Index: Send + Sync {
    /// Applies `changes` in their order.
    ///
    /// # Errors
    /// The engine's; some of the changes may be in.
    fn apply(&self, changes: &[Change]) -> Result<(), IndexError>;

    /// Replaces the recency rows of `group`, a number that the caller keeps for a set of entries.
    ///
    /// # Errors
    /// The engine's.
    fn put_recency(&self, group: u32, rows: &[Recency]) -> Result<(), IndexError>;

    /// Makes everything applied so far durable, together with `progress`, which replaces what was said before.
    ///
    /// # Errors
    /// The engine's, or the disk's.
    fn checkpoint(&self, progress: &[Progress]) -> Result<(), IndexError>;

    /// How far the segments are taken in, as of the last checkpoint.
    ///
    /// # Errors
    /// The engine's.
    fn progress(&self) -> Result<Vec<Progress>, IndexError>;

    /// Visits every entry, in the order of sequence numbers.
    ///
    /// # Errors
    /// The engine's; entries may have been visited before.
    fn load(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), IndexError>;

    /// Up to `limit` entries whose sequence numbers are at least `from`, in their order.
    ///
    /// # Errors
    /// The engine's.
    fn entries_from(&self, from: u64, limit: usize) -> Result<Vec<Entry>, IndexError>;

    /// Visits every row of recency.
    ///
    /// # Errors
    /// The engine's; rows may have been visited before.
    fn load_recency(&self, visit: &mut dyn FnMut(Recency)) -> Result<(), IndexError>;

    /// Up to `limit` entries of `namespace` whose keys start with `prefix` and are greater than `after`, in the byte
    /// order of keys.
    ///
    /// # Errors
    /// The engine's.
    fn list(
        &self,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, IndexError>;

    /// Bytes of disk blocks that the engine takes with all that was applied, also what it had not written by then.
    ///
    /// # Errors
    /// The engine's, or the disk's.
    fn disk_bytes(&self) -> Result<u64, IndexError>;
}
