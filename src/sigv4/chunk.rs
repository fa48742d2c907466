//! The signatures inside a body that is signed chunk by chunk: each covers its data and the signature before it.
//!
//! It must not know how chunks are framed.

use super::key::{hex, sha256};
use super::{Scope, Signature, SigningKey, Timestamp};

/// The hash of nothing, which stands in every chunk's text for headers that chunks do not have.
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The chain of signatures of one body, starting from the request's own.
#[derive(Clone)]
pub struct ChunkSignatures {
    key: SigningKey,
    moment_and_scope: String,
    previous: Signature,
}

impl ChunkSignatures {
    /// The chain behind a request that was signed with `key` and has the signature `seed`.
    #[must_use]
    pub fn new(key: SigningKey, timestamp: &Timestamp, scope: &Scope, seed: Signature) -> Self {
        Self { key, moment_and_scope: format!("{}\n{}", timestamp.as_str(), scope.path()), previous: seed }
    }

    /// True when `claimed` signs a chunk with this SHA-256; the chain then goes on from it.
    #[must_use]
    pub fn accepts_chunk(&mut self, data_sha256: &[u8; 32], claimed: &Signature) -> bool {
        let (head, previous) = (&self.moment_and_scope, self.previous.to_hex());
        let data = hex(data_sha256);
        self.accepts(&format!("AWS4-HMAC-SHA256-PAYLOAD\n{head}\n{previous}\n{EMPTY_HASH}\n{data}"), claimed)
    }

    /// True when `claimed` signs the trailers, given as `name:value` lines with a line feed behind each.
    #[must_use]
    pub fn accepts_trailer(&mut self, trailers: &str, claimed: &Signature) -> bool {
        let (head, previous) = (&self.moment_and_scope, self.previous.to_hex());
        let hash = hex(&sha256(trailers.as_bytes()));
        self.accepts(&format!("AWS4-HMAC-SHA256-TRAILER\n{head}\n{previous}\n{hash}"), claimed)
    }

    fn accepts(&mut self, text: &str, claimed: &Signature) -> bool {
        let own = self.key.sign(text.as_bytes());
        self.previous = own;
        own.matches(claimed)
    }
}

impl std::fmt::Debug for ChunkSignatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkSignatures").finish_non_exhaustive()
    }
}
