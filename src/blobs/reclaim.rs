//! Freeing the blocks of dead records, once nobody reads them any more.
//!
//! Owns the lists of dead records and the order of freeing: (after the next sync, where a newer version must be
//! durable first) → a new epoch begins → the last reader of the old epoch leaves → hole punched, or the whole file
//! unlinked.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::fs::FallocateFlags;

use super::BLOCK;
use super::record::{KILLED, Location};
use super::segment::{Kind, Segment};

/// A record that the index no longer points at.
struct Dead {
    segment: Arc<Segment>,
    location: Location,
    /// Set where a newer version of the object replaced it: see [`Reclaimer::later`].
    identity: Option<u128>,
}

/// Dead records of one segment, waiting for the readers of an epoch.
struct Draining {
    segment: Arc<Segment>,
    epoch: Arc<()>,
    dead: Vec<Dead>,
}

/// The dead records of a store.
pub(super) struct Reclaimer {
    now: Mutex<Vec<Dead>>,
    after_sync: Mutex<Vec<Dead>>,
    draining: Mutex<Vec<Draining>>,
    /// Replaced records by object, from the replacement until their blocks are free.
    replaced: Mutex<HashMap<u128, Vec<(Arc<Segment>, Location)>>>,
    pending_bytes: AtomicU64,
    punches: AtomicBool,
}

/// The dead records that a sync under way makes free to go.
pub(super) struct SyncBatch(Vec<Dead>);

impl Reclaimer {
    pub(super) fn new(punches: bool) -> Self {
        Self {
            now: Mutex::default(),
            after_sync: Mutex::default(),
            draining: Mutex::default(),
            replaced: Mutex::default(),
            pending_bytes: AtomicU64::new(0),
            punches: AtomicBool::new(punches),
        }
    }

    /// Bytes of blocks that are dead and not yet free.
    pub(super) fn pending_bytes(&self) -> u64 {
        self.pending_bytes.load(Ordering::Acquire)
    }

    /// True when the file system frees parts of a file.
    pub(super) fn punches(&self) -> bool {
        self.punches.load(Ordering::Relaxed)
    }

    /// Takes a record that may be freed as soon as its readers are gone.
    pub(super) fn soon(&self, segment: Arc<Segment>, location: Location) {
        self.pending_bytes.fetch_add(location.disk_len(), Ordering::AcqRel);
        self.now.lock().push(Dead { segment, location, identity: None });
    }

    /// Takes a record that a newer one of the same `identity` replaced: freed only after a sync, so that a power
    /// cut cannot take both.
    pub(super) fn later(&self, segment: Arc<Segment>, location: Location, identity: u128) {
        self.pending_bytes.fetch_add(location.disk_len(), Ordering::AcqRel);
        self.replaced.lock().entry(identity).or_default().push((Arc::clone(&segment), location));
        self.after_sync.lock().push(Dead { segment, location, identity: Some(identity) });
    }

    /// Makes the replaced versions of an object that are not yet freed unreadable, so that an object whose newest
    /// version goes cannot come back by way of one of them. Returns their segments.
    pub(super) fn kill_older(&self, identity: u128) -> io::Result<Vec<Arc<Segment>>> {
        // Held all along: what is in the map still has its blocks.
        let replaced = self.replaced.lock();
        let older = replaced.get(&identity).map(Vec::as_slice).unwrap_or_default();
        older.iter().map(|(segment, at)| kill(segment, at).map(|()| Arc::clone(segment))).collect()
    }

    /// Takes what waits for a sync; call it before the sync begins.
    pub(super) fn begin_sync(&self) -> SyncBatch {
        SyncBatch(std::mem::take(&mut *self.after_sync.lock()))
    }

    /// Makes what waited unreadable and lets it go, or wait for the next sync when this one failed.
    pub(super) fn end_sync(&self, batch: SyncBatch, synced: bool) {
        for dead in batch.0.iter().filter(|_| synced) {
            // Before the sync is told to those who wait for it: an older version must not outlive, in a crash, the
            // acknowledgement of the newer one. Where it fails the blocks are freed all the same.
            if let Err(error) = kill(&dead.segment, &dead.location) {
                tracing::warn!(segment = dead.segment.id(), %error, "a dead record could not be marked as such");
            }
        }
        let list = if synced { &self.now } else { &self.after_sync };
        list.lock().extend(batch.0);
    }

