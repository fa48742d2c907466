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
        let (digits, _) = ascii[6..38].as_chunks_mut::<8>();
        for (digits, part) in digits.iter_mut().zip(self.0.to_be_bytes().as_chunks::<4>().0) {
            *digits = hex(u32::from_be_bytes(*part));
        }
        ascii
    }
}

/// Eight hex digits, all worked on at once.
fn hex(number: u32) -> [u8; 8] {
    // One digit a byte.
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in each byte that is ten or more, which is a letter: these begin 39 behind where the digits end.
    let letters = ((digits + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_written_as_the_formatter_writes_numbers() {
        let mut number = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128;
        for _ in 0..1000 {
            assert_eq!(ETag(number).to_string(), format!("\"xxh3-{number:032x}\""));
            number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        }
    }
}
