//! The byte budget on disk: what is used, what is promised, what may still be taken.
//!
//! Owns the arithmetic of the hard limit. Bytes are reserved before they are written, so that no interleaving of
//! writers passes the limit. Knows nothing of what could be evicted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::analytics;
use crate::blobs::{BLOCK, SegmentStore};

/// Blocks of the directories, of the lock and of the format file, and of the metadata that the file system adds to a
/// fragmented file between two counts.
const OVERHEAD_BYTES: u64 = 64 * BLOCK;
/// The mark from which eviction works ahead lies such a part below the limit: room that serves nobody, and a writer who finds none
/// evicts by himself.
const AHEAD_PART: u64 = 256;
/// Most that eviction works ahead in one go, in bytes: with four times as much the slowest hundredth of those who read meanwhile
/// waits twice as long.
const MAX_STEP_BYTES: u64 = 16 << 20;
/// Smallest distance between the limit and the mark from which eviction works ahead.
const MIN_AHEAD_BYTES: u64 = 512 << 10;
/// Most that a database was seen to grow by one step or flush, in bytes, and some more.
pub(super) const MIN_INDEX_HEADROOM: u64 = 3 << 19;

/// The budget of one data directory.
pub(super) struct Budget {
    capacity: u64,
    min_free_disk: u64,
    copy_room: u64,
    store: SegmentStore,
    index_bytes: AtomicU64,
    /// 0 where there is no bucket.
    catalogue_bytes: AtomicU64,
    reserved: Arc<AtomicU64>,
    /// What is kept for one writer, see [`Claim`].
    claimed: AtomicU64,
    /// One grant at a time: bytes pass from reserved to used while a grant looks at both, and between two grants the
    /// sum must not be mistaken for smaller than it is.
    granting: Mutex<()>,
    /// What the disk allows, from how much of it was free when it was last asked.
    disk_limit: AtomicU64,
}

/// Bytes promised to one writer; given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    reserved: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reserved.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Reservation {
    /// Puts another reservation's bytes to this one's.
    pub(super) fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

/// Keeps room for one writer: nobody else is promised so much that it would not be left. Whoever makes room that others take at
/// once would make it forever. Given up when dropped.
pub(super) struct Claim<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Claim<'_> {
    /// The promise of what is claimed. `None` while there is not so much.
    pub(super) fn reserve(&self) -> Option<Reservation> {
        self.budget.grant(self.bytes, self.budget.writers_limit())
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.budget.claimed.store(0, Ordering::Release);
    }
}

impl Budget {
    /// `copy_room`: bytes that writers leave to compaction where holes cannot be punched.
    pub(super) fn new(capacity: u64, min_free_disk: u64, copy_room: u64, store: SegmentStore) -> Self {
        Self {
            capacity,
            min_free_disk,
            copy_room,
            store,
            index_bytes: AtomicU64::new(MIN_INDEX_HEADROOM),
            catalogue_bytes: AtomicU64::new(0),
            reserved: Arc::default(),
            claimed: AtomicU64::new(0),
            granting: Mutex::new(()),
            disk_limit: AtomicU64::new(u64::MAX),
        }
    }

    /// Bytes of disk blocks that the data directory takes.
    pub(super) fn used(&self) -> u64 {
        self.store.allocated() + self.databases()
    }

    /// The same as it is to be told: the files of what was learnt, for which the limit keeps room, are there with the bytes they have.
    pub(super) fn used_beside(&self, analytics: u64) -> u64 {
        self.store.allocated() + self.databases_beside(analytics)
    }

    /// Bytes used and promised.
    pub(super) fn taken(&self) -> u64 {
        // In this order: what passes from one to the other in between is counted twice, not never.
        let reserved = self.reserved.load(Ordering::Acquire);
        self.used() + reserved
    }

    /// Bytes used, without those that are dead and about to be freed, and with those promised to writers.
    pub(super) fn committed(&self) -> u64 {
        self.taken().saturating_sub(self.store.pending_bytes())
    }

    /// The hard limit as of now: the capacity, or less where the disk is nearly full.
    pub(super) fn limit(&self) -> u64 {
        self.capacity.min(self.disk_limit.load(Ordering::Acquire))
    }

    /// The limit for writers: where space only comes back by copying, the copies need room.
    pub(super) fn writers_limit(&self) -> u64 {
        let room = if self.store.punches_holes() { 0 } else { self.copy_room };
        self.limit().saturating_sub(room)
    }

    /// Most bytes that could be promised at once if nothing were stored: what asks for more gets nothing evicted.
    pub(super) fn most(&self) -> u64 {
        self.writers_limit().saturating_sub(self.databases())
    }

    /// True when the disk and not the capacity sets the limit.
    pub(super) fn disk_is_short(&self) -> bool {
        self.disk_limit.load(Ordering::Acquire) < self.capacity
    }

    /// From here on eviction works ahead of the writers.
    pub(super) fn high_mark(&self) -> u64 {
        self.writers_limit().saturating_sub(self.ahead())
    }

    /// Down to here eviction goes.
    pub(super) fn low_mark(&self) -> u64 {
        self.high_mark().saturating_sub(self.ahead().min(MAX_STEP_BYTES))
    }

