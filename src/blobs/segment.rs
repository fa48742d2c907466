//! One segment file: its identity, its reads, and who still reads it.
//!
//! Owns the file handle, the count of live bytes and the epochs that keep a record's blocks in place while
//! somebody reads them. Knows nothing of how records get into it.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rustix::io::ReadWriteFlags;
use twox_hash::XxHash3_64;
use zerocopy::IntoBytes as _;

use super::head::{self, Head};
use super::record::Location;

/// What a segment file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Many records behind a header block: `NNNNNNNN.seg`.
    Shared,
    /// One large record from the first byte on: `NNNNNNNN.obj`.
    Solo,
}

impl Kind {
    const fn extension(self) -> &'static str {
        match self {
            Self::Shared => "seg",
            Self::Solo => "obj",
        }
    }
}

/// A segment file. Dropping the last handle of an unlinked one gives its blocks back to the count.
pub struct Segment {
    id: u32,
    kind: Kind,
    path: PathBuf,
    salt: Option<u64>,
    identity: Option<u64>,
    /// Kept open for shared segments only: large bodies would need one descriptor each.
    file: Option<File>,
    epoch: Mutex<Arc<()>>,
    live_bytes: AtomicU64,
    live_records: AtomicU32,
    /// Of the store's lanes the one that makes durable what is written to it.
    lane: usize,
    /// Dead records that must stay until what replaced them is durable.
    held_records: AtomicU32,
    sealed: AtomicBool,
    /// Written, at least in part, by a newer larder: never changed, never removed.
    newer: AtomicBool,
    /// Locked from asking the file system until its answer is set, so that no append in between is forgotten.
    allocated: Mutex<u64>,
    store_allocated: Arc<AtomicU64>,
}

/// Keeps the blocks of a record in place while it is read, whatever happens to the record meanwhile.
pub struct Pin {
    segment: Arc<Segment>,
    /// The file of a solo segment, once it was needed.
    solo: OnceLock<File>,
    _epoch: Arc<()>,
}

impl Segment {
    /// Creates the file of a new shared segment.
    ///
    /// # Errors
    /// Those of creating and writing the file.
    pub fn create(dir: &Path, id: u32, salt: u64, store_allocated: Arc<AtomicU64>) -> io::Result<Self> {
        let path = file_path(dir, id, Kind::Shared);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        if let Err(error) = file.write_all_at(&head::encode(id, salt), 0) {
            // The caller sees the first failure; an empty file left behind is swept at the next start.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        let segment = Self::assemble(id, Kind::Shared, path, Some(salt), Some(file), store_allocated);
        segment.refresh_allocated()?;
        Ok(segment)
    }

    /// Opens the file of an existing segment. A damaged header leaves the segment without a salt; its records
    /// are still found by themselves.
    ///
    /// # Errors
    /// Those of opening and reading the file.
    pub fn open(dir: &Path, id: u32, kind: Kind, store_allocated: Arc<AtomicU64>) -> io::Result<Self> {
        let path = file_path(dir, id, kind);
        let (head, file) = match kind {
            Kind::Solo => (Head::Salt(solo_salt(id)), None),
            Kind::Shared => {
                let file = OpenOptions::new().read(true).write(true).open(&path)?;
                (head::read(&file, id)?, Some(file))
            }
        };
        let salt = if let Head::Salt(salt) = head { Some(salt) } else { None };
        let mut segment = Self::assemble(id, kind, path, salt, file, store_allocated);
        if kind == Kind::Solo {
            // Nothing writes to the file while its record lives.
            let metadata = std::fs::metadata(&segment.path)?;
            let facts = [metadata.mtime(), metadata.mtime_nsec(), i64::from(id)];
            segment.identity = Some(XxHash3_64::oneshot_with_seed(metadata.len(), facts.as_bytes()));
        }
        segment.sealed.store(true, Ordering::Release);
        segment.newer.store(matches!(head, Head::Newer), Ordering::Release);
        segment.refresh_allocated()?;
        Ok(segment)
    }

    fn assemble(
        id: u32,
        kind: Kind,
        path: PathBuf,
        salt: Option<u64>,
        file: Option<File>,
        store_allocated: Arc<AtomicU64>,
    ) -> Self {
        Self {
            id,
            kind,
            path,
            salt,
            identity: salt,
            file,
            epoch: Mutex::new(Arc::new(())),
            live_bytes: AtomicU64::new(0),
            live_records: AtomicU32::new(0),
            lane: 0,
            held_records: AtomicU32::new(0),
            sealed: AtomicBool::new(false),
            newer: AtomicBool::new(false),
            allocated: Mutex::new(0),
            store_allocated,
        }
    }

    /// The same segment, made durable by this lane.
    pub(super) fn in_lane(mut self, lane: usize) -> Self {
        self.lane = lane;
        self
    }

    /// Which lane makes durable what is written to it.
    pub(super) fn lane(&self) -> usize {
        self.lane
    }

    /// The segment's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its salt, where its header could be read.
    #[must_use]
    pub fn salt(&self) -> Option<u64> {
        self.salt
    }

    /// Tells this segment from any other that ever had its number; `None` where its header could not be read.
    #[must_use]
    pub fn identity(&self) -> Option<u64> {
        self.identity
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True once nothing is appended any more.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Says that nothing will be appended any more.
    pub fn set_sealed(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    /// True when a newer larder wrote to it: to be counted, and otherwise left alone.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        self.newer.load(Ordering::Acquire)
    }

    /// Says that a newer larder wrote to it.
    pub fn set_newer(&self) {
        self.newer.store(true, Ordering::Release);
    }

    /// Bytes of disk blocks of the records that the index points at.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Acquire)
    }

    /// Number of records that the index points at.
    #[must_use]
    pub fn live_records(&self) -> u32 {
        self.live_records.load(Ordering::Acquire)
    }

    /// Bytes of disk blocks the file takes, as last counted.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        *self.allocated.lock()
    }

