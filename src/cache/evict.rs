//! Making room: the least recently used objects go until the budget is kept.
//!
//! Which object goes is the table's word (exact LRU); how many bytes must go is the budget's, or a quota's, and whoever is
//! above a quota goes first. This module connects them, ahead of the writers in the background, or for one writer that
//! found no room.

use std::io;

use super::budget::Reservation;
use super::compaction;
use super::state::{State, gauge};

/// Evicts until every quota is kept, and until the low mark when the high mark is passed.
///
/// # Errors
/// The disk's, when blocks could not be freed.
pub(super) fn keep_ahead(state: &State) -> io::Result<()> {
    keep_quotas(state)?;
    if state.budget.committed() <= state.budget.high_mark() || !state.is_ready() {
        return Ok(());
    }
    let _one_at_a_time = state.evicting.lock();
    let reason = if state.budget.disk_is_short() { "min_free_disk" } else { "capacity" };
    evict_down_to(state, state.budget.low_mark(), reason)?;
    free_whole_segments(state, state.budget.high_mark())
}

/// Evicts from every group of namespaces that is above its quota, its own least recently used first.
///
/// # Errors
/// The disk's, when blocks could not be freed.
pub(super) fn keep_quotas(state: &State) -> io::Result<()> {
    let is_above =
        || state.spaces.all().any(|(group, rules)| rules.is_above(state.table.disk_bytes_of(group)));
    if !state.is_ready() || !is_above() {
        return Ok(());
    }
    let _one_at_a_time = state.evicting.lock();
    evict_above_quotas(state)
}

/// Reserves `bytes` for a writer, evicting as many as it takes. `None` when that does not help.
///
/// # Errors
/// The disk's, when blocks could not be freed.
pub(super) fn make_room(state: &State, bytes: u64) -> io::Result<Option<Reservation>> {
    if let Some(reservation) = state.budget.reserve(bytes) {
        return Ok(Some(reservation));
    }
    if bytes > state.budget.most() || !state.is_ready() {
        return Ok(None);
    }
    let _one_at_a_time = state.evicting.lock();
    let reason = if state.budget.disk_is_short() { "min_free_disk" } else { "capacity" };
    // Whoever had the lock before made room.
    if let Some(reservation) = state.budget.reserve(bytes) {
        return Ok(Some(reservation));
    }
    let claim = state.budget.claim(bytes);
    let mut unusable = 0;
    for _ in 0..3 {
        let target = state.budget.low_mark().saturating_sub(bytes).saturating_sub(unusable);
        evict_down_to(state, target, reason)?;
        free_whole_segments(state, state.budget.writers_limit().saturating_sub(bytes))?;
        if let Some(reservation) = claim.reserve() {
            return Ok(Some(reservation));
        }
        // What an overwrite left behind is only freed after a sync.
        state.sync_all()?;
        state.store.reclaim()?;
        if let Some(reservation) = claim.reserve() {
            return Ok(Some(reservation));
        }
        // What is dead and not free by now is still being read: it counts as freed and cannot be used.
        unusable = state.store.pending_bytes();
    }
    Ok(None)
}

/// Frees at least `bytes` because the file system itself is full.
///
/// # Errors
/// The disk's, when blocks could not be freed.
pub(super) fn relieve_disk(state: &State, bytes: u64) -> io::Result<()> {
    if !state.is_ready() {
        return Ok(());
    }
    let _one_at_a_time = state.evicting.lock();
    let target = state.budget.committed().saturating_sub(bytes);
    evict_down_to(state, target, "disk_full")?;
    free_whole_segments(state, target)
}

fn evict_above_quotas(state: &State) -> io::Result<()> {
    let mut any = false;
    for (group, rules) in state.spaces.all() {
        if !rules.is_above(state.table.disk_bytes_of(group)) {
            continue;
        }
        while state.table.disk_bytes_of(group) > rules.low_mark() {
            let Some(slot) = state.table.remove_oldest_of(group) else { break };
            state.count_eviction(&slot, "quota");
            state.forget(&slot);
            any = true;
        }
    }
    if any { state.store.reclaim() } else { Ok(()) }
}

fn evict_down_to(state: &State, target: u64, reason: &str) -> io::Result<()> {
    evict_above_quotas(state)?;
    let mut last_used = None;
    while state.budget.committed() > compaction::with_reclaimable(state, target) {
        let Some(slot) = state.table.remove_oldest() else { break };
        state.count_eviction(&slot, reason);
        last_used = Some(slot.used_us);
        state.forget(&slot);
    }
    if let Some(used_us) = last_used {
        state.metrics.last_evicted_age.set(gauge(state.clock.now_us().saturating_sub(used_us) / 1_000_000));
        state.store.reclaim()?;
    }
    Ok(())
}

/// On a file system that frees only whole files, empties the thinnest segments until `target` is kept.
fn free_whole_segments(state: &State, target: u64) -> io::Result<()> {
    if state.store.punches_holes() {
        return Ok(());
    }
    while state.budget.taken() > target {
        if !compaction::empty_thinnest(state)? {
            break;
        }
    }
    Ok(())
}
