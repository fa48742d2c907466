//! A request, read into a typed [`Operation`] before anything is done.
//!
//! Authorisation, logs and metrics use this type, so that they agree with what is then carried out. It
//! must not touch the cache or the body.

use std::sync::Arc;

use http::{HeaderMap, Method, Uri};

pub use crate::analytics::Protocol;
use crate::analytics::sessions::Session;
use crate::protocol::destination::{self, DestinationError};
use crate::protocol::namespaces::Namespaces;
use crate::protocol::path::{PathError, Target};
use crate::protocol::s3::{self, Payload, S3Request};

/// A request's method. Unknown ones are all [`MethodLabel::Other`], so that labels of metrics stay few.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MethodLabel {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// POST, which only S3 has.
    Post,
    /// OPTIONS.
    Options,
    /// PROPFIND.
    Propfind,
    /// MKCOL.
    Mkcol,
    /// COPY.
    Copy,
    /// MOVE.
    Move,
    /// Anything else; answered 405.
    Other,
}

/// The rights an operation needs on its target's namespace, and on its destination's for what it writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It changes nothing.
    Read,
    /// It stores an object. COPY reads its target and writes its destination.
    Write,
    /// It removes objects.
    Delete,
    /// MOVE: it removes its target and writes its destination.
    WriteAndDelete,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The protocol.
    pub protocol: Protocol,
    /// The method.
    pub method: MethodLabel,
    /// The rights it needs.
    pub access: Access,
    /// What the path names. A bad path stays here until it is answered, so that it is logged and counted
    /// like every request.
    pub target: Result<Target, PathError>,
    /// What the header `Destination` of a COPY or MOVE names.
    pub destination: Option<Box<Result<Target, DestinationError>>>,
    /// What only S3's requests have.
    pub s3: Option<Box<S3Request>>,
}

/// What the layers around the protocols found out about a request.
#[derive(Debug, Default)]
pub struct Admission {
    /// Number of the request since the start of the server.
    pub request_id: u64,
    /// What the request's signature, if it has one, promises of the body.
    pub payload: Payload,
    /// The build that the request says it belongs to.
    pub session: Option<Arc<Session>>,
}

impl Operation {
    /// Reads method, path and headers. `s3_domain` is the domain whose subdomains are buckets. The query belongs to S3:
    /// no key of plain HTTP or WebDAV has one.
    #[must_use]
    pub fn parse(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        namespaces: &Namespaces,
        s3_domain: Option<&str>,
    ) -> Self {
        if s3::is_s3(uri, headers, s3_domain) {
            return s3::read(method, uri, headers, namespaces, s3_domain);
        }
        let method = MethodLabel::of(method);
        let target = match (method, uri.path()) {
            // RFC 9110, 9.3.7: `OPTIONS *` asks about the server as a whole.
            (MethodLabel::Options, "*" | "") => Ok(Target::Root),
            (_, path) => Target::parse(path, namespaces),
        };
        let protocol = match method {
            MethodLabel::Get
            | MethodLabel::Head
            | MethodLabel::Put
            | MethodLabel::Post
            | MethodLabel::Other => Protocol::Plain,
            MethodLabel::Delete => match target {
                Ok(Target::Root | Target::Collection(_)) => Protocol::WebDav,
                Ok(Target::Object(_)) | Err(_) => Protocol::Plain,
            },
            MethodLabel::Options
            | MethodLabel::Propfind
            | MethodLabel::Mkcol
            | MethodLabel::Copy
            | MethodLabel::Move => Protocol::WebDav,
        };
        let destination = match method {
            MethodLabel::Copy | MethodLabel::Move => {
                Some(Box::new(destination::parse(headers, uri, namespaces)))
            }
            _ => None,
        };
        Self { protocol, method, access: method.access(), target, destination, s3: None }
    }
}