    fn ahead(&self) -> u64 {
        (self.limit() / AHEAD_PART).max(MIN_AHEAD_BYTES)
    }

    /// Promises `bytes` to a writer. `None` when that would pass the limit, or take what somebody has claimed.
    pub(super) fn reserve(&self, bytes: u64) -> Option<Reservation> {
        self.grant(bytes, self.unclaimed_limit())
    }

    /// As [`Budget::reserve`], where seven times as much is left to the others.
    pub(super) fn reserve_spare(&self, bytes: u64) -> Option<Reservation> {
        self.grant(bytes, self.unclaimed_limit().saturating_sub(7 * bytes))
    }

    fn unclaimed_limit(&self) -> u64 {
        self.writers_limit().saturating_sub(self.claimed.load(Ordering::Acquire))
    }

    /// Keeps `bytes` for the caller. There is one claim at a time: it takes the lock of those who make room.
    pub(super) fn claim(&self, bytes: u64) -> Claim<'_> {
        self.claimed.store(bytes, Ordering::Release);
        Claim { budget: self, bytes }
    }

    /// As [`Budget::reserve`], for a copy that will free more than it takes.
    pub(super) fn reserve_copy(&self, bytes: u64) -> Option<Reservation> {
        self.grant(bytes, self.limit())
    }

    fn grant(&self, bytes: u64, limit: u64) -> Option<Reservation> {
        let _one_at_a_time = self.granting.lock();
        if self.taken().checked_add(bytes)? > limit {
            return None;
        }
        self.reserved.fetch_add(bytes, Ordering::AcqRel);
        Some(Reservation { reserved: Arc::clone(&self.reserved), bytes })
    }

    /// Enlarges a reservation. False, and nothing changed, when that would pass the limit.
    pub(super) fn extend(&self, reservation: &mut Reservation, bytes: u64) -> bool {
        let more = self.reserve(bytes);
        let granted = more.is_some();
        more.into_iter().for_each(|more| reservation.join(more));
        granted
    }

    /// Notes how many bytes the index takes; room for what it writes until it is counted again is added.
    pub(super) fn set_index_bytes(&self, bytes: u64) {
        let headroom = (bytes / 64).max(MIN_INDEX_HEADROOM);
        self.index_bytes.store(bytes + headroom, Ordering::Release);
    }

    /// The same, of what is known of the bucket.
    pub(super) fn set_catalogue_bytes(&self, bytes: u64) {
        let headroom = (bytes / 64).max(MIN_INDEX_HEADROOM);
        self.catalogue_bytes.store(bytes + headroom, Ordering::Release);
    }

    /// Bytes that are not records, with the room that they may grow by.
    fn databases(&self) -> u64 {
        self.databases_beside(analytics::most_disk_bytes(self.capacity))
    }

    fn databases_beside(&self, analytics: u64) -> u64 {
        let index = self.index_bytes.load(Ordering::Acquire);
        index + self.catalogue_bytes.load(Ordering::Acquire) + analytics + OVERHEAD_BYTES
    }

    /// Notes how many bytes are free on the file system.
    pub(super) fn set_free_disk(&self, free: u64) {
        // Between two looks the file system takes blocks for its own metadata, too.
        let limit = (self.used() + free).saturating_sub(self.min_free_disk + OVERHEAD_BYTES);
        self.disk_limit.store(limit, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::StoreOptions;

    const MIB: u64 = 1 << 20;

    fn budget(data: &tempfile::TempDir) -> Budget {
        let options = StoreOptions { segment_size: MIB, lanes: 1, in_turn: false, punch_holes: false };
        Budget::new(64 * MIB, 0, 0, SegmentStore::open(data.path(), options).unwrap())
    }

    #[test]
    fn spare_is_what_others_do_not_miss() {
        let data = tempfile::tempdir().unwrap();
        let budget = budget(&data);
        let most = budget.most();
        assert!(budget.reserve_spare(most / 8).is_some());
        assert!(budget.reserve_spare(most / 8 + 1).is_none());
        let _stored = budget.reserve(most / 2).unwrap();
        assert!(budget.reserve_spare(most / 8).is_none());
        assert!(budget.reserve_spare(most / 16).is_some());
    }

    #[test]
    fn what_is_claimed_is_promised_to_nobody_else() {
        let data = tempfile::tempdir().unwrap();
        let budget = budget(&data);
        let most = budget.most();
        let stored = budget.reserve(most - 2 * MIB).unwrap();
        let claim = budget.claim(4 * MIB);
        assert!(claim.reserve().is_none(), "there is not so much yet");
        assert!(budget.reserve(MIB).is_none(), "what comes back belongs to the claim");
        drop(stored);
        assert!(budget.reserve_spare((most - 4 * MIB) / 8).is_some());
        assert!(budget.reserve_spare(most / 8).is_none(), "what is claimed is not spare");
        let others = budget.reserve(most - 4 * MIB).unwrap();
        assert!(budget.reserve(MIB).is_none());
        let claimed = claim.reserve().unwrap();
        drop(claim);
        assert!(budget.reserve(4096).is_none(), "all of it is promised");
        drop((others, claimed));
        assert!(budget.reserve(most).is_some());
    }
}
