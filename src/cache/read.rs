//! A found object, and its body on the way out.
//!
//! What the page cache has is handed out on the calling thread and without a future; what it has not goes to the blocking
//! pool. It must not know how the object was found.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::error::CacheError;
use super::flight::{CHUNK_BYTES, FlightPermit};
use super::state::{HotObject, State};
use super::tier::FillReader;
use crate::blobs::{FilePart, Location, Pin};
use crate::object::ObjectInfo;

/// What the kernel reads ahead of a sequential reader by default.
const READ_AHEAD_BYTES: usize = 128 << 10;

/// A found object. It can be read to its end even when it is deleted or evicted meanwhile.
pub struct Object {
    info: ObjectInfo,
    /// All of a small body.
    whole: Bytes,
    /// Where to read a larger one, or one that is not there yet.
    rest: Option<Rest>,
}

/// Where the bytes of a body come from that are not in memory.
enum Rest {
    /// A record.
    Stored(Record),
    /// The bucket, by way of whoever reads it.
    Arriving(Box<FillReader>),
}

/// What is needed to read a body that is not in memory.
pub(super) struct Record {
    state: Arc<State>,
    pin: Arc<Pin>,
    location: Location,
    /// Covers two chunks: one being written to the client, one being read.
    _permit: Option<FlightPermit>,
}

impl Record {
    pub(super) fn new(
        state: &Arc<State>,
        pin: Pin,
        location: Location,
        permit: Option<FlightPermit>,
    ) -> Self {
        Self { state: Arc::clone(state), pin: Arc::new(pin), location, _permit: permit }
    }
}

/// A part of a body.
pub enum BodyPart {
    /// Its bytes.
    Bytes(Bytes),
    /// Where its bytes lie.
    File(FilePart),
}

impl BodyPart {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(part) => part.len() as u64,
        }
    }

    /// True when it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A body being read, in chunks of at most 256 KiB.
pub struct ObjectBody {
    whole: Bytes,
    /// The part of the body that is neither handed out nor in `whole`.
    range: Range<u64>,
    rest: Option<Rest>,
    /// Longest part of a file to hand out; 0: bytes are asked for.
    file_part: usize,
}

impl Object {
    /// Its properties.
    #[must_use]
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    pub(super) fn in_memory(hot: HotObject) -> Self {
        Self { info: hot.info, whole: hot.body, rest: None }
    }

    /// One whose body is read when it is wanted.
    pub(super) fn stored(info: ObjectInfo, record: Record) -> Self {
        Self { info, whole: Bytes::new(), rest: Some(Rest::Stored(record)) }
    }

    /// One that is on its way from the bucket.
    pub(super) fn arriving(reader: FillReader) -> Self {
        Self { info: reader.info(), whole: Bytes::new(), rest: Some(Rest::Arriving(Box::new(reader))) }
    }

    /// Its body, or the part of it that `range` names: bytes, cut to the object's length.
    #[must_use]
    pub fn into_body(self, range: Range<u64>) -> ObjectBody {
        let range = range.start.min(self.info.length)..range.end.min(self.info.length);
        if self.rest.is_some() {
            return ObjectBody { whole: Bytes::new(), range, rest: self.rest, file_part: 0 };
        }
        let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.whole.len());
        let whole =
            if range.is_empty() { Bytes::new() } else { self.whole.slice(cut(range.start)..cut(range.end)) };
        ObjectBody { whole, range: 0..0, rest: None, file_part: 0 }
    }
}

impl ObjectBody {
    /// Asks for parts of the file, of at most `longest` bytes each, instead of bytes, where the body is not in memory.
    #[must_use]
    pub fn in_file_parts(mut self, longest: usize) -> Self {
        self.file_part = longest;
        self
    }

