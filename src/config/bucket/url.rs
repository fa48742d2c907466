//! Where a bucket is: its URL, the address of its store, and the prefix of a namespace in it.
//!
//! Owns how these are written. Knows nothing of the other keys or of any store.

use std::fmt;
use std::path::PathBuf;

use http::Uri;

use crate::config::value::Form;

/// The kind of store, as the scheme of its URL says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BucketScheme {
    /// S3 and whatever speaks it.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// A directory of this machine.
    File,
}

/// A bucket's URL in parts. Nothing in it is percent-decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BucketUrl {
    /// In a store.
    Store {
        /// Which kind.
        scheme: BucketScheme,
        /// The bucket, or Azure's container.
        container: String,
        /// Where larder's objects begin, without slashes at its ends; empty: at the top.
        prefix: String,
    },
    /// A directory.
    Directory(PathBuf),
}

/// A bucket's URL.
pub(in crate::config) struct BucketUrlText;
/// The address of a store.
pub(in crate::config) struct Endpoint;
/// One word, as a region or a key's id.
pub(in crate::config) struct Word;
/// A path below a bucket, empty for its top.
pub(in crate::config) struct Prefix;

const FORMS: &str = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX (each with or without a prefix) or \
                     file:///DIRECTORY";

impl BucketScheme {
    const ALL: [Self; 4] = [Self::S3, Self::Gs, Self::Az, Self::File];

    fn word(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
            Self::File => "file",
        }
    }
}

impl fmt::Display for BucketScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.word())
    }
}

impl BucketUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = |reason: &str| Err(format!("\"{text}\" {reason}: write {FORMS}"));
        let Some((scheme, rest)) = text.split_once("://") else {
            return refused("is no URL of a bucket");
        };
        let Some(scheme) = BucketScheme::ALL.into_iter().find(|known| known.word() == scheme) else {
            return refused(&format!("starts with {scheme}://, a kind of store that larder does not know"));
        };
        if scheme == BucketScheme::File {
            if !rest.starts_with('/') {
                return refused("does not name a directory from the root on");
            }
            if rest.trim_matches('/').is_empty() {
                return refused("is the root of the file system");
            }
            return Ok(Self::Directory(PathBuf::from(rest)));
        }
        if rest.contains(['?', '#', '@']) {
            return refused(
                "has a user, a query or a fragment; endpoint, region and keys have settings of their own",
            );
        }
        let (container, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'$');
        if container.is_empty() || !container.bytes().all(allowed) {
            return refused("does not name a bucket");
        }
        if prefix.starts_with('/') {
            return refused("has an empty segment in its prefix");
        }
        match checked_prefix(prefix) {
            Ok(prefix) => Ok(Self::Store { scheme, container: container.to_owned(), prefix }),
            Err(reason) => refused(&reason),
        }
    }

    /// Its kind.
    #[must_use]
    pub fn scheme(&self) -> BucketScheme {
        match self {
            Self::Store { scheme, .. } => *scheme,
            Self::Directory(_) => BucketScheme::File,
        }
    }
}

/// `text` without slashes at its ends; else why no object could lie below it.
fn checked_prefix(text: &str) -> Result<String, String> {
    let prefix = text.trim_matches('/');
    if prefix.chars().any(char::is_control) {
        return Err("has a control character in its prefix".to_owned());
    }
    for segment in prefix.split('/').filter(|_| !prefix.is_empty()) {
        if matches!(segment, "" | "." | "..") {
            return Err(format!("has the segment \"{segment}\" in its prefix"));
        }
    }
    Ok(prefix.to_owned())
}

impl Form for BucketUrlText {
    type Value = String;

    fn placeholder() -> String {
        "URL".to_owned()
    }

    fn parse(text: &str) -> Result<String, String> {
        BucketUrl::parse(text).map(|_| text.to_owned())
    }

    fn print(value: &String) -> Option<String> {
        Some(value.clone())
    }
}

impl Form for Endpoint {
    type Value = String;

    fn placeholder() -> String {
        "URL".to_owned()
    }

