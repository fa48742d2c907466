//! The dashboards that the repository has for Grafana, read as JSON.
//!
//! Knows the shape of a dashboard; nothing of what larder counts.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::Value;

/// A dashboard.
pub struct Dashboard {
    /// Its file's name.
    pub file: String,
    /// All of it.
    pub json: Value,
}

/// Every dashboard, by name of its file.
pub fn all() -> Vec<Dashboard> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/dashboards");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries
        .map(|path| Dashboard {
            file: path.file_name().unwrap().to_string_lossy().into_owned(),
            json: serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
        })
        .collect();
    all.sort_by(|one, other| one.file.cmp(&other.file));
    assert!(!all.is_empty(), "there are no dashboards");
    all
}

impl Dashboard {
    /// Its panels, rows included.
    pub fn panels(&self) -> &[Value] {
        self.json["panels"].as_array().unwrap()
    }

    /// Its variables.
    pub fn variables(&self) -> &[Value] {
        self.json["templating"]["list"].as_array().unwrap()
    }

    /// Each panel's title with each of its expressions, as Grafana sends it to Prometheus: everything chosen, and a window of
    /// seconds.
    pub fn expressions(&self, window: &str) -> Vec<(String, String)> {
        let mut expressions = Vec::new();
        for panel in self.panels().iter().filter(|panel| panel["type"] != "row") {
            for target in panel["targets"].as_array().unwrap() {
                let mut expression = target["expr"].as_str().unwrap().to_owned();
                for (variable, value) in [
                    ("$__rate_interval", window),
                    ("$__range", window),
                    ("$job", ".*"),
                    ("$instance", ".*"),
                    ("$namespace", ".*"),
                ] {
                    expression = expression.replace(variable, value);
                }
                assert!(
                    !expression.contains('$'),
                    "{}: a variable that is not known: {expression}",
                    self.file
                );
                let title = format!("{}: {}", self.file, panel["title"].as_str().unwrap());
                expressions.push((title, expression));
            }
        }
        expressions
    }
}
