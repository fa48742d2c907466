//! Where an object lies in the bucket: below its namespace's name, or where the namespace says.
//!
//! A path belongs to one namespace, that of the longest prefix. A key that would lie below another namespace's prefix lies
//! nowhere: whoever may write the one must not write the other.

use std::collections::BTreeMap;

use super::budget::OWN_PREFIX;
use crate::cache::CacheOptions;
use crate::key::{Namespace, NamespacePattern, ObjectKey, ObjectName};

/// The places of all namespaces.
pub(super) struct Layout {
    /// The namespaces that name a prefix of their own.
    own: BTreeMap<Namespace, String>,
    named: Vec<Namespace>,
    patterns: Vec<NamespacePattern>,
}

impl Layout {
    pub(super) fn new(options: &CacheOptions) -> Self {
        let own = options.namespaces.iter().filter_map(|(name, own)| {
            Some((name.clone(), own.bucket_prefix.as_ref()?.trim_matches('/').to_owned()))
        });
        Self {
            own: own.collect(),
            named: options.namespaces.keys().cloned().chain([Namespace::default_namespace()]).collect(),
            patterns: options.namespace_patterns.keys().cloned().collect(),
        }
    }

    /// The directory below the bucket's own prefix where a namespace's objects lie; empty: at the top. `None`: nowhere.
    pub(super) fn place<'a>(&'a self, namespace: &'a Namespace) -> Option<&'a str> {
        let own = self.own.get(namespace).map_or(namespace.as_str(), String::as_str);
        (!namespace.is_uploads()).then_some(own)
    }

    /// Where the object lies below the bucket's own prefix.
    pub(super) fn below(&self, name: &ObjectName) -> Option<String> {
        if name.key.is_probe() {
            return None;
        }
        let key = name.key.as_str();
        let below = match self.place(&name.namespace)? {
            "" => key.to_owned(),
            place => format!("{place}/{key}"),
        };
        (self.name(&below).as_ref() == Some(name)).then_some(below)
    }

    /// Whose object lies there.
    pub(super) fn name(&self, below: &str) -> Option<ObjectName> {
        if below.starts_with(OWN_PREFIX) {
            return None;
        }
        let own = self.own.iter().filter_map(|(namespace, prefix)| {
            let key = if prefix.is_empty() {
                below
            } else {
                below.strip_prefix(prefix.as_str())?.strip_prefix('/')?
            };
            Some((prefix.len(), namespace.clone(), key))
        });
        let by_name = below.split_once('/').and_then(|(first, key)| {
            let namespace = Namespace::new(first).ok()?;
            let is_known =
                self.named.contains(&namespace) || self.patterns.iter().any(|pattern| pattern.matches(first));
            (is_known && !self.own.contains_key(&namespace)).then_some((first.len(), namespace, key))
        });
        let (_, namespace, key) = own.chain(by_name).max_by_key(|(length, ..)| *length)?;
        Some(ObjectName { namespace, key: ObjectKey::new(key).ok()? })
    }
}
