//! Appending records to the active segments.
//!
//! Owns the order of things in an append: write the bytes behind the tail, and only when all of them are in
//! move the tail. Knows nothing of when data is synced or of what the records mean.

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;

use super::allocation::Allocation;
use super::record::{Location, RecordHeader};
use super::segment::Segment;
use super::{BLOCK, blocks, footer};

/// Largest write call. The kernel takes pieces of memory as large as a call for it; large ones are quicker only while it has
/// them: with 1 MiB a write cost a quarter less on an idle machine, and half more on one whose memory is full of files.
const SLICE_BYTES: usize = 128 << 10;
/// A segment is sealed when its headers reach this many bytes, which bounds the memory an active one takes.
const MAX_ENTRIES_BYTES: usize = 4 << 20;

/// The segment that is being filled, with what its footer will say.
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    salt: u64,
    allocation: Allocation,
    tail_block: u32,
    entries: Vec<u8>,
}

impl Active {
    /// Starts to fill `segment`, which is new.
    pub(super) fn new(segment: Arc<Segment>, salt: u64, allocation: Allocation) -> Self {
        Self { segment, salt, allocation, tail_block: 1, entries: Vec::new() }
    }

    /// True when a record of `record_len` bytes still belongs into this segment.
    pub(super) fn has_room(&self, record_len: u64, segment_size: u64) -> bool {
        let tail = u64::from(self.tail_block) * BLOCK;
        self.entries.len() < MAX_ENTRIES_BYTES && (self.tail_block == 1 || tail + record_len <= segment_size)
    }

    /// Writes one record behind the tail. Its blocks are counted, and on success it is live.
    ///
    /// # Errors
    /// Those of the disk; nothing was appended then.
    pub(super) fn append(&mut self, header: &RecordHeader, body: &[Bytes]) -> io::Result<Location> {
        let location = header.location(self.segment.id(), self.tail_block);
        let entry_start = self.entries.len();
        header.encode(self.salt, self.tail_block, &mut self.entries);
        let written = self.segment.with_file(|file| {
            write_slices(file, self.allocation, location.offset(), &self.entries[entry_start..], body)
        });
        if let Err(error) = written {
            self.entries.truncate(entry_start);
            // Gives the blocks of the torn record back. Blocks that nothing was written to are behind the file's end, where
            // only a length that it has already lets go of them (ext4). Where that fails the next record overwrites them.
            let cut = |file: &File| file.set_len(location.offset());
            let _ = self.segment.with_file(|file| cut(file).and_then(|()| cut(file)));
            return Err(error);
        }
        let Ok(record_blocks) = u32::try_from(blocks(location.record_len())) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "record too long for a shared segment"));
        };
        self.tail_block += record_blocks;
        self.segment.add_allocated(location.disk_len());
        self.segment.add_live(&location);
        Ok(location)
    }

    /// The headers behind the first `from` bytes of them.
    pub(super) fn entries_from(&self, from: usize) -> &[u8] {
        self.entries.get(from..).unwrap_or_default()
    }

    /// Bytes the footer will take.
    pub(super) fn footer_bytes(&self) -> u64 {
        footer::footer_bytes(self.entries.len())
    }

    /// Writes the footer; the segment takes no more records. Without room for a footer it is sealed all the
    /// same, and a start scans it.
    pub(super) fn seal(&self) -> io::Result<()> {
        let tail = u64::from(self.tail_block) * BLOCK;
        let written = self.segment.with_file(|file| {
            footer::write(file, self.salt, tail, &self.entries).inspect_err(|_| {
                // A footer is a convenience; half of one must not take room on a full disk.
                let _ = file.set_len(tail);
            })
        });
        self.segment.set_sealed();
        self.segment.refresh_allocated()?;
        written
    }
}

/// Writes `first` and then `rest` at `offset`, in calls of at most [`SLICE_BYTES`], once their blocks are taken.
pub(super) fn write_slices(
    file: &File,
    allocation: Allocation,
    mut offset: u64,
    first: &[u8],
    rest: &[Bytes],
) -> io::Result<()> {
    allocation.take(file, offset, first.len() as u64 + total_len(rest))?;
    let mut call: Vec<&[u8]> = Vec::with_capacity(rest.len() + 1);
    let mut in_call = 0;
    for mut part in std::iter::once(first).chain(rest.iter().map(|chunk| &chunk[..])) {
        while !part.is_empty() {
            let (now, later) = part.split_at(part.len().min(SLICE_BYTES - in_call));
            call.push(now);
            in_call += now.len();
            part = later;
            if in_call == SLICE_BYTES {
                write_all(file, offset, &call)?;
                offset += in_call as u64;
                call.clear();
                in_call = 0;
            }
        }
    }
    if call.is_empty() { Ok(()) } else { write_all(file, offset, &call) }
}

/// Bytes in all of `chunks`.
pub(super) fn total_len(chunks: &[Bytes]) -> u64 {
    chunks.iter().map(|chunk| chunk.len() as u64).sum()
}

fn write_all(file: &File, mut offset: u64, parts: &[&[u8]]) -> io::Result<()> {
    // IOV_MAX is 1024: a body that arrived in tiny chunks takes more than one call.
    for parts in parts.chunks(1024) {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut slices = &mut slices[..];
        while !slices.is_empty() {
            let written = match rustix::io::pwritev(file, slices, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            offset += written as u64;
            IoSlice::advance_slices(&mut slices, written);
        }
    }
    Ok(())
}
