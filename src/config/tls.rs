//! The keys of TLS: which of them need which others, and whether the files they name can be used.
//!
//! Owns how faults of the files become problems of keys. What makes a file good is `tls`'s.

use super::Config;
use super::load::Draft;
use crate::tls::{self, FileRole};

impl Config {
    /// The files of TLS, where it is configured.
    #[must_use]
    pub fn tls(&self) -> Option<tls::Files> {
        Some(tls::Files {
            certificate: self.tls_cert.clone()?,
            key: self.tls_key.clone()?,
            client_ca: self.tls_client_ca.clone(),
            require_client_certificate: self.tls_require_client_cert,
        })
    }

    /// What a person should see to, though the server works with it. One sentence each.
    #[must_use]
    pub fn tls_warnings(&self) -> Vec<String> {
        let found = self.tls().iter().flat_map(tls::warnings).collect::<Vec<_>>();
        found.into_iter().map(|fault| format!("{}: {}", key_of(fault.role), fault.message)).collect()
    }
}

/// Half of a pair protects nothing, and a demand without a CA could be met by nobody.
pub(super) fn between_keys(draft: &mut Draft) {
    let config = &draft.config;
    let (cert, key) = (config.tls_cert.is_some(), config.tls_key.is_some());
    let (ca, required) = (config.tls_client_ca.is_some(), config.tls_require_client_cert);
    if cert && !key && draft.is_sound("tls_key") {
        draft.problem_with("tls_cert", "a certificate needs its private key: set tls_key too".to_owned());
    }
    if key && !cert && draft.is_sound("tls_cert") {
        draft.problem_with("tls_key", "a private key needs its certificate: set tls_cert too".to_owned());
    }
    if ca && !cert && !key && draft.is_sound("tls_cert") && draft.is_sound("tls_key") {
        let message =
            "clients show certificates over TLS only: set tls_cert and tls_key too, or leave this out";
        draft.problem_with("tls_client_ca", message.to_owned());
    }
    if required && !ca && draft.is_sound("tls_client_ca") {
        let message = "nobody could be let in: say in tls_client_ca who signs clients' certificates";
        draft.problem_with("tls_require_client_cert", message.to_owned());
    }
}

/// Checks that the files are there and fit each other. Changes nothing.
pub(super) fn files(draft: &mut Draft) {
    let sound = ["tls_cert", "tls_key", "tls_client_ca"].into_iter().all(|key| draft.is_sound(key));
    let Some(files) = draft.config.tls().filter(|_| sound) else {
        return;
    };
    for fault in tls::faults(&files) {
        draft.problem_with(key_of(fault.role), fault.message);
    }
}

fn key_of(role: FileRole) -> &'static str {
    match role {
        FileRole::Certificate => "tls_cert",
        FileRole::Key => "tls_key",
        FileRole::ClientCa => "tls_client_ca",
    }
}
