//! The key that cache tokens are signed with: given by the operator, or made once and kept in the data directory.
//!
//! Owns its file there. Whoever can read it can make tokens for everything, so it is only its owner's to read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::config::{Config, MIN_TOKEN_KEY_CHARS, Secret};

/// The file in the data directory.
const FILE: &str = "token-key";
const KEY_BYTES: usize = 32;

/// A key, expanded for use. It has no `Debug`.
#[derive(Clone)]
pub(in crate::auth) struct TokenKey {
    hmac: Hmac<Sha256>,
}

/// The key in the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// Reading or making it failed.
    #[error(
        "the key for cache tokens {path}: {error}; let larder's user read and write it, or name another with \
         token_key_file"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        error: io::Error,
    },
    /// It is there and is no key.
    #[error(
        "{path} is no key for cache tokens: put back the one that was there, or remove it for a new one, with which the \
         tokens that jobs have now end"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
    },
}

impl TokenKey {
    /// The key that a server of this configuration signs with; `None` where there are no issuers and so no tokens. Makes it
    /// in `data_dir`, that of the running server, when it is to be there and is not.
    pub(in crate::auth) fn of(config: &Config, data_dir: &Path) -> Result<Option<Self>, TokenKeyError> {
        if config.oidc.is_empty() {
            return Ok(None);
        }
        if let Some(secret) = &config.token_key {
            return Ok(Some(Self::from_secret(secret.reveal().as_bytes())));
        }
        let path = data_dir.join(FILE);
        let secret = match std::fs::read_to_string(&path) {
            Ok(text) => Secret::new(&text).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(make(&path).map_err(|error| TokenKeyError::Io { path: path.clone(), error })?)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(error) => return Err(TokenKeyError::Io { path, error }),
        };
        match secret.filter(|secret| secret.reveal().len() >= MIN_TOKEN_KEY_CHARS) {
            Some(secret) => Ok(Some(Self::from_secret(secret.reveal().as_bytes()))),
            None => Err(TokenKeyError::Unusable { path }),
        }
    }

    pub(super) fn from_secret(secret: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        let hmac = Hmac::new_from_slice(secret).expect("a key of any length");
        Self { hmac }
    }

    pub(super) fn mac(&self, text: &[u8]) -> [u8; 32] {
        self.hmac.clone().chain_update(text).finalize().into_bytes().into()
    }

    /// In constant time.
    pub(super) fn is_mac_of(&self, text: &[u8], mac: &[u8]) -> bool {
        self.hmac.clone().chain_update(text).verify_slice(mac).is_ok()
    }
}

/// Two keys are told apart by what they sign.
impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.mac(b"").ct_eq(&other.mac(b"")).into()
    }
}

/// Writes a new key: whole under its name or not at all, also when the power fails.
fn make(path: &Path) -> io::Result<Secret> {
    let mut bytes = [0; KEY_BYTES];
    // Requests of up to 256 bytes are answered whole.
    if getrandom(&mut bytes, GetRandomFlags::empty())? != bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let draft = path.with_extension("new");
    // What a start left there that was killed meanwhile may have other rights.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Secret::new(&text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::OidcConfig;

    fn key(directory: &Path) -> Result<Option<TokenKey>, TokenKeyError> {
        let oidc = OidcConfig {
            issuer: "https://issuer".to_owned(),
            audience: "cache".to_owned(),
            jwks_url: None,
            max_ttl: crate::config::DEFAULT_MAX_TTL,
            rules: Vec::new(),
        };
        TokenKey::of(&Config { oidc: vec![oidc], ..Config::default() }, directory)
    }

    #[test]
    fn a_key_is_made_once_and_is_only_its_owners_to_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        assert!(TokenKey::of(&Config::default(), directory.path()).unwrap().is_none());
        assert!(!path.exists());
        std::fs::write(path.with_extension("new"), "left over").unwrap();
        let first = key(directory.path()).unwrap().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!path.with_extension("new").exists());
        let again = key(directory.path()).unwrap().unwrap();
        assert!(first == again);
        let other = tempfile::tempdir().unwrap();
        assert!(first != key(other.path()).unwrap().unwrap());
    }

    #[test]
    fn what_is_no_key_is_told_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        for text in [&b""[..], b"short-but-a-secret", b"\xff\xfe"] {
            std::fs::write(&path, text).unwrap();
            let error = key(directory.path()).err();
            assert!(matches!(error, Some(TokenKeyError::Unusable { .. })), "{error:?}");
            assert_eq!(std::fs::read(&path).unwrap(), text);
        }
    }
}
