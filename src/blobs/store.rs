//! The segment store: all segments of a data directory, where to append, what to sync.
//!
//! Owns the map of segments and the numbers they get. Locks, outermost first: a writer, the map, a list of the
//! reclaimer. None is held while another thread is waited for.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{MutexGuard, RwLock};

use super::allocation::Allocation;
use super::lane::Lane;
use super::reclaim::{self, Reclaimer};
use super::record::{Location, RecordHeader};
use super::segment::{Kind, Pin, Segment, parse_file_name};
use super::solo::SoloWriter;
use super::writer::Active;
use super::{footer, replay};
use crate::key::ObjectName;

/// How a store is laid out.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// A shared segment is sealed when the next record would take it past this many bytes.
    pub segment_size: u64,
    /// Segments filled side by side: appends to one file wait for each other, and each is made durable by itself.
    pub lanes: usize,
    /// True: the lanes take records in turn, so that while the disk is busy with one the others go on. Otherwise the first that nobody
    /// writes to takes them, which costs less.
    pub in_turn: bool,
    /// False: never punch holes, as on a file system that cannot.
    pub punch_holes: bool,
}

/// A handle to the store; clones share one store.
#[derive(Clone)]
pub struct SegmentStore {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    options: StoreOptions,
    allocation: Allocation,
    segments: RwLock<HashMap<u32, Arc<Segment>>>,
    next_id: AtomicU32,
    lanes: Vec<Lane>,
    next_lane: AtomicU32,
    allocated: Arc<AtomicU64>,
    footer_debt: AtomicU64,
    reclaimer: Reclaimer,
    loaded: AtomicBool,
    salts: std::hash::RandomState,
}

