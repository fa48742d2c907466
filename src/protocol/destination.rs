//! The header `Destination` of COPY and MOVE (RFC 4918, 10.3), read into a target of this server.
//!
//! Knows that a destination must be on the host the request was sent to; not what is done with it.

use http::header::HOST;
use http::{HeaderMap, Uri};

use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::namespaces::Namespaces;
use crate::protocol::path::{PathError, Target};

/// Why a destination was refused. The text is fit for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DestinationError {
    /// No such header.
    #[error("COPY and MOVE need the header Destination: a URL on this server, or a path")]
    Missing,
    /// Neither an absolute URL nor an absolute path.
    #[error("the header Destination is neither an absolute URL nor a path that starts with '/'")]
    Malformed,
    /// A URL whose host and port are not those of the request.
    #[error("the header Destination names another server than the request's Host header")]
    OtherServer,
    /// The path in it breaks a rule.
    #[error("in the header Destination: {0}")]
    Path(#[from] PathError),
}

/// Reads the destination of a request for `uri` with these headers.
///
/// Schemes are not compared: behind a proxy that ends TLS, the client's `https` arrives as `http`.
///
/// # Errors
/// The first rule of [`DestinationError`] that the header breaks.
pub fn parse(headers: &HeaderMap, uri: &Uri, namespaces: &Namespaces) -> Result<Target, DestinationError> {
    let header = headers.get("destination").ok_or(DestinationError::Missing)?;
    let text = header.to_str().map_err(|_| DestinationError::Malformed)?.trim();
    if text.starts_with('/') && !text.starts_with("//") {
        let path = text.split(['?', '#']).next().unwrap_or(text);
        return Ok(Target::parse(path, namespaces)?);
    }
    let destination: Uri = text.parse().map_err(|_| DestinationError::Malformed)?;
    let (Some(scheme), Some(authority)) = (destination.scheme_str(), destination.authority()) else {
        return Err(DestinationError::Malformed);
    };
    let own_host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = uri.authority().map(http::uri::Authority::as_str).or(own_host).unwrap_or_default();
    let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |authority: &str| {
        let host = authority.rsplit('@').next().unwrap_or(authority).to_ascii_lowercase();
        host.strip_suffix(default_port).map(str::to_owned).unwrap_or(host)
    };
    if bare(authority.as_str()) != bare(own) {
        return Err(DestinationError::OtherServer);
    }
    Ok(Target::parse(destination.path(), namespaces)?)
}

impl From<DestinationError> for Refusal {
    fn from(error: DestinationError) -> Self {
        let code = match error {
            DestinationError::Missing | DestinationError::Malformed => ErrorCode::BadHeader,
            DestinationError::OtherServer => ErrorCode::OtherServer,
            DestinationError::Path(_) => ErrorCode::BadPath,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn path_of(destination: &str, host: &str) -> Result<String, DestinationError> {
        let mut headers = HeaderMap::new();
        headers.insert("destination", destination.parse().unwrap());
        headers.insert(HOST, host.parse().unwrap());
        parse(&headers, &Uri::from_static("/a"), &Namespaces::new(&Config::default()))
            .map(|target| target.to_string())
    }

    #[test]
    fn a_url_on_this_host_or_a_path_is_taken() {
        for destination in [
            "/a/b",
            "/default/a/b",
            "http://h:4227/a/b",
            "http://H:4227/a/b?x",
            "https://user:pw@h:4227/a/b",
            " /a/b",
        ] {
            assert_eq!(path_of(destination, "h:4227"), Ok("/default/a/b".to_owned()), "{destination}");
        }
        assert_eq!(path_of("http://h:80/a", "h"), Ok("/default/a".to_owned()));
        assert_eq!(path_of("https://h/a", "h:443"), Ok("/default/a".to_owned()));
    }

    #[test]
    fn other_hosts_and_nonsense_are_refused() {
        for (destination, reason) in [
            ("http://other:4227/a", DestinationError::OtherServer),
            ("http://h/a", DestinationError::OtherServer),
            ("//h:4227/a", DestinationError::Malformed),
            ("a/b", DestinationError::Malformed),
            ("", DestinationError::Malformed),
            ("/a/../b", PathError::Key(crate::key::KeyError::DotSegment).into()),
        ] {
            assert_eq!(path_of(destination, "h:4227"), Err(reason), "{destination}");
        }
    }
}
