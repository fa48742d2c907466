//! Telling the index on disk what happened: behind the requests, from the segments' own headers.
//!
//! It pulls. How far it has come in each segment is all it remembers, so nothing queues up in memory however far it falls
//! behind, and a start replays just the rest. When the engine fails it is set aside and all of it is pulled again.

mod counting;
mod cursor;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::counting::Counting;
use self::cursor::Cursor;
use super::evict;
use super::loader::{renew_index, replace_index};
use super::signal::WakeUp;
use super::state::{State, gauge};
use super::throttle::Throttle;
use crate::blobs::RecordHeader;
use crate::blobs::segment::Kind;
use crate::index::{Change, Entry, Index, IndexError, Progress};
use crate::key::MAX_KEY_BYTES;

/// Changes in one call of the engine; larger batches were measured to leak in sled.
const BATCH: usize = 100;
/// Bytes of names in one call. sled writes pages anew around a change: with 16 KiB of names of 280 to 1000 bytes one call was
/// seen to add 1.2 MB, with 32 KiB 1.5 MB. See `MIN_INDEX_HEADROOM`.
const BATCH_BYTES: usize = 16 << 10;
/// So many objects that are gone may wait to be taken out; beyond that they no longer wait for a quiet time. Eight bytes each.
const MOST_WAITING: usize = 1 << 20;
/// Time that a shutdown gives the index for what is new in it, and again for the order of use: of millions of objects there may
/// be much to write, and a supervisor kills whoever does not end.
const FINISH_TIME: Duration = Duration::from_secs(3);
/// Groups of recency written in one pass.
const RECENCY_GROUPS: usize = 256;
/// Groups of recency in one step, of 10 KB each.
const RECENCY_BATCH: usize = 4;

/// Passes that a listing tries until the index has everything.
const CATCH_UP_PASSES: usize = 4;
/// An index that is not larger than one such part of the capacity is left to grow.
const SMALL_PART: u64 = 8;
/// An index is written anew when it takes this many times the bytes it took when it was new: its log is mostly of
/// objects that are gone. Never more than half of the capacity.
const GROWTH: u64 = 3;
/// Between two times that an index is written anew of which the first did not get as far as to hold everything: with small
/// objects of long names the next would not either, and do nothing but write.
const RENEWAL_PAUSE: Duration = Duration::from_secs(600);

/// The indexer, to be shared by its thread and by listings.
pub(super) struct SharedIndexer {
    indexer: Mutex<Indexer>,
    hurry: AtomicBool,
}

/// How fast to go on after a batch.
enum Pace {
    /// With pauses.
    Slow,
    /// Somebody waits.
    Fast,
    /// Not at all.
    Stop,
}

struct Indexer {
    state: Arc<State>,
    cursors: HashMap<u32, Cursor>,
    /// Bytes of the index after its first full pass; 0 before.
    bytes_when_new: u64,
    /// When it was last written anew for its size.
    renewed: Option<Instant>,
    /// It takes nothing more until it is written anew.
    is_full: bool,
    throttle: Throttle,
    counting: Counting,
}

/// Takes in everything that was stored before the call, and returns the index that has it.
pub(super) fn catch_up(indexer: &SharedIndexer) -> Arc<dyn Index> {
    indexer.hurry.store(true, Ordering::Relaxed);
    let mut locked = indexer.indexer.lock();
    indexer.hurry.store(false, Ordering::Relaxed);
    let mut index = locked.state.index();
    // An index that failed or was written anew on the way has not seen what went into the one before; the next pass fills
    // it. One that fails again and again has its listings incomplete rather than its callers waiting.
    for _ in 0..CATCH_UP_PASSES {
        let done = locked.pass(&|| Pace::Fast);
        let used = std::mem::replace(&mut index, locked.state.index());
        if done && Arc::ptr_eq(&used, &index) {
            break;
        }
    }
    index
}

impl SharedIndexer {
    pub(super) fn new(state: Arc<State>) -> Self {
        let indexer = Indexer {
            state,
            cursors: HashMap::new(),
            bytes_when_new: 0,
            renewed: None,
            is_full: false,
            throttle: Throttle::new(),
            counting: Counting::default(),
        };
        Self { indexer: Mutex::new(indexer), hurry: AtomicBool::new(false) }
    }

    /// One round in the background: what is new, at a pace that leaves the processor to requests, then a checkpoint. `wake` ends
    /// it early, however far behind the index is: who stops the server waits for its end.
    pub(super) fn work(&self, wake: &WakeUp) {
        let mut indexer = self.indexer.lock();
        indexer.pass(&|| match self.hurry.load(Ordering::Relaxed) {
            _ if wake.is_stopped() => Pace::Stop,
            true => Pace::Fast,
            false => Pace::Slow,
        });
        indexer.checkpoint();
    }

    /// Writes when objects were last used.
    pub(super) fn save_recency(&self) {
        self.indexer.lock().save_recency(RECENCY_GROUPS, &|| true);
    }

