//! Large bodies, and bodies of unknown length, each in a file of its own.
//!
//! Owns the unfinished file: the header is written last, so a file without one is an upload that never ended,
//! and dropping the writer removes it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use twox_hash::XxHash3_128;

use super::record::{Location, RecordHeader, header_len};
use super::segment::{Kind, file_path, solo_salt};
use super::store::SegmentStore;
use super::writer::{total_len, write_slices};
use crate::key::ObjectName;

/// Writes one large body. Dropped before [`SoloWriter::finish`], it leaves nothing.
pub struct SoloWriter {
    store: SegmentStore,
    id: u32,
    name: ObjectName,
    path: PathBuf,
    view: SoloView,
    hasher: XxHash3_128,
    finished: bool,
}

/// What of an unfinished body is in its file, for those who read it while it is written.
#[derive(Clone)]
pub struct SoloView {
    file: Arc<File>,
    body_offset: u64,
    written: Arc<AtomicU64>,
}

impl SoloView {
    /// Bytes of the body that can be read.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Reads all of `buffer` from the byte `at` of the body on.
    ///
    /// # Errors
    /// Those of the disk; `UnexpectedEof` behind what is written.
    pub fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, self.body_offset + at)
    }
}

impl SoloWriter {
    pub(super) fn create(store: SegmentStore, id: u32, name: ObjectName) -> io::Result<Self> {
        let path = file_path(store.dir(), id, Kind::Solo);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let view = SoloView {
            file: Arc::new(file),
            body_offset: u64::from(header_len(&name)),
            written: Arc::default(),
        };
        Ok(Self { store, id, name, path, view, hasher: XxHash3_128::new(), finished: false })
    }

    /// Bytes of the body so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.view.written()
    }

    /// For who reads the body while it is written.
    #[must_use]
    pub fn view(&self) -> SoloView {
        self.view.clone()
    }

    /// Whose body this is.
    #[must_use]
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Appends to the body.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        let offset = self.view.body_offset + self.written();
        write_slices(&self.view.file, self.store.allocation(), offset, &[], chunks)?;
        // After the write: one that failed is tried again with the same chunks.
        chunks.iter().for_each(|chunk| self.hasher.write(chunk));
        self.view.written.fetch_add(total_len(chunks), Ordering::AcqRel);
        Ok(())
    }

    /// Writes the header, which makes the file a record, and counts it as live.
    ///
    /// # Errors
    /// Those of the disk; the file is removed then.
    pub fn finish(
        mut self,
        sequence: u64,
        created_ms: u64,
        cost_ms: u32,
    ) -> io::Result<(RecordHeader, Location)> {
        let header = RecordHeader {
            sequence,
            name: self.name.clone(),
            body_len: self.written(),
            created_ms,
            cost_ms,
            body_checksum: self.hasher.finish_128(),
        };
        let mut bytes = Vec::new();
        header.encode(solo_salt(self.id), 0, &mut bytes);
        self.view.file.write_all_at(&bytes, 0)?;
        let location = header.location(self.id, 0);
        self.store.adopt_solo(&location)?;
        self.finished = true;
        Ok((header, location))
    }
}

impl Drop for SoloWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Where this fails the next start removes the file: it has no header.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
