//! The direction of imports: server -> http -> auth -> protocol -> cache -> index -> blobs, and leaves open to all.
//! (An index holds the blobs' locations; the blobs know of no index.)
//!
//! Knows paths and names only; what the modules do is their own affair.

use crate::source::{SourceFile, is_word, rust_files, words};

/// The layers, outermost first. A module may use those of later rows, never its own row's neighbours.
const LAYERS: &[&[&str]] = &[
    &["server"],
    &["http"],
    &["auth"],
    &["protocol"],
    &["cache"],
    &["index"],
    &["blobs", "bucket", "analytics"],
    LEAVES,
];

/// Open to all, and using nothing but each other.
const LEAVES: &[&str] = &["config", "key", "logging", "metrics", "object", "sigv4", "tls"];

/// Where the program is put together: these may name everything, and nothing may name them.
const COMPOSITION: &[&str] = &["app", "cli", "lib", "main"];

/// What the store must not know.
const HTTP_CRATES: &[&str] =
    &["axum", "http", "http_body", "http_body_util", "hyper", "hyper_util", "tower_http"];

/// Adapters beside each other below `protocol`.
const ADAPTERS: &[&str] = &["plain", "webdav", "s3"];

#[test]
fn imports_point_from_the_listener_to_the_disk() {
    let mut wrong = Vec::new();
    for file in rust_files(&["src/"]) {
        let own = file.module().to_owned();
        if COMPOSITION.contains(&own.as_str()) {
            continue;
        }
        let Some(layer) = layer_of(&own) else {
            wrong.push(format!("{}: module {own} has no layer, name it in tests/tidy/imports.rs", file.path));
            continue;
        };
        for used in used_modules(&file) {
            let allowed =
                used == own || layer_of(&used).is_some_and(|other| other > layer || is_leaf(&own, &used));
            if !allowed {
                wrong
                    .push(format!("{} uses crate::{used}: imports point from {own} inwards only", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_store_knows_no_http() {
    let mut wrong = Vec::new();
    for file in rust_files(&["src/"]) {
        if !["cache", "index", "blobs", "key", "object"].contains(&file.module()) {
            continue;
        }
        let code = file.code();
        for (at, word) in words(&code).filter(|(_, word)| HTTP_CRATES.contains(word)) {
            let is_path = code[at + word.len()..].starts_with("::") || code[..at].trim_end().ends_with("use");
            if is_path {
                wrong.push(format!("{}:{}: {word}", file.path, line_of(&code, at)));
            }
        }
    }
    assert!(wrong.is_empty(), "HTTP types below the protocols:\n{}", wrong.join("\n"));
}

#[test]
fn protocol_adapters_never_import_each_other() {
    let mut wrong = Vec::new();
    for file in rust_files(&["src/protocol/"]) {
        let inside =
            file.path["src/protocol/".len()..].split(['/', '.']).next().unwrap_or_default().to_owned();
        if !ADAPTERS.contains(&inside.as_str()) {
            continue;
        }
        let code = file.production_code();
        for (at, word) in words(&code).filter(|(_, word)| ADAPTERS.contains(word) && *word != inside) {
            let (before, behind) = (code[..at].trim_end(), code[at + word.len()..].trim_start());
            let in_use = code[..at].rfind("use ").is_some_and(|start| !code[start..at].contains(';'));
            if behind.starts_with("::") || before.ends_with("::") || in_use {
                wrong.push(format!("{}:{}: {word}", file.path, line_of(&code, at)));
            }
        }
    }
    assert!(wrong.is_empty(), "adapters that import each other:\n{}", wrong.join("\n"));
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn is_leaf(own: &str, used: &str) -> bool {
    LEAVES.contains(&own) && LEAVES.contains(&used)
}

/// The modules that a file names as `crate::<module>`, alone or in a group; tests of a file may name any.
fn used_modules(file: &SourceFile) -> Vec<String> {
    let code = file.production_code();
    let mut used = Vec::new();
    for (start, _) in words(&code).filter(|(_, word)| *word == "crate") {
        let Some(rest) = code[start..].strip_prefix("crate::") else {
            continue;
        };
        match rest.strip_prefix('{') {
            Some(group) => used.extend(group_heads(group)),
            None => used.extend(words(rest).next().map(|(_, word)| word.to_owned())),
        }
    }
    // Macros are named by the crate, and types at its root do not exist.
    used.retain(|module| module.starts_with(|c: char| c.is_lowercase()));
    used
}

/// The first names of a group's members, `cache` and `key` in `cache::{A, B}, key}`.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut fresh) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && is_word(c) => {
                let end = group[at..].find(|c| !is_word(c)).unwrap_or(group.len() - at);
                heads.push(group[at..at + end].to_owned());
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}
