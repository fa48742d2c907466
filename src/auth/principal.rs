//! On whose behalf a request is made, and the rights that go with it.
//!
//! Owns how rights meet what an operation needs. It must not know how a caller proved who it is.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Denied, NotAdmin};
use crate::config::{Anonymous, NamespaceScope, Right, Rights, TokenConfig, TokenName};
use crate::key::Namespace;
use crate::protocol::operation::Access;

/// On whose behalf a request is made. Its `Display` is the name that logs show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Principal {
    /// A process on this machine: the listener is bound to loopback and nothing else was configured.
    Local,
    /// A caller without credentials, with the rights that `anonymous` gives.
    Anonymous(Anonymous),
    /// Whoever has the secret of this token.
    Token(Arc<Token>),
    /// A CI job, with the token that it was given for its identity.
    Job(Arc<Job>),
}

/// A token's name and rights.
#[derive(PartialEq, Eq, Debug)]
pub struct Token {
    name: TokenName,
    namespaces: Vec<NamespaceScope>,
    allow: Rights,
    expires: Option<SystemTime>,
}

/// A CI job and its rights.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    subject: String,
    issuer: String,
    namespaces: Vec<NamespaceScope>,
    allow: Rights,
    expires: SystemTime,
}

impl Job {
    pub(super) fn new(
        subject: String,
        issuer: String,
        namespaces: Vec<NamespaceScope>,
        allow: Rights,
        expires: SystemTime,
    ) -> Self {
        Self { subject, issuer, namespaces, allow, expires }
    }

    /// Its name in logs.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who vouched for it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where its rights hold.
    #[must_use]
    pub fn namespaces(&self) -> &[NamespaceScope] {
        &self.namespaces
    }

    /// What it may do.
    pub fn allow(&self) -> impl Iterator<Item = Right> {
        self.allow.iter()
    }

    /// When its token ends.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        self.expires <= now
    }
}

impl Token {
    pub(super) fn new(name: &TokenName, config: &TokenConfig) -> Self {
        let TokenConfig { namespaces, allow, expires, .. } = config.clone();
        Self { name: name.clone(), namespaces, allow, expires }
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &TokenName {
        &self.name
    }

    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl Principal {
    /// The name that logs show.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Anonymous(_) => "anonymous",
            Self::Token(token) => token.name.as_str(),
            Self::Job(job) => &job.subject,
        }
    }

    /// `None` is the server as a whole: a right that holds anywhere is enough.
    pub(super) fn may(&self, namespace: Option<&Namespace>, access: Access) -> Result<(), Denied> {
        let needed: &[Right] = match access {
            Access::Read => &[Right::Read],
            Access::Write => &[Right::Write],
            Access::Delete => &[Right::Delete],
            Access::WriteAndDelete => &[Right::Write, Right::Delete],
        };
        match self {
            Self::Local | Self::Anonymous(Anonymous::ReadWrite) => Ok(()),
            Self::Anonymous(Anonymous::Read) if needed == [Right::Read] => Ok(()),
            Self::Anonymous(Anonymous::Read) => Err(Denied::ReadOnly),
            Self::Token(token) => {
                let lacks = lack(&token.namespaces, token.allow, namespace, needed);
                lacks.map_or(Ok(()), |lack| Err(lack.of_token(&token.name)))
            }
            Self::Job(job) => {
                let lacks = lack(&job.namespaces, job.allow, namespace, needed);
                lacks.map_or(Ok(()), |lack| Err(lack.of_job(&job.subject)))
            }
        }
    }
}

impl Principal {
    /// True for those who have the right to look after the server, which belongs to no namespace.
    pub(super) fn is_admin(&self) -> Result<(), NotAdmin> {
        let denied = match self {
            Self::Local | Self::Anonymous(_) => return Err(NotAdmin::Nobody),
            Self::Token(token) if token.allow.contains(Right::Admin) => return Ok(()),
            Self::Job(job) if job.allow.contains(Right::Admin) => return Ok(()),
            Self::Token(token) => Lack::Right(Right::Admin).of_token(&token.name),
            Self::Job(job) => Lack::Right(Right::Admin).of_job(&job.subject),
        };
        Err(NotAdmin::Denied(denied))
    }
}

/// What is missing for an access.
enum Lack {
    Namespace { namespace: Namespace, own: String },
    Right(Right),
}

fn lack(
    scopes: &[NamespaceScope],
    allow: Rights,
    namespace: Option<&Namespace>,
    needed: &[Right],
) -> Option<Lack> {
    let is_outside = |namespace: &&Namespace| !scopes.iter().any(|scope| scope.matches(namespace));
    if let Some(namespace) = namespace.filter(is_outside) {
        let own: Vec<_> = scopes.iter().map(ToString::to_string).collect();
        return Some(Lack::Namespace { namespace: namespace.clone(), own: own.join(", ") });
    }
    needed.iter().find(|right| !allow.contains(**right)).map(|right| Lack::Right(*right))
}

impl Lack {
    fn of_token(self, token: &TokenName) -> Denied {
        let token = token.clone();
        match self {
            Self::Namespace { namespace, own } => Denied::Namespace { token, namespace, own },
            Self::Right(right) => Denied::Right { token, right },
        }
    }

    fn of_job(self, subject: &str) -> Denied {
        let subject = subject.to_owned();
        match self {
            Self::Namespace { namespace, own } => Denied::JobNamespace { subject, namespace, own },
            Self::Right(right) => Denied::JobRight { subject, right },
        }
    }
}

/// Writes the name that logs show.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
