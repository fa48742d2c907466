//! Keys and signatures: HMAC-SHA256 from the secret, over date, region and service, to the request.
//!
//! It must not know what the signed text says.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{ALGORITHM, Timestamp};

/// What a key is good for: one day, one region, one service.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    /// The day, `20150830`.
    pub date: String,
    /// The region, whatever the client calls it.
    pub region: String,
    /// The service; `s3` for S3.
    pub service: String,
}

/// The key that signs all requests of one [`Scope`].
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

/// A signature. Comparing two takes the same time whatever they are, which is why there is no `==`.
#[derive(Clone, Copy, Debug)]
pub struct Signature([u8; 32]);

impl Scope {
    /// `20150830/us-east-1/s3/aws4_request`, as it stands in the text to sign.
    #[must_use]
    pub fn path(&self) -> String {
        let Self { date, region, service } = self;
        format!("{date}/{region}/{service}/aws4_request")
    }
}

impl SigningKey {
    /// The key of `secret` for `scope`.
    #[must_use]
    pub fn derive(secret: &[u8], scope: &Scope) -> Self {
        let first = [b"AWS4", secret].concat();
        let date = hmac(&first, scope.date.as_bytes());
        let region = hmac(&date, scope.region.as_bytes());
        let service = hmac(&region, scope.service.as_bytes());
        Self(hmac(&service, b"aws4_request"))
    }

    /// Signs `text`.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Signature {
        Signature(hmac(&self.0, text))
    }
}

impl Signature {
    /// Reads 64 hex digits, small letters as every client writes them.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// The signature as 64 hex digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// True when both are the same, found out in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The text that a request's signature is made of: the algorithm, the moment, the scope and the canonical request's hash.
#[must_use]
pub fn string_to_sign(timestamp: &Timestamp, scope: &Scope, canonical_request: &[u8]) -> String {
    let Scope { date, region, service } = scope;
    let moment = timestamp.as_str();
    let mut text = String::with_capacity(192);
    // Writing to a string does not fail.
    let _ = write!(text, "{ALGORITHM}\n{moment}\n{date}/{region}/{service}/aws4_request\n");
    push_hex(&mut text, &sha256(canonical_request));
    text
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC is defined for keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_read_back_and_only_the_same_one_matches() {
        let key = SigningKey([7; 32]);
        let (one, other) = (key.sign(b"one"), key.sign(b"other"));
        assert!(Signature::from_hex(&one.to_hex()).unwrap().matches(&one));
        assert!(!one.matches(&other));
        for bad in ["", "00", &"g".repeat(64), &one.to_hex().to_uppercase(), &"ü".repeat(32)] {
            assert!(Signature::from_hex(bad).is_none(), "{bad}");
        }
    }
}
