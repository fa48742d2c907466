//! How an [`Entry`] is written by an engine that keeps bytes: a version, the fields, namespace, key.
//!
//! Every version that ever was stays readable: `decode` turns an old one into today's. `migrations/` keeps a
//! frozen dump of each.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Entry, Recency};
use crate::blobs::Location;
use crate::key::{Namespace, ObjectKey, ObjectName};

/// Version of an entry that this build writes, and the newest that it reads.
pub const ENTRY_VERSION: u16 = 1;

/// Why bytes are no entry.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EntryError {
    /// Written by a newer larder.
    #[error("entry version {0} is newer than {ENTRY_VERSION}, the newest this larder knows")]
    Newer(u16),
    /// Too short, or names that break the rules.
    #[error("the bytes are not an entry")]
    Malformed,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct EntryV1 {
    version: U16,
    namespace_len: U16,
    segment: U32,
    block: U32,
    header_len: U16,
    /// Zero.
    reserved: U16,
    /// Zero. For what the object cost to make, in milliseconds.
    cost_ms: U32,
    body_len: U64,
    created_ms: U64,
    body_checksum: [u8; 16],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct RecencyV1 {
    sequence: U64,
    used_us: U64,
    hits: U32,
}

/// The bytes of an entry; its sequence number is kept beside them, as the key.
#[must_use]
pub fn encode(entry: &Entry) -> Vec<u8> {
    let (namespace, key) = (entry.name.namespace.as_str(), entry.name.key.as_str());
    let fixed = EntryV1 {
        version: U16::new(ENTRY_VERSION),
        // A namespace is at most 63 bytes.
        namespace_len: U16::new(u16::try_from(namespace.len()).unwrap_or(u16::MAX)),
        segment: U32::new(entry.location.segment),
        block: U32::new(entry.location.block),
        header_len: U16::new(entry.location.header_len),
        reserved: U16::ZERO,
        cost_ms: U32::ZERO,
        body_len: U64::new(entry.location.body_len),
        created_ms: U64::new(entry.created_ms),
        body_checksum: entry.body_checksum.to_le_bytes(),
    };
    [fixed.as_bytes(), namespace.as_bytes(), key.as_bytes()].concat()
}

/// The entry that [`encode`] made `bytes` from.
///
/// # Errors
/// [`EntryError`].
pub fn decode(sequence: u64, bytes: &[u8]) -> Result<Entry, EntryError> {
    let (version, _) = U16::read_from_prefix(bytes).map_err(|_| EntryError::Malformed)?;
    match version.get() {
        1 => decode_v1(sequence, bytes),
        0 => Err(EntryError::Malformed),
        newer => Err(EntryError::Newer(newer)),
    }
}

fn decode_v1(sequence: u64, bytes: &[u8]) -> Result<Entry, EntryError> {
    let (fixed, names) = EntryV1::ref_from_prefix(bytes).map_err(|_| EntryError::Malformed)?;
    let names = std::str::from_utf8(names).map_err(|_| EntryError::Malformed)?;
    let (namespace, key) =
        names.split_at_checked(fixed.namespace_len.get().into()).ok_or(EntryError::Malformed)?;
    Ok(Entry {
        sequence,
        name: ObjectName {
            namespace: Namespace::stored(namespace).map_err(|_| EntryError::Malformed)?,
            key: ObjectKey::new(key).map_err(|_| EntryError::Malformed)?,
        },
        location: Location {
            segment: fixed.segment.get(),
            block: fixed.block.get(),
            header_len: fixed.header_len.get(),
            body_len: fixed.body_len.get(),
        },
        created_ms: fixed.created_ms.get(),
        body_checksum: u128::from_le_bytes(fixed.body_checksum),
    })
}

/// The bytes of a group of recency rows, behind the same version number.
#[must_use]
pub fn encode_recency(rows: &[Recency]) -> Vec<u8> {
    let mut bytes = U16::new(ENTRY_VERSION).as_bytes().to_vec();
    for row in rows {
        let row = RecencyV1 {
            sequence: U64::new(row.sequence),
            used_us: U64::new(row.used_us),
            hits: U32::new(row.hits),
        };
        bytes.extend_from_slice(row.as_bytes());
    }
    bytes
}

/// The rows that [`encode_recency`] made `bytes` from.
///
/// # Errors
/// [`EntryError`].
pub fn decode_recency(bytes: &[u8]) -> Result<Vec<Recency>, EntryError> {
    let (version, rows) = U16::ref_from_prefix(bytes).map_err(|_| EntryError::Malformed)?;
    match version.get() {
        1 => {}
        0 => return Err(EntryError::Malformed),
        newer => return Err(EntryError::Newer(newer)),
    }
    let rows = <[RecencyV1]>::ref_from_bytes(rows).map_err(|_| EntryError::Malformed)?;
    Ok(rows
        .iter()
        .map(|row| Recency { sequence: row.sequence.get(), used_us: row.used_us.get(), hits: row.hits.get() })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            sequence: 5,
            name: ObjectName {
                namespace: Namespace::new("team").unwrap(),
                key: ObjectKey::new("a/ü").unwrap(),
            },
            location: Location { segment: 1, block: 2, header_len: 3, body_len: 4 },
            created_ms: 6,
            body_checksum: 7,
        }
    }

    #[test]
    fn entries_and_recency_read_back() {
        assert_eq!(decode(5, &encode(&entry())), Ok(entry()));
        let rows =
            [Recency { sequence: 1, used_us: 2, hits: 3 }, Recency { sequence: 4, used_us: 5, hits: 6 }];
        assert_eq!(decode_recency(&encode_recency(&rows)), Ok(rows.to_vec()));
    }

    #[test]
    fn newer_and_malformed_are_told_apart() {
        let mut bytes = encode(&entry());
        bytes[0] = 2;
        assert_eq!(decode(5, &bytes), Err(EntryError::Newer(2)));
        assert_eq!(decode_recency(&bytes), Err(EntryError::Newer(2)));
        bytes[0] = 0;
        assert_eq!(decode(5, &bytes), Err(EntryError::Malformed));
        assert_eq!(decode(5, &encode(&entry())[..20]), Err(EntryError::Malformed));
        assert_eq!(decode_recency(&[1, 0, 9]), Err(EntryError::Malformed));
    }
}
