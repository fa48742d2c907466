//! The keys of every issuer that was asked so far, across reloads of the rules.
//!
//! Owns where each issuer's keys lie, so that what one says is never used for another.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ExchangeError;
use super::fetch;
use super::key_cache::KeyCache;
use super::keys::Key;
use crate::config::OidcConfig;

/// Only configured issuers come in, so it stays small.
#[derive(Default)]
pub(in crate::auth) struct Issuers(Mutex<HashMap<Place, Arc<KeyCache>>>);

/// An issuer, and where its keys are where the configuration says so.
type Place = (String, Option<String>);

impl Issuers {
    /// The key `kid` of `issuer`.
    ///
    /// # Errors
    /// Those of [`KeyCache::key`].
    pub(super) async fn key(&self, issuer: &OidcConfig, kid: &str) -> Result<Arc<Key>, ExchangeError> {
        let place = (issuer.issuer.clone(), issuer.jwks_url.clone());
        let cache = Arc::clone(self.0.lock().entry(place).or_default());
        cache.key(kid, async || fetch::keys(issuer).await).await
    }
}
