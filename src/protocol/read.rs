//! Reading an object: hit or miss, conditions, one range. Shared by plain HTTP and S3.
//!
//! A miss is 404 at once. It must not change anything but the object's recency.

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE,
};

use crate::analytics::Account;
use crate::cache::Object;
use crate::key::ObjectName;
use crate::object::ObjectInfo;
use crate::protocol::body::Streamed;
use crate::protocol::conditions::{self, ReadOutcome};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::handoff::{FileQueue, MAX_STAND_IN};
use crate::protocol::range::{self, Wanted};
use crate::protocol::{Context, validators};

pub(super) async fn get(
    context: &Context,
    account: Account<'_>,
    name: ObjectName,
    headers: &HeaderMap,
    files: Option<&FileQueue>,
) -> Result<Response, Refusal> {
    let found = context.cache.get(&name).await?;
    let info = found.as_ref().map(|object| *object.info());
    let answer = match found {
        Some(object) => serve(context, object, headers, files).await,
        None => Err(miss()),
    };
    match (answer.as_ref().map_err(Refusal::code), &info) {
        (Ok(response), Some(info)) => {
            // Known of every body, and 0 where the client has the object already.
            let bytes = response.body().size_hint().lower();
            context.analytics.hit(account, &name, info, bytes);
        }
        (Err(ErrorCode::PreconditionFailed | ErrorCode::RangeNotSatisfiable), Some(info)) => {
            context.analytics.hit(account, &name, info, 0);
        }
        (Err(ErrorCode::NotFound), _) => context.analytics.miss(account, &name),
        // A failure says nothing about what is stored.
        _ => {}
    }
    answer
}

pub(super) async fn head(
    context: &Context,
    name: ObjectName,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let info = context.cache.head(&name).await?.ok_or_else(miss)?;
    match conditions::for_read(headers, &info) {
        // RFC 9110, 14.2: a Range in anything but a GET is ignored.
        ReadOutcome::Proceed => Ok(described(StatusCode::OK, &info, info.length, Body::empty())),
        ReadOutcome::NotModified => Ok(not_modified(&info)),
        ReadOutcome::Failed => Err(failed_condition()),
    }
}

async fn serve(
    context: &Context,
    object: Object,
    headers: &HeaderMap,
    files: Option<&FileQueue>,
) -> Result<Response, Refusal> {
    let info = *object.info();
    match conditions::for_read(headers, &info) {
        ReadOutcome::Proceed => {}
        ReadOutcome::NotModified => return Ok(not_modified(&info)),
        ReadOutcome::Failed => return Err(failed_condition()),
    }
    let wanted = match headers.get(RANGE).and_then(|value| value.to_str().ok()) {
        Some(text) if conditions::range_applies(headers, &info) => range::wanted(text, info.length),
        Some(_) | None => Wanted::Whole,
    };
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..info.length),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => return Err(unsatisfiable(info.length)),
    };
    let body = object.into_body(range.clone());
    let source = if files.is_some() { body.in_file_parts(MAX_STAND_IN) } else { body };
    // A body that is gone or damaged before its first byte was sent becomes a miss here.
    let body = Streamed::start(source, Some(context.metrics.sent_bytes.clone())).await?;
    let body = body.sending_files(files.cloned());
    let mut response = described(status, &info, range.end - range.start, Body::new(body));
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, info.length);
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
    }
    Ok(response)
}

fn described(status: StatusCode, info: &ObjectInfo, length: u64, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    validators::set(headers, info);
    response
}

fn not_modified(info: &ObjectInfo) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    validators::set(response.headers_mut(), info);
    response
}

fn miss() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "no object has this name")
}

fn failed_condition() -> Refusal {
    Refusal::new(
        ErrorCode::PreconditionFailed,
        "the stored object is another version than the request asks for",
    )
}

fn unsatisfiable(length: u64) -> Refusal {
    let text = format!("the range lies behind the end of the object, which has {length} bytes");
    let refusal = Refusal::new(ErrorCode::RangeNotSatisfiable, text);
    match HeaderValue::try_from(format!("bytes */{length}")) {
        Ok(value) => refusal.with_header(CONTENT_RANGE, value),
        Err(_) => refusal,
    }
}
