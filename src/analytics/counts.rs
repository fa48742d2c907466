//! Hits, misses and stored objects by namespace and protocol.
//!
//! Owns the label values and their counters, each resolved once, so that a request finds them by comparing names. Knows
//! neither requests nor builds.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use prometheus::{Counter, CounterVec, IntCounter, IntCounterVec};

use crate::config::Config;
use crate::key::{Namespace, NamespacePattern};
use crate::metrics::Metrics;

/// What a namespace that is not in the configuration counts as. No namespace can have this name.
const UNCONFIGURED: &str = "(unconfigured)";

/// Which protocol a request speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// GET, HEAD, PUT, DELETE of objects, and methods that no protocol knows.
    #[default]
    Plain,
    /// What only WebDAV has: OPTIONS, PROPFIND, MKCOL, COPY, MOVE, and DELETE of a collection.
    WebDav,
    /// S3: signed with Signature V4, or with headers or parameters that only S3 has.
    S3,
}

impl Protocol {
    /// Every protocol, for tables of metrics.
    pub const ALL: &[Self] = &[Self::Plain, Self::WebDav, Self::S3];

    /// The label in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::WebDav => "webdav",
            Self::S3 => "s3",
        }
    }
}

/// Counts since the start.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Totals {
    /// GETs that found their object.
    pub hits: u64,
    /// GETs that did not.
    pub misses: u64,
    /// PUTs that stored theirs.
    pub stored: u64,
    /// Bytes of bodies that hits sent.
    pub hit_bytes: u64,
    /// What the hits' objects had cost to make, in seconds.
    pub time_saved_seconds: f64,
}

/// Counts of one namespace, or of all that a pattern matches.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NamespaceTotals<'a> {
    /// The namespace, or the pattern, or `(unconfigured)`.
    pub name: &'a str,
    /// Its counts.
    pub totals: Totals,
}

/// The counters.
pub(super) struct Counts {
    vectors: Vectors,
    /// The first is that of everything unconfigured.
    groups: Vec<Group>,
    named: BTreeMap<Namespace, usize>,
    /// The first one that matches counts.
    patterns: Vec<(NamespacePattern, usize)>,
}

struct Vectors {
    hits: IntCounterVec,
    misses: IntCounterVec,
    stored: IntCounterVec,
    hit_bytes: IntCounterVec,
    time_saved: CounterVec,
}

struct Group {
    label: String,
    by_protocol: [Handles; Protocol::ALL.len()],
    time_saved: OnceLock<Counter>,
}

/// Each made when it is first wanted, so that `/metrics` lists only what occurred.
#[derive(Default)]
struct Handles {
    hits: OnceLock<IntCounter>,
    misses: OnceLock<IntCounter>,
    stored: OnceLock<IntCounter>,
    hit_bytes: OnceLock<IntCounter>,
}

impl Counts {
    pub(super) fn new(config: &Config, metrics: &Metrics) -> Self {
        let vectors = Vectors {
            hits: metrics.hits.clone(),
            misses: metrics.misses.clone(),
            stored: metrics.stored.clone(),
            hit_bytes: metrics.hit_bytes.clone(),
            time_saved: metrics.time_saved.clone(),
        };
        let mut counts = Self {
            vectors,
            groups: vec![Group::new(UNCONFIGURED)],
            named: BTreeMap::new(),
            patterns: Vec::new(),
        };
        let default = Namespace::default_namespace();
        let others = config.namespaces.keys().filter(|name| **name != default);
        for name in std::iter::once(&default).chain(others) {
            let group = counts.add(name.as_str());
            counts.named.insert(name.clone(), group);
        }
        // In the order of the map: the longest first.
        for pattern in config.namespace_patterns.keys() {
            let group = counts.add(pattern.as_str());
            counts.patterns.push((pattern.clone(), group));
        }
        counts
    }

    pub(super) fn hit(&self, namespace: &Namespace, protocol: Protocol, bytes: u64, cost_ms: u32) {
        let group = self.group(namespace);
        let handles = &group.by_protocol[protocol as usize];
        counter(&handles.hits, &self.vectors.hits, group, protocol).inc();
        counter(&handles.hit_bytes, &self.vectors.hit_bytes, group, protocol).inc_by(bytes);
        if cost_ms > 0 {
            let counter = group
                .time_saved
                .get_or_init(|| self.vectors.time_saved.with_label_values(&[group.label.as_str()]));
            counter.inc_by(f64::from(cost_ms) / 1000.0);
        }
    }

    pub(super) fn miss(&self, namespace: &Namespace, protocol: Protocol) {
        let group = self.group(namespace);
        let handles = &group.by_protocol[protocol as usize];
        counter(&handles.misses, &self.vectors.misses, group, protocol).inc();
    }

