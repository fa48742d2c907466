//! What refusals leave behind: a line and a count each, never a secret; and that guessing gets slower while everyone
//! else does not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod common;

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::{Larder, Options, http, wait_for};
use larder::app::App;
use larder::config::{Config, Secret, SecretDigest, SecretSource, TokenConfig, TokenName};
use larder::http::Caller;

const SECRET: &str = "s3cret-of-the-reader-0123456789";
const OTHER: &str = "s3cret-of-the-variable-98765432";
const WRONG: &str = "s3cret-that-nobody-has-55555555";

const CONFIG: &str = "[namespaces.team-a]\n[tokens.reader]\nallow = [\"read\"]\nnamespaces = [\"team-a\"]\n\
                      secret_env = \"READER\"\n[tokens.old]\nsecret_env = \"OLD\"\nexpires = 2020-01-01\n";

fn start(level: &str) -> Larder {
    let options = Options::default()
        .config(CONFIG)
        .env("READER", SECRET)
        .env("OLD", OTHER)
        .flag("--log-format", "json")
        .flag("--log-level", level);
    Larder::start(options)
}

fn basic(secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("someone:{secret}")))
}

/// The fields of every line of the audit, in order.
fn audit(larder: &Larder) -> Vec<serde_json::Value> {
    let log = larder.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.filter(|line| line["target"] == "larder::audit").collect()
}

#[test]
fn each_refusal_is_one_line_and_one_count() {
    let larder = start("info");
    let bearer = |secret: &str| format!("Bearer {secret}");
    let cases = [
        (None, "GET", "/team-a/x", 401, "missing", None),
        (Some(bearer(WRONG)), "GET", "/team-a/x?q=1", 401, "unknown", None),
        (Some("Digest x".to_owned()), "HEAD", "/x", 401, "malformed", None),
        (Some(bearer(OTHER)), "PROPFIND", "/", 401, "expired", None),
        (Some(basic(SECRET)), "PUT", "/team-a/x", 403, "right", Some("reader")),
        (Some(bearer(SECRET)), "BREW", "/x", 403, "namespace", Some("reader")),
    ];
    for (authorization, method, path, status, ..) in &cases {
        let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        assert_eq!(
            http::request(larder.address(), method, path, &headers, b"").status,
            *status,
            "{method} {path}"
        );
    }
    let lines = wait_for("the audit to be written", || {
        Some(audit(&larder)).filter(|lines| lines.len() >= cases.len())
    });
    assert_eq!(lines.len(), cases.len(), "{lines:#?}");
    let metrics = larder.metrics();
    for (line, (_, method, path, _, reason, principal)) in lines.iter().zip(&cases) {
        let method = if *method == "BREW" { "other" } else { *method };
        assert_eq!((&line["reason"], &line["method"]), (&(*reason).into(), &method.into()), "{line}");
        assert_eq!(line["path"], path.split('?').next().unwrap(), "{line}");
        assert_eq!(line["principal"].as_str(), *principal, "{line}");
        assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"refused".into()), "{line}");
        let count = metrics[&format!("larder_auth_refusals_total{{reason=\"{reason}\"}}")];
        assert!((count - 1.0).abs() < f64::EPSILON, "{reason}: {count}");
    }
}

#[test]
fn a_caller_who_fails_all_the_time_does_not_fill_the_log() {
    let larder = start("info");
    let mut connection = http::Connection::open(larder.address()).unwrap();
    let reader = basic(SECRET);
    for _ in 0..100 {
        let answer = connection.request("PUT", "/team-a/x", &[("Authorization", &reader)], b"x").unwrap();
        assert_eq!(answer.status, 403);
    }
    assert_eq!(larder.metrics()["larder_auth_refusals_total{reason=\"right\"}"].to_bits(), 100f64.to_bits());
    let lines =
        wait_for("the audit to be written", || Some(audit(&larder)).filter(|lines| lines.len() >= 20));
    assert!(lines.len() < 50, "{} lines", lines.len());
    let long = format!("/team-a/{}", "k".repeat(1000));
    assert_eq!(http::request(larder.address(), "PUT", &long, &[], b"").status, 401);
    assert!(!larder.log().contains(&"k".repeat(300)), "a path fills the log");
}

