//! Blobs on disk: append-only segments of self-describing, checksummed records.
//!
//! Owns everything below `segments/` in the data directory. Every call here is synchronous; the cache decides
//! which thread makes it. Knows nothing of the index, of eviction, of capacity, of async or of HTTP.
//!
//! The parts, in the order of a record's life: [`record`] (its bytes), [`segment`] (the file it lies in),
//! `allocation` (its blocks), [`writer`] (appending), `lane` (making it durable), [`solo`] (large bodies in a file of their own), [`reclaim`] (freeing its blocks),
//! [`replay`] (finding it again after a start).

mod allocation;
pub mod file_part;
pub mod footer;
pub mod head;
mod lane;
pub mod reclaim;
pub mod record;
pub mod replay;
pub mod segment;
pub mod solo;
pub mod store;
mod unfreed;
pub mod writer;

pub use file_part::FilePart;
pub use record::{Location, RecordHeader, RecordView};
pub use segment::{Pin, Segment};
pub use solo::{SoloView, SoloWriter};
pub use store::{SegmentStore, StoreOptions};

/// Records start at multiples of this many bytes, so that hole punching frees all of a dead one.
pub const BLOCK: u64 = BLOCK_BYTES as u64;
/// The same, as the length of a buffer.
pub const BLOCK_BYTES: usize = 4096;

/// The number of blocks that `bytes` bytes take.
#[must_use]
pub const fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK)
}
