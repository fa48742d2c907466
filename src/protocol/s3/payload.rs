//! What a signed request promises of its body, read from `x-amz-content-sha256`.
//!
//! Whether the promise was signed by somebody who may is the business of `auth`, which makes the chain of chunk
//! signatures. It must not read a body.

use http::HeaderMap;

use crate::protocol::error::{ErrorCode, Refusal};
use crate::sigv4::{ChunkSignatures, UNSIGNED_PAYLOAD};

/// How the body comes, and what must be true of it.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    /// As it is; nothing is promised.
    #[default]
    Plain,
    /// As it is, with this SHA-256.
    Hashed([u8; 32]),
    /// In chunks inside the body, `aws-chunked`.
    Chunked {
        /// The chain that each chunk's signature must belong to; `None` where chunks are not signed.
        signatures: Option<ChunkSignatures>,
    },
}

/// The forms of `x-amz-content-sha256`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PayloadForm {
    /// `UNSIGNED-PAYLOAD`, or no header.
    Plain,
    /// 64 hex digits.
    Hashed([u8; 32]),
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    Chunked,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, with or without `-TRAILER`.
    SignedChunks,
}

impl PayloadForm {
    /// Reads the value of `x-amz-content-sha256`.
    ///
    /// # Errors
    /// A [`Refusal`] that names the forms there are.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            UNSIGNED_PAYLOAD => Ok(Self::Plain),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::Chunked),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                Ok(Self::SignedChunks)
            }
            _ if text.starts_with("STREAMING-AWS4-ECDSA-P256-SHA256") => Err(Refusal::new(
                ErrorCode::NotImplemented,
                "bodies signed with ECDSA are not implemented: use Signature V4 with HMAC-SHA256",
            )),
            digits => hash(digits).map(Self::Hashed).ok_or_else(|| {
                Refusal::new(
                    ErrorCode::BadHeader,
                    "x-amz-content-sha256 is none of: 64 hex digits, UNSIGNED-PAYLOAD, \
                     STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER]",
                )
            }),
        }
    }
}

impl Payload {
    /// The payload of a signed request: `payload_hash` is what its signature covers for the body, `chunks` the chain
    /// that begins with it.
    ///
    /// # Errors
    /// A [`Refusal`] for a hash of no known form.
    pub fn signed(payload_hash: &str, chunks: ChunkSignatures) -> Result<Self, Refusal> {
        Ok(match PayloadForm::parse(payload_hash)? {
            PayloadForm::Plain => Self::Plain,
            PayloadForm::Hashed(hash) => Self::Hashed(hash),
            PayloadForm::Chunked => Self::Chunked { signatures: None },
            PayloadForm::SignedChunks => Self::Chunked { signatures: Some(chunks) },
        })
    }

    /// The payload of a request that nobody signed.
    ///
    /// # Errors
    /// A [`Refusal`] for a header that promises signatures, or nothing that is known.
    pub fn unsigned(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(value) = headers.get("x-amz-content-sha256") else {
            return Ok(Self::Plain);
        };
        match PayloadForm::parse(value.to_str().unwrap_or_default())? {
            PayloadForm::Plain => Ok(Self::Plain),
            PayloadForm::Hashed(hash) => Ok(Self::Hashed(hash)),
            PayloadForm::Chunked => Ok(Self::Chunked { signatures: None }),
            PayloadForm::SignedChunks => Err(Refusal::new(
                ErrorCode::BadHeader,
                "x-amz-content-sha256 promises signed chunks, but the request is not signed",
            )),
        }
    }
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_told_from_the_others() {
        for (text, form) in [
            ("UNSIGNED-PAYLOAD", PayloadForm::Plain),
            ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", PayloadForm::Chunked),
            ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", PayloadForm::SignedChunks),
            ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", PayloadForm::SignedChunks),
            (&"0a".repeat(32), PayloadForm::Hashed([10; 32])),
        ] {
            assert_eq!(PayloadForm::parse(text).unwrap(), form, "{text}");
        }
        for (text, code) in [
            ("", ErrorCode::BadHeader),
            ("unsigned", ErrorCode::BadHeader),
            (&"0g".repeat(32), ErrorCode::BadHeader),
            ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", ErrorCode::NotImplemented),
        ] {
            assert_eq!(PayloadForm::parse(text).unwrap_err().code(), code, "{text}");
        }
    }
}
