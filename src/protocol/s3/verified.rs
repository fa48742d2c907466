//! A request's body as its sender meant it: out of its framing, and checked against all that was promised.
//!
//! Whoever stores what it hands out must undo that when it fails, which can be as late as its end.

use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::checksums::{Checksums, Subject};
use super::chunked::{ChunkError, Decoder};
use super::payload::Payload;
use crate::cache::{Cache, MemoryPermit};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::incoming::Incoming;
use crate::protocol::write::Source;

/// The body of a signed or unsigned S3 request.
pub(super) struct Verified<'a> {
    incoming: &'a mut Incoming,
    framing: Framing,
    checksums: Option<Checksums>,
    length: Option<u64>,
    received: u64,
}

enum Framing {
    Plain,
    Hashed { hash: Sha256, promised: [u8; 32] },
    Chunked(Box<Decoder>),
}

impl<'a> Verified<'a> {
    /// The body of a request with these headers, whose checksums are those of `subject`.
    ///
    /// # Errors
    /// A [`Refusal`] when its length or a checksum is not declared as it must be.
    pub(super) fn new(
        incoming: &'a mut Incoming,
        headers: &HeaderMap,
        payload: Payload,
        subject: Subject,
    ) -> Result<Self, Refusal> {
        let framing = match payload {
            Payload::Plain => Framing::Plain,
            Payload::Hashed(promised) => Framing::Hashed { hash: Sha256::new(), promised },
            Payload::Chunked { signatures } => Framing::Chunked(Box::new(Decoder::new(signatures))),
        };
        let length = match &framing {
            Framing::Plain | Framing::Hashed { .. } => {
                incoming.declared_length().or_else(|| incoming.is_empty().then_some(0))
            }
            Framing::Chunked(_) => decoded_length(headers)?,
        };
        let mut checksums = Checksums::promised(headers, subject)?;
        if let Framing::Chunked(_) = framing {
            checksums = checksums.and_in_trailers(headers)?;
        }
        Ok(Self { incoming, framing, checksums: Some(checksums), length, received: 0 })
    }

    /// All of the body, of at most `limit` bytes, and the memory it may take.
    pub(super) async fn read_all(
        mut self,
        limit: u64,
        cache: &Cache,
    ) -> Result<(Bytes, MemoryPermit), Refusal> {
        let too_long = || Refusal::new(ErrorCode::TooLarge, format!("the body is longer than {limit} bytes"));
        if self.length.is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let most = self.length.unwrap_or(limit);
        let permit = cache.reserve_memory(most)?;
        let mut all = Vec::new();
        while let Some(chunk) = self.next_chunk().await? {
            if (all.len() + chunk.len()) as u64 > most {
                return Err(too_long());
            }
            all.extend_from_slice(&chunk);
        }
        Ok((all.into(), permit))
    }

    async fn next_plain(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            if let Framing::Chunked(decoder) = &mut self.framing
                && let Some(data) = decoder.next_data()?
            {
                return Ok(Some(data));
            }
            match (self.incoming.next_chunk().await?, &mut self.framing) {
                (Some(bytes), Framing::Chunked(decoder)) => decoder.push(bytes),
                (Some(bytes), Framing::Plain) => return Ok(Some(bytes)),
                (Some(bytes), Framing::Hashed { hash, .. }) => {
                    hash.update(&bytes);
                    return Ok(Some(bytes));
                }
                (None, Framing::Chunked(decoder)) if !decoder.is_done() => {
                    return Err(incomplete("the body ends before its last chunk"));
                }
                (None, _) => return Ok(None),
            }
        }
    }

    fn check_end(&mut self) -> Result<(), Refusal> {
        if self.length.is_some_and(|length| length != self.received) {
            return Err(incomplete("the body is shorter than its declared length"));
        }
        let trailers = match &mut self.framing {
            Framing::Plain => &[][..],
            Framing::Hashed { hash, promised } => {
                if *hash.finalize_reset() != *promised {
                    let text = "the body's SHA-256 is not the x-amz-content-sha256 of the request";
                    return Err(Refusal::new(ErrorCode::PayloadMismatch, text));
                }
                &[]
            }
            Framing::Chunked(decoder) => decoder.trailers(),
        };
        self.checksums.take().map_or(Ok(()), |checksums| checksums.finish(trailers))
    }
}

impl Source for Verified<'_> {
    fn declared_length(&self) -> Option<u64> {
        self.length
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some(chunk) = self.next_plain().await? else {
            self.check_end()?;
            return Ok(None);
        };
        self.received += chunk.len() as u64;
        if self.length.is_some_and(|length| self.received > length) {
            return Err(incomplete("the body is longer than its declared length"));
        }
        if let Some(checksums) = &mut self.checksums {
            checksums.update(&chunk);
        }
        Ok(Some(chunk))
    }
}

impl From<ChunkError> for Refusal {
    fn from(error: ChunkError) -> Self {
        let code = match error {
            ChunkError::Framing | ChunkError::TooLong | ChunkError::Trailer | ChunkError::Leftover => {
                ErrorCode::IncompleteBody
            }
            ChunkError::Unsigned | ChunkError::Signature => ErrorCode::BadSignature,
        };
        Self::new(code, error.to_string())
    }
}

fn decoded_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let value = headers.get("x-amz-decoded-content-length").and_then(|value| value.to_str().ok());
    let length = value.and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| {
        let text = "a body in aws-chunked form needs its plain length in x-amz-decoded-content-length";
        Refusal::new(ErrorCode::LengthRequired, text)
    })
}

fn incomplete(text: &'static str) -> Refusal {
    Refusal::new(ErrorCode::IncompleteBody, text)
}
