//! How the catalogue's rows are written: a version, then the fields.
//!
//! Every version that ever was stays readable; a newer one makes the catalogue begin anew, which costs time only.

use sha2::{Digest, Sha256};
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Mark;
use crate::bucket::BucketPath;
use crate::index::record::EntryError;

/// Version of a row that this build writes, and the newest that it reads.
const ROW_VERSION: u16 = 1;

/// Stands for a path in the bucket: the first half of its SHA-256. Paths are long, and rows are many.
pub(in crate::cache) type PathHash = [u8; 16];

/// What is known of one object in the bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cache) struct Known {
    /// XXH3-128 of the body, where this server wrote it or has read it.
    pub(in crate::cache) checksum: Option<u128>,
    /// Body length in bytes.
    pub(in crate::cache) length: u64,
    /// When it was last used by this server, or written, milliseconds since the Unix epoch.
    pub(in crate::cache) used_ms: u64,
    /// When it was written, milliseconds since the Unix epoch, by the bucket's clock; 0: the bucket was not asked yet.
    pub(in crate::cache) modified_ms: u64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(super) struct KnownV1 {
    version: U16,
    /// 1: there is a checksum.
    flags: U16,
    length: U64,
    used_ms: U64,
    modified_ms: U64,
    checksum: [u8; 16],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct MarkV1 {
    version: U16,
    /// Zero.
    reserved: U16,
    sequence: U64,
}

impl Known {
    pub(super) fn encode(self) -> [u8; size_of::<KnownV1>()] {
        let row = KnownV1 {
            version: U16::new(ROW_VERSION),
            flags: U16::new(u16::from(self.checksum.is_some())),
            length: U64::new(self.length),
            used_ms: U64::new(self.used_ms),
            modified_ms: U64::new(self.modified_ms),
            checksum: self.checksum.unwrap_or_default().to_le_bytes(),
        };
        zerocopy::transmute!(row)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        check_version(bytes)?;
        let row = KnownV1::ref_from_bytes(bytes).map_err(|_| EntryError::Malformed)?;
        Ok(Self {
            checksum: (row.flags.get() & 1 == 1).then(|| u128::from_le_bytes(row.checksum)),
            length: row.length.get(),
            used_ms: row.used_ms.get(),
            modified_ms: row.modified_ms.get(),
        })
    }
}

/// The bytes of a mark: version, number, path.
pub(super) fn encode_mark(mark: &Mark) -> Vec<u8> {
    let fixed =
        MarkV1 { version: U16::new(ROW_VERSION), reserved: U16::ZERO, sequence: U64::new(mark.sequence) };
    [fixed.as_bytes(), mark.path.as_ref().as_bytes()].concat()
}

/// The mark that [`encode_mark`] made `bytes` from.
pub(super) fn decode_mark(bytes: &[u8]) -> Result<Mark, EntryError> {
    check_version(bytes)?;
    let (fixed, path) = MarkV1::ref_from_prefix(bytes).map_err(|_| EntryError::Malformed)?;
    let path = std::str::from_utf8(path).ok().and_then(|path| BucketPath::parse(path).ok());
    Ok(Mark { path: path.ok_or(EntryError::Malformed)?, sequence: fixed.sequence.get() })
}

fn check_version(bytes: &[u8]) -> Result<(), EntryError> {
    let (version, _) = U16::read_from_prefix(bytes).map_err(|_| EntryError::Malformed)?;
    match version.get() {
        1 => Ok(()),
        0 => Err(EntryError::Malformed),
        newer => Err(EntryError::Newer(newer)),
    }
}

/// What stands for the path.
pub(in crate::cache::tier) fn hash_of(path: &BucketPath) -> PathHash {
    hash(path.as_ref().as_bytes())
}

/// The first half of the SHA-256.
pub(in crate::cache::tier) fn hash(bytes: &[u8]) -> PathHash {
    let digest = Sha256::digest(bytes);
    let mut hash = PathHash::default();
    hash.copy_from_slice(&digest[..16]);
    hash
}

/// A number that no other server has drawn.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(crate::index::table::now_us())
}

/// What a row that does not decode is.
pub(super) fn malformed() -> EntryError {
    EntryError::Malformed
}
