//! The settings of the bucket: its table and its flags and variables, the rules between its keys, and its files.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use larder::config::{BucketConfig, BucketWrite, Config, File, Input, KEYS, Problem, Source};
use larder::key::Namespace;

const PATH: &str = "larder.toml";

fn input(file: &str) -> Input {
    let flags = BTreeMap::from([("config".to_owned(), PATH.to_owned())]);
    let file = File { path: PathBuf::from(PATH), text: Ok(file.to_owned()) };
    Input { flags, env: BTreeMap::new(), file: Some(file) }
}

fn config(file: &str) -> Config {
    input(file).load().expect(file).config
}

fn problems(file: &str) -> Vec<Problem> {
    input(file).load().map(|loaded| loaded.config).expect_err(file).0
}

fn line(line: usize) -> Source {
    Source::File { path: PathBuf::from(PATH), line: Some(line) }
}

#[test]
fn a_table_and_dotted_keys_say_the_same() {
    let table = "[bucket]\nurl = \"s3://ci/larder\"\nendpoint = \"http://minio.lan:9000/\"\nuploads = 2\npath_style = true\n";
    let dotted = "bucket.url = \"s3://ci/larder\"\nbucket.endpoint = \"http://minio.lan:9000\"\nbucket.uploads = 2\n\
                  bucket.path_style = true\n";
    let expected = BucketConfig {
        url: Some("s3://ci/larder".to_owned()),
        endpoint: Some("http://minio.lan:9000".to_owned()),
        uploads: 2,
        path_style: Some(true),
        ..BucketConfig::default()
    };
    assert_eq!(config(table).bucket, expected);
    assert_eq!(config(dotted).bucket, expected);
    assert_eq!(input(table).load().unwrap().origin("bucket.uploads"), line(4));
}

#[test]
fn flags_and_variables_have_the_tables_name_in_front() {
    let key = |name: &str| KEYS.iter().find(|key| key.name == name).unwrap();
    assert_eq!(key("bucket.url").flag(), "bucket-url");
    assert_eq!(key("bucket.secret_access_key_file").variable(), "LARDER_BUCKET_SECRET_ACCESS_KEY_FILE");
    let mut input = input("bucket.url = \"s3://file\"\nbucket.write = \"back\"");
    input.env.insert("LARDER_BUCKET_URL".to_owned(), OsString::from("s3://variable"));
    input.env.insert("LARDER_BUCKET_WRITE".to_owned(), OsString::from("through"));
    input.flags.insert("bucket.url".to_owned(), "s3://flag".to_owned());
    let bucket = input.load().unwrap().config.bucket;
    assert_eq!((bucket.url.as_deref(), bucket.write), (Some("s3://flag"), BucketWrite::Through));
    input.env.insert("LARDER_BUCKET_URI".to_owned(), OsString::from("s3://x"));
    let found = input.load().unwrap_err().0;
    assert!(found.len() == 1 && found[0].message.contains("LARDER_BUCKET_URL?"), "{found:?}");
}

