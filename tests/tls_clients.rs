//! Real curl and real openssl against a server that speaks TLS: versions, protocols, certificates of both sides, and bodies of
//! every size that come back as they were.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;
#[path = "support/tls.rs"]
mod tls;
#[path = "common/tools.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "these tests use a part of it")]
mod tools;

use std::process::{Command, Output};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use running::Running;
use tls::{Authority, Files, Pair};

/// Lengths around every border: in memory, read whole, in parts, and a file of its own.
const LENGTHS: [usize; 6] = [0, 700, (128 << 10) + 1, 1 << 20, (3 << 20) + 17, 10 << 20];

/// What curl may be told about TLS and HTTP, and what it must say it used.
const WAYS: [(&[&str], &str); 4] = [
    (&["--tlsv1.2", "--tls-max", "1.2", "--http1.1"], "1.1"),
    (&["--tlsv1.3", "--http1.1"], "1.1"),
    (&["--tlsv1.2", "--tls-max", "1.2", "--http2"], "2"),
    (&["--tlsv1.3", "--http2"], "2"),
];

/// curl in the files' directory, trusting their CA; it says status, protocol and how many bytes came at the end of its output.
fn curl(files: &Files, server: &Running, path: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(tools::tool("curl"));
    tools::isolate(&mut command);
    command.current_dir(files.directory()).args(["-sS", "--max-time", "60", "--cacert", "ca.pem"]);
    command.args(["-w", "%{http_code} %{http_version}"]).args(arguments);
    command.arg(format!("https://{}{path}", server.address));
    command.output().unwrap()
}

