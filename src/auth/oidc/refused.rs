//! Why an identity token is not exchanged.
//!
//! Owns the texts, which the person in front of a failed job reads, and the reasons as metrics count them. What it shows
//! of a token is what its sender wrote into it, cut short; never its signature.

use std::sync::Arc;

use super::super::principal::Job;
use super::super::refused::shown;
use super::fetch::FetchError;

/// Why there is no cache token for this identity token. The text is fit for the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExchangeError {
    /// There are no issuers.
    #[error("this cache exchanges no identity tokens: its configuration has no [[oidc]]")]
    NotConfigured,
    /// Nothing was sent.
    #[error(
        "the request has no identity token: send it as Authorization: Bearer, or as the body (GitHub: with permission \
         id-token: write; GitLab: from id_tokens)"
    )]
    Missing,
    /// It is no token in the form of RFC 7519.
    #[error("the identity token cannot be read: {0}")]
    Malformed(&'static str),
    /// Signed in another way than its key signs, or in none.
    #[error(
        "the identity token is signed with {0}, which is not accepted: only what its issuer's key is for, RS256 or ES256"
    )]
    Algorithm(String),
    /// From somebody else.
    #[error(
        "the identity token is from the issuer \"{0}\", which is none of this cache's: add an [[oidc]] for it to the \
         server's configuration, or correct \"issuer\" there"
    )]
    Issuer(String),
    /// The issuer has no such key.
    #[error("the issuer has no key \"{0}\" with which the identity token says it is signed")]
    UnknownKey(String),
    /// The signature is another one.
    #[error("the identity token's signature is not that of its issuer: it was changed, or cut short")]
    Signature,
    /// Its `exp` is over.
    #[error("the identity token expired {0} seconds ago: exchange it right after the job asked for it")]
    Expired(u64),
    /// Its `nbf` is to come.
    #[error("the identity token is valid only {0} seconds from now: set the clock of the server")]
    NotYetValid(u64),
    /// Made for another service.
    #[error(
        "the identity token is for the audience {found}, and this cache is \"{wanted}\": have the job ask for that"
    )]
    Audience {
        /// What it says.
        found: String,
        /// What it should say.
        wanted: String,
    },
    /// It is good, and nobody wrote that such a job may do anything.
    #[error(
        "no rule of this cache fits the job {}: add one to [[oidc.rules]] in the server's configuration, or look at \
         the claims there", job.subject()
    )]
    NoRule {
        /// Whose it is, with no rights.
        job: Arc<Job>,
    },
    /// Its issuer's keys cannot be had now.
    #[error(
        "the issuer's keys could not be had, so nobody can tell whether the identity token is good; try again: {0}"
    )]
    Unreachable(FetchError),
}

impl ExchangeError {
    pub(super) fn issuer(found: &str) -> Self {
        Self::Issuer(shown(found))
    }

    /// The label in metrics and in the audit log.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotConfigured | Self::Missing => "missing",
            Self::Malformed(_) => "malformed",
            Self::Algorithm(_) => "algorithm",
            Self::Issuer(_) => "issuer",
            Self::UnknownKey(_) => "key",
            Self::Signature => "signature",
            Self::Expired(_) => "expired",
            Self::NotYetValid(_) => "clock",
            Self::Audience { .. } => "audience",
            Self::NoRule { .. } => "rule",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// It may have been an attempt to forge one: whatever did not get as far as a good signature.
    #[must_use]
    pub fn is_guess(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::Algorithm(_)
            | Self::Issuer(_)
            | Self::UnknownKey(_)
            | Self::Signature => true,
            Self::NotConfigured
            | Self::Missing
            | Self::Expired(_)
            | Self::NotYetValid(_)
            | Self::Audience { .. }
            | Self::NoRule { .. }
            | Self::Unreachable(_) => false,
        }
    }

    /// Whose token it was, where its signature was good.
    pub(in crate::auth) fn unruled(&self) -> Option<Arc<Job>> {
        match self {
            Self::NoRule { job } => Some(Arc::clone(job)),
            _ => None,
        }
    }
}
