//! The start: the table is filled from the index on disk, then from what the segments have beyond it.
//!
//! Runs behind a server that answers already. Nothing found here is trusted further than that every read checks it, so a
//! damaged, stale or missing index costs time and no data.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::indexer::SharedIndexer;
use super::state::State;
use super::{repair, tier};
use crate::blobs::{Location, RecordHeader, Segment};
use crate::index::table::{Loaded, Slot};
use crate::index::{Index, IndexError, MemoryIndex, Progress, Recency, SledIndex};
use crate::key::ObjectName;

/// Fills the table. Afterwards the cache is ready.
pub(super) fn load(state: &State, indexer: &SharedIndexer) {
    let began = Instant::now();
    let old: HashMap<u32, Arc<Segment>> = state
        .store
        .segments()
        .into_iter()
        // A new cache is ready already: what it has by now it stored itself.
        .filter(|segment| !state.is_ready() && segment.is_sealed() && !left_alone(segment))
        .map(|segment| (segment.id(), segment))
        .collect();
    let progress = indexer.load(|| {
        return_to_disk(state);
        load_index(state, &old).unwrap_or_else(|error| {
            replace_index(state, &error);
            Vec::new()
        })
    });
    let from_index = state.table.objects();
    let taken: HashMap<u32, u32> = progress.iter().map(|row| (row.segment, row.block)).collect();
    repair::replay_all(state, &old, &taken);
    set_ready(state);
    old.values().for_each(|segment| state.store.release_hollow(segment));
    // Numbers and not handles: who holds a segment keeps its blocks.
    let ids: Vec<u32> = old.into_keys().collect();
    state.update_gauges();
    state.evict.ring();
    let objects = state.table.objects();
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(objects, from_index, segments = ids.len(), milliseconds, "ready");
    repair::reconcile(state, &ids);
    state.reconciled.store(true, Ordering::Release);
}

/// Says that everything that was stored before the start is found.
pub(super) fn set_ready(state: &State) {
    tier::forget_surplus(state);
    state.table.finish_loading();
    state.store.set_loaded();
    state.ready.store(true, Ordering::Release);
    state.metrics.ready.set(1);
}

/// True for a file of a newer larder: its bytes stay as they are for that one to read.
pub(super) fn left_alone(segment: &Segment) -> bool {
    if segment.is_newer() {
        tracing::warn!(path = %segment.path().display(), "segment of a newer larder left alone");
    }
    segment.is_newer()
}

/// Opens the index on disk where it is not in use yet. True when it came into use by this.
pub(super) fn return_to_disk(state: &State) -> bool {
    if state.index_on_disk.load(Ordering::Acquire) {
        return false;
    }
    // What an earlier failure left.
    remove_set_aside(state);
    match SledIndex::open(&state.directory.index()) {
        Ok(index) => use_index(state, Arc::new(index), true),
        Err(error) => {
            replace_index(state, &error);
        }
    }
    state.index_on_disk.load(Ordering::Acquire)
}

/// Sets a failed index aside and starts a new, empty one; the indexer fills it again.
pub(super) fn replace_index(state: &State, error: &IndexError) {
    tracing::warn!(%error, "index set aside, it is built again from the segments");
    state.metrics.index_rebuilds.inc();
    start_new_index(state);
}

/// Starts a new index in place of one whose log has grown to `bytes`; the indexer fills it again.
pub(super) fn renew_index(state: &State, bytes: u64) {
    tracing::info!(bytes, "index written anew to make it smaller");
    start_new_index(state);
}

fn start_new_index(state: &State) {
    use_index(state, Arc::new(MemoryIndex::default()), false);
    remove_set_aside(state);
    let (path, aside) = (state.directory.index(), state.directory.set_aside());
    let moved = match std::fs::rename(&path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match moved.map_err(IndexError::from).and_then(|()| SledIndex::open(&path)) {
        Ok(index) => use_index(state, Arc::new(index), true),
        Err(error) => {
            tracing::error!(%error, "no index on disk; it is kept in memory and tried again later");
        }
    }
    remove_set_aside(state);
}

fn use_index(state: &State, index: Arc<dyn Index>, on_disk: bool) {
    *state.index.write() = index;
    state.index_on_disk.store(on_disk, Ordering::Release);
    state.table.mark_all_changed();
}

fn remove_set_aside(state: &State) {
    match std::fs::remove_dir_all(state.directory.set_aside()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "a failed index could not be removed");
        }
        _ => {}
    }
}

