//! S3: the calls that sccache's S3 backend makes, and those with which everyday tools look into a bucket.
//!
//! A bucket is a namespace. Reading and writing single objects goes straight to the cache (`objects`); everything
//! else goes through the `s3s` crate, which owns the operations' routing, types and XML (`service`). Signatures are
//! verified before anything comes here; what is left of them is the [`Payload`] that they promise.
//!
//! Must not know who is asking, plain HTTP's or WebDAV's ways of saying things, or connections.

mod absent;
mod checksums;
mod chunked;
mod copying;
mod error;
mod listing;
mod objects;
mod payload;
mod request;
mod service;
mod uploads;
mod verified;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::request::Parts;
use s3s::{S3Error, S3ErrorCode};

pub use chunked::{ChunkError, Decoder};
pub use error::code;
pub(super) use error::refuse;
pub use payload::{Payload, PayloadForm};
pub use request::{S3Request, is_s3, is_to_bucket_host, read};
use service::Granted;
pub(super) use service::Service;
pub(super) use uploads::expire;

use crate::analytics::Account;
use crate::protocol::Context;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::handoff::FileQueue;
use crate::protocol::incoming::Incoming;
use crate::protocol::operation::{Admission, MethodLabel, Operation};
use crate::protocol::path::{PathError, Target};
use crate::sigv4::Query;

/// Carries out an S3 request. Whatever goes wrong is an answer in S3's form.
pub(super) async fn handle(
    context: &Context,
    service: &Service,
    operation: Operation,
    admission: Admission,
    parts: &Parts,
    incoming: &mut Incoming,
    files: Option<&FileQueue>,
) -> Response {
    let request_id = admission.request_id;
    match dispatch(context, service, operation, admission, parts, incoming, files).await {
        Ok(response) => error::with_request_id(response, request_id),
        Err(failure) => error::respond(failure, request_id),
    }
}

async fn dispatch(
    context: &Context,
    service: &Service,
    operation: Operation,
    admission: Admission,
    parts: &Parts,
    incoming: &mut Incoming,
    files: Option<&FileQueue>,
) -> Result<Response, S3Error> {
    let method = operation.method;
    let Admission { payload, session, .. } = admission;
    let target = match operation.target {
        Ok(target) => target,
        Err(PathError::NoSuchNamespace) if method == MethodLabel::Put && is_bucket_path(context, parts) => {
            let text =
                "buckets are larder's namespaces: have one added to its configuration, [namespaces.NAME]";
            return Err(S3Error::with_message(S3ErrorCode::AccessDenied, text));
        }
        Err(other) => return Err(other.into()),
    };
    let no_query = Query::default();
    let query = operation.s3.as_ref().map_or(Ok(&no_query), |s3| s3.query())?;
    let headers = &parts.headers;
    absent::check(method, &target, query, headers)?;
    let source = match operation.s3.as_ref().and_then(|s3| s3.copy_source.clone()) {
        None => None,
        Some(Ok(Target::Object(source))) => Some(source),
        Some(Ok(Target::Root | Target::Collection(_))) => {
            let text = "x-amz-copy-source names no object: write bucket/key";
            return Err(Refusal::new(ErrorCode::BadHeader, text).into());
        }
        Some(Err(error)) => return Err(error.into()),
    };
    if let Target::Object(name) = target.clone() {
        if objects::are_asked_for(method, query, headers) {
            let account = Account { protocol: operation.protocol, session: session.as_deref() };
            let answered = match method {
                MethodLabel::Get => objects::get(context, account, name, query, headers, files).await,
                MethodLabel::Head => objects::head(context, name, query, headers).await,
                MethodLabel::Put => objects::put(context, account, name, headers, payload, incoming).await,
                _ => objects::delete(context, name, headers).await,
            };
            return Ok(answered?);
        }
        if uploads::is_part(method, query, headers) {
            return uploads::put_part(context, name, query, headers, payload, incoming).await;
        }
    }
    if matches!(&target, Target::Collection(collection) if !collection.prefix.is_empty()) {
        return directory(method);
    }
    let granted = Granted { access: operation.access, source };
    service.call(&target, query, parts, granted, payload, incoming).await
}

/// Answers for a key that ends in a slash, which some tools use as a mark for a directory. There can be none: keys
/// have no empty segment here, and directories are there as soon as something is in them.
fn directory(method: MethodLabel) -> Result<Response, S3Error> {
    match method {
        MethodLabel::Get | MethodLabel::Head => Err(S3ErrorCode::NoSuchKey.into()),
        MethodLabel::Delete => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => {
            let text = "a key cannot end in '/': there is nothing to create, directories are there with what is in them";
            Err(Refusal::new(ErrorCode::BadPath, text).into())
        }
    }
}

fn is_bucket_path(context: &Context, parts: &Parts) -> bool {
    let is_key = is_to_bucket_host(&parts.uri, &parts.headers, context.s3_domain.as_deref());
    !is_key && !parts.uri.path().trim_matches('/').contains('/')
}
