//! Heads and bodies of HTTP/1.1 as they are on the wire, in pieces: raw bytes, and which of them are the body's own.
//!
//! Knows how messages are framed; nothing of what is done to them.

use std::io::{BufRead, Error, ErrorKind, Result};
use std::ops::Range;

/// A request line or status line with its headers, as it came.
pub struct Head {
    pub raw: Vec<u8>,
    first: String,
    headers: Vec<(String, String)>,
}

/// How long a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    Length(u64),
    Chunked,
    /// To the end of the connection.
    ToTheEnd,
}

/// Some bytes of a body.
pub struct Piece {
    pub raw: Vec<u8>,
    /// Which of them are the body's own; the others frame chunks.
    pub own: Range<usize>,
}

impl Head {
    /// Reads one; `None` at the end of the connection.
    pub fn read(from: &mut impl BufRead) -> Result<Option<Self>> {
        let mut raw = Vec::new();
        while !raw.ends_with(b"\r\n\r\n") {
            if from.read_until(b'\n', &mut raw)? == 0 {
                return if raw.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Ok(Some(Self { raw, first, headers }))
    }

    /// A word of the first line: 0 is a request's method, 1 its target or an answer's status.
    pub fn word(&self, number: usize) -> &str {
        self.first.split(' ').nth(number).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// How the body behind a head is framed that has no rule of its own: `otherwise` where nothing says.
    pub fn framing(&self, otherwise: Framing) -> Framing {
        if self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked;
        }
        self.header("content-length")
            .and_then(|length| length.parse().ok())
            .map_or(otherwise, Framing::Length)
    }

    /// True when the connection ends with this message.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// A body that is still being read.
pub struct Body {
    framing: Framing,
    ended: bool,
}

impl Body {
    pub fn new(framing: Framing) -> Self {
        Self { framing, ended: framing == Framing::Length(0) }
    }

    /// The next bytes; `None` behind the last.
    pub fn next(&mut self, from: &mut impl BufRead) -> Result<Option<Piece>> {
        if self.ended {
            return Ok(None);
        }
        match &mut self.framing {
            Framing::Length(left) => {
                let some = from.fill_buf()?;
                let length = some.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                if length == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                let raw = some[..length].to_vec();
                from.consume(length);
                *left -= length as u64;
                self.ended = *left == 0;
                Ok(Some(Piece { raw, own: 0..length }))
            }
            Framing::ToTheEnd => {
                let raw = from.fill_buf()?.to_vec();
                from.consume(raw.len());
                self.ended = raw.is_empty();
                let own = 0..raw.len();
                Ok((!self.ended).then_some(Piece { raw, own }))
            }
            Framing::Chunked => self.chunk(from).map(Some),
        }
    }

    fn chunk(&mut self, from: &mut impl BufRead) -> Result<Piece> {
        let mut raw = Vec::new();
        from.read_until(b'\n', &mut raw)?;
        let line = String::from_utf8_lossy(&raw).into_owned();
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            usize::from_str_radix(size, 16).map_err(|_| Error::other(format!("a chunk's size: {line:?}")))?;
        let start = raw.len();
        raw.resize(start + size, 0);
        from.read_exact(&mut raw[start..])?;
        // The line behind the chunk; behind the last one also trailers and the empty line.
        loop {
            let line_start = raw.len();
            if from.read_until(b'\n', &mut raw)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if size > 0 || &raw[line_start..] == b"\r\n" {
                break;
            }
        }
        self.ended = size == 0;
        Ok(Piece { raw, own: start..start + size })
    }
}
