//! Names of things in the cache: [`Namespace`], [`ObjectKey`] and the pair of both, [`ObjectName`]; and
//! [`NamespacePattern`], for many namespaces at once.
//!
//! Owns the rules a name must obey, so that no other module checks a path again. A leaf: it knows
//! nothing of HTTP, percent-encoding, configuration or disks.

mod pattern;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

pub use self::pattern::NamespacePattern;

/// Longest key in bytes, after percent-decoding. S3's own limit.
pub const MAX_KEY_BYTES: usize = 1024;
/// Longest namespace in bytes. S3's limit for a bucket name.
pub const MAX_NAMESPACE_BYTES: usize = 63;
/// The namespace of every path whose first segment names no configured namespace.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The namespace of multipart uploads under way. No path and no configuration can name it: [`Namespace::new`] refuses it.
const UPLOADS: &str = "-uploads";

/// The last segment of the key that sccache reads and writes at its start to learn its rights. Without an answer to the read
/// it does not start, and no build asked for it.
pub const SCCACHE_PROBE: &str = ".sccache_check";

/// The top-level partition of the cache: a bucket to S3, a top-level collection to WebDAV.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Namespace(Arc<str>);

/// The name of an object inside its namespace: one or more non-empty segments joined by `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ObjectKey(Box<str>);

/// Namespace and key together: what identifies an object.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ObjectName {
    /// The namespace that holds the object.
    pub namespace: Namespace,
    /// The object's key in that namespace.
    pub key: ObjectKey,
}

/// Why a namespace or a key was refused. The text is fit for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// The key has no characters.
    #[error("the key is empty: name an object below the namespace")]
    Empty,
    /// The key is longer than [`MAX_KEY_BYTES`].
    #[error("the key is {0} bytes long, the limit is {MAX_KEY_BYTES}")]
    TooLong(usize),
    /// `//`, or a slash at either end.
    #[error("the key has an empty segment ('//', or a slash at its start or end)")]
    EmptySegment,
    /// `.` or `..` as a segment.
    #[error("the key has a '.' or '..' segment")]
    DotSegment,
    /// NUL or another control character.
    #[error("the key has a control character (byte {0:#04x})")]
    Control(u8),
    /// The namespace has a character outside the allowed set, or a wrong length.
    #[error(
        "a namespace is 1 to {MAX_NAMESPACE_BYTES} characters of a-z, A-Z, 0-9, '.', '_' and '-', \
         starting with a letter or a digit"
    )]
    Namespace,
    /// The pattern has no `*`, begins with one, or breaks the rules for namespaces.
    #[error(
        "a pattern is the name of a namespace with '*' in it, as in pr-*: at most {MAX_NAMESPACE_BYTES} characters, \
         starting with a letter or a digit"
    )]
    Pattern,
}

impl Namespace {
    /// Checks `name`: 1 to [`MAX_NAMESPACE_BYTES`] characters of `a-z A-Z 0-9 . _ -`, the first a letter or digit.
    ///
    /// # Errors
    /// [`KeyError::Namespace`] for anything else.
    pub fn new(name: &str) -> Result<Self, KeyError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let starts_well = name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if !starts_well || name.len() > MAX_NAMESPACE_BYTES || !name.bytes().all(allowed) {
            return Err(KeyError::Namespace);
        }
        Ok(Self(Arc::from(name)))
    }

    /// The namespace of a stored record: one that [`Namespace::new`] takes, or one of the server's own.
    ///
    /// # Errors
    /// [`KeyError::Namespace`] for anything else.
    pub fn stored(name: &str) -> Result<Self, KeyError> {
        if name == UPLOADS { Ok(Self::uploads()) } else { Self::new(name) }
    }

    /// The namespace of multipart uploads under way, which nobody can name.
    #[must_use]
    pub fn uploads() -> Self {
        Self(Arc::from(UPLOADS))
    }

    /// True for the namespace of multipart uploads under way.
    #[must_use]
    pub fn is_uploads(&self) -> bool {
        self.as_str() == UPLOADS
    }

    /// The namespace [`DEFAULT_NAMESPACE`], which is always there.
    #[must_use]
    pub fn default_namespace() -> Self {
        Self(Arc::from(DEFAULT_NAMESPACE))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ObjectKey {
    /// Checks `key`, which is already percent-decoded.
    ///
    /// # Errors
    /// The first rule of [`KeyError`] that `key` breaks.
    pub fn new(key: &str) -> Result<Self, KeyError> {
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong(key.len()));
        }
        if let Some(control) = key.bytes().find(u8::is_ascii_control) {
            return Err(KeyError::Control(control));
        }
        // By bytes: segments are short, and to look for a character in a text is made for long ones.
        for segment in key.as_bytes().split(|byte| *byte == b'/') {
            match segment {
                b"" => return Err(KeyError::EmptySegment),
                b"." | b".." => return Err(KeyError::DotSegment),
                _ => {}
            }
        }
        Ok(Self(key.into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text behind the last slash.
    #[must_use]
    pub fn last_segment(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The text in front of the first slash.
    #[must_use]
    pub fn first_segment(&self) -> &str {
        self.0.split('/').next().unwrap_or(&self.0)
    }

    /// True for sccache's start-up probe, at whatever prefix.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.0.strip_suffix(SCCACHE_PROBE).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    }
}

impl Borrow<str> for Namespace {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_clients_send_are_accepted() {
        for key in ["5/1/d/51db", ".sccache_check", "ac/0f", "a b/ü/…", "x"] {
            assert_eq!(ObjectKey::new(key).map(|k| k.as_str().to_owned()), Ok(key.to_owned()));
        }
        assert!(ObjectKey::new(&"k".repeat(MAX_KEY_BYTES)).is_ok());
    }

    #[test]
    fn hostile_keys_are_refused_each_with_its_reason() {
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        for (key, reason) in [
            ("", KeyError::Empty),
            ("a//b", KeyError::EmptySegment),
            ("/a", KeyError::EmptySegment),
            ("a/", KeyError::EmptySegment),
            ("a/../b", KeyError::DotSegment),
            ("./a", KeyError::DotSegment),
            ("a\0b", KeyError::Control(0)),
            ("a\r\nb", KeyError::Control(b'\r')),
            (&long, KeyError::TooLong(MAX_KEY_BYTES + 1)),
        ] {
            assert_eq!(ObjectKey::new(key).map(|_| ()), Err(reason), "{key:?}");
        }
    }

    #[test]
    fn namespaces_hold_to_bucket_like_names() {
        for good in ["default", "team-a", "pr-17", "A.b_c"] {
            assert!(Namespace::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-", UPLOADS, ".hidden", "a/b", "a b", "ü", &"n".repeat(MAX_NAMESPACE_BYTES + 1)] {
            assert!(Namespace::new(bad).is_err(), "{bad}");
        }
    }
}
