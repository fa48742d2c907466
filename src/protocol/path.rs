//! From a raw URI path to a [`Target`], and back.
//!
//! Owns percent-decoding and how a path splits into namespace and key. It must not know methods, headers
//! or whether what a path names is there.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::key::{KeyError, MAX_KEY_BYTES, MAX_NAMESPACE_BYTES, Namespace, ObjectKey, ObjectName};
use crate::protocol::namespaces::Namespaces;

/// Everything but RFC 3986's unreserved characters is escaped in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');
/// No path of a permitted key is longer, even when every byte is escaped.
const MAX_RAW_BYTES: usize = 3 * (MAX_NAMESPACE_BYTES + MAX_KEY_BYTES) + 2;

/// What a path names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// `/`: the collection of all namespaces.
    Root,
    /// A path that ends in a slash, or names just a namespace.
    Collection(Collection),
    /// Any other path.
    Object(ObjectName),
}

/// What a first segment means that names no namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// The start of a key in the default namespace.
    Default,
    /// A bucket that does not exist.
    Bucket,
}

/// All objects of a namespace whose keys start with a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collection {
    /// The namespace.
    pub namespace: Namespace,
    /// Empty (the whole namespace), or segments of a key, each with a slash behind it.
    pub prefix: String,
}

/// Why a path was refused. The text is fit for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// It does not start with a slash.
    #[error("the path does not start with '/'")]
    NotAbsolute,
    /// `%` without two hex digits, at this offset in the path.
    #[error(
        "the path has a '%' without two hex digits behind it, at offset {0}: write a literal '%' as '%25'"
    )]
    BadEscape(usize),
    /// `%2f`: whether it separates or belongs to a name, clients and proxies disagree.
    #[error("the path has an encoded slash ('%2F'): a key's segments are separated by plain slashes")]
    EncodedSlash,
    /// The decoded bytes are not UTF-8.
    #[error("the path, percent-decoded, is not UTF-8")]
    NotUtf8,
    /// `//`. Mostly an endpoint that ends in a slash where the client adds another.
    #[error(
        "the path has an empty segment ('//'): look for a slash too many at the end of the client's endpoint"
    )]
    EmptySegment,
    /// The server's own pages.
    #[error("/-/ and /metrics are the server's own pages: to store such a key, put its namespace in front")]
    Reserved,
    /// S3's buckets are the namespaces, and this is none.
    #[error(
        "there is no such bucket: buckets are larder's namespaces, 'default' and those in its configuration"
    )]
    NoSuchNamespace,
    /// U+FFFE or U+FFFF: no XML can hold them, so no listing could show the key.
    #[error("the path has the character U+FFFE or U+FFFF, which no listing can show: rename the key")]
    NotXml,
    /// A rule for keys is broken.
    #[error(transparent)]
    Key(KeyError),
}

impl Target {
    /// Reads a path as it stands in the request line, without a query. It is percent-decoded exactly once.
    ///
    /// # Errors
    /// The first rule of [`PathError`] that the path breaks.
    pub fn parse(raw: &str, namespaces: &Namespaces) -> Result<Self, PathError> {
        Self::parse_in_style(raw, namespaces, Style::Default)
    }

    /// Reads an S3 path, whose first segment is a bucket: one that names no namespace is an error, not a key.
    ///
    /// # Errors
    /// As [`Target::parse`], and [`PathError::NoSuchNamespace`].
    pub fn parse_bucket_path(raw: &str, namespaces: &Namespaces) -> Result<Self, PathError> {
        Self::parse_in_style(raw, namespaces, Style::Bucket)
    }

