//! `[[oidc]]` through the configuration's public face: what it may say, every problem at once with its line, and what would
//! let the whole world in.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use larder::config::{Config, File, Input, Loaded, Problem, Right, Source};

fn input(file: &str) -> Input {
    let flags = BTreeMap::from([("config".to_owned(), "larder.toml".to_owned())]);
    let file = File { path: PathBuf::from("larder.toml"), text: Ok(file.to_owned()) };
    Input { flags, env: BTreeMap::new(), file: Some(file) }
}

fn loaded(file: &str) -> Loaded {
    input(file).load_for_serving().unwrap_or_else(|problems| panic!("{file}\n{problems}"))
}

fn problems(file: &str) -> Vec<Problem> {
    input(file).load_for_serving().expect_err("the configuration is wrong").0
}

const GOOD: &str = r#"
listen = "0.0.0.0:4227"

[namespaces.main]

[[oidc]]
issuer = "https://token.actions.githubusercontent.com"
audience = "https://cache.example.org"

[[oidc.rules]]
claims = { repository = "org/app", ref = "refs/heads/*", event_name = "push" }
namespaces = ["main"]
allow = ["read", "write"]

[[oidc]]
issuer = "https://git.example.org"
audience = "cache"
jwks_url = "https://git.example.org/oauth/discovery/keys"
max_ttl = "90m"

[[oidc.rules]]
claims = { project_path = "group/*", ref_protected = true, project_id = 17 }
namespaces = ["main", "default"]
allow = ["read", "write", "delete"]

[[oidc.rules]]
claims.user_login = "a \"b\""
namespaces = ["*"]
allow = ["read"]
"#;

#[test]
fn it_says_who_vouches_and_who_gets_what() {
    let found = loaded(GOOD);
    let [github, gitlab] = &found.config.oidc[..] else { panic!("two issuers") };
    assert_eq!((github.audience.as_str(), &github.jwks_url), ("https://cache.example.org", &None));
    assert_eq!(
        (github.max_ttl, gitlab.max_ttl),
        (Duration::from_secs(6 * 3600), Duration::from_secs(90 * 60))
    );
    assert_eq!(github.rules[0].claims["ref"].as_str(), "refs/heads/*");
    assert_eq!(gitlab.rules[0].claims["ref_protected"].as_str(), "true");
    assert_eq!(gitlab.rules[0].claims["project_id"].as_str(), "17");
    assert_eq!(gitlab.rules[1].allow.iter().collect::<Vec<_>>(), [Right::Read]);
    assert!(found.config.is_closed_or_local());
    // What `check` prints gives the same again.
    let again = loaded(&found.to_toml());
    assert_eq!(Config { listen: again.config.listen, ..found.config.clone() }, again.config);
    assert!(found.to_toml().contains("# larder.toml:11"), "{}", found.to_toml());
}