    /// Frees what nobody reads any more. Returns the segments whose last record that was; their files are gone.
    ///
    /// # Errors
    /// Those of the disk. What was not freed is tried again.
    pub(super) fn reclaim(&self) -> io::Result<Vec<u32>> {
        let mut draining = self.draining.lock();
        let mut dead = std::mem::take(&mut *self.now.lock());
        dead.sort_unstable_by_key(|dead| (dead.location.segment, dead.location.block));
        let mut dead = dead.into_iter().peekable();
        while let Some(first) = dead.next() {
            let segment = Arc::clone(&first.segment);
            let mut group = vec![first];
            while let Some(next) = dead.next_if(|next| next.location.segment == segment.id()) {
                group.push(next);
            }
            let epoch = segment.turn_epoch();
            draining.push(Draining { segment, epoch, dead: group });
        }
        let mut unlinked = Vec::new();
        let mut failure = None;
        draining.retain(|group| {
            // Only this list holds an epoch that has been turned; readers can leave it but not enter.
            if Arc::strong_count(&group.epoch) > 1 {
                return true;
            }
            let locations: Vec<Location> = group.dead.iter().map(|dead| dead.location).collect();
            match self.free(&group.segment, &locations) {
                Ok(was_last) => {
                    // Only now: until its blocks are free a replaced version must be found by a deletion.
                    self.forget_replaced(&group.dead);
                    let bytes = locations.iter().map(Location::disk_len).sum();
                    self.pending_bytes.fetch_sub(bytes, Ordering::AcqRel);
                    if was_last {
                        unlinked.push(group.segment.id());
                    }
                    false
                }
                Err(error) => {
                    failure = Some(error);
                    true
                }
            }
        });
        failure.map_or(Ok(unlinked), Err)
    }

    fn forget_replaced(&self, dead: &[Dead]) {
        let mut replaced = self.replaced.lock();
        for dead in dead {
            let Some(identity) = dead.identity else { continue };
            if let Some(older) = replaced.get_mut(&identity) {
                older.retain(|(_, location)| *location != dead.location);
                if older.is_empty() {
                    replaced.remove(&identity);
                }
            }
        }
    }

    /// Frees the records' blocks. True when the whole file was unlinked.
    fn free(&self, segment: &Arc<Segment>, dead: &[Location]) -> io::Result<bool> {
        if segment.is_sealed() && segment.live_records() == 0 {
            return match std::fs::remove_file(segment.path()) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
                Err(error) => Err(error),
            };
        }
        let mut next = dead.iter().peekable();
        while let Some(first) = next.next() {
            let start = first.offset();
            let mut end = start + first.disk_len();
            while let Some(adjacent) = next.next_if(|location| location.offset() == end) {
                end += adjacent.disk_len();
            }
            self.punch(segment, start, end - start)?;
        }
        if !self.punches() {
            for location in dead {
                kill(segment, location)?;
            }
        }
        segment.refresh_allocated()?;
        Ok(false)
    }

    fn punch(&self, segment: &Segment, offset: u64, length: u64) -> io::Result<()> {
        if !self.punches() {
            return Ok(());
        }
        let punched = segment
            .with_file(|file| rustix::fs::fallocate(file, PUNCH, offset, length).map_err(io::Error::from));
        match punched {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) => {
                self.punches.store(false, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }
}

const PUNCH: FallocateFlags = FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE);

/// Overwrites the start of a record's header, so that no start finds it again.
pub(super) fn kill(segment: &Segment, location: &Location) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let killed = segment.with_file(|file| file.write_all_at(&KILLED, location.offset()));
    match killed {
        Err(error) if segment.kind() == Kind::Solo && error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Asks the file system of `dir` whether it punches holes, with a file of its own.
pub(super) fn probe_punching(dir: &std::path::Path) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let path = dir.join("punch.probe");
    let file = std::fs::File::create(&path)?;
    let answer = file
        .write_all_at(&[1; 2 * BLOCK as usize], 0)
        .and_then(|()| rustix::fs::fallocate(&file, PUNCH, 0, BLOCK).map_err(io::Error::from));
    std::fs::remove_file(&path)?;
    Ok(answer.is_ok())
}