    /// Counts a record as live.
    pub fn add_live(&self, location: &Location) {
        self.live_bytes.fetch_add(location.disk_len(), Ordering::AcqRel);
        self.live_records.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a record as dead.
    pub fn remove_live(&self, location: &Location) {
        self.live_bytes.fetch_sub(location.disk_len(), Ordering::AcqRel);
        self.live_records.fetch_sub(1, Ordering::AcqRel);
    }

    /// Keeps the file, for a dead record that must stay until what replaced it is durable.
    pub(super) fn hold_file(&self) {
        self.held_records.fetch_add(1, Ordering::AcqRel);
    }

    /// Undoes one [`Segment::hold_file`].
    pub(super) fn let_go_of_file(&self) {
        self.held_records.fetch_sub(1, Ordering::AcqRel);
    }

    /// True when nothing in the file is needed any more, or will be.
    #[must_use]
    pub fn is_hollow(&self) -> bool {
        let needed = self.live_records() > 0 || self.held_records.load(Ordering::Acquire) > 0;
        self.is_sealed() && !self.is_newer() && !needed
    }

    /// Adds blocks that a write just took, before the file system is asked.
    pub(super) fn add_allocated(&self, bytes: u64) {
        *self.allocated.lock() += bytes;
        self.store_allocated.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Sets the count to what the file system says.
    pub(super) fn refresh_allocated(&self) -> io::Result<()> {
        let mut allocated = self.allocated.lock();
        let metadata = match &self.file {
            Some(file) => file.metadata()?,
            None => std::fs::metadata(&self.path)?,
        };
        // st_blocks counts 512-byte units whatever the block size (stat(2)).
        self.set_allocated(&mut allocated, metadata.blocks() * 512);
        Ok(())
    }

    fn set_allocated(&self, allocated: &mut u64, bytes: u64) {
        let before = std::mem::replace(allocated, bytes);
        if bytes >= before {
            self.store_allocated.fetch_add(bytes - before, Ordering::AcqRel);
        } else {
            self.store_allocated.fetch_sub(before - bytes, Ordering::AcqRel);
        }
    }

    /// Pins the segment's blocks as they are now. Call it under the lock that removes index entries: what
    /// the index pointed at under that lock stays readable for as long as the pin lives.
    #[must_use]
    pub fn pin(self: &Arc<Self>) -> Pin {
        Pin { segment: Arc::clone(self), solo: OnceLock::new(), _epoch: Arc::clone(&self.epoch.lock()) }
    }

    /// Starts a new epoch and returns the one before; once its count is 1, no reader from before is left.
    pub(super) fn turn_epoch(&self) -> Arc<()> {
        std::mem::take(&mut *self.epoch.lock())
    }

    /// Runs `use_file` with the file, opened for this call where it is not kept open.
    ///
    /// # Errors
    /// Those of opening the file and of `use_file`.
    pub fn with_file<R>(&self, use_file: impl FnOnce(&File) -> io::Result<R>) -> io::Result<R> {
        match &self.file {
            Some(file) => use_file(file),
            None => use_file(&OpenOptions::new().read(true).write(true).open(&self.path)?),
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.set_allocated(&mut self.allocated.lock(), 0);
    }
}

impl Pin {
    /// The segment that is pinned.
    #[must_use]
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The segment's file, opened once for this pin where the segment does not keep it open.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.segment.file.as_ref().or_else(|| self.solo.get()) {
            return Ok(file);
        }
        let file = File::open(&self.segment.path)?;
        Ok(self.solo.get_or_init(|| file))
    }

    /// Reads into `buffer` from `offset` what the page cache has, without waiting for the disk; possibly
    /// less than asked, possibly nothing.
    ///
    /// # Errors
    /// Those of the file other than "would block", which counts as nothing read.
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.file()?;
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            // EOPNOTSUPP: a file system without RWF_NOWAIT; ENOSYS: an emulator or a sandbox without the call. The caller's
            // blocking read serves there.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// The file of segment `id`.
#[must_use]
pub fn file_path(dir: &Path, id: u32, kind: Kind) -> PathBuf {
    dir.join(format!("{id:08x}.{}", kind.extension()))
}

/// What [`file_path`] made `name` from. `None` for a file that is no segment.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<(u32, Kind)> {
    let (stem, extension) = name.split_once('.')?;
    let kind = [Kind::Shared, Kind::Solo].into_iter().find(|kind| kind.extension() == extension)?;
    let id = (stem.len() == 8).then(|| u32::from_str_radix(stem, 16).ok()).flatten()?;
    Some((id, kind))
}

/// A solo file is read at its first byte only, so that its salt guards against nothing but a swapped file.
#[must_use]
pub fn solo_salt(id: u32) -> u64 {
    u64::from(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_read_back() {
        for kind in [Kind::Shared, Kind::Solo] {
            let path = file_path(Path::new("d"), 0xab, kind);
            assert_eq!(parse_file_name(path.file_name().unwrap().to_str().unwrap()), Some((0xab, kind)));
        }
        for other in ["lock", "ab.seg", "0000000g.seg", "000000ab.tmp", "000000ab"] {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }
}
