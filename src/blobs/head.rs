//! The first bytes of a shared segment: which one it is, its salt, and the version of its format.
//!
//! Owns their layout (format 1, described in ARCHITECTURE.md). Every version keeps these bytes where they are, so that a
//! newer one is never taken for damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use twox_hash::XxHash3_64;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

const MAGIC: [u8; 8] = *b"LARDRSEG";
/// Version of the segment format that this build writes, and the newest that it reads.
pub const SEGMENT_VERSION: u32 = 1;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct FileHeader {
    magic: [u8; 8],
    version: U32,
    id: U32,
    salt: U64,
    checksum: U64,
}

impl FileHeader {
    fn sum(&self) -> u64 {
        XxHash3_64::oneshot(&self.as_bytes()[..size_of::<Self>() - size_of::<U64>()])
    }
}

/// The first bytes of the segment `id`.
pub(super) fn encode(id: u32, salt: u64) -> [u8; size_of::<FileHeader>()] {
    let mut header = FileHeader {
        magic: MAGIC,
        version: U32::new(SEGMENT_VERSION),
        id: U32::new(id),
        salt: U64::new(salt),
        checksum: U64::ZERO,
    };
    header.checksum = U64::new(header.sum());
    zerocopy::transmute!(header)
}

/// What the first bytes of a shared segment say.
pub(super) enum Head {
    /// Its salt.
    Salt(u64),
    /// Nothing: damaged, or never written.
    Lost,
    /// That a newer larder wrote it.
    Newer,
}

/// Reads the first bytes of the segment `id`.
///
/// # Errors
/// Those of the file.
pub(super) fn read(file: &File, id: u32) -> io::Result<Head> {
    let mut bytes = [0; size_of::<FileHeader>()];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Head::Lost),
        Err(error) => return Err(error),
    }
    let Ok(header) = FileHeader::read_from_bytes(&bytes) else { return Ok(Head::Lost) };
    if header.magic != MAGIC || header.id.get() != id {
        return Ok(Head::Lost);
    }
    let fits = |version| FileHeader { version: U32::new(version), ..header }.sum() == header.checksum.get();
    Ok(match header.version.get() {
        known @ ..=SEGMENT_VERSION if fits(known) => Head::Salt(header.salt.get()),
        ..=SEGMENT_VERSION => Head::Lost,
        // A flipped bit makes a known version look newer; the checksum tells.
        _ if (1..=SEGMENT_VERSION).any(fits) => Head::Lost,
        _ => Head::Newer,
    })
}
