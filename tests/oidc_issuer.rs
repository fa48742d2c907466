//! Issuers as they are: they rotate their keys, are down, hang, lie, and have certificates that not everyone trusts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod common;
#[path = "support/exchange.rs"]
mod exchange;
#[path = "support/identity.rs"]
mod identity;
#[path = "support/issuer.rs"]
mod issuer;
#[path = "support/told.rs"]
mod told;

use common::Larder;
use exchange::{config, exchange, granted, options, start};
use identity::{Signer, push};
use issuer::Issuer;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::json;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Refuses with 503 and a text that says this.
fn assert_unreachable(larder: &Larder, identity: &str, says: &str) {
    let answer = exchange(larder, identity);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().starts_with("error: issuer_unreachable: "), "{}", answer.text());
    assert!(answer.text().contains(says), "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
}

#[test]
fn rotated_keys_are_picked_up_and_the_old_ones_are_no_more() {
    let (first, second) = (Signer::rsa("2026-10"), Signer::ec("2026-11"));
    let issuer = Issuer::start(&[&first]);
    let larder = start(&config(issuer.url(), ""), "info");
    let claims = push(issuer.url(), "main");
    for _ in 0..5 {
        granted(&larder, &first.token(&claims));
    }
    assert_eq!(issuer.asked(), 2, "the discovery document and the keys, once");
    issuer.rotate(&[&second]);
    granted(&larder, &second.token(&claims));
    let answer = exchange(&larder, &first.token(&claims));
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("no key \"2026-10\""), "{}", answer.text());
    // Invented keys do not make the server ask without end.
    let asked = issuer.asked();
    for number in 0..10 {
        let invented = Signer::ec(&format!("invented {number}"));
        assert_eq!(exchange(&larder, &invented.token(&claims)).status, 401);
    }
    assert!(issuer.asked() <= asked + 6, "{} requests after {asked}", issuer.asked());
}

#[test]
fn an_issuer_that_is_down_stops_nobody_whose_key_is_known() {
    let (known, new) = (Signer::ec("known"), Signer::ec("new"));
    let mut issuer = Issuer::start(&[&known]);
    issuer.go_down();
    let larder = start(&config(issuer.url(), ""), "info");
    let claims = push(issuer.url(), "main");
    assert_unreachable(&larder, &known.token(&claims), "/.well-known/openid-configuration gave no answer");
    issuer.come_back();
    granted(&larder, &known.token(&claims));
    issuer.go_down();
    for _ in 0..3 {
        granted(&larder, &known.token(&claims));
    }
    // Whether this key is good nobody can tell now, and that is what it says.
    assert_unreachable(&larder, &new.token(&claims), "try again");
    assert!(larder.metrics()["larder_auth_refusals_total{reason=\"unreachable\"}"] >= 2.0);
    assert!(larder.log().contains("the keys of an issuer could not be fetched"));
}

#[test]
fn an_issuer_that_hangs_is_waited_for_only_so_long() {
    let signer = Signer::ec("key");
    let issuer = Issuer::start(&[&signer]);
    issuer.hang(true);
    let larder = start(&config(issuer.url(), ""), "info");
    let identity = signer.token(&push(issuer.url(), "main"));
    // Two at once wait for one and the same request.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_unreachable(&larder, &identity, "in time"));
        }
    });
    assert_eq!(issuer.asked(), 1);
    issuer.hang(false);
    granted(&larder, &identity);
}

#[test]
fn a_document_that_is_not_the_issuers_is_not_believed() {
    let signer = Signer::ec("key");
    let issuer = Issuer::start(&[&signer]);
    let claims = push(issuer.url(), "main");
    let url = issuer.url().to_owned();
    for (document, says) in [
        (
            json!({ "issuer": "https://other", "jwks_uri": format!("{url}/keys") }),
            "is no discovery document of",
        ),
        (json!({ "jwks_uri": format!("{url}/keys") }), "is no discovery document of"),
        (json!([]), "is no discovery document of"),
        (json!({ "issuer": url, "jwks_uri": "http://keys.example.org/keys" }), "not https"),
        (json!({ "issuer": url, "jwks_uri": "ftp://keys.example.org/keys" }), "not https"),
        (json!({ "issuer": url, "jwks_uri": format!("{url}/nothing") }), "answered 404"),
        (json!({ "issuer": url, "jwks_uri": format!("{url}/moved") }), "answered 302"),
        (
            json!({ "issuer": url, "jwks_uri": format!("{url}/.well-known/openid-configuration") }),
            "has no keys",
        ),
    ] {
        issuer.say(document);
        // One each: a server asks an issuer only so often.
        let larder = start(&config(&url, ""), "info");
        assert_unreachable(&larder, &signer.token(&claims), says);
    }
    // With its keys named, the document is not looked at.
    let larder = start(&config(&url, &format!("jwks_url = \"{url}/keys\"")), "info");
    granted(&larder, &signer.token(&claims));
}

#[test]
fn over_tls_the_issuer_must_have_a_certificate_that_the_system_trusts() {
    let (ca_key, own_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let signed = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = signed.signed_by(&own_key, &rcgen::Issuer::new(ca, ca_key)).unwrap();
    let key = PrivateKeyDer::try_from(own_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let signer = Signer::rsa("key");
    let issuer = Issuer::start_with(&[&signer], Some(tls));
    let identity = signer.token(&push(issuer.url(), "main"));
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("roots.pem");
    std::fs::write(&roots, ca_pem).unwrap();

    let larder = start(&config(issuer.url(), ""), "info");
    assert_unreachable(&larder, &identity, "certificate");
    let trusting = options(&config(issuer.url(), ""), "info").env("SSL_CERT_FILE", roots.to_str().unwrap());
    granted(&Larder::start(trusting), &identity);
}

#[test]
fn an_issuer_elsewhere_is_asked_through_the_proxy_that_the_environment_names() {
    let proxy = told::Told::start(|_| told::answer(503, "", ""));
    let issuer = "https://issuer.example";
    let larder = Larder::start(options(&config(issuer, ""), "info").env("HTTPS_PROXY", &proxy.url()));
    assert_unreachable(&larder, &Signer::ec("key").token(&push(issuer, "main")), "gave no answer");
    assert_eq!(proxy.asked()[0].line, "CONNECT issuer.example:443 HTTP/1.1");
}
