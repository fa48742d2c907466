//! The token that a CI job is given for its identity token: signed by the server, which keeps no list of them.
//!
//! Owns its form. It is `larder_job_1.<payload>.<mac>`: the version, what it says as JSON in base64url, and the
//! HMAC-SHA256 of all before the last dot. As an S3 key pair the mac is the secret, and what stands before it the key's
//! id. It must not know where identities come from.

mod key;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

pub(super) use key::TokenKey;
pub use key::TokenKeyError;

use super::principal::Job;
use crate::config::{NamespaceScope, Right, Rights};

/// What cache tokens begin with. The number is the version: a payload with other fields gets another one.
const PREFIX: &str = "larder_job_1.";
/// Longest token that is looked at, in bytes. Those that are made here have a few hundred.
const MOST_BYTES: usize = 8192;

/// A cache token. It opens the cache, so its `Debug` shows nothing of it.
pub struct CacheToken {
    text: String,
    id_bytes: usize,
}

/// Why a cache token is not good. What else it may be is for others to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unsealed {
    /// It has not the form of one.
    Malformed,
    /// This key did not sign it.
    Forged,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    /// Subject.
    s: String,
    /// Issuer of the identity.
    i: String,
    /// Namespaces.
    n: Vec<String>,
    /// Rights, by their first letters.
    a: String,
    /// End, in seconds since 1970.
    e: u64,
}

impl CacheToken {
    /// True for texts that can only be cache tokens.
    pub(super) fn is_one(text: &[u8]) -> bool {
        text.starts_with(PREFIX.as_bytes())
    }

    /// The whole of it, for its holder. Never to be logged.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The access key id of its S3 key pair. No secret.
    #[must_use]
    pub fn s3_id(&self) -> &str {
        &self.text[..self.id_bytes]
    }

    /// The secret access key of its S3 key pair. Never to be logged.
    #[must_use]
    pub fn s3_secret(&self) -> &str {
        &self.text[self.id_bytes + 1..]
    }
}

impl TokenKey {
    /// A token that says what `job` may do.
    pub(super) fn seal(&self, job: &Job) -> CacheToken {
        let end = job.expires().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let payload = Payload {
            s: job.subject().to_owned(),
            i: job.issuer().to_owned(),
            n: job.namespaces().iter().map(ToString::to_string).collect(),
            a: job.allow().map(letter).collect(),
            e: end,
        };
        // Texts and numbers always are JSON.
        let json = serde_json::to_vec(&payload).unwrap_or_default();
        let id = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json));
        let id_bytes = id.len();
        let text = format!("{id}.{}", self.s3_secret(&id));
        CacheToken { text, id_bytes }
    }

    /// Whose token `text` is, if this key signed it. It may have ended.
    pub(super) fn open(&self, text: &[u8]) -> Result<Job, Unsealed> {
        let text = std::str::from_utf8(text).map_err(|_| Unsealed::Malformed)?;
        let (id, mac) = text.rsplit_once('.').ok_or(Unsealed::Malformed)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| Unsealed::Malformed)?;
        if id.len() > MOST_BYTES || !id.starts_with(PREFIX) {
            return Err(Unsealed::Malformed);
        }
        if !self.is_mac_of(id.as_bytes(), &mac) {
            return Err(Unsealed::Forged);
        }
        read_id(id).ok_or(Unsealed::Malformed)
    }

    /// What the S3 key of this id says, and the secret that its holder has if it was made here. Anybody can write an id:
    /// only a signature with that secret proves it.
    pub(super) fn s3_pair(&self, id: &str) -> Option<(Job, String)> {
        Some((read_id(id)?, self.s3_secret(id)))
    }

    fn s3_secret(&self, id: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(id.as_bytes()))
    }
}

fn read_id(id: &str) -> Option<Job> {
    let payload = id.strip_prefix(PREFIX).filter(|payload| payload.len() <= MOST_BYTES)?;
    let payload: Payload = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let namespaces: Option<Vec<_>> =
        payload.n.iter().map(|namespace| NamespaceScope::parse(namespace).ok()).collect();
    let allow: Option<Vec<_>> =
        payload.a.chars().map(|c| Right::ALL.into_iter().find(|right| letter(*right) == c)).collect();
    let expires = UNIX_EPOCH.checked_add(Duration::from_secs(payload.e))?;
    Some(Job::new(payload.s, payload.i, namespaces?, Rights::of(&allow?), expires))
}

