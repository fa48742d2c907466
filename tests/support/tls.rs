//! Certificates made for a test, servers that use them, and TLS clients that trust them.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder::config::Config;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, RootCertStore};

use crate::running::Running;

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// Someone who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for a server on this machine. `name` is its common name, which tells it from others.
    pub fn server(&self, name: &str) -> Pair {
        self.sign(|params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.subject_alt_names = vec![
                SanType::DnsName("localhost".try_into().unwrap()),
                SanType::IpAddress([127, 0, 0, 1].into()),
            ];
        })
    }

    pub fn client(&self, name: &str) -> Pair {
        self.sign(|params| params.distinguished_name.push(DnType::CommonName, name))
    }

    pub fn sign(&self, adjust: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        adjust(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

/// A directory with the files of a server, and who signed them.
pub struct Files {
    pub authority: Authority,
    directory: TempDir,
}

impl Files {
    /// `ca.pem`, `cert.pem` and `key.pem` of a server with the common name "first".
    pub fn new() -> Self {
        let files = Self { authority: Authority::new("a CA for tests"), directory: TempDir::new().unwrap() };
        files.write("ca.pem", &files.authority.certificate);
        files.install(&files.authority.server("first"));
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file as a tool does that renews certificates: beside it, then over it.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    /// Makes `pair` the server's.
    pub fn install(&self, pair: &Pair) {
        self.write("cert.pem", &pair.certificate);
        self.write("key.pem", &pair.key);
    }

    /// Has a server use these files.
    pub fn configure(&self, config: &mut Config) {
        config.tls_cert = Some(self.path("cert.pem"));
        config.tls_key = Some(self.path("key.pem"));
    }

    /// A server in this process that uses them.
    pub async fn serve(&self, adjust: impl FnOnce(&mut Config)) -> Running {
        Running::start(|config| {
            self.configure(config);
            adjust(config);
        })
        .await
    }

    /// A connection after its handshake, offering `protocols`.
    pub async fn connect(&self, server: &Running, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(server.address).await.expect("a connection");
        self.greet(stream, protocols, None).await.expect("a handshake")
    }

    /// As [`Files::connect`], over a connection that is there already, and showing a certificate.
    pub async fn greet(
        &self,
        stream: TcpStream,
        protocols: &[&[u8]],
        own: Option<&Pair>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.certificate.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(ALL_VERSIONS)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

/// The certificate that the server showed, in DER.
pub fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The certificate of a PEM text, in DER.
pub fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}
