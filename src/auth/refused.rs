//! Why somebody is not let in ([`Rejected`]), or not let do something ([`Denied`]).
//!
//! Owns the texts, which the person in front of a failed build reads, and the reasons as metrics count them.
//! Nothing here ever holds a secret.

use super::sigv4::SignatureError;
use crate::config::{Right, TokenName};
use crate::key::Namespace;

/// Why it is not known on whose behalf a request is made: 401. The text is fit for the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejected {
    /// No credentials, where only tokens get in.
    #[error(
        "this cache asks for a token and the request has none: give it to sccache as SCCACHE_WEBDAV_TOKEN, to \
         other tools as a Bearer token or as the password of Basic, with any user name, to S3 clients as secret \
         access key, with its name as access key id"
    )]
    Missing,
    /// Nobody in particular, where only the right `admin` gets in.
    #[error(
        "this page is for those with the right admin: send a token that has it, as Bearer or as the password of Basic, with any \
         user name; whoever runs the cache makes one (larder token new --name me --allow read,admin)"
    )]
    NotLoggedIn,
    /// More than one header `Authorization`.
    #[error("the request has the header Authorization more than once: send one token")]
    Repeated,
    /// Neither Basic nor Bearer.
    #[error("the header Authorization is neither Basic nor Bearer: send the token as one of them")]
    Scheme,
    /// Basic or Bearer, and what follows cannot be read.
    #[error("the header Authorization cannot be read: {0}")]
    Malformed(&'static str),
    /// No token has this secret.
    #[error(
        "this cache does not know the token that was sent: it is mistyped, or it was revoked; ask whoever runs \
         the cache for a new one (larder token new)"
    )]
    Unknown,
    /// There are no tokens at all.
    #[error(
        "this cache has no tokens, and the request has one: remove it from the client's settings, or add it to \
         the server's configuration"
    )]
    NoTokens,
    /// The token's `expires` is over.
    #[error(
        "the token {0} has expired: ask whoever runs the cache for a new one, or for a later \"expires\" in \
         [tokens.{0}]"
    )]
    Expired(TokenName),
    /// A good certificate and no credentials, where only tokens get in.
    #[error(
        "this cache knows the client's certificate, \"{0}\", as no token's: name it in \"certificate\" of a \
         [tokens.NAME] in the server's configuration, or send a token"
    )]
    UnknownCertificate(String),
    /// A certificate with the names of two tokens.
    #[error(
        "the client's certificate has the names of two tokens, {0} and {1}: use one with a single name, or name them \
         all in one of the two"
    )]
    AmbiguousCertificate(TokenName, TokenName),
    /// It has the form of a cache token, and this server's key did not sign it.
    #[error(
        "this cache did not make the cache token that was sent, or has another key since: exchange the job's identity token \
         again, at POST /-/token"
    )]
    CacheToken,
    /// A cache token for the identity of an issuer that is not believed any more.
    #[error(
        "this cache no longer accepts jobs of the issuer that this cache token is from: put its [[oidc]] back into the \
         server's configuration"
    )]
    IssuerGone,
    /// A cache token whose time is over.
    #[error(
        "the job's cache token has expired: exchange the job's identity token again, at POST /-/token, or raise max_ttl in \
         [[oidc]] of the server's configuration"
    )]
    JobExpired,
    /// A signature with an S3 key pair is wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Why a known caller may not do something: 403. The text is fit for the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// Callers without credentials may only read here.
    #[error(
        "this server lets callers without credentials read only; to write, send a token that may, or set \
         anonymous = \"read-write\" in its configuration"
    )]
    ReadOnly,
    /// The token has no such right anywhere.
    #[error(
        "the token {token} has not the right to {right}: use another one, or add \"{right}\" to \"allow\" in \
         [tokens.{token}] of the server's configuration"
    )]
    Right {
        /// Whose token.
        token: TokenName,
        /// What it lacks.
        right: Right,
    },
    /// The token's rights do not hold in this namespace.
    #[error(
        "the token {token} has no rights in the namespace {namespace}, only in {own}: name one of those first in the \
         URL, or add this one to \"namespaces\" in [tokens.{token}] of the server's configuration"
    )]
    Namespace {
        /// Whose token.
        token: TokenName,
        /// Where it tried.
        namespace: Namespace,
        /// Where its rights hold, as the configuration has it.
        own: String,
    },
    /// The rule that let the job in gives it no such right.
    #[error(
        "the job {subject} has not the right to {right}: add \"{right}\" to \"allow\" of its rule in [[oidc.rules]] of the \
         server's configuration"
    )]
    JobRight {
        /// Which job.
        subject: String,
        /// What it lacks.
        right: Right,
    },
    /// The job's rights do not hold in this namespace.
    #[error(
        "the job {subject} has no rights in the namespace {namespace}, only in {own}: name one of those first in the URL, \
         or add this one to \"namespaces\" of its rule in [[oidc.rules]] of the server's configuration"
    )]
    JobNamespace {
        /// Which job.
        subject: String,
        /// Where it tried.
        namespace: Namespace,
        /// Where its rights hold.
        own: String,
    },
}

/// Why a caller may not look after the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotAdmin {
    /// It is nobody in particular: 401.
    Nobody,
    /// It is known, and lacks the right: 403.
    Denied(Denied),
}

impl Rejected {
    /// The label in metrics and in the audit log.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing | Self::NotLoggedIn => "missing",
            Self::Repeated | Self::Scheme | Self::Malformed(_) => "malformed",
            Self::Unknown | Self::NoTokens | Self::IssuerGone => "unknown",
            Self::CacheToken => "signature",
            Self::Expired(_) | Self::JobExpired => "expired",
            Self::UnknownCertificate(_) | Self::AmbiguousCertificate(..) => "certificate",
            Self::Signature(error) => error.reason(),
        }
    }

    /// It may have been an attempt at a secret. Showing none is not, and a certificate cannot be guessed.
    #[must_use]
    pub fn is_guess(&self) -> bool {
        match self {
            Self::Missing
            | Self::NotLoggedIn
            | Self::Expired(_)
            | Self::JobExpired
            | Self::IssuerGone
            | Self::UnknownCertificate(_)
            | Self::AmbiguousCertificate(..) => false,
            Self::Repeated
            | Self::Scheme
            | Self::Malformed(_)
            | Self::Unknown
            | Self::NoTokens
            | Self::CacheToken => true,
            // A right signature at the wrong time; and the time of a wrong one is not worth a guess.
            Self::Signature(error) => !matches!(error, SignatureError::Clock | SignatureError::Expired),
        }
    }
}

impl Denied {
    /// The label in metrics and in the audit log.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ReadOnly | Self::Right { .. } | Self::JobRight { .. } => "right",
            Self::Namespace { .. } | Self::JobNamespace { .. } => "namespace",
        }
    }
}

/// A text of a caller's, fit to be shown to the same caller and to stand in one line: printable, and not long.
pub(super) fn shown(text: &str) -> String {
    const MOST_CHARS: usize = 100;
    let printable = text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' });
    let mut shown: String = printable.take(MOST_CHARS).collect();
    if text.chars().nth(MOST_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
