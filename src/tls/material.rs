//! The PEM files: read, checked, and put together to rustls's configuration.
//!
//! Owns what can be wrong with them and how that is said. Knows nothing of configuration keys or of reloading.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::{ALPN_HTTP1, ALPN_HTTP2, Files};

/// Which of the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileRole {
    /// The server's certificate.
    Certificate,
    /// Its key.
    Key,
    /// Who signs clients' certificates.
    ClientCa,
}

/// One thing that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The file.
    pub role: FileRole,
    /// What is wrong and what to do.
    pub message: String,
}

/// What does no harm yet: a key that other users of the machine may read.
#[must_use]
pub fn warnings(files: &Files) -> Vec<Fault> {
    let readable_by_all =
        std::fs::metadata(&files.key).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0);
    let path = files.key.display();
    let message = format!("every user of this machine can read the private key {path}: chmod o-rwx it");
    readable_by_all.then_some(Fault { role: FileRole::Key, message }).into_iter().collect()
}

/// Files that were read and found good.
pub(super) struct Material {
    pub(super) config: Arc<ServerConfig>,
    /// SHA-256 of all bytes it was made of.
    pub(super) digest: [u8; 32],
}

impl Material {
    /// Reads and checks everything; all faults at once.
    pub(super) fn load(files: &Files) -> Result<Self, Vec<Fault>> {
        let mut reading = Reading { digest: Sha256::new(), faults: Vec::new() };
        let chain = reading.take(FileRole::Certificate, &files.certificate, certificates);
        let key = reading.take(FileRole::Key, &files.key, private_key);
        let roots = files.client_ca.as_ref().map(|path| reading.take(FileRole::ClientCa, path, trusted));
        if let Some(first) = chain.as_ref().and_then(|chain| chain.first()) {
            let checked = in_its_time(first, &files.certificate);
            reading.keep(FileRole::Certificate, checked);
        }
        let pair = chain.zip(key).and_then(|(chain, key)| {
            let paired = pair(chain, key, files);
            reading.keep(FileRole::Key, paired)
        });
        let verifier = roots.flatten().and_then(|roots| {
            let made = verifier(roots, files.require_client_certificate);
            reading.keep(FileRole::ClientCa, made)
        });
        match pair {
            Some(pair) if reading.faults.is_empty() => {
                let config = server_config(pair, verifier).map_err(|error| {
                    vec![Fault { role: FileRole::Certificate, message: format!("cannot be used: {error}") }]
                })?;
                Ok(Self { config: Arc::new(config), digest: reading.digest.finalize().into() })
            }
            _ => Err(reading.faults),
        }
    }
}

struct Reading {
    digest: Sha256,
    faults: Vec<Fault>,
}

impl Reading {
    fn take<T>(
        &mut self,
        role: FileRole,
        path: &Path,
        parse: fn(&[u8], &Path) -> Result<T, String>,
    ) -> Option<T> {
        let bytes = std::fs::read(path).map_err(|error| {
            format!("cannot read {} ({error}): name a PEM file that larder may read", path.display())
        });
        let parsed = bytes.and_then(|bytes| {
            self.digest.update((bytes.len() as u64).to_le_bytes());
            self.digest.update(&bytes);
            parse(&bytes, path)
        });
        self.keep(role, parsed)
    }

    fn keep<T>(&mut self, role: FileRole, outcome: Result<T, String>) -> Option<T> {
        outcome.map_err(|message| self.faults.push(Fault { role, message })).ok()
    }
}

fn certificates(bytes: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let path = path.display();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let chain = chain.map_err(|error| not_pem(&path, &error))?;
    if chain.is_empty() {
        let hint = if PrivateKeyDer::from_pem_slice(bytes).is_ok() {
            ", but a private key: were the two files swapped?"
        } else {
            ""
        };
        return Err(format!(
            "{path} has no certificate{hint}: it must have a block that starts with -----BEGIN CERTIFICATE-----"
        ));
    }
    Ok(chain)
}

fn private_key(bytes: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let path = path.display();
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if contains(bytes, b"BEGIN ENCRYPTED PRIVATE KEY") => {
            format!(
                "the key in {path} has a passphrase: write it without one (openssl pkey -in {path} -out …)"
            )
        }
        pem::Error::NoItemsFound => {
            format!(
                "{path} has no private key: it must have a block that starts with -----BEGIN PRIVATE KEY-----"
            )
        }
        error => not_pem(&path, &error),
    })
}

fn trusted(bytes: &[u8], path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(bytes, path)? {
        roots.add(certificate).map_err(|error| {
            format!(
                "a certificate in {} cannot be trusted ({error}): name the certificate of a CA",
                path.display()
            )
        })?;
    }
    Ok(roots)
}

/// Clients would refuse it otherwise, each in its own words.
fn in_its_time(certificate: &CertificateDer<'_>, path: &Path) -> Result<(), String> {
    let path = path.display();
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| {
        format!("the first certificate in {path} cannot be understood ({error}): make a new one")
    })?;
    let (validity, now) = (parsed.validity(), ASN1Time::now());
    if now > validity.not_after {
        return Err(format!("the certificate in {path} expired on {}: renew it", validity.not_after));
    }
    if now < validity.not_before {
        let from = validity.not_before;
        return Err(format!(
            "the certificate in {path} is not valid before {from}: look at the clock, or make a new one"
        ));
    }
    Ok(())
}

fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    files: &Files,
) -> Result<CertifiedKey, String> {
    let (certificate, path) = (files.certificate.display(), files.key.display());
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "the key in {path} does not belong to the first certificate in {certificate}: the server's own certificate \
             comes first in that file, then those that signed it"
        ),
        error => format!("the key in {path} and the certificate in {certificate} cannot be used ({error}): make new ones"),
    })
}

fn verifier(roots: RootCertStore, required: bool) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| format!("cannot be used to verify clients: {error}"))
}

fn server_config(
    pair: CertifiedKey,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(rustls::ALL_VERSIONS)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
    // Sessions resume from tickets that the client keeps: a build starts many connections, the server remembers none.
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

fn not_pem(path: &dyn std::fmt::Display, error: &pem::Error) -> String {
    format!("{path} is not PEM ({error}): it may be cut off, or be DER, which openssl turns into PEM")
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
