//! The bytes of a record: a fixed header, namespace, key, then the body.
//!
//! Owns the on-disk layout (format 1, described in ARCHITECTURE.md) and its checks. Knows nothing of files.

use twox_hash::XxHash3_64;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{BLOCK, BLOCK_BYTES, blocks};
use crate::key::{MAX_KEY_BYTES, MAX_NAMESPACE_BYTES, Namespace, ObjectKey, ObjectName};

/// Version of the record format that this build writes, and the newest that it reads.
pub const RECORD_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"LREC";

/// What lies over the first bytes of a record that was deleted and whose blocks are not free yet.
pub const DEAD_MARK: [u8; 8] = [0; 8];

/// True when `header` is the header of a deleted record. All zeros are none: that may as well be damage.
#[must_use]
pub fn is_dead(header: &[u8]) -> bool {
    header.strip_prefix(&DEAD_MARK).is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
}

/// Bytes of the fixed part of a header.
pub const FIXED_BYTES: usize = size_of::<Fixed>();

/// A header always fits into the first block of its record.
const _: () = assert!(FIXED_BYTES + MAX_NAMESPACE_BYTES + MAX_KEY_BYTES <= BLOCK_BYTES);

/// Where a record lies. `Copy`, small, and all that the index needs to know of a blob.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Location {
    /// Number of the segment file.
    pub segment: u32,
    /// First block of the record in it.
    pub block: u32,
    /// Bytes before the body.
    pub header_len: u16,
    /// Bytes of the body.
    pub body_len: u64,
}

impl Location {
    /// Offset of the record in its file, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        u64::from(self.block) * BLOCK
    }

    /// Offset of the body in its file, in bytes.
    #[must_use]
    pub fn body_offset(&self) -> u64 {
        self.offset() + u64::from(self.header_len)
    }

    /// Bytes of header and body together.
    #[must_use]
    pub fn record_len(&self) -> u64 {
        u64::from(self.header_len) + self.body_len
    }

    /// Where the record ends in its file, in bytes.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset() + self.record_len()
    }

    /// Bytes of disk blocks the record takes.
    #[must_use]
    pub fn disk_len(&self) -> u64 {
        blocks(self.record_len()) * BLOCK
    }
}

/// What a record says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordHeader {
    /// Orders all records ever written; of two records of one name the higher one counts.
    pub sequence: u64,
    /// Whose body this is.
    pub name: ObjectName,
    /// Bytes of the body.
    pub body_len: u64,
    /// When it was stored, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// What the object cost to make, in milliseconds; 0: unknown.
    pub cost_ms: u32,
    /// XXH3-128 of the body.
    pub body_checksum: u128,
}

/// The fixed part, as it lies on disk. All numbers are little endian.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct Fixed {
    magic: [u8; 4],
    version: U16,
    namespace_len: U16,
    key_len: U16,
    /// Zero. For attributes (a content type, say) between key and body.
    attributes_len: U16,
    block: U32,
    /// The segment's own random number: bytes inside a body can never pass for a record of this segment.
    salt: U64,
    sequence: U64,
    body_len: U64,
    created_ms: U64,
    /// Zero: unknown, also in records of before it was kept.
    cost_ms: U32,
    /// Zero.
    reserved: U32,
    body_checksum: [u8; 16],
    /// XXH3-64 of everything before it and of namespace and key.
    header_checksum: U64,
}

/// A header parsed in place, its checksum verified.
pub struct RecordView<'a> {
    fixed: &'a Fixed,
    namespace: &'a str,
    key: &'a str,
}

impl RecordHeader {
    /// Bytes of the header: where the body starts.
    #[must_use]
    pub fn encoded_len(&self) -> u16 {
        header_len(&self.name)
    }

    /// Bytes of the record, body included.
    #[must_use]
    pub fn record_len(&self) -> u64 {
        u64::from(self.encoded_len()) + self.body_len
    }

    /// Where a record of this header lies that starts at `block` of `segment`.
    #[must_use]
    pub fn location(&self, segment: u32, block: u32) -> Location {
        Location { segment, block, header_len: self.encoded_len(), body_len: self.body_len }
    }

