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
        let start = u64::from(self.allocation.first_block(self.tail_block, record_len)) * BLOCK;
        self.entries.len() < MAX_ENTRIES_BYTES && (self.tail_block == 1 || start + record_len <= segment_size)
    }

    /// Writes one record behind the tail. Its blocks are counted, and on success it is live.
    ///
    /// # Errors
    /// Those of the disk; nothing was appended then.
    pub(super) fn append(&mut self, header: &RecordHeader, body: &[Bytes]) -> io::Result<Location> {
        let first_block = self.allocation.first_block(self.tail_block, header.record_len());
        let location = header.location(self.segment.id(), first_block);
        let entry_start = self.entries.len();
        header.encode(self.salt, first_block, &mut self.entries);
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
        self.tail_block = first_block + record_blocks;
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

/// Writes `first` and then `rest` at `offset`, in calls of at most [`SLICE_BYTES`], once their blocks are taken. Where it takes
/// several calls they end at multiples of that in the file, as the kernel's pieces of memory do.
pub(super) fn write_slices(
    file: &File,
    allocation: Allocation,
    mut offset: u64,
    first: &[u8],
    rest: &[Bytes],
) -> io::Result<()> {
    let total = first.len() as u64 + total_len(rest);
    allocation.take(file, offset, total)?;
    let mut room = SLICE_BYTES;
    if total > room as u64 {
        // A remainder of a small number fits.
        room -= usize::try_from(offset % SLICE_BYTES as u64).unwrap_or(0);
    }
    let mut call: Vec<&[u8]> = Vec::with_capacity(rest.len() + 1);
    let mut in_call = 0;
    for mut part in std::iter::once(first).chain(rest.iter().map(|chunk| &chunk[..])) {
        while !part.is_empty() {
            let (now, later) = part.split_at(part.len().min(room - in_call));
            call.push(now);
            in_call += now.len();
            part = later;
            if in_call == room {
                write_all(file, offset, &call)?;
                offset += in_call as u64;
                call.clear();
                (in_call, room) = (0, SLICE_BYTES);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::replay;
    use crate::key::{Namespace, ObjectKey, ObjectName};

    fn append(active: &mut Active, sequence: u64, body: &Bytes) -> Location {
        let header = RecordHeader {
            sequence,
            name: ObjectName {
                namespace: Namespace::default_namespace(),
                key: ObjectKey::new(&format!("a/{sequence}")).unwrap(),
            },
            body_len: body.len() as u64,
            created_ms: 0,
            cost_ms: 0,
            body_checksum: twox_hash::XxHash3_128::oneshot(body),
        };
        active.append(&header, &[body.slice(..body.len() / 3), body.slice(body.len() / 3..)]).unwrap()
    }

    #[test]
    fn large_records_begin_where_the_kernel_keeps_large_pieces_and_are_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let segment = Segment::create(directory.path(), 1, 7, Arc::default()).unwrap();
        let mut active = Active::new(Arc::new(segment), 7, Allocation::Ahead);
        let bodies = [300_000, 10, 2_000_000, 100_000, 131_072, 0]
            .map(|length| Bytes::from_iter((0..length).map(|at: u32| (at % 251) as u8)));
        let locations: Vec<_> =
            (1..).zip(&bodies).map(|(sequence, body)| append(&mut active, sequence, body)).collect();
        let offsets: Vec<_> = locations.iter().map(|location| location.offset() >> 10).collect();
        assert_eq!(offsets, [64, 360, 384, 2340, 2496, 2628], "in KiB");

        let found = |had_footer| {
            let found = replay::replay(&active.segment, 0).unwrap();
            assert_eq!((found.had_footer, found.damaged), (had_footer, 0));
            let blocks = found.records.iter().map(|(header, block)| header.location(1, *block));
            assert_eq!(blocks.collect::<Vec<_>>(), locations);
            for (location, body) in locations.iter().zip(&bodies) {
                let mut read = vec![0; body.len()];
                let at = location.body_offset();
                active
                    .segment
                    .with_file(|file| std::os::unix::fs::FileExt::read_exact_at(file, &mut read, at))
                    .unwrap();
                assert_eq!(read, *body);
            }
        };
        found(false);
        active.seal().unwrap();
        found(true);
    }
}
