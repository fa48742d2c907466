//! An upload under way, whatever comes of it: what it must keep to is decided here, before its first byte.
//!
//! Most are stored ([`storing`]). Where the namespace is write-once and has the key, the body is only compared
//! ([`comparing`]): the same one is as good as stored, another one is refused.

mod comparing;
mod storing;

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use self::comparing::Comparing;
pub(super) use self::storing::GATHER_BYTES;
use self::storing::Storing;
use super::error::CacheError;
use super::state::State;
use super::{evict, layers, tier};
use crate::blobs::SoloView;
use crate::bucket::BucketObject;
use crate::index::table::Space;
use crate::key::ObjectName;
use crate::object::{ObjectInfo, Precondition};

/// How an upload is to be stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct PutOptions {
    /// Body length in bytes where the client declared one.
    pub declared_length: Option<u64>,
    /// Checked when the upload begins, to fail early, and again, atomically, when it is committed.
    pub precondition: Precondition,
    /// Largest body to take, in bytes, where it differs from the namespace's own limit. Its quota holds all the same.
    pub max_length: Option<u64>,
    /// What the object cost to make, in milliseconds; 0: unknown.
    pub cost_ms: u32,
}

/// What a committed upload did.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Properties of the stored object.
    pub info: ObjectInfo,
    /// True when there was no object of this name before.
    pub created: bool,
}

/// An upload under way. Dropped without [`Upload::commit`], it leaves no trace.
pub struct Upload(Kind);

enum Kind {
    Storing(Box<Storing>),
    Comparing(Box<Comparing>),
}

/// Where a body comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// From a client: it is new, and the bucket does not have it.
    Client,
    /// From the bucket, where it was written at this time, milliseconds since the Unix epoch.
    Bucket { modified_ms: u64 },
}

/// An upload that may begin, and what it has to keep to.
struct Accepted {
    name: ObjectName,
    space: Space,
    origin: Origin,
    declared_length: Option<u64>,
    limit: u64,
    cost_ms: u32,
    /// What must hold for the namespace's own object.
    precondition: Precondition,
    /// True when only the namespace's rule asks for the precondition.
    write_once: bool,
}

impl Upload {
    pub(super) async fn begin(
        state: Arc<State>,
        name: ObjectName,
        options: PutOptions,
    ) -> Result<Self, CacheError> {
        let space = state.spaces.of_object(&name);
        let rules = state.spaces.rules(space.group);
        let limit = options.max_length.unwrap_or(rules.max_object_size).min(rules.quota.unwrap_or(u64::MAX));
        let declared_length = options.declared_length;
        if declared_length.is_some_and(|length| length > limit) {
            return Err(CacheError::TooLarge { limit });
        }
        if options.precondition != Precondition::None {
            layers::bring(&state, &name).await?;
        }
        let precondition = layers::own_precondition(&state, &name, options.precondition)?;
        // Without the probe sccache takes itself for one that may only read; a part may be sent anew until its upload is done.
        let write_once = rules.write_once && !name.key.is_probe() && !name.namespace.is_uploads();
        let far_above_quota = rules.is_far_above(state.table.disk_bytes_of(space.group));
        let mut accepted = Accepted {
            name,
            space,
            origin: Origin::Client,
            declared_length,
            limit,
            cost_ms: options.cost_ms,
            precondition,
            write_once: false,
        };
        if write_once {
            if !state.is_ready() {
                return Err(CacheError::Loading);
            }
            if layers::current(&state, &accepted.name).is_none() {
                tier::bring(&state, &accepted.name).await?;
            }
            if let Some(existing) = layers::head_own(&state, &accepted.name).await? {
                let comparing = Comparing::begin(state, accepted, existing)?;
                return Ok(Self(Kind::Comparing(Box::new(comparing))));
            }
            // Whoever asked for this himself is told that it does not hold, whatever the body.
            accepted.write_once = accepted.precondition == Precondition::None;
            accepted.precondition = Precondition::Absent;
        } else if rules.expires() {
            // One whose time is over is not replaced but gone.
            let _ = layers::current(&state, &accepted.name);
        }
        if far_above_quota {
            let state = Arc::clone(&state);
            blocking(move || evict::keep_quotas(&state)).await?;
        }
        Ok(Self(Kind::Storing(Box::new(Storing::begin(state, accepted).await?))))
    }

    /// Begins to store the body of an object that the bucket has. The memory of one that is gathered is the caller's affair.
    pub(super) async fn begin_fill(
        state: Arc<State>,
        name: ObjectName,
        object: &BucketObject,
    ) -> Result<Self, CacheError> {
        let BucketObject { length, modified_ms, cost_ms, .. } = *object;
        let space = state.spaces.of_object(&name);
        let accepted = Accepted {
            name,
            space,
            origin: Origin::Bucket { modified_ms },
            declared_length: Some(length),
            limit: length,
            cost_ms,
            // What a client wrote meanwhile is newer.
            precondition: Precondition::Absent,
            write_once: false,
        };
        Ok(Self(Kind::Storing(Box::new(Storing::begin(state, accepted).await?))))
    }

    /// Where a large body can be read while it is stored.
    pub(super) fn view(&self) -> Option<SoloView> {
        match &self.0 {
            Kind::Storing(upload) => upload.view(),
            Kind::Comparing(_) => None,
        }
    }

    /// Takes the next part of the body.
    ///
    /// # Errors
    /// `TooLarge`, `LengthMismatch` (more than declared), `NoSpace`, `Overloaded`, `Exists`, `Io`. The upload is over then.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), CacheError> {
        match &mut self.0 {
            Kind::Storing(upload) => upload.write(chunk).await,
            Kind::Comparing(upload) => upload.write(&chunk),
        }
    }

    /// Publishes the object, all or nothing.
    ///
    /// # Errors
    /// `LengthMismatch`, `PreconditionFailed`, `NoSpace`, `Exists`, `Io`.
    pub async fn commit(self) -> Result<Stored, CacheError> {
        match self.0 {
            Kind::Storing(upload) => upload.commit().await,
            Kind::Comparing(upload) => upload.commit().await,
        }
    }
}

impl Accepted {
    /// Checks how much has arrived.
    fn check(&self, received: u64) -> Result<(), CacheError> {
        if received > self.limit {
            return Err(CacheError::TooLarge { limit: self.limit });
        }
        match self.declared_length {
            Some(declared) if received > declared => Err(CacheError::LengthMismatch { declared, received }),
            _ => Ok(()),
        }
    }

    /// Checks that all has arrived.
    fn check_end(&self, received: u64) -> Result<(), CacheError> {
        match self.declared_length {
            Some(declared) if received != declared => Err(CacheError::LengthMismatch { declared, received }),
            _ => Ok(()),
        }
    }
}

/// Counts and tells that a write-once namespace keeps what it has.
pub(super) fn refuse_overwrite(state: &State, space: Space, name: &ObjectName) -> CacheError {
    let label = &state.spaces.rules(space.group).label;
    state.metrics.overwrites_refused.with_label_values(&[label]).inc();
    tracing::warn!(namespace = %name.namespace, key = %name.key, "another body for a key of a write-once namespace refused");
    CacheError::Exists { namespace: name.namespace.clone() }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
