//! `[tokens.NAME]` through the configuration's public face: what they may say, every problem at once, and where
//! secrets come from. Secret files are real ones.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use larder::config::{
    File, Input, Loaded, NamespaceScope, Problem, Right, Rights, Secret, SecretDigest, SecretSource, Source,
    TokenName,
};

const PATH: &str = "larder.toml";
const SECRET: &str = "a-secret-of-the-tests-0123456789";

fn input(file: &str, env: &[(&str, &str)]) -> Input {
    let flags = BTreeMap::from([("config".to_owned(), PATH.to_owned())]);
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
    Input { flags, env, file: Some(File { path: PathBuf::from(PATH), text: Ok(file.to_owned()) }) }
}

fn loaded(file: &str, env: &[(&str, &str)]) -> Loaded {
    input(file, env).load_for_serving().unwrap_or_else(|problems| panic!("{file}\n{problems}"))
}

fn problems(file: &str, env: &[(&str, &str)]) -> Vec<Problem> {
    input(file, env).load_for_serving().expect_err("the configuration is wrong").0
}

fn line(line: usize) -> Source {
    Source::File { path: PathBuf::from(PATH), line: Some(line) }
}

fn name(text: &str) -> TokenName {
    TokenName::new(text).unwrap()
}

fn secret_file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_token_says_where_what_and_until_when() {
    let file = format!(
        "[namespaces.team-a]\n[tokens.ci]\nsecret_sha256 = \"{}\"\nnamespaces = [\"team-a\", \"pr-*\"]\n\
         allow = [\"read\", \"delete\"]\nexpires = 2027-01-31T18:00:00+02:00\n",
        SecretDigest::of(SECRET.as_bytes()).to_hex()
    );
    let token = loaded(&file, &[]).config.tokens[&name("ci")].clone();
    let patterns: Vec<_> = token.namespaces.iter().map(ToString::to_string).collect();
    assert_eq!(patterns, ["team-a", "pr-*"]);
    assert_eq!(token.allow, Rights::of(&[Right::Read, Right::Delete]));
    assert_eq!(token.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_801_411_200)));
    assert_eq!((token.digest(), token.secret), (Some(SecretDigest::of(SECRET.as_bytes())), None));
}

#[test]
fn nothing_said_is_read_and_write_everywhere_for_ever() {
    let token =
        loaded("[tokens.ci]\nsecret_env = \"S\"\n", &[("S", SECRET)]).config.tokens[&name("ci")].clone();
    assert_eq!(token.namespaces, [NamespaceScope::All]);
    assert_eq!((token.allow, token.expires), (Rights::of(&[Right::Read, Right::Write]), None));
}

#[test]
fn a_date_alone_is_its_midnight_in_utc_and_quotes_do_no_harm() {
    let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(1_801_353_600);
    for expires in ["2027-01-31", "\"2027-01-31\"", "\"2027-01-31T00:00:00Z\"", "2027-01-30 23:00:00-01:00"] {
        let file = format!("[tokens.ci]\nsecret_env = \"S\"\nexpires = {expires}\n");
        let expires = loaded(&file, &[("S", SECRET)]).config.tokens[&name("ci")].expires;
        assert_eq!(expires, Some(midnight), "{file}");
    }
}

#[test]
fn a_secret_comes_from_its_file_or_variable_without_its_line_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = secret_file(dir.path(), "ci", &format!("{SECRET}\n"));
    let file =
        format!("[tokens.a]\nsecret_file = \"{path}\"\n[tokens.b]\nsecret_env = \"LARDER_B_SECRET\"\n");
    let other = "another-secret-of-the-tests";
    let config = loaded(&file, &[("LARDER_B_SECRET", other)]).config;
    for (token, secret) in [("a", SECRET), ("b", other)] {
        let found = config.tokens[&name(token)].secret.as_ref().map(|secret| secret.reveal());
        assert_eq!(found, Some(secret), "{token}");
    }
}

#[test]
fn whoever_only_wants_to_know_the_address_needs_no_secret() {
    let file = "[tokens.a]\nsecret_file = \"/nowhere/secret\"\n";
    let token = input(file, &[]).load().unwrap().config.tokens[&name("a")].clone();
    assert_eq!((token.secret.is_none(), token.digest()), (true, None));
    assert_eq!(problems(file, &[])[0].key, "tokens.a.secret_file");
}

