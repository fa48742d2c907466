//! Every bad identity token is refused for its own reason, forged ones above all; and no token, good or bad, of either kind,
//! is ever in the log.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod common;
#[path = "support/exchange.rs"]
mod exchange;
#[path = "support/identity.rs"]
mod identity;
#[path = "support/issuer.rs"]
mod issuer;

use std::collections::BTreeMap;

use common::{Larder, Options, http, wait_for};
use exchange::{ask, audit, config, exchange, granted, start};
use identity::{Signer, assemble, claims, hs256, now, push};
use issuer::Issuer;
use serde_json::{Value, json};

/// A bad identity token, and how it is refused.
struct Case {
    what: &'static str,
    token: String,
    status: u16,
    reason: &'static str,
    says: &'static str,
}

fn cases(rsa: &Signer, ec: &Signer, issuer: &str) -> Vec<Case> {
    let good = push(issuer, "main");
    let with = |more: Value| {
        let mut all = good.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        all
    };
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let stranger = Signer::ec("key of a stranger");
    let impostor = Signer::ec(&ec.kid);
    let mut cases = Vec::new();
    let mut case = |what, token: String, status, reason, says| {
        cases.push(Case { what, token, status, reason, says });
    };
    // Algorithms that the key is not for.
    for (what, alg) in [("none", "none"), ("None", "None"), ("nothing", "")] {
        case(what, assemble(&header(alg, &rsa.kid), &good, |_| Vec::new()), 401, "algorithm", "not accepted");
    }
    for (what, secret) in [
        ("HS256 with the modulus", rsa.public_bytes()),
        ("HS256 with the key's JSON", rsa.jwk().to_string().into_bytes()),
        ("HS256 with nothing", Vec::new()),
    ] {
        case(what, hs256(&header("HS256", &rsa.kid), &good, &secret), 401, "algorithm", "signed with HS256");
        case(
            what,
            hs256(&header("RS256", &rsa.kid), &good, &secret),
            401,
            "signature",
            "is not that of its issuer",
        );
        case(what, hs256(&header("ES256", &rsa.kid), &good, &secret), 401, "algorithm", "signed with ES256");
    }
    case("an EC key's name", rsa.token_with(&header("RS256", &ec.kid), &good), 401, "algorithm", "RS256");
    case("an RSA key's name", ec.token_with(&header("ES256", &rsa.kid), &good), 401, "algorithm", "ES256");
    // Signatures.
    let signed = ec.token(&good);
    let (text, signature) = signed.rsplit_once('.').unwrap();
    let wider = ec.token(&with(json!({ "repository": "org/other" })));
    let swapped = format!("{text}.{}", wider.rsplit_once('.').unwrap().1);
    case("another token's signature", swapped, 401, "signature", "is not that");
    case("no signature", format!("{text}."), 401, "signature", "is not that");
    case("zeros", format!("{text}.{}", "A".repeat(86)), 401, "signature", "is not that");
    case("half a signature", format!("{text}.{}", &signature[..40]), 401, "signature", "is not that");
    case("a key of the same name", impostor.token(&good), 401, "signature", "is not that");
    case("an unknown key", stranger.token(&good), 401, "key", "no key \"key of a stranger\"");
    // What it says.
    case("expired", ec.token(&with(json!({ "exp": now() - 120 }))), 401, "expired", "expired 1");
    case("not yet", ec.token(&with(json!({ "nbf": now() + 300 }))), 401, "clock", "set the clock");
    case("no end", ec.token(&with(json!({ "exp": null }))), 401, "malformed", "when it ends");
    case(
        "another audience",
        ec.token(&with(json!({ "aud": "sts" }))),
        401,
        "audience",
        "is for the audience \"sts\"",
    );
    case(
        "no audience",
        ec.token(&with(json!({ "aud": null }))),
        401,
        "audience",
        "have the job ask for that",
    );
    case(
        "another issuer",
        ec.token(&with(json!({ "iss": "https://evil" }))),
        401,
        "issuer",
        "from the issuer \"https://evil\"",
    );
    case(
        "a longer issuer",
        ec.token(&with(json!({ "iss": format!("{issuer}/") }))),
        401,
        "issuer",
        "none of this cache's",
    );
    case("no issuer", ec.token(&with(json!({ "iss": null }))), 401, "issuer", "from the issuer \"\"");
    // No tokens at all.
    case("two parts", text.to_owned(), 401, "malformed", "three parts");
    case("no text", "....".to_owned(), 401, "malformed", "three parts");
    case("quoted", format!("\"{signed}\""), 401, "malformed", "base64url");
    case(
        "extensions",
        ec.token_with(&json!({ "alg": "ES256", "kid": ec.kid, "crit": ["exp"] }), &good),
        401,
        "malformed",
        "crit",
    );
    case("no key's name", ec.token_with(&json!({ "alg": "ES256" }), &good), 401, "malformed", "kid");
    case(
        "too long",
        ec.token(&with(json!({ "x": "x".repeat(20_000) }))),
        401,
        "malformed",
        "longer than 16 KiB",
    );
    case("a stranger's job", ec.token(&claims(issuer, &json!({}))), 403, "rule", "no rule");
    cases
}

