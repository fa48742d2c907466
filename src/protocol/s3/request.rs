//! Telling S3 requests from others, and reading what they name: bucket and key from path or host, the query, the
//! source of a copy.
//!
//! It must not verify a signature or touch the cache.

use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;

use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::namespaces::Namespaces;
use crate::protocol::operation::{Access, MethodLabel, Operation, Protocol};
use crate::protocol::path::{PathError, Target, encode_segment};
use crate::sigv4::Query;

/// Parameters that make an unsigned request without any `x-amz-` header one of S3's.
const S3_PARAMETERS: &[&str] = &[
    "list-type",
    "uploads",
    "uploadId",
    "delete",
    "location",
    "X-Amz-Algorithm",
    "X-Amz-Signature",
    // Signature V2, which must be refused as one and not pass for no signature.
    "AWSAccessKeyId",
    "Signature",
    // Names of what belongs to a bucket or an object: carried out without them, a request would do another thing.
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "continuation-token",
    "cors",
    "encryption",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "versionId",
    "versioning",
    "versions",
    "website",
    "x-id",
];

/// The header that makes a copy of a PUT.
pub(super) const COPY_SOURCE: &str = "x-amz-copy-source";
/// What follows the source's path where one of its versions is meant.
pub(super) const VERSION: &str = "?versionId=";

/// What an S3 request has beside method and target.
#[derive(Clone, Debug)]
pub struct S3Request {
    /// `None` when it cannot be decoded.
    query: Option<Query>,
    /// What `x-amz-copy-source` names.
    pub copy_source: Option<Result<Target, PathError>>,
}

impl S3Request {
    /// The query, which must be readable before anything else is believed.
    ///
    /// # Errors
    /// A [`Refusal`] when it is not.
    pub fn query(&self) -> Result<&Query, Refusal> {
        let text = "the query has a broken escape or is not UTF-8";
        self.query.as_ref().ok_or_else(|| Refusal::new(ErrorCode::BadPath, text))
    }
}

/// True for requests that speak S3: signed the S3 way, with a header or a parameter that only S3 has, or sent to a
/// bucket's own host name.
#[must_use]
pub fn is_s3(uri: &Uri, headers: &HeaderMap, domain: Option<&str>) -> bool {
    let is_of_s3 = |(name, value): (&HeaderName, &HeaderValue)| {
        let is_signed = *name == AUTHORIZATION && value.as_bytes().starts_with(b"AWS");
        let name = name.as_str();
        // The last is what AWS's libraries send with every request, signed or not.
        is_signed || name.starts_with("x-amz-") || name.starts_with("amz-sdk-")
    };
    headers.iter().any(is_of_s3)
        || uri.query().is_some_and(has_s3_parameter)
        || is_to_bucket_host(uri, headers, domain)
}

/// True for a request to a bucket's own host name.
#[must_use]
pub fn is_to_bucket_host(uri: &Uri, headers: &HeaderMap, domain: Option<&str>) -> bool {
    host_bucket(uri, headers, domain).is_some()
}

/// Reads an S3 request into an operation.
#[must_use]
pub fn read(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    namespaces: &Namespaces,
    domain: Option<&str>,
) -> Operation {
    let target = match host_bucket(uri, headers, domain) {
        Some(bucket) => Target::parse_bucket_path(&format!("/{bucket}{}", uri.path()), namespaces),
        None => Target::parse_bucket_path(uri.path(), namespaces),
    };
    let query = Query::parse(uri.query().unwrap_or_default());
    let copy_source = headers.get(COPY_SOURCE).map(|value| copy_source(value, namespaces));
    let method = MethodLabel::of(method);
    Operation {
        protocol: Protocol::S3,
        method,
        access: access(method, &target, query.as_ref()),
        target,
        destination: None,
        s3: Some(Box::new(S3Request { query, copy_source })),
    }
}

fn has_s3_parameter(query: &str) -> bool {
    let names = query.split('&').map(|part| part.split_once('=').map_or(part, |(name, _)| name));
    names.into_iter().any(|name| {
        let name = percent_decode_str(name).decode_utf8_lossy();
        S3_PARAMETERS.contains(&&*name) || name.starts_with("response-")
    })
}

/// What `x-amz-copy-source` names. Clients encode the slashes in it or do not.
fn copy_source(value: &HeaderValue, namespaces: &Namespaces) -> Result<Target, PathError> {
    let source = value.to_str().map_err(|_| PathError::NotUtf8)?;
    // A bare '?' belongs to the key, as some clients send it.
    let source = source.split_once(VERSION).map_or(source, |(path, _)| path);
    let decoded = percent_decode_str(source).decode_utf8().map_err(|_| PathError::NotUtf8)?;
    let decoded = decoded.strip_prefix('/').unwrap_or(&decoded);
    let segments: Vec<_> = decoded.split('/').map(|segment| encode_segment(segment).to_string()).collect();
    Target::parse_bucket_path(&format!("/{}", segments.join("/")), namespaces)
}

