//! On whose behalf a request is made, and the rights that go with it.
//!
//! Owns how rights meet what an operation needs. It must not know how a caller proved who it is.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::Denied;
use crate::config::{Anonymous, NamespacePattern, Right, Rights, TokenConfig, TokenName};
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
}

/// A token's name and rights.
#[derive(PartialEq, Eq, Debug)]
pub struct Token {
    name: TokenName,
    namespaces: Vec<NamespacePattern>,
    allow: Rights,
    expires: Option<SystemTime>,
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

    /// True when its rights hold there.
    fn reaches(&self, namespace: &Namespace) -> bool {
        self.namespaces.iter().any(|pattern| pattern.matches(namespace))
    }
}

impl Principal {
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
                if let Some(namespace) = namespace.filter(|namespace| !token.reaches(namespace)) {
                    let own: Vec<_> = token.namespaces.iter().map(ToString::to_string).collect();
                    return Err(Denied::Namespace {
                        token: token.name.clone(),
                        namespace: namespace.clone(),
                        own: own.join(", "),
                    });
                }
                match needed.iter().find(|right| !token.allow.contains(**right)) {
                    None => Ok(()),
                    Some(right) => Err(Denied::Right { token: token.name.clone(), right: *right }),
                }
            }
        }
    }
}

/// Writes the name that logs show.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Anonymous(_) => f.write_str("anonymous"),
            Self::Token(token) => token.name.fmt(f),
        }
    }
}
