//! Reading a record: its header is checked on every read, its body as `verify` says, and nothing is handed out
//! before that.
//!
//! What the page cache has is read on the calling thread; what it has not goes to the blocking pool.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use twox_hash::XxHash3_128;

use super::error::CacheError;
use super::flight::{Buffer, BufferPool, CHUNK_BYTES, FlightPermit};
use super::state::{HotObject, State};
use super::tier::FillReader;
use crate::blobs::{FilePart, Location, Pin, RecordView, replay};
use crate::config::Verify;
use crate::index::table::Slot;
use crate::key::ObjectName;
use crate::object::{ETag, ObjectInfo};

/// Bodies up to this many bytes are read together with their header, and go into the memory tier; larger ones are read, or
/// sent from their file, in parts.
const WHOLE_BYTES: u64 = 128 << 10;

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
    Arriving(FillReader),
}

/// What is needed to read a body that is not in memory.
struct Record {
    state: Arc<State>,
    pin: Arc<Pin>,
    location: Location,
    _permit: FlightPermit,
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

    /// One that is on its way from the bucket.
    pub(super) fn arriving(reader: FillReader) -> Self {
        Self { info: reader.info(), whole: Bytes::new(), rest: Some(Rest::Arriving(reader)) }
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

    /// Bytes not yet handed out.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.whole.len() as u64 + self.range.end.saturating_sub(self.range.start)
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// `Io`: the body cannot be completed.
    pub async fn next_part(&mut self) -> Result<Option<BodyPart>, CacheError> {
        let left = self.range.end.saturating_sub(self.range.start);
        let rest = match &self.rest {
            Some(Rest::Stored(record)) if self.file_part > 0 && left > 0 => record,
            _ => return Ok(self.next_chunk().await?.map(BodyPart::Bytes)),
        };
        let length = usize::try_from(left).unwrap_or(self.file_part).min(self.file_part);
        let offset = rest.location.body_offset() + self.range.start;
        // What is sent from a file is not waited for by a thread that serves requests: it must be in memory by then.
        if !is_cached(&rest.pin, offset, length)? {
            fetch(&rest.pin, offset, length).await?;
        }
        self.range.start += length as u64;
        Ok(Some(BodyPart::File(FilePart::new(Arc::clone(&rest.pin), offset, length))))
    }

    /// The next chunk of bytes; `None` at the end.
    ///
    /// # Errors
    /// `Io`: the body cannot be completed.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, CacheError> {
        if !self.whole.is_empty() {
            return Ok(Some(std::mem::take(&mut self.whole)));
        }
        let left = self.range.end.saturating_sub(self.range.start);
        let Some(rest) = self.rest.as_mut().filter(|_| left > 0) else { return Ok(None) };
        let want = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let rest = match rest {
            Rest::Stored(record) => record,
            Rest::Arriving(reader) => {
                let bytes = reader.read(self.range.start, want).await?;
                self.range.start += bytes.len() as u64;
                return Ok(Some(bytes));
            }
        };
        // The body's own permit covers two chunks: one being written to the client, one being read.
        let buffer = rest.state.buffers.take(want, None);
        let offset = rest.location.body_offset() + self.range.start;
        let (buffer, read) = read_some(&rest.pin, buffer, want, offset).await?;
        self.range.start += read as u64;
        Ok(Some(Bytes::from_owner(buffer).slice(..read)))
    }
}

/// Opens the record that `slot` points at. `None` when it turns out damaged or gone; it is dropped then.
pub(super) async fn open(
    state: &Arc<State>,
    name: &ObjectName,
    slot: Slot,
    pin: Option<Pin>,
) -> Result<Option<Object>, CacheError> {
    let Some(pin) = pin else {
        state.drop_damaged(&slot, "segment missing");
        return Ok(None);
    };
    let location = slot.location;
    let large = location.body_len > WHOLE_BYTES;
    let header_len = usize::from(location.header_len);
    let with_body = header_len + usize::try_from(location.body_len).unwrap_or(usize::MAX);
    // What the buffer takes, not what is put into it: a budget that counts less is none.
    let in_flight = if large {
        location.record_len().min(2 * CHUNK_BYTES as u64)
    } else {
        BufferPool::size_for(with_body) as u64
    };
    let mut permit = state.flight.take(in_flight);
    if permit.is_none() && !name.key.is_probe() {
        state.metrics.refused.with_label_values(&["memory"]).inc();
        return Err(CacheError::Overloaded);
    }
    let first_len = if large { header_len } else { with_body };
    let pin = Arc::new(pin);
    let first_permit = if large { None } else { permit.take() };
    let buffer = state.buffers.take(first_len, first_permit);
    let Some(buffer) = read_start(state, &slot, &pin, buffer, first_len).await? else { return Ok(None) };

    let Some((info, checksum)) = parse(&buffer.as_ref()[..first_len], &pin, name, &slot) else {
        state.drop_unreadable(&slot, &pin, &buffer.as_ref()[..usize::from(location.header_len)]);
        return Ok(None);
    };
    let whole = Bytes::from_owner(buffer).slice(header_len..first_len);
    if !slot.verified || state.options.verify == Verify::Always {
        if !body_is_whole(&pin, location, &whole, checksum).await? {
            state.drop_damaged(&slot, "body");
            return Ok(None);
        }
        state.table.set_verified(slot.hash, slot.sequence);
    }
    warm(state, &slot, info, &whole);
    let record = Record { state: Arc::clone(state), pin, location, _permit: permit.unwrap_or_default() };
    Ok(Some(Object { info, whole, rest: large.then_some(Rest::Stored(record)) }))
}

