//! What a client is told when it does not get what it asked for: [`ErrorCode`] and [`Refusal`].
//!
//! The one place where the cache's errors become status codes, for all protocols. It must not know which
//! request was refused.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use crate::cache::CacheError;
use crate::protocol::path::PathError;

macro_rules! codes {
    ($($variant:ident = $text:literal $status:ident $description:literal;)*) => {
        /// Every reason for a refusal. Clients may depend on the texts of [`ErrorCode::as_str`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum ErrorCode {
            $(#[doc = $description] $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of their status.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it stands in the body: `error: <code>: <text>`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// What it means, for the documentation.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }

            /// The status it is answered with.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }
        }
    };
}

codes! {
    BadPath = "bad_path" BAD_REQUEST
        "The path breaks a rule: '.' or '..', an empty segment, a control byte, '%2F', not UTF-8, a bad escape, or a key over 1024 bytes.";
    BadHeader = "bad_header" BAD_REQUEST
        "A header cannot be understood, or has no meaning for this method.";
    BadQuery = "bad_query" BAD_REQUEST
        "Below /-/api: a parameter of the query is not known, or there twice, or has no value that it can have.";
    BadXml = "bad_xml" BAD_REQUEST
        "The body of a PROPFIND is no XML that WebDAV allows.";
    IncompleteBody = "incomplete_body" BAD_REQUEST
        "The body ended early or ran past its declared length. Nothing was stored.";
    BadDigest = "bad_digest" BAD_REQUEST
        "The body does not have the checksum that was sent with it. Nothing was stored.";
    InvalidDigest = "invalid_digest" BAD_REQUEST
        "A checksum header is no checksum of its kind in base64.";
    PayloadMismatch = "payload_mismatch" BAD_REQUEST
        "The body does not have the SHA-256 that the request was signed with. Nothing was stored.";
    MalformedSignature = "malformed_signature" BAD_REQUEST
        "The Authorization header starts as a Signature V4 and is none.";
    MalformedPresignedUrl = "malformed_presigned_url" BAD_REQUEST
        "The query has parts of a presigned URL but is none.";
    BadSignature = "bad_signature" FORBIDDEN
        "The signature is not the one that this request and this key's secret make.";
    UnknownKey = "unknown_key" FORBIDDEN
        "No token has this S3 access key id, or it has expired, or the server does not know its secret.";
    ClockSkew = "clock_skew" FORBIDDEN
        "The request was signed more than 15 minutes away from the server's time.";
    Unauthorized = "unauthorized" UNAUTHORIZED
        "The request has no token where one is needed, or not a good one. The text says which.";
    Forbidden = "forbidden" FORBIDDEN
        "This is not allowed for this caller, or for anyone.";
    NotFound = "not_found" NOT_FOUND
        "There is no such object: a miss. Below /-/: there is no such page.";
    NoSuchNamespace = "no_such_namespace" NOT_FOUND
        "S3 only: the bucket is no configured namespace.";
    MethodNotAllowed = "method_not_allowed" METHOD_NOT_ALLOWED
        "The method is not known, or not for this kind of path. The header Allow lists those that are.";
    Timeout = "timeout" REQUEST_TIMEOUT
        "The request did not arrive in the time given for it (header_timeout, body_timeout).";
    Conflict = "conflict" CONFLICT
        "The object was changed by someone else while the request was under way.";
    LengthRequired = "length_required" LENGTH_REQUIRED
        "S3 only: the body's length must be declared.";
    Exists = "exists" CONFLICT
        "The key has another body, and its namespace takes none in its place (overwrite = \"never\"). Nothing was changed.";
    PreconditionFailed = "precondition_failed" PRECONDITION_FAILED
        "A condition of the request (If-Match, If-None-Match, Overwrite) does not hold. Nothing was changed.";
    TooLarge = "too_large" PAYLOAD_TOO_LARGE
        "The body is above max_object_size. Nothing was stored.";
    UnsupportedBody = "unsupported_body" UNSUPPORTED_MEDIA_TYPE
        "The method takes no body.";
    RangeNotSatisfiable = "range_not_satisfiable" RANGE_NOT_SATISFIABLE
        "The range starts behind the end of the object.";
    StoreFailed = "store_failed" INTERNAL_SERVER_ERROR
        "The store failed; the server's log says how.";
    Internal = "internal" INTERNAL_SERVER_ERROR
        "The server failed by a fault of its own; its log says how.";
    NotImplemented = "not_implemented" NOT_IMPLEMENTED
        "The server cannot do this.";
    OtherServer = "other_server" BAD_GATEWAY
        "The header Destination names another server.";
    Overloaded = "overloaded" SERVICE_UNAVAILABLE
        "A limit on work in flight is reached; try again after the seconds in Retry-After.";
    NotReady = "not_ready" SERVICE_UNAVAILABLE
        "The index is still being loaded; objects not yet known are misses until then.";
    IssuerUnreachable = "issuer_unreachable" SERVICE_UNAVAILABLE
        "Below /-/token: the keys of the identity token's issuer cannot be had now; try again.";
    NoSpace = "no_space" INSUFFICIENT_STORAGE
        "Capacity or disk is full and nothing more can be evicted. Nothing was stored.";
}

