//! The effective configuration as TOML that would give the same configuration again.
//!
//! Owns how settings are printed. Knows nothing of how they were gathered but their origin.

use std::fmt::Write as _;

use super::keys::{KEYS, NAMESPACE_KEYS};
use super::load::Loaded;

impl Loaded {
    /// Every setting, each with where it came from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for key in KEYS {
            let line = match key.get(&self.config) {
                Some(value) if key.bare => format!("{} = {value}", key.name),
                Some(value) => format!("{} = {}", key.name, quoted(&value)),
                None => format!("# {} is not set", key.name),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{line:<40} # {}", self.origin(key.name));
        }
        for (name, settings) in self.config.namespace_tables() {
            let _ = writeln!(out, "\n[namespaces.{}]", quoted(name));
            for key in NAMESPACE_KEYS {
                if let Some(value) = key.get(settings) {
                    let origin = self.origin(&format!("namespaces.{name}.{}", key.name));
                    let line = format!("{} = {}", key.name, quoted(&value));
                    let _ = writeln!(out, "{line:<40} # {origin}");
                }
            }
        }
        out
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