#[test]
fn every_bad_identity_token_is_refused_for_its_reason() {
    let (rsa, ec) = (Signer::rsa("an RSA key"), Signer::ec("an EC key"));
    let issuer = Issuer::start(&[&rsa, &ec]);
    let larder = start(&config(issuer.url(), ""), "info");
    let mut counts = BTreeMap::new();
    // All at once: the server takes its time with those who guess.
    let cases = cases(&rsa, &ec, issuer.url());
    std::thread::scope(|scope| {
        for case in &cases {
            *counts.entry(case.reason).or_insert(0.0) += 1.0;
            scope.spawn(|| {
                let answer = exchange(&larder, &case.token);
                let code = if case.status == 403 { "error: forbidden: " } else { "error: unauthorized: " };
                assert_eq!(answer.status, case.status, "{}: {}", case.what, answer.text());
                assert!(answer.text().starts_with(code), "{}: {}", case.what, answer.text());
                assert!(answer.text().contains(case.says), "{}: {}", case.what, answer.text());
                assert_eq!(answer.header("cache-control"), Some("no-store"));
            });
        }
    });
    let metrics = larder.metrics();
    for (reason, count) in counts {
        let found = metrics[&format!("larder_auth_refusals_total{{reason=\"{reason}\"}}")];
        assert!((found - count).abs() < f64::EPSILON, "{reason}: {found}, not {count}");
    }
    // A minute of leeway for clocks, and then it is good.
    let mut edge = push(issuer.url(), "main");
    edge["exp"] = json!(now() - 30);
    edge["nbf"] = json!(now() + 30);
    edge["aud"] = json!(["sts", identity::AUDIENCE]);
    for signer in [&rsa, &ec] {
        granted(&larder, &signer.token(&edge));
    }
    assert!(audit(&larder).iter().all(|line| line["path"] == "/-/token" || line["message"] != "refused"));
}

#[test]
fn the_page_takes_tokens_as_scripts_send_them_and_answers_as_they_ask() {
    let signer = Signer::ec("key");
    let issuer = Issuer::start(&[&signer]);
    let larder = start(&config(issuer.url(), ""), "info");
    let identity = signer.token(&push(issuer.url(), "main"));
    let post = |headers: &[(&str, &str)], body: &str| {
        http::request(larder.address(), "POST", "/-/token", headers, body.as_bytes())
    };
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for (headers, body) in [
        (&[][..], identity.clone()),
        (&[form], identity.clone()),
        (&[form], format!("token={identity}")),
        (&[("Content-Type", "application/json")], json!({ "token": identity }).to_string()),
    ] {
        let answer = post(&[headers, &[("Accept", "text/plain")]].concat(), &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(ask(&larder, "GET", "/main/a", answer.text().trim_end()).status, 404);
        let answer = post(headers, &body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        let expires = json["expires"].as_str().unwrap();
        assert!(expires.len() == 20 && expires.ends_with('Z'), "{expires}");
    }
    for (method, body, status, says) in [
        ("POST", "", 401, "has no identity token"),
        ("POST", "{", 401, "JSON"),
        ("GET", "", 405, "POST it"),
        ("PUT", "x", 405, "POST it"),
    ] {
        let answer = http::request(larder.address(), method, "/-/token", &[], body.as_bytes());
        assert_eq!(answer.status, status, "{method} {body}: {}", answer.text());
        assert!(answer.text().contains(says), "{method} {body}: {}", answer.text());
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"));
    }
    assert_eq!(post(&[], &"x".repeat(40_000)).status, 413);
    let without = Larder::start(Options::default());
    let answer = exchange(&without, &identity);
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("[[oidc]]"), "{}", answer.text());
}

#[test]
fn lines_carry_the_jobs_name_and_never_a_token() {
    let (rsa, ec) = (Signer::rsa("an RSA key"), Signer::ec("an EC key"));
    let issuer = Issuer::start(&[&rsa, &ec]);
    let mut larder = start(&config(issuer.url(), ""), "trace");
    let identity = rsa.token(&push(issuer.url(), "main"));
    let grant = granted(&larder, &identity);
    let cache_token = grant["token"].as_str().unwrap().to_owned();
    for (method, path) in [("PUT", "/main/a"), ("GET", "/main/a"), ("DELETE", "/main/a"), ("PUT", "/x")] {
        ask(&larder, method, path, &cache_token);
    }
    ask(&larder, "GET", "/main/a", &format!("{cache_token}x"));
    let mut secrets = vec![identity.clone(), cache_token];
    std::thread::scope(|scope| {
        let cases = cases(&rsa, &ec, issuer.url());
        for case in cases {
            let larder = &larder;
            secrets.push(case.token.clone());
            scope.spawn(move || {
                exchange(larder, &case.token);
                http::request(larder.address(), "POST", "/-/token", &[], case.token.as_bytes());
            });
        }
    });
    let name = "oidc:github:org/app@refs/heads/main#4711";
    let lines = wait_for("the log", || {
        let log = larder.log();
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let own = lines.iter().filter(|line| line["principal"] == name).count();
        // The exchange, twice: as the audit has it and as a request; four requests; two refusals.
        (own >= 8).then_some(lines)
    });
    let of = |target: &str| {
        lines.iter().filter(|line| line["target"] == target && line["principal"] == name).count()
    };
    assert_eq!((of("larder::request"), of("larder::audit")), (5, 3));
    assert_eq!(larder.terminate().code(), Some(0));
    let log = larder.log();
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()) || secret.len() < 10, "the log has {secret}");
        let (_, signature) = secret.rsplit_once('.').unwrap();
        assert!(signature.len() < 20 || !log.contains(signature), "the log has the signature of {secret}");
    }
}