    pub(super) fn stored(&self, namespace: &Namespace, protocol: Protocol) {
        let group = self.group(namespace);
        let handles = &group.by_protocol[protocol as usize];
        counter(&handles.stored, &self.vectors.stored, group, protocol).inc();
    }

    pub(super) fn totals(&self) -> Totals {
        self.groups.iter().map(Group::totals).fold(Totals::default(), Totals::plus)
    }

    pub(super) fn namespaces(&self) -> impl Iterator<Item = NamespaceTotals<'_>> {
        self.groups.iter().map(|group| NamespaceTotals { name: &group.label, totals: group.totals() })
    }

    fn add(&mut self, label: &str) -> usize {
        self.groups.push(Group::new(label));
        self.groups.len() - 1
    }

    fn group(&self, namespace: &Namespace) -> &Group {
        let of_pattern = || {
            let matching = self.patterns.iter().find(|(pattern, _)| pattern.matches(namespace.as_str()));
            matching.map_or(0, |(_, group)| *group)
        };
        &self.groups[self.named.get(namespace).copied().unwrap_or_else(of_pattern)]
    }
}

fn counter<'a>(
    handle: &'a OnceLock<IntCounter>,
    vector: &IntCounterVec,
    group: &Group,
    protocol: Protocol,
) -> &'a IntCounter {
    handle.get_or_init(|| vector.with_label_values(&[group.label.as_str(), protocol.as_str()]))
}

impl Group {
    fn new(label: &str) -> Self {
        Self { label: label.to_owned(), by_protocol: Default::default(), time_saved: OnceLock::new() }
    }

    fn totals(&self) -> Totals {
        let value = |handle: &OnceLock<IntCounter>| handle.get().map_or(0, IntCounter::get);
        let of_protocol = |handles: &Handles| Totals {
            hits: value(&handles.hits),
            misses: value(&handles.misses),
            stored: value(&handles.stored),
            hit_bytes: value(&handles.hit_bytes),
            time_saved_seconds: 0.0,
        };
        let time_saved_seconds = self.time_saved.get().map_or(0.0, Counter::get);
        let start = Totals { time_saved_seconds, ..Totals::default() };
        self.by_protocol.iter().map(of_protocol).fold(start, Totals::plus)
    }
}

impl Totals {
    fn plus(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            stored: self.stored + other.stored,
            hit_bytes: self.hit_bytes + other.hit_bytes,
            time_saved_seconds: self.time_saved_seconds + other.time_saved_seconds,
        }
    }

    /// The share of GETs, 0 to 1, that found their object; `None` when there were none.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        ratio(self.hits, self.misses)
    }
}

/// The share of `hits` in both together.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a ratio to be looked at")]
pub fn ratio(hits: u64, misses: u64) -> Option<f64> {
    let all = hits + misses;
    (all > 0).then(|| hits as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NamespaceConfig;

    #[test]
    fn each_namespace_counts_under_its_name_or_its_pattern() {
        let mut config = Config::default();
        config.namespaces.insert(Namespace::new("team").unwrap(), NamespaceConfig::default());
        for pattern in ["pr-*", "pr-1*"] {
            let pattern = NamespacePattern::new(pattern).unwrap();
            config.namespace_patterns.insert(pattern, NamespaceConfig::default());
        }
        let metrics = Metrics::new().unwrap();
        let counts = Counts::new(&config, &metrics);
        for (namespace, label) in [
            ("default", "default"),
            ("team", "team"),
            ("pr-2", "pr-*"),
            ("pr-12", "pr-1*"),
            ("gone", UNCONFIGURED),
        ] {
            let namespace = Namespace::new(namespace).unwrap();
            counts.hit(&namespace, Protocol::S3, 10, 1500);
            counts.miss(&namespace, Protocol::Plain);
            counts.stored(&namespace, Protocol::Plain);
            assert_eq!(metrics.hits.with_label_values(&[label, "s3"]).get(), 1, "{label}");
            assert_eq!(metrics.hit_bytes.with_label_values(&[label, "s3"]).get(), 10);
            assert_eq!(metrics.misses.with_label_values(&[label, "plain"]).get(), 1);
            assert_eq!(metrics.stored.with_label_values(&[label, "plain"]).get(), 1);
            let found = counts.namespaces().find(|found| found.name == label).unwrap().totals;
            assert_eq!((found.hits, found.misses, found.hit_ratio()), (1, 1, Some(0.5)));
        }
        let all = counts.totals();
        assert_eq!((all.hits, all.misses, all.stored, all.hit_bytes), (5, 5, 5, 50));
        assert!((all.time_saved_seconds - 7.5).abs() < 1e-9);
        assert_eq!(counts.namespaces().count(), 5);
        assert_eq!(Totals::default().hit_ratio(), None);
    }
}