/// An answer that refuses: a code, a text for people, and headers that belong to it.
#[derive(Debug)]
pub struct Refusal {
    code: ErrorCode,
    text: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with a text that says what, where and what to do.
    pub fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into(), header: None }
    }

    /// With a header that the status asks for, such as `Allow`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// 503, with the `Retry-After` that belongs to it.
    pub fn overloaded(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Overloaded, text).with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Its text, and the header that belongs to it.
    #[must_use]
    pub fn into_parts(self) -> (Cow<'static, str>, Option<(HeaderName, HeaderValue)>) {
        (self.text, self.header)
    }

    /// The answer, with a plain text body of one line: `error: <code>: <text>`.
    #[must_use]
    pub fn into_response(self) -> Response {
        let mut response =
            Response::new(Body::from(format!("error: {}: {}\n", self.code.as_str(), self.text)));
        *response.status_mut() = self.code.status();
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        let code = match error {
            PathError::NoSuchNamespace => ErrorCode::NoSuchNamespace,
            PathError::NotAbsolute
            | PathError::BadEscape(_)
            | PathError::EncodedSlash
            | PathError::NotUtf8
            | PathError::NotXml
            | PathError::EmptySegment
            | PathError::Reserved
            | PathError::Key(_) => ErrorCode::BadPath,
        };
        Self::new(code, error.to_string())
    }
}

impl From<CacheError> for Refusal {
    fn from(error: CacheError) -> Self {
        let code = match &error {
            CacheError::TooLarge { .. } => ErrorCode::TooLarge,
            CacheError::NoSpace { .. } => ErrorCode::NoSpace,
            CacheError::Overloaded | CacheError::Loading | CacheError::BucketUnavailable => {
                return Self::overloaded(error.to_string());
            }
            CacheError::PreconditionFailed => ErrorCode::PreconditionFailed,
            CacheError::Exists { .. } => ErrorCode::Exists,
            CacheError::LengthMismatch { .. } => ErrorCode::IncompleteBody,
            // A damaged or evicted object is a miss: a build must not fail for it.
            CacheError::Vanished => ErrorCode::NotFound,
            CacheError::Io(source) => {
                // The client cannot act on it, and the text may name files of the server.
                tracing::error!(error = %source, "the store failed");
                return Self::new(ErrorCode::StoreFailed, "the store failed, the server's log says how");
            }
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cache_error_has_the_status_that_clients_act_on() {
        for (error, status) in [
            (CacheError::TooLarge { limit: 1 }, 413),
            (CacheError::NoSpace { wanted: 1 }, 507),
            (CacheError::Overloaded, 503),
            (CacheError::Loading, 503),
            (CacheError::BucketUnavailable, 503),
            (CacheError::PreconditionFailed, 412),
            (CacheError::Exists { namespace: crate::key::Namespace::default_namespace() }, 409),
            (CacheError::LengthMismatch { declared: 2, received: 1 }, 400),
            (CacheError::Vanished, 404),
            (CacheError::Io(std::io::Error::other("/secret/file")), 500),
        ] {
            let response = Refusal::from(error).into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
        }
    }

    #[test]
    fn the_text_of_a_disk_failure_stays_in_the_log() {
        let refusal = Refusal::from(CacheError::Io(std::io::Error::other("/secret/file")));
        assert!(!refusal.text.contains("secret"));
    }

    #[test]
    fn codes_are_words_and_each_is_there_once() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
            assert!(seen.insert(code.as_str()), "{code:?}");
            assert!(code.description().ends_with('.') && !code.status().is_success(), "{code:?}");
        }
    }
}
