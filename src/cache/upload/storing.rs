//! An upload that is stored: gathered in memory up to a size, beyond that streamed into a file of its own.
//!
//! It knows its limits and nothing of where they come from. Order of things: reserve room → take the bytes → append → publish under the precondition → (with
//! `durability = "commit"`) wait for the sync. Whatever ends an upload before it is published undoes all of it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;
use twox_hash::XxHash3_128;

use super::{Accepted, Origin, Stored, blocking};
use crate::blobs::record::header_len;
use crate::blobs::{Location, RecordHeader, SoloView, SoloWriter};
use crate::cache::budget::Reservation;
use crate::cache::error::CacheError;
use crate::cache::flight::FlightPermit;
use crate::cache::publication::{Publication, Published};
use crate::cache::state::State;
use crate::cache::{evict, tier};

/// Largest body gathered in memory; larger ones get a file of their own.
pub(in crate::cache) const GATHER_BYTES: u64 = 8 << 20;
/// Memory taken at a time for a body of unknown length, and the size of a write to a solo file.
const STEP_BYTES: u64 = 1 << 20;
/// Largest record appended on the thread that serves the request. At 260 KB the way to another thread and back is a sixth of what
/// an upload costs; at 1 MB and above the thread would be kept from others so long that those who read wait half longer.
const INLINE_BYTES: u64 = 512 << 10;

/// Largest body of the probe that is taken without asking the memory budget: sccache, which cannot write it when it
/// starts, reads only from then on.
const PROBE_BYTES: u64 = 4096;
/// A piece of a body that is smaller than this is put to the one before it, up to the second size, in bytes.
const SMALL_PIECE: usize = 4096;
const JOINED_PIECES: usize = 64 << 10;

/// A body on its way to the disk.
pub(super) struct Storing {
    state: Arc<State>,
    accepted: Accepted,
    received: u64,
    /// Bytes not yet written, or all of them while the body is gathered.
    chunks: Vec<Bytes>,
    in_chunks: u64,
    /// Of what was taken in so far, where the body's length is known and it comes in pieces: hashed as they arrive, while the
    /// processor still has them near.
    hasher: Option<Box<XxHash3_128>>,
    permit: FlightPermit,
    permitted: u64,
    reservation: Option<Reservation>,
    reserved: u64,
    solo: Option<Solo>,
    view: Option<SoloView>,
}

/// A solo file, or the write to it that is under way.
enum Solo {
    Idle(Box<SoloWriter>),
    Writing(JoinHandle<io::Result<Box<SoloWriter>>>),
}

impl Storing {
    pub(super) async fn begin(state: Arc<State>, accepted: Accepted) -> Result<Self, CacheError> {
        let mut upload = Self {
            state,
            accepted,
            received: 0,
            chunks: Vec::new(),
            in_chunks: 0,
            hasher: None,
            permit: FlightPermit::default(),
            permitted: 0,
            reservation: None,
            reserved: 0,
            solo: None,
            view: None,
        };
        let declared = upload.accepted.declared_length;
        let expected = declared.unwrap_or(0);
        upload.reserve(expected).await?;
        let is_probe =
            declared.is_some_and(|length| length <= PROBE_BYTES) && upload.accepted.name.key.is_probe();
        if is_probe {
            upload.permitted = PROBE_BYTES;
        } else if upload.accepted.origin != Origin::Client && expected <= GATHER_BYTES {
            upload.permitted = expected;
        } else if expected > GATHER_BYTES {
            upload.permit(2 * STEP_BYTES)?;
            upload.open_solo().await?;
        } else {
            // An empty body, too, costs a little to handle.
            upload.permit(expected.max(4096))?;
        }
        Ok(upload)
    }

    /// Where the body can be read while it is stored; `None` while it is gathered in memory.
    pub(super) fn view(&self) -> Option<SoloView> {
        self.view.clone()
    }

    /// Takes the next part of the body.
    ///
    /// # Errors
    /// `TooLarge`, `LengthMismatch` (more than declared), `NoSpace`, `Overloaded`, `Io`. The upload is over then.
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<(), CacheError> {
        let taken = self.take_in(chunk).await;
        if taken.is_err()
            && let Some(undone) = self.undo()
        {
            // Whoever is told of the failure finds the room free again.
            undone.await;
        }
        taken
    }

    async fn take_in(&mut self, chunk: Bytes) -> Result<(), CacheError> {
        // So a piece as long as the body is the only one, which `hash` relies on.
        if chunk.is_empty() {
            return Ok(());
        }
        self.received += chunk.len() as u64;
        self.accepted.check(self.received)?;
        if self.received > self.reserved {
            self.reserve((self.received + STEP_BYTES).min(self.accepted.limit)).await?;
        }
        self.in_chunks += chunk.len() as u64;
        self.hash(&chunk);
        self.keep(chunk);
        if self.solo.is_some() {
            if self.in_chunks >= STEP_BYTES {
                self.write_chunks().await?;
            }
        } else if self.in_chunks > self.permitted {
            // Only a body of unknown length gets here: one that was declared has its permit.
            let more = self.state.flight.take(STEP_BYTES).filter(|_| self.in_chunks <= GATHER_BYTES);
            match more {
                Some(more) => {
                    self.permit.join(more);
                    self.permitted += STEP_BYTES;
                }
                None => {
                    self.open_solo().await?;
                    self.write_chunks().await?;
                }
            }
        }
        Ok(())
    }

