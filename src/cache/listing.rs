//! Listings: names in order from the index, each checked against the table.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Cache;
use super::error::CacheError;
use super::indexer::catch_up;
use crate::blobs::{Pin, RecordHeader, replay};
use crate::index::Entry;
use crate::index::table::Slot;
use crate::key::{Namespace, ObjectKey};
use crate::object::{ETag, ObjectInfo, ObjectSummary};

/// One row of a listing.
#[derive(Clone, Debug)]
pub struct ListedObject {
    /// The object's key.
    pub key: ObjectKey,
    /// Its properties.
    pub info: ObjectInfo,
}

impl Cache {
    /// Up to `limit` objects of `namespace` whose keys start with `prefix` and are greater than `after`,
    /// in byte order of their keys. Everything that was answered before the call is in it; what a base has is not.
    ///
    /// # Errors
    /// `Io` when the index cannot be read.
    pub async fn list(
        &self,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ListedObject>, CacheError> {
        let state = Arc::clone(&self.state);
        let indexer = Arc::clone(self.workers.indexer());
        let (namespace, prefix, mut after) = (namespace.clone(), prefix.to_owned(), after.map(str::to_owned));
        let work = move || {
            let index = catch_up(&indexer);
            let mut rows = Vec::new();
            while rows.len() < limit {
                let missing = limit - rows.len();
                let page = index.list(&namespace, &prefix, after.as_deref(), missing);
                let page = page.map_err(std::io::Error::other)?;
                let last = page.len() < missing;
                after = page.last().map(|entry| entry.name.key.as_str().to_owned()).or(after);
                // The index runs behind: what the table does not have any more is gone.
                let current = |entry: &Entry| {
                    let hash = state.table.hash(&entry.name);
                    let found = state.table.peek(hash, |slot| state.store.pin(&slot.location));
                    found.is_some_and(|(slot, pin)| {
                        slot.sequence == entry.sequence
                            && !state.drop_if_expired(&slot)
                            && (slot.verified || header_is_there(entry, &slot, pin))
                    })
                };
                rows.extend(page.into_iter().filter(current).map(ListedObject::from));
                if last {
                    break;
                }
            }
            Ok(rows)
        };
        let listed: Result<_, std::io::Error> =
            tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?;
        Ok(listed?)
    }
}

impl Cache {
    /// As [`Cache::list`], with what only the bucket has.
    ///
    /// # Errors
    /// `Io`; `BucketUnavailable` when the bucket cannot be listed.
    pub async fn list_with_bucket(
        &self,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(ObjectKey, ObjectSummary)>, CacheError> {
        let on_disk = self.list(namespace, prefix, after, limit).await?;
        let on_disk = on_disk.into_iter().map(|row| (row.key, row.info.into()));
        let Some(tier) = &self.state.tier else { return Ok(on_disk.collect()) };
        let in_bucket = tier.list(&self.state, namespace, prefix, after, limit).await;
        let in_bucket = in_bucket.map_err(|error| {
            tracing::warn!(%error, "the bucket could not be listed");
            CacheError::BucketUnavailable
        })?;
        // Each of the two is complete up to its own end, so the first ones of both are. What the disk has is the newer one.
        let all: BTreeMap<ObjectKey, ObjectSummary> = in_bucket.into_iter().chain(on_disk).collect();
        Ok(all.into_iter().take(limit).collect())
    }
}

/// Objects that this process has not read yet are looked at: the index may not have been told of a deletion right
/// before the process before died.
fn header_is_there(entry: &Entry, slot: &Slot, pin: Option<Pin>) -> bool {
    let header = RecordHeader {
        sequence: entry.sequence,
        name: entry.name.clone(),
        body_len: entry.location.body_len,
        created_ms: entry.created_ms,
        cost_ms: 0,
        body_checksum: entry.body_checksum,
    };
    let there = |pin: Pin| replay::header_is_there(pin.segment(), &header, slot.location.block);
    // What cannot be read is not there for a reader either.
    pin.is_some_and(|pin| there(pin).unwrap_or(false))
}

impl From<Entry> for ListedObject {
    fn from(entry: Entry) -> Self {
        let info = ObjectInfo {
            length: entry.location.body_len,
            etag: ETag(entry.body_checksum),
            created_ms: entry.created_ms,
            cost_ms: 0,
            sequence: entry.sequence,
        };
        Self { key: entry.name.key, info }
    }
}
