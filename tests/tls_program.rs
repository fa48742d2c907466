//! The program with TLS configured: what `check` says of bad files, what `serve` and `env` print, and SIGHUP.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;
#[path = "support/tls.rs"]
mod tls;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tls::{Files, der, shown};
use tokio::net::TcpStream;

/// `larder` with these arguments and nothing of this environment.
fn larder(files: &Files, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.env_clear().current_dir(files.directory()).args(arguments);
    command
}

fn check(files: &Files, arguments: &[&str]) -> Output {
    larder(files, &["check"]).args(arguments).output().unwrap()
}

/// What `check` complains of; that it does.
fn complaint(files: &Files, arguments: &[&str]) -> String {
    let output = check(files, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    said
}

const PAIR: [&str; 4] = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];

#[test]
fn bad_files_are_told_each_with_its_key_and_all_at_once() {
    let files = Files::new();
    let other = files.authority.server("other");
    files.write("other.key", &other.key);
    files.write("empty.pem", "");
    files.write("half.pem", "-----BEGIN CERTIFICATE-----\nMIIB");
    files.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let expired = files.authority.sign(|params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    files.write("old.pem", &expired.certificate);
    files.write("old.key", &expired.key);
    let cases: &[(&[&str], &[&str])] = &[
        (&["--tls-cert", "cert.pem"], &["tls_cert (flag --tls-cert): ", "set tls_key too"]),
        (&["--tls-key", "key.pem"], &["tls_key (flag --tls-key): ", "set tls_cert too"]),
        (
            &["--tls-client-ca", "ca.pem"],
            &["tls_client_ca (flag --tls-client-ca): ", "set tls_cert and tls_key"],
        ),
        (&["--tls-require-client-cert", "true"], &["tls_require_client_cert (", "say in tls_client_ca who"]),
        (&["--tls-require-client-cert", "yes"], &["neither true nor false"]),
        (
            &["--tls-cert", "none.pem", "--tls-key", "none.key", "--tls-client-ca", "empty.pem"],
            &[
                "tls_cert (",
                "cannot read none.pem",
                "tls_key (",
                "cannot read none.key",
                "tls_client_ca (",
                "empty.pem has no",
            ],
        ),
        (
            &["--tls-cert", "empty.pem", "--tls-key", "key.pem"],
            &["tls_cert (", "empty.pem has no certificate"],
        ),
        (&["--tls-cert", "half.pem", "--tls-key", "key.pem"], &["tls_cert (", "half.pem is not PEM"]),
        (&["--tls-cert", "key.pem", "--tls-key", "cert.pem"], &["swapped?", "cert.pem has no private key"]),
        (&["--tls-cert", "cert.pem", "--tls-key", "locked.key"], &["tls_key (", "has a passphrase"]),
        (
            &["--tls-cert", "cert.pem", "--tls-key", "other.key"],
            &["tls_key (", "does not belong to the first certificate"],
        ),
        (
            &["--tls-cert", "old.pem", "--tls-key", "old.key"],
            &["tls_cert (", "expired on", "2002", "renew it"],
        ),
    ];
    for (arguments, says) in cases {
        let said = complaint(&files, arguments);
        for text in *says {
            assert!(said.contains(text), "{arguments:?} does not say {text:?}:\n{said}");
        }
    }
}

#[test]
fn a_good_pair_is_printed_and_a_key_for_all_to_read_is_warned_of() {
    let files = Files::new();
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true)] {
        std::fs::set_permissions(files.path("key.pem"), PermissionsExt::from_mode(mode)).unwrap();
        let output = check(&files, &PAIR);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("tls_cert = \"cert.pem\""), "{out}{err}");
        assert!(out.contains("tls_require_client_cert = false"), "{out}");
        assert_eq!(
            err.contains("every user of this machine can read the private key"),
            warned,
            "{mode:o}: {err}"
        );
    }
}

