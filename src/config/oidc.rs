//! `[[oidc]]`: whose identity tokens are exchanged for a cache token, and what its jobs may then do.
//!
//! Owns the types, the tables of keys, and what makes a rule too wide. How the tables are read is `file`'s work;
//! tokens and the keys they are signed with are `auth`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::load::Draft;
use super::token_secrets;
use super::tokens::{NamespaceScope, Rights, TokenKey};

/// Life of a cache token where nothing is said: the longest that GitHub lets a job run on its own machines.
pub const DEFAULT_MAX_TTL: Duration = Duration::from_secs(6 * 3600);
/// Cache tokens cannot be revoked one by one, so none lives longer.
pub const LONGEST_MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Whoever has a cache token can try keys at leisure, so this one must be out of reach for good. In characters.
pub const MIN_TOKEN_KEY_CHARS: usize = 32;

/// One issuer of identity tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OidcConfig {
    /// What its tokens have as `iss`; also where its keys are found, unless `jwks_url` says otherwise.
    pub issuer: String,
    /// What its tokens must have as `aud`.
    pub audience: String,
    /// Where its keys are; `None`: where its discovery document says.
    pub jwks_url: Option<String>,
    /// How long a cache token lasts.
    pub max_ttl: Duration,
    /// Who may do what. The first that fits counts.
    pub rules: Vec<OidcRule>,
}

/// What jobs with these claims may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OidcRule {
    /// Name to value; all must fit.
    pub claims: BTreeMap<String, ClaimPattern>,
    /// Where the rights hold.
    pub namespaces: Vec<NamespaceScope>,
    /// What they may do.
    pub allow: Rights,
}

/// A claim's value: exact, or with `*` for any characters, `/` too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimPattern(String);

/// Every key of `[[oidc]]`.
pub const OIDC_KEYS: &[TokenKey] = &[
    TokenKey {
        name: "issuer",
        value: "URL",
        help: "What identity tokens have as iss, to the letter. https; http for loopback addresses only.",
    },
    TokenKey {
        name: "audience",
        value: "text",
        help: "What they must have as aud: a name for this cache, so that a token made for something else is none.",
    },
    TokenKey {
        name: "jwks_url",
        value: "URL",
        help: "Where the issuer's keys are. Not set: where <issuer>/.well-known/openid-configuration says.",
    },
    TokenKey {
        name: "max_ttl",
        value: "DURATION",
        help: "How long a cache token lasts: as long as the longest job. Not set: 6h. At most 7d.",
    },
    TokenKey {
        name: "rules",
        value: "tables [[oidc.rules]]",
        help: "Who gets what. The first rule that fits counts; where none does, nothing is given.",
    },
];

/// Every key of `[[oidc.rules]]`.
pub const OIDC_RULE_KEYS: &[TokenKey] = &[
    TokenKey {
        name: "claims",
        value: "table of name = \"value\"",
        help: "What the identity token must say, all of it. * stands for any characters, / too.",
    },
    TokenKey {
        name: "namespaces",
        value: "list of names, or patterns as in \"pr-*\"",
        help: "Where the rights hold. \"*\": everywhere.",
    },
    TokenKey { name: "allow", value: "list of read, write, delete, admin", help: "What the job may do." },
];

/// Issuers that sign for everyone who has an account there, and the claims that say whose job it is.
const PUBLIC_ISSUERS: &[(&str, &[&str])] = &[
    (
        "https://token.actions.githubusercontent.com",
        &["repository", "repository_id", "repository_owner", "repository_owner_id", "enterprise", "sub"],
    ),
    ("https://gitlab.com", &["project_path", "project_id", "namespace_path", "namespace_id", "sub"]),
];

impl ClaimPattern {
    /// Any text but the empty one.
    ///
    /// # Errors
    /// What to write instead.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the value is empty: write the claim's value, or leave the claim out".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when `value` fits, to the letter and to its end.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else {
            return self.0 == value;
        };
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        let inner = value.strip_prefix(start).and_then(|value| value.strip_suffix(end));
        let Some(mut inner) = inner else { return false };
        // The leftmost place leaves most for the parts that follow.
        middle.split('*').all(|part| match inner.find(part) {
            Some(at) => {
                inner = &inner[at + part.len()..];
                true
            }
            None => false,
        })
    }

    /// True when it cannot fit what belongs to somebody of another name.
    fn names_an_owner(&self) -> bool {
        self.0.split_once('*').is_none_or(|(start, _)| start.contains('/'))
    }
}

