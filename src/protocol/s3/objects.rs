//! GetObject, HeadObject, PutObject, DeleteObject: what a build does all day, on a way of its own past the machinery
//! that the other operations use.
//!
//! Must not know signatures, XML or listings.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES, HeaderMap,
    HeaderName, HeaderValue,
};

use super::checksums::Subject;
use super::payload::Payload;
use super::request::COPY_SOURCE;
use super::verified::Verified;
use crate::analytics::Account;
use crate::key::ObjectName;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::handoff::FileQueue;
use crate::protocol::incoming::Incoming;
use crate::protocol::operation::MethodLabel;
use crate::protocol::{Context, read, validators, write};
use crate::sigv4::Query;

/// Parameters that leave the operation what it is: those of the signature, and the one with which SDKs name it.
const HARMLESS: &[&str] = &[
    "x-id",
    // Asks for a checksum that was never kept, which clients do without.
    "x-amz-checksum-mode",
    "X-Amz-Checksum-Mode",
    "X-Amz-Algorithm",
    "X-Amz-Content-Sha256",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// Parameters of a read that set headers of the answer, as links for browsers do.
const OVERRIDES: &[(&str, HeaderName)] = &[
    ("response-cache-control", CACHE_CONTROL),
    ("response-content-disposition", CONTENT_DISPOSITION),
    ("response-content-encoding", CONTENT_ENCODING),
    ("response-content-language", CONTENT_LANGUAGE),
    ("response-content-type", CONTENT_TYPE),
    ("response-expires", EXPIRES),
];

/// True for a request that is one of this file's operations and no relative of it, such as GetObjectAcl.
pub(super) fn are_asked_for(method: MethodLabel, query: &Query, headers: &HeaderMap) -> bool {
    let is_read = matches!(method, MethodLabel::Get | MethodLabel::Head);
    let is_override = |name: &str| is_read && OVERRIDES.iter().any(|(own, _)| *own == name);
    let is_one = match method {
        MethodLabel::Put => !headers.contains_key(COPY_SOURCE),
        method => is_read || method == MethodLabel::Delete,
    };
    is_one && query.iter().all(|(name, _)| HARMLESS.contains(&name) || is_override(name))
}

pub(super) async fn get(
    context: &Context,
    account: Account<'_>,
    name: ObjectName,
    query: &Query,
    headers: &HeaderMap,
    files: Option<&FileQueue>,
) -> Result<Response, Refusal> {
    overridden(read::get(context, account, name, headers, files).await?, query)
}

pub(super) async fn head(
    context: &Context,
    name: ObjectName,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    overridden(read::head(context, name, headers).await?, query)
}

pub(super) async fn put(
    context: &Context,
    account: Account<'_>,
    name: ObjectName,
    headers: &HeaderMap,
    payload: Payload,
    incoming: &mut Incoming,
) -> Result<Response, Refusal> {
    let mut body = Verified::new(incoming, headers, payload, Subject::Body)?;
    if write::Source::declared_length(&body).is_none() {
        return Err(Refusal::new(
            ErrorCode::LengthRequired,
            "PutObject needs a Content-Length; of unknown length is what plain HTTP takes",
        ));
    }
    let stored = write::put(context, account, name, headers, &mut body).await?;
    let mut response = Response::new(Body::empty());
    validators::set(response.headers_mut(), &stored.info);
    Ok(response)
}

pub(super) async fn delete(
    context: &Context,
    name: ObjectName,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    // S3 calls it a success too when there was nothing.
    let _ = write::delete(context, &name, headers).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn overridden(mut response: Response, query: &Query) -> Result<Response, Refusal> {
    if query.is_empty() {
        return Ok(response);
    }
    for (parameter, header) in OVERRIDES {
        if let Some(text) = query.get(parameter) {
            let value = HeaderValue::try_from(text).map_err(|_| {
                Refusal::new(ErrorCode::BadHeader, format!("{parameter} cannot stand in a header"))
            })?;
            response.headers_mut().insert(header, value);
        }
    }
    Ok(response)
}
