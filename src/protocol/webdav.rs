//! WebDAV class 1 (RFC 4918) as far as cache clients use it: OPTIONS, PROPFIND, MKCOL, COPY, MOVE, and DELETE
//! of collections.
//!
//! Collections are implicit, as prefixes are in S3: each one exists, nothing is stored for it. There are no
//! locks and no properties but an object's own, so LOCK and PROPPATCH are refused. Must not know plain HTTP.

mod collection;
mod listing;
mod multistatus;
mod propfind;
mod propfind_body;
mod transfer;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, HeaderName, HeaderValue};

pub(super) use collection::{delete_collection, mkcol};
pub(super) use propfind::propfind;
pub(super) use transfer::transfer;

use crate::protocol::path::Target;
use crate::protocol::{COLLECTION_METHODS, OBJECT_METHODS};

pub(super) fn options(target: &Target) -> Response {
    let allow = match target {
        Target::Root | Target::Collection(_) => COLLECTION_METHODS,
        Target::Object(_) => OBJECT_METHODS,
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    headers.insert(HeaderName::from_static("dav"), HeaderValue::from_static("1"));
    // Windows' own client looks for this before it tries WebDAV.
    headers.insert(HeaderName::from_static("ms-author-via"), HeaderValue::from_static("DAV"));
    response
}
