//! Listings: of everything, and of a page.
//!
//! Owns order and limits of what is listed. Time limits and retries are the caller's.

use std::collections::BTreeMap;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;

use super::store::modified_ms;
use super::{Bucket, BucketError, BucketPath, BucketRow};
use crate::config::BucketScheme;

impl Bucket {
    /// All objects below the bucket's prefix.
    pub fn list(&self) -> BoxStream<'static, Result<BucketRow, BucketError>> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        self.store.list(prefix).map_ok(row).map_err(listing).boxed()
    }

    /// Up to `limit` of the objects in the directory `below` the bucket's prefix that `wanted` makes something of, in the
    /// order of their paths, from behind `after` on.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn page<T>(
        &self,
        below: &str,
        after: Option<&str>,
        limit: usize,
        mut wanted: impl FnMut(&BucketRow) -> Option<T>,
    ) -> Result<Vec<T>, BucketError> {
        let directory = if below.is_empty() { Some(self.prefix.clone()) } else { self.place(below) };
        let Some(directory) = directory else { return Ok(Vec::new()) };
        let directory = Some(&directory).filter(|directory| !directory.as_ref().is_empty());
        let mut rows = match after.and_then(|after| self.place(after)) {
            Some(offset) => self.store.list_with_offset(directory, &offset),
            None => self.store.list(directory),
        };
        let mut page: BTreeMap<BucketPath, T> = BTreeMap::new();
        while let Some(meta) = rows.next().await.transpose().map_err(listing)? {
            let row = row(meta);
            let Some(found) = wanted(&row) else { continue };
            page.insert(row.path, found);
            if page.len() > limit {
                // A directory's own files come in no order: the first ones are known at the end.
                page.pop_last();
            }
            if page.len() == limit && self.scheme != BucketScheme::File {
                break;
            }
        }
        Ok(page.into_values().collect())
    }
}

fn row(meta: ObjectMeta) -> BucketRow {
    BucketRow { modified_ms: modified_ms(&meta), length: meta.size, path: meta.location }
}

/// A listing of a bucket that is there is empty at worst.
fn listing(error: object_store::Error) -> BucketError {
    BucketError::from(error).when_replacing()
}
