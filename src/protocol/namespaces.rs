//! The namespaces that paths can name, each with its limit on object size.
//!
//! Made once from the configuration. It knows nothing of requests or of what a namespace holds, and so not whether one
//! that a pattern matches has anything in it.

use std::collections::BTreeMap;

use crate::config::{Config, NamespaceConfig};
use crate::key::{Namespace, NamespacePattern};

/// The configured namespaces, `default`, which is always there, and all that a configured pattern matches.
#[derive(Clone, Debug)]
pub struct Namespaces {
    limits: BTreeMap<Namespace, u64>,
    /// The first one that matches counts.
    patterns: Vec<(NamespacePattern, u64)>,
    default: Namespace,
    default_limit: u64,
}

impl Namespaces {
    /// Takes the namespaces and the largest objects they take (bytes) from the configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let default = Namespace::default_namespace();
        let limit = |own: &NamespaceConfig| own.largest_object(config.max_object_size);
        let mut limits: BTreeMap<_, _> =
            config.namespaces.iter().map(|(name, own)| (name.clone(), limit(own))).collect();
        let default_limit = *limits.entry(default.clone()).or_insert(config.max_object_size);
        // In the order of the map: the longest first.
        let patterns =
            config.namespace_patterns.iter().map(|(pattern, own)| (pattern.clone(), limit(own))).collect();
        Self { limits, patterns, default, default_limit }
    }

    /// The namespace of this name, where it is configured or a pattern matches it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Namespace> {
        match self.limits.get_key_value(name) {
            Some((namespace, _)) => Some(namespace.clone()),
            None if self.is_claimed(name) => Namespace::new(name).ok(),
            None => None,
        }
    }

    /// True when a pattern matches `name`, which may still be no good name for a namespace. Such a name belongs to
    /// nobody, rather than to a key of `default`.
    #[must_use]
    pub fn is_claimed(&self, name: &str) -> bool {
        self.pattern_limit(name).is_some()
    }

    /// The namespace of paths that name none.
    #[must_use]
    pub fn default_namespace(&self) -> &Namespace {
        &self.default
    }

    /// Largest object that `namespace` takes, in bytes.
    #[must_use]
    pub fn max_object_size(&self, namespace: &Namespace) -> u64 {
        let own = self.limits.get(namespace).copied();
        own.or_else(|| self.pattern_limit(namespace.as_str())).unwrap_or(self.default_limit)
    }

    /// Every namespace with a name of its own in the configuration, and `default`, in byte order of the names. Those of
    /// patterns are not among them.
    pub fn iter(&self) -> impl Iterator<Item = &Namespace> {
        self.limits.keys()
    }

    fn pattern_limit(&self, name: &str) -> Option<u64> {
        self.patterns.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, limit)| *limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(max_object_size: u64) -> NamespaceConfig {
        NamespaceConfig { max_object_size: Some(max_object_size), ..NamespaceConfig::default() }
    }

    #[test]
    fn default_is_always_there_and_limits_are_per_namespace() {
        let mut config = Config { max_object_size: 100, ..Config::default() };
        let small = Namespace::new("small").unwrap();
        config.namespaces.insert(small.clone(), own(10));
        let narrow = Namespace::new("narrow").unwrap();
        let quota = NamespaceConfig { quota: Some(50), ..NamespaceConfig::default() };
        config.namespaces.insert(narrow.clone(), quota);
        let namespaces = Namespaces::new(&config);
        assert_eq!(namespaces.max_object_size(&small), 10);
        assert_eq!(namespaces.max_object_size(&narrow), 50, "what is larger than its quota cannot stay");
        assert_eq!(namespaces.max_object_size(namespaces.default_namespace()), 100);
        assert_eq!(namespaces.find("default").as_ref(), Some(namespaces.default_namespace()));
        assert_eq!(namespaces.find("smal"), None);
        assert_eq!(namespaces.iter().count(), 3);
    }

    #[test]
    fn exact_names_win_over_patterns_and_longer_patterns_over_shorter() {
        let mut config = Config { max_object_size: 100, ..Config::default() };
        for (pattern, limit) in [("pr-*", 20), ("pr-1*", 30)] {
            config.namespace_patterns.insert(NamespacePattern::new(pattern).unwrap(), own(limit));
        }
        config.namespaces.insert(Namespace::new("pr-17").unwrap(), own(40));
        let namespaces = Namespaces::new(&config);
        for (name, limit) in [("pr-2", 20), ("pr-12", 30), ("pr-17", 40), ("other", 100)] {
            assert_eq!(namespaces.max_object_size(&Namespace::new(name).unwrap()), limit, "{name}");
            assert_eq!(namespaces.find(name).is_some(), name != "other");
        }
        assert_eq!(namespaces.iter().count(), 2, "the one of its own name, and default");
    }
}
