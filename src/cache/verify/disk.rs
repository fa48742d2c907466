//! Every record on disk against its checksums, as the scrub does it, with several threads and without pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::{Stage, VerifyOptions, Watch};
use crate::cache::scrub::{self, Examined};
use crate::cache::state::State;
use crate::cache::tier;
use crate::index::Table;
use crate::index::table::Slot;

/// Threads that read: a disk is quicker with a few at once.
const READERS: usize = 4;

/// What was found on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DiskFindings {
    /// Objects whose records were read.
    pub checked: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Records that are not what was stored. They were dropped, but in a dry run.
    pub damaged: u64,
    /// Of these, objects that the bucket is known to have: they come back when they are asked for.
    pub in_bucket: u64,
    /// Files of a newer larder, which this one cannot check.
    pub newer_files: u64,
}

#[derive(Default)]
struct Counts {
    checked: AtomicU64,
    bytes: AtomicU64,
    damaged: AtomicU64,
    in_bucket: AtomicU64,
}

/// Reads all records.
pub(super) async fn verify(state: &Arc<State>, how: VerifyOptions, watch: &Arc<dyn Watch>) -> DiskFindings {
    watch.begin(Stage::Disk, Some(state.table.bytes()));
    let (counts, next_shard) = (Arc::new(Counts::default()), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (state, watch) = (Arc::clone(state), Arc::clone(watch));
            let (counts, next_shard) = (Arc::clone(&counts), Arc::clone(&next_shard));
            tokio::task::spawn_blocking(move || {
                loop {
                    let shard = next_shard.fetch_add(1, Ordering::Relaxed);
                    if shard >= Table::SHARDS || watch.is_stopped() {
                        return;
                    }
                    verify_shard(&state, shard, how, &counts, &*watch);
                }
            })
        })
        .collect();
    for reader in readers {
        // A panic was logged by the panic hook when it happened.
        let _ = reader.await;
    }
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let newer_files = state.store.segments().iter().filter(|segment| segment.is_newer()).count() as u64;
    DiskFindings {
        checked: get(&counts.checked),
        bytes: get(&counts.bytes),
        damaged: get(&counts.damaged),
        in_bucket: get(&counts.in_bucket),
        newer_files,
    }
}

fn verify_shard(state: &State, shard: usize, how: VerifyOptions, counts: &Counts, watch: &dyn Watch) {
    // Those that a start has checked already are checked here all the same: it read them to find its way.
    for slot in state.table.all(shard) {
        if watch.is_stopped() {
            return;
        }
        let examined = scrub::examine(state, &slot);
        if let Examined::Damaged { what, was } = &examined {
            counts.damaged.fetch_add(1, Ordering::Relaxed);
            let whose = was.as_ref().map(|(name, _)| format!("{}/{}", name.namespace, name.key));
            let whose = whose.unwrap_or_else(|| "an object".to_owned());
            let Slot { location, .. } = slot;
            watch.tell(&format!(
                "damaged on disk ({what}): {whose}, segment {:08x}, block {}",
                location.segment, location.block
            ));
            if let Some((name, checksum)) = was
                && tier::note_damaged(state, name, *checksum, &slot, how.dry_run)
            {
                counts.in_bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        if !matches!(examined, Examined::Gone | Examined::Dead) {
            counts.checked.fetch_add(1, Ordering::Relaxed);
            counts.bytes.fetch_add(slot.location.body_len, Ordering::Relaxed);
        }
        if !how.dry_run {
            scrub::settle(state, &slot, &examined);
        }
        watch.advance(slot.location.body_len);
    }
}