#[test]
fn env_prints_https() {
    let files = Files::new();
    files.write(
        "larder.toml",
        "tls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\ntls_require_client_cert = false\n",
    );
    let output = larder(&files, &["env", "--config", "larder.toml"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("SCCACHE_WEBDAV_ENDPOINT='https://127.0.0.1:4227'"), "{said}");
}

/// Ended when dropped.
struct Serving(Child);

impl Serving {
    /// A server that was started with these arguments, and its address.
    fn start(files: &Files, arguments: &[&str]) -> (Self, String) {
        let mut command = larder(files, arguments);
        let mut serving = Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(serving.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_once("https://").and_then(|(_, rest)| rest.split(',').next());
        (serving, address.expect("an https address").to_owned())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An expired certificate, or one that is being replaced, must not keep access rules from being taken in.
#[tokio::test]
async fn a_broken_certificate_does_not_hold_up_new_access_rules() {
    let files = Files::new();
    let rules = |anonymous: &str| {
        format!("tls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\nanonymous = \"{anonymous}\"\n")
    };
    files.write("larder.toml", &rules("read"));
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--config", "larder.toml"];
    let (_serving, address) = Serving::start(&files, &arguments);
    let put = async || {
        let stream = TcpStream::connect(&address).await.unwrap();
        let stream = files.greet(stream, &[b"http/1.1"], None).await.unwrap();
        running::Client::over(stream).put("/a/b", b"body").await.status
    };
    assert_eq!(put().await, 403);
    files.write("cert.pem", "");
    files.write("larder.toml", &rules("read-write"));
    running::until("the new rules hold", async || put().await / 100 == 2).await;
}

#[tokio::test]
async fn serve_prints_https_and_takes_a_new_certificate_in_at_sighup() {
    let files = Files::new();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"];
    let arguments: Vec<_> = arguments.into_iter().chain(PAIR).collect();
    let (mut serving, address) = Serving::start(&files, &arguments);
    let connect = async || {
        let stream = TcpStream::connect(&address).await.unwrap();
        shown(&files.greet(stream, &[b"h2"], None).await.unwrap())
    };
    let first = connect().await;
    let second = files.authority.server("second");
    files.install(&second);
    assert_ne!(first, der(&second.certificate));
    let pid = i32::try_from(serving.0.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    running::until("the new certificate is shown", async || connect().await == der(&second.certificate))
        .await;
    assert!(serving.0.try_wait().unwrap().is_none(), "it still serves");
}

/// As a container asks: over loopback, which the certificate of a real server does not name, and without one of its own.
#[test]
fn health_asks_over_tls_and_without_a_certificate() {
    let files = Files::new();
    let named = files.authority.sign(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("cache.example.org".try_into().unwrap())];
    });
    files.install(&named);
    let demand = "tls_client_ca = \"ca.pem\"\ntls_require_client_cert = true\n";
    for (more, says) in [("", "/-/healthy: ok"), (demand, "takes connections")] {
        files.write("larder.toml", &format!("tls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n{more}"));
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--config", "larder.toml"];
        let (serving, address) = Serving::start(&files, &arguments);
        let ask = || {
            let mut command = larder(&files, &["health", "--config", "larder.toml"]);
            command.env("LARDER_LISTEN", &address).output().unwrap()
        };
        let output = ask();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(says), "{said}");
        drop(serving);
        assert_eq!(ask().status.code(), Some(1));
    }
}

/// Rights go with the rules and not with the connection: on one that is open, a certificate gets the next request's rules.
#[tokio::test]
async fn a_certificate_follows_the_rules_on_an_open_connection() {
    let files = Files::new();
    let rules = |tokens: &str| {
        format!("tls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\ntls_client_ca = \"ca.pem\"\n{tokens}")
    };
    let token = |more: &str| rules(&format!("[tokens.ci]\ncertificate = \"runner-7\"\n{more}"));
    files.write("larder.toml", &token(""));
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--config", "larder.toml"];
    let (_serving, address) = Serving::start(&files, &arguments);
    let own = files.authority.client("runner-7");
    let stream = TcpStream::connect(&address).await.unwrap();
    let mut client = running::Client::over(files.greet(stream, &[b"http/1.1"], Some(&own)).await.unwrap());
    assert_eq!(client.put("/a/b", b"body").await.status, 201);
    for (rules, status) in [
        (token("allow = [\"read\"]\n"), 403),
        (token(""), 204),
        (token("expires = 2020-01-01\n"), 401),
        (token(""), 204),
        (rules("[tokens.ci]\ncertificate = [\"runner-8\", \"runner-9\"]\n"), 401),
        // Taken in too, as somebody who has no certificate here would be.
        (rules("anonymous = \"read-write\"\n"), 204),
    ] {
        files.write("larder.toml", &rules);
        let client = &mut client;
        running::until("the new rules hold", async || client.put("/a/b", b"body").await.status == status)
            .await;
    }
}