    /// As much as a shutdown has time for, and durable. The next start replays the rest; objects whose use there was no time
    /// to write down count as used when that was last done.
    pub(super) fn finish(&self) {
        let mut indexer = self.indexer.lock();
        let began = Instant::now();
        indexer.pass(&|| if began.elapsed() < FINISH_TIME { Pace::Fast } else { Pace::Stop });
        let began = Instant::now();
        indexer.save_recency(usize::MAX, &|| began.elapsed() < FINISH_TIME);
        indexer.checkpoint();
    }

    /// Has the index written anew from the segments; to be followed by [`catch_up`].
    pub(super) fn begin_anew(&self, error: &IndexError) {
        let mut indexer = self.indexer.lock();
        replace_index(&indexer.state, error);
        indexer.cursors.clear();
        indexer.bytes_when_new = 0;
    }

    /// Tries again to have the index on disk, where it could not be.
    pub(super) fn retry_disk(&self) {
        let mut indexer = self.indexer.lock();
        if super::loader::return_to_disk(&indexer.state) {
            indexer.cursors.clear();
        }
    }

    /// Runs `load` and takes over the progress that it finds. No pass runs meanwhile: what it told a new index would look
    /// to the loader like entries of segments that are gone.
    pub(super) fn load(&self, load: impl FnOnce() -> Vec<Progress>) -> Vec<Progress> {
        let mut indexer = self.indexer.lock();
        let progress = load();
        let cursor = |row: &Progress| (row.segment, Cursor { header_bytes: 0, block: row.block });
        indexer.cursors = progress.iter().map(cursor).collect();
        progress
    }
}

impl Indexer {
    /// True when the index has everything now.
    fn pass(&mut self, pace: &dyn Fn() -> Pace) -> bool {
        let index = self.state.index();
        let pulled = self
            .pull(&*index, pace)
            .and_then(|complete| Ok((complete, self.counting.count(&self.state, &*index)?)));
        drop(index);
        match pulled {
            Ok((_, bytes)) if bytes > self.most_bytes() => {
                let was_filled = self.bytes_when_new > 0;
                self.is_full = !was_filled && self.renewed.is_some_and(|at| at.elapsed() < RENEWAL_PAUSE);
                if !self.is_full {
                    renew_index(&self.state, bytes);
                    self.cursors.clear();
                    self.bytes_when_new = 0;
                    self.renewed = Some(Instant::now());
                }
                // An index that is new has none of these; one that takes nothing more is left as after a crash, and they
                // must not gather in memory until it is its turn again.
                self.state.dead.lock().clear();
                false
            }
            Ok((complete, bytes)) => {
                self.is_full = false;
                if complete && self.bytes_when_new == 0 {
                    self.bytes_when_new = bytes;
                }
                complete
            }
            Err(error) => {
                self.give_up(&error);
                false
            }
        }
    }

    /// Bytes at which the index is written anew. While it is filled for the first time, nothing in it is of objects that are
    /// gone, and it would not get smaller: then only the capacity's half counts.
    fn most_bytes(&self) -> u64 {
        let (capacity, new) = (self.state.options.capacity, self.bytes_when_new);
        let most = capacity / 2;
        if new == 0 { most } else { (capacity / SMALL_PART).max(GROWTH * new).min(most) }
    }

