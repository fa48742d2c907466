//! The way to a bucket from a whole server: TLS with the certificates that the system trusts, proxies, and what `/-/ready`
//! says of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "support/running.rs"]
mod running;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/told.rs"]
mod told;

use std::time::Instant;

use common::{Larder, Options, PATIENCE, http};
use running::Client;
use told::{Told, answer};

/// A server in front of the bucket `default` at `endpoint`, which it reads without credentials, and waits for.
fn front(endpoint: &str) -> Options {
    let config = format!(
        "bucket.url = \"s3://default\"\nbucket.endpoint = \"{endpoint}\"\nbucket.read_timeout = \"20s\"\n\
         bucket.absent_for = \"0s\"\n"
    );
    let no_proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    let options = no_proxies
        .iter()
        .fold(Options::default(), |options, name| options.env(name, "").env(&name.to_ascii_lowercase(), ""));
    options.config(&config).env("AWS_SKIP_SIGNATURE", "true")
}

fn get(larder: &Larder, path: &str) -> http::Response {
    http::request(larder.address(), "GET", path, &[], b"")
}

/// Waits for `/-/ready` to say something.
fn says(larder: &Larder, wanted: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let page = get(larder, "/-/ready");
        assert_eq!(page.status, 200, "{}", page.text());
        if page.text().contains(wanted) {
            return;
        }
        assert!(Instant::now() < until, "{wanted} is not in: {}", page.text());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_bucket_must_have_a_certificate_that_the_system_trusts() {
    let files = tls::Files::new();
    let store = files.serve(|_| {}).await;
    let mut client = Client::over(files.connect(&store, &[]).await);
    client.send("PUT /default/default/object HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody").await;
    assert_eq!(client.answer().await.status, 201);
    let options = front(&format!("https://localhost:{}", store.address.port()));
    tokio::task::spawn_blocking(move || {
        let trusting = Larder::start(options.clone().env("SSL_CERT_FILE", &files.text("ca.pem")));
        let found = get(&trusting, "/object");
        assert_eq!((found.status, found.text().as_ref()), (200, "body"));
        says(&trusting, "ready\nbucket s3://default: ok\n");
        assert_eq!(get(&trusting, "/nothing").status, 404);

        let other = tls::Files::new();
        let doubting = Larder::start(options.env("SSL_CERT_FILE", &other.text("ca.pem")));
        for _ in 0..6 {
            assert_eq!(get(&doubting, "/object").status, 404, "a bucket that fails is a miss");
        }
        says(&doubting, "bucket s3://default: failing since ");
        says(&doubting, "(the bucket is not to be had: no connection), reads are misses\n");
        assert!(doubting.log().contains("invalid peer certificate"), "{}", doubting.log());
    })
    .await
    .unwrap();
}

#[test]
fn a_proxy_is_the_way_to_others_and_not_to_this_machine() {
    let proxy = Told::start(|_| answer(503, "", ""));
    let far = Larder::start(front("https://bucket.example").env("HTTPS_PROXY", &proxy.url()));
    assert_eq!(get(&far, "/object").status, 404);
    assert_eq!(proxy.asked()[0].line, "CONNECT bucket.example:443 HTTP/1.1");

    let store = Told::start(|_| {
        answer(200, "ETag: \"x\"\r\nLast-Modified: Wed, 18 Nov 2026 10:00:00 GMT\r\n", "near")
    });
    let near = Larder::start(front(&store.url()).env("HTTP_PROXY", &proxy.url()));
    assert_eq!(get(&near, "/object").text(), "near");
    assert_eq!(store.asked()[0].line, "GET /default/default/object HTTP/1.1");
    assert_eq!(store.asked()[0].header("authorization"), None, "the environment says so");
}
