//! The `aws-chunked` framing: chunks inside a body, each with its length and perhaps a signature, then trailers.
//!
//! A state machine over bytes, fed with whatever pieces the network gives. Data is handed out before its signature
//! is checked, so whoever stores it must be able to undo that. It must not know what the trailers mean.

use bytes::{Buf as _, Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use crate::sigv4::{ChunkSignatures, Signature};

/// Longest line: a chunk's head, or a trailer.
const MAX_LINE: usize = 1024;
/// Most trailers.
const MAX_TRAILERS: usize = 16;

/// Decodes one body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    line: Vec<u8>,
    input: Bytes,
    signatures: Option<ChunkSignatures>,
    /// The signature of the chunk that is being read, and the hash of what came of it.
    chunk: Option<(Signature, Sha256)>,
    trailers: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// At a chunk's head.
    Head,
    /// Inside a chunk's data; bytes that are missing.
    Data(u64),
    /// At the line end behind a chunk's data.
    End,
    /// At a trailer, or at the empty line behind them.
    Trailers,
    Done,
}

/// Why a body is not `aws-chunked`, or not what was signed. The text is fit for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChunkError {
    /// A chunk's head, or its end, is malformed.
    #[error("the body is not aws-chunked: a chunk starts with its length in hex and ends with a line end")]
    Framing,
    /// A line or the list of trailers is longer than any client's.
    #[error("the body's aws-chunked framing has a line or a list of trailers that is too long")]
    TooLong,
    /// A trailer is malformed.
    #[error("the body has a trailer that is not of the form 'name:value'")]
    Trailer,
    /// Bytes behind the last chunk.
    #[error("the body goes on behind its last chunk")]
    Leftover,
    /// A signature is missing.
    #[error("a chunk of the body has no signature, though the request promises one for each")]
    Unsigned,
    /// A signature is wrong.
    #[error(
        "a chunk's signature is not that of its bytes: they were changed on the way, or the secret is wrong"
    )]
    Signature,
}

impl Decoder {
    /// A decoder; `signatures` where each chunk must be signed.
    #[must_use]
    pub fn new(signatures: Option<ChunkSignatures>) -> Self {
        Self {
            state: State::Head,
            line: Vec::new(),
            input: Bytes::new(),
            signatures,
            chunk: None,
            trailers: Vec::new(),
        }
    }

    /// Gives it the next bytes of the body. What was given before must have been taken by [`Decoder::next_data`].
    pub fn push(&mut self, bytes: Bytes) {
        if self.input.is_empty() {
            self.input = bytes;
        } else {
            let mut joined = BytesMut::from(&*self.input);
            joined.extend_from_slice(&bytes);
            self.input = joined.freeze();
        }
    }

