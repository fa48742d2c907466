//! What a token is: its name, its rights, the namespaces they hold in, and where its secret comes from.
//!
//! Owns the types and the table of keys of `[tokens.NAME]`. How the table is read is `file`'s work, and
//! reading the secrets is `token_secrets`'.

use std::borrow::Borrow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::certificates::CertificateName;
use super::secret::{Secret, SecretDigest};
use super::value::Choice;
use crate::key::{KeyError, Namespace, NamespacePattern};

/// The name of a token: what logs show, and the access key id of its S3 key pair.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TokenName(Arc<str>);

/// One thing that a token may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Right {
    /// Get and list objects.
    Read = 1,
    /// Store objects, over others of the same key too.
    Write = 2,
    /// Remove objects.
    Delete = 4,
    /// See the pages about the cache's use: `/-/api`. It belongs to no namespace.
    Admin = 8,
}

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rights(u8);

/// Where a token's rights hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NamespaceScope {
    /// Everywhere, written `*`.
    All,
    /// In the namespace of this name.
    Exactly(Namespace),
    /// In every namespace that the pattern matches, as in `pr-*`.
    Matching(NamespacePattern),
}

/// Where a token's secret is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretSource {
    /// In plain, in this file.
    File(PathBuf),
    /// In plain, in this environment variable.
    Env(String),
    /// Nowhere here: only its digest is known. Such a token cannot sign for S3.
    Digest(SecretDigest),
    /// Nowhere: it has none, and its holder shows a certificate.
    Absent,
}

/// Settings of one token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenConfig {
    /// Where its secret is kept.
    pub source: SecretSource,
    /// The secret in plain, where it is kept in plain and was read, which only a configuration for serving does.
    pub secret: Option<Arc<Secret>>,
    /// Whose certificates stand for it, by name.
    pub certificates: Vec<CertificateName>,
    /// Where its rights hold.
    pub namespaces: Vec<NamespaceScope>,
    /// What it may do.
    pub allow: Rights,
    /// When it ends; `None`: never.
    pub expires: Option<SystemTime>,
}

/// One key of a `[tokens.NAME]` table, for the documentation.
#[derive(Clone, Copy, Debug)]
pub struct TokenKey {
    /// Name in the table.
    pub name: &'static str,
    /// How the value is written.
    pub value: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// Every key of a `[tokens.NAME]` table.
pub const TOKEN_KEYS: &[TokenKey] = &[
    TokenKey {
        name: "secret_sha256",
        value: "64 hexadecimal digits",
        help: "The SHA-256 of the secret. The token works as Bearer and as Basic password, not for S3.",
    },
    TokenKey {
        name: "secret_file",
        value: "FILE",
        help: "File that has the secret in plain, which S3 signatures need. A line end behind it is cut off.",
    },
    TokenKey {
        name: "secret_env",
        value: "VARIABLE",
        help: "Environment variable that has the secret in plain, instead of a file.",
    },
    TokenKey {
        name: "certificate",
        value: "name, or list of names",
        help: "Whoever shows a certificate of this name has the token without its secret. Needs tls_client_ca. See TLS.",
    },
    TokenKey {
        name: "namespaces",
        value: "list of names, or beginnings as in \"pr-*\"",
        help: "Where the token's rights hold. Not set: in every namespace.",
    },
    TokenKey {
        name: "allow",
        value: "list of read, write, delete, admin",
        help: "What it may do. Not set: read and write. admin: see the pages about the cache's use, whatever its namespaces.",
    },
    TokenKey {
        name: "expires",
        value: "date, or date and time with offset",
        help: "From when on it is refused. A date alone is 00:00 UTC of that day. Not set: never.",
    },
];

impl TokenName {
    /// Names of callers without a token, in logs.
    const TAKEN: [&'static str; 2] = ["local", "anonymous"];

    /// Checks `name`: a token is named as a namespace is, so that it fits into an S3 credential unescaped.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn new(name: &str) -> Result<Self, String> {
        if Self::TAKEN.contains(&name) {
            return Err(format!("{name} is what callers without a token are called in the log"));
        }
        // The rules are the same, their text names namespaces.
        Namespace::new(name).map_err(|error| error.to_string().replace("a namespace", "a token's name"))?;
        Ok(Self(Arc::from(name)))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Delete, Self::Admin];
}

impl Choice for Right {
    const WORDS: &'static [(&'static str, Self)] =
        &[("read", Self::Read), ("write", Self::Write), ("delete", Self::Delete), ("admin", Self::Admin)];
}