impl MethodLabel {
    /// Every label, for tables of metrics.
    pub const ALL: &[Self] = &[
        Self::Get,
        Self::Head,
        Self::Put,
        Self::Delete,
        Self::Post,
        Self::Options,
        Self::Propfind,
        Self::Mkcol,
        Self::Copy,
        Self::Move,
        Self::Other,
    ];

    /// The label of a method. Methods are case-sensitive (RFC 9110, 9.1).
    #[must_use]
    pub fn of(method: &Method) -> Self {
        match method.as_str() {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "POST" => Self::Post,
            "OPTIONS" => Self::Options,
            "PROPFIND" => Self::Propfind,
            "MKCOL" => Self::Mkcol,
            "COPY" => Self::Copy,
            "MOVE" => Self::Move,
            _ => Self::Other,
        }
    }

    /// The label in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Post => "POST",
            Self::Options => "OPTIONS",
            Self::Propfind => "PROPFIND",
            Self::Mkcol => "MKCOL",
            Self::Copy => "COPY",
            Self::Move => "MOVE",
            Self::Other => "other",
        }
    }

    pub(super) fn access(self) -> Access {
        match self {
            Self::Get | Self::Head | Self::Options | Self::Propfind | Self::Other => Access::Read,
            // MKCOL stores nothing, but only who may write has a use for it.
            Self::Put | Self::Post | Self::Mkcol | Self::Copy => Access::Write,
            Self::Delete => Access::Delete,
            Self::Move => Access::WriteAndDelete,
        }
    }
}

impl Access {
    /// True when the operation stores something.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::WriteAndDelete)
    }

    /// True when the operation removes its target.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::WriteAndDelete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(method: &str, path: &str) -> Operation {
        let namespaces = Namespaces::new(&Config::default());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Operation::parse(&method, &path.parse().unwrap(), &HeaderMap::new(), &namespaces, None)
    }

    #[test]
    fn each_method_has_its_protocol_and_the_access_it_needs() {
        for (method, path, protocol, access) in [
            ("GET", "/a", Protocol::Plain, Access::Read),
            ("HEAD", "/a", Protocol::Plain, Access::Read),
            ("PUT", "/a", Protocol::Plain, Access::Write),
            ("DELETE", "/a", Protocol::Plain, Access::Delete),
            ("DELETE", "/a/", Protocol::WebDav, Access::Delete),
            ("OPTIONS", "/", Protocol::WebDav, Access::Read),
            ("PROPFIND", "/a/", Protocol::WebDav, Access::Read),
            ("MKCOL", "/a/", Protocol::WebDav, Access::Write),
            ("COPY", "/a", Protocol::WebDav, Access::Write),
            ("MOVE", "/a", Protocol::WebDav, Access::WriteAndDelete),
            ("PATCH", "/a", Protocol::Plain, Access::Read),
            ("get", "/a", Protocol::Plain, Access::Read),
        ] {
            let operation = parse(method, path);
            assert_eq!((operation.protocol, operation.access), (protocol, access), "{method} {path}");
            assert!(operation.target.is_ok());
            assert_eq!(operation.destination.is_some(), matches!(method, "COPY" | "MOVE"));
        }
        assert_eq!(parse("get", "/a").method, MethodLabel::Other);
    }

    #[test]
    fn a_bad_path_is_still_an_operation_that_can_be_counted() {
        let operation = parse("PUT", "/a/%2e%2e/b");
        assert_eq!(operation.method.as_str(), "PUT");
        assert!(operation.target.is_err());
    }

    #[test]
    fn the_query_is_no_part_of_the_key() {
        let Ok(Target::Object(name)) = parse("GET", "/a?b=c").target else { panic!("no object") };
        assert_eq!(name.key.as_str(), "a");
    }

    #[test]
    fn labels_read_back() {
        for label in MethodLabel::ALL {
            assert_eq!(MethodLabel::of(&Method::from_bytes(label.as_str().as_bytes()).unwrap()), *label);
        }
    }
}
