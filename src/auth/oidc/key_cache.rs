//! One issuer's keys, kept: when they are asked for again, and for how long old ones do.
//!
//! Owns the limits that keep a caller with invented keys from making the server a nuisance to the issuer, and an issuer that
//! is down from stopping every build. It must not know how keys are fetched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::super::refused::shown;
use super::ExchangeError;
use super::fetch::FetchError;
use super::keys::{Key, KeySet};

/// From this age on keys are asked for again at the next use: a key that the issuer took back is refused soon after.
const FRESH: Duration = Duration::from_secs(3600);
/// Up to this age keys do while the issuer cannot be reached.
const USABLE: Duration = Duration::from_secs(24 * 3600);
/// Most attempts to fetch in one [`WINDOW`].
const MOST_ATTEMPTS: usize = 3;
const WINDOW: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct KeyCache {
    state: Mutex<State>,
    /// One fetch at a time. Whoever waits for it takes what it brought.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    keys: Option<(KeySet, Instant)>,
    /// When the last few fetches began.
    attempts: VecDeque<Instant>,
    /// How many have ended.
    ended: u64,
    /// Why the last one brought nothing.
    failure: Option<FetchError>,
}

enum Found {
    Fresh(Arc<Key>),
    Old(Arc<Key>),
    Nothing,
}

impl KeyCache {
    /// The key of this name. `fetch` is called when it is not known, or not fresh.
    ///
    /// # Errors
    /// [`ExchangeError::UnknownKey`] when the issuer has none of this name; [`ExchangeError::Unreachable`] when that cannot
    /// be found out.
    pub(super) async fn key(
        &self,
        kid: &str,
        fetch: impl AsyncFnOnce() -> Result<KeySet, FetchError>,
    ) -> Result<Arc<Key>, ExchangeError> {
        match self.look(kid) {
            Found::Fresh(key) => return Ok(key),
            Found::Old(key) => {
                // One request waits for the issuer; to the others the old keys are good enough.
                let Ok(_turn) = self.fetching.try_lock() else { return Ok(key) };
                self.refresh(fetch).await;
            }
            Found::Nothing => {
                let ended = self.state.lock().ended;
                let _turn = self.fetching.lock().await;
                if self.state.lock().ended == ended {
                    self.refresh(fetch).await;
                }
            }
        }
        match self.look(kid) {
            Found::Fresh(key) | Found::Old(key) => Ok(key),
            Found::Nothing => Err(match &self.state.lock().failure {
                Some(error) => ExchangeError::Unreachable(error.clone()),
                None => ExchangeError::UnknownKey(shown(kid)),
            }),
        }
    }

    fn look(&self, kid: &str) -> Found {
        let state = self.state.lock();
        let Some((keys, fetched)) = &state.keys else { return Found::Nothing };
        match (keys.get(kid), fetched.elapsed()) {
            (Some(key), age) if age < FRESH => Found::Fresh(key),
            (Some(key), age) if age < USABLE => Found::Old(key),
            _ => Found::Nothing,
        }
    }

    /// Fetches, unless that was tried too often. Only ever called by whoever has the turn.
    async fn refresh(&self, fetch: impl AsyncFnOnce() -> Result<KeySet, FetchError>) {
        {
            let mut state = self.state.lock();
            state.attempts.retain(|began| began.elapsed() < WINDOW);
            if state.attempts.len() >= MOST_ATTEMPTS {
                return;
            }
            state.attempts.push_back(Instant::now());
        }
        let outcome = fetch().await;
        let mut state = self.state.lock();
        state.ended += 1;
        match outcome {
            Ok(keys) => {
                state.keys = Some((keys, Instant::now()));
                state.failure = None;
            }
            Err(error) => {
                tracing::warn!(%error, "the keys of an issuer could not be fetched");
                state.failure = Some(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn set(kid: &str) -> KeySet {
        let json = format!(r#"{{"keys":[{{"kty":"RSA","kid":"{kid}","n":"AAAA","e":"AQAB"}}]}}"#);
        KeySet::read(json.as_bytes()).unwrap()
    }

    /// An issuer that counts how often it is asked; it has the key `kid`, or is down.
    struct Issuer {
        cache: KeyCache,
        kid: Option<&'static str>,
        asked: AtomicUsize,
    }

    impl Issuer {
        fn new(kid: Option<&'static str>) -> Self {
            Self { cache: KeyCache::default(), kid, asked: AtomicUsize::new(0) }
        }

        async fn key(&self, kid: &str) -> Result<(), &'static str> {
            let fetch = async || {
                self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                self.kid.map(set).ok_or(FetchError::NoKeys { url: "https://issuer".to_owned() })
            };
            self.cache.key(kid, fetch).await.map(|_| ()).map_err(|error| error.reason())
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fresh_keys_are_not_asked_for_again_and_old_ones_are() {
        let issuer = Issuer::new(Some("a"));
        for _ in 0..9 {
            assert_eq!(issuer.key("a").await, Ok(()));
        }
        assert_eq!(issuer.asked(), 1);
        tokio::time::advance(FRESH).await;
        assert_eq!(issuer.key("a").await, Ok(()));
        assert_eq!(issuer.key("a").await, Ok(()));
        assert_eq!(issuer.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_key_is_found_at_once_and_invented_ones_soon_ask_no_more() {
        let mut issuer = Issuer::new(Some("a"));
        assert_eq!(issuer.key("a").await, Ok(()));
        issuer.kid = Some("b");
        assert_eq!(issuer.key("b").await, Ok(()));
        assert_eq!(issuer.key("a").await, Err("key"));
        for _ in 0..99 {
            assert_eq!(issuer.key("invented").await, Err("key"));
        }
        assert_eq!(issuer.asked(), MOST_ATTEMPTS);
        assert_eq!(issuer.key("b").await, Ok(()));
        tokio::time::advance(WINDOW).await;
        assert_eq!(issuer.key("invented").await, Err("key"));
        assert_eq!(issuer.asked(), MOST_ATTEMPTS + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_issuer_is_down_known_keys_do_for_a_day() {
        let mut issuer = Issuer::new(Some("a"));
        assert_eq!(issuer.key("a").await, Ok(()));
        issuer.kid = None;
        assert_eq!(issuer.key("b").await, Err("unreachable"));
        for _ in 0..23 {
            tokio::time::advance(FRESH).await;
            assert_eq!(issuer.key("a").await, Ok(()));
        }
        tokio::time::advance(FRESH).await;
        assert_eq!(issuer.key("a").await, Err("unreachable"));
        issuer.kid = Some("a");
        assert_eq!(issuer.key("a").await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_during_a_fetch_takes_what_it_brings() {
        for (kid, outcome) in [(Some("a"), Ok(())), (None, Err("unreachable"))] {
            let issuer = Issuer::new(kid);
            let both = tokio::join!(issuer.key("a"), issuer.key("a"));
            assert_eq!((both, issuer.asked()), ((outcome, outcome), 1));
        }
    }
}
