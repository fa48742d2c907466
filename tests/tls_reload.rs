//! Certificates that change under a running server: new connections get the new one, old ones go on, and what is broken changes
//! nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;
#[path = "support/tls.rs"]
mod tls;

use larder::tls::{FileRole, Tls};
use running::{Client, until};
use tls::{Authority, Files, der, shown};

const HTTP1: &[&[u8]] = &[b"http/1.1"];

#[tokio::test]
async fn a_new_certificate_is_taken_in_while_a_connection_is_open() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    let old = files.connect(&server, HTTP1).await;
    let first = shown(&old);
    let mut old = Client::over(old);
    assert_eq!(old.put("/a/b", b"body").await.status, 201);

    let second = files.authority.server("second");
    files.install(&second);
    until("new connections get the new certificate", async || {
        shown(&files.connect(&server, HTTP1).await) == der(&second.certificate)
    })
    .await;
    assert_ne!(first, der(&second.certificate));
    assert_eq!(old.ask("GET", "/a/b").await.body, "body");
    assert_eq!(Client::over(files.connect(&server, HTTP1).await).ask("GET", "/a/b").await.body, "body");
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_old_pair_in_use() {
    let files = Files::new();
    let tls = Tls::open(larder_files(&files)).unwrap();
    let before = tls.current();
    let other = files.authority.server("other");
    let expired = files.authority.sign(|params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let whole = std::fs::read_to_string(files.path("cert.pem")).unwrap();
    let cases = [
        ("", FileRole::Certificate, "has no certificate"),
        (&whole[..whole.len() / 2], FileRole::Certificate, "is not PEM"),
        (&other.certificate, FileRole::Key, "does not belong"),
        (&expired.certificate, FileRole::Certificate, "expired on"),
    ];
    for (text, role, says) in cases {
        files.write("cert.pem", text);
        let unusable = tls.reload().expect_err(says);
        assert!(
            unusable.faults.iter().any(|fault| fault.role == role && fault.message.contains(says)),
            "{says}: {unusable}"
        );
        assert!(std::sync::Arc::ptr_eq(&before, &tls.current()), "{says}: it was taken in");
    }
    files.write("cert.pem", &whole);
    assert!(!tls.reload().unwrap(), "it is what it was");
    assert!(std::sync::Arc::ptr_eq(&before, &tls.current()));
    files.install(&other);
    assert!(tls.reload().unwrap());
    assert!(!std::sync::Arc::ptr_eq(&before, &tls.current()));
}

#[tokio::test]
async fn a_broken_file_is_survived_by_the_server_and_the_next_good_one_is_taken_in() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    let first = shown(&files.connect(&server, HTTP1).await);
    // Between the two the pair does not fit.
    let second = files.authority.server("second");
    files.write("cert.pem", "-----BEGIN CERTIFICATE-----\nhalf");
    assert_eq!(shown(&files.connect(&server, HTTP1).await), first);
    files.write("key.pem", &second.key);
    assert_eq!(shown(&files.connect(&server, HTTP1).await), first);
    files.write("cert.pem", &second.certificate);
    until("the good pair is taken in", async || {
        shown(&files.connect(&server, HTTP1).await) == der(&second.certificate)
    })
    .await;
}

#[tokio::test]
async fn a_ca_that_is_gone_no_longer_lets_its_clients_in() {
    let files = Files::new();
    let runners = Authority::new("the runners' CA");
    files.write("clients.pem", &runners.certificate);
    let server = files
        .serve(|config| {
            config.tls_client_ca = Some(files.path("clients.pem"));
            config.tls_require_client_cert = true;
        })
        .await;
    let runner = runners.client("runner-7");
    let connect = async || {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        files.greet(stream, HTTP1, Some(&runner)).await
    };
    // In TLS 1.3 a client hears of a refusal only after the handshake.
    let is_let_in = async || match connect().await {
        Ok(mut stream) => {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let sent = stream.write_all(b"GET /a/none HTTP/1.1\r\nHost: x\r\n\r\n").await;
            sent.is_ok() && stream.read(&mut [0; 100]).await.is_ok_and(|read| read > 0)
        }
        Err(_) => false,
    };
    assert!(is_let_in().await);
    files.write("clients.pem", &Authority::new("the next CA").certificate);
    until("the old CA is gone", async || !is_let_in().await).await;
}

fn larder_files(files: &Files) -> larder::tls::Files {
    larder::tls::Files {
        certificate: files.path("cert.pem"),
        key: files.path("key.pem"),
        client_ca: None,
        require_client_certificate: false,
    }
}
