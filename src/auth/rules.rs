//! The rules in force: every token by its secret's digest and by its name, and what holds without one.
//!
//! Made once from a configuration and never changed; new rules take the place of the old.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use super::cache_token::{CacheToken, TokenKey};
use super::certificates::{Certificates, shown_name};
use super::credentials::Credentials;
use super::oidc::Jobs;
use super::principal::Token;
use super::sigv4::DerivedKeys;
use super::{Principal, Rejected, S3Key};
use crate::config::{Anonymous, CertificateName, Config, Secret, SecretDigest, TokenName};
use crate::tls::ClientCertificate;

pub(super) struct Rules {
    pub(super) anonymous: Option<Anonymous>,
    pub(super) by_name: BTreeMap<TokenName, Known>,
    /// Two digests are compared in constant time, and the table's hash of them is keyed: time tells nothing.
    by_digest: HashMap<SecretDigest, Arc<Token>>,
    by_certificate: Certificates,
    /// CI jobs and their tokens, where there are issuers.
    pub(super) jobs: Option<Jobs>,
    pub(super) derived_keys: DerivedKeys,
}

/// A token, and what its holder shows.
#[derive(PartialEq, Eq)]
pub(super) struct Known {
    token: Arc<Token>,
    digest: Option<SecretDigest>,
    secret: Option<Arc<Secret>>,
    certificates: Vec<CertificateName>,
}

impl Rules {
    /// The rules of `config`. Without a `key` there are no cache tokens.
    pub(super) fn new(config: &Config, key: Option<TokenKey>) -> Self {
        let mut rules = Self {
            anonymous: config.anonymous,
            by_name: BTreeMap::new(),
            by_digest: HashMap::new(),
            by_certificate: Certificates::default(),
            jobs: key.map(|key| Jobs::new(config, key)),
            derived_keys: DerivedKeys::default(),
        };
        for (name, settings) in &config.tokens {
            let token = Arc::new(Token::new(name, settings));
            let (digest, secret) = (settings.digest(), settings.secret.clone());
            if let Some(digest) = digest {
                rules.by_digest.insert(digest, Arc::clone(&token));
            }
            let certificates = settings.certificates.clone();
            for certificate in &certificates {
                rules.by_certificate.insert(certificate.clone(), &token);
            }
            rules.by_name.insert(name.clone(), Known { token, digest, secret, certificates });
        }
        rules
    }

    /// There are tokens, or there may be some of CI jobs.
    pub(super) fn gives_rights(&self) -> bool {
        !self.by_name.is_empty() || self.jobs.is_some()
    }

    /// Everyone may do everything: nothing is configured.
    pub(super) fn is_open(&self) -> bool {
        self.anonymous.is_none() && self.by_name.is_empty() && self.jobs.is_none()
    }

    pub(super) fn unsigned(&self) -> Result<Principal, Rejected> {
        match self.anonymous {
            Some(rights) => Ok(Principal::Anonymous(rights)),
            None if self.is_open() => Ok(Principal::Local),
            None => Err(Rejected::Missing),
        }
    }

    pub(super) fn token(&self, credentials: &Credentials, now: SystemTime) -> Result<Principal, Rejected> {
        match self.by_digest.get(&credentials.digest) {
            None if let (Some(jobs), Some(text)) = (&self.jobs, &credentials.cache_token) => {
                jobs.identify(text, now)
            }
            None if self.by_name.is_empty() && self.jobs.is_none() => Err(Rejected::NoTokens),
            None => Err(Rejected::Unknown),
            Some(token) if token.has_expired(now) => Err(Rejected::Expired(token.name().clone())),
            Some(token) => Ok(Principal::Token(Arc::clone(token))),
        }
    }

    pub(super) fn certificate(
        &self,
        certificate: &ClientCertificate,
        now: SystemTime,
    ) -> Result<Principal, Rejected> {
        match self.by_certificate.find(certificate)? {
            None => self.unsigned().map_err(|_| Rejected::UnknownCertificate(shown_name(certificate))),
            Some(token) if token.has_expired(now) => Err(Rejected::Expired(token.name().clone())),
            Some(token) => Ok(Principal::Token(Arc::clone(token))),
        }
    }

    pub(super) fn s3_key(&self, access_key_id: &str, now: SystemTime) -> Option<S3Key> {
        let Some(Known { token, secret, .. }) = self.by_name.get(access_key_id) else {
            return self
                .jobs
                .as_ref()
                .filter(|_| CacheToken::is_one(access_key_id.as_bytes()))?
                .s3_key(access_key_id, now);
        };
        let secret = Arc::clone(secret.as_ref()?);
        let usable = !token.has_expired(now);
        usable.then(|| S3Key { principal: Principal::Token(Arc::clone(token)), secret })
    }
}
