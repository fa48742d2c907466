//! The README's tables come from the code: a key, a metric or an error code that changes must change there too.
//! `BLESS=1 cargo test --test readme` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use larder::config::{Config, KEYS, NAMESPACE_KEYS, OIDC_KEYS, OIDC_RULE_KEYS, TOKEN_KEYS, TokenKey};
use larder::metrics::DESCRIPTIONS;
use larder::protocol::error::ErrorCode;
use larder::protocol::s3;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Compares the text between the markers of `table` with `expected`, or writes it when asked to.
fn hold(table: &str, expected: &str) {
    let (begin, end) = (format!("<!-- table: {table} -->\n"), format!("<!-- end of table: {table} -->\n"));
    let readme = std::fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once(&begin).expect("the README has the table's first marker");
    let (found, after) = rest.split_once(&end).expect("the README has the table's last marker");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(README, format!("{before}{begin}{expected}{end}{after}")).unwrap();
    } else {
        assert_eq!(found, expected, "the README's table is not what the code says: BLESS=1 writes it anew");
    }
}

/// One test for all tables, because blessing writes one file.
#[test]
fn the_tables_say_what_the_code_says() {
    hold("configuration", &configuration());
    hold("namespaces", &namespaces());
    hold("tokens", &tokens(TOKEN_KEYS));
    hold("oidc", &tokens(OIDC_KEYS));
    hold("oidc.rules", &tokens(OIDC_RULE_KEYS));
    hold("metrics", &metrics());
    hold("errors", &errors());
}

fn configuration() -> String {
    let mut table = row(&["Key", "Value", "Default", "Meaning"]) + "|---|---|---|---|\n";
    for key in KEYS {
        let default = key.get(&Config::default()).map_or_else(|| "not set".to_owned(), |value| code(&value));
        let value = key.placeholder().replace('|', " or ");
        table += &row(&[&code(key.name), &value, &default, key.help]);
    }
    table
}

fn namespaces() -> String {
    let mut table = row(&["Key", "Meaning"]) + "|---|---|\n";
    for key in NAMESPACE_KEYS {
        table += &row(&[&code(key.name), key.help]);
    }
    table
}

fn tokens(keys: &[TokenKey]) -> String {
    let mut table = row(&["Key", "Value", "Meaning"]) + "|---|---|---|\n";
    for key in keys {
        table += &row(&[&code(key.name), key.value, key.help]);
    }
    table
}

fn metrics() -> String {
    let mut table = row(&["Metric", "Type", "Labels", "Meaning"]) + "|---|---|---|---|\n";
    for metric in DESCRIPTIONS {
        table += &row(&[&code(metric.name), metric.kind, &metric.labels.join(", "), metric.help]);
    }
    table
}

fn errors() -> String {
    let mut table = row(&["Code", "Status", "To S3's clients", "Meaning"]) + "|---|---|---|---|\n";
    for error in ErrorCode::ALL {
        let s3 = s3::code(*error);
        table += &row(&[&code(error.as_str()), error.status().as_str(), s3.as_str(), error.description()]);
    }
    table
}

/// ARCHITECTURE.md names, for each invariant, the tests that hold it, as `file::function` in backticks.
#[test]
fn the_architecture_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let named = text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::"));
    let mut seen = 0;
    for (file, function) in named {
        let path = root.join(format!("{file}.rs"));
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}.rs: {error}"));
        assert!(source.contains(&format!("fn {function}(")), "{file}.rs has no test {function}");
        seen += 1;
    }
    assert!(seen > 10, "the table of invariants is gone");
}