    /// Publishes the object, all or nothing.
    ///
    /// # Errors
    /// `LengthMismatch`, `PreconditionFailed`, `NoSpace`, `Io`.
    pub(super) async fn commit(mut self) -> Result<Stored, CacheError> {
        self.accepted.check_end(self.received)?;
        let (location, published) = if self.solo.is_some() {
            self.write_chunks().await?;
            let (writer, publication) = (self.take_idle_solo().await?, self.publication());
            let cost_ms = self.accepted.cost_ms;
            blocking(move || {
                let Publication { sequence, created_ms, .. } = publication;
                let (header, location) = writer.finish(sequence, created_ms, cost_ms)?;
                let published = publication.insert(location);
                Ok((location, publication.settle(&header, location, published)))
            })
            .await
        } else {
            self.append().await
        }
        .map_err(|error| self.write_failed(error))?;
        let stored = published?;
        let group = self.accepted.space.group;
        if self.state.spaces.rules(group).is_above(self.state.table.disk_bytes_of(group)) {
            self.state.evict.ring();
        }
        // Where it replaced another, that one must be unreadable by then, whichever lane sees to that.
        self.state.committed(stored.created.then_some(location)).await?;
        if self.accepted.origin == Origin::Client {
            tier::written_through(&self.state, stored.info.sequence).await;
        }
        Ok(stored)
    }

    /// A body in one piece is left to the append, which hashes that quicker; the memory of one of unknown length may run out, and then
    /// it is hashed as it goes to a file of its own.
    fn hash(&mut self, chunk: &Bytes) {
        let is_gathered = self.accepted.declared_length.is_some_and(|length| length <= GATHER_BYTES);
        let is_whole = self.accepted.declared_length == Some(chunk.len() as u64);
        if is_gathered && !is_whole {
            self.hasher.get_or_insert_default().write(chunk);
        }
    }

    /// Each piece keeps the buffer that it arrived in. So small ones are put together, or a body of single bytes would hold
    /// many times the memory that it was permitted.
    fn keep(&mut self, chunk: Bytes) {
        let last = self.chunks.pop_if(|last| chunk.len() < SMALL_PIECE && last.len() < JOINED_PIECES);
        let Some(last) = last else { return self.chunks.push(chunk) };
        let mut joined = last.try_into_mut().unwrap_or_else(|shared| {
            let mut joined = BytesMut::with_capacity(shared.len() + SMALL_PIECE);
            joined.extend_from_slice(&shared);
            joined
        });
        joined.extend_from_slice(&chunk);
        self.chunks.push(joined.freeze());
    }