impl SegmentStore {
    /// Opens the store in `dir`, which is made where it is missing. Reads every file's head, no records.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(dir: &Path, options: StoreOptions) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let punches = options.punch_holes && reclaim::probe_punching(dir)?;
        let allocated = Arc::new(AtomicU64::new(0));
        let mut segments = HashMap::new();
        let mut last_id = 0;
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let Some((id, kind)) = name.to_str().and_then(parse_file_name) else { continue };
            last_id = last_id.max(id);
            segments.insert(id, Arc::new(Segment::open(dir, id, kind, Arc::clone(&allocated))?));
        }
        let lanes: Vec<Lane> = (0..options.lanes.max(1)).map(|_| Lane::default()).collect();
        let shared = Shared {
            dir: dir.to_owned(),
            options,
            allocation: Allocation::of(dir)?,
            segments: RwLock::new(segments),
            next_id: AtomicU32::new(last_id + 1),
            reclaimer: Reclaimer::new(punches, lanes.len()),
            lanes,
            next_lane: AtomicU32::new(0),
            allocated,
            footer_debt: AtomicU64::new(0),
            loaded: AtomicBool::new(false),
            salts: std::hash::RandomState::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Where the segment files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The number the next segment gets. Higher than that of any segment that is there.
    #[must_use]
    pub fn next_segment_id(&self) -> u32 {
        self.shared.next_id.load(Ordering::Relaxed)
    }

    /// Bytes of disk blocks of all segment files, the footers still to be written included.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.shared.allocated.load(Ordering::Acquire) + self.shared.footer_debt.load(Ordering::Acquire)
    }

    /// Bytes of blocks that are dead and not yet free.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.shared.reclaimer.pending_bytes()
    }

    /// True when freeing part of a segment gives its blocks back.
    #[must_use]
    pub fn punches_holes(&self) -> bool {
        self.shared.reclaimer.punches()
    }

    /// A segment by its number.
    #[must_use]
    pub fn segment(&self, id: u32) -> Option<Arc<Segment>> {
        self.shared.segments.read().get(&id).map(Arc::clone)
    }

    /// All segments, lowest number first.
    #[must_use]
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        let mut all: Vec<_> = self.shared.segments.read().values().map(Arc::clone).collect();
        all.sort_unstable_by_key(|segment| segment.id());
        all
    }

    /// Pins the segment of a record: see [`Segment::pin`] for the lock to hold.
    #[must_use]
    pub fn pin(&self, location: &Location) -> Option<Pin> {
        self.shared.segments.read().get(&location.segment).map(Segment::pin)
    }

    /// Appends a record to one of the active segments, counts it as live, and runs `publish` with where it lies before
    /// [`SegmentStore::headers_from`] shows it to anybody. Returns what `publish` does.
    ///
    /// # Errors
    /// Those of the disk; nothing was appended then.
    pub fn append<T>(
        &self,
        header: &RecordHeader,
        body: &[Bytes],
        publish: impl FnOnce(Location) -> T,
    ) -> io::Result<T> {
        let (lane, mut writer) = self.free_writer();
        if let Some(active) =
            writer.take_if(|active| !active.has_room(header.record_len(), self.shared.options.segment_size))
        {
            self.seal(&active);
        }
        let active = match &mut *writer {
            Some(active) => active,
            none => none.insert(self.create_active(lane)?),
        };
        let before = active.footer_bytes();
        let location = active.append(header, body)?;
        self.shared.footer_debt.fetch_add(active.footer_bytes() - before, Ordering::AcqRel);
        Ok(publish(location))
    }

    /// Starts a record in a file of its own.
    ///
    /// # Errors
    /// Those of creating the file.
    pub fn create_solo(&self, name: ObjectName) -> io::Result<SoloWriter> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        SoloWriter::create(self.clone(), id, name)
    }

    /// When the blocks of a write are taken.
    pub(super) fn allocation(&self) -> Allocation {
        self.shared.allocation
    }

    /// Takes a finished solo file into the map.
    pub(super) fn adopt_solo(&self, location: &Location) -> io::Result<()> {
        let lane = self.next_lane();
        let (dir, allocated) = (&self.shared.dir, Arc::clone(&self.shared.allocated));
        let segment = Segment::open(dir, location.segment, Kind::Solo, allocated)?.in_lane(lane);
        segment.add_live(location);
        let segment = Arc::new(segment);
        self.shared.lanes[lane].note_written(&segment);
        self.shared.lanes[lane].note_dir_changed();
        self.shared.segments.write().insert(location.segment, segment);
        Ok(())
    }

    /// Frees a record's blocks as soon as nobody reads them. `identity` tells which object it was a version of: see
    /// [`SegmentStore::kill_replaced`].
    pub fn release(&self, location: Location, identity: u128) {
        if let Some(segment) = self.segment(location.segment) {
            segment.remove_live(&location);
            self.shared.reclaimer.soon(segment, location, identity);
        }
    }

    /// As [`SegmentStore::release`], once the record at `by`, which replaced it, is durable.
    pub fn release_replaced(&self, location: Location, identity: u128, by: &Location) {
        if let Some(segment) = self.segment(location.segment) {
            segment.remove_live(&location);
            self.shared.reclaimer.later(segment, location, identity, self.lane_of(by));
        }
    }

    /// Makes a record unreadable at once, so that no start brings it back.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn kill(&self, location: &Location) -> io::Result<()> {
        let Some(segment) = self.segment(location.segment) else { return Ok(()) };
        reclaim::kill(&segment, location)?;
        self.note_marked(&segment);
        Ok(())
    }

    /// Makes the versions of a deleted object that were released and not yet freed unreadable, too.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn kill_replaced(&self, identity: u128) -> io::Result<()> {
        self.shared.reclaimer.kill_older(identity)?.iter().for_each(|segment| self.note_marked(segment));
        Ok(())
    }

    /// True when this record was released and can still be read from the disk.
    #[must_use]
    pub fn is_released(&self, location: &Location, identity: u128) -> bool {
        self.shared.reclaimer.is_unfreed(location, identity)
    }

    /// Frees a segment whose records all died, however that came to be; nothing happens while one is live.
    pub fn release_hollow(&self, segment: &Arc<Segment>) {
        if segment.is_hollow() {
            self.shared.reclaimer.whole(Arc::clone(segment));
        }
    }

    /// Says that every live record is counted. Before that nothing is freed: a segment without a counted live
    /// record may be one whose records were not loaded yet.
    pub fn set_loaded(&self) {
        self.shared.loaded.store(true, Ordering::Release);
    }

    /// Frees the blocks of dead records that nobody reads any more.
    ///
    /// # Errors
    /// Those of the disk; what was not freed is tried again by the next call.
    pub fn reclaim(&self) -> io::Result<()> {
        if !self.shared.loaded.load(Ordering::Acquire) {
            return Ok(());
        }
        let done = self.shared.reclaimer.reclaim();
        // Dropped when nobody is kept from the map: closing an unlinked file frees its blocks, which can take a second.
        let forget = |id: &u32| self.shared.segments.write().remove(id);
        let unlinked: Vec<_> = done.unlinked.iter().filter_map(forget).collect();
        if !unlinked.is_empty() {
            self.shared.lanes[0].note_dir_changed();
        }
        done.failure.map_or(Ok(()), Err)
    }

    /// How many lanes there are: what is appended to one is made durable by itself, while the others take records.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.shared.lanes.len()
    }

    /// The lane that makes a record durable.
    #[must_use]
    pub fn lane_of(&self, location: &Location) -> usize {
        // A segment that is gone had nothing live, and so nothing to be made durable.
        self.shared.segments.read().get(&location.segment).map_or(0, |segment| segment.lane())
    }

    /// Makes everything durable that was appended to a lane before the call.
    ///
    /// # Errors
    /// Those of the disk. What was not synced is tried again by the next call.
    pub fn sync_lane(&self, lane: usize) -> io::Result<()> {
        let batch = self.shared.reclaimer.begin_sync(lane);
        let synced = self.shared.lanes[lane].sync(&self.shared.dir);
        self.shared.reclaimer.end_sync(&batch, synced.is_ok());
        synced
    }

    /// The headers of `segment`'s records behind the first `from` bytes of headers, as the footer has them or will
    /// have them, with the salt they are written for. `None` when they are neither in memory nor in a footer.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn headers_from(&self, segment: &Segment, from: usize) -> io::Result<Option<(u64, Vec<u8>)>> {
        for lane in &self.shared.lanes {
            if let Some(active) = lane.lock().as_ref().filter(|active| active.segment.id() == segment.id()) {
                return Ok(active.segment.salt().map(|salt| (salt, active.entries_from(from).to_vec())));
            }
        }
        let footer = segment.with_file(footer::read)?;
        Ok(footer.map(|(salt, entries)| (salt, entries.get(from..).unwrap_or_default().to_vec())))
    }

    /// Ends the active segments, so that the next start reads footers only.
    pub fn seal_all(&self) {
        for lane in &self.shared.lanes {
            if let Some(active) = lane.lock().take() {
                self.seal(&active);
            }
        }
    }

    /// Writes the footer of a segment that an earlier process left without one, from what [`replay::replay`] found.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn seal_replayed(&self, segment: &Segment, found: &replay::Replay) -> io::Result<()> {
        let Some(salt) = segment.salt().filter(|_| segment.kind() == Kind::Shared) else { return Ok(()) };
        let mut entries = Vec::new();
        for (header, block) in &found.records {
            header.encode(salt, *block, &mut entries);
        }
        let tail = u64::from(found.tail_block) * super::BLOCK;
        segment.with_file(|file| footer::write(file, salt, tail, &entries))?;
        segment.refresh_allocated()
    }

    /// Removes a segment in which nothing is left to find.
    pub fn discard(&self, segment: &Segment) {
        self.shared.segments.write().remove(&segment.id());
        // Where this fails the next start finds it empty again.
        let _ = std::fs::remove_file(segment.path());
    }

    fn seal(&self, active: &Active) {
        if let Err(error) = active.seal() {
            tracing::warn!(segment = active.segment.id(), %error, "segment sealed without its footer");
        }
        self.shared.footer_debt.fetch_sub(active.footer_bytes(), Ordering::AcqRel);
        self.shared.lanes[active.segment.lane()].note_written(&active.segment);
        // All that was in it may have died before.
        self.release_hollow(&active.segment);
    }

    /// Notes that a mark was written to a segment. The active ones are synced anyway.
    fn note_marked(&self, segment: &Arc<Segment>) {
        if segment.is_sealed() {
            self.shared.lanes[segment.lane()].note_written(segment);
        }
    }

    /// The lane whose turn it is: each takes its part, or one would have all that waits for the disk.
    fn next_lane(&self) -> usize {
        self.shared.next_lane.fetch_add(1, Ordering::Relaxed) as usize % self.lanes()
    }

    /// The first writer that nobody holds, else that of the lane whose turn it is.
    fn free_writer(&self) -> (usize, MutexGuard<'_, Option<Active>>) {
        let (turn, lanes) = (self.next_lane(), &self.shared.lanes);
        let first = if self.shared.options.in_turn { turn } else { 0 };
        (first..lanes.len())
            .chain(0..first)
            .find_map(|lane| Some((lane, lanes[lane].try_lock()?)))
            .unwrap_or_else(|| (turn, lanes[turn].lock()))
    }

    fn create_active(&self, lane: usize) -> io::Result<Active> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        // The standard library seeds its hasher from the system's randomness; that is all a salt needs.
        let salt = std::hash::BuildHasher::hash_one(&self.shared.salts, id);
        let segment = Segment::create(&self.shared.dir, id, salt, Arc::clone(&self.shared.allocated))?;
        let segment = Arc::new(segment.in_lane(lane));
        self.shared.segments.write().insert(id, Arc::clone(&segment));
        self.shared.lanes[lane].note_dir_changed();
        let active = Active::new(segment, salt, self.shared.allocation);
        self.shared.footer_debt.fetch_add(active.footer_bytes(), Ordering::AcqRel);
        Ok(active)
    }
}
