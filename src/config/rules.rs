//! Rules that one value cannot show: limits, values that contradict each other, the data directory.
//!
//! Owns what makes a well-formed configuration a wrong one. Knows nothing of how values are written.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;

use super::certificates;
use super::load::Draft;
use super::namespaces;
use super::problem::did_you_mean;
use super::quantity::Size;
use super::tokens::NamespaceScope;
use super::value::Form;
use crate::key::Namespace;

/// Below this the store's own segments and index leave no room for objects. In bytes.
pub const MIN_CAPACITY: u64 = 16 << 20;
/// One gathered body (8 MiB) up and one down at the same time. In bytes.
pub const MIN_MEMORY_BUDGET: u64 = 16 << 20;

/// Checks every rule that needs no look at the machine.
pub(super) fn between_keys(draft: &mut Draft) {
    limits(draft);
    object_sizes(draft);
    token_namespaces(draft);
    namespaces::between_keys(draft);
    exposure(draft);
    super::tls::between_keys(draft);
    certificates::between_keys(draft);
    super::bucket::between_keys(draft);
    super::oidc::between_keys(draft);
}

fn limits(draft: &mut Draft) {
    if draft.is_sound("capacity") && draft.config.capacity < MIN_CAPACITY {
        let found = size(draft.config.capacity);
        draft
            .problem_with("capacity", format!("{found} is too small: write at least {}", size(MIN_CAPACITY)));
    }
    if draft.is_sound("memory_budget") && draft.config.memory_budget < MIN_MEMORY_BUDGET {
        let found = size(draft.config.memory_budget);
        let least = size(MIN_MEMORY_BUDGET);
        draft.problem_with(
            "memory_budget",
            format!("{found} cannot hold a body up and a body down: write at least {least}"),
        );
    }
    if draft.is_sound("max_connections") && draft.config.max_connections == 0 {
        draft.problem_with("max_connections", "0 would refuse everyone: write at least 1".to_owned());
    }
    let times = [
        ("header_timeout", draft.config.header_timeout, "10s"),
        ("body_timeout", draft.config.body_timeout, "30s"),
        ("idle_timeout", draft.config.idle_timeout, "5m"),
    ];
    for (key, time, usual) in times {
        if draft.is_sound(key) && time == Duration::ZERO {
            draft.problem_with(key, format!("0 would cut every connection: write a time such as {usual}"));
        }
    }
}

fn object_sizes(draft: &mut Draft) {
    if !draft.is_sound("capacity") {
        return;
    }
    let capacity = draft.config.capacity;
    if draft.is_default("max_object_size") {
        // A person who only makes the cache small has said nothing about objects.
        draft.config.max_object_size = draft.config.max_object_size.min(capacity);
    }
    let server = draft.is_sound("max_object_size").then_some(draft.config.max_object_size);
    let namespaces = draft.config.namespace_tables().filter_map(|(name, settings)| {
        Some((format!("namespaces.{name}.max_object_size"), settings.max_object_size?))
    });
    let limits: Vec<_> =
        server.map(|limit| ("max_object_size".to_owned(), limit)).into_iter().chain(namespaces).collect();
    for (key, limit) in limits {
        if limit > capacity {
            let (limit, capacity) = (size(limit), size(capacity));
            draft.problem_with(
                &key,
                format!("{limit} is above the capacity of {capacity}: lower it, or raise capacity"),
            );
        }
    }
}

/// Opening the door to those who have no token has to be somebody's written decision.
fn exposure(draft: &mut Draft) {
    if !draft.is_sound("listen") || !draft.is_default("anonymous") || draft.config.is_closed_or_local() {
        return;
    }
    // A token that was written and is wrong is told already.
    if draft.names_a_token() {
        return;
    }
    let listen = draft.config.listen;
    draft.problem_with(
        "listen",
        format!(
            "{listen} lets other machines in, without any token. Make one: larder token new --name ci. Or, on a \
             network you trust, say what everyone may do: anonymous = \"read\" or anonymous = \"read-write\" \
             (flag --anonymous, env LARDER_ANONYMOUS); else listen on 127.0.0.1:{}",
            listen.port()
        ),
    );
}

/// A namespace that is not there is a typing error: its paths would be keys of `default`, and the token's holder
/// would be refused without knowing why.
fn token_namespaces(draft: &mut Draft) {
    let known: BTreeSet<_> =
        draft.config.namespaces.keys().cloned().chain([Namespace::default_namespace()]).collect();
    let mut unknown = Vec::new();
    let tokens =
        draft.config.tokens.iter().map(|(name, token)| (format!("tokens.{name}"), &token.namespaces));
    let rules = (1..).zip(&draft.config.oidc).flat_map(|(issuer, oidc)| {
        let rules = (1..).zip(&oidc.rules);
        rules.map(move |(rule, own)| (format!("oidc[{issuer}].rules[{rule}]"), &own.namespaces))
    });
    for (name, scopes) in tokens.chain(rules) {
        for pattern in scopes {
            let is_layer = |namespace: &Namespace| {
                draft.config.namespace_patterns.keys().any(|pattern| pattern.matches(namespace.as_str()))
            };
            if let NamespaceScope::Exactly(namespace) = pattern
                && !known.contains(namespace)
                && !is_layer(namespace)
            {
                unknown.push((format!("{name}.namespaces"), namespace.clone()));
            }
        }
    }
    for (key, namespace) in unknown {
        let hint = did_you_mean(namespace.as_str(), known.iter().map(Namespace::as_str));
        draft.problem_with(
            &key,
            format!(
                "there is no namespace {namespace}{hint}: correct it, or add a table [namespaces.{namespace}]"
            ),
        );
    }
}

/// Checks that the data directory is there and can be written, or can be made. Changes nothing.
pub(super) fn data_dir(draft: &mut Draft) {
    if !draft.is_sound("data_dir") {
        return;
    }
    let dir = draft.config.data_dir.clone();
    if let Err(reason) = usable(&dir) {
        draft.problem_with(
            "data_dir",
            format!(
                "cannot use {} ({reason}): name a directory that larder may write, or give this one to \
                 larder's user",
                dir.display()
            ),
        );
    }
}

pub(super) fn usable(dir: &Path) -> Result<(), String> {
    let existing = nearest_existing(dir).map_err(|error| error.to_string())?;
    let shown = existing.display();
    if !existing.is_dir() {
        return Err(format!("{shown} is not a directory"));
    }
    // Asks the kernel and not a trial file: a check leaves nothing behind even when it is killed.
    rustix::fs::access(&existing, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{shown} cannot be written: {}", io::Error::from(error)))
}

/// The path itself or its nearest ancestor that exists: where the missing rest would be made.
fn nearest_existing(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    for ancestor in absolute.ancestors() {
        match ancestor.metadata() {
            Ok(_) => return Ok(ancestor.to_owned()),
            // Below a regular file: the file in the way is an ancestor, and is found next.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(absolute)
}

pub(super) fn size(bytes: u64) -> String {
    Size::print(&bytes).unwrap_or_default()
}
