//! Secrets and their digests: what proves who somebody is.
//!
//! Owns that a secret is never printed, that two are compared in constant time, and what a good one looks
//! like. Knows nothing of where secrets are kept or who has them.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Shortest secret in characters. 16 letters of base64 are 96 bits, out of reach of guessing over a network.
pub const MIN_SECRET_CHARS: usize = 16;
/// Longest secret in characters: more is a file named by mistake.
pub const MAX_SECRET_CHARS: usize = 1024;

/// A secret in plain, as S3 signatures need it. Its `Debug` shows nothing of it.
pub struct Secret(Box<str>);

/// The SHA-256 of a secret: enough to recognise it, and nothing to log in with.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

/// Why a text is no secret. The text is fit for an operator and says nothing of the secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretError {
    /// Nothing but line ends.
    #[error("the secret is empty")]
    Empty,
    /// Under [`MIN_SECRET_CHARS`].
    #[error("the secret has {0} characters, under {MIN_SECRET_CHARS} it can be guessed")]
    TooShort(usize),
    /// Over [`MAX_SECRET_CHARS`].
    #[error("the secret is longer than {MAX_SECRET_CHARS} characters")]
    TooLong,
    /// A space, a control character, or none of ASCII: no HTTP header carries it unharmed.
    #[error("the secret has a space, a line end inside, or a character that is not ASCII")]
    Characters,
}

impl Secret {
    /// Checks `text`: [`MIN_SECRET_CHARS`] to [`MAX_SECRET_CHARS`] printable ASCII characters, without spaces.
    /// A line end behind it is cut off, since editors and `echo` leave one.
    ///
    /// # Errors
    /// The first rule of [`SecretError`] that the text breaks.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        if text.len() > MAX_SECRET_CHARS {
            return Err(SecretError::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::Characters);
        }
        if text.len() < MIN_SECRET_CHARS {
            return Err(SecretError::TooShort(text.len()));
        }
        Ok(Self(text.into()))
    }

    /// The secret itself, for whoever has to sign with it. Never to be logged.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.0.as_bytes())
    }
}

impl SecretDigest {
    /// The digest of a secret that somebody presents.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Writes 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// In constant time for secrets of one length.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// In constant time. Of each request, hence by halves and not by bytes.
impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        let [mine, others]: [[u128; 2]; 2] = [zerocopy::transmute!(self.0), zerocopy::transmute!(other.0)];
        (mine[0].ct_eq(&others[0]) & mine[1].ct_eq(&others[1])).into()
    }
}

impl Eq for SecretDigest {}

/// A part of it does: it is a hash itself.
impl Hash for SecretDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [part, ..]: [u64; 4] = zerocopy::transmute!(self.0);
        state.write_u64(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "0123456789abcdef";

    #[test]
    fn a_secret_is_compared_and_never_shown() {
        let secret = Secret::new(GOOD).unwrap();
        assert_eq!(secret, Secret::new(&format!("{GOOD}\r\n")).unwrap());
        assert_ne!(secret, Secret::new("0123456789abcdeF").unwrap());
        assert_eq!(format!("{secret:?}{:?}", secret.digest()), "……");
        assert_eq!(secret.reveal(), GOOD);
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_with_the_reason() {
        for (text, error) in [
            ("", SecretError::Empty),
            ("\n", SecretError::Empty),
            ("0123456789abcde", SecretError::TooShort(15)),
            ("0123456789 abcdef", SecretError::Characters),
            ("0123456789abcdef\nx", SecretError::Characters),
            ("0123456789abcdeü", SecretError::Characters),
            (&"x".repeat(MAX_SECRET_CHARS + 1), SecretError::TooLong),
        ] {
            assert_eq!(Secret::new(text).map(|_| ()), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_digest_reads_back_and_is_that_of_sha256() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(SecretDigest::of(b"abc").to_hex(), abc);
        assert_eq!(SecretDigest::from_hex(&abc.to_ascii_uppercase()), Some(SecretDigest::of(b"abc")));
        for bad in ["", &abc[1..], &format!("{abc}0"), &abc.replace('b', "g"), &abc.replacen("ba", "+a", 1)] {
            assert_eq!(SecretDigest::from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn digests_differ_by_any_of_their_bits() {
        let digest = SecretDigest::of(b"abc");
        for bit in 0..256 {
            let mut other = digest;
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(digest, other, "bit {bit}");
        }
    }
}
