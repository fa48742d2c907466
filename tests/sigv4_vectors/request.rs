//! Reads a request as the vectors write it down: a request line, headers, an empty line, a body.
//!
//! Must not know what is signed.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use larder::sigv4::Query;

/// A request as the server sees it once HTTP is read.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Request {
    /// Reads one. `None` where it is not HTTP as a server takes it: a space in the path, a folded header.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let (first, version) = lines.next()?.rsplit_once(' ')?;
        let (method, target) = first.split_once(' ')?;
        if version != "HTTP/1.1" || target.contains(' ') {
            return None;
        }
        let uri: Uri = target.parse().ok()?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t']))?;
            let name: HeaderName = name.parse().ok()?;
            headers.append(name, HeaderValue::from_bytes(value.trim_start().as_bytes()).ok()?);
        }
        let query = Query::parse(uri.query().unwrap_or_default())?;
        Some(Self { method: method.parse().ok()?, uri, query, headers, body: body.to_owned() })
    }
}