    /// True when nothing of it is to be read from anywhere.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.rest.is_none()
    }

    /// Bytes not yet handed out.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.whole.len() as u64 + self.range.end.saturating_sub(self.range.start)
    }

    /// The next part, where nothing has to be waited for; `None` at the end. Nothing is lost by asking.
    ///
    /// # Errors
    /// `Io`: the body cannot be completed.
    pub fn try_next_part(&mut self) -> Poll<Result<Option<BodyPart>, CacheError>> {
        if !self.whole.is_empty() {
            return Poll::Ready(Ok(Some(BodyPart::Bytes(std::mem::take(&mut self.whole)))));
        }
        let left = self.left();
        let record = match &self.rest {
            Some(Rest::Stored(record)) if left > 0 => record,
            Some(Rest::Arriving(_)) if left > 0 => return Poll::Pending,
            _ => return Poll::Ready(Ok(None)),
        };
        let offset = record.location.body_offset() + self.range.start;
        let read = match self.file_part {
            0 => {
                let length = left.min(CHUNK_BYTES);
                let mut buffer = record.state.buffers.take(length, None);
                let read = record.pin.read_cached(&mut buffer.as_mut()[..length], offset);
                read.map(|read| BodyPart::Bytes(Bytes::from_owner(buffer).slice(..read)))
            }
            longest => {
                let length = left.min(longest);
                let length =
                    is_cached(&record.pin, offset, length).map(|cached| if cached { length } else { 0 });
                length.map(|length| BodyPart::File(FilePart::new(Arc::clone(&record.pin), offset, length)))
            }
        };
        match read {
            Ok(part) if part.is_empty() => Poll::Pending,
            Ok(part) => {
                self.range.start += part.len();
                Poll::Ready(Ok(Some(part)))
            }
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// `Io`: the body cannot be completed.
    pub async fn next_part(&mut self) -> Result<Option<BodyPart>, CacheError> {
        if let Poll::Ready(part) = self.try_next_part() {
            return part;
        }
        let left = self.left();
        let part = match &mut self.rest {
            None => return Ok(None),
            Some(Rest::Arriving(reader)) => {
                BodyPart::Bytes(reader.read(self.range.start, left.min(CHUNK_BYTES)).await?)
            }
            Some(Rest::Stored(record)) => {
                let offset = record.location.body_offset() + self.range.start;
                match self.file_part {
                    0 => BodyPart::Bytes(record.read(offset, left.min(CHUNK_BYTES)).await?),
                    // What is sent from a file is not waited for by a thread that serves requests: it must be in memory by then.
                    longest => {
                        let length = left.min(longest);
                        fetch(&record.pin, offset, length).await?;
                        BodyPart::File(FilePart::new(Arc::clone(&record.pin), offset, length))
                    }
                }
            }
        };
        self.range.start += part.len();
        Ok(Some(part))
    }

    /// The next chunk of bytes; `None` at the end. For a body of which no parts of files were asked.
    ///
    /// # Errors
    /// `Io`: the body cannot be completed.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, CacheError> {
        self.file_part = 0;
        match self.next_part().await? {
            Some(BodyPart::Bytes(bytes)) => Ok(Some(bytes)),
            Some(BodyPart::File(_)) | None => Ok(None),
        }
    }

    /// Bytes of the body that are neither handed out nor in `whole`, as far as this machine can address them.
    fn left(&self) -> usize {
        usize::try_from(self.range.end.saturating_sub(self.range.start)).unwrap_or(usize::MAX)
    }
}

impl Record {
    /// Reads `length` bytes, and waits for them.
    async fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let (pin, mut buffer) = (Arc::clone(&self.pin), self.state.buffers.take(length, None));
        let task = tokio::task::spawn_blocking(move || {
            pin.file()?.read_exact_at(&mut buffer.as_mut()[..length], offset)?;
            Ok(Bytes::from_owner(buffer).slice(..length))
        });
        task.await.map_err(io::Error::other)?
    }
}

/// True when the page cache seems to have these bytes: it is asked for one byte in every read-ahead window, from the last one back. Of
/// a body's beginning the header, which was read just now, has told.
fn is_cached(pin: &Pin, offset: u64, length: usize) -> io::Result<bool> {
    for at in (0..length).rev().step_by(READ_AHEAD_BYTES) {
        if pin.read_cached(&mut [0], offset + at as u64)? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads these bytes into the page cache.
async fn fetch(pin: &Arc<Pin>, offset: u64, length: usize) -> io::Result<()> {
    let pin = Arc::clone(pin);
    let read = move || {
        let mut buffer = vec![0; READ_AHEAD_BYTES.min(length)];
        for at in (0..length).step_by(READ_AHEAD_BYTES) {
            let part = &mut buffer[..READ_AHEAD_BYTES.min(length - at)];
            pin.file()?.read_exact_at(part, offset + at as u64)?;
        }
        Ok(())
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}
