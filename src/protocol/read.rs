//! Reading an object: hit or miss, conditions, one range. Shared by plain HTTP and S3.
//!
//! A miss is 404 at once, and what is in memory is answered at once. It must not change anything but the object's recency.

use std::ops::Range;

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE,
};

use crate::analytics::Account;
use crate::cache::{self, Look, Object, ObjectBody};
use crate::key::ObjectName;
use crate::object::ObjectInfo;
use crate::protocol::body::Streamed;
use crate::protocol::conditions::{self, ReadOutcome};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::handoff::{FileQueue, MAX_STAND_IN};
use crate::protocol::range::{self, Wanted};
use crate::protocol::{Context, validators};

/// An answer, or why there is none.
type Answer = Result<Response, Refusal>;

/// A read that has to wait, for the disk or for the bucket.
pub(super) enum Waits {
    /// For the object.
    Look(cache::Waits),
    /// For the beginning of its body.
    Body(Box<Hit>),
}

/// An object of which something is to be sent.
pub(super) struct Hit {
    info: ObjectInfo,
    status: StatusCode,
    range: Range<u64>,
    body: ObjectBody,
}

pub(super) async fn get(
    context: &Context,
    account: Account<'_>,
    name: ObjectName,
    headers: &HeaderMap,
    files: Option<&FileQueue>,
) -> Answer {
    let mut headers = headers.clone();
    match try_get(context, account, &name, &mut headers, files) {
        Ok(answer) => answer,
        Err(waits) => waits.wait(context, account, &name, &mut headers, files).await,
    }
}

/// The same as far as it goes without waiting. With the answer the request's `headers` are used up: a hit's own are in their place,
/// which hyper reads the connection's next request into. So none of it is allocated anew for each.
///
/// # Errors
/// What has to be waited for.
pub(super) fn try_get(
    context: &Context,
    account: Account<'_>,
    name: &ObjectName,
    headers: &mut HeaderMap,
    files: Option<&FileQueue>,
) -> Result<Answer, Waits> {
    match context.cache.look(name) {
        Ok(Look::Done(found)) => {
            try_answer(context, account, name, headers, files, found).map_err(Waits::Body)
        }
        Ok(Look::Waits(waits)) => Err(Waits::Look(waits)),
        Err(error) => Ok(Err(error.into())),
    }
}

impl Waits {
    /// Waits, and answers.
    pub(super) async fn wait(
        self,
        context: &Context,
        account: Account<'_>,
        name: &ObjectName,
        headers: &mut HeaderMap,
        files: Option<&FileQueue>,
    ) -> Answer {
        let hit = match self {
            Self::Body(hit) => hit,
            Self::Look(waits) => {
                let found = context.cache.wait(name, waits).await?;
                match try_answer(context, account, name, headers, files, found) {
                    Ok(answer) => return answer,
                    Err(hit) => hit,
                }
            }
        };
        let Hit { info, status, range, body } = *hit;
        let started = Streamed::start(body, Some(context.metrics.sent_bytes.clone())).await;
        let answer =
            started.map(|body| described(headers, status, &info, &range, body, files)).map_err(Refusal::from);
        counted(context, account, name, Some(&info), answer)
    }
}

/// Answers with what was found, where the beginning of its body is there; else hands back what to send.
fn try_answer(
    context: &Context,
    account: Account<'_>,
    name: &ObjectName,
    headers: &mut HeaderMap,
    files: Option<&FileQueue>,
    found: Option<Object>,
) -> Result<Answer, Box<Hit>> {
    let Some(object) = found else { return Ok(counted(context, account, name, None, Err(miss()))) };
    let info = *object.info();
    let answer = match asked_for(headers, &info) {
        AskedFor::NoBody(answer) => answer,
        AskedFor::Body(status, range) => {
            let body = object.into_body(range.clone());
            let files = files.filter(|_| !body.is_in_memory());
            let body = if files.is_some() { body.in_file_parts(MAX_STAND_IN) } else { body };
            match Streamed::try_start(body, Some(context.metrics.sent_bytes.clone())) {
                // A body that is gone or damaged before its first byte was sent becomes a miss here.
                Ok(started) => started
                    .map(|body| described(headers, status, &info, &range, body, files))
                    .map_err(Refusal::from),
                Err(body) => return Err(Box::new(Hit { info, status, range, body })),
            }
        }
    };
    Ok(counted(context, account, name, Some(&info), answer))
}

/// Tells the analytics what a read came to.
fn counted(
    context: &Context,
    account: Account<'_>,
    name: &ObjectName,
    found: Option<&ObjectInfo>,
    answer: Answer,
) -> Answer {
    match (answer.as_ref().map_err(Refusal::code), found) {
        (Ok(response), Some(info)) => {
            // Known of every body, and 0 where the client has the object already.
            let bytes = response.body().size_hint().lower();
            context.analytics.hit(account, name, info, bytes);
        }
        (Err(ErrorCode::PreconditionFailed | ErrorCode::RangeNotSatisfiable), Some(info)) => {
            context.analytics.hit(account, name, info, 0);
        }
        (Err(ErrorCode::NotFound), _) => context.analytics.miss(account, name),
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
        ReadOutcome::Proceed => {
            let mut response = Response::new(Body::empty());
            let headers = response.headers_mut();
            headers.insert(CONTENT_LENGTH, HeaderValue::from(info.length));
            describe(headers, &info);
            Ok(response)
        }
        ReadOutcome::NotModified => Ok(not_modified(&info)),
        ReadOutcome::Failed => Err(failed_condition()),
    }
}

/// What a read's conditions and range come to.
enum AskedFor {
    /// So much of the object, with this status.
    Body(StatusCode, Range<u64>),
    /// This answer.
    NoBody(Answer),
}

fn asked_for(headers: &HeaderMap, info: &ObjectInfo) -> AskedFor {
    if !conditions::concern_reads(headers) {
        return AskedFor::Body(StatusCode::OK, 0..info.length);
    }
    match conditions::for_read(headers, info) {
        ReadOutcome::Proceed => {}
        ReadOutcome::NotModified => return AskedFor::NoBody(Ok(not_modified(info))),
        ReadOutcome::Failed => return AskedFor::NoBody(Err(failed_condition())),
    }
    let wanted = match headers.get(RANGE).and_then(|value| value.to_str().ok()) {
        Some(text) if conditions::range_applies(headers, info) => range::wanted(text, info.length),
        Some(_) | None => Wanted::Whole,
    };
    match wanted {
        Wanted::Whole => AskedFor::Body(StatusCode::OK, 0..info.length),
        Wanted::Part(range) => AskedFor::Body(StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => AskedFor::NoBody(Err(unsatisfiable(info.length))),
    }
}

/// The answer that sends `range` of an object, its headers in place of those `asked`. Its length is set by hyper, which over HTTP/2
/// forgets it where there is nothing to send.
fn described(
    asked: &mut HeaderMap,
    status: StatusCode,
    info: &ObjectInfo,
    range: &Range<u64>,
    body: Streamed<ObjectBody>,
    files: Option<&FileQueue>,
) -> Response {
    let mut response = Response::new(Body::new(body.sending_files(files.cloned())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    *headers = std::mem::take(asked);
    headers.clear();
    if range.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    describe(headers, info);
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, info.length);
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(CONTENT_RANGE, value);
        }
    }
    response
}

fn describe(headers: &mut HeaderMap, info: &ObjectInfo) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    validators::set(headers, info);
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
