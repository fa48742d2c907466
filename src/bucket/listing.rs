//! Listings: of everything, and of a page.
//!
//! Owns order and limits of what is listed, and that one odd key does not hide the others. Time limits and retries are
//! the caller's.

use std::collections::BTreeMap;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use object_store::ObjectMeta;
use tokio::sync::mpsc;

use super::store::modified_ms;
use super::{Bucket, BucketError, BucketPath, BucketRow, odd_keys};
use crate::config::BucketScheme;

/// Rows of a directory that are read ahead of whoever takes them.
const ROWS_AHEAD: usize = 1024;

impl Bucket {
    /// All objects below the bucket's prefix. A key that no client of this kind can name, as one with `//`, is an
    /// [`BucketError::Impossible`] among the rows, and others follow it.
    pub fn list(&self) -> BoxStream<'static, Result<BucketRow, BucketError>> {
        let prefix = (!self.prefix.as_ref().is_empty()).then(|| self.prefix.clone());
        let rows = match self.scheme {
            BucketScheme::File => self.list_directory(prefix, None),
            BucketScheme::S3 | BucketScheme::Gs | BucketScheme::Az => self.store.list(prefix.as_ref()),
        };
        // `object_store`'s streams panic when they are asked once more at their end, as whoever takes pages does.
        rows.map(|row| row.map_err(listing).and_then(told)).fuse().boxed()
    }

    /// A directory's listing ends at the first name that is odd where a runtime polls it, and goes on where none does
    /// (`object_store` 0.14); so a thread of its own does.
    fn list_directory(
        &self,
        prefix: Option<BucketPath>,
        after: Option<BucketPath>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (store, (sender, receiver)) = (std::sync::Arc::clone(&self.store), mpsc::channel(ROWS_AHEAD));
        let failed = sender.clone();
        let list = move || {
            let mut rows = match &after {
                Some(after) => store.list_with_offset(prefix.as_ref(), after),
                None => store.list(prefix.as_ref()),
            };
            while let Some(Some(row)) = rows.next().now_or_never() {
                if sender.blocking_send(row).is_err() {
                    return;
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("larder-list".to_owned()).spawn(list) {
            let error = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) };
            let _ = failed.try_send(Err(error));
        }
        futures_util::stream::unfold(receiver, async |mut rows| Some((rows.recv().await?, rows))).boxed()
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
            offset if self.scheme == BucketScheme::File => self.list_directory(directory.cloned(), offset),
            Some(offset) => self.store.list_with_offset(directory, &offset),
            None => self.store.list(directory),
        };
        let mut page: BTreeMap<BucketPath, T> = BTreeMap::new();
        while let Some(listed) = rows.next().await {
            let row = match listed.map_err(listing).and_then(told) {
                Ok(row) => row,
                // No client can ask for it.
                Err(BucketError::Impossible(_)) => continue,
                Err(error) => return Err(error),
            };
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

/// The row, unless the way here has put a name in place of a key that is none ([`odd_keys`]).
fn told(meta: ObjectMeta) -> Result<BucketRow, BucketError> {
    match odd_keys::key(meta.location.as_ref()) {
        Some(key) => {
            Err(BucketError::Impossible(format!("the key {key:?} is none that a client can ask for")))
        }
        None => Ok(BucketRow { modified_ms: modified_ms(&meta), length: meta.size, path: meta.location }),
    }
}

/// A listing of a bucket that is there is empty at worst.
fn listing(error: object_store::Error) -> BucketError {
    BucketError::from(error).when_replacing()
}
