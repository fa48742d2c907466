//! Reading an object that the disk does not have: one read from the bucket for all who ask, stored while it is handed out.
//!
//! A bucket that fails or is too slow makes a miss. A body is handed out to its end, and stored, only when its checksum holds.

mod arrival;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use self::arrival::Arrival;
use super::Tier;
use super::fill::{Fill, FillReader, Stage};
use crate::bucket::BucketPath;
use crate::cache::error::CacheError;
use crate::cache::read::Object;
use crate::cache::state::State;
use crate::index::table::NameHash;
use crate::key::ObjectName;

/// A reader waits this many times `bucket.read_timeout` for its answer where the bucket has begun to send one; what goes on
/// arriving after that is for the next reader.
const PATIENCE: u32 = 4;

/// The reads under way, by the object's name.
#[derive(Default)]
pub(in crate::cache) struct Fills(Mutex<HashMap<NameHash, Arc<Fill>>>);

/// Finds an object in the bucket. `None`: a miss, whatever the reason.
///
/// # Errors
/// `Overloaded` when there is no memory for its body.
pub(in crate::cache) async fn fetch(
    state: &Arc<State>,
    name: &ObjectName,
) -> Result<Option<Object>, CacheError> {
    Ok(find(state, name).await?.map(Object::arriving))
}

/// Brings an object that the disk does not have there, for who needs it as it is stored. Whether that went well shows when
/// it is looked for.
///
/// # Errors
/// `Overloaded` when there is no memory for its body.
pub(in crate::cache) async fn bring(state: &Arc<State>, name: &ObjectName) -> Result<(), CacheError> {
    if let Some(mut reader) = find(state, name).await? {
        let _ = reader.whole().await;
    }
    Ok(())
}

/// True where the bucket is known to have the object, which is no promise.
pub(in crate::cache) fn is_known(state: &State, name: &ObjectName) -> bool {
    state
        .tier
        .as_ref()
        .is_some_and(|tier| tier.path(name).is_some_and(|path| tier.catalogue.get(&path).is_some()))
}

async fn find(state: &Arc<State>, name: &ObjectName) -> Result<Option<FillReader>, CacheError> {
    // What the index has not loaded yet may be newer than what the bucket has.
    let Some(tier) = state.tier.as_ref().filter(|_| state.is_ready()) else { return Ok(None) };
    let Some(path) = tier.path(name).filter(|path| !tier.catalogue.is_deleted(path)) else { return Ok(None) };
    let hash = state.table.hash(name);
    if tier.absent.has(hash) {
        tier.metrics.bucket_absent_hits.inc();
        return Ok(None);
    }
    let fill = tier.fills.join(state, tier, name, path, hash);
    let patience = (tier.options.read_timeout * PATIENCE).max(Duration::from_secs(1));
    match tokio::time::timeout(patience, fill.answer()).await {
        Ok(Ok(reader)) => {
            tier.metrics.bucket_hits.inc();
            Ok(Some(reader))
        }
        Ok(Err(Stage::Overloaded)) => Err(CacheError::Overloaded),
        Ok(Err(Stage::Absent)) => {
            tier.metrics.bucket_misses.inc();
            Ok(None)
        }
        Ok(Err(_)) | Err(_) => {
            tier.metrics.bucket_failed_reads.inc();
            Ok(None)
        }
    }
}

impl Fills {
    /// The read of this object that is under way, or a new one.
    fn join(
        &self,
        state: &Arc<State>,
        tier: &Arc<Tier>,
        name: &ObjectName,
        path: BucketPath,
        hash: NameHash,
    ) -> Arc<Fill> {
        let mut fills = self.0.lock();
        if let Some(fill) = fills.get(&hash) {
            tier.metrics.bucket_shared_reads.inc();
            return Arc::clone(fill);
        }
        let fill = Fill::new();
        fills.insert(hash, Arc::clone(&fill));
        drop(fills);
        let under_way = UnderWay { tier: Arc::clone(tier), hash, fill: Arc::clone(&fill) };
        let (state, tier_of_task) = (Arc::clone(state), Arc::clone(tier));
        let arrival =
            Arrival { state, tier: tier_of_task, name: name.clone(), path, hash, fill: Arc::clone(&fill) };
        // A task of its own: a client that leaves does not stop what others may wait for.
        tier.spawn(async move {
            let under_way = under_way;
            let stage = arrival.run().await;
            under_way.fill.end(stage);
        });
        fill
    }
}

/// Takes the read off the list when its task ends, however it does.
struct UnderWay {
    tier: Arc<Tier>,
    hash: NameHash,
    fill: Arc<Fill>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.tier.fills.0.lock().remove(&self.hash);
        self.fill.give_up();
    }
}
