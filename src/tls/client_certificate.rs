//! The names in a client's certificate: what an access rule can be written about.
//!
//! It must be given certificates that the handshake has verified; it verifies nothing but the time.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// Whom a verified certificate was made out to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    /// Common name of the subject; absent where there is none or more than one.
    pub common_name: Option<String>,
    /// DNS names, in the certificate's order, as they are written there.
    pub dns_names: Vec<String>,
    /// URIs, such as SPIFFE identities.
    pub uris: Vec<String>,
    /// E-mail addresses.
    pub emails: Vec<String>,
}

/// Why a certificate says nothing about its holder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnusableCertificate {
    /// It is no certificate, or its names cannot be read.
    #[error("the client's certificate cannot be understood")]
    Malformed,
    /// A resumed session outlived it: the handshake looks at the time only when the certificate is shown.
    #[error("the client's certificate has expired")]
    Expired,
}

impl ClientCertificate {
    /// Reads the names of a certificate in DER.
    ///
    /// # Errors
    /// [`UnusableCertificate`]. The connection must end then: a certificate that cannot be used is not the same as none.
    pub fn from_der(der: &[u8]) -> Result<Self, UnusableCertificate> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| UnusableCertificate::Malformed)?;
        if ASN1Time::now() > certificate.validity().not_after {
            return Err(UnusableCertificate::Expired);
        }
        let mut common_names = certificate.subject().iter_common_name();
        let common_name = match (common_names.next(), common_names.next()) {
            (Some(name), None) => Some(name.as_str().map_err(|_| UnusableCertificate::Malformed)?.to_owned()),
            // Of two names nobody could say which one a rule is about.
            _ => None,
        };
        let mut found = Self { common_name, dns_names: Vec::new(), uris: Vec::new(), emails: Vec::new() };
        let names = certificate.subject_alternative_name().map_err(|_| UnusableCertificate::Malformed)?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => found.dns_names.push((*name).to_owned()),
                GeneralName::URI(uri) => found.uris.push((*uri).to_owned()),
                GeneralName::RFC822Name(email) => found.emails.push((*email).to_owned()),
                GeneralName::Invalid(..) => return Err(UnusableCertificate::Malformed),
                _ => {}
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn der(adjust: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        adjust(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn all_names_are_found() {
        let certificate = ClientCertificate::from_der(&der(|params| {
            params.distinguished_name.push(DnType::CommonName, "runner-7");
            params.subject_alt_names = vec![
                SanType::DnsName("runner-7.lan".try_into().unwrap()),
                SanType::URI("spiffe://lan/ci".try_into().unwrap()),
                SanType::Rfc822Name("ci@lan".try_into().unwrap()),
                SanType::IpAddress([127, 0, 0, 1].into()),
            ];
        }));
        let expected = ClientCertificate {
            common_name: Some("runner-7".to_owned()),
            dns_names: vec!["runner-7.lan".to_owned()],
            uris: vec!["spiffe://lan/ci".to_owned()],
            emails: vec!["ci@lan".to_owned()],
        };
        assert_eq!(certificate, Ok(expected));
    }

    #[test]
    fn what_cannot_be_used_is_told_apart_from_no_names() {
        let expired = der(|params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        });
        assert_eq!(ClientCertificate::from_der(&expired), Err(UnusableCertificate::Expired));
        assert_eq!(ClientCertificate::from_der(b"no DER"), Err(UnusableCertificate::Malformed));
        let nameless = ClientCertificate::from_der(&der(|params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
        }));
        assert_eq!(nameless.map(|found| (found.common_name, found.dns_names)), Ok((None, vec![])));
    }
}
