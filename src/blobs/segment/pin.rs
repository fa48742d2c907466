//! Reading a segment's file while its records stay where they are.
//!
//! Knows nothing of what is read.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::sync::{Arc, OnceLock};

use rustix::io::ReadWriteFlags;

use super::Segment;

/// Keeps the blocks of a record in place while it is read, whatever happens to the record meanwhile.
pub struct Pin {
    segment: Arc<Segment>,
    /// The file of a solo segment, once it was needed.
    solo: OnceLock<File>,
    _epoch: Arc<()>,
}

impl Pin {
    pub(super) fn new(segment: Arc<Segment>, epoch: Arc<()>) -> Self {
        Self { segment, solo: OnceLock::new(), _epoch: epoch }
    }

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
            // EOPNOTSUPP: a file system without RWF_NOWAIT; the caller's blocking read serves there.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::OPNOTSUPP) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