impl Rights {
    /// These rights and no others.
    #[must_use]
    pub fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |all, right| all | *right as u8))
    }

    /// True when `right` is among them.
    #[must_use]
    pub fn contains(self, right: Right) -> bool {
        self.0 & right as u8 != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.contains(*right))
    }
}

impl NamespaceScope {
    /// Reads a namespace's name, a pattern of names, or `*`.
    ///
    /// # Errors
    /// [`KeyError`] when no namespace can have such a name.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match text {
            "*" => Ok(Self::All),
            pattern if pattern.contains('*') => NamespacePattern::new(pattern).map(Self::Matching),
            name => Namespace::new(name).map(Self::Exactly),
        }
    }

    /// True when `namespace` is meant.
    #[must_use]
    pub fn matches(&self, namespace: &Namespace) -> bool {
        match self {
            Self::All => true,
            Self::Exactly(name) => name == namespace,
            Self::Matching(pattern) => pattern.matches(namespace.as_str()),
        }
    }
}

impl TokenConfig {
    /// A token that may read and write everywhere, and never ends.
    #[must_use]
    pub fn new(source: SecretSource, secret: Option<Secret>) -> Self {
        Self {
            source,
            secret: secret.map(Arc::new),
            certificates: Vec::new(),
            namespaces: vec![NamespaceScope::All],
            allow: Rights::of(&[Right::Read, Right::Write]),
            expires: None,
        }
    }

    /// By which its secret is recognised; `None` while that was not read, and then nothing is it.
    #[must_use]
    pub fn digest(&self) -> Option<SecretDigest> {
        match &self.source {
            SecretSource::Digest(digest) => Some(*digest),
            SecretSource::Absent => None,
            SecretSource::File(_) | SecretSource::Env(_) => {
                self.secret.as_ref().map(|secret| secret.digest())
            }
        }
    }
}

/// So that a map of names is asked with an access key id as it came.
impl Borrow<str> for TokenName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Admin => "admin",
        })
    }
}

impl fmt::Display for NamespaceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Exactly(name) => name.fmt(f),
            Self::Matching(pattern) => pattern.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_its_namespaces_and_reads_back() {
        for (pattern, matching, other) in
            [("ci", "ci", "ci2"), ("pr-*", "pr-17", "pr"), ("p*r", "pier", "pies"), ("*", "anything", "")]
        {
            let read = NamespaceScope::parse(pattern).unwrap();
            assert_eq!(read.to_string(), pattern);
            assert!(read.matches(&Namespace::new(matching).unwrap()), "{pattern}");
            assert!(!Namespace::new(other).is_ok_and(|other| read.matches(&other)), "{pattern}");
        }
        for bad in ["", "**", "a/b", "*-pr", "-*"] {
            assert!(NamespaceScope::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_may_not_be_named_as_a_caller_without_one() {
        for bad in ["", "local", "anonymous", "a/b", "a b"] {
            assert!(TokenName::new(bad).is_err(), "{bad}");
        }
        assert!(TokenName::new("a b").is_err_and(|error| error.starts_with("a token's name is")));
        assert_eq!(TokenName::new("ci").unwrap().as_str(), "ci");
    }

    #[test]
    fn rights_are_a_set() {
        let rights = Rights::of(&[Right::Write, Right::Read, Right::Write]);
        assert_eq!(rights.iter().collect::<Vec<_>>(), [Right::Read, Right::Write]);
        assert!(!rights.contains(Right::Delete) && !rights.contains(Right::Admin));
    }
}
