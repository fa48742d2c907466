//! The configuration through its public face: layers, every problem at once, rules between keys, and that what
//! is printed loads again. Sources are values; only the data directory tests touch a disk.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use larder::config::{
    Anonymous, BucketConfig, BucketWrite, Config, Durability, File, Input, KEYS, Problem, Source, Verify,
};
use larder::key::Namespace;

const PATH: &str = "larder.toml";

fn map<V: for<'a> From<&'a str>>(pairs: &[(&str, &str)]) -> BTreeMap<String, V> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), V::from(value))).collect()
}

fn input(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Input {
    let mut flags: BTreeMap<String, String> = map(flags);
    flags.insert("config".to_owned(), PATH.to_owned());
    Input { flags, env: map(env), file: Some(File { path: PathBuf::from(PATH), text: Ok(file.to_owned()) }) }
}

fn problems(input: &Input) -> Vec<Problem> {
    input.load().map(|loaded| loaded.config).expect_err("the configuration is wrong").0
}

fn only_problem(input: &Input) -> Problem {
    let mut problems = problems(input);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

fn line(line: usize) -> Source {
    Source::File { path: PathBuf::from(PATH), line: Some(line) }
}

#[test]
fn nothing_set_gives_the_defaults() {
    assert_eq!(Input::default().load().unwrap().config, Config::default());
}

#[test]
fn flags_beat_env_beats_file_beats_defaults() {
    let file = "capacity = \"1GiB\"\nmin_free_disk = \"1MiB\"\nmemory_tier = \"1MiB\"";
    let env = [("LARDER_CAPACITY", "2GiB"), ("LARDER_MIN_FREE_DISK", "2MiB")];
    let loaded = input(file, &env, &[("capacity", "3GiB")]).load().unwrap();
    assert_eq!(loaded.config.capacity, 3 << 30);
    assert_eq!(loaded.config.min_free_disk, 2 << 20);
    assert_eq!(loaded.config.memory_tier, 1 << 20);
    assert_eq!(loaded.config.memory_budget, Config::default().memory_budget);
    assert_eq!(loaded.origin("capacity"), Source::Flag("--capacity".to_owned()));
    assert_eq!(loaded.origin("min_free_disk"), Source::Env("LARDER_MIN_FREE_DISK".to_owned()));
    assert_eq!(loaded.origin("memory_tier"), line(3));
    assert_eq!(loaded.origin("memory_budget"), Source::Default);
}

/// A value for every key that is not its default. A new key has to be added here.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("listen", "[::1]:80"),
    ("data_dir", "/srv/x"),
    ("capacity", "7GiB"),
    ("min_free_disk", "3MB"),
    ("max_object_size", "2MiB"),
    ("durability", "commit"),
    ("verify", "always"),
    ("memory_budget", "65MiB"),
    ("memory_tier", "0"),
    ("max_connections", "17"),
    ("header_timeout", "1s"),
    ("body_timeout", "250ms"),
    ("idle_timeout", "1h"),
    ("drain_timeout", "0s"),
    ("anonymous", "read"),
    ("tls_cert", "/srv/cert.pem"),
    ("tls_key", "/srv/key.pem"),
    ("tls_client_ca", "/srv/ca.pem"),
    ("tls_require_client_cert", "true"),
    ("s3_domain", "s3.example.org"),
    ("token_key_file", "/srv/token.key"),
    ("log_format", "json"),
    ("log_level", "warn"),
    ("bucket.url", "s3://ci/larder"),
    ("bucket.endpoint", "http://127.0.0.1:9000"),
    ("bucket.region", "garage"),
    ("bucket.path_style", "false"),
    ("bucket.access_key_id", "GK1"),
    ("bucket.secret_access_key_file", "/srv/bucket.key"),
    ("bucket.write", "through"),
    ("bucket.capacity", "1TiB"),
    ("bucket.ttl", "90d"),
    ("bucket.read_timeout", "250ms"),
    ("bucket.write_timeout", "1m"),
    ("bucket.queue_limit", "1GiB"),
    ("bucket.uploads", "3"),
    ("bucket.absent_for", "0s"),
    ("bucket.scan_interval", "10m"),
];

#[test]
fn every_key_can_be_set_in_file_env_and_flags() {
    assert_eq!(OTHER_VALUES.len(), KEYS.len());
    for key in KEYS {
        let (name, value) = OTHER_VALUES.iter().find(|(name, _)| *name == key.name).expect(key.name);
        assert_ne!(key.get(&Config::default()).as_deref(), Some(*value), "{name}");
        let written = if key.bare { (*value).to_owned() } else { format!("\"{value}\"") };
        // The keys of TLS need each other, and so do those of the bucket.
        let mut company: Vec<_> = OTHER_VALUES.to_vec();
        company.retain(|(other, _)| {
            let group = ["tls_", "bucket."].into_iter().find(|group| name.starts_with(group));
            other != name && group.is_some_and(|group| other.starts_with(group))
        });
        let with_it = [&[(*name, *value)], &company[..]].concat();
        for source in [
            input(&format!("{name} = {written}"), &[], &company),
            input("", &[(&key.variable(), value)], &company),
            input("", &[], &with_it),
        ] {
            let config = source.load().unwrap().config;
            assert_eq!(key.get(&config).as_deref(), Some(*value), "{source:?}");
        }
    }
}

#[test]
fn values_reach_their_fields() {
    let config = input("", &[], OTHER_VALUES).load().unwrap().config;
    let expected = Config {
        listen: "[::1]:80".parse().unwrap(),
        data_dir: PathBuf::from("/srv/x"),
        capacity: 7 << 30,
        min_free_disk: 3_000_000,
        max_object_size: 2 << 20,
        durability: Durability::Commit,
        verify: Verify::Always,
        memory_budget: 65 << 20,
        memory_tier: 0,
        max_connections: 17,
        header_timeout: Duration::from_secs(1),
        body_timeout: Duration::from_millis(250),
        idle_timeout: Duration::from_secs(3600),
        drain_timeout: Duration::ZERO,
        anonymous: Some(Anonymous::Read),
        tls_cert: Some(PathBuf::from("/srv/cert.pem")),
        tls_key: Some(PathBuf::from("/srv/key.pem")),
        tls_client_ca: Some(PathBuf::from("/srv/ca.pem")),
        tls_require_client_cert: true,
        s3_domain: Some("s3.example.org".to_owned()),
        log_format: larder::config::LogFormat::Json,
        log_level: "warn".to_owned(),
        namespaces: BTreeMap::new(),
        tokens: BTreeMap::new(),
        oidc: Vec::new(),
        token_key_file: Some(PathBuf::from("/srv/token.key")),
        token_key: None,
        namespace_patterns: BTreeMap::new(),
        bucket: BucketConfig {
            url: Some("s3://ci/larder".to_owned()),
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            region: Some("garage".to_owned()),
            path_style: Some(false),
            access_key_id: Some("GK1".to_owned()),
            secret_access_key_file: Some(PathBuf::from("/srv/bucket.key")),
            write: BucketWrite::Through,
            capacity: Some(1 << 40),
            ttl: Some(Duration::from_secs(90 * 24 * 3600)),
            read_timeout: Duration::from_millis(250),
            write_timeout: Duration::from_secs(60),
            queue_limit: Some(1 << 30),
            uploads: 3,
            absent_for: Duration::ZERO,
            scan_interval: Duration::from_secs(600),
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn plain_integers_are_bytes_and_an_empty_variable_is_not_set() {
    let loaded = input("capacity = 104857600", &[("LARDER_CAPACITY", "")], &[]).load().unwrap();
    assert_eq!(loaded.config.capacity, 100 << 20);
    assert_eq!(loaded.origin("capacity"), line(1));
}

#[test]
fn namespaces_come_from_their_tables() {
    let file = "[namespaces.ci]\nmax_object_size = \"5MiB\"\n[namespaces.default]\n";
    let config = input(file, &[], &[]).load().unwrap().config;
    let names: Vec<_> =
        config.namespaces.iter().map(|(name, ns)| (name.as_str(), ns.max_object_size)).collect();
    assert_eq!(names, [("ci", Some(5 << 20)), ("default", None)]);
    assert!(config.namespaces.contains_key(&Namespace::default_namespace()));
}

#[test]
fn all_problems_are_told_at_once_each_with_its_source() {
    let file = "capasity = \"1GiB\"\n\nmax_object_size = [1]\nbody_timeout = 30\n[namespaces.ci]\n\
                max_object_siz = 1\n[namespaces.\"a b\"]\n";
    let env = [("LARDER_CAPACITI", "1"), ("LARDER_MEMORY_BUDGET", "1MB")];
    let flags = [("capacity", "10G"), ("listen", "0.0.0.0:4227"), ("log_level", "inof")];
    let found = problems(&input(file, &env, &flags));
    let flag = |name: &str| Source::Flag(name.to_owned());
    let variable = |name: &str| Source::Env(name.to_owned());
    let expected = [
        ("capasity", line(1), "did you mean capacity?"),
        ("max_object_size", line(3), "a list stands where a SIZE belongs"),
        ("body_timeout", line(4), "30s"),
        ("namespaces.ci.max_object_siz", line(6), "did you mean max_object_size?"),
        ("namespaces.a b", line(7), "a-z"),
        ("LARDER_CAPACITI", variable("LARDER_CAPACITI"), "did you mean LARDER_CAPACITY?"),
        ("memory_budget", variable("LARDER_MEMORY_BUDGET"), "at least 16MiB"),
        ("capacity", flag("--capacity"), "10GiB"),
        ("listen", flag("--listen"), "anonymous = \"read-write\""),
        ("log_level", flag("--log-level"), "info"),
    ];
    for (key, source, says) in &expected {
        let matching = found.iter().filter(|problem| problem.key == *key && problem.source == *source);
        let texts: Vec<_> = matching.map(|problem| problem.message.as_str()).collect();
        assert!(texts.len() == 1 && texts[0].contains(says), "{key} ({source}): {says}\n{found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn toml_errors_carry_their_line_and_do_not_hide_the_rest() {
    let found = problems(&input("listen = \"127.0.0.1:1\"\nverify = = 1\nfoo = 1\n", &[], &[]));
    assert!(
        found.iter().any(|problem| problem.source == line(2) && problem.message.contains("TOML")),
        "{found:?}"
    );
    assert!(found.iter().any(|problem| problem.key == "foo" && problem.source == line(3)), "{found:?}");
    let twice = problems(&input("verify = \"first\"\nverify = \"always\"\n", &[], &[]));
    assert!(twice.iter().any(|problem| problem.source == line(2)), "{twice:?}");
}

#[test]
fn a_bad_value_is_told_even_where_a_better_source_beats_it() {
    let problem = only_problem(&input("capacity = \"lots\"", &[], &[("capacity", "1GiB")]));
    assert_eq!((problem.key.as_str(), problem.source), ("capacity", line(1)));
}

#[test]
fn each_rule_names_its_key_and_the_way_out() {
    type Case = (&'static [(&'static str, &'static str)], &'static str, &'static str);
    let cases: &[Case] = &[
        (&[("capacity", "16777215")], "capacity", "at least 16MiB"),
        (
            &[("capacity", "1GiB"), ("max_object_size", "2GiB")],
            "max_object_size",
            "above the capacity of 1GiB",
        ),
        (&[("memory_budget", "8MiB")], "memory_budget", "at least 16MiB"),
        (&[("max_connections", "0")], "max_connections", "at least 1"),
        (&[("header_timeout", "0s")], "header_timeout", "10s"),
        (&[("body_timeout", "0s")], "body_timeout", "30s"),
        (&[("idle_timeout", "0s")], "idle_timeout", "5m"),
        (&[("data_dir", "")], "data_dir", "name a directory"),
        (&[("listen", "localhost:4227")], "listen", "127.0.0.1:4227"),
        (&[("listen", "192.168.1.4:4227")], "listen", "anonymous = \"read\""),
        (&[("listen", "[::]:4227")], "listen", "anonymous = \"read\""),
        (&[("anonymous", "write")], "anonymous", "\"read\" or \"read-write\""),
        (&[("durability", "Commit")], "durability", "\"periodic\" or \"commit\""),
    ];
    for (flags, key, says) in cases {
        let problem = only_problem(&input("", &[], flags));
        assert_eq!(problem.key, *key, "{flags:?}");
        assert!(problem.message.contains(says), "{flags:?}: {problem}");
    }
}

#[test]
fn loopback_needs_no_word_and_other_addresses_need_one() {
    for listen in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(input("", &[], &[("listen", listen)]).load().is_ok(), "{listen}");
    }
    for anonymous in ["read", "read-write"] {
        let flags = [("listen", "0.0.0.0:1"), ("anonymous", anonymous)];
        assert!(input("", &[], &flags).load().is_ok(), "{anonymous}");
    }
}

#[test]
fn a_small_cache_lowers_the_default_object_size_and_a_namespace_may_not_exceed_it() {
    let config = input("", &[], &[("capacity", "100MiB")]).load().unwrap().config;
    assert_eq!(config.max_object_size, 100 << 20);
    let file = "capacity = \"100MiB\"\n[namespaces.big]\nmax_object_size = \"101MiB\"\n";
    let problem = only_problem(&input(file, &[], &[]));
    assert_eq!((problem.key.as_str(), problem.source), ("namespaces.big.max_object_size", line(3)));
}

#[test]
fn variables_of_kubernetes_service_links_are_no_settings() {
    let links = [
        ("LARDER_SERVICE_HOST", "10.0.0.1"),
        ("LARDER_SERVICE_PORT", "4227"),
        ("LARDER_SERVICE_PORT_HTTP", "4227"),
        ("LARDER_PORT", "tcp://10.0.0.1:4227"),
        ("LARDER_PORT_4227_TCP_ADDR", "10.0.0.1"),
        ("LARDERS_OTHER", "x"),
    ];
    assert!(input("", &links, &[]).load().is_ok());
    assert_eq!(only_problem(&input("", &[("LARDER_PORTS", "1")], &[])).key, "LARDER_PORTS");
}

#[test]
fn a_variable_that_is_not_utf8_is_refused() {
    let mut input = Input::default();
    input.env.insert("LARDER_DATA_DIR".to_owned(), OsString::from_vec(vec![b'/', 0xff]));
    let problem = only_problem(&input);
    assert_eq!((problem.key.as_str(), problem.message.contains("UTF-8")), ("data_dir", true));
}

#[test]
fn a_missing_file_is_told_with_what_named_it() {
    let env = map(&[("LARDER_CONFIG", "/nowhere/larder.toml")]);
    let problem = only_problem(&Input::gather(BTreeMap::new(), env.clone()));
    assert_eq!(problem.source, Source::Env("LARDER_CONFIG".to_owned()));
    assert!(problem.message.contains("/nowhere/larder.toml"), "{problem}");
    let problem = only_problem(&Input::gather(map(&[("config", "/nowhere/else.toml")]), env));
    assert_eq!(problem.source, Source::Flag("--config".to_owned()));
    assert!(problem.message.contains("/nowhere/else.toml"), "{problem}");
}

#[test]
fn what_is_printed_loads_as_the_same_configuration() {
    let file = "[namespaces.ci]\nmax_object_size = \"5MiB\"\n[namespaces.\"a.b\"]\n";
    for flags in [OTHER_VALUES, &[], &[("data_dir", "/a \"quoted\" \\ dir")]] {
        let first = input(file, &[], flags).load().unwrap();
        let printed = first.to_toml();
        let second = input(&printed, &[], &[]).load().expect(&printed);
        assert_eq!(first.config, second.config);
    }
}

#[test]
fn the_example_file_is_good() {
    let example = include_str!("../deploy/larder.toml");
    let loaded = input(example, &[], &[]).load().expect("deploy/larder.toml loads");
    assert_eq!(loaded.config.data_dir, PathBuf::from("/var/lib/larder"));
    // What it shows commented out must be right as well.
    let shown: String = example
        .lines()
        .map(|line| line.strip_prefix("#").filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    input(&shown, &[], &[]).load().expect("deploy/larder.toml loads with its comments taken as settings");
}

#[test]
fn the_data_directory_must_be_usable_and_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join("file");
    std::fs::write(&in_the_way, b"").unwrap();
    let at = |path: PathBuf| input("", &[], &[("data_dir", path.to_str().unwrap())]);
    for bad in [in_the_way.clone(), in_the_way.join("below/it")] {
        let error = at(bad).load_for_serving().expect_err("a file is in the way");
        assert_eq!(error.0[0].key, "data_dir");
        assert!(error.to_string().contains("is not a directory"), "{error}");
    }
    for good in [dir.path().to_owned(), dir.path().join("new/deep")] {
        assert!(at(good).load_for_serving().is_ok());
    }
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["file"]);
}
