//! How an upload under way is stored: `<namespace>/<id>/key` holds the object's key, `<namespace>/<id>/00001` a part.
//!
//! Owns those names and the upload's age. Must not know requests.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::{bad_part_number, bad_upload_id};
use crate::cache::{Cache, CacheError, ListedObject, PutOptions};
use crate::key::{Namespace, ObjectKey, ObjectName};
use crate::object::Precondition;
use crate::protocol::Context;

/// The highest number of a part, as with S3.
const MAX_PART: u32 = 10_000;
/// How long an upload may take from its beginning on.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The last segment of the object that stands for the upload as a whole.
pub(super) const RECORD: &str = "key";

/// An upload that was begun and neither completed nor abandoned.
pub(super) struct StoredUpload {
    prefix: String,
    id: String,
}

impl StoredUpload {
    /// Begins an upload of the object `name`.
    pub(super) async fn begin(context: &Context, name: &ObjectName) -> S3Result<Self> {
        let id = format!("{:016x}{:016x}", random(), random());
        let upload = Self { prefix: format!("{}/{id}/", name.namespace), id };
        let key = Bytes::copy_from_slice(name.key.as_str().as_bytes());
        let options = PutOptions { declared_length: Some(key.len() as u64), ..PutOptions::default() };
        let mut record = context.cache.begin_put(upload.object(RECORD)?, options).await?;
        record.write(key).await?;
        record.commit().await?;
        Ok(upload)
    }

    /// The upload of `name` with this id.
    ///
    /// # Errors
    /// `NoSuchUpload` when there is none, when it is of another object, and when it has expired.
    pub(super) async fn find(context: &Context, name: &ObjectName, id: &str) -> S3Result<Self> {
        let missing = || {
            let text =
                "there is no such upload of this key: it was completed or aborted, or is over a day old";
            S3Error::with_message(S3ErrorCode::NoSuchUpload, text)
        };
        if id.len() != 32 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let upload = Self { prefix: format!("{}/{id}/", name.namespace), id: id.to_owned() };
        match read_record(context, &upload.object(RECORD)?).await? {
            Some((key, begun)) if key == name.key.as_str() && !is_over(begun, SystemTime::now()) => {
                Ok(upload)
            }
            // What is not loaded yet is not gone, and a client gives an upload up that is.
            None if !context.cache.is_ready() => Err(CacheError::Loading.into()),
            Some(_) | None => Err(missing()),
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The name of a part.
    ///
    /// # Errors
    /// `InvalidArgument` for a number that no part has.
    pub(super) fn part(&self, number: u32) -> S3Result<ObjectName> {
        if !(1..=MAX_PART).contains(&number) {
            return Err(bad_part_number());
        }
        self.object(&format!("{number:05}"))
    }

    /// Up to `limit` parts with higher numbers than `after`, each with its number.
    pub(super) async fn parts(
        &self,
        context: &Context,
        after: u32,
        limit: usize,
    ) -> S3Result<Vec<(u32, ListedObject)>> {
        let after = format!("{}{after:05}", self.prefix);
        let rows = context.cache.list(&Namespace::uploads(), &self.prefix, Some(&after), limit).await;
        let number = |row: ListedObject| Some((row.key.last_segment().parse().ok()?, row));
        Ok(rows?.into_iter().filter_map(number).collect())
    }

    /// Removes a part that was stored while its upload came to an end.
    pub(super) async fn keep_or_remove(
        &self,
        context: &Context,
        name: &ObjectName,
        part: &ObjectName,
    ) -> S3Result<()> {
        match Self::find(context, name, &self.id).await {
            Err(error) if *error.code() == S3ErrorCode::NoSuchUpload => {
                context.cache.delete(part, Precondition::None).await?;
                Err(error)
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Makes an end of it, once its object is there. The parts go in the background: there can be ten thousand.
    pub(super) async fn close(self, context: &Context) {
        let cache = context.cache.clone();
        let record = self.object(RECORD);
        let removed = match record {
            Ok(record) => cache.delete(&record, Precondition::None).await.map(drop),
            Err(_) => Ok(()),
        };
        tokio::spawn(async move {
            let removed = match removed {
                Ok(()) => self.remove_parts(&cache).await,
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(%error, upload = self.id, "parts of a completed upload were not removed, they go in a day");
            }
        });
    }

    /// Removes all that is stored of it. The record goes first: whoever stores a part then finds it gone.
    pub(super) async fn remove(self, context: &Context) -> S3Result<()> {
        let record = self.object(RECORD)?;
        context.cache.delete(&record, Precondition::None).await?;
        Ok(self.remove_parts(&context.cache).await?)
    }

    async fn remove_parts(&self, cache: &Cache) -> Result<(), CacheError> {
        let limit = usize::try_from(MAX_PART).unwrap_or(usize::MAX);
        let parts = cache.list(&Namespace::uploads(), &self.prefix, None, limit).await?;
        remove_all(cache, parts.into_iter().map(|part| part.key)).await.map(drop)
    }

    fn object(&self, last: &str) -> S3Result<ObjectName> {
        let key = ObjectKey::new(&format!("{}{last}", self.prefix)).map_err(|_| bad_upload_id())?;
        Ok(ObjectName { namespace: Namespace::uploads(), key })
    }
}

/// Removes these objects of uploads, and says how many there were.
pub(super) async fn remove_all(
    cache: &Cache,
    keys: impl IntoIterator<Item = ObjectKey>,
) -> Result<usize, CacheError> {
    let mut removed = 0;
    for key in keys {
        let name = ObjectName { namespace: Namespace::uploads(), key };
        removed += usize::from(cache.delete(&name, Precondition::None).await?);
    }
    Ok(removed)
}

/// The key that an upload's record holds, and when the upload was begun.
pub(super) async fn read_record(
    context: &Context,
    record: &ObjectName,
) -> S3Result<Option<(String, SystemTime)>> {
    let Some(record) = context.cache.get(record).await? else { return Ok(None) };
    let begun = record.info().modified();
    let mut body = record.into_body(0..u64::MAX);
    let mut key = Vec::new();
    while let Some(chunk) = body.next_chunk().await? {
        key.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(key).ok().map(|key| (key, begun)))
}

/// True when what began or was stored at `since` is too old.
pub(super) fn is_over(since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|age| age > MAX_AGE)
}

/// Ids must differ; they need not be secret, because every use of one needs the right to write.
fn random() -> u64 {
    RandomState::new().hash_one(SystemTime::now())
}
