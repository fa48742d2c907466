//! The rules in force: every token by its secret's digest and by its name, and what holds without one.
//!
//! Made once from a configuration and never changed; new rules take the place of the old.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::credentials::Credentials;
use super::principal::Token;
use super::sigv4::DerivedKeys;
use super::{Principal, Rejected, S3Key};
use crate::config::{Anonymous, Config, Secret, SecretDigest};

pub(super) struct Rules {
    anonymous: Option<Anonymous>,
    /// Two digests are compared in constant time, and the table's hash of them is keyed: time tells nothing.
    by_digest: HashMap<SecretDigest, Arc<Token>>,
    by_name: HashMap<Box<str>, (Arc<Token>, Arc<Secret>)>,
    has_tokens: bool,
    pub(super) derived_keys: DerivedKeys,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        let (mut by_digest, mut by_name) = (HashMap::new(), HashMap::new());
        for (name, settings) in &config.tokens {
            let token = Arc::new(Token::new(name, settings));
            if let Some(digest) = settings.digest() {
                by_digest.insert(digest, Arc::clone(&token));
            }
            if let Some(secret) = &settings.secret {
                by_name.insert(name.as_str().into(), (token, Arc::clone(secret)));
            }
        }
        let has_tokens = !config.tokens.is_empty();
        let derived_keys = DerivedKeys::default();
        Self { anonymous: config.anonymous, by_digest, by_name, has_tokens, derived_keys }
    }

    pub(super) fn unsigned(&self) -> Result<Principal, Rejected> {
        match self.anonymous {
            Some(rights) => Ok(Principal::Anonymous(rights)),
            None if self.has_tokens => Err(Rejected::Missing),
            None => Ok(Principal::Local),
        }
    }

    pub(super) fn token(&self, credentials: &Credentials, now: SystemTime) -> Result<Principal, Rejected> {
        match self.by_digest.get(&credentials.digest) {
            None if self.has_tokens => Err(Rejected::Unknown),
            None => Err(Rejected::NoTokens),
            Some(token) if token.has_expired(now) => Err(Rejected::Expired(token.name().clone())),
            Some(token) => Ok(Principal::Token(Arc::clone(token))),
        }
    }

    pub(super) fn s3_key(&self, access_key_id: &str, now: SystemTime) -> Option<S3Key> {
        let (token, secret) = self.by_name.get(access_key_id)?;
        let usable = !token.has_expired(now);
        usable.then(|| S3Key { principal: Principal::Token(Arc::clone(token)), secret: Arc::clone(secret) })
    }
}