#[test]
fn each_rule_names_its_key_and_the_way_out() {
    const S3: &str = "bucket.url = \"s3://ci\"\n";
    for (file, key, says) in [
        ("bucket = \"s3://ci\"", "bucket", "write bucket.url ="),
        ("[bucket]\nurll = \"s3://ci\"", "bucket.urll", "did you mean url?"),
        ("[buckets]\nurl = \"s3://ci\"", "buckets", "did you mean bucket?"),
        ("bucket.url = \"http://s3.lan/ci\"", "bucket.url", "s3://BUCKET/PREFIX"),
        ("bucket.url = \"swift://ci\"", "bucket.url", "az://CONTAINER/PREFIX"),
        ("bucket.url = [\"s3://ci\"]", "bucket.url", "a list stands where a URL belongs"),
        ("bucket.uploads = 3", "bucket.uploads", "say in bucket.url where it is"),
        (
            "[namespaces.a]\nbucket_prefix = \"\"",
            "namespaces.a.bucket_prefix",
            "say in bucket.url where it is",
        ),
        (&format!("{S3}bucket.endpoint = \"minio:9000\""), "bucket.endpoint", "http://minio.lan:9000"),
        (&format!("{S3}bucket.region = \"eu west\""), "bucket.region", "one word"),
        (&format!("{S3}bucket.path_style = \"yes\""), "bucket.path_style", "neither true nor false"),
        (
            &format!("{S3}bucket.access_key_id = \"a\""),
            "bucket.access_key_id",
            "bucket.secret_access_key_file",
        ),
        (
            &format!("{S3}bucket.secret_access_key_file = \"/x\""),
            "bucket.secret_access_key_file",
            "bucket.access_key_id",
        ),
        ("bucket.url = \"gs://ci\"\nbucket.region = \"eu\"", "bucket.region", "this is for s3://"),
        (
            "bucket.url = \"file:///srv\"\nbucket.endpoint = \"http://x\"",
            "bucket.endpoint",
            "starts with file://",
        ),
        ("bucket.url = \"az://ci\"\nbucket.path_style = true", "bucket.path_style", "this is for s3://"),
        (&format!("{S3}bucket.write = \"around\""), "bucket.write", "\"back\" or \"through\""),
        (&format!("{S3}bucket.capacity = \"63MiB\""), "bucket.capacity", "at least 64MiB"),
        (&format!("{S3}bucket.ttl = \"0s\""), "bucket.ttl", "30d"),
        (&format!("{S3}bucket.read_timeout = \"0s\""), "bucket.read_timeout", "500ms"),
        (&format!("{S3}bucket.read_timeout = 500"), "bucket.read_timeout", "500s"),
        (&format!("{S3}bucket.write_timeout = \"0s\""), "bucket.write_timeout", "30s"),
        (&format!("{S3}bucket.scan_interval = \"0s\""), "bucket.scan_interval", "1h"),
        (&format!("{S3}bucket.uploads = 0"), "bucket.uploads", "at least 1"),
        (&format!("{S3}bucket.queue_limit = 0"), "bucket.queue_limit", "write a size"),
        (&format!("{S3}bucket.queue_limit = \"11GiB\""), "bucket.queue_limit", "above the capacity of 10GiB"),
    ] {
        let found = problems(file);
        assert_eq!(found.len(), 1, "{file}: {found:#?}");
        assert_eq!(found[0].key, key, "{file}");
        assert!(found[0].message.contains(says), "{file}: {}", found[0]);
    }
}

#[test]
fn two_namespaces_never_share_a_place() {
    let with = |tables: &str| format!("bucket.url = \"s3://ci\"\n{tables}");
    for (tables, keys, says) in [
        (
            "[namespaces.a]\nbucket_prefix = \"x\"\n[namespaces.b]\nbucket_prefix = \"/x/\"",
            &["a", "b"][..],
            "lies there, too",
        ),
        (
            "[namespaces.a]\nbucket_prefix = \"\"\n[namespaces.b]\nbucket_prefix = \"\"",
            &["a", "b"],
            "a place of its own",
        ),
        ("[namespaces.a]\nbucket_prefix = \"b\"\n[namespaces.b]", &["a"], "the place of the namespace b"),
        ("[namespaces.a]\nbucket_prefix = \"default\"", &["a"], "the place of the namespace default"),
        ("[namespaces.a]\nbucket_prefix = \"pr-1\"\n[namespaces.\"pr-*\"]", &["a"], "the pattern pr-*"),
        ("[namespaces.\"pr-*\"]\nbucket_prefix = \"pr\"", &["pr-*"], "below their names"),
        ("[namespaces.a]\nbucket_prefix = \"x//y\"", &["a"], "for the top"),
        ("[namespaces.a]\nbucket_prefix = \"../x\"", &["a"], "for the top"),
        ("[namespaces.a]\nbucket_prefix = \".larder\"", &["a"], "what is its own"),
    ] {
        let found = problems(&with(tables));
        let expected: Vec<_> = keys.iter().map(|name| format!("namespaces.{name}.bucket_prefix")).collect();
        assert_eq!(
            found.iter().map(|problem| problem.key.clone()).collect::<Vec<_>>(),
            expected,
            "{found:#?}"
        );
        assert!(found.iter().all(|problem| problem.message.contains(says)), "{tables}: {found:#?}");
    }
    let config = config(&with(
        "[namespaces.a]\nbucket_prefix = \"\"\n[namespaces.b]\nbucket_prefix = \"b\"\n\
         [namespaces.c]\nbucket_prefix = \"/old/cache/\"\n[namespaces.\"pr-*\"]",
    ));
    let prefix =
        |name: &str| config.namespaces[&Namespace::new(name).unwrap()].bucket_prefix.clone().unwrap();
    assert_eq!([prefix("a"), prefix("b"), prefix("c")], ["", "b", "old/cache"]);
}

