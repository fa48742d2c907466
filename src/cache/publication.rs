//! Making a written record the current one of its object, and letting go of what that leaves over.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::budget::Reservation;
use super::error::CacheError;
use super::flight::FlightPermit;
use super::state::State;
use super::tier::Outgoing;
use super::upload::{Stored, refuse_overwrite};
use crate::blobs::{Location, RecordHeader, RecordView};
use crate::index::table::{Inserted, NameHash, NewRecord, Slot, Space};
use crate::object::{ETag, ObjectInfo, Precondition};

/// Makes a written record the current one of its object. It travels with the write: a record that is on disk gets
/// published or let go even when the client has left and nobody waits for the outcome.
pub(super) struct Publication {
    pub(super) state: Arc<State>,
    pub(super) hash: NameHash,
    pub(super) sequence: u64,
    pub(super) created_ms: u64,
    pub(super) space: Space,
    pub(super) precondition: Precondition,
    /// True when the precondition is the namespace's own rule: an object with the same body meets it as well.
    pub(super) write_once: bool,
    /// Where it is to go to the bucket.
    pub(super) outgoing: Option<Outgoing>,
    /// Given back once the record's blocks are counted.
    pub(super) _room: (Option<Reservation>, FlightPermit),
}

/// What became of the record.
pub(super) type Published = Result<Stored, CacheError>;

impl Publication {
    /// Makes the record the current one of its object, where the precondition allows.
    pub(super) fn insert(&self, location: Location) -> Result<Inserted, Precondition> {
        let let_go = |old: &Slot| self.state.release_replaced(old, &location);
        let Self { hash, sequence, space, created_ms, .. } = *self;
        let unsaved = self.outgoing.as_ref().is_some_and(Outgoing::is_unsaved);
        let record = NewRecord { hash, sequence, location, space, created_ms, unsaved };
        self.state.table.insert(record, self.precondition, let_go)
    }

    /// Lets go of what the record replaced, or of the record itself where it did not become the current one.
    pub(super) fn settle(
        mut self,
        header: &RecordHeader,
        location: Location,
        inserted: Result<Inserted, Precondition>,
    ) -> Published {
        if matches!(inserted, Ok(Inserted::Created | Inserted::Replaced(_)))
            && let Some(outgoing) = self.outgoing.take()
        {
            outgoing.published(&header.name, self.hash);
        }
        let Self { state, hash, sequence, .. } = &self;
        let release = || {
            state.dead.lock().push(*sequence);
            state.store.release(location, hash.number());
        };
        let stored = |created| Ok(Stored { info: described(header), created });
        match inserted {
            Ok(Inserted::Created) => stored(true),
            Ok(Inserted::Replaced(old)) => {
                state.mark_replaced(&old);
                stored(false)
            }
            Ok(Inserted::Superseded) => {
                release();
                stored(false)
            }
            Err(_) => {
                // The record must not be found by a later start either.
                let killed = state.store.kill(&location);
                release();
                killed?;
                if !self.write_once {
                    return Err(CacheError::PreconditionFailed);
                }
                match self.same_body(header) {
                    Some(info) => Ok(Stored { info, created: false }),
                    None => Err(refuse_overwrite(state, self.space, &header.name)),
                }
            }
        }
    }

    /// The current object, where somebody stored the same body a moment earlier.
    fn same_body(&self, header: &RecordHeader) -> Option<ObjectInfo> {
        let pin = |slot: &Slot| self.state.store.pin(&slot.location);
        let (slot, pin) = self.state.table.peek(self.hash, pin)?;
        let pin = pin?;
        let mut bytes = vec![0; usize::from(slot.location.header_len)];
        pin.file().ok()?.read_exact_at(&mut bytes, slot.location.offset()).ok()?;
        let view = RecordView::parse(&bytes, pin.segment().salt(), Some(slot.location.block))?;
        let current = view.to_header().filter(|_| view.is(&header.name, slot.sequence))?;
        let same = (current.body_len, current.body_checksum) == (header.body_len, header.body_checksum);
        same.then(|| described(&current))
    }
}

fn described(header: &RecordHeader) -> ObjectInfo {
    ObjectInfo {
        length: header.body_len,
        etag: ETag(header.body_checksum),
        created_ms: header.created_ms,
        cost_ms: header.cost_ms,
        sequence: header.sequence,
    }
}
