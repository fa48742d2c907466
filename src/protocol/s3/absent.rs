//! What S3 has and larder has not: parameters and headers that would change what a request does. To leave them out would be
//! a success that is none, so they are refused.
//!
//! It must not know how anything is carried out.

use http::HeaderMap;

use super::request::{COPY_SOURCE, VERSION};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::operation::MethodLabel;
use crate::protocol::path::Target;
use crate::sigv4::Query;

/// Parameters that a GET of a bucket may have: those of its listings, and `location`.
const OF_BUCKETS: &[&str] = &[
    "list-type",
    "prefix",
    "delimiter",
    "marker",
    "max-keys",
    "encoding-type",
    "continuation-token",
    "start-after",
    "fetch-owner",
    "uploads",
    "key-marker",
    "upload-id-marker",
    "max-uploads",
    "location",
];

/// Headers that ask for something which is not there, by how they begin.
const HEADERS: &[(&str, &str)] = &[
    ("x-amz-write-offset-bytes", "appending to an object"),
    ("x-amz-object-lock-", "object lock"),
    ("x-amz-bypass-governance-retention", "object lock"),
    ("x-amz-server-side-encryption", "encryption: leave it to the disk"),
    ("x-amz-copy-source-server-side-encryption", "encryption: leave it to the disk"),
    ("x-amz-tagging", "tags"),
    ("x-amz-grant-", "access control lists: rights are those of tokens"),
    ("x-amz-website-redirect-location", "web sites"),
    ("x-amz-if-match-", "conditions on size and time"),
    ("x-amz-mfa", "deletion with a second factor"),
];

/// Refuses a request that names something of the kind.
pub(super) fn check(
    method: MethodLabel,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let is_signature = |name: &str| name == "x-id" || name.starts_with("X-Amz-");
    let mut others = query.iter().map(|(name, _)| name).filter(|name| !is_signature(name));
    let unknown = match (method, target) {
        (MethodLabel::Get, Target::Collection(_)) => others.find(|name| !OF_BUCKETS.contains(name)),
        (MethodLabel::Put | MethodLabel::Head, Target::Collection(_)) | (_, Target::Root) => others.next(),
        (_, Target::Collection(_) | Target::Object(_)) => None,
    };
    if let Some(name) = unknown {
        return Err(absent(&format!("'{name:.64}' of a bucket")));
    }
    for (name, value) in headers {
        let name = name.as_str();
        if let Some((_, what)) = HEADERS.iter().find(|(start, _)| name.starts_with(start)) {
            return Err(absent(&format!("{what} ({name})")));
        }
        if name == COPY_SOURCE && !is_of_no_version(value.as_bytes()) {
            return Err(absent("versions of an object to copy from"));
        }
        // A private object is what every object is.
        if name == "x-amz-acl" && !matches!(value.as_bytes(), b"private" | b"bucket-owner-full-control") {
            return Err(absent("access control lists (x-amz-acl): rights are those of tokens"));
        }
    }
    Ok(())
}

/// True for a source without a version, or with the one that objects have where there are none.
fn is_of_no_version(source: &[u8]) -> bool {
    let text = String::from_utf8_lossy(source);
    text.split_once(VERSION).is_none_or(|(_, version)| version == "null")
}

fn absent(what: &str) -> Refusal {
    Refusal::new(ErrorCode::NotImplemented, format!("larder has no such thing as {what}"))
}