fn load_index(state: &State, segments: &HashMap<u32, Arc<Segment>>) -> Result<Vec<Progress>, IndexError> {
    let index = state.index();
    // Rows that an earlier process wrote for groups of its own may still be there: the latest use comes last, and counts.
    let mut uses: Vec<Recency> = Vec::new();
    index.load_recency(&mut |row| uses.push(row))?;
    uses.sort_unstable_by_key(|row| (row.sequence, row.used_us));
    let mut uses = uses.into_iter().peekable();
    let mut progress = index.progress()?;
    // An index may be older than the segments, or of another directory: its word is taken for no other segment than
    // the very one it was written for.
    progress.retain(|row| {
        segments.get(&row.segment).is_some_and(|segment| segment.identity() == Some(row.identity))
    });
    let trusted: HashMap<u32, &Arc<Segment>> =
        progress.iter().filter_map(|row| Some((row.segment, segments.get(&row.segment)?))).collect();
    index.load(&mut |entry| match trusted.get(&entry.location.segment) {
        Some(segment) => {
            let mut used = None;
            // Both come in the order of sequence numbers.
            while let Some(row) = uses.next_if(|row| row.sequence <= entry.sequence) {
                used = Some(row).filter(|row| row.sequence == entry.sequence);
            }
            let found = Found {
                name: &entry.name,
                sequence: entry.sequence,
                location: entry.location,
                created_ms: entry.created_ms,
                used_us: used.map_or(0, |used: Recency| used.used_us),
                hits: used.map_or(0, |used| used.hits),
            };
            take_in(state, segment, found);
        }
        // Freed after the index was last written, or to be told to it again.
        None => state.dead.lock().push(entry.sequence),
    })?;
    Ok(progress)
}

/// A record that a start has found.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) name: &'a ObjectName,
    pub(super) sequence: u64,
    pub(super) location: Location,
    pub(super) created_ms: u64,
    /// When it was last used, in microseconds, as far as that is known; being stored is a use.
    pub(super) used_us: u64,
    pub(super) hits: u32,
}

impl<'a> Found<'a> {
    /// What a record's header tells.
    pub(super) fn by_header(header: &'a RecordHeader, location: Location) -> Self {
        let RecordHeader { name, sequence, created_ms, .. } = header;
        Self { name, sequence: *sequence, location, created_ms: *created_ms, used_us: 0, hits: 0 }
    }
}

/// Takes a record into the table, or lets go of it where a newer one is known.
pub(super) fn take_in(state: &State, segment: &Segment, found: Found<'_>) {
    let Found { name, sequence, location, created_ms, used_us, hits } = found;
    segment.add_live(&location);
    let (hash, space) = (state.table.hash(name), state.spaces.of_object(name));
    let used_us = used_us.max(created_ms.saturating_mul(1000));
    let waiting = state.tier.as_ref().filter(|tier| tier.was_unsaved(name, sequence));
    if let Some(tier) = waiting.filter(|_| state.is_ready()) {
        // The walk that looks for such records may have passed it by.
        tier.queue.note_not_queued(sequence);
    }
    let slot = Slot {
        hash,
        sequence,
        location,
        space,
        created_ms,
        used_us,
        hits,
        verified: false,
        unsaved: waiting.is_some(),
    };
    match state.table.insert_loaded(slot) {
        Loaded::Added(None) => {}
        Loaded::Added(Some(old)) => state.forget(&old),
        Loaded::Known => segment.remove_live(&location),
        Loaded::Dead => state.store.release(location, hash.number()),
    }
}