/// As [`curl`]; its status and version, once it is clear that it succeeded.
fn asked(files: &Files, server: &Running, path: &str, arguments: &[&str]) -> (String, String) {
    let output = curl(files, server, path, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
    let (status, version) = said.rsplit_once(' ').unwrap();
    (status[status.len() - 3..].to_owned(), version.to_owned())
}

fn body(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(length as u64).fill_bytes(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_come_back_as_they_were_over_every_version() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    for (number, (way, version)) in WAYS.iter().enumerate() {
        for length in LENGTHS {
            let path = format!("/t/{number}/{length}");
            let body = body(length);
            std::fs::write(files.path("up"), &body).unwrap();
            let stored = asked(&files, &server, &path, &[*way, &["-T", "up"]].concat());
            assert_eq!(stored, ("201".to_owned(), (*version).to_owned()), "{way:?}");
            // Twice: the second time some come from memory.
            for _ in 0..2 {
                let read = asked(&files, &server, &path, &[*way, &["-o", "down"]].concat());
                assert_eq!(read, ("200".to_owned(), (*version).to_owned()), "{way:?}");
                assert!(
                    std::fs::read(files.path("down")).unwrap() == body,
                    "{way:?}: other bytes of {length}"
                );
            }
            if length > 2 {
                let range = length / 3..length - 1;
                let asks = format!("{}-{}", range.start, range.end - 1);
                let read = asked(&files, &server, &path, &[*way, &["-r", &asks, "-o", "part"]].concat());
                assert_eq!(read.0, "206", "{way:?}");
                let part = std::fs::read(files.path("part")).unwrap();
                assert!(part == body[range], "{way:?}: other bytes of a part of {length}");
            }
            let head = asked(&files, &server, &path, &[*way, &["-I", "-o", "head"]].concat());
            assert_eq!(head.0, "200", "{way:?}");
            let head = std::fs::read_to_string(files.path("head")).unwrap().to_ascii_lowercase();
            assert!(head.contains(&format!("content-length: {length}\r\n")), "{way:?}: {head}");
        }
        // The host is a field in one version and part of the target in the other.
        let to = format!("Destination: https://{}/t/{number}/copy", server.address);
        let copied = ["-X", "COPY", "-H", &to];
        assert_eq!(asked(&files, &server, &format!("/t/{number}/700"), &[*way, &copied].concat()).0, "201");
        assert_eq!(
            asked(&files, &server, &format!("/t/{number}/copy"), &[*way, &["-o", "down"]].concat()).0,
            "200"
        );
        assert!(std::fs::read(files.path("down")).unwrap() == body(700), "{way:?}: the copy differs");
        assert_eq!(asked(&files, &server, "/t/none", way).0, "404");
        assert_eq!(asked(&files, &server, "/t/none", &[*way, &["-I"]].concat()).0, "404");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_ca_is_not_trusted() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    files.write("ca.pem", &Authority::new("another CA").certificate);
    // 60: the certificate cannot be authenticated with known CAs.
    assert_eq!(curl(&files, &server, "/t/x", &[]).status.code(), Some(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_to_the_port_is_told_to_use_https() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    let url = format!("http://{}/t/x", server.address);
    let mut command = Command::new(tools::tool("curl"));
    tools::isolate(&mut command);
    let output = tools::run(command.args(["-sS", "--max-time", "60", "-w", "%{http_code}", &url]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("speaks TLS: use https://") && said.ends_with("400"), "{said}");
}

fn install_client(files: &Files, name: &str, pair: &Pair) {
    files.write(&format!("{name}.pem"), &pair.certificate);
    files.write(&format!("{name}.key"), &pair.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_certificates_are_verified_and_demanded_when_told_so() {
    let files = Files::new();
    install_client(&files, "good", &files.authority.client("runner-7"));
    install_client(&files, "stranger", &Authority::new("another CA").client("runner-7"));
    install_client(
        &files,
        "expired",
        &files.authority.sign(|params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }),
    );
    for required in [false, true] {
        let server = files
            .serve(|config| {
                config.tls_client_ca = Some(files.path("ca.pem"));
                config.tls_require_client_cert = required;
            })
            .await;
        for (way, _) in WAYS {
            let good =
                asked(&files, &server, "/t/x", &[way, &["--cert", "good.pem", "--key", "good.key"]].concat());
            assert_eq!(good.0, "404", "{way:?}");
            for bad in ["stranger", "expired"] {
                let (cert, key) = (format!("{bad}.pem"), format!("{bad}.key"));
                let output =
                    curl(&files, &server, "/t/x", &[way, &["--cert", &cert, "--key", &key]].concat());
                assert!(!output.status.success(), "{way:?}: {bad} was let in");
            }
            let none = curl(&files, &server, "/t/x", way);
            assert_eq!(none.status.success(), !required, "{way:?}, without a certificate");
        }
    }
}

/// `openssl s_client`, saying nothing to the server but that it is done; all that it printed.
fn openssl(files: &Files, server: &Running, arguments: &[&str]) -> String {
    let mut command = Command::new(tools::tool("openssl"));
    let address = server.address.to_string();
    command.current_dir(files.directory()).args(["s_client", "-connect", &address, "-CAfile", "ca.pem"]);
    let output = command.args(arguments).stdin(std::process::Stdio::null()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{stdout}\n{stderr}")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tls_1_2_and_1_3_are_spoken() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = openssl(&files, &server, &[version]);
        assert!(said.contains(&format!("New, {name}")) && said.contains("Verify return code: 0"), "{said}");
    }
    // At security level 0 openssl itself would go on.
    for version in ["-tls1", "-tls1_1"] {
        let said = openssl(&files, &server, &[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
        assert!(said.contains("SSL alert number") && said.contains("New, (NONE)"), "{version}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_agreed_on() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    for (offered, agreed) in [
        ("h2,http/1.1", "ALPN protocol: h2"),
        ("http/1.1,h2", "ALPN protocol: h2"),
        ("http/1.1", "ALPN protocol: http/1.1"),
        ("spdy/1", "alert no application protocol"),
    ] {
        let said = openssl(&files, &server, &["-alpn", offered]);
        assert!(said.contains(agreed), "{offered}: {said}");
    }
    assert!(openssl(&files, &server, &[]).contains("No ALPN negotiated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_resumed() {
    let files = Files::new();
    let server = files.serve(|_| ()).await;
    let first = openssl(&files, &server, &["-tls1_2", "-sess_out", "session"]);
    assert!(first.contains("New, TLSv1.2"), "{first}");
    let second = openssl(&files, &server, &["-tls1_2", "-sess_in", "session"]);
    assert!(second.contains("Reused, TLSv1.2"), "{second}");
}
