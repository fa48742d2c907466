//! `larder import` into a server that speaks TLS with a certificate of a CA of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "support/importing.rs"]
mod importing;
#[path = "support/running.rs"]
mod running;
#[path = "support/tls.rs"]
mod tls;

use importing::{Source, import, key};
use tls::Files;

#[tokio::test(flavor = "multi_thread")]
async fn https_is_trusted_with_its_ca_and_refused_without() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    let source = Source::new(5);
    let to = format!("https://localhost:{}", server.address.port());
    let (code, _, why) = import(&[&source.url(), "--to", &to], &[]);
    assert_eq!(code, Some(1), "a certificate of nobody's was trusted");
    assert!(why.contains("no larder answers at https://localhost") && why.contains("certificate"), "{why}");

    let (code, said, why) =
        import(&[&source.url(), "--to", &to], &[("SSL_CERT_FILE", &files.text("ca.pem"))]);
    assert_eq!(code, Some(0), "{why}");
    assert!(said.starts_with("copied 5 objects"), "{said}");
    for number in 0..5 {
        assert!(server.has(&key(number)).await, "{number}");
    }
}
