//! COPY and MOVE of objects (RFC 4918, 9.8 and 9.9).
//!
//! MOVE is a copy and then a delete of the version that was there before, so that a crash between the two
//! leaves an object too many and never one too few. Collections are not moved: no cache client does, and it
//! could not be done all or nothing.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::HeaderMap;

use crate::cache::CacheError;
use crate::key::ObjectName;
use crate::object::Precondition;
use crate::protocol::Context;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::operation::MethodLabel;
use crate::protocol::path::Target;

pub(in crate::protocol) async fn transfer(
    context: &Context,
    method: MethodLabel,
    source: Target,
    destination: Target,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let (source, destination) = (object(source)?, object(destination)?);
    if source == destination {
        return Err(Refusal::new(ErrorCode::Forbidden, "the header Destination names the source itself"));
    }
    let precondition = match headers.get("overwrite").map(|value| value.as_bytes().trim_ascii()) {
        None | Some(b"T" | b"t") => Precondition::None,
        Some(b"F" | b"f") => Precondition::Absent,
        Some(_) => {
            return Err(Refusal::new(ErrorCode::BadHeader, "the header Overwrite is neither T nor F"));
        }
    };
    let info = context.cache.head(&source).await?.ok_or_else(|| no_source(&source))?;
    let limit = context.namespaces.max_object_size(&destination.namespace);
    if info.length > limit {
        return Err(CacheError::TooLarge { limit }.into());
    }
    let stored = match context.cache.copy(&source, destination, precondition).await {
        Ok(Some(stored)) => stored,
        Ok(None) => return Err(no_source(&source)),
        Err(CacheError::PreconditionFailed) => {
            return Err(Refusal::new(
                ErrorCode::PreconditionFailed,
                "the destination has an object already, and Overwrite is F",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    if method == MethodLabel::Move {
        match context.cache.delete(&source, Precondition::Unchanged(info.sequence)).await {
            Ok(true) => {}
            Ok(false) => {
                return Err(Refusal::new(
                    ErrorCode::Conflict,
                    "the source is an object of its namespace's base: it was copied, and stays where it is",
                ));
            }
            Err(CacheError::PreconditionFailed) => {
                return Err(Refusal::new(
                    ErrorCode::Conflict,
                    "the source was replaced while it was moved: it was copied, and its new version stays",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = if stored.created { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    Ok(response)
}

fn object(target: Target) -> Result<ObjectName, Refusal> {
    match target {
        Target::Object(name) => Ok(name),
        Target::Root | Target::Collection(_) => Err(Refusal::new(
            ErrorCode::NotImplemented,
            "COPY and MOVE take single objects: neither path may end in '/' or be a namespace",
        )),
    }
}

fn no_source(source: &ObjectName) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no object {source} to copy or move"))
}
