//! The server's side of the exchange, driven over HTTP: a configuration that trusts an issuer, and `POST /-/token`.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use serde_json::Value;

use crate::common::http::{self, Response};
use crate::common::{Larder, Options};
use crate::identity::AUDIENCE;

/// Rules as README has them: trusted builds, pull requests, GitLab's protected branches.
pub const RULES: &str = r#"
[[oidc.rules]]
claims = { repository = "org/app", ref = "refs/heads/main", event_name = "push" }
namespaces = ["main"]
allow = ["read", "write"]

[[oidc.rules]]
claims = { repository = "org/*", ref = "refs/pull/*/merge", event_name = "pull_request" }
namespaces = ["pr-*"]
allow = ["read", "write"]

[[oidc.rules]]
claims = { project_path = "group/app", ref_protected = true }
namespaces = ["main"]
allow = ["read", "write", "delete"]

[[oidc.rules]]
claims = { repository = "org/app" }
namespaces = ["*"]
allow = ["read"]
"#;

/// A configuration that trusts `issuer`, with `more` in its table.
pub fn config(issuer: &str, more: &str) -> String {
    format!(
        "[namespaces.main]\n[namespaces.\"pr-*\"]\nbase = \"main\"\n\n[[oidc]]\nissuer = \"{issuer}\"\naudience = \
         \"{AUDIENCE}\"\n{more}\n{RULES}"
    )
}

/// A server of this configuration whose log is JSON.
pub fn start(config: &str, level: &str) -> Larder {
    Larder::start(options(config, level))
}

pub fn options(config: &str, level: &str) -> Options {
    Options::default().config(config).flag("--log-format", "json").flag("--log-level", level)
}

/// Shows an identity token.
pub fn exchange(larder: &Larder, identity: &str) -> Response {
    let authorization = format!("Bearer {identity}");
    http::request(larder.address(), "POST", "/-/token", &[("Authorization", &authorization)], b"")
}

/// As [`exchange`], which has to succeed.
pub fn granted(larder: &Larder, identity: &str) -> Value {
    let answer = exchange(larder, identity);
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// The cache token for an identity token.
pub fn token(larder: &Larder, identity: &str) -> String {
    granted(larder, identity)["token"].as_str().unwrap().to_owned()
}

/// Asks with a cache token.
pub fn ask(larder: &Larder, method: &str, path: &str, token: &str) -> Response {
    let body: &[u8] = if method == "PUT" { b"a body" } else { b"" };
    http::request(larder.address(), method, path, &[("Authorization", &format!("Bearer {token}"))], body)
}

/// The lines of the audit, as JSON.
pub fn audit(larder: &Larder) -> Vec<Value> {
    let log = larder.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "larder::audit").collect()
}
