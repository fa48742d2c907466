//! From a slot of the table to its object: its header is checked on every read, its body as `verify` says, and nothing is
//! handed out before that.
//!
//! What the page cache has is read on the calling thread ([`Opening::now`]); what it has not is waited for
//! ([`Opening::later`]), and goes to the blocking pool. It must not know where else a name may have an object.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use twox_hash::XxHash3_128;

use super::error::CacheError;
use super::flight::{Buffer, BufferPool, CHUNK_BYTES, FlightPermit};
use super::read::{Object, Record};
use super::state::{HotObject, State};
use crate::blobs::{Pin, RecordView, replay};
use crate::config::Verify;
use crate::index::table::Slot;
use crate::key::ObjectName;
use crate::object::{ETag, ObjectInfo};

/// Bodies up to this many bytes are read together with their header, and go into the memory tier; larger ones are read, or
/// sent from their file, in parts.
const WHOLE_BYTES: u64 = 128 << 10;

/// A record that is being opened.
pub(super) struct Opening {
    slot: Slot,
    pin: Pin,
    /// The record's beginning.
    buffer: Buffer,
    /// Bytes of it that were read.
    have: usize,
    /// Bytes of it that are needed: the header, and a small body.
    wanted: usize,
    /// For the parts of a large body. The permit of what is read here rides in the buffer.
    permit: Option<FlightPermit>,
    /// The body was found whole just now.
    checked: bool,
}

/// How far an opening came.
pub(super) enum Opened {
    /// To its end.
    Found(Object),
    /// The record turned out damaged or gone; it is dropped.
    Gone,
    /// To where the disk is waited for.
    Waits(Box<Opening>),
}

/// Opens the record that `slot` points at. `None` when it turns out damaged or gone; it is dropped then.
pub(super) async fn open(
    state: &Arc<State>,
    name: &ObjectName,
    slot: Slot,
    pin: Option<Pin>,
) -> Result<Option<Object>, CacheError> {
    match Opening::begin(state, name, slot, pin)? {
        Some(opening) => opening.later(state, name).await,
        None => Ok(None),
    }
}

/// Reads and checks the header alone.
pub(super) async fn open_header(
    state: &Arc<State>,
    name: &ObjectName,
    slot: Slot,
    pin: Option<Pin>,
) -> Result<Option<ObjectInfo>, CacheError> {
    let Some(pin) = pin else {
        state.drop_damaged(&slot, "segment missing");
        return Ok(None);
    };
    let header_len = usize::from(slot.location.header_len);
    let mut opening = Opening::new(state, slot, pin, header_len, None);
    if let Err(error) = opening.read_cached() {
        return opening.failed(state, error).map(|()| None);
    }
    if opening.has_more_to_read() {
        opening = match opening.read_from_disk(state).await? {
            Some(opening) => opening,
            None => return Ok(None),
        };
    }
    Ok(opening.parsed(state, name).map(|(info, _)| info))
}

impl Opening {
    /// Takes what the reading needs of the memory for bodies in flight. `None`: the record is gone.
    ///
    /// # Errors
    /// `Overloaded`.
    pub(super) fn begin(
        state: &State,
        name: &ObjectName,
        slot: Slot,
        pin: Option<Pin>,
    ) -> Result<Option<Self>, CacheError> {
        let Some(pin) = pin else {
            state.drop_damaged(&slot, "segment missing");
            return Ok(None);
        };
        let location = &slot.location;
        let header_len = usize::from(location.header_len);
        let with_body = header_len + usize::try_from(location.body_len).unwrap_or(usize::MAX);
        let large = is_large(&slot);
        // What the buffer takes, not what is put into it: a budget that counts less is none.
        let in_flight = match large {
            true => location.record_len().min(2 * CHUNK_BYTES as u64),
            false => BufferPool::size_for(with_body) as u64,
        };
        let permit = state.flight.take(in_flight);
        if permit.is_none() && !name.key.is_probe() {
            state.metrics.refused.with_label_values(&["memory"]).inc();
            return Err(CacheError::Overloaded);
        }
        Ok(Some(match large {
            true => Self { permit, ..Self::new(state, slot, pin, header_len, None) },
            false => Self::new(state, slot, pin, with_body, permit),
        }))
    }

    /// Opens it as far as that goes without waiting.
    ///
    /// # Errors
    /// `Io`: the disk could not be asked.
    pub(super) fn now(mut self, state: &Arc<State>, name: &ObjectName) -> Result<Opened, CacheError> {
        if let Err(error) = self.read_cached() {
            return self.failed(state, error).map(|()| Opened::Gone);
        }
        if self.has_more_to_read() {
            return Ok(Opened::Waits(Box::new(self)));
        }
        let Some((info, checksum)) = self.parsed(state, name) else { return Ok(Opened::Gone) };
        if self.is_to_be_checked(state) {
            if is_large(&self.slot) {
                return Ok(Opened::Waits(Box::new(self)));
            }
            if XxHash3_128::oneshot(self.body()) != checksum {
                state.drop_damaged(&self.slot, "body");
                return Ok(Opened::Gone);
            }
            state.table.set_verified(self.slot.hash, self.slot.sequence);
        }
        Ok(Opened::Found(self.into_object(state, info)))
    }

