//! The namespaces that paths can name, each with its limit on object size.
//!
//! Made once from the configuration. It knows nothing of requests or of what a namespace holds.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::key::Namespace;

/// The configured namespaces and `default`, which is always there.
#[derive(Clone, Debug)]
pub struct Namespaces {
    limits: BTreeMap<Namespace, u64>,
    default: Namespace,
    default_limit: u64,
}

impl Namespaces {
    /// Takes the namespaces and their `max_object_size` (bytes) from the configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let default = Namespace::default_namespace();
        let mut limits: BTreeMap<_, _> = config
            .namespaces
            .iter()
            .map(|(name, own)| (name.clone(), own.max_object_size.unwrap_or(config.max_object_size)))
            .collect();
        let default_limit = *limits.entry(default.clone()).or_insert(config.max_object_size);
        Self { limits, default, default_limit }
    }

    /// The namespace of this name, where it is configured.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Namespace> {
        self.limits.get_key_value(name).map(|(namespace, _)| namespace)
    }

    /// The namespace of paths that name none.
    #[must_use]
    pub fn default_namespace(&self) -> &Namespace {
        &self.default
    }

    /// Largest object that `namespace` takes, in bytes.
    #[must_use]
    pub fn max_object_size(&self, namespace: &Namespace) -> u64 {
        self.limits.get(namespace).copied().unwrap_or(self.default_limit)
    }

    /// Every namespace, in byte order of the names.
    pub fn iter(&self) -> impl Iterator<Item = &Namespace> {
        self.limits.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NamespaceConfig;

    #[test]
    fn default_is_always_there_and_limits_are_per_namespace() {
        let mut config = Config { max_object_size: 100, ..Config::default() };
        let small = Namespace::new("small").unwrap();
        config.namespaces.insert(small.clone(), NamespaceConfig { max_object_size: Some(10) });
        let namespaces = Namespaces::new(&config);
        assert_eq!(namespaces.max_object_size(&small), 10);
        assert_eq!(namespaces.max_object_size(namespaces.default_namespace()), 100);
        assert_eq!(namespaces.find("default"), Some(namespaces.default_namespace()));
        assert_eq!(namespaces.find("smal"), None);
        assert_eq!(namespaces.iter().count(), 2);
    }
}