    /// The next piece of data; `None` when more input is needed, or when all is decoded.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn next_data(&mut self) -> Result<Option<Bytes>, ChunkError> {
        while !self.input.is_empty() {
            match self.state {
                State::Data(missing) => {
                    let here = usize::try_from(missing)
                        .map_or(self.input.len(), |missing| missing.min(self.input.len()));
                    let data = self.input.split_to(here);
                    if let Some((_, hash)) = &mut self.chunk {
                        hash.update(&data);
                    }
                    let missing = missing - data.len() as u64;
                    self.state = if missing == 0 { State::End } else { State::Data(missing) };
                    if missing == 0 {
                        self.check_chunk()?;
                    }
                    return Ok(Some(data));
                }
                State::Done => return Err(ChunkError::Leftover),
                State::Head | State::End | State::Trailers => {
                    if let Some(line) = self.take_line()? {
                        self.take(&line)?;
                    }
                }
            }
        }
        Ok(None)
    }

    /// True when the last chunk and the trailers are there and right.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailers, names in small letters.
    #[must_use]
    pub fn trailers(&self) -> &[(String, String)] {
        &self.trailers
    }

    fn take(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        match self.state {
            State::Head => self.take_head(line),
            State::End if line.is_empty() => {
                self.state = State::Head;
                Ok(())
            }
            State::Trailers if line.is_empty() => self.finish(),
            State::Trailers => self.take_trailer(line),
            State::End | State::Data(_) | State::Done => Err(ChunkError::Framing),
        }
    }

    /// `<length in hex>[;chunk-signature=<64 hex digits>]`
    fn take_head(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        let text = std::str::from_utf8(line).map_err(|_| ChunkError::Framing)?;
        let (length, extension) = match text.split_once(';') {
            Some((length, extension)) => (length, Some(extension)),
            None => (text, None),
        };
        let is_hex = !length.is_empty() && length.bytes().all(|digit| digit.is_ascii_hexdigit());
        let length = u64::from_str_radix(length, 16).ok().filter(|_| is_hex).ok_or(ChunkError::Framing)?;
        if self.signatures.is_some() {
            let signature = extension.and_then(|text| text.strip_prefix("chunk-signature="));
            let signature = signature.and_then(Signature::from_hex).ok_or(ChunkError::Unsigned)?;
            self.chunk = Some((signature, Sha256::new()));
        }
        if length > 0 {
            self.state = State::Data(length);
            return Ok(());
        }
        self.state = State::Trailers;
        self.check_chunk()
    }

    fn take_trailer(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        if self.trailers.len() == MAX_TRAILERS {
            return Err(ChunkError::TooLong);
        }
        let text = std::str::from_utf8(line).map_err(|_| ChunkError::Trailer)?;
        let (name, value) = text.split_once(':').ok_or(ChunkError::Trailer)?;
        self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ChunkError> {
        let is_signature = |(name, _): &(String, String)| name == "x-amz-trailer-signature";
        let claimed = self.trailers.iter().position(is_signature).map(|at| self.trailers.remove(at).1);
        if let Some(signatures) = &mut self.signatures
            && !(self.trailers.is_empty() && claimed.is_none())
        {
            let text: String =
                self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            let claimed = claimed.as_deref().and_then(Signature::from_hex).ok_or(ChunkError::Unsigned)?;
            if !signatures.accepts_trailer(&text, &claimed) {
                return Err(ChunkError::Signature);
            }
        }
        self.state = State::Done;
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), ChunkError> {
        match (&mut self.signatures, self.chunk.take()) {
            (Some(signatures), Some((claimed, hash))) => {
                let fits = signatures.accepts_chunk(&hash.finalize().into(), &claimed);
                fits.then_some(()).ok_or(ChunkError::Signature)
            }
            _ => Ok(()),
        }
    }

    /// The next line without its end, once all of it is there. Some clients end a trailer with a line feed alone.
    fn take_line(&mut self) -> Result<Option<Vec<u8>>, ChunkError> {
        let end = self.input.iter().position(|byte| *byte == b'\n');
        let here = end.map_or(self.input.len(), |at| at + 1);
        if self.line.len() + here > MAX_LINE {
            return Err(ChunkError::TooLong);
        }
        self.line.extend_from_slice(&self.input[..here]);
        self.input.advance(here);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Trailers = Vec<(String, String)>;

    fn decode(body: &[u8], piece: usize) -> Result<(Vec<u8>, Trailers, bool), ChunkError> {
        let mut decoder = Decoder::new(None);
        let mut data = Vec::new();
        for piece in body.chunks(piece) {
            decoder.push(Bytes::copy_from_slice(piece));
            while let Some(part) = decoder.next_data()? {
                data.extend_from_slice(&part);
            }
        }
        Ok((data, decoder.trailers().to_vec(), decoder.is_done()))
    }

    #[test]
    fn chunks_and_trailers_are_decoded_however_they_arrive() {
        let body = b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nx-amz-checksum-crc32: AAAA \r\nX-B:c\n\r\n";
        let trailers =
            vec![("x-amz-checksum-crc32".to_owned(), "AAAA".to_owned()), ("x-b".to_owned(), "c".to_owned())];
        for piece in 1..=body.len() {
            let decoded = decode(body, piece).unwrap();
            assert_eq!(decoded, (b"abc0123456789".to_vec(), trailers.clone(), true), "pieces of {piece}");
        }
        assert_eq!(decode(b"0\r\n\r\n", 2).unwrap(), (vec![], vec![], true));
        assert!(!decode(b"3\r\nabc\r\n0\r\n", 100).unwrap().2, "the end is missing");
    }

    #[test]
    fn broken_framing_is_refused() {
        for (body, error) in [
            (&b"x\r\n"[..], ChunkError::Framing),
            (b"\r\n", ChunkError::Framing),
            (b"+3\r\nabc\r\n", ChunkError::Framing),
            (b"3\r\nabcd\r\n", ChunkError::Framing),
            (b"11111111111111111\r\n", ChunkError::Framing),
            (b"0\r\nno colon\r\n", ChunkError::Trailer),
            (b"0\r\n\r\nmore", ChunkError::Leftover),
            (&[b'0'; 2000], ChunkError::TooLong),
        ] {
            assert_eq!(decode(body, 7), Err(error), "{:?}", String::from_utf8_lossy(body));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..20) {
            let _ = decode(&body, piece);
        }
    }
}