/// Reads and checks the header alone.
pub(super) async fn open_header(
    state: &Arc<State>,
    name: &ObjectName,
    slot: Slot,
    pin: Option<Pin>,
) -> Result<Option<ObjectInfo>, CacheError> {
    let Some(pin) = pin.map(Arc::new) else {
        state.drop_damaged(&slot, "segment missing");
        return Ok(None);
    };
    let header_len = usize::from(slot.location.header_len);
    let buffer = state.buffers.take(header_len, None);
    let Some(buffer) = read_start(state, &slot, &pin, buffer, header_len).await? else { return Ok(None) };
    let parsed = parse(&buffer.as_ref()[..header_len], &pin, name, &slot);
    if parsed.is_none() {
        state.drop_unreadable(&slot, &pin, &buffer.as_ref()[..header_len]);
    }
    Ok(parsed.map(|(info, _)| info))
}

/// Puts a small object that was read before into the memory tier.
fn warm(state: &State, slot: &Slot, info: ObjectInfo, body: &Bytes) {
    if state.options.memory_tier > 0 && slot.hits > 1 && info.length <= WHOLE_BYTES {
        // A copy of its own: the buffer belongs to the pool and is larger than the body.
        let body = Bytes::copy_from_slice(body);
        state.memory_tier.insert(slot.sequence, HotObject { info, body });
    }
}

fn parse(bytes: &[u8], pin: &Pin, name: &ObjectName, slot: &Slot) -> Option<(ObjectInfo, u128)> {
    let view = RecordView::parse(bytes, pin.segment().salt(), Some(slot.location.block))?;
    if !view.is(name, slot.sequence)
        || view.body_len() != slot.location.body_len
        || view.header_len() != usize::from(slot.location.header_len)
    {
        return None;
    }
    let checksum = view.body_checksum();
    let info = ObjectInfo {
        length: view.body_len(),
        etag: ETag(checksum),
        created_ms: view.created_ms(),
        cost_ms: view.cost_ms(),
        sequence: slot.sequence,
    };
    Some((info, checksum))
}

/// Fills the first `length` bytes of the buffer from the record's start. `None`: the file ends before, or the disk cannot
/// read it; the record is dropped.
async fn read_start(
    state: &State,
    slot: &Slot,
    pin: &Arc<Pin>,
    mut buffer: Buffer,
    length: usize,
) -> Result<Option<Buffer>, CacheError> {
    let offset = slot.location.offset();
    let mut have = 0;
    while have < length {
        have += match read_at(pin, &mut buffer, have..length, offset + have as u64).await {
            Ok((returned, read)) => {
                if let Some(returned) = returned {
                    buffer = returned;
                }
                read
            }
            Err(error) => {
                state.metrics.store_errors.with_label_values(&["read"]).inc();
                return match error.kind() {
                    // No more descriptors or no more threads says nothing about the record.
                    io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => Err(error.into()),
                    _ if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                        Err(error.into())
                    }
                    _ => {
                        state.drop_damaged(slot, "unreadable");
                        Ok(None)
                    }
                };
            }
        };
    }
    Ok(Some(buffer))
}

/// Reads at least one byte of a chunk of `want` bytes.
async fn read_some(
    pin: &Arc<Pin>,
    mut buffer: Buffer,
    want: usize,
    offset: u64,
) -> io::Result<(Buffer, usize)> {
    let (returned, read) = read_at(pin, &mut buffer, 0..want, offset).await?;
    Ok((returned.unwrap_or(buffer), read))
}

/// Reads into `range` of the buffer: from the page cache here and now, else on the blocking pool, which takes the buffer
/// along and hands it back.
async fn read_at(
    pin: &Arc<Pin>,
    buffer: &mut Buffer,
    range: Range<usize>,
    offset: u64,
) -> io::Result<(Option<Buffer>, usize)> {
    let cached = pin.read_cached(&mut buffer.as_mut()[range.clone()], offset)?;
    if cached > 0 {
        return Ok((None, cached));
    }
    let pin = Arc::clone(pin);
    let mut owned = buffer.hand_over();
    let task = tokio::task::spawn_blocking(move || {
        let length = range.len();
        pin.file()?.read_exact_at(&mut owned.as_mut()[range], offset)?;
        Ok((Some(owned), length))
    });
    task.await.map_err(io::Error::other)?
}

async fn body_is_whole(
    pin: &Arc<Pin>,
    location: Location,
    first: &Bytes,
    checksum: u128,
) -> io::Result<bool> {
    if first.len() as u64 == location.body_len {
        return Ok(XxHash3_128::oneshot(first) == checksum);
    }
    let pin = Arc::clone(pin);
    let check = move || replay::body_checksum(pin.file()?, location.body_offset(), location.body_len);
    let found = tokio::task::spawn_blocking(check).await.map_err(io::Error::other)??;
    Ok(found == Some(checksum))
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
