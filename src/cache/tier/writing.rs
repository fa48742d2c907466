//! What a client's write or delete means for the bucket, up to the client's answer; the rest is done behind it.
//!
//! A PUT keeps a place in the queue from before its number is drawn. A DELETE is marked durably before it is answered.
//! Knows nothing of how the bucket is written.

use std::sync::Arc;

use super::breaker::BreakerState;
use super::catalogue::{Known, Mark};
use super::{Operation, Tier};
use crate::bucket::{BucketError, BucketObject, BucketPath};
use crate::cache::error::CacheError;
use crate::cache::state::State;
use crate::config::{BucketWrite, Durability};
use crate::index::table::NameHash;
use crate::key::ObjectName;

/// A record on its way, of an object that has a place in the bucket.
pub(in crate::cache) struct Outgoing {
    tier: Arc<Tier>,
    sequence: u64,
    /// True when it will be queued.
    has_place: bool,
}

/// Draws the number of a client's write, and notes that it is to go to the bucket, where it is.
pub(in crate::cache) fn begin_write(
    state: &State,
    name: &ObjectName,
    length: u64,
    group: u16,
) -> (u64, Option<Outgoing>) {
    let tier = state.tier.as_ref().filter(|tier| tier.path(name).is_some());
    let Some(tier) = tier else { return (state.next_sequence(), None) };
    // Nothing of a group above its quota could be evicted if all of it waited for the bucket.
    let may_wait = !state.spaces.rules(group).is_far_above(state.table.disk_bytes_of(group));
    let (sequence, has_place) = tier.queue.begin(length, may_wait, || state.next_sequence());
    (sequence, Some(Outgoing { tier: Arc::clone(tier), sequence, has_place }))
}

impl Outgoing {
    /// True when nothing may drop the record before it is in the bucket.
    pub(in crate::cache) fn is_unsaved(&self) -> bool {
        self.has_place
    }

    /// The record is the current one of its object.
    pub(in crate::cache) fn published(mut self, name: &ObjectName, hash: NameHash) {
        let Self { tier, sequence, .. } = &self;
        tier.absent.forget(hash);
        if self.has_place {
            tier.queue.publish(*sequence, name.clone(), hash);
            self.has_place = false;
            return;
        }
        tier.metrics.bucket_not_queued.inc();
        // Should the record be evicted before it is queued after all, nobody may be given what it has replaced.
        if let Some(path) = tier.path(name).filter(|path| tier.catalogue.get(path).is_some()) {
            tier.catalogue.mark(&path, *sequence);
        }
        tier.catalogue.note_not_queued(*sequence);
        tier.queue.note_not_queued(*sequence);
    }
}

/// Not published: its place goes to others.
impl Drop for Outgoing {
    fn drop(&mut self) {
        if self.has_place {
            self.tier.queue.cancel(self.sequence);
        }
    }
}

/// With `write = "through"`, waits until the record is in the bucket, or until that has turned out to take its time.
pub(in crate::cache) async fn written_through(state: &State, sequence: u64) {
    let Some(tier) = state.tier.as_ref().filter(|tier| tier.options.write == BucketWrite::Through) else {
        return;
    };
    if tier.breaker.state() == BreakerState::Closed {
        let _ = tokio::time::timeout(tier.options.write_timeout, tier.queue.first_try(sequence)).await;
    }
}

/// A DELETE under way.
pub(in crate::cache) struct Deletion {
    tier: Arc<Tier>,
    path: BucketPath,
    before: Option<Mark>,
}

/// Marks an object as deleted, for everybody who reads from now on. `None`: it has no place in the bucket.
pub(in crate::cache) fn begin_delete(state: &State, name: &ObjectName) -> Option<Deletion> {
    let tier = state.tier.as_ref()?;
    let path = tier.path(name)?;
    let before = tier.catalogue.mark(&path, state.next_sequence());
    Some(Deletion { tier: Arc::clone(tier), path, before })
}

impl Deletion {
    /// Nothing was deleted.
    pub(in crate::cache) fn undo(self) {
        self.tier.catalogue.restore(&self.path, self.before);
    }

    /// Makes the deletion durable. True when there was an object, on disk (`was_on_disk`) or in the bucket; where the bucket
    /// cannot be asked, it counts as one that had none, and is deleted there all the same.
    ///
    /// # Errors
    /// `Io`.
    pub(in crate::cache) async fn finish(self, state: &State, was_on_disk: bool) -> Result<bool, CacheError> {
        let is_known = self.tier.catalogue.get(&self.path).is_some();
        let mut was_there = was_on_disk;
        if !was_on_disk && self.before.is_none() {
            was_there = is_known || {
                let head = self.tier.bucket.head(&self.path);
                match self.tier.call(Operation::Head, self.tier.options.read_timeout, head).await {
                    Ok(found) => {
                        let BucketObject { length, modified_ms, .. } = found;
                        let known = Known { checksum: None, length, used_ms: modified_ms, modified_ms };
                        self.tier.is_there(&self.path, known);
                        true
                    }
                    Err(BucketError::NotFound) => {
                        self.undo();
                        return Ok(false);
                    }
                    Err(_) => false,
                }
            };
        }
        // As with records: `periodic` survives a kill, and the checkpoint of the next second a power cut.
        let sync = state.options.durability == Durability::Commit;
        let tier = Arc::clone(&self.tier);
        let flushed = tokio::task::spawn_blocking(move || tier.catalogue.flush_marks(sync)).await;
        if !flushed.is_ok_and(|flushed| flushed) {
            let error = "the deletion could not be noted on disk for the bucket";
            return Err(std::io::Error::other(error).into());
        }
        self.tier.deleting.notify_one();
        Ok(was_there)
    }
}
