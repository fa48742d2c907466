//! Plain HTTP: GET, HEAD, PUT and DELETE of objects, as sccache, ccache, Bazel and Gradle send them.
//!
//! Must not know collections, WebDAV or S3. Reading is shared with them and lies in `read`.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::HeaderMap;

use crate::analytics::Account;
use crate::key::ObjectName;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::incoming::Incoming;
use crate::protocol::{Context, validators, write};

pub(super) async fn put(
    context: &Context,
    account: Account<'_>,
    name: ObjectName,
    headers: &HeaderMap,
    incoming: &mut Incoming,
) -> Result<Response, Refusal> {
    let stored = write::put(context, account, name, headers, incoming).await?;
    // sccache takes 200, 201 and 204 for success.
    let mut response = Response::new(Body::empty());
    *response.status_mut() = if stored.created { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    validators::set(response.headers_mut(), &stored.info);
    Ok(response)
}

pub(super) async fn delete(
    context: &Context,
    name: ObjectName,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    if !write::delete(context, &name, headers).await? {
        return Err(Refusal::new(ErrorCode::NotFound, "no object has this name"));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