    /// False when there was no time or no room for all of it.
    fn pull(&mut self, index: &dyn Index, pace: &dyn Fn() -> Pace) -> Result<bool, IndexError> {
        if self.is_full {
            return Ok(false);
        }
        let dead = std::mem::take(&mut *self.state.dead.lock());
        let removals: Vec<Change> = dead.iter().copied().map(Change::Remove).collect();
        if !self.apply_paced(index, &removals, pace)? {
            self.state.dead.lock().extend(dead);
            return Ok(false);
        }
        // Numbers and not handles: who holds a segment keeps its blocks.
        let ids: Vec<u32> = self.state.store.segments().iter().map(|segment| segment.id()).collect();
        self.cursors.retain(|id, _| ids.binary_search(id).is_ok());
        // What was stored before the start is not all in the table yet: its records would pass for dead ones, for good.
        let (ready, first_own) = (self.state.is_ready(), self.state.first_own_segment);
        for id in ids.into_iter().filter(|id| ready || *id >= first_own) {
            let Some(segment) = self.state.store.segment(id) else { continue };
            // Nothing is said of files of a newer larder, so that it takes them in itself.
            if segment.is_newer() {
                continue;
            }
            let cursor = self.cursors.get(&id).copied().unwrap_or_default();
            if cursor.block == u32::MAX {
                continue;
            }
            // Asked before the headers are read: what is sealed by then has no more to come.
            let sealed = segment.is_sealed();
            let (records, mut next) = match cursor.records(&self.state.store, &segment) {
                Ok(found) => found,
                // A segment that was freed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            let live = |(header, block): &(RecordHeader, u32)| self.live_entry(id, header, *block);
            let puts: Vec<Change> = records.iter().filter_map(live).map(Change::Put).collect();
            // A large body that is written and not yet published: a later round takes it in.
            if segment.kind() == Kind::Solo && puts.is_empty() && segment.live_records() > 0 {
                continue;
            }
            drop(segment);
            if !self.apply_paced(index, &puts, pace)? {
                return Ok(false);
            }
            if sealed {
                next.block = u32::MAX;
            }
            self.cursors.insert(id, next);
        }
        Ok(true)
    }

    fn live_entry(&self, segment: u32, header: &RecordHeader, block: u32) -> Option<Entry> {
        let location = header.location(segment, block);
        let found =
            self.state.table.peek(self.state.table.hash(&header.name), |slot| slot.location == location);
        let (_, true) = found? else { return None };
        Some(Entry {
            sequence: header.sequence,
            name: header.name.clone(),
            location,
            created_ms: header.created_ms,
            body_checksum: header.body_checksum,
        })
    }

    /// Applies the changes batch by batch. False when there was no time or no room for all of them; they are pulled
    /// again then.
    fn apply_paced(
        &mut self,
        index: &dyn Index,
        changes: &[Change],
        pace: &dyn Fn() -> Pace,
    ) -> Result<bool, IndexError> {
        let mut rest = changes;
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_len(rest));
            rest = later;
            let began = Instant::now();
            if !self.step(index, || index.apply(batch))? {
                return Ok(false);
            }
            match pace() {
                Pace::Slow if self.state.dead.lock().len() <= MOST_WAITING => {
                    self.throttle.rest(began.elapsed());
                }
                Pace::Slow | Pace::Fast => {}
                Pace::Stop => return Ok(false),
            }
        }
        Ok(true)
    }

    /// One call of the engine, or a few. False when there is no room for what it adds, or the index has become too large.
    fn step(
        &mut self,
        index: &dyn Index,
        work: impl FnOnce() -> Result<(), IndexError>,
    ) -> Result<bool, IndexError> {
        // What a step adds was counted ahead; here it must really be there.
        if evict::make_room(&self.state, 0)?.is_none() {
            return Ok(false);
        }
        work()?;
        let counted = self.counting.after_step(&self.state, index)?;
        Ok(counted.is_none_or(|bytes| bytes <= self.most_bytes()))
    }

    fn save_recency(&mut self, at_most: usize, may_go_on: &dyn Fn() -> bool) {
        let index = self.state.index();
        let saved = self
            .write_recency(&*index, at_most, may_go_on)
            .and_then(|()| self.counting.count(&self.state, &*index));
        if let Err(error) = saved {
            self.give_up(&error);
        }
    }

    /// Up to `at_most` groups.
    fn write_recency(
        &mut self,
        index: &dyn Index,
        at_most: usize,
        may_go_on: &dyn Fn() -> bool,
    ) -> Result<(), IndexError> {
        let state = Arc::clone(&self.state);
        let (mut resume, mut groups) = (0, 0);
        let mut rest = true;
        while rest && groups < at_most && may_go_on() {
            let batch = || {
                for _ in 0..RECENCY_BATCH {
                    let Some((group, rows)) = state.table.next_changed_group(&mut resume) else {
                        rest = false;
                        break;
                    };
                    index.put_recency(group, &rows)?;
                }
                Ok(())
            };
            if !self.step(index, batch)? {
                break;
            }
            groups += RECENCY_BATCH;
        }
        Ok(())
    }

    fn checkpoint(&mut self) {
        let index = self.state.index();
        let row = |(segment, cursor): (&u32, &Cursor)| {
            let identity = self.state.store.segment(*segment)?.identity()?;
            Some(Progress { segment: *segment, block: cursor.block, identity })
        };
        let progress: Vec<Progress> = self.cursors.iter().filter_map(row).collect();
        let done = index.checkpoint(&progress).and_then(|()| self.counting.count(&self.state, &*index));
        match done {
            Ok(bytes) => self.state.metrics.index_bytes.set(gauge(bytes)),
            Err(error) => self.give_up(&error),
        }
    }

    fn give_up(&mut self, error: &IndexError) {
        self.state.metrics.store_errors.with_label_values(&["index"]).inc();
        replace_index(&self.state, error);
        self.cursors.clear();
        self.counting = Counting::default();
    }
}

/// How many of these changes make the next batch: few enough, and their names short enough, that what the engine writes for
/// them stays below the room that the budget leaves it.
fn batch_len(changes: &[Change]) -> usize {
    let mut bytes = 0;
    let fits = changes.iter().take(BATCH).take_while(|change| {
        bytes += match change {
            Change::Put(entry) => entry.name.key.as_str().len(),
            // Its name is looked up: as long as a name can be.
            Change::Remove(_) => MAX_KEY_BYTES,
        };
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}
