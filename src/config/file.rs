//! The configuration file: TOML text into settings with their line numbers.
//!
//! Owns the file's shape (top-level keys, `[bucket]` and `[namespaces.NAME]` tables; `[tokens.NAME]` and `[[oidc]]` are
//! beside it). Knows nothing of the other sources
//! and never touches a disk: it is given the text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, NAMESPACE_KEYS, NamespaceKey};
use super::problem::{Problems, Source, did_you_mean};
use super::{NamespaceConfig, TokenConfig, TokenName, load::Draft};
use crate::key::{Namespace, NamespacePattern};

mod oidc;
pub(in crate::config) mod tokens;

/// A configuration file as it was read.
#[derive(Clone, Debug)]
pub struct File {
    /// The path as the user named it.
    pub path: PathBuf,
    /// Its contents, or why there are none.
    pub text: Result<String, String>,
}

impl File {
    /// Reads `path`. A failure is kept, to be reported with all other problems.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        Self { path: path.to_owned(), text }
    }
}

impl File {
    /// The tokens that the file names, and nothing else of it; their secrets are not read, and their namespaces need
    /// not be there.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn tokens(&self) -> Result<BTreeMap<TokenName, TokenConfig>, Problems> {
        let mut draft = Draft::default();
        apply(&mut draft, self, &Source::Default);
        Ok(draft.finish()?.config.tokens)
    }
}

/// Takes the file's settings into `draft`, `named_by` being what named the file.
pub(super) fn apply(draft: &mut Draft, file: &File, named_by: &Source) {
    let text = match &file.text {
        Ok(text) => text,
        Err(error) => {
            let message = format!(
                "cannot read {} ({error}): name a readable TOML file, or leave this out",
                file.path.display()
            );
            return draft.problem("config", named_by.clone(), message);
        }
    };
    let reader = Reader { path: &file.path, text };
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reported = None;
    for error in &errors {
        let line = error.span().map(|span| reader.line(span.start));
        // What the parser says next about the same line is mostly an echo.
        if reported == Some(line) {
            continue;
        }
        reported = Some(line);
        let source = Source::File { path: file.path.clone(), line };
        draft.problem("config", source, format!("this is not TOML: {}", error.message().trim_end()));
    }
    for (name, value) in in_file_order(root.get_ref()) {
        let source = reader.source(name.span().start);
        match (name.get_ref().as_ref(), Key::named(name.get_ref())) {
            ("namespaces", _) => reader.namespaces(draft, value, source),
            ("tokens", _) => reader.tokens(draft, value, source),
            ("oidc", _) => reader.oidc(draft, value, source),
            ("bucket", _) => reader.bucket(draft, value, source),
            (_, Some(key)) => set(draft, key, value, source),
            (unknown, None) => {
                let plain = KEYS.iter().map(|key| key.name).filter(|name| !name.contains('.'));
                let known = plain.chain(["namespaces", "tokens", "oidc", "bucket"]);
                let hint = did_you_mean(unknown, known);
                draft.problem(unknown, source, format!("there is no such key{hint}: correct or remove it"));
            }
        }
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    /// The line, counted from 1, of the byte at `offset`.
    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn source(&self, offset: usize) -> Source {
        Source::File { path: self.path.to_owned(), line: Some(self.line(offset)) }
    }

    fn bucket(&self, draft: &mut Draft, value: &Spanned<DeValue<'_>>, source: Source) {
        let Some(table) = value.get_ref().as_table() else {
            let message = "bucket is a table: write bucket.url = \"s3://BUCKET/PREFIX\"";
            return draft.problem("bucket", source, message.to_owned());
        };
        for (name, value) in in_file_order(table) {
            let source = self.source(name.span().start);
            let full = format!("bucket.{}", name.get_ref());
            if let Some(key) = Key::named(&full) {
                set(draft, key, value, source);
                continue;
            }
            let known = KEYS.iter().filter_map(|key| key.name.strip_prefix("bucket."));
            let hint = did_you_mean(name.get_ref(), known);
            draft.problem(&full, source, format!("a bucket has no such key{hint}: correct or remove it"));
        }
    }

    fn namespaces(&self, draft: &mut Draft, value: &Spanned<DeValue<'_>>, source: Source) {
        let Some(tables) = value.get_ref().as_table() else {
            let message = "namespaces is a table: write [namespaces.NAME] on a line of its own";
            return draft.problem("namespaces", source, message.to_owned());
        };
        for (name, value) in in_file_order(tables) {
            let source = self.source(name.span().start);
            let label = format!("namespaces.{}", name.get_ref());
            let Some(table) = value.get_ref().as_table() else {
                let message = format!("a namespace is a table: write [{label}] on a line of its own");
                draft.problem(&label, source, message);
                continue;
            };
            let settings = self.namespace(draft, &label, table);
            let named = if name.get_ref().contains('*') {
                NamespacePattern::new(name.get_ref()).map(|pattern| {
                    draft.config.namespace_patterns.insert(pattern, settings);
                })
            } else {
                Namespace::new(name.get_ref()).map(|namespace| draft.namespace(namespace, settings))
            };
            if let Err(error) = named {
                draft.problem(&label, source, format!("{error}: choose another name"));
            }
        }
    }

    fn namespace(&self, draft: &mut Draft, label: &str, table: &DeTable<'_>) -> NamespaceConfig {
        let mut settings = NamespaceConfig::default();
        for (name, value) in in_file_order(table) {
            let source = self.source(name.span().start);
            let full = format!("{label}.{}", name.get_ref());
            let Some(key) = NamespaceKey::named(name.get_ref()) else {
                let hint = did_you_mean(name.get_ref(), NAMESPACE_KEYS.iter().map(|key| key.name));
                let message = format!("a namespace has no such key{hint}: correct or remove it");
                draft.problem(&full, source, message);
                continue;
            };
            let outcome = scalar(value.get_ref())
                .map_err(|kind| format!("{kind} stands where a single value belongs"))
                .and_then(|text| key.set(&mut settings, &text));
            match outcome {
                Ok(()) => draft.origin(&full, source),
                Err(message) => draft.broken(&full, source, message),
            }
        }
        settings
    }
}

fn set(draft: &mut Draft, key: &Key, value: &Spanned<DeValue<'_>>, source: Source) {
    match scalar_of(key, value.get_ref()) {
        Ok(text) => draft.set(key, &text, source),
        Err(kind) => {
            draft.broken(key.name, source, format!("{kind} stands where a {} belongs", key.placeholder()));
        }
    }
}

/// The entries by their place in the file, so that problems come in the order a reader meets them.
fn in_file_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// As [`scalar`]; a switch is written without quotes.
fn scalar_of(key: &Key, value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::Boolean(on) if key.bare => Ok(on.to_string()),
        other => scalar(other),
    }
}

/// A scalar as the text that the other sources would give; for anything else, what it is.
fn scalar(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(_) => Err("true or false"),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list"),
        DeValue::Table(_) => Err("a table"),
    }
}
