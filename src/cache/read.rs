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
use super::flight::{Buffer, CHUNK_BYTES, FlightPermit};
use super::state::{HotObject, State};
use crate::blobs::record::is_freed;
use crate::blobs::{Location, Pin, RecordView, replay};
use crate::config::Verify;
use crate::index::table::Slot;
use crate::key::ObjectName;
use crate::object::{ETag, ObjectInfo};

/// The key whose reads are never refused: without an answer to it sccache does not start (its start-up probe).
pub(super) const PROBE: &str = ".sccache_check";
/// Largest body that the memory tier takes.
const HOT_BYTES: u64 = 128 << 10;

/// A found object. It can be read to its end even when it is deleted or evicted meanwhile.
pub struct Object {
    info: ObjectInfo,
    /// The body's first bytes; all of it where it is small.
    first: Bytes,
    rest: Option<Rest>,
}

/// What is needed to read on behind the first bytes.
struct Rest {
    state: Arc<State>,
    pin: Arc<Pin>,
    location: Location,
    _permit: FlightPermit,
}

/// A body being read, in chunks of at most 256 KiB.
pub struct ObjectBody {
    first: Bytes,
    /// The part of the body that is neither handed out nor in `first`.
    range: Range<u64>,
    rest: Option<Rest>,
}

impl Object {
    /// Its properties.
    #[must_use]
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    pub(super) fn in_memory(hot: HotObject) -> Self {
        Self { info: hot.info, first: hot.body, rest: None }
    }

    /// Its body, or the part of it that `range` names: bytes, cut to the object's length.
    #[must_use]
    pub fn into_body(self, range: Range<u64>) -> ObjectBody {
        let range = range.start..range.end.min(self.info.length);
        let have = self.first.len() as u64;
        let cut = |at: u64| usize::try_from(at.min(have)).unwrap_or(self.first.len());
        let first =
            if range.is_empty() { Bytes::new() } else { self.first.slice(cut(range.start)..cut(range.end)) };
        let range = range.start.max(have)..range.end;
        let rest = self.rest.filter(|_| !range.is_empty());
        ObjectBody { first, range, rest }
    }
}

impl ObjectBody {
    /// Bytes not yet handed out.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.first.len() as u64 + self.range.end.saturating_sub(self.range.start)
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// `Io`: the body cannot be completed.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, CacheError> {
        if !self.first.is_empty() {
            return Ok(Some(std::mem::take(&mut self.first)));
        }
        let left = self.range.end.saturating_sub(self.range.start);
        let Some(rest) = self.rest.as_mut().filter(|_| left > 0) else { return Ok(None) };
        let want = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        // The body's own permit covers two chunks: one being written to the client, one being read.
        let buffer = rest.state.buffers.take(want, None);
        let offset = u64::from(rest.location.header_len) + rest.location.offset() + self.range.start;
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
    let large = location.body_len > CHUNK_BYTES as u64;
    let in_flight = if large { 2 * CHUNK_BYTES as u64 } else { location.record_len() };
    let mut permit = state.flight.take(in_flight);
    if permit.is_none() && name.key.last_segment() != PROBE {
        state.metrics.refused.with_label_values(&["memory"]).inc();
        return Err(CacheError::Overloaded);
    }
    let first_len = usize::from(location.header_len) + capped(location.body_len);
    let pin = Arc::new(pin);
    let first_permit = if large { None } else { permit.take() };
    let buffer = state.buffers.take(first_len, first_permit);
    let Some(buffer) = read_start(state, &slot, &pin, buffer, first_len).await? else { return Ok(None) };

    let Some((info, checksum)) = parse(&buffer.as_ref()[..first_len], &pin, name, &slot) else {
        drop_unparsed(state, &slot, buffer.as_ref());
        return Ok(None);
    };
    let first = Bytes::from_owner(buffer).slice(usize::from(location.header_len)..first_len);
    if !slot.verified || state.options.verify == Verify::Always {
        if !body_is_whole(&pin, location, &first, checksum).await? {
            state.drop_damaged(&slot, "body");
            return Ok(None);
        }
        state.table.set_verified(slot.hash, slot.sequence);
    }
    let rest =
        large.then(|| Rest { state: Arc::clone(state), pin, location, _permit: permit.unwrap_or_default() });
    warm(state, &slot, info, &first);
    Ok(Some(Object { info, first, rest }))
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
        drop_unparsed(state, &slot, buffer.as_ref());
    }
    Ok(parsed.map(|(info, _)| info))
}

/// Drops a record whose header, at the start of `bytes`, is not what the table says.
fn drop_unparsed(state: &State, slot: &Slot, bytes: &[u8]) {
    if is_freed(bytes) {
        state.drop_freed(slot);
    } else {
        state.drop_damaged(slot, "header");
    }
}

/// Puts a small object that was read before into the memory tier.
fn warm(state: &State, slot: &Slot, info: ObjectInfo, body: &Bytes) {
    if state.options.memory_tier > 0 && slot.hits > 1 && info.length <= HOT_BYTES {
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

fn capped(body_len: u64) -> usize {
    usize::try_from(body_len).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)
}
