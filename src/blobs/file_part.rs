//! A part of a record's body that stays in its file: the kernel sends it to a socket without a copy in between.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::segment::Pin;

/// A run of bytes of a pinned segment file.
pub struct FilePart {
    pin: Arc<Pin>,
    offset: u64,
    length: usize,
}

impl FilePart {
    /// The `length` bytes from `offset` of the pinned file.
    #[must_use]
    pub fn new(pin: Arc<Pin>, offset: u64, length: usize) -> Self {
        Self { pin, offset, length }
    }

    /// Bytes not yet sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// True when all of it is sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Sends as much as `socket` takes, at most `limit` bytes, and cuts that off. Returns how many bytes that were.
    ///
    /// # Errors
    /// Those of `sendfile(2)`, `WouldBlock` among them; `UnexpectedEof` when the file ends early.
    pub fn send(&mut self, socket: impl AsFd, limit: usize) -> io::Result<usize> {
        let mut offset = self.offset;
        let sent = rustix::fs::sendfile(socket, self.pin.file()?, Some(&mut offset), self.length.min(limit))?;
        if sent == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += sent as u64;
        self.length -= sent;
        Ok(sent)
    }
}
