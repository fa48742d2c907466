//! Who is asking, and whether they may: [`Principal`] and the [`Policy`] that judges an operation's access.
//!
//! It decides and words the refusal; turning that into a status code is the work of `http`. It must not know
//! how the protocols carry an operation out.

use std::fmt;

use crate::config::Anonymous;
use crate::protocol::operation::Access;

/// On whose behalf a request is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Principal {
    /// A process on this machine: the listener is bound to loopback and nothing else was configured.
    Local,
    /// A caller without credentials, with the rights that `anonymous` gives.
    Anonymous(Anonymous),
}

/// Why an operation was refused. The text is fit for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// Callers without credentials may only read here.
    #[error(
        "this server lets callers without credentials read only; to allow writes, set \
         anonymous = \"read-write\" in its configuration"
    )]
    ReadOnly,
}

/// Who may do what.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    anonymous: Option<Anonymous>,
}

impl Policy {
    /// The policy of a server whose `anonymous` key has this value. `None` allows everything: the
    /// configuration sees to it that such a server listens on loopback only.
    #[must_use]
    pub fn new(anonymous: Option<Anonymous>) -> Self {
        Self { anonymous }
    }

    /// Who a request without credentials comes from.
    #[must_use]
    pub fn identify(&self) -> Principal {
        match self.anonymous {
            None => Principal::Local,
            Some(rights) => Principal::Anonymous(rights),
        }
    }

    /// Whether `principal` has the right `access`.
    ///
    /// # Errors
    /// [`Denied`] with the reason. A read is never refused here: a 403 to sccache's start-up probe is fatal
    /// to the build, while a refused write only makes its session read-only.
    pub fn authorize(&self, principal: Principal, access: Access) -> Result<(), Denied> {
        match (principal, access) {
            (Principal::Local | Principal::Anonymous(Anonymous::ReadWrite), _)
            | (Principal::Anonymous(Anonymous::Read), Access::Read) => Ok(()),
            (
                Principal::Anonymous(Anonymous::Read),
                Access::Write | Access::Delete | Access::WriteAndDelete,
            ) => Err(Denied::ReadOnly),
        }
    }
}

/// Writes the name that the request log shows.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Anonymous(_) => "anonymous",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_rights_holds() {
        use Access::{Delete, Read, Write, WriteAndDelete};
        for (anonymous, access, allowed) in [
            (None, Read, true),
            (None, Write, true),
            (None, Delete, true),
            (Some(Anonymous::Read), Read, true),
            (Some(Anonymous::Read), Write, false),
            (Some(Anonymous::Read), Delete, false),
            (Some(Anonymous::Read), WriteAndDelete, false),
            (Some(Anonymous::ReadWrite), Read, true),
            (Some(Anonymous::ReadWrite), Write, true),
            (Some(Anonymous::ReadWrite), Delete, true),
        ] {
            let policy = Policy::new(anonymous);
            let verdict = policy.authorize(policy.identify(), access);
            assert_eq!(verdict.is_ok(), allowed, "{anonymous:?} {access:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_key_to_change() {
        assert!(Denied::ReadOnly.to_string().contains("anonymous = \"read-write\""));
    }
}
