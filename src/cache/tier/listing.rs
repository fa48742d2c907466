//! The names that lie in the bucket, for listings that show more than the disk has.

use std::time::Duration;

use super::{Operation, Tier};
use crate::bucket::{BucketError, BucketRow};
use crate::cache::state::State;
use crate::key::{Namespace, ObjectKey};
use crate::object::{ETag, ObjectSummary};

/// Time that one page of a listing has. No build waits for one.
const LIMIT: Duration = Duration::from_secs(10);

impl Tier {
    /// Up to `limit` objects of `namespace` in the bucket whose keys start with `prefix` and are greater than `after`, in
    /// byte order of their keys.
    ///
    /// # Errors
    /// The bucket's.
    pub(in crate::cache) async fn list(
        &self,
        state: &State,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(ObjectKey, ObjectSummary)>, BucketError> {
        let Some(place) = self.layout.place(namespace) else { return Ok(Vec::new()) };
        // A store lists whole directories.
        let (directory, _) = prefix.rsplit_once('/').unwrap_or_default();
        let below = |key: &str| match (place, key) {
            ("", key) => key.to_owned(),
            (place, "") => place.to_owned(),
            (place, key) => format!("{place}/{key}"),
        };
        let now_ms = state.clock.now_ms();
        let rules = state.spaces.rules(state.spaces.of(namespace).group);
        let listed = |row: &BucketRow| {
            let name = self.name(&row.path).filter(|name| name.namespace == *namespace)?;
            let key = name.key.as_str();
            let is_wanted = key.starts_with(prefix)
                && after.is_none_or(|after| key > after)
                && !rules.is_over(row.modified_ms, now_ms)
                && !self.catalogue.is_deleted(&row.path);
            if !is_wanted {
                return None;
            }
            let known = self.catalogue.get(&row.path).filter(|known| known.length == row.length);
            let etag = known.and_then(|known| known.checksum).map(ETag);
            Some((name.key, ObjectSummary { length: row.length, etag, created_ms: row.modified_ms }))
        };
        let (directory, start) = (below(directory), after.map(|after| below(&shortened(after))));
        let page = self.bucket.page(&directory, start.as_deref(), limit, listed);
        self.call(Operation::List, LIMIT, page).await
    }
}

/// A listing that jumps over all below a prefix goes on behind that prefix and a row of the last character there is, longer
/// than a store takes: one of it is as good a place to start.
fn shortened(after: &str) -> String {
    match after.trim_end_matches(char::MAX) {
        all if all.len() == after.len() => after.to_owned(),
        prefix => format!("{prefix}{}", char::MAX),
    }
}
