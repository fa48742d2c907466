//! Finding what is on disk and not in the bucket, as far as the catalogue knows: after a start, and after the queue was full.
//!
//! Walks the index by sequence numbers. What the catalogue has with the same checksum is saved; the rest is queued, with
//! half of the queue left to clients, and looked for in the bucket before it is written.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Tier;
use super::catalogue::{PathHash, hash_of};
use super::queue::Job;
use crate::cache::indexer::{SharedIndexer, catch_up};
use crate::cache::state::State;
use crate::index::{Entry, Index, IndexError};

/// Entries looked at in one go.
const PAGE: usize = 256;
/// Between two looks whether a walk is needed, or whether the queue has room again.
const ROUND: Duration = Duration::from_millis(250);

/// A record that is to be queued.
struct Missing {
    job: Job,
    length: u64,
    is_unsaved: bool,
}

/// Of the records that are loaded as unsaved, lets eviction have those that had no place in the queue: which ones had none
/// is written down each second only, so the newest may be taken for waiting ones, more than the queue ever held.
pub(in crate::cache) fn forget_surplus(state: &State) {
    let Some(tier) = &state.tier else { return };
    let mut unsaved = Vec::new();
    state.table.scan(|slot| {
        // What this process has stored has its place.
        if slot.unsaved && slot.location.segment < state.first_own_segment {
            unsaved.push((slot.sequence, slot.hash, slot.location.body_len));
        }
    });
    unsaved.sort_unstable_by_key(|(sequence, ..)| *sequence);
    let mut bytes = 0_u64;
    let fits = unsaved.iter().take_while(|(.., length)| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add(*length);
        is_first || bytes <= tier.queue.most_bytes()
    });
    for (sequence, hash, _) in unsaved.iter().skip(fits.count()) {
        state.table.set_saved(*hash, *sequence);
    }
}

/// Walks whenever there is something to find, for ever.
pub(super) async fn walk_when_needed(state: Arc<State>, tier: Arc<Tier>, indexer: Arc<SharedIndexer>) {
    loop {
        let from = if state.is_ready() { tier.queue.begin_walk() } else { None };
        if let Some(from) = from {
            let walked = walk(&state, &tier, &indexer, from).await;
            if let Err(error) = &walked {
                tracing::warn!(%error, "the index could not be compared with the bucket; tried again");
            }
            tier.queue.end_walk(walked.is_ok());
            // Everything is loaded by now.
            tier.never_queued.lock().clear();
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn walk(
    state: &Arc<State>,
    tier: &Arc<Tier>,
    indexer: &Arc<SharedIndexer>,
    mut from: u64,
) -> Result<(), IndexError> {
    let shared = Arc::clone(indexer);
    let index =
        tokio::task::spawn_blocking(move || catch_up(&shared)).await.map_err(std::io::Error::other)?;
    let mut queued = 0_u64;
    loop {
        let began = Instant::now();
        let (state, shared, index) = (Arc::clone(state), Arc::clone(tier), Arc::clone(&index));
        let look = move || look(&state, &shared, &*index, from);
        let (missing, next) = tokio::task::spawn_blocking(look).await.map_err(std::io::Error::other)??;
        let took = began.elapsed();
        for Missing { job, length, is_unsaved } in missing {
            tier.queue.walk_is_at(job.sequence);
            while !tier.queue.found(job.clone(), length, is_unsaved) {
                tokio::time::sleep(ROUND).await;
            }
            queued += 1;
        }
        let Some(next) = next else { break };
        tier.queue.walk_is_at(next);
        from = next;
        // Half of the time is for the requests.
        tokio::time::sleep(took).await;
    }
    if queued > 0 {
        tracing::info!(objects = queued, "found on disk and not known to be in the bucket; queued");
    }
    Ok(())
}

/// Queues what the bucket has `lost` and the disk has, as long as its time is not over and there is `room` for its bytes.
pub(super) async fn queue_lost(
    state: &Arc<State>,
    tier: &Arc<Tier>,
    indexer: &Arc<SharedIndexer>,
    lost: HashSet<PathHash>,
    mut room: u64,
) -> Result<(), IndexError> {
    if lost.is_empty() {
        return Ok(());
    }
    let (shared, lost) = (Arc::clone(indexer), Arc::new(lost));
    let index =
        tokio::task::spawn_blocking(move || catch_up(&shared)).await.map_err(std::io::Error::other)?;
    let (mut from, mut queued) = (Some(0), 0_u64);
    while let Some(at) = from {
        let (state, shared, index, lost) =
            (Arc::clone(state), Arc::clone(tier), Arc::clone(&index), Arc::clone(&lost));
        let ttl_ms = tier.options.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let look = move || {
            let now_ms = state.clock.now_ms();
            let is_lost = |missing: &Missing| {
                let slot = state.table.peek(missing.job.hash, |slot| *slot).map(|(slot, _)| slot);
                let is_over = slot.is_none_or(|slot| {
                    let is_unused =
                        ttl_ms.is_some_and(|ttl| (slot.used_us / 1000).saturating_add(ttl) <= now_ms);
                    is_unused || state.spaces.is_expired(&slot, || now_ms)
                });
                let path = shared.path(&missing.job.name);
                !is_over && path.is_some_and(|path| lost.contains(&hash_of(&path)))
            };
            let (missing, next) = look(&state, &shared, &*index, at)?;
            Ok::<_, IndexError>((missing.into_iter().filter(is_lost).collect::<Vec<_>>(), next))
        };
        let (missing, next) = tokio::task::spawn_blocking(look).await.map_err(std::io::Error::other)??;
        for Missing { job, length, is_unsaved } in missing {
            if length > room {
                continue;
            }
            room -= length;
            tier.absent.forget(job.hash);
            while !tier.queue.found(job.clone(), length, is_unsaved) {
                tokio::time::sleep(ROUND).await;
            }
            queued += 1;
        }
        from = next;
    }
    if queued > 0 {
        tracing::warn!(
            objects = queued,
            "the bucket has lost objects that are on disk; they are written again"
        );
    }
    Ok(())
}

/// What is missing of one page, and where the next one begins.
fn look(
    state: &State,
    tier: &Tier,
    index: &dyn Index,
    from: u64,
) -> Result<(Vec<Missing>, Option<u64>), IndexError> {
    let page = index.entries_from(from, PAGE)?;
    let next = page.last().filter(|_| page.len() == PAGE).map(|last| last.sequence + 1);
    Ok((page.into_iter().filter_map(|entry| missing(state, tier, entry)).collect(), next))
}

fn missing(state: &State, tier: &Tier, entry: Entry) -> Option<Missing> {
    let hash = state.table.hash(&entry.name);
    let (slot, ()) = state.table.peek(hash, |_| ()).filter(|(slot, ())| slot.sequence == entry.sequence)?;
    let length = entry.location.body_len;
    let Some(path) = tier.path(&entry.name) else {
        state.table.set_saved(hash, entry.sequence);
        return None;
    };
    let known = tier.catalogue.get(&path);
    if known.is_some_and(|known| known.checksum == Some(entry.body_checksum) && known.length == length) {
        state.table.set_saved(hash, entry.sequence);
        tier.catalogue.unmark(&path, entry.sequence);
        return None;
    }
    let Entry { name, sequence, .. } = entry;
    let job = Job { name, hash, sequence, was_found: true, tries: 0 };
    Some(Missing { job, length, is_unsaved: slot.unsaved })
}
