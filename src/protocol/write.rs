//! Storing and removing an object under the conditions that the headers name. Shared by plain HTTP and S3.
//!
//! Everything that can be refused is refused before the body is read, so that a client that waits for
//! `100 Continue` never sends it. A body that breaks off leaves nothing. It must not word the answer.

use bytes::Bytes;
use http::header::{CONTENT_RANGE, HeaderMap};

use crate::analytics::Account;
use crate::cache::{PutOptions, Stored};
use crate::key::ObjectName;
use crate::object::Precondition;
use crate::protocol::Context;
use crate::protocol::conditions::{self, Failed};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::incoming::Incoming;

/// A body on its way into the cache.
pub(super) trait Source {
    /// Its length in bytes, where that was declared.
    fn declared_length(&self) -> Option<u64>;

    /// The next part; `None` at the end, and only of a body that is whole and what it was promised to be.
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal>;
}

impl Source for Incoming {
    fn declared_length(&self) -> Option<u64> {
        Incoming::declared_length(self)
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        Ok(Incoming::next_chunk(self).await?)
    }
}

pub(super) async fn put(
    context: &Context,
    account: Account<'_>,
    name: ObjectName,
    headers: &HeaderMap,
    source: &mut impl Source,
) -> Result<Stored, Refusal> {
    if headers.contains_key(CONTENT_RANGE) {
        // RFC 9110, 14.5: taking the part for the whole would store a torn object.
        return Err(Refusal::new(ErrorCode::BadHeader, "Content-Range on a PUT: send the whole object"));
    }
    let cost_ms = context.analytics.cost_ms(account, &name);
    let precondition = precondition(context, &name, headers).await?;
    let limit = context.namespaces.max_object_size(&name.namespace);
    let what = Wanted { precondition, limit, cost_ms: cost_ms.unwrap_or(0) };
    let stored = store(context, name.clone(), what, source).await?;
    context.analytics.stored(account, &name, stored.info.length, cost_ms);
    Ok(stored)
}

/// Under which conditions a body is stored.
pub(super) struct Wanted {
    /// What must still hold.
    pub(super) precondition: Precondition,
    /// Most bytes of it.
    pub(super) limit: u64,
    /// What it cost to make, in milliseconds; 0: unknown.
    pub(super) cost_ms: u32,
}

impl Wanted {
    /// A part of an upload, of at most `limit` bytes.
    pub(super) fn part(limit: u64) -> Self {
        Self { precondition: Precondition::None, limit, cost_ms: 0 }
    }
}

/// Takes all of `source` into the object `name`.
pub(super) async fn store(
    context: &Context,
    name: ObjectName,
    wanted: Wanted,
    source: &mut impl Source,
) -> Result<Stored, Refusal> {
    let Wanted { precondition, limit, cost_ms } = wanted;
    let declared_length = source.declared_length();
    let options = PutOptions { declared_length, precondition, max_length: Some(limit), cost_ms };
    let mut upload = context.cache.begin_put(name, options).await?;
    while let Some(chunk) = source.next_chunk().await? {
        upload.write(chunk).await?;
    }
    Ok(upload.commit().await?)
}

/// Removes an object. False when there was none.
pub(super) async fn delete(
    context: &Context,
    name: &ObjectName,
    headers: &HeaderMap,
) -> Result<bool, Refusal> {
    let precondition = precondition(context, name, headers).await?;
    let was_there = context.cache.delete(name, precondition).await?;
    context.analytics.deleted(name);
    Ok(was_there)
}

/// What must still hold when a write or a delete takes effect, after the headers' conditions were found to hold now.
pub(super) async fn precondition(
    context: &Context,
    name: &ObjectName,
    headers: &HeaderMap,
) -> Result<Precondition, Refusal> {
    if !conditions::concern_writes(headers) {
        return Ok(Precondition::None);
    }
    let current = context.cache.head(name).await?;
    conditions::for_write(headers, current.as_ref()).map_err(|Failed| {
        Refusal::new(
            ErrorCode::PreconditionFailed,
            "If-Match, If-None-Match or If-Unmodified-Since does not hold for what is stored under this name",
        )
    })
}
