//! The footer of a sealed segment: a copy of all its record headers, so that a start reads one run of bytes
//! instead of every record.
//!
//! Owns the footer's layout. A footer that is missing or damaged costs a scan, never a record.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use twox_hash::XxHash3_64;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::record::RecordView;

const MAGIC: [u8; 8] = *b"LARDRFOO";
/// Version of the footer format that this build writes, and the newest that it reads.
pub const FOOTER_VERSION: u32 = 1;

/// The last bytes of a sealed segment.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct Trailer {
    magic: [u8; 8],
    version: U32,
    /// Zero.
    reserved: U32,
    salt: U64,
    entries_offset: U64,
    entries_len: U64,
    entries_checksum: U64,
    checksum: U64,
}

impl Trailer {
    fn sum(&self) -> u64 {
        XxHash3_64::oneshot(&self.as_bytes()[..size_of::<Self>() - size_of::<U64>()])
    }
}

/// Bytes of disk that the footer of `entries_len` bytes of headers takes at most.
#[must_use]
pub fn footer_bytes(entries_len: usize) -> u64 {
    super::blocks(entries_len as u64 + size_of::<Trailer>() as u64) * super::BLOCK
}

/// Writes the footer behind the last record and cuts the file there.
///
/// # Errors
/// Those of the file.
pub fn write(file: &File, salt: u64, tail: u64, entries: &[u8]) -> io::Result<()> {
    let mut trailer = Trailer {
        magic: MAGIC,
        version: U32::new(FOOTER_VERSION),
        reserved: U32::ZERO,
        salt: U64::new(salt),
        entries_offset: U64::new(tail),
        entries_len: U64::new(entries.len() as u64),
        entries_checksum: U64::new(XxHash3_64::oneshot_with_seed(salt, entries)),
        checksum: U64::ZERO,
    };
    trailer.checksum = U64::new(trailer.sum());
    let trailer_offset = tail + entries.len() as u64;
    file.write_all_at(entries, tail)?;
    file.write_all_at(trailer.as_bytes(), trailer_offset)?;
    file.set_len(trailer_offset + size_of::<Trailer>() as u64)
}

/// Reads the footer: the segment's salt and its headers' bytes. `None` when there is none, or a damaged one.
///
/// # Errors
/// Those of the file.
pub fn read(file: &File) -> io::Result<Option<(u64, Vec<u8>)>> {
    let Some(trailer) = read_trailer(file)? else { return Ok(None) };
    let Ok(entries_len) = usize::try_from(trailer.entries_len.get()) else { return Ok(None) };
    let mut entries = vec![0; entries_len];
    file.read_exact_at(&mut entries, trailer.entries_offset.get())?;
    let salt = trailer.salt.get();
    let intact = XxHash3_64::oneshot_with_seed(salt, &entries) == trailer.entries_checksum.get();
    Ok(intact.then_some((salt, entries)))
}

/// Bytes of disk blocks that the footer takes; 0 when there is none.
///
/// # Errors
/// Those of the file.
pub fn disk_len(file: &File) -> io::Result<u64> {
    let trailer = read_trailer(file)?;
    Ok(trailer.map_or(0, |trailer| footer_bytes(usize::try_from(trailer.entries_len.get()).unwrap_or(0))))
}

/// Where the records end and the footer begins; `None` without a footer, or with one that does not say so any more.
///
/// # Errors
/// Those of the file.
pub fn records_end(file: &File) -> io::Result<Option<u64>> {
    Ok(read_trailer(file)?.map(|trailer| trailer.entries_offset.get()))
}

fn read_trailer(file: &File) -> io::Result<Option<Trailer>> {
    let length = file.metadata()?.len();
    let Some(trailer_offset) = length.checked_sub(size_of::<Trailer>() as u64) else { return Ok(None) };
    let mut bytes = [0; size_of::<Trailer>()];
    file.read_exact_at(&mut bytes, trailer_offset)?;
    let Ok(trailer) = Trailer::read_from_bytes(&bytes) else { return Ok(None) };
    let end = trailer.entries_offset.get().checked_add(trailer.entries_len.get());
    let valid = trailer.magic == MAGIC
        && trailer.version.get() <= FOOTER_VERSION
        && trailer.checksum.get() == trailer.sum()
        && end == Some(trailer_offset);
    Ok(valid.then_some(trailer))
}

/// Walks the headers in a footer's bytes, from the first to the last.
pub struct Entries<'a> {
    rest: &'a [u8],
    salt: u64,
}

impl<'a> Entries<'a> {
    /// The headers in `bytes`, which were written for `salt`.
    #[must_use]
    pub fn new(bytes: &'a [u8], salt: u64) -> Self {
        Self { rest: bytes, salt }
    }

    /// True once the walk is over and has left nothing out. A footer's bytes are checksummed as a whole, so what is
    /// left out was written by a newer larder.
    #[must_use]
    pub fn all_known(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = RecordView<'a>;

    fn next(&mut self) -> Option<RecordView<'a>> {
        let view = RecordView::parse(self.rest, Some(self.salt), None)?;
        self.rest = &self.rest[view.header_len()..];
        Some(view)
    }
}