    fn parse_in_style(raw: &str, namespaces: &Namespaces, style: Style) -> Result<Self, PathError> {
        let raw = raw.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        if raw.is_empty() {
            return Ok(Self::Root);
        }
        if raw.len() > MAX_RAW_BYTES {
            return Err(PathError::Key(KeyError::TooLong(raw.len())));
        }
        let decoded = decode(raw)?;
        if !decoded.is_ascii() && decoded.contains(['\u{fffe}', '\u{ffff}']) {
            return Err(PathError::NotXml);
        }
        let (path, is_collection) = match decoded.strip_suffix('/') {
            Some(path) => (path, true),
            None => (&*decoded, false),
        };
        // By bytes: it is short, and to look for a character in a text is made for long ones.
        let (first, rest) = match path.bytes().position(|byte| byte == b'/') {
            Some(at) => (&path[..at], Some(&path[at + 1..])),
            None => (path, None),
        };
        let (namespace, key) = match (namespaces.find(first), rest) {
            (Some(namespace), None) => {
                return Ok(Self::Collection(Collection { namespace, prefix: String::new() }));
            }
            (Some(namespace), Some(rest)) => (namespace, rest),
            (None, _) if style == Style::Bucket => return Err(PathError::NoSuchNamespace),
            (None, _) if first == "-" || path == "metrics" => return Err(PathError::Reserved),
            // Whoever writes to a layer must not end up in `default` because the layer's name is too long.
            (None, _) if namespaces.is_claimed(first) => return Err(PathError::Key(KeyError::Namespace)),
            (None, _) => (namespaces.default_namespace().clone(), path),
        };
        let key = ObjectKey::new(key)?;
        Ok(if is_collection {
            Self::Collection(Collection { namespace, prefix: format!("{key}/") })
        } else {
            Self::Object(ObjectName { namespace, key })
        })
    }

    /// The namespace it lies in; none for the root.
    #[must_use]
    pub fn namespace(&self) -> Option<&Namespace> {
        match self {
            Self::Root => None,
            Self::Collection(collection) => Some(&collection.namespace),
            Self::Object(name) => Some(&name.namespace),
        }
    }
}

/// Escapes one segment of a path; a slash in it is escaped too.
pub fn encode_segment(segment: &str) -> impl fmt::Display {
    utf8_percent_encode(segment, SEGMENT)
}

/// Writes the path with its namespace in front, escaped. [`Target::parse`] reads it back to an equal target.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("/"),
            Self::Collection(Collection { namespace, prefix }) => {
                write!(f, "/{namespace}/{}", utf8_percent_encode(prefix, PATH))
            }
            Self::Object(ObjectName { namespace, key }) => {
                write!(f, "/{namespace}/{}", utf8_percent_encode(key.as_str(), PATH))
            }
        }
    }
}

impl From<KeyError> for PathError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Empty | KeyError::EmptySegment => Self::EmptySegment,
            KeyError::TooLong(_)
            | KeyError::DotSegment
            | KeyError::Control(_)
            | KeyError::Namespace
            | KeyError::Pattern => Self::Key(error),
        }
    }
}

