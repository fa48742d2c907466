//! Removing what nobody is to find any more: objects whose time is over, and namespaces of a pattern that are idle.
//!
//! Runs on the thread that evicts, at times that the shortest rule asks for. Reads do not depend on it: an expired object
//! is a miss from the moment on that its time is over.

use std::collections::HashMap;
use std::io;

use super::state::State;
use crate::index::table::{Slot, Space};

/// Objects removed between two walks through the table.
const BATCH: usize = 1 << 16;
/// Between two walks lies this part of the shortest time that a rule names.
const ROUND_PART: u64 = 16;
/// Least and most time between two walks, in milliseconds: a walk through a million objects takes some ten.
const ROUND_MS: std::ops::RangeInclusive<u64> = 1000..=60_000;

/// When to walk next.
#[derive(Default)]
pub(super) struct Schedule {
    next_ms: u64,
}

impl Schedule {
    /// Removes what is over, where it is time to look.
    ///
    /// # Errors
    /// The disk's, when blocks could not be freed.
    pub(super) fn work(&mut self, state: &State) -> io::Result<()> {
        let Some(shortest_ms) = state.spaces.shortest_ms() else { return Ok(()) };
        let now_ms = state.clock.now_ms();
        if now_ms < self.next_ms || !state.is_ready() {
            return Ok(());
        }
        let round = (shortest_ms / ROUND_PART).clamp(*ROUND_MS.start(), *ROUND_MS.end());
        self.next_ms = now_ms.saturating_add(round);
        let expired = remove_expired(state, now_ms);
        let idle = remove_idle(state, now_ms.saturating_mul(1000));
        if expired + idle > 0 { state.store.reclaim() } else { Ok(()) }
    }
}

fn remove_expired(state: &State, now_ms: u64) -> usize {
    let is_expired = |slot: &Slot| state.spaces.is_expired(slot, || now_ms);
    remove_all(state, is_expired, |slot| {
        let _ = state.drop_if_expired(slot);
    })
}

/// An idle namespace has no object that was used of late. What was in use when the process died may count as used when
/// it was stored, where the index on disk was lost with it.
fn remove_idle(state: &State, now_us: u64) -> usize {
    let mut last_used: HashMap<Space, u64> = HashMap::new();
    state.table.scan(|slot| {
        if state.spaces.idle_us(slot.space.group).is_some() {
            let used_us = last_used.entry(slot.space).or_default();
            *used_us = slot.used_us.max(*used_us);
        }
    });
    last_used.retain(|space, used_us| {
        let idle_us = state.spaces.idle_us(space.group);
        idle_us.is_some_and(|idle_us| used_us.saturating_add(idle_us) <= now_us)
    });
    for space in last_used.keys() {
        let pattern = &state.spaces.rules(space.group).label;
        tracing::info!(%pattern, "idle namespace of a pattern removed");
    }
    // Who is read after all, in this very moment, keeps what was read.
    let is_idle =
        |slot: &Slot| last_used.get(&slot.space).is_some_and(|last_used| slot.used_us <= *last_used);
    remove_all(state, is_idle, |slot| state.drop_unused(slot, "idle"))
}

/// Removes every object that `is_over`, and says how many that were.
fn remove_all(state: &State, is_over: impl Fn(&Slot) -> bool, remove: impl Fn(&Slot)) -> usize {
    let mut removed = 0;
    loop {
        let mut found = Vec::new();
        state.table.scan(|slot| {
            if found.len() < BATCH && is_over(slot) {
                found.push(*slot);
            }
        });
        found.iter().for_each(&remove);
        removed += found.len();
        if found.len() < BATCH {
            return removed;
        }
    }
}
