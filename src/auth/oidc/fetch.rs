//! Asks an issuer for its keys: the discovery document (OpenID Connect Discovery 1.0, 4), then the key set it names.
//!
//! Owns the limits of both requests: time, size, no redirects, nothing unencrypted but on this machine. The proxy that the
//! environment names is used, and the certificates that the system trusts.

use std::error::Error as _;
use std::time::Duration;

use http::Uri;
use reqwest::{Client, redirect};
use serde::Deserialize;

use super::keys::KeySet;
use crate::config::{OidcConfig, is_loopback};
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For one of the two answers, to its last byte. A job waits meanwhile.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer, in bytes. GitHub's key set has about 10 KiB.
const MOST_BYTES: usize = 512 << 10;

/// Why there are no keys. Fit for an operator; it names public addresses only.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer, or none in time, or a certificate that is not trusted.
    #[error("{url} gave no answer: {error}")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// What happened, down to its cause.
        error: String,
    },
    /// Not what was asked for.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
    },
    /// More than any key set.
    #[error("{url} answered more than 512 KiB")]
    TooLarge {
        /// What was asked.
        url: String,
    },
    /// No discovery document of this issuer.
    #[error("{url} is no discovery document of the issuer {issuer}: correct issuer, or set jwks_url")]
    Discovery {
        /// What was asked.
        url: String,
        /// Whose it should be.
        issuer: String,
    },
    /// The document names keys where anyone could change them on their way.
    #[error("{url} says that the keys are at an address that is not https")]
    Unencrypted {
        /// What was asked.
        url: String,
    },
    /// A key set without a key for RS256 or ES256.
    #[error("{url} has no keys for RS256 or ES256")]
    NoKeys {
        /// What was asked.
        url: String,
    },
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The keys that `config`'s issuer has now.
pub(super) async fn keys(config: &OidcConfig) -> Result<KeySet, FetchError> {
    let url = match &config.jwks_url {
        Some(url) => url.clone(),
        None => discover(&config.issuer).await?,
    };
    let body = get(&url).await?;
    KeySet::read(&body).ok_or(FetchError::NoKeys { url })
}

async fn discover(issuer: &str) -> Result<String, FetchError> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let body = get(&url).await?;
    // Discovery, 4.3: a document of another issuer must not be used.
    match serde_json::from_slice::<Discovery>(&body) {
        Ok(found) if found.issuer == issuer => {
            if is_local(&found.jwks_uri) && is_local(issuer) || found.jwks_uri.starts_with("https://") {
                Ok(found.jwks_uri)
            } else {
                Err(FetchError::Unencrypted { url })
            }
        }
        _ => Err(FetchError::Discovery { url, issuer: issuer.to_owned() }),
    }
}

async fn get(url: &str) -> Result<Vec<u8>, FetchError> {
    let failed = |error: String| FetchError::NoAnswer { url: url.to_owned(), error };
    let local = is_local(url);
    // Made for each of these rare requests, so that no connection idles and certificates are those of today. Reading them
    // takes a while.
    let client = tokio::task::spawn_blocking(move || client(local)).await;
    let client =
        client.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(causes(&error)))?;
    let mut answer = client.get(url).send().await.map_err(|error| failed(causes(&error)))?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status { url: url.to_owned(), status: answer.status().as_u16() });
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(causes(&error)))? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(FetchError::TooLarge { url: url.to_owned() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn client(local: bool) -> reqwest::Result<Client> {
    tls::use_ring();
    let client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")));
    // A proxy has no way to this machine.
    let client = if local { client.no_proxy() } else { client.https_only(true) };
    client.build()
}

/// True for URLs of this machine.
fn is_local(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    uri.as_ref().and_then(Uri::host).is_some_and(is_loopback)
}

/// An error with its causes: reqwest says first where, and only then what.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    match text.as_str() {
        "" => error.to_string(),
        _ if error.is_timeout() => format!("no answer in time ({text})"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        for local in ["http://127.0.0.1:8/x", "http://[::1]:8/", "http://localhost/"] {
            assert!(is_local(local), "{local}");
        }
        for other in ["https://gitlab.com/x", "http://127.0.0.1.example.org/", "not a URL"] {
            assert!(!is_local(other), "{other}");
        }
    }
}