    async fn append(&mut self) -> io::Result<(Location, Published)> {
        let (body, publication) = (std::mem::take(&mut self.chunks), self.publication());
        let (name, body_len, state) = (self.accepted.name.clone(), self.received, Arc::clone(&self.state));
        let (cost_ms, hasher) = (self.accepted.cost_ms, self.hasher.take());
        let work = move || {
            let body_checksum = match (hasher, &body[..]) {
                (Some(hasher), _) => hasher.finish_128(),
                (None, [whole]) => XxHash3_128::oneshot(whole),
                (None, parts) => {
                    let mut hasher = XxHash3_128::new();
                    parts.iter().for_each(|part| hasher.write(part));
                    hasher.finish_128()
                }
            };
            let Publication { sequence, created_ms, .. } = publication;
            let header = RecordHeader { sequence, name, body_len, created_ms, cost_ms, body_checksum };
            let began = Instant::now();
            let publish = |location| (location, publication.insert(location));
            let (location, published) = match state.store.append(&header, &body, publish) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    evict::relieve_disk(&state, 2 * state.options.disk_cost_of(body_len))?;
                    state.store.append(&header, &body, publish)?
                }
                other => other?,
            };
            state.note_append(began.elapsed());
            Ok((location, publication.settle(&header, location, published)))
        };
        if self.received <= INLINE_BYTES && self.state.appends_are_quick() {
            work()
        } else {
            blocking(work).await
        }
    }

    fn publication(&mut self) -> Publication {
        let (sequence, outgoing) = match self.accepted.origin {
            Origin::Client => {
                let (name, group) = (&self.accepted.name, self.accepted.space.group);
                tier::begin_write(&self.state, name, self.received, group)
            }
            Origin::Bucket { .. } => (self.state.next_sequence(), None),
        };
        Publication {
            hash: self.state.table.hash(&self.accepted.name),
            sequence,
            outgoing,
            created_ms: match self.accepted.origin {
                Origin::Client => self.state.clock.now_ms(),
                Origin::Bucket { modified_ms } => modified_ms,
            },
            space: self.accepted.space,
            precondition: self.accepted.precondition,
            write_once: self.accepted.write_once,
            _room: (self.reservation.take(), std::mem::take(&mut self.permit)),
            state: Arc::clone(&self.state),
        }
    }

    /// Makes the reservation cover a body of `length` bytes.
    async fn reserve(&mut self, length: u64) -> Result<(), CacheError> {
        let wanted = self.state.options.disk_cost_of(length + u64::from(header_len(&self.accepted.name)));
        let have = self.state.options.disk_cost_of(self.reserved);
        let missing = if self.reservation.is_some() { wanted.saturating_sub(have) } else { wanted };
        let budget = &self.state.budget;
        let granted = match &mut self.reservation {
            Some(reservation) => budget.extend(reservation, missing),
            none => {
                *none = budget.reserve(missing);
                none.is_some()
            }
        };
        if !granted {
            let state = Arc::clone(&self.state);
            let room = blocking(move || evict::make_room(&state, missing)).await?;
            let Some(room) = room else {
                self.state.evict.ring();
                return Err(CacheError::NoSpace { wanted: length });
            };
            match &mut self.reservation {
                Some(reservation) => reservation.join(room),
                none => *none = Some(room),
            }
        }
        self.reserved = length;
        if self.state.budget.committed() > self.state.budget.high_mark() {
            self.state.evict.ring();
        }
        Ok(())
    }

    fn permit(&mut self, bytes: u64) -> Result<(), CacheError> {
        let Some(permit) = self.state.flight.take(bytes) else {
            self.state.metrics.refused.with_label_values(&["memory"]).inc();
            return Err(CacheError::Overloaded);
        };
        self.permit.join(permit);
        self.permitted += bytes;
        Ok(())
    }

    async fn open_solo(&mut self) -> Result<(), CacheError> {
        let (store, name) = (self.state.store.clone(), self.accepted.name.clone());
        let created = blocking(move || store.create_solo(name)).await;
        let writer = created.map_err(|error| self.write_failed(error))?;
        self.view = Some(writer.view());
        self.solo = Some(Solo::Idle(Box::new(writer)));
        Ok(())
    }

    /// Starts to write the gathered chunks, once the write before them is done: one is written while the next arrives.
    async fn write_chunks(&mut self) -> Result<(), CacheError> {
        let mut writer = self.take_idle_solo().await?;
        let chunks = std::mem::take(&mut self.chunks);
        self.in_chunks = 0;
        let state = Arc::clone(&self.state);
        let write = move || {
            match writer.write(&chunks) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    evict::relieve_disk(&state, GATHER_BYTES)?;
                    writer.write(&chunks)?;
                }
                other => other?,
            }
            Ok(writer)
        };
        self.solo = Some(Solo::Writing(tokio::task::spawn_blocking(write)));
        Ok(())
    }

    async fn take_idle_solo(&mut self) -> Result<Box<SoloWriter>, CacheError> {
        // Waited for in place: an upload that is dropped meanwhile still knows of the write.
        let written = match &mut self.solo {
            Some(Solo::Writing(task)) => {
                Some(task.await.map_err(io::Error::other).and_then(|written| written))
            }
            _ => None,
        };
        match (self.solo.take(), written) {
            (_, Some(written)) => written.map_err(|error| self.write_failed(error)),
            (Some(Solo::Idle(writer)), None) => Ok(writer),
            _ => Err(io::Error::other("the upload has failed before").into()),
        }
    }

    /// Removes the unfinished file, where there is one. A write under way cannot be stopped, and removing a large file takes
    /// time: neither is for the request's thread, and the room stays taken until the file is gone.
    fn undo(&mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let solo = self.solo.take()?;
        let held = (self.reservation.take(), std::mem::take(&mut self.permit));
        Some(async move {
            let writer = match solo {
                Solo::Idle(writer) => Some(writer),
                Solo::Writing(task) => task.await.ok().and_then(Result::ok),
            };
            let removed = tokio::task::spawn_blocking(move || drop(writer)).await;
            drop((removed, held));
        })
    }

    fn write_failed(&self, error: io::Error) -> CacheError {
        self.state.metrics.store_errors.with_label_values(&["write"]).inc();
        if error.kind() == io::ErrorKind::StorageFull {
            self.state.evict.ring();
            return CacheError::NoSpace { wanted: self.received };
        }
        error.into()
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        // A small file goes here and now, with its room.
        if matches!(&self.solo, Some(Solo::Idle(writer)) if writer.written() <= GATHER_BYTES) {
            return;
        }
        if let (Some(undone), Ok(runtime)) = (self.undo(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(undone);
        }
    }
}
