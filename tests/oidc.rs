//! CI jobs get cache tokens for their identity, as the rules say and no others; what they may do afterwards. The issuer is a
//! real one, with keys of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod common;
#[path = "support/exchange.rs"]
mod exchange;
#[path = "support/identity.rs"]
mod identity;
#[path = "support/issuer.rs"]
mod issuer;
#[path = "support/signer.rs"]
#[allow(unreachable_pub, reason = "shared with tests that are modules")]
mod signer;

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Larder, http, wait_for};
use exchange::{ask, audit, config, granted, options, start, token};
use identity::{Signer, claims, push};
use issuer::Issuer;
use serde_json::{Value, json};

fn setup(more: &str) -> (Signer, Issuer, Larder) {
    let signer = Signer::ec("key 1");
    let issuer = Issuer::start(&[&signer]);
    let larder = start(&config(issuer.url(), more), "info");
    (signer, issuer, larder)
}

/// What a pull request of this number is.
fn pull_request(issuer: &str, number: u32) -> Value {
    let more = json!({
        "repository": "org/app", "ref": format!("refs/pull/{number}/merge"), "event_name": "pull_request",
        "run_id": "5",
    });
    claims(issuer, &more)
}

#[test]
fn the_first_rule_that_fits_says_what_a_job_may_do() {
    let (ec, rsa) = (Signer::ec("an EC key"), Signer::rsa("an RSA key"));
    let issuer = Issuer::start(&[&ec, &rsa]);
    let larder = start(&config(issuer.url(), ""), "info");
    let with = |base: Value, more: Value| {
        let mut all = base;
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let main = push(issuer.url(), "main");
    let gitlab = claims(issuer.url(), &json!({ "project_path": "group/app", "ref": "main", "job_id": "9" }));
    let main_job = "oidc:github:org/app@refs/heads/main#4711";
    let cases = [
        (main.clone(), 1, main_job, "main", "read write"),
        // Nothing fits but the last: another branch, another event, a branch that only begins like it.
        (push(issuer.url(), "main2"), 4, "oidc:github:org/app@refs/heads/main2#4711", "*", "read"),
        (with(main.clone(), json!({ "event_name": "schedule" })), 4, main_job, "*", "read"),
        (pull_request(issuer.url(), 17), 2, "oidc:github:org/app@refs/pull/17/merge#5", "pr-*", "read write"),
        (
            with(pull_request(issuer.url(), 17), json!({ "repository": "org/other" })),
            2,
            "oidc:github:org/other@refs/pull/17/merge#5",
            "pr-*",
            "read write",
        ),
        // GitLab says it as a text; others as what it is.
        (
            with(gitlab.clone(), json!({ "ref_protected": "true" })),
            3,
            "oidc:gitlab:group/app@main#9",
            "main",
            "read write delete",
        ),
        (
            with(gitlab.clone(), json!({ "ref_protected": true })),
            3,
            "oidc:gitlab:group/app@main#9",
            "main",
            "read write delete",
        ),
    ];
    for signer in [&ec, &rsa] {
        for (claims, _, subject, namespaces, allow) in &cases {
            let answer = granted(&larder, &signer.token(claims));
            let words = |key: &str| {
                let words = answer[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
                words.collect::<Vec<_>>().join(" ")
            };
            assert_eq!(answer["subject"], *subject);
            assert_eq!(
                (words("namespaces").as_str(), words("allow").as_str()),
                (*namespaces, *allow),
                "{claims}"
            );
        }
        for claims in [
            with(main.clone(), json!({ "repository": "org2/app" })),
            with(main.clone(), json!({ "repository": "org" })),
            with(main.clone(), json!({ "repository": ["org/app"] })),
            with(gitlab.clone(), json!({ "ref_protected": "false" })),
            gitlab.clone(),
            identity::claims(issuer.url(), &json!({})),
        ] {
            let answer = exchange::exchange(&larder, &signer.token(&claims));
            assert_eq!(answer.status, 403, "{claims}: {}", answer.text());
            assert!(answer.text().contains("no rule of this cache fits the job oidc:"), "{}", answer.text());
        }
    }
    let lines = wait_for("the audit", || Some(audit(&larder)).filter(|lines| lines.len() >= 2 * 13));
    for (line, (_, rule, subject, namespaces, allow)) in lines.iter().zip(&cases) {
        assert_eq!((&line["message"], &line["level"]), (&json!("identity token exchanged"), &json!("INFO")));
        assert_eq!((&line["principal"], &line["rule"]), (&json!(subject), &json!(rule)), "{line}");
        assert_eq!((&line["namespaces"], &line["allow"]), (&json!(namespaces), &json!(allow)), "{line}");
        assert_eq!(line["issuer"], issuer.url());
        assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    }
    let refused = &lines[cases.len()];
    assert_eq!((&refused["reason"], &refused["level"]), (&json!("rule"), &json!("WARN")), "{refused}");
    assert_eq!(refused["principal"], "oidc:github:org2/app@refs/heads/main#4711");
    assert!((larder.metrics()["larder_auth_refusals_total{reason=\"rule\"}"] - 12.0).abs() < f64::EPSILON);
}

#[test]
fn a_cache_token_opens_what_it_says_by_every_scheme_and_nothing_else() {
    let (signer, issuer, larder) = setup("");
    let main = granted(&larder, &signer.token(&push(issuer.url(), "main")));
    let secret = main["token"].as_str().unwrap();
    let (id, s3_secret) =
        (main["env"]["AWS_ACCESS_KEY_ID"].as_str(), main["env"]["AWS_SECRET_ACCESS_KEY"].as_str());
    assert_eq!(main["env"]["SCCACHE_WEBDAV_TOKEN"], secret);
    assert_eq!(ask(&larder, "PUT", "/main/a", secret).status, 201);
    let basic = format!("Basic {}", STANDARD.encode(format!("anyone:{secret}")));
    let by_basic = http::request(larder.address(), "GET", "/main/a", &[("Authorization", &basic)], b"");
    assert_eq!((by_basic.status, by_basic.text().as_str()), (200, "a body"));

    // As an S3 key pair, and not with another's secret or a changed id.
    let pull = granted(&larder, &signer.token(&pull_request(issuer.url(), 1)));
    let other_secret = pull["env"]["AWS_SECRET_ACCESS_KEY"].as_str().unwrap();
    let (id, s3_secret) = (id.unwrap(), s3_secret.unwrap());
    let changed = pull["env"]["AWS_ACCESS_KEY_ID"].as_str().unwrap();
    for (id, secret, status) in [
        (id, s3_secret, 200),
        (id, other_secret, 403),
        (changed, s3_secret, 403),
        ("larder_job_1.x", s3_secret, 403),
    ] {
        let headers = signer::sign("GET", "/main/a", id, secret, &[]);
        let mut message = "GET /main/a HTTP/1.1\r\nHost: test\r\nConnection: close\r\n".to_owned();
        headers.iter().for_each(|(name, value)| message += &format!("{name}: {value}\r\n"));
        let mut connection = http::Connection::open(larder.address()).unwrap();
        connection.send(format!("{message}\r\n").as_bytes()).unwrap();
        let answer = connection.read_response("GET").unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
    }

    let pull = pull["token"].as_str().unwrap();
    for (method, path, token, status, says) in [
        ("GET", "/main/a", secret, 200, "a body"),
        ("DELETE", "/main/a", secret, 403, "has not the right to delete"),
        ("PUT", "/x", secret, 403, "no rights in the namespace default, only in main"),
        ("GET", "/pr-1/a", secret, 403, "no rights in the namespace pr-1"),
        // A pull request reads what main has, by way of its own layer, and cannot touch it.
        ("PUT", "/pr-1/b", pull, 201, ""),
        ("GET", "/pr-1/a", pull, 200, "a body"),
        ("GET", "/main/a", pull, 403, "no rights in the namespace main"),
        ("PUT", "/main/a", pull, 403, "the job oidc:github:org/app@refs/pull/1/merge#5 has no rights"),
        ("GET", "/main/b", secret, 404, ""),
        // Neither more nor less than the token itself.
        ("GET", "/main/a", &format!("{secret}A"), 401, "did not make the cache token"),
        ("GET", "/main/a", &secret[..secret.len() - 1], 401, "did not make the cache token"),
        ("GET", "/main/a", id, 401, "did not make the cache token"),
        ("GET", "/main/a", s3_secret, 401, "does not know the token"),
        // The identity itself is no token of the cache.
        ("GET", "/main/a", &signer.token(&push(issuer.url(), "main")), 401, "does not know the token"),
    ] {
        let answer = ask(&larder, method, path, token);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert!(answer.text().contains(says), "{method} {path}: {}", answer.text());
    }
    assert_eq!(http::get(larder.address(), "/main/a").status, 401, "issuers alone close the cache");
}

#[test]
fn a_cache_token_survives_a_restart_and_not_another_key() {
    let (signer, mut issuer, mut larder) = setup("");
    let secret = token(&larder, &signer.token(&push(issuer.url(), "main")));
    let key = larder.data_dir().join("token-key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing but the token and the key are needed for it.
    issuer.go_down();
    larder.restart();
    assert_eq!(ask(&larder, "PUT", "/main/a", &secret).status, 201);
    std::fs::remove_file(&key).unwrap();
    larder.restart();
    let answer = ask(&larder, "GET", "/main/a", &secret);
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert!(key.is_file());
}

#[test]
fn a_cache_token_ends_with_its_time() {
    let (signer, issuer, larder) = setup("max_ttl = \"2s\"");
    let secret = token(&larder, &signer.token(&push(issuer.url(), "main")));
    let answer = wait_for("the end of the token", || {
        Some(ask(&larder, "GET", "/main/a", &secret)).filter(|answer| answer.status != 404)
    });
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("the job's cache token has expired"), "{}", answer.text());
    assert!(larder.metrics()["larder_auth_refusals_total{reason=\"expired\"}"] >= 1.0);
}

#[test]
fn issuers_rules_and_key_are_reloaded_and_what_they_gave_ends_with_them() {
    let signer = Signer::ec("key 1");
    let issuer = Issuer::start(&[&signer]);
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("token.key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let head = format!("token_key_file = \"{}\"\n", key.display());
    let with = |issuer: &str| format!("{head}{}", config(issuer, ""));
    let larder = Larder::start(options(&with("https://issuer.example.org"), "info"));
    let identity = signer.token(&push(issuer.url(), "main"));
    assert_eq!(exchange::exchange(&larder, &identity).status, 401);
    assert!(!larder.data_dir().join("token-key").exists());

    let reload = |text: &str| {
        let reloads = larder.log().matches("access rules reloaded").count();
        std::fs::write(larder.data_dir().parent().unwrap().join("larder.toml"), text).unwrap();
        wait_for("the reload", || {
            (larder.log().matches("access rules reloaded").count() > reloads).then_some(())
        });
    };
    reload(&with(issuer.url()));
    let secret = token(&larder, &identity);
    assert_eq!(ask(&larder, "PUT", "/main/a", &secret).status, 201);
    reload(&with("https://issuer.example.org"));
    let answer = ask(&larder, "GET", "/main/a", &secret);
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("no longer accepts jobs of the issuer"), "{}", answer.text());
    reload(&with(issuer.url()));
    assert_eq!(ask(&larder, "GET", "/main/a", &secret).status, 200);
    // Another key, in the same file.
    std::fs::write(&key, "fedcba9876543210fedcba9876543210\n").unwrap();
    wait_for("the new key", || (ask(&larder, "GET", "/main/a", &secret).status == 401).then_some(()));
    let again = token(&larder, &identity);
    assert_eq!(ask(&larder, "GET", "/main/a", &again).status, 200);
}
