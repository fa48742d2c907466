//! TLS: from PEM files to what a handshake needs, and anew when the files change.
//!
//! A leaf: it owns certificates, keys and the names in clients' certificates. It knows no socket and no HTTP, and decides
//! nothing about who may do what.

mod client_certificate;
mod follow;
mod material;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio_rustls::rustls::ServerConfig;

pub use client_certificate::{ClientCertificate, UnusableCertificate};
pub use material::{Fault, FileRole, warnings};

use material::Material;

/// Protocol of HTTP/2, as ALPN names it. RFC 9113, 3.1.
pub const ALPN_HTTP2: &[u8] = b"h2";
/// Protocol of HTTP/1.1, as ALPN names it. RFC 7301, 6.
pub const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Where the PEM files are and what is asked of clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// The server's certificate, then those that signed it.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Who signs clients' certificates; `None`: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is turned away.
    pub require_client_certificate: bool,
}

/// The files cannot be used. The text names each fault.
#[derive(Debug, thiserror::Error)]
#[error("TLS: {}", faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct Unusable {
    /// Every fault that was found; never empty.
    pub faults: Vec<Fault>,
}

/// What new connections are greeted with; clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: Files,
    current: ArcSwap<ServerConfig>,
    /// Digest of the bytes that `current` was made of.
    digest: Mutex<[u8; 32]>,
}

/// Makes `ring` what clients of this process encrypt with. rustls asks for one choice a process, and reqwest panics where none
/// was made; so whoever is about to make a client calls this.
pub fn use_ring() {
    // A second choice changes nothing, and is no failure.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}

/// Looks for everything that is wrong with the files, and changes nothing.
#[must_use]
pub fn faults(files: &Files) -> Vec<Fault> {
    Material::load(files).err().unwrap_or_default()
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// All their faults at once.
    pub fn open(files: Files) -> Result<Self, Unusable> {
        let material = Material::load(&files).map_err(|faults| Unusable { faults })?;
        let (current, digest) = (ArcSwap::from(material.config), Mutex::new(material.digest));
        Ok(Self(Arc::new(Shared { files, current, digest })))
    }

    /// What the next connection is to use.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.0.current.load_full()
    }

    /// Reads the files again. True when they are others than before. Connections that are open go on as they are; tickets of
    /// earlier sessions are worth nothing any more, so that a client whose CA is gone has to show its certificate again.
    ///
    /// # Errors
    /// All faults at once; what was in use stays in use.
    pub fn reload(&self) -> Result<bool, Unusable> {
        let material = Material::load(&self.0.files).map_err(|faults| Unusable { faults })?;
        let mut digest = self.0.digest.lock();
        if *digest == material.digest {
            return Ok(false);
        }
        *digest = material.digest;
        self.0.current.store(material.config);
        Ok(true)
    }
}
