//! Who is asking, and whether they may: [`Principal`], and the [`Policy`] that finds it and judges its access.
//!
//! It decides and words the refusal; turning that into a status code is the work of `http`. It must not know
//! how the protocols carry an operation out.

pub mod audit;

mod cache_token;
mod certificates;
mod credentials;
mod failures;
mod oidc;
mod principal;
mod refused;
mod reload;
mod rules;
mod sigv4;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use http::HeaderMap;

pub use cache_token::{CacheToken, TokenKeyError};
pub use oidc::{ExchangeError, Exchanged};
pub use principal::{Job, Principal};
pub use refused::{Denied, NotAdmin, Rejected};
pub use reload::{Change, NotReplaced};
pub use sigv4::{SignatureError, Signed};

use crate::analytics::sessions::Label;
use crate::config::{Config, Secret};
use crate::key::Namespace;
use crate::protocol::operation::{Access, Operation};
use crate::protocol::path::Target;
use crate::protocol::visible::Visible;
use crate::tls::ClientCertificate;
use cache_token::TokenKey;
use credentials::Credentials;
use oidc::Issuers;
use rules::Rules;

/// Who may do what. Clones share it, so that all of them see new rules at once.
#[derive(Clone)]
pub struct Policy {
    rules: Arc<ArcSwap<Rules>>,
    issuers: Arc<Issuers>,
    /// Where the key of the cache tokens is, whatever a reloaded configuration says of the directory.
    data_dir: Arc<Path>,
}

/// Who a request comes from, and the build that its credentials say it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Who.
    pub principal: Principal,
    /// The label of the build's session.
    pub label: Option<Label>,
}

/// What a signature of S3 is checked with.
#[derive(Clone, Debug)]
pub struct S3Key {
    /// Who signs with it.
    pub principal: Principal,
    /// The secret access key.
    pub secret: Arc<Secret>,
}

