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
}

impl Rejected {
    /// The label in metrics and in the audit log.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Repeated | Self::Scheme | Self::Malformed(_) => "malformed",
            Self::Unknown | Self::NoTokens => "unknown",
            Self::Expired(_) => "expired",
            Self::UnknownCertificate(_) | Self::AmbiguousCertificate(..) => "certificate",
            Self::Signature(error) => error.reason(),
        }
    }

    /// It may have been an attempt at a secret. Showing none is not, and a certificate cannot be guessed.
    #[must_use]
    pub fn is_guess(&self) -> bool {
        match self {
            Self::Missing
            | Self::Expired(_)
            | Self::UnknownCertificate(_)
            | Self::AmbiguousCertificate(..) => false,
            Self::Repeated | Self::Scheme | Self::Malformed(_) | Self::Unknown | Self::NoTokens => true,
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
            Self::ReadOnly | Self::Right { .. } => "right",
            Self::Namespace { .. } => "namespace",
        }
    }
}
