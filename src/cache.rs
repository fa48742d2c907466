//! The cache as the protocols see it: get, head, put, delete, copy and list over named objects.
//!
//! Knows nothing of HTTP. (Interim: everything is kept in memory; the store on disk takes its place behind
//! the same functions.)

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use crate::key::{Namespace, ObjectKey, ObjectName};
use crate::object::{ETag, ObjectInfo, Precondition};

/// Why the cache could not do what was asked. The text is fit for the client.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The body is larger than the configured limit.
    #[error("the object is larger than max_object_size ({limit} bytes)")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Neither capacity nor disk had room, even after eviction.
    #[error("no room to store {wanted} bytes: capacity or disk is full and nothing more can be evicted")]
    NoSpace {
        /// Bytes that were asked for.
        wanted: u64,
    },
    /// A budget for work in flight is used up; the same request may succeed in a moment.
    #[error("the server is at its limit of bodies in flight, try again shortly")]
    Overloaded,
    /// The precondition did not hold when the write was to take effect.
    #[error("the precondition does not hold for the stored object")]
    PreconditionFailed,
    /// The body ended early or ran past its declared length.
    #[error("the body has {received} bytes where {declared} were declared")]
    LengthMismatch {
        /// Bytes that were declared.
        declared: u64,
        /// Bytes that arrived.
        received: u64,
    },
    /// The object was damaged or removed while its body was being read; what was sent so far is not all of it.
    #[error("the object went away while it was read")]
    Vanished,
    /// The disk failed.
    #[error("the store failed: {0}")]
    Io(#[from] std::io::Error),
}

/// How an upload is to be stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct PutOptions {
    /// Body length in bytes where the client declared one.
    pub declared_length: Option<u64>,
    /// Checked when the upload begins, to fail early, and again, atomically, when it is committed.
    pub precondition: Precondition,
}

/// What a committed upload did.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Properties of the stored object.
    pub info: ObjectInfo,
    /// True when there was no object of this name before.
    pub created: bool,
}

/// One row of a listing.
#[derive(Clone, Debug)]
pub struct ListedObject {
    /// The object's key.
    pub key: ObjectKey,
    /// Its properties.
    pub info: ObjectInfo,
}

type Map = BTreeMap<ObjectName, (ObjectInfo, Bytes)>;

/// A handle to the cache; clones share one cache.
#[derive(Clone, Default)]
pub struct Cache {
    map: Arc<Mutex<Map>>,
    sequence: Arc<AtomicU64>,
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True once the index is loaded and every stored object can be found.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        true
    }

    /// Brings everything to disk; to be called once, after the last request.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn close(&self) -> std::io::Result<()> {
        Ok(())
    }

    /// Finds an object and marks it as used. `None` is a miss.
    ///
    /// # Errors
    /// [`CacheError::Overloaded`] when the read budget is used up.
    pub async fn get(&self, name: &ObjectName) -> Result<Option<Object>, CacheError> {
        Ok(self.map.lock().get(name).map(|(info, body)| Object { info: *info, body: body.clone() }))
    }

    /// An object's properties, without marking it as used.
    ///
    /// # Errors
    /// None yet.
    pub async fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>, CacheError> {
        Ok(self.map.lock().get(name).map(|(info, _)| *info))
    }

    /// Starts an upload. Nothing is visible before [`Upload::commit`]; dropping the upload undoes it.
    ///
    /// # Errors
    /// `TooLarge`, `NoSpace`, `Overloaded`, `PreconditionFailed`.
    pub async fn begin_put(&self, name: ObjectName, options: PutOptions) -> Result<Upload, CacheError> {
        Ok(Upload { cache: self.clone(), name, options, body: BytesMut::new() })
    }

    /// Removes an object. True when there was one.
    ///
    /// # Errors
    /// `PreconditionFailed`.
    pub async fn delete(&self, name: &ObjectName, precondition: Precondition) -> Result<bool, CacheError> {
        let _ = precondition;
        Ok(self.map.lock().remove(name).is_some())
    }

    /// Copies an object to another name, replacing what was there where `precondition` allows.
    /// `None` when there is no object `from`.
    ///
    /// # Errors
    /// Those of [`Cache::begin_put`].
    pub async fn copy(
        &self,
        from: &ObjectName,
        to: ObjectName,
        precondition: Precondition,
    ) -> Result<Option<Stored>, CacheError> {
        let Some(object) = self.get(from).await? else {
            return Ok(None);
        };
        let options = PutOptions { declared_length: Some(object.info().length), precondition };
        let mut upload = self.begin_put(to, options).await?;
        let length = object.info().length;
        let mut body = object.into_body(0..length);
        while let Some(chunk) = body.next_chunk().await? {
            upload.write(chunk).await?;
        }
        upload.commit().await.map(Some)
    }

    /// Up to `limit` objects of `namespace` whose keys start with `prefix` and are greater than `after`,
    /// in byte order of their keys.
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
        let map = self.map.lock();
        Ok(map
            .iter()
            .filter(|(name, _)| name.namespace == *namespace && name.key.as_str().starts_with(prefix))
            .filter(|(name, _)| after.is_none_or(|after| name.key.as_str() > after))
            .take(limit)
            .map(|(name, (info, _))| ListedObject { key: name.key.clone(), info: *info })
            .collect())
    }
}