/// The right that a request needs on its bucket, by what it looks like. The operation that it turns out to be checks
/// that it was given the right that it needs (`service`).
fn access(method: MethodLabel, target: &Result<Target, PathError>, query: Option<&Query>) -> Access {
    let is_bucket = matches!(target, Ok(Target::Collection(collection)) if collection.prefix.is_empty());
    let has = |name| query.is_some_and(|query| query.has(name));
    match method {
        // Abandoning one's own upload removes no object.
        MethodLabel::Delete if has("uploadId") => Access::Write,
        MethodLabel::Post if is_bucket && has("delete") => Access::Delete,
        MethodLabel::Post => Access::Write,
        method => method.access(),
    }
}

/// The bucket in a host name such as `bucket.s3.example.org`, where `domain` is `s3.example.org`.
fn host_bucket<'a>(uri: &'a Uri, headers: &'a HeaderMap, domain: Option<&str>) -> Option<&'a str> {
    let domain = domain?;
    let authority = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = authority.or_else(|| uri.authority().map(http::uri::Authority::as_str))?;
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    let (bucket, rest) = host.split_at_checked(host.len().checked_sub(domain.len())?)?;
    bucket.strip_suffix('.').filter(|bucket| !bucket.is_empty() && rest.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn is(uri: &str, list: &[(&'static str, &str)]) -> bool {
        is_s3(&uri.parse().unwrap(), &headers(list), Some("s3.example.org"))
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn parse(method: &str, uri: &str, list: &[(&'static str, &str)]) -> Operation {
        let namespaces = Namespaces::new(&Config::default());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        read(&method, &uri.parse().unwrap(), &headers(list), &namespaces, Some("s3.example.org"))
    }

    fn target(method: &str, uri: &str, list: &[(&'static str, &str)]) -> String {
        match parse(method, uri, list).target {
            Ok(target) => target.to_string(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn s3_is_told_from_plain_http() {
        assert!(is("/a", &[("authorization", "AWS4-HMAC-SHA256 Credential=...")]));
        assert!(is("/a", &[("authorization", "AWS id:signature")]), "its old signatures are S3 too");
        assert!(is("/a", &[("x-amz-date", "")]));
        assert!(is("/a?list-type=2", &[]));
        assert!(is("/a?x=1&X-Amz-Signature=00", &[]));
        assert!(is("/a?AWSAccessKeyId=ci&Expires=1&Signature=x", &[]));
        assert!(is("/a", &[("host", "b.s3.example.org:4227")]));
        assert!(!is("/a", &[("host", "s3.example.org"), ("authorization", "Basic eDp5")]));
        assert!(!is("/a", &[("host", ".s3.example.org"), ("authorization", "Bearer AWS4")]));
        assert!(!is("/list-type?x=uploads", &[("user-agent", "x-amz-")]));
    }

    #[test]
    fn bucket_and_key_come_from_the_path_or_the_host() {
        assert_eq!(target("GET", "/default/a/b?x-id=GetObject", &[]), "/default/a/b");
        assert_eq!(target("GET", "/default", &[]), "/default/");
        assert_eq!(target("GET", "/", &[]), "/");
        assert_eq!(target("GET", "/other/a", &[]), "NoSuchNamespace");
        assert_eq!(target("GET", "/default/metrics", &[]), "/default/metrics");
        assert_eq!(target("GET", "/a/b", &[("host", "default.S3.example.org:80")]), "/default/a/b");
        assert_eq!(target("GET", "/", &[("host", "default.s3.example.org")]), "/default/");
        assert_eq!(target("GET", "/default/a", &[("host", "192.0.2.1:4227")]), "/default/a");
    }

    #[test]
    fn the_access_is_at_least_what_the_operation_does() {
        for (method, uri, access) in [
            ("GET", "/default/a", Access::Read),
            ("HEAD", "/default", Access::Read),
            ("GET", "/default?uploads", Access::Read),
            ("PUT", "/default/a", Access::Write),
            ("PUT", "/default/a?partNumber=1&uploadId=x", Access::Write),
            ("POST", "/default/a?uploads", Access::Write),
            ("POST", "/default?delete", Access::Delete),
            ("POST", "/default/a?uploads&delete", Access::Write),
            ("POST", "/default/a?uploadId=x&delete", Access::Write),
            ("DELETE", "/default/a", Access::Delete),
            ("DELETE", "/default/a?uploadId=x", Access::Write),
        ] {
            assert_eq!(parse(method, uri, &[]).access, access, "{method} {uri}");
        }
    }

    #[test]
    fn the_source_of_a_copy_is_a_bucket_and_a_key() {
        for (source, expected) in [
            ("/default/a%20b", Ok("/default/a%20b")),
            ("default%2Fa%2Fb", Ok("/default/a/b")),
            ("default/a?b", Ok("/default/a%3Fb")),
            ("other%2Fa", Err(PathError::NoSuchNamespace)),
            ("default/%ff", Err(PathError::NotUtf8)),
            ("default/a?versionId=null", Ok("/default/a")),
            ("other/a", Err(PathError::NoSuchNamespace)),
        ] {
            let operation = parse("PUT", "/default/c", &[("x-amz-copy-source", source)]);
            let source = operation.s3.and_then(|s3| s3.copy_source).unwrap();
            assert_eq!(source.map(|target| target.to_string()), expected.map(str::to_owned));
        }
    }
}