    /// Appends the header's bytes to `out`.
    pub fn encode(&self, salt: u64, block: u32, out: &mut Vec<u8>) {
        let (namespace, key) = (self.name.namespace.as_str(), self.name.key.as_str());
        let mut fixed = Fixed {
            magic: MAGIC,
            version: U16::new(RECORD_VERSION),
            namespace_len: length_u16(namespace),
            key_len: length_u16(key),
            attributes_len: U16::ZERO,
            block: U32::new(block),
            salt: U64::new(salt),
            sequence: U64::new(self.sequence),
            body_len: U64::new(self.body_len),
            created_ms: U64::new(self.created_ms),
            cost_ms: U32::new(self.cost_ms),
            reserved: U32::ZERO,
            body_checksum: self.body_checksum.to_le_bytes(),
            header_checksum: U64::ZERO,
        };
        fixed.header_checksum = U64::new(checksum(&fixed, namespace.as_bytes(), key.as_bytes()));
        out.extend_from_slice(fixed.as_bytes());
        out.extend_from_slice(namespace.as_bytes());
        out.extend_from_slice(key.as_bytes());
    }
}

/// Bytes of the header of a record of this name.
#[must_use]
pub fn header_len(name: &ObjectName) -> u16 {
    let names = name.namespace.as_str().len() + name.key.as_str().len();
    u16::try_from(FIXED_BYTES + names).unwrap_or(u16::MAX)
}

/// The key rules keep both names far below 64 KiB; a longer text would be refused by the checksum when read.
fn length_u16(text: &str) -> U16 {
    U16::new(u16::try_from(text.len()).unwrap_or(u16::MAX))
}

fn checksum(fixed: &Fixed, namespace: &[u8], key: &[u8]) -> u64 {
    let mut hasher = XxHash3_64::with_seed(fixed.salt.get());
    let covered = FIXED_BYTES - size_of::<U64>();
    std::hash::Hasher::write(&mut hasher, &fixed.as_bytes()[..covered]);
    std::hash::Hasher::write(&mut hasher, namespace);
    std::hash::Hasher::write(&mut hasher, key);
    std::hash::Hasher::finish(&hasher)
}

impl<'a> RecordView<'a> {
    /// Parses the record that starts at the beginning of `bytes`. `None` when there is no valid record:
    /// never written, dead, torn, damaged, of another segment or place, or of a newer version.
    ///
    /// With `salt` or `block` as `None` that part is taken on trust, for a segment whose own header is lost.
    #[must_use]
    pub fn parse(bytes: &'a [u8], salt: Option<u64>, block: Option<u32>) -> Option<Self> {
        let (fixed, rest) = Fixed::ref_from_prefix(bytes).ok()?;
        if fixed.magic != MAGIC || fixed.version.get() > RECORD_VERSION {
            return None;
        }
        if salt.is_some_and(|salt| salt != fixed.salt.get()) || block.is_some_and(|b| b != fixed.block.get())
        {
            return None;
        }
        let (namespace, rest) = rest.split_at_checked(usize::from(fixed.namespace_len.get()))?;
        let (key, _) = rest.split_at_checked(usize::from(fixed.key_len.get()))?;
        if checksum(fixed, namespace, key) != fixed.header_checksum.get() {
            return None;
        }
        let (namespace, key) = (std::str::from_utf8(namespace).ok()?, std::str::from_utf8(key).ok()?);
        Some(Self { fixed, namespace, key })
    }

    /// True when `bytes` start with the header of a record that a newer larder wrote: not to be read here, and not to
    /// be taken for damage either. Every version keeps the fields up to the salt where they are.
    #[must_use]
    pub fn is_newer(bytes: &[u8], salt: Option<u64>, block: u32) -> bool {
        let Ok((fixed, rest)) = Fixed::ref_from_prefix(bytes) else { return false };
        let here = fixed.block.get() == block && salt.is_none_or(|salt| salt == fixed.salt.get());
        if fixed.magic != MAGIC || fixed.version.get() <= RECORD_VERSION || !here {
            return false;
        }
        // With a flipped bit in its version a known record looks newer; its checksum tells.
        let names = usize::from(fixed.namespace_len.get()) + usize::from(fixed.key_len.get());
        let Some((names, _)) = rest.split_at_checked(names) else { return true };
        let known = |version| Fixed { version: U16::new(version), ..*fixed };
        !(1..=RECORD_VERSION)
            .any(|version| checksum(&known(version), names, &[]) == fixed.header_checksum.get())
    }