/// A found object. It can be read to its end even when it is deleted or evicted meanwhile.
pub struct Object {
    info: ObjectInfo,
    body: Bytes,
}

impl Object {
    /// Its properties.
    #[must_use]
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// Its body, or the part of it that `range` (in bytes, within the length) names.
    #[must_use]
    pub fn into_body(self, range: Range<u64>) -> ObjectBody {
        let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.body.len());
        ObjectBody { rest: self.body.slice(cut(range.start)..cut(range.end)) }
    }
}

/// A body being read, in chunks of at most 256 KiB.
pub struct ObjectBody {
    rest: Bytes,
}

impl ObjectBody {
    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// `Vanished` or `Io`: the body cannot be completed.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, CacheError> {
        let chunk = self.rest.split_to(self.rest.len().min(256 << 10));
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    /// Bytes not yet handed out.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.rest.len() as u64
    }
}

/// An upload under way. Dropped without [`Upload::commit`], it leaves no trace.
pub struct Upload {
    cache: Cache,
    name: ObjectName,
    options: PutOptions,
    body: BytesMut,
}

impl Upload {
    /// Takes the next part of the body.
    ///
    /// # Errors
    /// `TooLarge`, `LengthMismatch` (more than declared), `NoSpace`, `Overloaded`, `Io`.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), CacheError> {
        self.body.extend_from_slice(&chunk);
        Ok(())
    }

    /// Publishes the object, all or nothing.
    ///
    /// # Errors
    /// `LengthMismatch`, `PreconditionFailed`, `NoSpace`, `Io`.
    pub async fn commit(self) -> Result<Stored, CacheError> {
        let received = self.body.len() as u64;
        if let Some(declared) = self.options.declared_length.filter(|declared| *declared != received) {
            return Err(CacheError::LengthMismatch { declared, received });
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let info = ObjectInfo {
            length: received,
            etag: ETag(twox_hash::XxHash3_128::oneshot(&self.body)),
            created_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            sequence: self.cache.sequence.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let mut map = self.cache.map.lock();
        let present = map.get(&self.name).map(|(info, _)| info.sequence);
        let holds = match self.options.precondition {
            Precondition::None => true,
            Precondition::Absent => present.is_none(),
            Precondition::Unchanged(sequence) => present == Some(sequence),
        };
        if !holds {
            return Err(CacheError::PreconditionFailed);
        }
        let created = map.insert(self.name, (info, self.body.freeze())).is_none();
        Ok(Stored { info, created })
    }
}
