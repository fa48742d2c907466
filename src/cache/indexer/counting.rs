//! When the index is asked for its size: after each step where room is scarce, after many where there is plenty of it.
//!
//! Asking makes the engine write what it holds, a third of the time of a step of a hundred changes. Knows the budget; not
//! what the steps are.

use crate::cache::budget::{MIN_INDEX_HEADROOM, Reservation};
use crate::cache::state::State;
use crate::index::{Index, IndexError};

/// Steps between two times, where there is room for them.
const STEPS: u64 = 32;

/// The counting of one index.
#[derive(Default)]
pub(super) struct Counting(Option<Ahead>);

/// Room for the steps that are not counted yet.
struct Ahead {
    _room: Reservation,
    steps: u64,
}

impl Counting {
    /// To be called after each step. Returns the bytes of disk blocks that the index takes where they were counted.
    ///
    /// # Errors
    /// The engine's, or the disk's.
    pub(super) fn after_step(&mut self, state: &State, index: &dyn Index) -> Result<Option<u64>, IndexError> {
        if let Self(Some(Ahead { steps: steps @ 1.., .. })) = self {
            *steps -= 1;
            return Ok(None);
        }
        let bytes = self.count(state, index)?;
        self.0 = state
            .budget
            .reserve_spare(STEPS * MIN_INDEX_HEADROOM)
            .map(|room| Ahead { _room: room, steps: STEPS });
        Ok(Some(bytes))
    }

    /// Tells the budget how many bytes of disk blocks the index takes, and returns them.
    ///
    /// # Errors
    /// The engine's, or the disk's.
    pub(super) fn count(&mut self, state: &State, index: &dyn Index) -> Result<u64, IndexError> {
        let bytes = index.disk_bytes()?;
        state.budget.set_index_bytes(bytes);
        // Only now: what it was kept for is counted.
        self.0 = None;
        Ok(bytes)
    }
}
