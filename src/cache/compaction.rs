//! Emptying thin segments: their live records are copied forward, then the file goes.
//!
//! Where the file system punches holes this keeps the number of files down; where it does not, this is how space comes
//! back at all.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use twox_hash::XxHash3_128;

use super::signal::WakeUp;
use super::state::State;
use crate::blobs::segment::Kind;
use crate::blobs::{Location, RecordHeader, Segment, replay};
use crate::object::ETag;

/// A segment with less than this part of its nominal size in use is thin.
const THIN_PART: u64 = 4;
/// Thin segments there must be before any is emptied: one or two cost nothing.
const TOLERATED: usize = 4;

/// The target of an eviction, raised by what emptying segments will free besides.
pub(super) fn with_reclaimable(state: &State, target: u64) -> u64 {
    if state.store.punches_holes() {
        return target;
    }
    let dead = |segment: &Arc<Segment>| segment.allocated().saturating_sub(segment.live_bytes());
    let thin: u64 = candidates(state).iter().filter(|s| s.live_bytes() * 2 < s.allocated()).map(dead).sum();
    // What is dead and about to be "freed" stays allocated on such a file system.
    target.saturating_add(thin).saturating_sub(state.store.pending_bytes())
}

/// Empties the segment with the least live part, where less than half of it is live. False when there is none that
/// could be freed by that.
///
/// # Errors
/// The disk's.
pub(super) fn empty_thinnest(state: &State) -> io::Result<bool> {
    let thin = candidates(state)
        .into_iter()
        .filter(|segment| segment.live_bytes() * 2 < segment.allocated())
        // One that is empty already only waits for its readers.
        .filter(|segment| !segment.is_hollow())
        .min_by_key(|segment| segment.live_bytes());
    let Some(segment) = thin else { return Ok(false) };
    empty(state, &segment, || true).map(|emptied| emptied && segment.is_hollow())
}

/// Empties segments that have become thin, a little at a time. `wake` ends it early.
///
/// # Errors
/// The disk's.
pub(super) fn compact_some(state: &State, wake: &WakeUp) -> io::Result<()> {
    let size = state.options.segment_size();
    let mut thin: Vec<_> =
        candidates(state).into_iter().filter(|segment| segment.live_bytes() < size / THIN_PART).collect();
    if thin.len() <= TOLERATED {
        return Ok(());
    }
    thin.sort_unstable_by_key(|segment| segment.live_bytes());
    thin.truncate(thin.len() - TOLERATED);
    // Numbers and not handles: who holds a segment keeps its blocks.
    let ids: Vec<u32> = thin.into_iter().map(|segment| segment.id()).collect();
    for segment in ids.into_iter().filter_map(|id| state.store.segment(id)) {
        // A pause a record leaves the disk to the requests.
        if !empty(state, &segment, || wake.sleep(Duration::from_millis(1)))? {
            break;
        }
        state.metrics.compacted_segments.inc();
    }
    Ok(())
}

fn candidates(state: &State) -> Vec<Arc<Segment>> {
    let mut segments = state.store.segments();
    segments.retain(|segment| segment.kind() == Kind::Shared && segment.is_sealed() && !segment.is_newer());
    segments
}

/// Copies the live records of `segment` forward and frees it. False when there was no room or `go_on` said so.
fn empty(state: &State, segment: &Arc<Segment>, mut go_on: impl FnMut() -> bool) -> io::Result<bool> {
    for (header, block) in replay::replay(segment, u32::MAX)?.records {
        let from = header.location(segment.id(), block);
        let hash = state.table.hash(&header.name);
        let is_current = |(slot, pin): (crate::index::table::Slot, _)| {
            (slot.sequence == header.sequence && slot.location == from).then_some((slot, pin))
        };
        let Some((slot, pin)) =
            state.table.peek(hash, |slot| state.store.pin(&slot.location)).and_then(is_current)
        else {
            continue;
        };
        let Some(_reservation) = state.budget.reserve_copy(state.options.disk_cost(&from)) else {
            return Ok(false);
        };
        // One bad spot of a disk must not keep the rest of the segment, nor a writer that waits for its room.
        let body = match read_whole(segment, &header, &from) {
            Ok(Some(body)) => body,
            Ok(None) => {
                state.drop_damaged(&slot, "body");
                continue;
            }
            Err(error) => {
                tracing::warn!(segment = segment.id(), %error, "record could not be read");
                state.drop_damaged(&slot, "unreadable");
                continue;
            }
        };
        drop(pin);
        let relocate = |to| (to, state.table.relocate(hash, header.sequence, from, to));
        let (to, relocated) = state.store.append(&header, &[body], relocate)?;
        if relocated {
            state.store.release_replaced(from, hash.number(), &to);
        } else {
            // Deleted or replaced meanwhile: no start may find the copy.
            state.store.kill(&to)?;
            state.store.release(to, hash.number());
        }
        if !go_on() {
            return Ok(false);
        }
    }
    // The copies must be durable before the originals go.
    state.sync_all()?;
    state.store.release_hollow(segment);
    state.store.reclaim()?;
    Ok(true)
}

fn read_whole(segment: &Segment, header: &RecordHeader, at: &Location) -> io::Result<Option<Bytes>> {
    let mut body = vec![0; usize::try_from(at.body_len).map_err(io::Error::other)?];
    segment.with_file(|file| file.read_exact_at(&mut body, at.body_offset()))?;
    let whole = ETag(XxHash3_128::oneshot(&body)) == ETag(header.body_checksum);
    Ok(whole.then(|| Bytes::from(body)))
}