    /// True when this is the record of `name` with this sequence number.
    #[must_use]
    pub fn is(&self, name: &ObjectName, sequence: u64) -> bool {
        self.fixed.sequence.get() == sequence
            && self.key == name.key.as_str()
            && self.namespace == name.namespace.as_str()
    }

    /// Bytes before the body.
    #[must_use]
    pub fn header_len(&self) -> usize {
        FIXED_BYTES + self.namespace.len() + self.key.len() + usize::from(self.fixed.attributes_len.get())
    }

    /// Bytes of the body.
    #[must_use]
    pub fn body_len(&self) -> u64 {
        self.fixed.body_len.get()
    }

    /// XXH3-128 of the body.
    #[must_use]
    pub fn body_checksum(&self) -> u128 {
        u128::from_le_bytes(self.fixed.body_checksum)
    }

    /// When it was stored, milliseconds since the Unix epoch.
    #[must_use]
    pub fn created_ms(&self) -> u64 {
        self.fixed.created_ms.get()
    }

    /// What the object cost to make, in milliseconds; 0: unknown.
    #[must_use]
    pub fn cost_ms(&self) -> u32 {
        self.fixed.cost_ms.get()
    }

    /// The record's place in its file, in blocks.
    #[must_use]
    pub fn block(&self) -> u32 {
        self.fixed.block.get()
    }

    /// The salt of the segment it was written to.
    #[must_use]
    pub fn salt(&self) -> u64 {
        self.fixed.salt.get()
    }

    /// The same as an owned header. `None` when the names break today's rules.
    #[must_use]
    pub fn to_header(&self) -> Option<RecordHeader> {
        Some(RecordHeader {
            sequence: self.fixed.sequence.get(),
            name: ObjectName {
                namespace: Namespace::stored(self.namespace).ok()?,
                key: ObjectKey::new(self.key).ok()?,
            },
            body_len: self.body_len(),
            created_ms: self.created_ms(),
            cost_ms: self.cost_ms(),
            body_checksum: self.body_checksum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordHeader {
        RecordHeader {
            sequence: 7,
            name: ObjectName {
                namespace: Namespace::default_namespace(),
                key: ObjectKey::new("5/1/d/51db").unwrap(),
            },
            body_len: 12,
            created_ms: 1_700_000_000_000,
            cost_ms: 1234,
            body_checksum: 99,
        }
    }

    #[test]
    fn a_header_reads_back_as_written() {
        let mut bytes = Vec::new();
        header().encode(3, 4, &mut bytes);
        assert_eq!(bytes.len(), usize::from(header().encoded_len()));
        let view = RecordView::parse(&bytes, Some(3), Some(4)).unwrap();
        assert_eq!(view.to_header(), Some(header()));
        assert!(view.is(&header().name, 7) && !view.is(&header().name, 8));
        assert_eq!(view.header_len(), bytes.len());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        header().encode(3, 4, &mut bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordView::parse(&bytes, Some(3), Some(4)).is_none(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for cut in 0..bytes.len() {
            assert!(RecordView::parse(&bytes[..cut], Some(3), Some(4)).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn a_newer_record_is_told_from_a_flipped_bit_in_the_version() {
        let mut bytes = Vec::new();
        header().encode(3, 4, &mut bytes);
        bytes[4] = 2;
        assert!(!RecordView::is_newer(&bytes, Some(3), 4), "a version 1 header with a flipped bit");
        let (fixed, names) = Fixed::mut_from_prefix(&mut bytes).unwrap();
        fixed.header_checksum = U64::new(checksum(fixed, names, &[]));
        assert!(RecordView::is_newer(&bytes, Some(3), 4) && RecordView::is_newer(&bytes, None, 4));
        assert!(!RecordView::is_newer(&bytes, Some(2), 4) && !RecordView::is_newer(&bytes, Some(3), 5));
        assert!(RecordView::parse(&bytes, Some(3), Some(4)).is_none());
    }

    #[test]
    fn a_record_of_another_segment_or_place_is_none() {
        let mut bytes = Vec::new();
        header().encode(3, 4, &mut bytes);
        assert!(RecordView::parse(&bytes, Some(2), Some(4)).is_none());
        assert!(RecordView::parse(&bytes, Some(3), Some(5)).is_none());
        assert!(RecordView::parse(&bytes, None, None).is_some());
    }
}