#[test]
fn every_problem_is_told_with_its_line() {
    let file = r#"listen = "0.0.0.0:4227"
[namespaces.main]
[[oidc]]
issuer = "http://git.example.org"
jwks_uri = "https://x"
max_ttl = "8d"
[[oidc.rules]]
claims = {}
namespaces = ["mian"]
allow = ["raed"]
[[oidc.rules]]
claims = { ref = ["main"], other = "" }
[[oidc]]
audience = ""
rules = "all"
[[oidc]]
issuer = "https://x"
audience = "a"
[[oidc.rules]]
claims = { sub = "x" }
namespaces = []
allow = ["read"]
[[oidc]]
issuer = "https://x"
audience = "b"
[[oidc.rules]]
claims = { sub = "x" }
namespaces = ["main"]
allow = ["read"]
"#;
    let expected = [
        (4, "oidc[1].issuer", "write https"),
        (5, "oidc[1].jwks_uri", "did you mean jwks_url?"),
        (6, "oidc[1].max_ttl", "from 1s to 7d"),
        (8, "oidc[1].rules[1].claims", "every job of the issuer would fit"),
        (10, "oidc[1].rules[1].allow", "\"raed\" is none of the choices"),
        (
            12,
            "oidc[1].rules[2].claims",
            "ref: a list stands where the claim's value belongs; other: the value is empty",
        ),
        (11, "oidc[1].rules[2]", "the rule has no namespaces"),
        (11, "oidc[1].rules[2]", "the rule has no allow"),
        (3, "oidc[1]", "for whom the tokens are made"),
        (14, "oidc[2].audience", "empty"),
        (15, "oidc[2].rules[1]", "write [[oidc.rules]]"),
        (13, "oidc[2]", "whose tokens it means"),
        (21, "oidc[3].rules[1].namespaces", "not an empty one"),
        (9, "oidc[1].rules[1].namespaces", "did you mean main?"),
        (24, "oidc[4].issuer", "is there already"),
    ];
    let found = problems(file);
    let lines: Vec<_> = found
        .iter()
        .map(|problem| match &problem.source {
            Source::File { line: Some(line), .. } => (*line, problem.key.as_str()),
            other => panic!("{problem} from {other}"),
        })
        .collect();
    assert_eq!(lines, expected.map(|(line, key, _)| (line, key)), "{found:#?}");
    for (problem, (_, _, says)) in found.iter().zip(&expected) {
        assert!(problem.message.contains(says), "{problem}");
    }
    for (file, says) in [
        ("oidc = 1", "write [[oidc]] on a line of its own"),
        ("[oidc]\nissuer = \"https://x\"", "write [[oidc]] on a line of its own"),
        ("oidc = [1]", "write [[oidc]] on a line of its own"),
    ] {
        let found = problems(file);
        assert!(found.iter().any(|problem| problem.message.contains(says)), "{file}: {found:?}");
    }
}

#[test]
fn a_rule_that_would_let_the_whole_world_in_is_refused() {
    let rule = |issuer: &str, claims: &str| {
        format!(
            "[[oidc]]\nissuer = \"{issuer}\"\naudience = \"a\"\n[[oidc.rules]]\nclaims = {{ {claims} }}\nnamespaces = \
             [\"*\"]\nallow = [\"read\"]\n"
        )
    };
    let (github, gitlab) = ("https://token.actions.githubusercontent.com", "https://gitlab.com");
    for (issuer, claims) in [
        (github, "ref = \"refs/heads/main\""),
        (github, "repository = \"*\""),
        (github, "repository = \"*/app\""),
        (github, "repository = \"org*\""),
        (github, "repository_owner = \"o*\""),
        (github, "sub = \"repo:*\""),
        (github, "project_path = \"group/app\""),
        (gitlab, "ref_protected = true"),
        (gitlab, "project_path = \"group*\""),
    ] {
        let found = problems(&rule(issuer, claims));
        assert_eq!((found.len(), found[0].key.as_str()), (1, "oidc[1].rules[1].claims"), "{claims}");
        assert!(found[0].message.contains("everyone in the world"), "{}", found[0]);
    }
    for (issuer, claims) in [
        (github, "repository = \"org/*\""),
        (github, "repository_owner = \"org\", ref = \"*\""),
        (github, "sub = \"repo:org/*\""),
        (gitlab, "project_path = \"group/app\""),
        ("https://git.example.org", "ref_protected = true"),
    ] {
        loaded(&rule(issuer, claims));
    }
}

#[test]
fn the_key_of_the_tokens_is_read_from_its_file_and_must_be_out_of_reach() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let file = format!("token_key_file = \"{}\"\n", path.display());
    assert!(problems(&file)[0].message.contains("cannot read"));
    let key = "0123456789abcdef0123456789abcdef";
    std::fs::write(&path, &key[1..]).unwrap();
    let found = problems(&file);
    assert!(
        found[0].message.contains("can be guessed") && !found[0].message.contains(&key[1..]),
        "{}",
        found[0]
    );
    assert_eq!(found[0].source, Source::File { path: PathBuf::from("larder.toml"), line: Some(1) });
    std::fs::write(&path, format!("{key}\n")).unwrap();
    let found = loaded(&file);
    assert_eq!(found.config.token_key.as_ref().map(|key| key.reveal()), Some(key));
    assert!(!found.to_toml().contains(key));
}
