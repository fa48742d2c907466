//! Requests that a page of another site has a browser make.
//!
//! Whoever looks at a page with a cache on the same machine, or with a certificate or a password for one in the browser,
//! lends that page their rights: a POST needs nobody's leave, and S3 deletes by POST. No build tool says where it comes
//! from, so whatever does, and is not from here, may not change anything. It must not know who is asking.

use axum::body::Body;
use axum::http::{Method, Request, header};

use crate::protocol::error::{ErrorCode, Refusal};

/// Refuses a request that could change something and comes from a page of another origin (RFC 6454).
pub(super) fn check(request: &Request<Body>) -> Result<(), Refusal> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str));
    let page = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    if page.is_some() && page == host {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::Forbidden,
        "the request comes from a page of another site (its header Origin says so): such pages may change nothing here",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_change_something_and_comes_from_elsewhere_is_refused() {
        for (method, origin, allowed) in [
            ("POST", None, true),
            ("POST", Some("http://cache.lan:4227"), true),
            ("POST", Some("http://evil.example"), false),
            ("POST", Some("http://cache.lan"), false),
            ("POST", Some("null"), false),
            ("PUT", Some("https://evil.example"), false),
            ("DELETE", Some("https://evil.example"), false),
            ("GET", Some("https://evil.example"), true),
        ] {
            let mut request = Request::builder().method(method).uri("/a").header("host", "cache.lan:4227");
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let outcome = check(&request.body(Body::empty()).expect("a request"));
            assert_eq!(outcome.is_ok(), allowed, "{method} {origin:?}");
        }
    }
}