#[test]
fn what_is_printed_loads_as_the_same_configuration() {
    for file in [
        "bucket.url = \"s3://ci/larder\"\nbucket.region = \"eu-1\"\nbucket.absent_for = \"0s\"\n\
         bucket.path_style = false\n[namespaces.a]\nbucket_prefix = \"\"\n",
        "bucket.url = \"az://c\"\nbucket.access_key_id = \"devstoreaccount1\"\n",
        "bucket.url = \"file:///srv/a \\\"b\\\"\"\nbucket.capacity = \"64MiB\"\nbucket.ttl = \"1h\"\n",
        "",
    ] {
        let first = input(file).load().expect(file);
        let printed = first.to_toml();
        assert_eq!(input(&printed).load().expect(&printed).config, first.config, "{printed}");
    }
}

#[test]
fn the_secret_is_read_from_its_file_and_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, data) = (dir.path().join("secret"), dir.path().join("data"));
    let file = format!(
        "data_dir = {data:?}\nbucket.url = \"s3://ci\"\nbucket.access_key_id = \"minio\"\n\
         bucket.secret_access_key_file = {secret:?}\n"
    );
    for (written, says) in [
        (None, "write the secret access key there"),
        (Some(&b"\n"[..]), "does not hold a secret access key"),
        (Some(b"two words"), "alone and on one line"),
        (Some(b"\xff"), "printable ASCII"),
    ] {
        if let Some(written) = written {
            std::fs::write(&secret, written).unwrap();
        }
        let found = input(&file).load_for_serving().unwrap_err().0;
        assert!(found.len() == 1 && found[0].key == "bucket.secret_access_key_file", "{found:?}");
        assert!(found[0].message.contains(says) && !found[0].message.contains("two"), "{found:?}");
        // Tokens can be revoked all the same, and `larder env` needs no secret.
        assert!(input(&file).load_for_reload().is_ok() && input(&file).load().is_ok());
    }
    std::fs::write(&secret, "minioadmin\n").unwrap();
    let loaded = input(&file).load_for_serving().unwrap();
    assert_eq!(loaded.config.bucket.secret_access_key(), Ok(Some("minioadmin".to_owned())));
    let shown = format!("{:?}{}", loaded.config, loaded.to_toml());
    assert!(!shown.contains("minioadmin"), "{shown}");
}

#[test]
fn a_directory_must_be_usable_and_apart_from_the_data_and_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(dir.path().join("file"), b"").unwrap();
    let loaded = |bucket: &str, data: &str| {
        let file =
            format!("data_dir = {:?}\nbucket.url = {:?}\n", at(data), format!("file://{}", at(bucket)));
        input(&file).load_for_serving()
    };
    for (bucket, data, says) in [
        ("file", "data", "is not a directory"),
        ("file/below", "data", "is not a directory"),
        ("data/bucket", "data", "lie in each other"),
        ("bucket", "bucket", "lie in each other"),
        ("bucket", "bucket/data", "lie in each other"),
    ] {
        let found = loaded(bucket, data).unwrap_err().0;
        assert!(found.len() == 1 && found[0].key == "bucket.url", "{found:?}");
        assert!(found[0].message.contains(says), "{found:?}");
    }
    assert!(loaded("bucket/new", "data").is_ok());
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["file"]);
}
