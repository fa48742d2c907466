//! The label of a session: which text is one, and where a request may carry it.
//!
//! Owns its form. What is no label is ignored by whoever reads it: a bad one must not break a build.

use std::fmt;
use std::str::FromStr;

/// The header that carries a label, for clients that can be told to send one.
pub const HEADER: &str = "x-larder-session";

/// Longest label in bytes.
const LONGEST: usize = 64;

/// A label: 1 to 64 characters of `A-Z a-z 0-9 . _ : / @ # -`. It is read from each request of a build anew, so nothing is allocated
/// for one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    length: u8,
    /// Zeros behind the text.
    text: [u8; LONGEST],
}

/// A text is no label.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a session's label is 1 to 64 characters of A-Z, a-z, 0-9 and . _ : / @ # -")]
pub struct NoLabel;

impl Label {
    /// The label in the bytes of a header or of a user's name.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:/@#-".contains(byte);
        if bytes.is_empty() || bytes.len() > LONGEST || !bytes.iter().all(allowed) {
            return None;
        }
        let mut text = [0; LONGEST];
        text[..bytes.len()].copy_from_slice(bytes);
        Some(Self { length: u8::try_from(bytes.len()).ok()?, text })
    }

    /// The label behind the last `+` of a user's name or of an access key's id.
    #[must_use]
    pub fn behind_plus(name: &[u8]) -> Option<Self> {
        let plus = name.iter().rposition(|byte| *byte == b'+')?;
        Self::read(&name[plus + 1..])
    }

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Nothing but ASCII comes in.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl FromStr for Label {
    type Err = NoLabel;

    fn from_str(text: &str) -> Result<Self, NoLabel> {
        Self::read(text.as_bytes()).ok_or(NoLabel)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_harmless() {
        let longest = "x".repeat(LONGEST);
        for text in ["1", "build-17", "org/app@refs/heads/main#12", "a.b_c:d", &longest] {
            assert_eq!(Label::read(text.as_bytes()).as_ref().map(Label::as_str), Some(text));
        }
        for text in ["", " ", "a b", "a+b", "<script>", "ü", "a\n", "a%20b", &"x".repeat(LONGEST + 1)] {
            assert_eq!(Label::read(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Label::read(b"\xff"), None);
    }

    #[test]
    fn the_label_stands_behind_the_last_plus() {
        let behind = |name: &str| Label::behind_plus(name.as_bytes()).map(|label| label.to_string());
        assert_eq!(behind("ci+build-17").as_deref(), Some("build-17"));
        assert_eq!(behind("ci+a+b").as_deref(), Some("b"));
        assert_eq!(behind("+b").as_deref(), Some("b"));
        for name in ["ci", "ci+", "ci+a b", ""] {
            assert_eq!(behind(name), None, "{name}");
        }
    }
}
