//! Freeing the blocks of dead records, once nobody reads them any more.
//!
//! Owns the lists of dead records and the order of freeing: (after the next sync, where a newer version must be
//! durable first) → a new epoch begins → the last reader of the old epoch leaves → hole punched, or the whole file
//! unlinked.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rustix::fs::FallocateFlags;

use super::record::{DEAD_MARK, Location};
use super::segment::{Kind, Segment};
use super::unfreed::Unfreed;
use super::{BLOCK, BLOCK_BYTES};

/// How many threads free at once. A disk that is told of freed blocks (mount option `discard`) may take half a millisecond for
/// each run of them, and others meanwhile.
const FREEING_THREADS: usize = 4;

/// A record that the index no longer points at.
pub(super) struct Dead {
    pub(super) segment: Arc<Segment>,
    pub(super) location: Location,
    /// Tells whose record it was: see [`Reclaimer::kill_older`].
    pub(super) identity: u128,
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
    /// By the lane that makes durable what replaced them.
    after_sync: Vec<Mutex<Vec<Dead>>>,
    /// Oldest first: a group goes only after those of the same segment before it, whose readers may have pinned
    /// records that died later.
    draining: Mutex<Vec<Draining>>,
    unfreed: Unfreed,
    /// Sealed segments without a live record, where no record's death will free them any more.
    hollow: Mutex<Vec<Arc<Segment>>>,
    pending_bytes: AtomicU64,
    punches: AtomicBool,
}

/// How many of the records that wait for a sync the one under way makes free to go.
pub(super) struct SyncBatch {
    lane: usize,
    records: usize,
}

/// What a round of freeing did.
pub(super) struct Reclaimed {
    /// Segments whose files are gone.
    pub(super) unlinked: Vec<u32>,
    /// The first failure; what it concerns is tried again.
    pub(super) failure: Option<io::Error>,
}

impl Reclaimer {
    pub(super) fn new(punches: bool, lanes: usize) -> Self {
        Self {
            now: Mutex::default(),
            after_sync: (0..lanes).map(|_| Mutex::default()).collect(),
            draining: Mutex::default(),
            unfreed: Unfreed::default(),
            hollow: Mutex::default(),
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
    pub(super) fn soon(&self, segment: Arc<Segment>, location: Location, identity: u128) {
        let dead = self.note(segment, location, identity);
        self.now.lock().push(dead);
    }

    /// Takes a record that a newer one of the same `identity` replaced: freed only after a sync of the `lane` with the newer one, so
    /// that a power cut cannot take both.
    pub(super) fn later(&self, segment: Arc<Segment>, location: Location, identity: u128, lane: usize) {
        segment.hold_file();
        let dead = self.note(segment, location, identity);
        self.after_sync[lane].lock().push(dead);
    }

    /// Takes a sealed segment in which nothing is live, to be unlinked once its readers are gone.
    pub(super) fn whole(&self, segment: Arc<Segment>) {
        self.hollow.lock().push(segment);
    }

    fn note(&self, segment: Arc<Segment>, location: Location, identity: u128) -> Dead {
        self.pending_bytes.fetch_add(location.disk_len(), Ordering::AcqRel);
        let dead = Dead { segment, location, identity };
        self.unfreed.note(&dead);
        dead
    }

    /// Makes the older versions of an object that are not yet freed unreadable, so that a deleted object cannot
    /// come back by way of one of them, wherever on its way to be freed it is. Returns the segments written to.
    pub(super) fn kill_older(&self, identity: u128) -> io::Result<Vec<Arc<Segment>>> {
        self.unfreed.kill(identity)
    }

    /// True when this record is dead, not marked as such and not yet free.
    pub(super) fn is_unfreed(&self, location: &Location, identity: u128) -> bool {
        self.unfreed.has(location, identity)
    }

    /// Notes what waits for a sync of the lane; call it before the sync begins. One sync of a lane at a time.
    pub(super) fn begin_sync(&self, lane: usize) -> SyncBatch {
        SyncBatch { lane, records: self.after_sync[lane].lock().len() }
    }

    /// Lets what waited go; after a failed sync it waits for the next.
    pub(super) fn end_sync(&self, batch: &SyncBatch, synced: bool) {
        if synced {
            let mut waiting = self.after_sync[batch.lane].lock();
            let free_to_go: Vec<Dead> = waiting.drain(..batch.records).collect();
            drop(waiting);
            for dead in &free_to_go {
                dead.segment.let_go_of_file();
                // Before those who wait for the sync hear of it: an older version must not outlive, in a crash, the
                // acknowledgement of the newer one. Where it fails the blocks are freed all the same.
                if let Err(error) = kill(&dead.segment, &dead.location) {
                    tracing::warn!(segment = dead.segment.id(), %error, "a dead record could not be marked as such");
                }
            }
            self.now.lock().extend(free_to_go);
        }
    }

    /// Frees what nobody reads any more.
    pub(super) fn reclaim(&self) -> Reclaimed {
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
            draining.push(Draining { epoch: segment.turn_epoch(), segment, dead: group });
        }
        for segment in std::mem::take(&mut *self.hollow.lock()) {
            draining.push(Draining { epoch: segment.turn_epoch(), segment, dead: Vec::new() });
        }
        let mut still_read = HashSet::new();
        let (read, unread): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *draining).into_iter().partition(|group| {
                // Only this list holds an epoch that has been turned; readers can leave it but not enter.
                let read = still_read.contains(&group.segment.id()) || Arc::strong_count(&group.epoch) > 1;
                if read {
                    still_read.insert(group.segment.id());
                }
                read
            });
        let mut done = Reclaimed { unlinked: Vec::new(), failure: None };
        let outcomes = self.free_all(&unread);
        for (group, outcome) in unread.into_iter().zip(outcomes) {
            match outcome {
                Ok(was_last) => {
                    let bytes = group.dead.iter().map(|dead| dead.location.disk_len()).sum();
                    self.pending_bytes.fetch_sub(bytes, Ordering::AcqRel);
                    if was_last {
                        done.unlinked.push(group.segment.id());
                    }
                }
                Err(error) => {
                    done.failure = Some(error);
                    draining.push(group);
                }
            }
        }
        // What failed is older than what is still read of the same segment.
        draining.extend(read);
        done
    }

