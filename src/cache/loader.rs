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
use crate::blobs::segment::Kind;
use crate::blobs::{BLOCK, Location, Segment, footer, replay};
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
    return_to_disk(state);
    let progress = match load_index(state, &old) {
        Ok(progress) => progress,
        Err(error) => {
            replace_index(state, &error);
            Vec::new()
        }
    };
    let from_index = state.table.objects();
    // A number whose file is gone may come again for a new file, of which nothing is taken in.
    let progress: Vec<Progress> = progress.into_iter().filter(|row| old.contains_key(&row.segment)).collect();
    indexer.set_progress(&progress);
    let taken: HashMap<u32, u32> = progress.iter().map(|row| (row.segment, row.block)).collect();
    let mut ids: Vec<&u32> = old.keys().collect();
    ids.sort_unstable();
    for id in ids {
        let from = taken.get(id).copied().unwrap_or(0);
        if from < u32::MAX {
            report(state, &old[id], replay_segment(state, &old[id], from));
        }
    }
    set_ready(state);
    old.values().for_each(|segment| state.store.release_hollow(segment));
    state.update_gauges();
    state.evict.ring();
    let objects = state.table.objects();
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(objects, from_index, segments = old.len(), milliseconds, "ready");
    reconcile(state, &old);
}

/// Says that everything that was stored before the start is found.
pub(super) fn set_ready(state: &State) {
    state.table.finish_loading();
    state.store.set_loaded();
    state.ready.store(true, Ordering::Release);
    state.metrics.ready.set(1);
}

/// True for a file of a newer larder: its bytes stay as they are for that one to read.
fn left_alone(segment: &Segment) -> bool {
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
    let mut recency: HashMap<u64, Recency> = HashMap::new();
    // Rows that an earlier process wrote for groups of its own may still be there: the latest use counts.
    index.load_recency(&mut |row| {
        let known = recency.entry(row.sequence).or_insert(row);
        if known.used_us < row.used_us {
            *known = row;
        }
    })?;
    index.load(&mut |entry| match segments.get(&entry.location.segment) {
        Some(segment) => {
            let used = recency.get(&entry.sequence);
            let hits = used.map_or(0, |used| used.hits);
            let used_us = used.map_or(0, |used| used.used_us).max(entry.created_ms.saturating_mul(1000));
            take_in(state, segment, &entry.name, entry.sequence, entry.location, used_us, hits);
        }
        // Freed after the index was last written.
        None => state.dead.lock().push(entry.sequence),
    })?;
    index.progress()
}

/// Takes a record into the table, or lets go of it where a newer one is known.
fn take_in(
    state: &State,
    segment: &Segment,
    name: &ObjectName,
    sequence: u64,
    location: Location,
    used_us: u64,
    hits: u32,
) {
    segment.add_live(&location);
    let hash = state.table.hash(name);
    match state.table.insert_loaded(Slot { hash, sequence, location, used_us, hits, verified: false }) {
        Loaded::Added(None) => {}
        Loaded::Added(Some(old)) => state.forget(&old),
        Loaded::Known => segment.remove_live(&location),
        Loaded::Dead => state.store.release(location, hash.number()),
    }
}

/// Takes in the records of a segment from block `from` on, and ends a segment that was left without a footer.
fn replay_segment(state: &State, segment: &Arc<Segment>, from: u32) -> io::Result<()> {
    let found = replay::replay(segment, from)?;
    state.metrics.damaged.inc_by(found.damaged);
    for (header, block) in found.records.iter().filter(|(_, block)| *block >= from) {
        // A footer lists dead records as well. Where they leave no holes, only their headers tell.
        if found.had_footer
            && !state.store.punches_holes()
            && !replay::header_is_there(segment, header, *block)?
        {
            continue;
        }
        let location = header.location(segment.id(), *block);
        take_in(
            state,
            segment,
            &header.name,
            header.sequence,
            location,
            header.created_ms.saturating_mul(1000),
            0,
        );
    }
    if found.newer {
        segment.set_newer();
        left_alone(segment);
        return Ok(());
    }
    if !found.had_footer && !found.records.is_empty() {
        state.store.seal_replayed(segment, &found)?;
    }
    if found.records.is_empty() && segment.live_records() == 0 {
        state.store.discard(segment);
    }
    Ok(())
}

/// Compares what the table has of each segment with the blocks the segment takes, and mends where they differ: the index
/// may have lost entries, or have entries of records that were freed right before the process died.
fn reconcile(state: &State, segments: &HashMap<u32, Arc<Segment>>) {
    let mut holes = HashMap::new();
    for segment in segments.values().filter(|segment| segment.kind() == Kind::Shared) {
        let _no_eviction_meanwhile = state.evicting.lock();
        if let Err(error) = state.store.reclaim().and_then(|()| compare(state, segment, &mut holes)) {
            report(state, segment, Err(error));
        }
    }
    let mut stale = Vec::new();
    state.table.visit(|slot| {
        let ranges: Option<&Vec<std::ops::Range<u64>>> = holes.get(&slot.location.segment);
        let offset = slot.location.offset();
        if ranges.is_some_and(|ranges| !ranges.iter().any(|range| range.contains(&offset))) {
            stale.push(*slot);
        }
    });
    for slot in stale {
        if state.table.remove_record(&slot) {
            state.forget(&slot);
        }
    }
}

fn compare(
    state: &State,
    segment: &Arc<Segment>,
    holes: &mut HashMap<u32, Vec<std::ops::Range<u64>>>,
) -> io::Result<()> {
    if state.store.segment(segment.id()).is_none() {
        return Ok(());
    }
    let expected = BLOCK + segment.live_bytes() + segment.with_file(footer::disk_len)?;
    if segment.allocated() == expected {
        return Ok(());
    }
    if segment.allocated() < expected {
        holes.insert(segment.id(), segment.with_file(replay::data_ranges)?);
    }
    for (header, block) in replay::replay(segment, u32::MAX)?.records {
        let hash = state.table.hash(&header.name);
        let known = state.table.peek(hash, |_| ());
        let newer_known = known.is_some_and(|(slot, ())| slot.sequence >= header.sequence);
        if !newer_known && replay::header_is_there(segment, &header, block)? {
            let location = header.location(segment.id(), block);
            let used_us = header.created_ms.saturating_mul(1000);
            take_in(state, segment, &header.name, header.sequence, location, used_us, 0);
        }
    }
    Ok(())
}

fn report(state: &State, segment: &Segment, result: io::Result<()>) {
    if let Err(error) = result {
        state.metrics.store_errors.with_label_values(&["read"]).inc();
        tracing::warn!(segment = segment.id(), %error, "segment could not be read");
    }
}
