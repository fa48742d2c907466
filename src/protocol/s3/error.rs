//! The one place where refusals become S3's errors: their codes, their XML, the request id on every answer.
//!
//! It must not know which operation was refused.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Collected};
use s3s::{HttpResponse, S3Error, S3ErrorCode};

use crate::cache::CacheError;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::path::PathError;

/// Where S3's clients look for the number to name in a question.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// The code that S3's clients know for a refusal.
#[must_use]
pub fn code(code: ErrorCode) -> S3ErrorCode {
    match code {
        ErrorCode::BadPath => S3ErrorCode::InvalidURI,
        ErrorCode::BadHeader | ErrorCode::BadQuery => S3ErrorCode::InvalidArgument,
        ErrorCode::BadXml => S3ErrorCode::MalformedXML,
        ErrorCode::IncompleteBody => S3ErrorCode::IncompleteBody,
        ErrorCode::BadDigest => S3ErrorCode::BadDigest,
        ErrorCode::InvalidDigest => S3ErrorCode::InvalidDigest,
        ErrorCode::PayloadMismatch => S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
        ErrorCode::MalformedSignature => S3ErrorCode::AuthorizationHeaderMalformed,
        ErrorCode::MalformedPresignedUrl => S3ErrorCode::Custom("AuthorizationQueryParametersError".into()),
        ErrorCode::BadSignature => S3ErrorCode::SignatureDoesNotMatch,
        ErrorCode::UnknownKey => S3ErrorCode::InvalidAccessKeyId,
        ErrorCode::ClockSkew => S3ErrorCode::RequestTimeTooSkewed,
        ErrorCode::Forbidden | ErrorCode::Unauthorized => S3ErrorCode::AccessDenied,
        ErrorCode::NotFound => S3ErrorCode::NoSuchKey,
        ErrorCode::NoSuchNamespace => S3ErrorCode::NoSuchBucket,
        ErrorCode::MethodNotAllowed => S3ErrorCode::MethodNotAllowed,
        ErrorCode::Timeout => S3ErrorCode::RequestTimeout,
        ErrorCode::Conflict => S3ErrorCode::OperationAborted,
        ErrorCode::Exists => S3ErrorCode::Custom("ObjectAlreadyExists".into()),
        ErrorCode::LengthRequired => S3ErrorCode::MissingContentLength,
        ErrorCode::PreconditionFailed => S3ErrorCode::PreconditionFailed,
        ErrorCode::TooLarge => S3ErrorCode::EntityTooLarge,
        ErrorCode::UnsupportedBody => S3ErrorCode::InvalidRequest,
        ErrorCode::RangeNotSatisfiable => S3ErrorCode::InvalidRange,
        ErrorCode::StoreFailed | ErrorCode::Internal => S3ErrorCode::InternalError,
        ErrorCode::NotImplemented | ErrorCode::OtherServer => S3ErrorCode::NotImplemented,
        ErrorCode::Overloaded => S3ErrorCode::SlowDown,
        ErrorCode::NotReady | ErrorCode::IssuerUnreachable => S3ErrorCode::ServiceUnavailable,
        ErrorCode::NoSpace => S3ErrorCode::Custom("InsufficientStorage".into()),
    }
}

/// Writes an error as an answer, and sets the request's number on it.
pub(in crate::protocol) fn respond(mut error: S3Error, request_id: u64) -> Response {
    error.set_request_id(id(request_id));
    if error.status_code().is_none() {
        error.set_status_code(StatusCode::BAD_REQUEST);
    }
    if error.message().is_none() {
        let text = usual_text(error.code());
        error.set_message(text);
    }
    let headers = error.headers().cloned().unwrap_or_default();
    let response = match error.to_http_response() {
        Ok(response) => response.map(Body::new),
        Err(unwritable) => {
            tracing::error!(error = %unwritable, "an S3 error could not be written as XML");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    };
    let mut response = with_request_id(response, request_id);
    response.headers_mut().extend(headers);
    response
}

/// The text of an error that came without one.
fn usual_text(code: &S3ErrorCode) -> &'static str {
    match code {
        S3ErrorCode::NoSuchKey => "no object has this name",
        S3ErrorCode::PreconditionFailed => "a condition of the request does not hold for what is stored",
        S3ErrorCode::InvalidPartOrder => "the list of parts is not in the order of their numbers",
        _ => "the request is not what its operation takes: a parameter, a header or the XML of its body",
    }
}

/// The refusal as S3's XML.
pub(in crate::protocol) fn refuse(refusal: Refusal, request_id: u64) -> Response {
    respond(refusal.into(), request_id)
}

/// An error that `s3s` has already written, read back, so that all errors leave by one way and have text and number.
pub(super) async fn reread(response: HttpResponse) -> S3Error {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).cloned();
    let body = response.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    let text = |tag: &str| {
        let (_, rest) = body.split_once(&format!("<{tag}>"))?;
        let (text, _) = rest.split_once(&format!("</{tag}>"))?;
        quick_xml::escape::unescape(text).ok().map(Cow::into_owned)
    };
    let code = text("Code").and_then(|code| S3ErrorCode::from_bytes(code.as_bytes()));
    let code = code.unwrap_or(S3ErrorCode::InvalidRequest);
    let mut error = S3Error::new(code);
    if let Some(message) = text("Message") {
        error.set_message(message);
    }
    error.set_status_code(status);
    if let Some(value) = retry_after {
        error.set_headers(HeaderMap::from_iter([(RETRY_AFTER, value)]));
    }
    error
}

/// `response` with the number of its request.
pub(super) fn with_request_id(mut response: Response, request_id: u64) -> Response {
    if let Ok(value) = HeaderValue::try_from(id(request_id)) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        let own = refusal.code();
        let (text, header) = refusal.into_parts();
        let mut error = Self::with_message(code(own), text);
        if error.status_code().is_none() {
            error.set_status_code(own.status());
        }
        if let Some((name, value)) = header {
            error.set_headers(HeaderMap::from_iter([(name, value)]));
        }
        error
    }
}

/// By way of the refusal, so that a failure of the cache means the same to every protocol.
impl From<CacheError> for S3Error {
    fn from(error: CacheError) -> Self {
        Refusal::from(error).into()
    }
}

impl From<PathError> for S3Error {
    fn from(error: PathError) -> Self {
        Refusal::from(error).into()
    }
}

fn id(request_id: u64) -> String {
    format!("{request_id:016X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_status_that_its_clients_act_on() {
        for own in ErrorCode::ALL {
            let response = refuse(Refusal::new(*own, "why"), 7);
            assert!(!response.status().is_success(), "{own:?}");
            assert_eq!(response.headers()["x-amz-request-id"], "0000000000000007");
            // A client retries what is the server's fault and nothing else.
            assert_eq!(response.status().is_server_error(), own.status().is_server_error(), "{own:?}");
        }
    }
}