fn letter(right: Right) -> char {
    match right {
        Right::Read => 'r',
        Right::Write => 'w',
        Right::Delete => 'd',
        Right::Admin => 'a',
    }
}

/// When a token that is made `now` and lives for `ttl` ends: whole seconds, as the token carries them.
pub(super) fn end_of(now: SystemTime, ttl: Duration) -> SystemTime {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    UNIX_EPOCH + Duration::from_secs(seconds) + ttl
}

impl fmt::Debug for CacheToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> TokenKey {
        TokenKey::from_secret(b"a key of the tests, long enough")
    }

    fn job(subject: &str) -> Job {
        let namespaces = ["main", "pr-*"].map(|name| NamespaceScope::parse(name).unwrap()).to_vec();
        let allow = Rights::of(&[Right::Read, Right::Delete]);
        let end = end_of(SystemTime::now(), Duration::from_secs(60));
        Job::new(subject.to_owned(), "https://issuer".to_owned(), namespaces, allow, end)
    }

    #[test]
    fn a_token_says_what_it_was_made_for_and_fits_into_headers() {
        let (key, job) = (key(), job("oidc:github:org/ü@refs/heads/main#1"));
        let token = key.seal(&job);
        assert_eq!(key.open(token.reveal().as_bytes()), Ok(job.clone()));
        assert!(CacheToken::is_one(token.reveal().as_bytes()) && !CacheToken::is_one(b"larder_job_2.x.y"));
        assert!(token.reveal().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
        assert_eq!(key.s3_pair(token.s3_id()), Some((job, token.s3_secret().to_owned())));
        assert_eq!(format!("{}.{}", token.s3_id(), token.s3_secret()), token.reveal());
        assert_eq!(format!("{token:?}"), "…");
    }

    #[test]
    fn another_key_opens_nothing() {
        let token = key().seal(&job("x"));
        let other = TokenKey::from_secret(b"a key of the tests, long enougH");
        assert_eq!(other.open(token.reveal().as_bytes()), Err(Unsealed::Forged));
        assert_ne!(other.s3_pair(token.s3_id()).unwrap().1, token.s3_secret());
    }

    #[test]
    fn what_a_newer_larder_would_say_is_not_taken_for_less() {
        let key = key();
        for payload in [
            r#"{"s":"x","i":"y","n":["*"],"a":"r","e":1,"only":"read"}"#,
            r#"{"s":"x","i":"y","n":["*"],"a":"rx","e":1}"#,
            r#"{"s":"x","i":"y","n":["a/b"],"a":"r","e":1}"#,
            r#"{"s":"x","i":"y","n":["*"],"a":"r","e":18446744073709551615}"#,
            r#"{"s":"x","s":"z","i":"y","n":["*"],"a":"r","e":1}"#,
            "[]",
        ] {
            let id = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(payload));
            let text = format!("{id}.{}", key.s3_secret(&id));
            assert_eq!(key.open(text.as_bytes()), Err(Unsealed::Malformed), "{payload}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_changed_is_refused(at in 0_usize..1000, by in 1_u8..=255, cut in any::<bool>()) {
            let key = key();
            let token = key.seal(&job("some subject"));
            let mut bytes = token.reveal().as_bytes().to_vec();
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] ^= by }
            prop_assert!(key.open(&bytes).is_err());
        }

        #[test]
        fn whatever_is_sent_is_read_without_a_panic(bytes: Vec<u8>, text in "\\PC{0,60}", json in "[\\[\\]{}:,\"0-9a-z]{0,40}") {
            let key = key();
            prop_assert!(key.open(&bytes).is_err());
            let text = format!("{PREFIX}{text}");
            prop_assert!(key.open(text.as_bytes()).is_err());
            let id = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json));
            let _ = key.open(format!("{id}.{}", key.s3_secret(&id)).as_bytes());
            let _ = key.s3_pair(&id);
        }
    }
}
