//! The settings of namespaces, and what makes a set of them wrong.
//!
//! Owns the `[namespaces.NAME]` tables' meaning and the rules between them: bases that exist and lead nowhere back,
//! quotas that fit. Knows nothing of how values are written or of what a namespace holds.

use std::time::Duration;

use super::Config;
use super::load::Draft;
use super::problem::did_you_mean;
use super::rules::size;
use crate::key::{DEFAULT_NAMESPACE, Namespace, NamespacePattern};

/// A namespace of a pattern is removed when it was idle for so long, where nothing else is configured.
pub const DEFAULT_IDLE_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Below this a quota holds hardly an object. In bytes.
pub const MIN_QUOTA: u64 = 1 << 20;

/// What a PUT to an existing key does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overwrite {
    /// It replaces the object.
    #[default]
    Allow,
    /// Another body than the stored one is refused.
    Never,
}

/// Settings of one namespace, or of all that a pattern matches.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NamespaceConfig {
    /// Largest object in bytes, where it differs from the server's.
    pub max_object_size: Option<u64>,
    /// Most bytes of disk blocks that its objects may take; those of a pattern's namespaces together.
    pub quota: Option<u64>,
    /// Time after its write from which an object counts as gone.
    pub ttl: Option<Duration>,
    /// The namespace that is read where this one has no object.
    pub base: Option<Namespace>,
    /// What a PUT to an existing key does.
    pub overwrite: Overwrite,
    /// For patterns: a namespace that nobody used for this time is removed. `None`: [`DEFAULT_IDLE_EXPIRY`].
    pub idle_expiry: Option<Duration>,
    /// Where its objects lie in the bucket, instead of below its name; empty: at the top.
    pub bucket_prefix: Option<String>,
}

impl NamespaceConfig {
    /// Largest object that it takes, in bytes, on a server whose own limit is `server`.
    #[must_use]
    pub fn largest_object(&self, server: u64) -> u64 {
        self.max_object_size.unwrap_or(server).min(self.quota.unwrap_or(u64::MAX))
    }
}

impl Config {
    /// Every `[namespaces.NAME]` table, those of patterns behind the others.
    pub(super) fn namespace_tables(&self) -> impl Iterator<Item = (&str, &NamespaceConfig)> {
        let named = self.namespaces.iter().map(|(name, own)| (name.as_str(), own));
        named.chain(self.namespace_patterns.iter().map(|(pattern, own)| (pattern.as_str(), own)))
    }

    fn base_of(&self, namespace: &Namespace) -> Option<&Namespace> {
        self.namespaces.get(namespace)?.base.as_ref()
    }
}

/// Checks the tables against each other and against the server's settings.
pub(super) fn between_keys(draft: &mut Draft) {
    let mut found = Vec::new();
    let config = &draft.config;
    let capacity = draft.is_sound("capacity").then_some(config.capacity);
    for (name, own) in config.namespace_tables() {
        let key = |setting: &str| format!("namespaces.{name}.{setting}");
        for (setting, time) in [("ttl", own.ttl), ("idle_expiry", own.idle_expiry)] {
            if time == Some(Duration::ZERO) {
                found.push((
                    key(setting),
                    "0 would keep nothing: write a time such as 7d, or leave it out".into(),
                ));
            }
        }
        if own.idle_expiry.is_some() && !name.contains('*') {
            let text = "only the namespaces of a pattern such as pr-* come and go: use ttl, or leave it out";
            found.push((key("idle_expiry"), text.to_owned()));
        }
        if let Some(quota) = own.quota {
            found.extend(quota_problem(quota, own, capacity).map(|text| (key("quota"), text)));
        }
        if let Some(base) = &own.base {
            found.extend(base_problem(config, name, base).map(|text| (key("base"), text)));
        }
    }
    for (key, text) in found {
        draft.problem_with(&key, text);
    }
}

fn quota_problem(quota: u64, own: &NamespaceConfig, capacity: Option<u64>) -> Option<String> {
    if quota < MIN_QUOTA {
        return Some(format!("{} is too small: write at least {}", size(quota), size(MIN_QUOTA)));
    }
    if let Some(capacity) = capacity.filter(|capacity| quota > *capacity) {
        let (quota, capacity) = (size(quota), size(capacity));
        return Some(format!("{quota} is above the capacity of {capacity}: lower it, or leave it out"));
    }
    let largest = own.max_object_size.filter(|largest| *largest > quota)?;
    let (quota, largest) = (size(quota), size(largest));
    Some(format!("{quota} does not hold one object of max_object_size ({largest}): raise it, or lower that"))
}

fn base_problem(config: &Config, name: &str, base: &Namespace) -> Option<String> {
    if !config.namespaces.contains_key(base) && base.as_str() != DEFAULT_NAMESPACE {
        let known = config.namespaces.keys().map(Namespace::as_str).chain([DEFAULT_NAMESPACE]);
        let hint = did_you_mean(base.as_str(), known);
        return Some(format!(
            "there is no namespace {base}{hint}: name one that has a table of its own, [namespaces.{base}]"
        ));
    }
    if NamespacePattern::new(name).is_ok_and(|pattern| pattern.matches(base.as_str())) {
        return Some(format!(
            "the pattern matches its own base {base}, so a token for {name} may write there: give the base another name"
        ));
    }
    let mut way = vec![name];
    let mut next = Some(base);
    while let Some(step) = next {
        if step.as_str() == name {
            let way = way.join(" -> ");
            return Some(format!("its bases lead back to itself ({way} -> {name}): remove one of them"));
        }
        if way.contains(&step.as_str()) {
            // Another namespace's circle; it is told there.
            return None;
        }
        way.push(step.as_str());
        next = config.base_of(step);
    }
    None
}
