//! What runs beside the requests for the bucket, and how it begins and ends.
//!
//! The uploads, the deletions, the walk for what is not queued, and each second the checkpoint, which is all that a start
//! after a crash goes by. Knows nothing of how any of them works.

use std::sync::Arc;
use std::time::Duration;

use super::breaker::BreakerState;
use super::catalogue::Known;
use super::uploader::Uploader;
use super::{Tier, budget, deletions, rescan};
use crate::bucket::BucketPath;
use crate::cache::evict;
use crate::cache::indexer::SharedIndexer;
use crate::cache::state::{State, gauge};

/// Between two checkpoints.
const ROUND: Duration = Duration::from_secs(1);
/// Time that a shutdown gives the queue, where the bucket takes writes.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// What a cache is open for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cache) enum Purpose {
    /// To answer requests.
    Serving,
    /// To be compared with what it should be: nothing is removed for time's or capacity's sake.
    Verifying,
}

/// Starts the tasks, where there is a bucket, on the runtime of the caller.
pub(in crate::cache) fn start(state: &Arc<State>, indexer: &Arc<SharedIndexer>, purpose: Purpose) {
    let Some(tier) = &state.tier else { return };
    tier.metrics.bucket_capacity_bytes.set(gauge(tier.options.capacity.unwrap_or(0)));
    let uploader = Arc::new(Uploader::new(Arc::clone(state), Arc::clone(tier)));
    for _ in 0..tier.options.uploads.max(1) {
        tier.spawn(Arc::clone(&uploader).work());
    }
    tier.spawn(deletions::delete_marked(Arc::clone(state), Arc::clone(tier)));
    tier.spawn(rescan::walk_when_needed(Arc::clone(state), Arc::clone(tier), Arc::clone(indexer)));
    if purpose == Purpose::Serving {
        tier.spawn(budget::keep(Arc::clone(state), Arc::clone(tier), Arc::clone(indexer)));
    }
    tier.spawn(keep_up(Arc::clone(state), Arc::clone(tier)));
}

/// Gives the queue a moment, ends the tasks, and brings to disk how far they have come.
pub(in crate::cache) async fn finish(state: &Arc<State>) {
    let Some(tier) = &state.tier else { return };
    let drained = async {
        while tier.queue.length().objects > 0 && tier.breaker.state() == BreakerState::Closed {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, drained).await;
    tier.stop().await;
    let state = Arc::clone(state);
    let _ =
        tokio::task::spawn_blocking(move || state.tier.as_ref().map(|tier| checkpoint(&state, tier))).await;
}

async fn keep_up(state: Arc<State>, tier: Arc<Tier>) {
    let mut was_up = true;
    loop {
        // Reads find out, too, that the bucket is back.
        let is_up = tier.breaker.state() == BreakerState::Closed;
        if is_up && !was_up {
            tier.queue.bucket_is_back();
        }
        was_up = is_up;
        let (state, shared) = (Arc::clone(&state), Arc::clone(&tier));
        let _ = tokio::task::spawn_blocking(move || checkpoint(&state, &shared)).await;
        tokio::time::sleep(ROUND).await;
    }
}

/// Writes what is known of the bucket, and up to which record everything is there.
fn checkpoint(state: &State, tier: &Tier) {
    // What is saved is noted in the catalogue before it leaves the queue; so the notes are not behind this.
    let saved = tier.queue.saved(|| state.upcoming_sequence());
    if !tier.catalogue.checkpoint(saved) {
        tier.queue.note_not_queued(0);
        state.metrics.store_errors.with_label_values(&["index"]).inc();
    }
    count_catalogue(state, tier);
}

/// Counts what the catalogue takes on disk, and makes room for it.
pub(super) fn count_catalogue(state: &State, tier: &Tier) {
    match tier.catalogue.disk_bytes() {
        Ok(bytes) => {
            state.budget.set_catalogue_bytes(bytes);
            tier.catalogue.limit(bytes);
        }
        Err(error) => {
            tracing::warn!(%error, "the size of the bucket's catalogue cannot be found out");
        }
    }
    if let Err(error) = evict::keep_ahead(state) {
        state.metrics.store_errors.with_label_values(&["write"]).inc();
        tracing::error!(%error, "no room could be made for what is known of the bucket");
    }
}

impl Tier {
    /// An object lies in the bucket now.
    pub(super) fn is_there(&self, path: &BucketPath, known: Known) {
        let before = self.catalogue.put(path, known);
        if before.is_none() {
            self.metrics.bucket_objects.inc();
        }
        self.metrics.bucket_bytes.add(gauge(known.length) - before.map_or(0, |before| gauge(before.length)));
        let capacity = self.options.capacity.map_or(i64::MAX, gauge);
        if self.metrics.bucket_bytes.get() > capacity {
            self.over_capacity.notify_one();
        }
    }

    /// An object was removed from the bucket, for this reason.
    pub(super) fn is_gone(&self, path: &BucketPath, reason: &str) {
        if let Some(before) = self.catalogue.remove(path) {
            self.metrics.bucket_removed.with_label_values(&[reason]).inc();
            self.metrics.bucket_objects.dec();
            self.metrics.bucket_bytes.sub(gauge(before.length));
        }
    }

    /// Sets the gauges of what waits.
    pub(in crate::cache) fn update_gauges(&self) {
        let length = self.queue.length();
        self.metrics.bucket_queue_objects.set(gauge(length.objects + self.catalogue.marked() as u64));
        self.metrics.bucket_queue_bytes.set(gauge(length.bytes));
        self.metrics.bucket_queue_age.set(gauge(length.age.as_secs()));
    }
}
