//! The tables of namespaces in the configuration: names and patterns, and the rules between them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use larder::config::{Config, File, Input, NamespaceConfig, Overwrite, Problem, Source};
use larder::key::{Namespace, NamespacePattern};

const PATH: &str = "larder.toml";

fn input(file: &str) -> Input {
    let flags = BTreeMap::from([("config".to_owned(), PATH.to_owned())]);
    let file = File { path: PathBuf::from(PATH), text: Ok(file.to_owned()) };
    Input { flags, env: BTreeMap::new(), file: Some(file) }
}

fn problems(file: &str) -> Vec<Problem> {
    input(file).load().map(|loaded| loaded.config).expect_err("the configuration is wrong").0
}

fn line(line: usize) -> Source {
    Source::File { path: PathBuf::from(PATH), line: Some(line) }
}

const EVERYTHING: &str = r#"
[namespaces.main]
quota = "5GiB"
overwrite = "never"

[namespaces."pr-*"]
max_object_size = "100MiB"
quota = "2GiB"
ttl = "30d"
base = "main"
overwrite = "allow"
idle_expiry = "36h"

[namespaces."pr-long-*"]
"#;

#[test]
fn every_key_of_a_table_reaches_its_field_and_names_with_a_star_are_patterns() {
    let config = input(EVERYTHING).load().unwrap().config;
    let main = Namespace::new("main").unwrap();
    let trusted =
        NamespaceConfig { quota: Some(5 << 30), overwrite: Overwrite::Never, ..NamespaceConfig::default() };
    assert_eq!(config.namespaces, BTreeMap::from([(main.clone(), trusted)]));
    let layer = NamespaceConfig {
        max_object_size: Some(100 << 20),
        quota: Some(2 << 30),
        ttl: Some(Duration::from_secs(30 * 24 * 3600)),
        base: Some(main),
        overwrite: Overwrite::Allow,
        idle_expiry: Some(Duration::from_secs(36 * 3600)),
        bucket_prefix: None,
    };
    let pattern = |text: &str| NamespacePattern::new(text).unwrap();
    let patterns: Vec<_> = config.namespace_patterns.into_iter().collect();
    assert_eq!(patterns, [(pattern("pr-long-*"), NamespaceConfig::default()), (pattern("pr-*"), layer)]);
}

#[test]
fn what_is_printed_loads_as_the_same_configuration() {
    let first = input(EVERYTHING).load().unwrap();
    let printed = first.to_toml();
    assert!(printed.contains("[namespaces.\"pr-*\"]\n"), "{printed}");
    assert_eq!(input(&printed).load().expect(&printed).config, first.config);
}

#[test]
fn each_rule_names_its_key_and_the_way_out() {
    for (table, key, says) in [
        ("[namespaces.a]\nquota = \"0\"", "a.quota", "at least 1MiB"),
        ("[namespaces.a]\nquota = \"11GiB\"", "a.quota", "above the capacity of 10GiB"),
        (
            "[namespaces.a]\nquota = \"2MiB\"\nmax_object_size = \"3MiB\"",
            "a.quota",
            "one object of max_object_size (3MiB)",
        ),
        ("[namespaces.\"a-*\"]\nmax_object_size = \"11GiB\"", "a-*.max_object_size", "above the capacity"),
        ("[namespaces.a]\nttl = \"0s\"", "a.ttl", "7d"),
        ("[namespaces.a]\nttl = \"30\"", "a.ttl", "30s for seconds"),
        ("[namespaces.\"a-*\"]\nidle_expiry = \"0s\"", "a-*.idle_expiry", "7d"),
        ("[namespaces.a]\nidle_expiry = \"7d\"", "a.idle_expiry", "use ttl"),
        ("[namespaces.a]\nbase = \"mian\"\n[namespaces.main]", "a.base", "did you mean main?"),
        ("[namespaces.a]\nbase = \"defalt\"", "a.base", "did you mean default?"),
        ("[namespaces.a]\nbase = \"b-1\"\n[namespaces.\"b-*\"]", "a.base", "a table of its own"),
        ("[namespaces.a]\nbase = \"b c\"", "a.base", "is not the name of a namespace"),
        ("[namespaces.a]\nbase = \"a\"", "a.base", "a -> a"),
        ("[namespaces.a]\noverwrite = \"once\"", "a.overwrite", "\"allow\" or \"never\""),
        ("[namespaces.a]\nqouta = \"1GiB\"", "a.qouta", "did you mean quota?"),
        ("[namespaces.\"*\"]", "*", "as in pr-*"),
        ("[namespaces.\"a b*\"]", "a b*", "as in pr-*"),
    ] {
        let found = problems(table);
        assert_eq!(found.len(), 1, "{table}: {found:#?}");
        assert_eq!(found[0].key, format!("namespaces.{key}"), "{table}");
        assert!(found[0].message.contains(says), "{table}: {}", found[0]);
    }
}

#[test]
fn bases_that_lead_back_are_told_at_each_namespace_of_the_circle_and_at_no_other() {
    let file = "[namespaces.a]\nbase = \"b\"\n[namespaces.b]\nbase = \"c\"\n[namespaces.c]\nbase = \"a\"\n\
                [namespaces.outside]\nbase = \"a\"\n[namespaces.\"pr-*\"]\nbase = \"outside\"\n";
    let found = problems(file);
    let keys: Vec<_> = found.iter().map(|problem| (problem.key.as_str(), &problem.source)).collect();
    let (a, b, c) = (line(2), line(4), line(6));
    assert_eq!(
        keys,
        [("namespaces.a.base", &a), ("namespaces.b.base", &b), ("namespaces.c.base", &c)],
        "{found:#?}"
    );
    assert!(found[0].message.contains("a -> b -> c -> a"), "{}", found[0]);
}

#[test]
fn quotas_may_exceed_the_capacity_together_and_default_may_be_a_base_unasked() {
    let file = "[namespaces.a]\nquota = \"8GiB\"\n[namespaces.b]\nquota = \"8GiB\"\nbase = \"default\"\n";
    let config = input(file).load().unwrap().config;
    assert_eq!(config.capacity, Config::default().capacity);
    assert_eq!(config.namespaces.len(), 2);
}
