//! A look at a data directory that leaves every byte of it as it is.
//!
//! The lock is held, the segments are read, and nobody works behind them. sled writes where it is opened: the index is left
//! alone, and the bucket's catalogue is opened as a copy.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::blobs::{RecordHeader, Segment, SegmentStore, StoreOptions, record, replay};
use crate::bucket::Bucket;
use crate::cache::CacheOptions;
use crate::cache::directory::DataDirectory;
use crate::cache::error::OpenError;
use crate::cache::loader::left_alone;
use crate::cache::state::State;
use crate::cache::tier::Tier;
use crate::index::table::Slot;
use crate::index::{Change, Entry, MemoryIndex};
use crate::metrics::Metrics;

/// What is there.
pub(super) struct Unchanged {
    pub(super) state: Arc<State>,
    /// Records that were not taken in, because they are damaged.
    pub(super) damaged: u64,
    /// Behind the state, which has files open in it.
    pub(super) _scratch: Option<Scratch>,
}

/// Finds all records. Blocks.
///
/// # Errors
/// [`OpenError`].
pub(super) fn open(options: CacheOptions, metrics: Metrics) -> Result<Unchanged, OpenError> {
    let path = options.data_dir.display().to_string();
    let io_error = |error| OpenError::Io { path: path.clone(), error };
    let directory = DataDirectory::open_unchanged(&options.data_dir)?;
    let segments = directory.segments();
    // Making sure that holes can be punched would make a file.
    let store_options =
        StoreOptions { segment_size: options.segment_size(), lanes: 1, in_turn: false, punch_holes: false };
    if !segments.is_dir() {
        return Err(io_error(io::Error::new(io::ErrorKind::NotFound, "it has no directory \"segments\"")));
    }
    let store = SegmentStore::open(&segments, store_options).map_err(io_error)?;
    let (mut tier, mut scratch) = (None, None);
    if let Some(bucket) = Bucket::open(&options.bucket)? {
        let copy = Scratch::with_copy_of(&options.data_dir.join("bucket"), "bucket").map_err(io_error)?;
        let elsewhere = CacheOptions { data_dir: copy.0.clone(), ..options.clone() };
        tier = Some(Arc::new(Tier::new(bucket, &elsewhere, metrics.clone())));
        scratch = Some(copy);
    }
    let index = Arc::new(MemoryIndex::default());
    let state = Arc::new(State::new(options, directory, store, index, tier, metrics));
    let damaged = load(&state).map_err(io_error)?;
    Ok(Unchanged { state, damaged, _scratch: scratch })
}

fn load(state: &State) -> io::Result<u64> {
    let mut damaged = 0;
    for segment in state.store.segments().iter().filter(|segment| !left_alone(segment)) {
        let found = match replay::replay(segment, 0) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(path = %segment.path().display(), %error, "segment could not be read");
                damaged += 1;
                continue;
            }
        };
        if found.newer {
            segment.set_newer();
        }
        damaged += found.damaged;
        for (header, block) in found.records {
            if !is_dead(segment, &header, block)? {
                take_in(state, segment, header, block)?;
            }
        }
    }
    state.table.finish_loading();
    state.ready.store(true, Ordering::Release);
    Ok(damaged)
}

/// True for what a footer lists and nobody has any more.
fn is_dead(segment: &Segment, header: &RecordHeader, block: u32) -> io::Result<bool> {
    let location = header.location(segment.id(), block);
    let mut bytes = vec![0; usize::from(location.header_len)];
    segment.with_file(|file| match file.read_exact_at(&mut bytes, location.offset()) {
        Ok(()) => Ok(record::is_dead(&bytes) || replay::is_hole(file, location.offset())?),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    })
}

fn take_in(state: &State, segment: &Segment, header: RecordHeader, block: u32) -> io::Result<()> {
    let location = header.location(segment.id(), block);
    let RecordHeader { name, sequence, created_ms, body_checksum, .. } = header;
    let waiting = state.tier.as_ref().is_some_and(|tier| tier.was_unsaved(&name, sequence));
    // What is not the newest stays out; nothing is freed for it.
    let _ = state.table.insert_loaded(Slot {
        hash: state.table.hash(&name),
        sequence,
        location,
        space: state.spaces.of_object(&name),
        created_ms,
        used_us: created_ms.saturating_mul(1000),
        hits: 0,
        verified: false,
        unsaved: waiting,
    });
    let entry = Entry { sequence, name, location, created_ms, body_checksum };
    state.index().apply(&[Change::Put(entry)]).map_err(io::Error::other)
}

/// A directory for a moment.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// One with a copy of the directory `from`, where there is one, by the name `to`.
    fn with_copy_of(from: &Path, to: &str) -> io::Result<Self> {
        let scratch = Self::new()?;
        let to = scratch.0.join(to);
        if from.is_dir() {
            copy(from, &to)?;
        }
        Ok(scratch)
    }

    fn new() -> io::Result<Self> {
        let mut number = crate::index::table::now_us();
        loop {
            let path = std::env::temp_dir().join(format!("larder-verify-{}-{number:x}", std::process::id()));
            // Nobody else's: what is there already is left alone.
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => return made.map(|()| Self(path)),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
