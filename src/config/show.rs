//! The effective configuration as TOML that would give the same configuration again.
//!
//! Owns how settings are printed. Knows nothing of how they were gathered but their origin.

use std::fmt::Write as _;

use super::file::tokens::print_expiry;
use super::keys::{KEYS, NAMESPACE_KEYS};
use super::load::Loaded;
use super::oidc::OidcConfig;
use super::quantity::Time;
use super::tokens::{SecretSource, TokenConfig, TokenName};
use super::value::Form as _;

impl Loaded {
    /// Every setting, each with where it came from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        // Without a bucket its settings say nothing, and read back as if somebody meant one.
        let has_bucket = self.config.bucket.url.is_some();
        let shown = |name: &str| has_bucket || name == "bucket.url" || !name.starts_with("bucket.");
        for key in KEYS.iter().filter(|key| shown(key.name)) {
            let line = match key.get(&self.config) {
                Some(value) if key.bare => format!("{} = {value}", key.name),
                Some(value) => format!("{} = {}", key.name, quoted(&value)),
                None => format!("# {} is not set", key.name),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{line:<40} # {}", self.origin(key.name));
        }
        for (name, settings) in self.config.namespace_tables() {
            let _ = writeln!(out, "\n[namespaces.{}]", quoted(name));
            for key in NAMESPACE_KEYS {
                if let Some(value) = key.get(settings) {
                    let origin = self.origin(&format!("namespaces.{name}.{}", key.name));
                    let line = format!("{} = {}", key.name, quoted(&value));
                    let _ = writeln!(out, "{line:<40} # {origin}");
                }
            }
        }
        for (name, token) in &self.config.tokens {
            self.print_token(&mut out, name, token);
        }
        for (number, oidc) in (1..).zip(&self.config.oidc) {
            self.print_issuer(&mut out, &format!("oidc[{number}]"), oidc);
        }
        out
    }

    /// Where the secret is, never the secret itself; a digest is of no use to a thief.
    fn print_token(&self, out: &mut String, name: &TokenName, token: &TokenConfig) {
        let _ = writeln!(out, "\n[tokens.{}]", quoted(name.as_str()));
        let secret = match &token.source {
            SecretSource::File(path) => Some(("secret_file", quoted(&path.display().to_string()))),
            SecretSource::Env(variable) => Some(("secret_env", quoted(variable))),
            SecretSource::Digest(digest) => Some(("secret_sha256", quoted(&digest.to_hex()))),
            SecretSource::Absent => None,
        };
        let certificates = list(token.certificates.iter().map(ToString::to_string));
        let certificates = (!token.certificates.is_empty()).then_some(("certificate", certificates));
        let namespaces = list(token.namespaces.iter().map(ToString::to_string));
        let allow = list(token.allow.iter().map(|right| right.to_string()));
        let expires = token.expires.map(|expires| ("expires", print_expiry(expires)));
        let rights = [("namespaces", namespaces), ("allow", allow)];
        for (key, value) in secret.into_iter().chain(certificates).chain(rights).chain(expires) {
            let origin = self.origin(&format!("tokens.{name}.{key}"));
            let _ = writeln!(out, "{:<40} # {origin}", format!("{key} = {value}"));
        }
    }

    fn print_issuer(&self, out: &mut String, label: &str, oidc: &OidcConfig) {
        let _ = writeln!(out, "\n[[oidc]]");
        let max_ttl = Time::print(&oidc.max_ttl).unwrap_or_default();
        let lines = [("issuer", Some(&oidc.issuer)), ("audience", Some(&oidc.audience))];
        let optional = [("jwks_url", oidc.jwks_url.as_ref()), ("max_ttl", Some(&max_ttl))];
        for (key, value) in lines.into_iter().chain(optional) {
            if let Some(value) = value {
                let line = format!("{key} = {}", quoted(value));
                let _ = writeln!(out, "{line:<40} # {}", self.origin(&format!("{label}.{key}")));
            }
        }
        for (number, rule) in (1..).zip(&oidc.rules) {
            let claims: toml::Table = rule
                .claims
                .iter()
                .map(|(name, pattern)| (name.clone(), toml::Value::from(pattern.as_str())))
                .collect();
            let lines = [
                ("claims", toml::Value::Table(claims).to_string()),
                ("namespaces", list(rule.namespaces.iter().map(ToString::to_string))),
                ("allow", list(rule.allow.iter().map(|right| right.to_string()))),
            ];
            let _ = writeln!(out, "\n[[oidc.rules]]");
            for (key, value) in lines {
                let origin = self.origin(&format!("{label}.rules[{number}].{key}"));
                let _ = writeln!(out, "{:<40} # {origin}", format!("{key} = {value}"));
            }
        }
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.map(|item| quoted(&item)).collect();
    format!("[{}]", items.join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
