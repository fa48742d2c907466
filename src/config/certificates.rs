//! Names of clients' certificates, as tokens are written about them.
//!
//! Owns how such a name is written and when two are the same, and what `certificate` needs of other keys. What a
//! certificate has for names is `tls`'s, and whose token it is `auth`'s.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;

use super::load::Draft;
use super::tokens::TokenName;

/// A name that a client's certificate must have: a URI, an e-mail address, or any other, which is a DNS name or a
/// common name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CertificateName(Box<str>);

/// Which of a certificate's names one is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CertificateNameKind {
    /// It has a `:`, as in `spiffe://lan/ci`.
    Uri,
    /// It has an `@`, as in `ci@example.org`.
    Email,
    /// Anything else, as in `runner-7.lan`. Upper and lower case are one: RFC 4343 for DNS names.
    Dns,
}

impl CertificateName {
    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.contains('*') {
            return Err(format!(
                "\"{text}\": names are compared whole, there are no patterns: list each name"
            ));
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(format!("{text:?}: a space at an end, or a control character, is no part of a name"));
        }
        Ok(Self(Self::folded(text).into()))
    }

    /// The text by which `text`, found in a certificate, is looked up.
    #[must_use]
    pub fn folded(text: &str) -> String {
        match CertificateNameKind::of(text) {
            CertificateNameKind::Dns => text.to_ascii_lowercase(),
            CertificateNameKind::Uri | CertificateNameKind::Email => text.to_owned(),
        }
    }
}

impl CertificateNameKind {
    /// The kind that a text has by its form.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match () {
            () if text.contains(':') => Self::Uri,
            () if text.contains('@') => Self::Email,
            () => Self::Dns,
        }
    }
}

/// Nobody is asked for a certificate without a CA, and a certificate is one caller's.
pub(super) fn between_keys(draft: &mut Draft) {
    let nobody_is_asked = draft.config.tls_client_ca.is_none() && draft.is_sound("tls_client_ca");
    let mut seen: HashMap<CertificateName, TokenName> = HashMap::new();
    let mut problems = Vec::new();
    for (name, token) in &draft.config.tokens {
        let key = format!("tokens.{name}.certificate");
        if nobody_is_asked && !token.certificates.is_empty() {
            let message = "clients are not asked for certificates: say in tls_client_ca who signs them (with tls_cert \
                           and tls_key), or leave this out";
            problems.push((key.clone(), message.to_owned()));
        }
        for certificate in &token.certificates {
            match seen.get(certificate) {
                Some(other) if other != name => problems.push((
                    key.clone(),
                    format!("the token {other} has \"{certificate}\" too: a certificate is one token's, remove one"),
                )),
                _ => drop(seen.insert(certificate.clone(), name.clone())),
            }
        }
    }
    for (key, message) in problems {
        draft.problem_with(&key, message);
    }
}

/// So that a map of names is asked with the folded text of a name in a certificate.
impl Borrow<str> for CertificateName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_name_says_what_it_is() {
        for (text, kind, kept) in [
            ("Runner-7.LAN", CertificateNameKind::Dns, "runner-7.lan"),
            ("build farm", CertificateNameKind::Dns, "build farm"),
            ("CI@example.org", CertificateNameKind::Email, "CI@example.org"),
            ("spiffe://lan/CI", CertificateNameKind::Uri, "spiffe://lan/CI"),
            ("https://ci@lan/", CertificateNameKind::Uri, "https://ci@lan/"),
        ] {
            assert_eq!(CertificateNameKind::of(text), kind, "{text}");
            assert_eq!(CertificateName::new(text).map(|name| name.to_string()).as_deref(), Ok(kept));
        }
        for bad in ["*.lan", " ci", "ci\n", "c\u{7}i"] {
            assert!(CertificateName::new(bad).is_err(), "{bad:?}");
        }
    }
}
