//! Whose token a client's certificate stands for.
//!
//! Owns which of a certificate's names are looked at. It must be given certificates that the handshake has verified.

use std::collections::HashMap;
use std::sync::Arc;

use super::Rejected;
use super::principal::Token;
use crate::config::{CertificateName, CertificateNameKind};
use crate::tls::ClientCertificate;

/// Most of a certificate's name that an answer shows, in characters.
const MOST_SHOWN: usize = 100;

/// The tokens that have certificates, by the names of those.
#[derive(Default)]
pub(super) struct Certificates(HashMap<CertificateName, Arc<Token>>);

impl Certificates {
    pub(super) fn insert(&mut self, name: CertificateName, token: &Arc<Token>) {
        self.0.insert(name, Arc::clone(token));
    }

    /// The token that `certificate` stands for, whether it has expired or not.
    ///
    /// # Errors
    /// [`Rejected::AmbiguousCertificate`] when its names are those of several tokens: no order of them would be one that
    /// whoever signed it had in mind.
    pub(super) fn find(&self, certificate: &ClientCertificate) -> Result<Option<&Arc<Token>>, Rejected> {
        let mut found: Option<&Arc<Token>> = None;
        if self.0.is_empty() {
            return Ok(None);
        }
        for token in names(certificate).filter_map(|name| self.0.get(CertificateName::folded(name).as_str()))
        {
            match found {
                Some(other) if other.name() != token.name() => {
                    return Err(Rejected::AmbiguousCertificate(other.name().clone(), token.name().clone()));
                }
                _ => found = Some(token),
            }
        }
        Ok(found)
    }
}

/// What a person would call it: its first name, fit for one line.
pub(super) fn shown_name(certificate: &ClientCertificate) -> String {
    let name = names(certificate).next().unwrap_or("(without a name)");
    name.escape_debug().take(MOST_SHOWN).collect()
}

/// The names that count. Alternative names of the subject say what each one is, and only those of the kind that its form
/// says are taken: what a CA lets pass as one kind must not be believed as another. The common name is taken where there
/// are none of them: it has no kind (RFC 6125, 6.4.4, has the same order).
fn names(certificate: &ClientCertificate) -> impl Iterator<Item = &str> {
    let ClientCertificate { common_name, dns_names, uris, emails } = certificate;
    let has_alternatives = !(dns_names.is_empty() && uris.is_empty() && emails.is_empty());
    of_kind(uris, CertificateNameKind::Uri)
        .chain(of_kind(dns_names, CertificateNameKind::Dns))
        .chain(of_kind(emails, CertificateNameKind::Email))
        .chain(common_name.as_deref().filter(move |_| !has_alternatives))
}

fn of_kind(names: &[String], kind: CertificateNameKind) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str).filter(move |name| CertificateNameKind::of(name) == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SecretSource, TokenConfig, TokenName};

    /// Of its common name, DNS names, URIs and e-mail addresses.
    fn certificate(common: &str, dns: &[&str], uris: &[&str], emails: &[&str]) -> ClientCertificate {
        let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let common_name = (!common.is_empty()).then(|| common.to_owned());
        ClientCertificate { common_name, dns_names: texts(dns), uris: texts(uris), emails: texts(emails) }
    }

    /// Tokens `a` and `b` with certificates of these names; the name of the one that is found.
    fn find(a: &[&str], b: &[&str], certificate: &ClientCertificate) -> Result<Option<String>, Rejected> {
        let mut all = Certificates::default();
        for (name, names) in [("a", a), ("b", b)] {
            let config = TokenConfig::new(SecretSource::Absent, None);
            let token = Arc::new(Token::new(&TokenName::new(name).unwrap(), &config));
            for name in names {
                all.insert(CertificateName::new(name).unwrap(), &token);
            }
        }
        Ok(all.find(certificate)?.map(|token| token.name().to_string()))
    }

    #[test]
    fn each_kind_of_name_is_compared_with_its_own_kind() {
        let tokens = ["runner-7.lan", "spiffe://lan/ci", "ci@lan"];
        let found = |certificate| find(&tokens, &[], &certificate).unwrap().is_some();
        for (dns, uri, email) in
            [(tokens[0], "", ""), ("RUNNER-7.lan", "", ""), ("", tokens[1], ""), ("", "", tokens[2])]
        {
            assert!(found(certificate("x", &[dns], &[uri], &[email])), "{dns}{uri}{email}");
        }
        for (dns, uri, email) in [
            (tokens[1], "", ""),
            (tokens[2], "", ""),
            ("", tokens[0], ""),
            ("", tokens[2], ""),
            ("", "", tokens[0]),
            ("", "", tokens[1]),
            ("", "spiffe://lan/CI", ""),
            ("", "", "CI@lan"),
            ("runner-7.lan.evil", "spiffe://lan/ci/x", "aci@lan"),
            ("*.lan", "", ""),
            ("*", "", ""),
        ] {
            assert!(!found(certificate("x", &[dns], &[uri], &[email])), "{dns}{uri}{email}");
        }
        for common in ["runner-7.LAN", "spiffe://lan/ci", "ci@lan"] {
            assert!(found(certificate(common, &[], &[], &[])), "{common}");
            assert!(!found(certificate(common, &["other.lan"], &[], &[])), "{common} beside another name");
        }
        assert!(!found(certificate("", &[], &[], &[])));
    }

    #[test]
    fn a_certificate_of_two_tokens_is_nobodys() {
        let both = certificate("", &["a.lan", "b.lan"], &[], &[]);
        let name = |text| TokenName::new(text).unwrap();
        let ambiguous = Rejected::AmbiguousCertificate(name("a"), name("b"));
        assert_eq!(find(&["a.lan"], &["b.lan"], &both), Err(ambiguous));
        assert_eq!(find(&["a.lan", "b.lan"], &["c.lan"], &both), Ok(Some("a".to_owned())));
        assert_eq!(find(&["a.lan"], &["c.lan"], &both), Ok(Some("a".to_owned())));
    }

    #[test]
    fn what_is_shown_of_a_name_is_one_short_line() {
        let odd = certificate(&format!("a\r\nb{}", "x".repeat(500)), &[], &[], &[]);
        let shown = shown_name(&odd);
        assert!(shown.starts_with("a\\r\\nbxx") && shown.chars().count() == MOST_SHOWN, "{shown}");
    }
}
