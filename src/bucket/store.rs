//! The calls: get, put, delete and list. Time limits and retries are the caller's.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload,
};

use super::{BodyChecksum, Bucket, BucketError, BucketObject, BucketPath, BucketRead, BucketRow, WriteMode};

/// The metadata that holds a body's XXH3-128, in hex digits.
const CHECKSUM_METADATA: &str = "larder_xxh3";

impl Bucket {
    /// The path of `parts` joined by `/`, below the bucket's prefix, as it is. `None` where no object can have that path.
    #[must_use]
    pub fn path(&self, below: &str) -> Option<BucketPath> {
        let whole = match self.prefix.as_ref() {
            "" => below.to_owned(),
            prefix => format!("{prefix}/{below}"),
        };
        BucketPath::parse(&whole).ok().filter(|path| path.as_ref() == whole)
    }

    /// The part of `path` behind the bucket's prefix; `None` where it lies elsewhere.
    #[must_use]
    pub fn below<'a>(&self, path: &'a BucketPath) -> Option<&'a str> {
        let prefix = self.prefix.as_ref();
        if prefix.is_empty() {
            return Some(path.as_ref());
        }
        path.as_ref().strip_prefix(prefix)?.strip_prefix('/')
    }

    /// Reads an object from the byte `from` on.
    ///
    /// # Errors
    /// [`BucketError`]; the stream's items too.
    pub async fn get(&self, path: &BucketPath, from: u64) -> Result<BucketRead, BucketError> {
        let range = (from > 0).then_some(GetRange::Offset(from));
        let options = GetOptions { range, ..GetOptions::default() };
        let found = self.store.get_opts(path, options).await?;
        let object = described(&found.meta, &found.attributes);
        let body = found.into_stream().map_err(BucketError::from).boxed();
        Ok(BucketRead { object, body })
    }

    /// What the bucket says of an object.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn head(&self, path: &BucketPath) -> Result<BucketObject, BucketError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = self.store.get_opts(path, options).await?;
        Ok(described(&found.meta, &found.attributes))
    }

    /// Writes an object in one call.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn put(
        &self,
        path: &BucketPath,
        body: Vec<Bytes>,
        checksum: u128,
        mode: WriteMode,
    ) -> Result<(), BucketError> {
        let mode = match mode {
            WriteMode::Replace => PutMode::Overwrite,
            WriteMode::Create => PutMode::Create,
        };
        let options = PutOptions { mode, attributes: self.attributes(checksum), ..PutOptions::default() };
        let payload: PutPayload = body.into_iter().collect();
        self.store.put_opts(path, payload, options).await?;
        Ok(())
    }

    /// Removes an object. One that is not there is as good as removed.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn delete(&self, path: &BucketPath) -> Result<(), BucketError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes many objects, in as few calls as the store allows (DeleteObjects). Returns the paths that are gone.
    ///
    /// # Errors
    /// [`BucketError`] where none could be removed.
    pub async fn delete_all(&self, paths: Vec<BucketPath>) -> Result<HashSet<BucketPath>, BucketError> {
        let wanted = futures_util::stream::iter(paths.into_iter().map(Ok)).boxed();
        let mut results = self.store.delete_stream(wanted);
        let (mut gone, mut failed) = (HashSet::new(), None);
        while let Some(result) = results.next().await {
            match result {
                Ok(path) => {
                    gone.insert(path);
                }
                Err(object_store::Error::NotFound { path, .. }) => gone.extend(BucketPath::parse(path).ok()),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if gone.is_empty() => Err(error.into()),
            _ => Ok(gone),
        }
    }

    /// All objects below the bucket's prefix.
    pub fn list(&self) -> BoxStream<'static, Result<BucketRow, BucketError>> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        self.store.list(prefix).map_ok(row).map_err(BucketError::from).boxed()
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
        let directory = if below.is_empty() { Some(self.prefix.clone()) } else { self.path(below) };
        let Some(directory) = directory else { return Ok(Vec::new()) };
        let directory = Some(&directory).filter(|directory| !directory.as_ref().is_empty());
        let mut rows = match after.and_then(|after| self.path(after)) {
            Some(offset) => self.store.list_with_offset(directory, &offset),
            None => self.store.list(directory),
        };
        let mut page: BTreeMap<BucketPath, T> = BTreeMap::new();
        while let Some(meta) = rows.next().await.transpose()? {
            let row = row(meta);
            let Some(found) = wanted(&row) else { continue };
            page.insert(row.path, found);
            if page.len() > limit {
                // A directory's own files come in no order: the first ones are known at the end.
                page.pop_last();
            }
            if page.len() == limit && self.keeps_metadata {
                break;
            }
        }
        Ok(page.into_values().collect())
    }

    fn attributes(&self, checksum: u128) -> Attributes {
        let mut attributes = Attributes::new();
        if self.keeps_metadata {
            let name = Attribute::Metadata(Cow::Borrowed(CHECKSUM_METADATA));
            attributes.insert(name, format!("{checksum:032x}").into());
        }
        attributes
    }
}

fn row(meta: ObjectMeta) -> BucketRow {
    BucketRow { modified_ms: modified_ms(&meta), length: meta.size, path: meta.location }
}

fn described(meta: &ObjectMeta, attributes: &Attributes) -> BucketObject {
    let named = attributes.get(&Attribute::Metadata(Cow::Borrowed(CHECKSUM_METADATA)));
    let own = named.and_then(|value| u128::from_str_radix(value, 16).ok()).map(BodyChecksum::Xxh3);
    let checksum = own.or_else(|| md5(meta.e_tag.as_deref()?).map(BodyChecksum::Md5));
    BucketObject { length: meta.size, modified_ms: modified_ms(meta), checksum }
}

fn modified_ms(meta: &ObjectMeta) -> u64 {
    u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0)
}

/// An ETag of 32 hex digits is an MD5; those of uploads in parts have a dash.
fn md5(etag: &str) -> Option<[u8; 16]> {
    let digits = etag.trim_matches('"');
    let is_hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)).flatten()
}