    fn parse(text: &str) -> Result<String, String> {
        const HINT: &str = "write it as in https://s3.example.org or http://minio.lan:9000";
        let uri: Uri = text.parse().map_err(|_| format!("\"{text}\" is no URL: {HINT}"))?;
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("\"{text}\" starts with neither http:// nor https://: {HINT}"));
        };
        if authority.as_str().contains('@') || uri.query().is_some() || text.contains('#') {
            return Err(format!("\"{text}\" has a user, a query or a fragment: {HINT}"));
        }
        // Paths are put behind it, each with a slash of its own.
        Ok(text.trim_end_matches('/').to_owned())
    }

    fn print(value: &String) -> Option<String> {
        Some(value.clone())
    }
}

impl Form for Word {
    type Value = String;

    fn placeholder() -> String {
        "NAME".to_owned()
    }

    fn parse(text: &str) -> Result<String, String> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{text:?} is not one word of ASCII: correct it, or leave it out"));
        }
        Ok(text.to_owned())
    }

    fn print(value: &String) -> Option<String> {
        Some(value.clone())
    }
}

impl Form for Prefix {
    type Value = String;

    fn placeholder() -> String {
        "PREFIX".to_owned()
    }

    fn parse(text: &str) -> Result<String, String> {
        const HINT: &str = "write a path as in old/cache, or \"\" for the top";
        let prefix = checked_prefix(text).map_err(|reason| format!("\"{text}\" {reason}: {HINT}"))?;
        // Where the servers that share a bucket agree on who tidies it up.
        if prefix.split('/').next() == Some(".larder") {
            return Err(format!("\"{text}\" is where larder keeps what is its own: {HINT}"));
        }
        Ok(prefix)
    }

    fn print(value: &String) -> Option<String> {
        Some(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_url_is_read() {
        let store = |scheme, container: &str, prefix: &str| {
            Ok(BucketUrl::Store { scheme, container: container.to_owned(), prefix: prefix.to_owned() })
        };
        for (text, expected) in [
            ("s3://ci-cache/larder", store(BucketScheme::S3, "ci-cache", "larder")),
            ("s3://ci-cache", store(BucketScheme::S3, "ci-cache", "")),
            ("s3://ci-cache/", store(BucketScheme::S3, "ci-cache", "")),
            ("gs://b.example.org/a/b c/%41/", store(BucketScheme::Gs, "b.example.org", "a/b c/%41")),
            ("az://$root/x", store(BucketScheme::Az, "$root", "x")),
            ("file:///srv/a b", Ok(BucketUrl::Directory(PathBuf::from("/srv/a b")))),
        ] {
            assert_eq!(BucketUrl::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused_with_the_forms_there_are() {
        for text in [
            "",
            "ci-cache",
            "s3:/ci",
            "s3://",
            "s3:///larder",
            "S3://ci",
            "https://s3.example.org/ci",
            "s3://ci?region=x",
            "s3://key:secret@ci/x",
            "s3://a b/x",
            "s3://ci//x",
            "s3://ci/a/../b",
            "s3://ci/a\u{7f}",
            "file://srv/x",
            "file:///",
            "file://",
        ] {
            assert!(BucketUrl::parse(text).is_err_and(|error| error.contains("az://CONTAINER")), "{text}");
        }
    }

    #[test]
    fn an_endpoint_is_an_address_with_its_scheme() {
        for (text, read) in [
            ("http://10.0.0.7:9000", "http://10.0.0.7:9000"),
            ("https://s3.example.org/", "https://s3.example.org"),
            ("http://127.0.0.1:10000/devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"),
        ] {
            assert_eq!(Endpoint::parse(text), Ok(read.to_owned()));
        }
        for text in ["minio.lan:9000", "minio", "s3://minio", "http://a@b", "http://a?b", "http://a#b", ""] {
            assert!(
                Endpoint::parse(text).is_err_and(|error| error.contains("http://minio.lan:9000")),
                "{text}"
            );
        }
    }
}
