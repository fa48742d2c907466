//! New rules in the place of the old: what changed, and the one change that a running server refuses.
//!
//! Knows configurations, not files or signals: when to reload is the program's business.

use crate::config::{Anonymous, Config, TokenName};

use super::Policy;
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
}

/// The new rules let everyone in, and the old ones do not. An emptied or half-written file looks so too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the configuration has neither tokens nor \"anonymous\" any more, which would let everyone in; if that is meant, \
     write anonymous = \"read-write\", or restart"
)]
pub struct WouldOpen;

impl Change {
    /// True when everything is as before.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Policy {
    /// Puts the tokens and the word about callers without one of `config` into force, for every request that comes
    /// from now on. Nothing else of `config` is looked at.
    ///
    /// # Errors
    /// [`WouldOpen`]; then the old rules stay.
    pub fn replace(&self, config: &Config) -> Result<Change, WouldOpen> {
        let new = Rules::new(config);
        let old = self.rules.load();
        if new.is_open() && !old.is_open() {
            return Err(WouldOpen);
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
            anonymous: (self.anonymous != old.anonymous).then_some(match self.anonymous {
                None => "nothing",
                Some(Anonymous::Read) => "read",
                Some(Anonymous::ReadWrite) => "read-write",
            }),
        }
    }
}
