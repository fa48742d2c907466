//! Making a written record the current one of its object, and letting go of what that leaves over.

use std::sync::Arc;

use super::budget::Reservation;
use super::error::CacheError;
use super::flight::FlightPermit;
use super::state::State;
use crate::blobs::{Location, RecordHeader};
use crate::index::table::{Inserted, NameHash, Slot};
use crate::object::Precondition;

/// Makes a written record the current one of its object. It travels with the write: a record that is on disk gets
/// published or let go even when the client has left and nobody waits for the outcome.
pub(super) struct Publication {
    pub(super) state: Arc<State>,
    pub(super) hash: NameHash,
    pub(super) sequence: u64,
    pub(super) precondition: Precondition,
    /// Given back once the record's blocks are counted.
    pub(super) _room: (Option<Reservation>, FlightPermit),
}

/// The record's header, and whether there was no object of its name before.
pub(super) type Published = Result<(RecordHeader, bool), CacheError>;

impl Publication {
    /// Makes the record the current one of its object, where the precondition allows.
    pub(super) fn insert(&self, location: Location) -> Result<Inserted, Precondition> {
        let let_go = |old: &Slot| self.state.release_replaced(old);
        self.state.table.insert(self.hash, self.sequence, location, self.precondition, let_go)
    }

    /// Lets go of what the record replaced, or of the record itself where it did not become the current one.
    pub(super) fn settle(
        self,
        header: RecordHeader,
        location: Location,
        inserted: Result<Inserted, Precondition>,
    ) -> Published {
        let Self { state, hash, sequence, .. } = &self;
        let release = || {
            state.dead.lock().push(*sequence);
            state.store.release(location, hash.number());
        };
        match inserted {
            Ok(Inserted::Created) => Ok((header, true)),
            Ok(Inserted::Replaced(old)) => {
                state.mark_replaced(&old);
                Ok((header, false))
            }
            Ok(Inserted::Superseded) => {
                release();
                Ok((header, false))
            }
            Err(_) => {
                // The record must not be found by a later start either.
                let killed = state.store.kill(&location);
                release();
                killed?;
                Err(CacheError::PreconditionFailed)
            }
        }
    }
}
