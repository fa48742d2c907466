//! What a caller shows of itself: the header `Authorization`, and the identity token of a CI job.

#![allow(clippy::expect_used, reason = "whatever is wrong here has to be loud")]

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use larder::auth::Policy;
use larder::config::{Config, OidcConfig, Secret, SecretSource, TokenConfig, TokenName};

use super::SECRET;

/// A value of the header `Authorization`, which is also taken for an S3 access key id.
pub fn authorization(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert("authorization", value);
    assert!(policy().identify(&headers, None).is_err(), "let in without a secret");
    if let Ok(id) = std::str::from_utf8(data) {
        // Anybody can write an id. Whose it is must be readable without a fault.
        let _ = policy().s3_key(id).map(|key| key.principal.to_string());
    }
}

/// An identity token.
pub fn identity_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let outcome = runtime.block_on(policy().exchange(text, SystemTime::now()));
    let error = outcome.expect_err("exchanged without a signature");
    assert!(!error.to_string().is_empty() && !error.to_string().contains('\n'), "{error}");
}

/// One token and one issuer, which nobody can reach: what is not refused before its keys are asked for is refused then.
fn policy() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| {
        let secret = || Secret::new(&String::from_utf8_lossy(SECRET).replace(' ', "-")).expect("a secret");
        let issuer = OidcConfig {
            issuer: "http://127.0.0.1:9".to_owned(),
            audience: "cache".to_owned(),
            jwks_url: None,
            max_ttl: Duration::from_secs(60),
            rules: Vec::new(),
        };
        let mut config = Config { oidc: vec![issuer], token_key: Some(secret().into()), ..Config::default() };
        let token = TokenConfig::new(SecretSource::Env("NONE".to_owned()), Some(secret()));
        config.tokens.insert(TokenName::new("ci").expect("a name"), token);
        Policy::new(&config).expect("a policy")
    })
}
