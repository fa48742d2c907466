//! What a connection above the limit is told: come back in a second. And which requests are answered all the same.
//!
//! A build cache that is full up must say so at once: an immediate 503 costs a build one compile, a hang costs a
//! minute of it.

use axum::body::Body;
use axum::http::Request;

use crate::key::SCCACHE_PROBE;
use crate::protocol::error::Refusal;

/// The refusal as it goes onto a socket for which not even a request is read.
pub const RAW_REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 66\r\n\
    Retry-After: 1\r\n\
    Connection: close\r\n\
    \r\n\
    error: overloaded: the server has all the connections it may have\n";

/// True for what must work however full the server is.
///
/// sccache's start-up probe is one: a 503 to it keeps the sccache daemon from starting and breaks the build. It
/// also writes the probe, and OpenDAL asks for the collection (Depth 0, which costs nothing) before any write.
pub(super) fn is_exempt(request: &Request<Body>) -> bool {
    let path = request.uri().path();
    let is_probe = path.rsplit('/').next() == Some(SCCACHE_PROBE);
    let is_collection_check = request.method().as_str() == "PROPFIND"
        && path.ends_with('/')
        && request.headers().get("depth").is_some_and(|depth| depth == "0");
    is_probe || is_collection_check
}

/// The 503 for everything else. The caller closes the connection behind it, whatever is left of the body.
pub(super) fn refusal() -> Refusal {
    Refusal::overloaded(
        "the server has all the connections it may have (max_connections); try again in a second",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_raw_refusal_is_a_whole_answer() {
        let text = std::str::from_utf8(RAW_REFUSAL).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let declared = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        assert_eq!(declared, Some(body.len().to_string().as_str()));
    }

    #[test]
    fn only_the_probe_and_its_collection_are_exempt() {
        let ask = |method: &str, path: &str, depth: &str| {
            let request = Request::builder().method(method).uri(path).header("Depth", depth);
            is_exempt(&request.body(Body::empty()).expect("a request"))
        };
        assert!(ask("GET", "/ns/team/.sccache_check", "-"));
        assert!(ask("PUT", "/.sccache_check", "-"));
        assert!(ask("PROPFIND", "/ns/team/", "0"));
        assert!(!ask("PROPFIND", "/ns/team/", "1"));
        assert!(!ask("GET", "/ns/team/", "0"));
        assert!(!ask("GET", "/ns/.sccache_check/a", "-"));
        assert!(!ask("GET", "/ns/x.sccache_check", "-"));
    }
}
