//! A lane: one active segment, and the files that were written by way of it and are not durable yet.
//!
//! Owns what a sync has to do so that everything appended to the lane before is durable. Each lane is synced by itself: while the
//! disk is busy with one the others take records. Knows nothing of when that is, or of who waits for it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use super::segment::Segment;
use super::writer::Active;

/// A lane of a store.
#[derive(Default)]
pub(super) struct Lane {
    writer: Mutex<Option<Active>>,
    /// Weak: whoever holds a segment keeps its blocks, and one that is gone by then needs no sync.
    unsynced: Mutex<Vec<Weak<Segment>>>,
    /// Files came into the directory, or went.
    dir_changed: AtomicBool,
}

impl Lane {
    /// The active segment, once nobody else has it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Active>> {
        self.writer.lock()
    }

    /// The same where nobody has it.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Option<Active>>> {
        self.writer.try_lock()
    }

    /// Notes that `segment`, which is not the active one, was written to.
    pub(super) fn note_written(&self, segment: &Arc<Segment>) {
        self.unsynced.lock().push(Arc::downgrade(segment));
    }

    /// Notes that a file came into the directory, or went.
    pub(super) fn note_dir_changed(&self) {
        self.dir_changed.store(true, Ordering::Release);
    }

    /// Makes everything durable that was noted or appended before the call. `dir` is where the files are.
    ///
    /// # Errors
    /// Those of the disk. What was not synced is tried again by the next call.
    pub(super) fn sync(&self, dir: &Path) -> io::Result<()> {
        // The writer first: a segment that is sealed right now is in one of the two, never in neither.
        let active = self.writer.lock().as_ref().map(|active| Arc::downgrade(&active.segment));
        let mut files = Vec::from_iter(active);
        files.append(&mut self.unsynced.lock());
        let mut synced = Ok(());
        for file in files {
            let Some(segment) = file.upgrade() else { continue };
            match segment.with_file(File::sync_data).and_then(|()| segment.refresh_allocated()) {
                Ok(()) => {}
                // A solo file that was freed meanwhile needs no sync.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.unsynced.lock().push(file);
                    synced = Err(error);
                }
            }
        }
        if self.dir_changed.swap(false, Ordering::AcqRel) {
            let dir_synced = File::open(dir).and_then(|dir| dir.sync_all());
            if dir_synced.is_err() {
                self.note_dir_changed();
            }
            synced = synced.and(dir_synced);
        }
        synced
    }
}