impl Policy {
    /// The rules of `config`: its tokens, its issuers, and its word about callers without a token. Without any of these
    /// everything is allowed; the configuration sees to it that such a server listens on loopback only. With issuers, the
    /// key of the cache tokens is made in the data directory if it is not there yet.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub fn new(config: &Config) -> Result<Self, TokenKeyError> {
        let rules = Rules::new(config, TokenKey::of(config, &config.data_dir)?);
        Ok(Self {
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            issuers: Arc::default(),
            data_dir: Arc::from(config.data_dir.as_path()),
        })
    }

    /// Who a request with these headers comes from, over a connection whose other end has shown this certificate: the
    /// token that stands in `Authorization` as Bearer (RFC 6750) or as the password of Basic (RFC 7617); without that
    /// header the token of the certificate; without either whoever [`Policy::unsigned`] says. A certificate of no token
    /// counts as none: its holder could leave it out, and programs show what they have to every server that asks.
    ///
    /// # Errors
    /// [`Rejected`]. Whoever shows something wrong is nobody, never a caller without credentials, and is not saved by a
    /// certificate.
    pub fn identify(
        &self,
        headers: &HeaderMap,
        certificate: Option<&ClientCertificate>,
    ) -> Result<Identity, Rejected> {
        let rules = self.rules.load();
        let (principal, label) = match (Credentials::read(headers)?, certificate) {
            (Some(credentials), _) => (rules.token(&credentials, SystemTime::now())?, credentials.label),
            (None, Some(certificate)) => (rules.certificate(certificate, SystemTime::now())?, None),
            (None, None) => (rules.unsigned()?, None),
        };
        Ok(Identity { principal, label })
    }

    /// Who a request without credentials comes from.
    ///
    /// # Errors
    /// [`Rejected::Missing`] where only tokens get in.
    pub fn unsigned(&self) -> Result<Principal, Rejected> {
        self.rules.load().unsigned()
    }

    /// The key pair of this access key id. `None` when there is no such token, when it has expired, and when only
    /// the digest of its secret is known.
    #[must_use]
    pub fn s3_key(&self, access_key_id: &str) -> Option<S3Key> {
        self.rules.load().s3_key(access_key_id, SystemTime::now())
    }

    /// Whether `principal` has the right `access` in `namespace`; `None` is the server as a whole, for which a
    /// right in any namespace is enough.
    ///
    /// # Errors
    /// [`Denied`] with the reason. A 403 to the read of sccache's start-up probe breaks a build, while a refused
    /// write only makes its session read-only; so whoever may read a namespace may read all of it.
    pub fn authorize(
        &self,
        principal: &Principal,
        namespace: Option<&Namespace>,
        access: Access,
    ) -> Result<(), Denied> {
        principal.may(namespace, access)
    }

    /// Whether `principal` may look after the server: it has the right `admin`, in whatever namespaces; or there are neither tokens
    /// nor issuers who could give it to anybody, and it got in.
    ///
    /// # Errors
    /// [`NotAdmin`].
    pub fn authorize_admin(&self, principal: &Principal) -> Result<(), NotAdmin> {
        if self.rules.load().gives_rights() { principal.is_admin() } else { Ok(()) }
    }

    /// What a listing of the whole server shows to `principal`: the namespaces that it may read.
    #[must_use]
    pub fn visible_to(&self, principal: &Principal) -> Visible {
        let principal = principal.clone();
        Visible::new(move |namespace| principal.may(Some(namespace), Access::Read).is_ok())
    }

    /// Whether `principal` has every right that `operation` needs: on its target, and on its destination.
    ///
    /// # Errors
    /// [`Denied`] for the first right that is missing.
    pub fn permit(&self, principal: &Principal, operation: &Operation) -> Result<(), Denied> {
        // A path that could not be read names no namespace. It is answered 400, and only to those who may be here.
        let target = operation.target.as_ref().ok().and_then(Target::namespace);
        let source = operation.s3.as_ref().and_then(|s3| s3.copy_source.as_ref());
        if let Some(Ok(source)) = source {
            self.authorize(principal, source.namespace(), Access::Read)?;
        }
        let Some(destination) = &operation.destination else {
            return self.authorize(principal, target, operation.access);
        };
        self.authorize(principal, target, Access::Read)?;
        if operation.access.deletes() {
            self.authorize(principal, target, Access::Delete)?;
        }
        let destination = (**destination).as_ref().ok().and_then(Target::namespace);
        self.authorize(principal, destination, Access::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Anonymous, SecretSource, TokenConfig, TokenName};

    const SECRET: &str = "a-secret-of-the-tests";

    fn policy(anonymous: Option<Anonymous>, adjust: impl FnOnce(&mut TokenConfig)) -> Policy {
        let mut token =
            TokenConfig::new(SecretSource::Env("S".to_owned()), Some(Secret::new(SECRET).unwrap()));
        adjust(&mut token);
        let mut config = Config { anonymous, ..Config::default() };
        config.tokens.insert(TokenName::new("ci").unwrap(), token);
        Policy::new(&config).unwrap()
    }

    fn identify(policy: &Policy, secret: Option<&str>) -> Result<String, Rejected> {
        let mut headers = HeaderMap::new();
        if let Some(secret) = secret {
            headers.insert("authorization", format!("Bearer {secret}").parse().unwrap());
        }
        policy.identify(&headers, None).map(|identity| identity.principal.to_string())
    }

    #[test]
    fn a_caller_is_who_it_shows_and_a_wrong_token_is_nobody() {
        let (good, wrong) = (Some(SECRET), Some("a-secret-of-the-tesst"));
        let tokens = policy(None, |_| ());
        assert_eq!(identify(&tokens, good), Ok("ci".to_owned()));
        assert_eq!(identify(&tokens, None), Err(Rejected::Missing));
        assert_eq!(identify(&tokens, wrong), Err(Rejected::Unknown));
        let open = policy(Some(Anonymous::ReadWrite), |_| ());
        assert_eq!(identify(&open, good), Ok("ci".to_owned()));
        assert_eq!(identify(&open, None), Ok("anonymous".to_owned()));
        assert_eq!(identify(&open, wrong), Err(Rejected::Unknown));
        let local = Policy::new(&Config::default()).unwrap();
        assert_eq!(identify(&local, None), Ok("local".to_owned()));
        assert_eq!(identify(&local, good), Err(Rejected::NoTokens));
    }

    #[test]
    fn an_expired_token_is_nobody_and_signs_nothing() {
        let now = SystemTime::now();
        let hour = std::time::Duration::from_secs(3600);
        let name = TokenName::new("ci").unwrap();
        let ended = policy(Some(Anonymous::ReadWrite), |token| token.expires = Some(now - hour));
        assert_eq!(identify(&ended, Some(SECRET)), Err(Rejected::Expired(name)));
        assert!(ended.s3_key("ci").is_none());
        let valid = policy(None, |token| token.expires = Some(now + hour));
        assert_eq!(identify(&valid, Some(SECRET)), Ok("ci".to_owned()));
        let key = valid.s3_key("ci").unwrap();
        assert_eq!((key.principal.to_string().as_str(), key.secret.reveal()), ("ci", SECRET));
        assert!(valid.s3_key("CI").is_none() && valid.s3_key("").is_none());
    }

    #[test]
    fn a_token_of_which_only_the_digest_is_known_signs_nothing() {
        let digest = Secret::new(SECRET).unwrap().digest();
        let policy = policy(None, |token| {
            token.source = SecretSource::Digest(digest);
            token.secret = None;
        });
        assert_eq!(identify(&policy, Some(SECRET)), Ok("ci".to_owned()));
        assert!(policy.s3_key("ci").is_none());
        // The digest itself opens nothing.
        assert_eq!(identify(&policy, Some(&digest.to_hex())), Err(Rejected::Unknown));
    }
}
