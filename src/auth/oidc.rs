//! CI jobs: an identity token of a known issuer against a cache token of the server's own.
//!
//! Owns the order in which an identity token is judged, none of which may be skipped: its form, its algorithm, its
//! issuer, its key, its signature, its times, its audience, and only then what the rules give for it.

mod claims;
mod fetch;
mod issuers;
mod jwt;
mod key_cache;
mod keys;
mod refused;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) use issuers::Issuers;
pub use refused::ExchangeError;

use super::cache_token::{self, CacheToken, TokenKey};
use super::principal::Job;
use super::{Policy, Principal, Rejected, S3Key};
use crate::config::{Config, OidcConfig, Rights, Secret};
use claims::Claims;
use jwt::Jwt;

/// How far the clocks of issuer and server may be apart.
const LEEWAY: Duration = Duration::from_secs(60);

/// What a job got for its identity token.
#[derive(Debug)]
pub struct Exchanged {
    /// The token that it shows from now on.
    pub token: CacheToken,
    /// Who it is, and what it may do.
    pub job: Arc<Job>,
    /// Which rule of its issuer said so, counted from 1.
    pub rule: usize,
}

/// What is needed to give jobs their tokens and to know them again.
#[derive(Clone, PartialEq)]
pub(super) struct Jobs {
    key: TokenKey,
    issuers: Arc<[OidcConfig]>,
}

impl Policy {
    /// True when there are issuers whose identity tokens can be exchanged.
    #[must_use]
    pub fn knows_issuers(&self) -> bool {
        self.rules.load().jobs.is_some()
    }

    /// The cache token for an identity token. May wait, for seconds at most, for the issuer's keys.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn exchange(&self, identity: &str, now: SystemTime) -> Result<Exchanged, ExchangeError> {
        // Not held across the wait: a reload must not wait for an issuer.
        let jobs = self.rules.load().jobs.clone().ok_or(ExchangeError::NotConfigured)?;
        let jwt = Jwt::read(identity)?;
        let claims = Claims::new(&jwt.claims);
        let issuer = claims.text("iss").unwrap_or_default();
        let issuer = jobs.issuer(&issuer).ok_or_else(|| ExchangeError::issuer(&issuer))?;
        let key = self.issuers.key(issuer, &jwt.kid).await?;
        jwt.verify(&key)?;
        let now_seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        claims.check_times(now_seconds, LEEWAY.as_secs_f64())?;
        claims.check_audience(&issuer.audience)?;
        let subject = claims.subject(&issuer.issuer);
        let Some((rule, granted)) = (1..).zip(&issuer.rules).find(|(_, rule)| claims.fit(rule)) else {
            let job = Job::new(subject, issuer.issuer.clone(), Vec::new(), Rights::of(&[]), now);
            return Err(ExchangeError::NoRule { job: Arc::new(job) });
        };
        let end = cache_token::end_of(now, issuer.max_ttl);
        let job = Job::new(subject, issuer.issuer.clone(), granted.namespaces.clone(), granted.allow, end);
        Ok(Exchanged { token: jobs.key.seal(&job), job: Arc::new(job), rule })
    }
}

impl Jobs {
    pub(super) fn new(config: &Config, key: TokenKey) -> Self {
        Self { key, issuers: config.oidc.clone().into() }
    }

    fn issuer(&self, name: &str) -> Option<&OidcConfig> {
        self.issuers.iter().find(|config| config.issuer == name)
    }

    /// Whose cache token `text` is.
    pub(super) fn identify(&self, text: &[u8], now: SystemTime) -> Result<Principal, Rejected> {
        let job = self.key.open(text).map_err(|_| Rejected::CacheToken)?;
        if self.issuer(job.issuer()).is_none() {
            return Err(Rejected::IssuerGone);
        }
        if job.has_expired(now) {
            return Err(Rejected::JobExpired);
        }
        Ok(Principal::Job(Arc::new(job)))
    }

    /// The S3 key pair of this access key id.
    pub(super) fn s3_key(&self, access_key_id: &str, now: SystemTime) -> Option<S3Key> {
        let (job, secret) = self.key.s3_pair(access_key_id)?;
        let is_good = self.issuer(job.issuer()).is_some() && !job.has_expired(now);
        let secret = Secret::new(&secret).ok().filter(|_| is_good)?;
        Some(S3Key { principal: Principal::Job(Arc::new(job)), secret: Arc::new(secret) })
    }
}
