//! PUT and DELETE.
//!
//! Everything that can be refused is refused before the body is read, so that a client that waits for
//! `100 Continue` never sends it. A body that breaks off leaves nothing.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderMap};

use crate::cache::PutOptions;
use crate::key::ObjectName;
use crate::object::Precondition;
use crate::protocol::conditions::{self, Failed};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::incoming::Incoming;
use crate::protocol::{Context, validators};

pub(in crate::protocol) async fn put(
    context: &Context,
    name: ObjectName,
    headers: &HeaderMap,
    incoming: &mut Incoming,
) -> Result<Response, Refusal> {
    if headers.contains_key(CONTENT_RANGE) {
        // RFC 9110, 14.5: taking the part for the whole would store a torn object.
        return Err(Refusal::new(ErrorCode::BadHeader, "Content-Range on a PUT: send the whole object"));
    }
    let limit = context.namespaces.max_object_size(&name.namespace);
    let declared_length = incoming.declared_length();
    let precondition = precondition(context, &name, headers).await?;
    let options = PutOptions { declared_length, precondition, max_length: Some(limit) };
    let mut upload = context.cache.begin_put(name, options).await?;
    while let Some(chunk) = incoming.next_chunk().await? {
        upload.write(chunk).await?;
    }
    let stored = upload.commit().await?;
    // sccache takes 200, 201 and 204 for success.
    let mut response = Response::new(Body::empty());
    *response.status_mut() = if stored.created { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    validators::set(response.headers_mut(), &stored.info);
    Ok(response)
}

pub(in crate::protocol) async fn delete(
    context: &Context,
    name: ObjectName,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let precondition = precondition(context, &name, headers).await?;
    if !context.cache.delete(&name, precondition).await? {
        return Err(Refusal::new(ErrorCode::NotFound, "no object has this name"));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

async fn precondition(
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