fn decode(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let Some(first) = raw.find('%') else {
        return Ok(Cow::Borrowed(raw));
    };
    let mut decoded = Vec::with_capacity(raw.len());
    decoded.extend_from_slice(&raw.as_bytes()[..first]);
    let mut rest = raw.as_bytes()[first..].iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let at = raw.len() - rest.len();
        let mut digit = || rest.next().and_then(|digit| hex(*digit));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(PathError::BadEscape(at));
        };
        match high << 4 | low {
            b'/' => return Err(PathError::EncodedSlash),
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| PathError::NotUtf8)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, NamespaceConfig};

    fn namespaces() -> Namespaces {
        let mut config = Config::default();
        config.namespaces.insert(Namespace::new("team").unwrap(), NamespaceConfig::default());
        let pattern = crate::key::NamespacePattern::new("pr-*").unwrap();
        config.namespace_patterns.insert(pattern, NamespaceConfig::default());
        Namespaces::new(&config)
    }

    fn parse(raw: &str) -> Result<String, PathError> {
        Target::parse(raw, &namespaces()).map(|target| format!("{target:?}"))
    }

    fn object(namespace: &str, key: &str) -> Result<String, PathError> {
        let namespace = Namespace::new(namespace).unwrap();
        let name = ObjectName { namespace, key: ObjectKey::new(key).unwrap() };
        Ok(format!("{:?}", Target::Object(name)))
    }

    fn collection(namespace: &str, prefix: &str) -> Result<String, PathError> {
        let namespace = Namespace::new(namespace).unwrap();
        Ok(format!("{:?}", Target::Collection(Collection { namespace, prefix: prefix.to_owned() })))
    }

    #[test]
    fn the_first_segment_is_a_namespace_only_when_it_is_configured() {
        assert_eq!(parse("/"), Ok("Root".to_owned()));
        assert_eq!(parse("/team/5/1/d/51db"), object("team", "5/1/d/51db"));
        assert_eq!(parse("/other/5/1/d/51db"), object("default", "other/5/1/d/51db"));
        assert_eq!(parse("/default/x"), object("default", "x"));
        assert_eq!(parse("/default/team/x"), object("default", "team/x"));
        assert_eq!(parse("/.sccache_check"), object("default", ".sccache_check"));
        assert_eq!(parse("/team"), collection("team", ""));
        assert_eq!(parse("/team/"), collection("team", ""));
        assert_eq!(parse("/team/a/b/"), collection("team", "a/b/"));
        assert_eq!(parse("/a/"), collection("default", "a/"));
        assert_eq!(parse("/default/-/x"), object("default", "-/x"));
    }

    #[test]
    fn every_name_that_a_pattern_matches_is_a_namespace_and_a_bad_one_is_no_key_of_default() {
        assert_eq!(parse("/pr-17/x"), object("pr-17", "x"));
        assert_eq!(parse("/pr%2d17/x"), object("pr-17", "x"));
        assert_eq!(parse("/pr-17"), collection("pr-17", ""));
        assert_eq!(parse("/PR-17/x"), object("default", "PR-17/x"));
        let long = format!("/pr-{}/x", "n".repeat(MAX_NAMESPACE_BYTES));
        for raw in [&long, "/pr-1%202/x", "/pr-%C3%BC"] {
            assert_eq!(parse(raw), Err(PathError::Key(KeyError::Namespace)), "{raw}");
        }
    }

    #[test]
    fn a_path_is_decoded_exactly_once() {
        assert_eq!(parse("/a%20b/%C3%BC"), object("default", "a b/ü"));
        assert_eq!(parse("/a%252fb"), object("default", "a%2fb"));
        assert_eq!(parse("/t%65am/x"), object("team", "x"));
        assert_eq!(parse("/a+b?c"), object("default", "a+b?c"), "'+' is no space in a path");
    }

    #[test]
    fn hostile_paths_are_refused_each_with_its_reason() {
        let long = format!("/{}", "k".repeat(MAX_KEY_BYTES + 1));
        let huge = format!("/{}", "%6b".repeat(4096));
        let cases = [
            ("", PathError::NotAbsolute),
            ("a", PathError::NotAbsolute),
            ("/a/../b", PathError::Key(KeyError::DotSegment)),
            ("/a/%2e%2E/b", PathError::Key(KeyError::DotSegment)),
            ("/..", PathError::Key(KeyError::DotSegment)),
            ("/./a", PathError::Key(KeyError::DotSegment)),
            ("/a%00b", PathError::Key(KeyError::Control(0))),
            ("/a%0d%0ab", PathError::Key(KeyError::Control(b'\r'))),
            ("/a%2fb", PathError::EncodedSlash),
            ("/a%2Fb", PathError::EncodedSlash),
            ("/a%ff", PathError::NotUtf8),
            ("/a%ef%bf%bf", PathError::NotXml),
            ("/a%", PathError::BadEscape(2)),
            ("/a%4", PathError::BadEscape(2)),
            ("/a%zz", PathError::BadEscape(2)),
            ("//", PathError::EmptySegment),
            ("//a", PathError::EmptySegment),
            ("/a//b", PathError::EmptySegment),
            ("/team//", PathError::EmptySegment),
            ("/team//a", PathError::EmptySegment),
            ("/-/ready", PathError::Reserved),
            ("/metrics", PathError::Reserved),
            (&long, PathError::Key(KeyError::TooLong(MAX_KEY_BYTES + 1))),
            (&huge, PathError::Key(KeyError::TooLong(3 * 4096))),
        ];
        for (raw, reason) in cases {
            assert_eq!(parse(raw), Err(reason), "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(raw in "/?(%[0-9a-f]{2}|[^%]|%|/){0,40}") {
            if let Ok(target) = Target::parse(&raw, &namespaces()) {
                prop_assert_eq!(Target::parse(&target.to_string(), &namespaces()), Ok(target));
            }
        }

        #[test]
        fn a_key_reads_back_from_its_path(key in "[^/\\pC]{1,20}(/[^/\\pC]{1,20}){0,4}") {
            if let Ok(key) = ObjectKey::new(&key) {
                for name in ["default", "team"] {
                    let namespace = Namespace::new(name).unwrap();
                    let target = Target::Object(ObjectName { namespace, key: key.clone() });
                    prop_assert_eq!(Target::parse(&target.to_string(), &namespaces()), Ok(target));
                }
            }
        }
    }
}
