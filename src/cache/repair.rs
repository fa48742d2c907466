//! What a start finds in the segments themselves: records the index has not heard of, and entries that point at nothing.
//!
//! The first half runs before the cache is ready and looks only past what the index has taken in; the second runs behind
//! the requests and compares every segment's blocks with what the table has in it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::loader::{Found, left_alone, take_in};
use super::state::State;
use crate::blobs::replay::{self, Replay};
use crate::blobs::segment::Kind;
use crate::blobs::{BLOCK, Segment, footer};
use crate::index::table::Slot;

/// Takes in the records that each segment has past the block that `taken` names, and ends the segments that an earlier
/// process left without a footer.
pub(super) fn replay_all(state: &State, segments: &HashMap<u32, Arc<Segment>>, taken: &HashMap<u32, u32>) {
    let mut ids: Vec<&u32> = segments.keys().collect();
    ids.sort_unstable();
    let mut without_footer = HashMap::new();
    for id in ids {
        let segment = &segments[id];
        let mut from = taken.get(id).copied().unwrap_or(0);
        if segment.kind() == Kind::Solo && segment.live_records() == 0 {
            // Dead since the index was last written, or never finished: found again to be freed.
            from = 0;
        }
        if from < u32::MAX {
            match take_in_from(state, segment, from) {
                Ok(_) if segment.is_newer() => {}
                Ok(found) if found.had_footer && !found.records.is_empty() => {}
                Ok(found) => {
                    without_footer.insert(*id, found);
                }
                Err(error) => report(state, segment, Err(error)),
            }
        }
    }
    drop_unfound(state, &without_footer);
    for (id, found) in &without_footer {
        let segment = &segments[id];
        if !found.records.is_empty() {
            report(state, segment, state.store.seal_replayed(segment, found));
        } else if segment.live_records() == 0 {
            state.store.discard(segment);
        }
    }
}

fn take_in_from(state: &State, segment: &Arc<Segment>, from: u32) -> io::Result<Replay> {
    let found = replay::replay(segment, from)?;
    state.metrics.damaged.inc_by(found.damaged);
    for (header, block) in found.records.iter().filter(|(_, block)| *block >= from) {
        // A footer lists dead records as well. Where they leave no holes, only their headers tell.
        let listed_only = found.had_footer && !state.store.punches_holes();
        if listed_only && !replay::header_is_there(segment, header, *block)? {
            continue;
        }
        let location = header.location(segment.id(), *block);
        take_in(state, segment, Found::by_header(header, location));
    }
    if found.newer {
        segment.set_newer();
        left_alone(segment);
    }
    Ok(found)
}

/// Lets go of entries for records that a whole scan of their segment did not find: deleted or damaged right before the
/// process died. To be done before the segment gets its footer, which may lie over the last of them.
fn drop_unfound(state: &State, scanned: &HashMap<u32, Replay>) {
    let found: HashMap<u32, HashSet<u32>> = scanned
        .iter()
        .map(|(id, found)| (*id, found.records.iter().map(|(_, block)| *block).collect()))
        .collect();
    let mut unfound: Vec<Slot> = Vec::new();
    if found.is_empty() {
        return;
    }
    state.table.visit(|slot| {
        let blocks = found.get(&slot.location.segment);
        if blocks.is_some_and(|blocks| !blocks.contains(&slot.location.block)) {
            unfound.push(*slot);
        }
    });
    for slot in unfound {
        let Some(pin) = state.store.pin(&slot.location) else { continue };
        let mut header = vec![0; usize::from(slot.location.header_len)];
        match pin.file().and_then(|file| file.read_exact_at(&mut header, slot.location.offset())) {
            Ok(()) => state.drop_unreadable(&slot, &pin, &header),
            // The file ends before: it was never written whole, or freed.
            Err(_) => {
                state.drop_dead(&slot);
            }
        }
    }
}

/// Compares what the table has of each segment with the blocks the segment takes, and mends where they differ: the index
/// may have lost entries, or have entries of records that were freed right before the process died.
pub(super) fn reconcile(state: &State, ids: &[u32]) {
    let mut blocks = HashMap::new();
    for id in ids {
        let _no_eviction_meanwhile = state.evicting.lock();
        let reclaimed = state.store.reclaim();
        let Some(segment) = state.store.segment(*id).filter(|segment| segment.kind() == Kind::Shared) else {
            continue;
        };
        report(state, &segment, reclaimed.and_then(|()| compare(state, &segment, &mut blocks)));
    }
    let mut gone = Vec::new();
    state.table.visit(|slot| {
        let Some(Blocks { ranges, file_len }) = blocks.get(&slot.location.segment) else { return };
        let offset = slot.location.offset();
        if offset >= *file_len || !ranges.iter().any(|range| range.contains(&offset)) {
            gone.push((*slot, offset >= *file_len));
        }
    });
    for (slot, is_cut_off) in gone {
        // Freeing a record leaves a hole and never shortens the file.
        if is_cut_off {
            state.drop_damaged(&slot, "the file ends before it");
        } else {
            state.drop_dead(&slot);
        }
    }
}

/// The parts of a file that have blocks.
struct Blocks {
    ranges: Vec<std::ops::Range<u64>>,
    file_len: u64,
}

fn compare(state: &State, segment: &Arc<Segment>, blocks: &mut HashMap<u32, Blocks>) -> io::Result<()> {
    let expected = BLOCK + segment.live_bytes() + segment.with_file(footer::disk_len)?;
    if segment.allocated() == expected {
        return Ok(());
    }
    if segment.allocated() < expected {
        let found = segment.with_file(|file| {
            Ok(Blocks { ranges: replay::data_ranges(file)?, file_len: file.metadata()?.len() })
        })?;
        blocks.insert(segment.id(), found);
    }
    for (header, block) in replay::replay(segment, u32::MAX)?.records {
        let hash = state.table.hash(&header.name);
        let known = state.table.peek(hash, |_| ());
        let location = header.location(segment.id(), block);
        let is_known = known.is_some_and(|(slot, ())| slot.location == location)
            // Removed by this process, after the start.
            || state.store.is_released(&location, hash.number());
        // What is there and has a newer version is dead: the process died before it was freed.
        if !is_known && replay::header_is_there(segment, &header, block)? {
            take_in(state, segment, Found::by_header(&header, location));
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