/// Reads an address that tokens or keys are believed for.
///
/// # Errors
/// What is wrong and what to write.
pub(super) fn trusted_url(text: &str) -> Result<String, String> {
    const HINT: &str = "write a URL as in https://token.actions.githubusercontent.com";
    let uri: Uri = text.parse().map_err(|_| format!("\"{text}\" is no URL: {HINT}"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(format!("\"{text}\" is no whole URL: {HINT}"));
    };
    if authority.as_str().contains('@') || uri.query().is_some() || text.contains('#') {
        return Err(format!("\"{text}\" has a user, a query or a fragment: {HINT}"));
    }
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if is_loopback(authority.host()) => Ok(text.to_owned()),
        "http" => Err(format!(
            "\"{text}\" is not encrypted, so anyone on the way could sign for everyone: write https (http is for \
             loopback addresses)"
        )),
        _ => Err(format!("\"{text}\" is neither https nor http: {HINT}")),
    }
}

/// True for hosts that are this machine: nobody can stand between.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Checks what one table cannot show.
pub(super) fn between_keys(draft: &mut Draft) {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, oidc) in (1..).zip(&draft.config.oidc) {
        let label = format!("oidc[{number}]");
        if !draft.is_sound(&format!("{label}.issuer")) || oidc.issuer.is_empty() {
            continue;
        }
        if !seen.insert(&oidc.issuer) {
            let text = "this issuer is there already: put all of its rules below one [[oidc]]";
            found.push((format!("{label}.issuer"), text.to_owned()));
        }
        let public = PUBLIC_ISSUERS.iter().find(|(issuer, _)| *issuer == oidc.issuer);
        let Some((_, owners)) = public else { continue };
        for (number, rule) in (1..).zip(&oidc.rules) {
            let key = format!("{label}.rules[{number}].claims");
            let names_an_owner = rule
                .claims
                .iter()
                .any(|(name, value)| owners.contains(&name.as_str()) && value.names_an_owner());
            if draft.is_sound(&key) && !rule.claims.is_empty() && !names_an_owner {
                found.push((
                    key,
                    format!(
                        "{} signs for everyone in the world, and this rule does not say whose jobs it means: add \
                         one of {}, with the owner written out and a '/' before any '*', as in \"our-org/*\"",
                        oidc.issuer,
                        owners.join(", ")
                    ),
                ));
            }
        }
    }
    for (key, text) in found {
        draft.problem_with(&key, text);
    }
}

/// Reads the key that cache tokens are signed with, where a file of its own is named.
pub(super) fn read_token_key(draft: &mut Draft) {
    let Some(path) = draft.config.token_key_file.clone().filter(|_| draft.is_sound("token_key_file")) else {
        return;
    };
    match token_secrets::from_file(&path) {
        Ok(key) if key.reveal().len() >= MIN_TOKEN_KEY_CHARS => draft.config.token_key = Some(Arc::new(key)),
        Ok(_) => draft.problem_with(
            "token_key_file",
            format!(
                "the key in {} can be guessed: write {MIN_TOKEN_KEY_CHARS} characters or more there, as openssl rand \
                 -hex 32 makes them",
                path.display()
            ),
        ),
        Err(message) => draft.problem_with("token_key_file", message),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_fits_to_the_letter_and_to_the_end() {
        for (pattern, fits, others) in [
            ("main", &["main"][..], &["", "main2", "xmain", "Main"][..]),
            ("refs/heads/*", &["refs/heads/", "refs/heads/a/b"], &["refs/heads", "xrefs/heads/a"]),
            ("*", &["", "a"], &[]),
            ("a*c*e", &["ace", "abcde", "acce"], &["ae", "aec", "acex"]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("**", &["", "x"], &[]),
            ("a*b*b", &["abb", "axbxb"], &["ab"]),
        ] {
            let pattern = ClaimPattern::new(pattern).unwrap();
            assert!(fits.iter().all(|text| pattern.matches(text)), "{pattern:?}");
            assert!(!others.iter().any(|text| pattern.matches(text)), "{pattern:?}");
        }
    }

    /// The definition, letter by letter.
    fn fits(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => fits(rest, text),
            (Some(('*', rest)), Some((_, others))) => fits(rest, text) || fits(pattern, others),
            (Some((a, rest)), Some((b, others))) if a == b => fits(rest, others),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_as_its_definition_says(pattern in "[ab*ü]{1,8}", text in "[abü]{0,8}") {
            let (letters, own): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(ClaimPattern::new(&pattern).unwrap().matches(&text), fits(&letters, &own));
        }
    }

    #[test]
    fn only_encrypted_or_local_addresses_are_trusted() {
        for good in
            ["https://gitlab.com", "https://x/y", "http://127.0.0.1:1", "http://[::1]/", "http://localhost"]
        {
            assert_eq!(trusted_url(good), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "gitlab.com",
            "/x",
            "http://gitlab.com",
            "http://localhost.evil.org",
            "http://127.0.0.1.evil.org",
            "http://127.0.0.1@evil.org",
            "ftp://x",
            "https://u:p@x",
            "https://x?y",
            "https://x#y",
        ] {
            assert!(trusted_url(bad).is_err(), "{bad}");
        }
    }
}
