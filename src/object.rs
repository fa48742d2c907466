//! What is known of an object besides its body: [`ETag`], [`ObjectInfo`] and the [`Precondition`] of a write.
//!
//! A leaf shared by the cache and the protocols. It knows nothing of HTTP headers or of where bodies lie.

use std::fmt;
use std::time::{Duration, SystemTime};

/// The validator of a body: its XXH3-128 checksum, so equal bodies have equal tags and a tag survives
/// restart and compaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ETag(pub u128);

impl ETag {
    /// The tag in its HTTP form, quotes included, in ASCII. The `xxh3-` in front keeps tools from taking 32 hex digits for an
    /// MD5, as S3 clients do.
    #[must_use]
    pub fn to_ascii(self) -> [u8; 39] {
        // By hand: it is in every answer, and the formatter took a tenth of what larder itself does for a small hit.
        let mut ascii = *b"\"xxh3-00000000000000000000000000000000\"";
        for (digits, byte) in ascii[6..38].chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            digits[0] = HEX_DIGITS[usize::from(byte >> 4)];
            digits[1] = HEX_DIGITS[usize::from(byte & 15)];
        }
        ascii
    }
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes what [`ETag::to_ascii`] returns.
impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_ascii()).map_err(|_| fmt::Error)?)
    }
}

/// An object's properties, as of one stored version of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectInfo {
    /// Body length in bytes.
    pub length: u64,
    /// Validator of the body.
    pub etag: ETag,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// What it cost to make, in milliseconds; 0: unknown, as in every listing.
    pub cost_ms: u32,
    /// Orders all writes of one server; a newer version of a key has a higher one.
    pub sequence: u64,
}

impl ObjectInfo {
    /// When it was stored, cut to whole seconds as HTTP dates are.
    #[must_use]
    pub fn modified(&self) -> SystemTime {
        modified(self.created_ms)
    }
}

fn modified(created_ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(created_ms / 1000)
}

/// What a listing tells of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectSummary {
    /// Body length in bytes.
    pub length: u64,
    /// Validator of the body; `None` for one that lies in a bucket and that this server has neither written nor read.
    pub etag: Option<ETag>,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub created_ms: u64,
}

impl ObjectSummary {
    /// When it was stored, cut to whole seconds as HTTP dates are.
    #[must_use]
    pub fn modified(&self) -> SystemTime {
        modified(self.created_ms)
    }
}

impl From<ObjectInfo> for ObjectSummary {
    fn from(info: ObjectInfo) -> Self {
        Self { length: info.length, etag: Some(info.etag), created_ms: info.created_ms }
    }
}

/// What must hold at the moment a write or a delete takes effect. Checked atomically with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Precondition {
    /// Nothing is asked.
    #[default]
    None,
    /// No object has this name (`If-None-Match: *`).
    Absent,
    /// The object is still the version with this [`ObjectInfo::sequence`] (`If-Match`, resolved by the caller).
    Unchanged(u64),
}

impl Precondition {
    /// True when it holds for the version that is stored, by its sequence number; `None`: there is none.
    #[must_use]
    pub fn holds(self, stored: Option<u64>) -> bool {
        match self {
            Self::None => true,
            Self::Absent => stored.is_none(),
            Self::Unchanged(sequence) => stored == Some(sequence),
        }
    }
}