    /// Frees the groups, several at once, and tells of each in turn what came of it.
    fn free_all(&self, groups: &[Draining]) -> Vec<io::Result<bool>> {
        let slots: Vec<_> = groups.iter().map(|group| (group, OnceLock::new())).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((group, outcome)) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                let _ = outcome.set(self.free(&group.segment, &group.dead));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..groups.len().min(FREEING_THREADS) {
                // Without another thread this one does it all.
                let _ = std::thread::Builder::new().name("larder-free".to_owned()).spawn_scoped(scope, work);
            }
            work();
        });
        // The scope has waited for all of them, so that each has its outcome.
        slots.into_iter().filter_map(|(_, outcome)| outcome.into_inner()).collect()
    }

    /// Frees the records' blocks. True when the whole file was unlinked.
    fn free(&self, segment: &Arc<Segment>, dead: &[Dead]) -> io::Result<bool> {
        if segment.is_hollow() {
            self.unfreed.free(dead, || match std::fs::remove_file(segment.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            })?;
            return Ok(true);
        }
        let follows = |a: &Dead, b: &Dead| a.location.offset() + a.location.disk_len() == b.location.offset();
        for run in dead.chunk_by(follows) {
            let length = run.iter().map(|dead| dead.location.disk_len()).sum();
            self.unfreed.free(run, || {
                self.punch(segment, run[0].location.offset(), length)?;
                if self.punches() {
                    return Ok(());
                }
                run.iter().try_for_each(|dead| kill(segment, &dead.location))
            })?;
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
    let killed = segment.with_file(|file| file.write_all_at(&DEAD_MARK, location.offset()));
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
        .write_all_at(&[1; 2 * BLOCK_BYTES], 0)
        .and_then(|()| rustix::fs::fallocate(&file, PUNCH, 0, BLOCK).map_err(io::Error::from));
    std::fs::remove_file(&path)?;
    Ok(answer.is_ok())
}