#[test]
fn a_variable_alone_makes_a_token() {
    let config = loaded("", &[("LARDER_TOKEN", SECRET), ("LARDER_LISTEN", "0.0.0.0:4227")]).config;
    let token = &config.tokens[&name("default")];
    assert_eq!(token.secret.as_deref(), Some(&Secret::new(SECRET).unwrap()));
    // A table that names it decides what it may do.
    let file = "[tokens.ci]\nallow = [\"read\"]\nsecret_env = \"LARDER_TOKEN\"\n";
    let config = loaded(file, &[("LARDER_TOKEN", SECRET)]).config;
    assert_eq!(config.tokens.keys().map(TokenName::as_str).collect::<Vec<_>>(), ["ci"]);
    let twice = problems("[tokens.default]\nsecret_env = \"S\"\n", &[("LARDER_TOKEN", SECRET), ("S", "x")]);
    assert_eq!(twice[0].source, Source::Env("LARDER_TOKEN".to_owned()), "{twice:?}");
}

#[test]
fn every_problem_of_every_token_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let good = secret_file(dir.path(), "good", SECRET);
    let empty = secret_file(dir.path(), "empty", "\n");
    let short = secret_file(dir.path(), "short", "0123456789\n");
    let spaced = secret_file(dir.path(), "spaced", "a secret with spaces in it");
    let file = format!(
        "tokens.flat = 1\n[tokens.\"a/b\"]\n[tokens.local]\n[tokens.none]\n[tokens.many]\nsecret_env = \"S\"\n\
         secret_file = \"x\"\n[tokens.typo]\nsecret_env = \"S\"\nalow = [\"read\"]\n[tokens.values]\n\
         secret_env = \"S2\"\nallow = [\"reed\", 1]\nnamespaces = []\nexpires = 2027-01-31T18:00:00\n\
         [tokens.where]\nsecret_env = \"S3\"\nnamespaces = [\"*x\"]\nexpires = \"soon\"\n[tokens.t1]\n\
         secret_file = \"{empty}\"\n[tokens.t2]\nsecret_file = \"{short}\"\n[tokens.t3]\n\
         secret_file = \"{spaced}\"\n[tokens.t4]\nsecret_file = \"{}\"\n[tokens.t5]\nsecret_sha256 = \"{SECRET}\"\n\
         [tokens.t6]\nsecret_file = \"{good}\"\n[tokens.t7]\nsecret_env = \"S7\"\n[tokens.t8]\n\
         secret_env = \"not a name\"\n[tokens.t9]\nsecret_env = \"S9\"\nnamespaces = [\"defualt\"]\n",
        dir.path().join("missing").display(),
    );
    let env = [("S", "aaaaaaaaaaaaaaaaaaaa"), ("S2", "bbbbbbbbbbbbbbbbbbbb"), ("S3", "cccccccccccccccccccc")];
    let env = [&env[..], &[("S7", SECRET)]].concat();
    let found = problems(&file, &env);
    let expected = [
        ("tokens.flat", 1, "write [tokens.flat]"),
        ("tokens.a/b", 2, "a-z"),
        ("tokens.local", 3, "choose another name"),
        ("tokens.none", 4, "no secret"),
        ("tokens.many", 5, "more than one secret"),
        ("tokens.typo.alow", 10, "did you mean allow?"),
        ("tokens.values.allow", 13, "\"reed\" is none of the choices"),
        ("tokens.values.namespaces", 14, "not an empty one"),
        ("tokens.values.expires", 15, "offset"),
        ("tokens.where.namespaces", 18, "\"*x\""),
        ("tokens.where.expires", 19, "2027-01-31"),
        ("tokens.t1.secret_file", 21, "is empty"),
        ("tokens.t2.secret_file", 23, "has 10 characters"),
        ("tokens.t3.secret_file", 25, "has a space"),
        ("tokens.t4.secret_file", 27, "cannot read"),
        ("tokens.t5.secret_sha256", 29, "64 hexadecimal digits"),
        ("tokens.t7.secret_env", 33, "the token t6 has the same secret"),
        ("tokens.t8.secret_env", 35, "no name of a variable"),
        ("tokens.t9.secret_env", 37, "S9 is not set"),
        ("tokens.t9.namespaces", 38, "did you mean default?"),
    ];
    for (key, at, says) in expected {
        let matching = found.iter().filter(|problem| problem.key == key && problem.source == line(at));
        let texts: Vec<_> = matching.map(|problem| problem.message.as_str()).collect();
        assert!(texts.len() == 1 && texts[0].contains(says), "{key}:{at}: {says}\n{found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    let told = found.iter().map(ToString::to_string).collect::<String>();
    for secret in [SECRET, "0123456789", "a secret with", "not a name", "aaaaaaaa"] {
        assert!(!told.contains(secret), "{secret} is shown in {told}");
    }
}

#[test]
fn tokens_let_larder_listen_for_other_machines() {
    let tokens = "[tokens.ci]\nsecret_env = \"S\"\n";
    let open = format!("listen = \"0.0.0.0:4227\"\n{tokens}");
    assert!(input(&open, &[("S", SECRET)]).load_for_serving().is_ok());
    // Without any there has to be a word, and the text says which ways there are.
    let found = problems("listen = \"0.0.0.0:4227\"\n", &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("larder token new"), "{found:?}");
    // A token that is wrong is one problem and not two.
    let found = problems("listen = \"0.0.0.0:4227\"\n[tokens.ci]\n", &[]);
    assert_eq!(found.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), ["tokens.ci"]);
}

