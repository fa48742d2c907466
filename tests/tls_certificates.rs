//! Certificates of clients as tokens: real curl that shows them, over every version, with and without other credentials;
//! and every cell of token × namespace × operation, with nothing but a certificate.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/cells.rs"]
mod cells;
#[path = "support/tls.rs"]
mod tls;
#[path = "common/tools.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "these tests use a part of it")]
mod tools;

use std::process::Command;
use std::time::{Duration, SystemTime};

use cells::running;
use cells::{NAMESPACES, Shows, TOKENS, objects, refusal, rights, secret};
use larder::config::{Anonymous, CertificateName, Config, SecretSource, TokenConfig, TokenName};
use rcgen::{CertificateParams, DnType, SanType};
use running::{Client, Running};
use tls::{Files, Pair};
use tokio::net::TcpStream;

/// What curl is told about TLS and HTTP.
const WAYS: [&[&str]; 3] =
    [&["--tls-max", "1.2", "--http1.1"], &["--tlsv1.3", "--http1.1"], &["--tlsv1.3", "--http2"]];

/// Has the server ask for certificates, which its own CA signs, and gives the token `name` one of this name.
fn certify(files: &Files, config: &mut Config, tokens: &[(&str, &str)]) {
    config.tls_client_ca = Some(files.path("ca.pem"));
    for (name, certificate) in tokens {
        let token = config
            .tokens
            .entry(TokenName::new(name).unwrap())
            .or_insert_with(|| TokenConfig::new(SecretSource::Absent, None));
        token.certificates.push(CertificateName::new(certificate).unwrap());
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// A certificate with this common name and these alternative names.
fn pair(files: &Files, common: &str, names: Vec<SanType>) -> Pair {
    files.authority.sign(|params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = names;
    })
}

/// Puts it where [`curl`] finds it by `name`.
fn install(files: &Files, name: &str, pair: &Pair) {
    files.write(&format!("{name}.pem"), &pair.certificate);
    files.write(&format!("{name}.key"), &pair.key);
}

/// What curl, showing the certificate of this name, is answered: status, and body.
fn curl(
    files: &Files,
    server: &Running,
    path: &str,
    certificate: Option<&str>,
    more: &[&str],
) -> (u16, String) {
    let mut command = Command::new(tools::tool("curl"));
    tools::isolate(&mut command);
    command.current_dir(files.directory()).args(["-sS", "--max-time", "60", "--cacert", "ca.pem"]);
    command.args(["-w", "%{http_code}"]).args(more);
    if let Some(name) = certificate {
        command.args(["--cert", &format!("{name}.pem"), "--key", &format!("{name}.key")]);
    }
    let output = command.arg(format!("https://{}{path}", server.address)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{certificate:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
    let (body, status) = said.split_at(said.len() - 3);
    (status.parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_whom_its_certificate_says_unless_it_says_otherwise() {
    let files = Files::new();
    let server = files
        .serve(|config| {
            cells::configure(config, None);
            let tokens = [("reader", "reader.lan"), ("keeper", "spiffe://lan/keeper"), ("old", "old.lan")];
            certify(&files, config, &tokens);
            certify(&files, config, &[("common", "Runner 7"), ("keeper", "keeper@lan")]);
            let old = config.tokens.get_mut("old").unwrap();
            old.expires = Some(SystemTime::now() - Duration::from_secs(1));
        })
        .await;
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let email = SanType::Rfc822Name("keeper@lan".try_into().unwrap());
    install(&files, "reader", &pair(&files, "anything", vec![dns("other.lan"), dns("Reader.LAN")]));
    install(&files, "keeper", &pair(&files, "reader.lan", vec![uri("spiffe://lan/keeper")]));
    install(&files, "mail", &pair(&files, "reader.lan", vec![email]));
    install(&files, "old", &pair(&files, "anything", vec![dns("old.lan")]));
    install(&files, "common", &pair(&files, "runner 7", vec![]));
    install(&files, "named", &pair(&files, "runner 7", vec![dns("named.lan")]));
    install(&files, "both", &pair(&files, "x", vec![dns("reader.lan"), uri("spiffe://lan/keeper")]));
    for name in ["up", "there"] {
        std::fs::write(files.path(name), name).unwrap();
    }

    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let (keeper, nobody) = (bearer(&secret("keeper")), bearer("the-secret-of-nobody-0123456789"));
    let aws = |secret: &str| format!("reader:{secret}");
    let (signed, missigned) = (aws(&secret("reader")), aws(&secret("nobody")));
    let sigv4 = ["--aws-sigv4", "aws:amz:auto:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-u"];
    let put: &[&str] = &["-T", "up"];
    let read_only = "the token reader has not the right to write";
    // The certificate, what else curl is told, the status, and what the answer says.
    let cases: &[(Option<&str>, Vec<&str>, u16, &str)] = &[
        (None, vec![], 401, "asks for a token and the request has none"),
        (Some("reader"), vec![], 200, "there"),
        (Some("reader"), put.to_vec(), 403, read_only),
        (Some("keeper"), put.to_vec(), 204, ""),
        (Some("mail"), put.to_vec(), 204, ""),
        (Some("common"), put.to_vec(), 204, ""),
        // A common name beside alternative names is nothing.
        (Some("named"), vec![], 401, "the client's certificate, \"named.lan\", as no token's"),
        (Some("both"), vec![], 401, "has the names of two tokens, keeper and reader"),
        (Some("old"), vec![], 401, "the token old has expired"),
        // What is said beats what is shown, and what is said wrongly is not made good by it.
        (Some("reader"), [put, &["-H", &keeper]].concat(), 204, ""),
        (Some("old"), vec!["-H", &keeper], 200, "there"),
        (Some("both"), vec!["-H", &keeper], 200, "there"),
        (Some("keeper"), vec!["-H", &nobody], 401, "does not know the token"),
        (Some("keeper"), vec!["-H", "Authorization: Digest x"], 401, "neither Basic nor Bearer"),
        (Some("keeper"), vec!["-H", "Authorization: Bearer"], 401, "the token is empty"),
        // The same over S3.
        (Some("keeper"), vec!["-H", "x-amz-meta-x: y"], 200, "there"),
        (Some("reader"), [put, &["-H", "x-amz-meta-x: y"]].concat(), 403, "<Code>AccessDenied</Code>"),
        (Some("named"), vec!["-H", "x-amz-meta-x: y"], 403, "named.lan"),
        (Some("keeper"), [&sigv4[..], &[&signed]].concat(), 200, "there"),
        (Some("keeper"), [put, &sigv4[..], &[&signed]].concat(), 403, "<Code>AccessDenied</Code>"),
        (Some("keeper"), [&sigv4[..], &[&missigned]].concat(), 403, "SignatureDoesNotMatch"),
    ];
    for way in WAYS {
        let stored =
            curl(&files, &server, "/team-a/there", Some("keeper"), &[way, &["-T", "there"]].concat());
        assert_eq!(stored.0 / 100, 2, "{stored:?}");
        for (certificate, more, status, says) in cases {
            let path = if more.contains(&"up") { "/team-a/new" } else { "/team-a/there" };
            let first = curl(&files, &server, path, *certificate, &[way, more.as_slice()].concat());
            // Stored for the first time or once more.
            let stored = *status == 204 && first.0 == 201;
            assert!(first.0 == *status || stored, "{way:?} {certificate:?} {more:?}: {first:?}");
            assert!(first.1.contains(says), "{way:?} {certificate:?} {more:?}: {first:?}");
        }
    }
    let refused = |reason| server.metrics.auth_refusals.with_label_values(&[reason]).get();
    let ways = WAYS.len() as u64;
    assert_eq!((refused("certificate"), refused("expired")), (3 * ways, ways));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_no_token_counts_as_none() {
    let files = Files::new();
    install(&files, "stranger", &files.authority.client("stranger"));
    install(&files, "old", &files.authority.client("old"));
    std::fs::write(files.path("up"), b"body").unwrap();
    let token = |config: &mut Config, anonymous| {
        config.anonymous = anonymous;
        certify(&files, config, &[("old", "old")]);
        config.tokens.get_mut("old").unwrap().expires = Some(SystemTime::UNIX_EPOCH);
    };
    for (anonymous, reads, writes) in
        [(None, 401, 401), (Some(Anonymous::Read), 404, 403), (Some(Anonymous::ReadWrite), 404, 201)]
    {
        let server = files.serve(|config| token(config, anonymous)).await;
        for certificate in [None, Some("stranger")] {
            let path = format!("/t/{}", certificate.unwrap_or("none"));
            assert_eq!(curl(&files, &server, &path, certificate, &[]).0, reads, "{anonymous:?}");
            assert_eq!(curl(&files, &server, &path, certificate, &["-T", "up"]).0, writes, "{anonymous:?}");
        }
        // One that a token names is the token's: where that has ended, it is not saved by everyone's rights.
        assert_eq!(curl(&files, &server, "/t/old", Some("old"), &[]).0, 401, "{anonymous:?}");
    }
    let local = files.serve(|config| config.tls_client_ca = Some(files.path("ca.pem"))).await;
    assert_eq!(curl(&files, &local, "/t/x", Some("stranger"), &["-T", "up"]).0, 201);
}

/// What is asked below a namespace, and the rights that it needs there.
const OPERATIONS: [(&str, &str, &str); 6] = [
    ("GET", "there", "r"),
    ("HEAD", "there", "r"),
    ("PROPFIND", "", "r"),
    ("PUT", "new", "w"),
    ("MKCOL", "fresh/", "w"),
    ("DELETE", "there", "d"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_with_nothing_but_a_certificate() {
    let files = Files::new();
    let names: Vec<_> = TOKENS.iter().map(|(token, _, _)| (*token, format!("{token}.lan"))).collect();
    let certificates: Vec<_> = names.iter().map(|(token, name)| (*token, name.as_str())).collect();
    let server = files
        .serve(|config| {
            cells::configure(config, None);
            for token in config.tokens.values_mut() {
                (token.source, token.secret) = (SecretSource::Absent, None);
            }
            certify(&files, config, &certificates);
        })
        .await;
    let connect = async |token: &str| {
        let pair = pair(&files, "x", vec![dns(&format!("{token}.lan"))]);
        let stream = TcpStream::connect(server.address).await.unwrap();
        Client::over(files.greet(stream, &[b"http/1.1"], Some(&pair)).await.unwrap())
    };
    let mut everywhere = connect("everywhere").await;
    let (mut refused, mut allowed) = (0, 0);
    for (token, _, _) in TOKENS {
        let mut client = connect(token).await;
        for namespace in NAMESPACES {
            for (method, key, needed) in OPERATIONS {
                everywhere.put(&format!("/{namespace}/there"), b"body").await;
                let cell = format!("{token} {method} {namespace}/{key}");
                let before = objects(&server).await;
                let head = format!("{method} /{namespace}/{key} HTTP/1.1\r\nHost: test\r\nDepth: 0\r\n");
                client.send(&format!("{head}Content-Length: 0\r\n\r\n")).await;
                let answer = if method == "HEAD" { client.head().await } else { client.answer().await };
                // What a Bearer of the same token may do.
                match refusal(rights(Shows::Bearer(token), namespace, None), needed) {
                    Some(status) => {
                        refused += 1;
                        assert_eq!(answer.status, status, "{cell}: {answer:?}");
                        assert_eq!(objects(&server).await, before, "{cell} left a trace");
                    }
                    None => {
                        allowed += 1;
                        assert_eq!(answer.status / 100, 2, "{cell}: {answer:?}");
                    }
                }
            }
        }
    }
    assert_eq!(refused + allowed, TOKENS.len() * NAMESPACES.len() * OPERATIONS.len());
    assert!(refused > 50 && allowed > 50, "{refused} {allowed}");
}
