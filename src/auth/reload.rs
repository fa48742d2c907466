//! New rules in the place of the old: what changed, and the one change that a running server refuses.
//!
//! Knows configurations, not files or signals: when to reload is the program's business.

use crate::config::{Anonymous, Config, TokenName};

use super::Policy;
use super::cache_token::{TokenKey, TokenKeyError};
use super::rules::Rules;

/// What a reload changed, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Tokens that were not there before.
    pub added: Vec<TokenName>,
    /// Tokens that are refused from now on.
    pub removed: Vec<TokenName>,
    /// Tokens with another secret, other certificates, other rights or another end.
    pub changed: Vec<TokenName>,
    /// What callers without a token may do, where that changed.
    pub anonymous: Option<&'static str>,
    /// Issuers, their rules or the key of the cache tokens are others.
    pub oidc: bool,
}

/// Why new rules do not come into force.
#[derive(Debug, thiserror::Error)]
pub enum NotReplaced {
    /// They let everyone in, and the old ones do not. An emptied or half-written file looks so too.
    #[error(
        "the configuration has neither tokens nor \"anonymous\" any more, which would let everyone in; if that is meant, \
         write anonymous = \"read-write\", or restart"
    )]
    WouldOpen,
    /// There are issuers now, and no key to sign with.
    #[error(transparent)]
    TokenKey(#[from] TokenKeyError),
}

impl Change {
    /// True when everything is as before.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Policy {
    /// Puts the tokens, the issuers and the word about callers without one of `config` into force, for every request that comes
    /// from now on. Nothing else of `config` is looked at.
    ///
    /// # Errors
    /// [`NotReplaced`]; then the old rules stay.
    pub fn replace(&self, config: &Config) -> Result<Change, NotReplaced> {
        let new = Rules::new(config, TokenKey::of(config, &self.data_dir)?);
        let old = self.rules.load();
        if new.is_open() && !old.is_open() {
            return Err(NotReplaced::WouldOpen);
        }
        let change = new.change_from(&old);
        self.rules.store(new.into());
        Ok(change)
    }
}

impl Rules {
    fn change_from(&self, old: &Self) -> Change {
        let absent_in = |rules: &Self, names: &Self| {
            names.by_name.keys().filter(|name| !rules.by_name.contains_key(*name)).cloned().collect()
        };
        let differs = |name: &&TokenName| {
            old.by_name.get(*name).is_some_and(|known| self.by_name.get(*name) != Some(known))
        };
        Change {
            added: absent_in(old, self),
            removed: absent_in(self, old),
            changed: self.by_name.keys().filter(differs).cloned().collect(),
            oidc: self.jobs != old.jobs,
            anonymous: (self.anonymous != old.anonymous).then_some(match self.anonymous {
                None => "nothing",
                Some(Anonymous::Read) => "read",
                Some(Anonymous::ReadWrite) => "read-write",
            }),
        }
    }
}