#[test]
fn what_is_printed_loads_again_and_shows_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = secret_file(dir.path(), "with \"quotes\"", SECRET);
    let digest = SecretDigest::of(b"yet another secret").to_hex();
    let file = format!(
        "[tokens.a]\nsecret_file = '{path}'\nexpires = 2027-01-31\n[tokens.\"b.c\"]\nsecret_sha256 = \"{digest}\"\n\
         allow = [\"read\", \"admin\"]\nnamespaces = [\"default\", \"pr-*\"]\n"
    );
    let env = [("LARDER_TOKEN", "the-secret-of-the-variable")];
    let first = loaded(&file, &env);
    let printed = first.to_toml();
    assert!(!printed.contains(SECRET) && !printed.contains(env[0].1), "{printed}");
    assert!(!format!("{:?}", first.config).contains(SECRET), "Debug shows a secret");
    assert_eq!(first.config, loaded(&printed, &env).config, "{printed}");
}

const TLS: &str = "tls_cert = \"c.pem\"\ntls_key = \"k.pem\"\ntls_client_ca = \"ca.pem\"\n";

#[test]
fn a_certificate_stands_beside_a_secret_or_alone() {
    let file = format!(
        "listen = \"0.0.0.0:4227\"\n{TLS}[tokens.a]\nsecret_env = \"S\"\ncertificate = \"Runner-7.LAN\"\n\
         [tokens.b]\ncertificate = [\"spiffe://lan/CI\", \"CI@lan\"]\nallow = [\"read\"]\n"
    );
    // Not for serving, which would look for the files.
    let load = |file: &str| input(file, &[("S", SECRET)]).load().unwrap();
    let first = load(&file);
    let names = |token: &str| -> Vec<_> {
        first.config.tokens[&name(token)].certificates.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        (names("a"), names("b")),
        (vec!["runner-7.lan".to_owned()], vec!["spiffe://lan/CI".to_owned(), "CI@lan".to_owned()])
    );
    let alone = &first.config.tokens[&name("b")];
    assert_eq!((&alone.source, alone.digest()), (&SecretSource::Absent, None));
    assert_eq!(first.config, load(&first.to_toml()).config);
}

#[test]
fn every_problem_of_a_certificate_is_told_with_its_line() {
    let file = format!(
        "{TLS}[tokens.a]\ncertificate = \"one.lan\"\n[tokens.b]\ncertificate = [\"two.lan\", \"ONE.lan\"]\n\
         [tokens.c]\ncertificate = \"*.lan\"\n[tokens.d]\ncertificate = []\n[tokens.e]\ncertificate = 7\n\
         [tokens.f]\ncertificate = [\"\", \" x\"]\n[tokens.g]\nexpires = 2027-01-31\n"
    );
    let found = input(&file, &[]).load().expect_err("the configuration is wrong").0;
    let expected = [
        ("tokens.b.certificate", 7, "the token a has \"one.lan\" too"),
        ("tokens.c.certificate", 9, "no patterns"),
        ("tokens.d.certificate", 11, "not an empty one"),
        ("tokens.e.certificate", 13, "write certificate = "),
        ("tokens.f.certificate", 15, "the text is empty"),
        ("tokens.g", 16, "or a certificate"),
    ];
    for (key, at, says) in expected {
        let told = found.iter().any(|problem| {
            problem.key == key && problem.source == line(at) && problem.message.contains(says)
        });
        assert!(told, "{key}:{at}: {says}\n{found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    // Nobody would be asked for one.
    let found = problems("[tokens.a]\nsecret_env = \"S\"\ncertificate = \"x\"\n", &[("S", SECRET)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("say in tls_client_ca who signs them"), "{found:?}");
    assert_eq!((found[0].key.as_str(), &found[0].source), ("tokens.a.certificate", &line(3)));
}
