//! Refusals that belong to no protocol: the server's own pages and its own failures.
//!
//! They have the form of the protocols' refusals, `error: <code>: <text>`, so that a person reads one kind.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

/// A refusal of one line. `code` is a word, `text` says what to do.
pub(super) fn text(status: StatusCode, code: &str, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("error: {code}: {text}\n")));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