    /// Opens it, and waits for the disk where that is needed. `None`: the record is gone.
    ///
    /// # Errors
    /// `Io`: the disk could not be asked.
    pub(super) async fn later(
        mut self,
        state: &Arc<State>,
        name: &ObjectName,
    ) -> Result<Option<Object>, CacheError> {
        loop {
            let waits = match self.now(state, name)? {
                Opened::Found(object) => return Ok(Some(object)),
                Opened::Gone => return Ok(None),
                Opened::Waits(waits) => waits,
            };
            let waited = match waits.has_more_to_read() {
                true => waits.read_from_disk(state).await?,
                false => waits.check_on_disk(state, name).await?,
            };
            match waited {
                Some(opening) => self = opening,
                None => return Ok(None),
            }
        }
    }

    fn new(state: &State, slot: Slot, pin: Pin, wanted: usize, permit: Option<FlightPermit>) -> Self {
        let buffer = state.buffers.take(wanted, permit);
        Self { slot, pin, buffer, have: 0, wanted, permit: None, checked: false }
    }

    fn has_more_to_read(&self) -> bool {
        self.have < self.wanted
    }

    fn is_to_be_checked(&self, state: &State) -> bool {
        !self.checked && (!self.slot.verified || state.options.verify == Verify::Always)
    }

    fn body(&self) -> &[u8] {
        &self.buffer.as_ref()[usize::from(self.slot.location.header_len)..self.wanted]
    }

    /// Reads what the page cache has.
    fn read_cached(&mut self) -> io::Result<()> {
        while self.has_more_to_read() {
            let offset = self.slot.location.offset() + self.have as u64;
            let read = self.pin.read_cached(&mut self.buffer.as_mut()[self.have..self.wanted], offset)?;
            if read == 0 {
                break;
            }
            self.have += read;
        }
        Ok(())
    }

    /// Reads the rest. `None`: it cannot be read, and the record is dropped.
    async fn read_from_disk(self, state: &State) -> Result<Option<Self>, CacheError> {
        let mut opening = self;
        let task = tokio::task::spawn_blocking(move || {
            let Self { have, wanted, .. } = opening;
            let offset = opening.slot.location.offset() + have as u64;
            let read = opening
                .pin
                .file()
                .and_then(|file| file.read_exact_at(&mut opening.buffer.as_mut()[have..wanted], offset));
            opening.have = wanted;
            (opening, read)
        });
        match task.await.map_err(io::Error::other)? {
            (opening, Ok(())) => Ok(Some(opening)),
            (opening, Err(error)) => opening.failed(state, error).map(|()| None),
        }
    }

    /// Reads a large body once through. `None`: it is not whole, and the record is dropped.
    async fn check_on_disk(mut self, state: &State, name: &ObjectName) -> Result<Option<Self>, CacheError> {
        let Some((_, checksum)) = self.parsed(state, name) else { return Ok(None) };
        let task = tokio::task::spawn_blocking(move || {
            let location = self.slot.location;
            let found = self
                .pin
                .file()
                .and_then(|file| replay::body_checksum(file, location.body_offset(), location.body_len));
            self.checked = true;
            (self, found)
        });
        let (opening, found) = task.await.map_err(io::Error::other)?;
        if found? != Some(checksum) {
            state.drop_damaged(&opening.slot, "body");
            return Ok(None);
        }
        state.table.set_verified(opening.slot.hash, opening.slot.sequence);
        Ok(Some(opening))
    }

    /// What a failed read says of the record: nothing where descriptors, memory or threads are short. Else the disk cannot read it,
    /// or the file ends before it does, and it is dropped.
    fn failed(&self, state: &State, error: io::Error) -> Result<(), CacheError> {
        state.metrics.store_errors.with_label_values(&["read"]).inc();
        let is_short = matches!(error.kind(), io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock)
            || error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error());
        if is_short {
            return Err(error.into());
        }
        state.drop_damaged(&self.slot, "unreadable");
        Ok(())
    }

    /// The header, where it is that of `name` and of this record; with the body's checksum. Else the record is dropped.
    fn parsed(&self, state: &State, name: &ObjectName) -> Option<(ObjectInfo, u128)> {
        let bytes = &self.buffer.as_ref()[..self.wanted];
        let parsed = parse(bytes, &self.pin, name, &self.slot);
        if parsed.is_none() {
            let header = &bytes[..usize::from(self.slot.location.header_len)];
            state.drop_unreadable(&self.slot, &self.pin, header);
        }
        parsed
    }

    fn into_object(self, state: &Arc<State>, info: ObjectInfo) -> Object {
        let Self { slot, pin, buffer, wanted, permit, .. } = self;
        let header_len = usize::from(slot.location.header_len);
        if is_large(&slot) {
            return Object::stored(info, Record::new(state, pin, slot.location, permit));
        }
        let whole = Bytes::from_owner(buffer).slice(header_len..wanted);
        if state.options.memory_tier > 0 && slot.hits > 1 {
            // A copy of its own: the buffer belongs to the pool and is larger than the body.
            let body = Bytes::copy_from_slice(&whole);
            state.memory_tier.insert(slot.sequence, HotObject { info, body });
        }
        Object::in_memory(HotObject { info, body: whole })
    }
}

fn is_large(slot: &Slot) -> bool {
    slot.location.body_len > WHOLE_BYTES
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