#[test]
fn no_secret_is_ever_logged_in_any_form() {
    let mut larder = start("trace");
    let address = larder.address();
    let long = "x".repeat(20_000);
    let mut shown = vec![long.clone()];
    // All at once: the server takes its time with those who guess.
    std::thread::scope(|scope| {
        for secret in [SECRET, OTHER, WRONG] {
            for header in [
                format!("Bearer {secret}"),
                format!("bearer  {secret}"),
                basic(secret),
                format!("Basic {}", STANDARD.encode(secret)),
                format!("Basic {secret}"),
                format!("Digest {secret}"),
                format!("{secret}:"),
                format!("Bearer {secret}{long}"),
            ] {
                scope.spawn(move || {
                    let requests =
                        [("GET", "/team-a/x"), ("PUT", "/team-a/x"), ("PROPFIND", "/"), ("BREW", "//")];
                    for (method, path) in requests {
                        let headers = [("Authorization", header.as_str()), ("Depth", "1")];
                        http::request(address, method, path, &headers, b"some body");
                    }
                });
            }
            // As URLs carry them: a presigned signature, and what some clients write into Destination.
            let query = format!("/team-a/x?X-Amz-Signature={secret}&token={secret}");
            http::request(address, "GET", &query, &[("Authorization", &basic(secret))], b"");
            let destination = format!("http://user:{secret}@larder.test/team-a/y");
            let headers = [("Authorization", &*basic(secret)), ("Destination", &destination)];
            http::request(address, "COPY", "/team-a/x", &headers, b"");
            shown.extend([
                secret.to_owned(),
                STANDARD.encode(secret),
                URL_SAFE_NO_PAD.encode(secret),
                STANDARD.encode(format!("someone:{secret}")),
                SecretDigest::of(secret.as_bytes()).to_hex(),
            ]);
        }
    });
    // A reload, a refused one too.
    let file = larder.data_dir().parent().unwrap().join("larder.toml");
    for config in
        [format!("{CONFIG}[tokens.ci]\nsecret_sha256 = \"{SECRET}\"\n"), CONFIG.replace("old", "new")]
    {
        let reloads = larder.log().matches("reloaded").count();
        std::fs::write(&file, config).unwrap();
        wait_for("the reload", || (larder.log().matches("reloaded").count() > reloads).then_some(()));
    }
    assert_eq!(larder.terminate().code(), Some(0));
    let log = larder.log();
    assert!(
        log.contains("larder::audit") && log.contains("larder::request"),
        "too little was logged:\n{log}"
    );
    for secret in shown {
        let form = secret.trim_end_matches('=');
        assert!(!log.contains(form), "the log has {form}");
    }
}

/// An app and the secret of its one token, for requests without sockets.
fn app(data: &tempfile::TempDir) -> App {
    let mut config = Config { data_dir: data.path().join("data"), ..Config::default() };
    let secret = Secret::new(SECRET).unwrap();
    let token = TokenConfig::new(SecretSource::Env("UNUSED".to_owned()), Some(secret));
    config.tokens.insert(TokenName::new("ci").unwrap(), token);
    App::build(&config).unwrap()
}

/// Status of an OPTIONS, which touches no disk, and how long it took on the runtime's clock.
async fn ask(app: &App, peer: &str, secret: Option<&str>) -> (StatusCode, Duration) {
    let caller = Caller { peer: peer.parse().unwrap(), surplus: false, certificate: None, files: None };
    let mut request = Request::builder().method("OPTIONS").uri("/a/b");
    if let Some(secret) = secret {
        request = request.header("Authorization", format!("Bearer {secret}"));
    }
    let before = tokio::time::Instant::now();
    let answer = app.site().respond(request.body(Body::empty()).unwrap(), &caller).await;
    (answer.status(), before.elapsed())
}

/// The clock stands still but for sleeps, so that what is measured is what was slept.
#[tokio::test(start_paused = true)]
async fn guesses_are_slowed_and_nobody_else_is() {
    let data = tempfile::tempdir().unwrap();
    let app = app(&data);
    let (guesser, neighbour) = ("192.0.2.1:5000", "192.0.2.2:5000");
    let mut waits = Vec::new();
    for _ in 0..20 {
        let (status, waited) = ask(&app, guesser, Some(WRONG)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        waits.push(waited);
        // Good credentials from the same address, none at all, and others never wait.
        for (peer, secret, status) in
            [(guesser, Some(SECRET), 200), (guesser, None, 401), (neighbour, Some(SECRET), 200)]
        {
            assert_eq!(
                ask(&app, peer, secret).await,
                (StatusCode::from_u16(status).unwrap(), Duration::ZERO)
            );
        }
    }
    assert_eq!(waits[..5], [Duration::ZERO; 5]);
    assert!(waits.is_sorted() && waits[5] > Duration::ZERO, "{waits:?}");
    let longest = waits.last().unwrap().as_millis();
    assert!((500..=1500).contains(&longest), "about a second at last: {waits:?}");
    assert_eq!(ask(&app, neighbour, Some(WRONG)).await.1, Duration::ZERO);
}
