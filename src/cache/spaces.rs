//! The rules of namespaces: which ones a namespace has, what it may hold, how long, and what lies below it.
//!
//! Made once from the configuration. Every namespace belongs to a group of the table: one with a table of its own in the
//! configuration is a group, all that a pattern matches are another, and what is stored in namespaces that are not
//! configured any more is the first. Knows nothing of records, and nobody is evicted here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::CacheOptions;
use crate::config::{DEFAULT_IDLE_EXPIRY, NamespaceConfig, Overwrite};
use crate::index::table::{Slot, Space};
use crate::key::{Namespace, NamespacePattern, ObjectName};

/// What the first group is called in metrics. No namespace can have this name.
const UNCONFIGURED: &str = "(unconfigured)";
/// A writer who finds its group this part of the quota above it evicts before going on.
const FAR_ABOVE_PART: u64 = 16;
/// Down to this part below the quota eviction goes, so that not every write evicts.
const BELOW_PART: u64 = 128;

/// The rules of one group.
#[derive(Debug)]
pub(super) struct Rules {
    /// The namespace or the pattern, for metrics and logs.
    pub(super) label: String,
    /// Largest object in bytes.
    pub(super) max_object_size: u64,
    /// Most bytes of disk blocks.
    pub(super) quota: Option<u64>,
    /// True when another body than the stored one is refused.
    pub(super) write_once: bool,
    /// Time that an object lives, in milliseconds.
    ttl_ms: Option<u64>,
    /// Time without a use after which a namespace is removed, in microseconds.
    idle_us: Option<u64>,
    /// What is read where a namespace has no object, in this order.
    bases: Vec<Namespace>,
}

/// The rules of all namespaces.
#[derive(Debug)]
pub(super) struct Spaces {
    groups: Vec<Rules>,
    named: HashMap<Namespace, u16>,
    /// The first one that matches counts.
    patterns: Vec<(NamespacePattern, u16)>,
    instances: RandomState,
}

impl Spaces {
    pub(super) fn new(options: &CacheOptions) -> Self {
        let mut spaces = Self {
            groups: Vec::new(),
            named: HashMap::new(),
            patterns: Vec::new(),
            instances: RandomState::new(),
        };
        let unlimited = NamespaceConfig::default();
        spaces.add(options, UNCONFIGURED, &unlimited);
        let default = Namespace::default_namespace();
        let default_rules = options.namespaces.get(&default).unwrap_or(&unlimited);
        let named = options.namespaces.iter().filter(|(name, _)| **name != default);
        for (name, own) in named.chain([(&default, default_rules)]) {
            let group = spaces.add(options, name.as_str(), own);
            spaces.named.insert(name.clone(), group);
        }
        // In the order of the map: the longest first.
        for (pattern, own) in &options.namespace_patterns {
            let group = spaces.add(options, pattern.as_str(), own);
            spaces.groups[usize::from(group)].idle_us =
                Some(in_us(own.idle_expiry.unwrap_or(DEFAULT_IDLE_EXPIRY)));
            spaces.patterns.push((pattern.clone(), group));
        }
        spaces
    }

    fn add(&mut self, options: &CacheOptions, label: &str, own: &NamespaceConfig) -> u16 {
        // Tables past the number of groups there can be are as good as none.
        let Ok(group) = u16::try_from(self.groups.len()) else { return 0 };
        self.groups.push(Rules {
            label: label.to_owned(),
            max_object_size: own.largest_object(options.max_object_size),
            quota: own.quota,
            write_once: own.overwrite == Overwrite::Never,
            ttl_ms: own.ttl.map(|ttl| in_us(ttl) / 1000),
            idle_us: None,
            bases: bases(options, own),
        });
        group
    }

    /// Number of groups.
    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.groups.len()).unwrap_or(u16::MAX)
    }

    /// Where the objects of a namespace belong.
    pub(super) fn of(&self, namespace: &Namespace) -> Space {
        if let Some(group) = self.named.get(namespace) {
            return Space { group: *group, instance: 0 };
        }
        let matching = self.patterns.iter().find(|(pattern, _)| pattern.matches(namespace.as_str()));
        match matching {
            // Two namespaces that meet in this hash are idle together; nothing else hangs on it.
            Some((_, group)) => {
                let [a, b, c, d, ..] = self.instances.hash_one(namespace).to_le_bytes();
                Space { group: *group, instance: u32::from_le_bytes([a, b, c, d]) }
            }
            None => Space::default(),
        }
    }

    /// Where an object belongs. The parts of an upload belong where it goes, so that its quota holds for them.
    pub(super) fn of_object(&self, name: &ObjectName) -> Space {
        if name.namespace.is_uploads() {
            let namespace = Namespace::new(name.key.first_segment());
            return namespace.map_or_else(|_| Space::default(), |namespace| self.of(&namespace));
        }
        self.of(&name.namespace)
    }

    /// The rules of a group.
    pub(super) fn rules(&self, group: u16) -> &Rules {
        &self.groups[usize::from(group)]
    }

    /// All groups with their rules.
    pub(super) fn all(&self) -> impl Iterator<Item = (u16, &Rules)> {
        (0..).zip(&self.groups)
    }

    /// The namespaces to read one after the other where `namespace` has no object.
    pub(super) fn bases(&self, namespace: &Namespace) -> &[Namespace] {
        &self.rules(self.of(namespace).group).bases
    }

    /// True when the object's time is over.
    pub(super) fn is_expired(&self, slot: &Slot, now_ms: impl FnOnce() -> u64) -> bool {
        let rules = self.rules(slot.space.group);
        rules.expires() && rules.is_over(slot.created_ms, now_ms())
    }

    /// How long, in microseconds, a namespace of this group may be idle, where that matters.
    pub(super) fn idle_us(&self, group: u16) -> Option<u64> {
        self.rules(group).idle_us
    }

    /// The shortest time, in milliseconds, that any rule gives an object or a namespace.
    pub(super) fn shortest_ms(&self) -> Option<u64> {
        let times = |rules: &Rules| [rules.ttl_ms, rules.idle_us.map(|us| us / 1000)];
        self.groups.iter().flat_map(times).flatten().min()
    }
}

impl Rules {
    /// True when objects have a time to live.
    pub(super) fn expires(&self) -> bool {
        self.ttl_ms.is_some()
    }

    /// True when the time of an object that was stored at `created_ms` is over.
    pub(super) fn is_over(&self, created_ms: u64, now_ms: u64) -> bool {
        self.ttl_ms.is_some_and(|ttl_ms| created_ms.saturating_add(ttl_ms) <= now_ms)
    }

    /// True when a group that takes `bytes` is above its quota.
    pub(super) fn is_above(&self, bytes: u64) -> bool {
        self.quota.is_some_and(|quota| bytes > quota)
    }

    /// True when it is so far above that its writers have to wait.
    pub(super) fn is_far_above(&self, bytes: u64) -> bool {
        self.quota.is_some_and(|quota| bytes > quota.saturating_add(quota / FAR_ABOVE_PART))
    }

    /// Down to where a group above its quota is evicted from.
    pub(super) fn low_mark(&self) -> u64 {
        self.quota.map_or(u64::MAX, |quota| quota - quota / BELOW_PART)
    }
}

/// The bases of a namespace with these settings, the nearest first. The configuration has no circles; here one would end
/// where it closes.
fn bases(options: &CacheOptions, own: &NamespaceConfig) -> Vec<Namespace> {
    let mut found: Vec<Namespace> = Vec::new();
    let mut next = own.base.as_ref();
    while let Some(base) = next.filter(|base| !found.contains(base)) {
        found.push(base.clone());
        next = options.namespaces.get(base).and_then(|own| own.base.as_ref());
    }
    found
}

fn in_us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn namespace(name: &str) -> Namespace {
        Namespace::new(name).unwrap()
    }

    fn on(base: &str) -> NamespaceConfig {
        NamespaceConfig { base: Some(namespace(base)), ..NamespaceConfig::default() }
    }

    fn spaces(named: &[(&str, NamespaceConfig)], patterns: &[(&str, NamespaceConfig)]) -> Spaces {
        let mut config = Config::default();
        config.namespaces.extend(named.iter().map(|(name, own)| (namespace(name), own.clone())));
        let pattern = |text: &str| NamespacePattern::new(text).unwrap();
        config.namespace_patterns.extend(patterns.iter().map(|(text, own)| (pattern(text), own.clone())));
        Spaces::new(&CacheOptions::from(&config))
    }

    #[test]
    fn a_namespace_has_the_rules_of_its_name_or_of_the_longest_pattern() {
        let none = NamespaceConfig::default;
        let spaces = spaces(&[("pr-17", none())], &[("pr-*", none()), ("pr-1*", none())]);
        for (name, label) in [
            ("default", "default"),
            ("pr-17", "pr-17"),
            ("pr-12", "pr-1*"),
            ("pr-2", "pr-*"),
            ("gone", UNCONFIGURED),
        ] {
            let space = spaces.of(&namespace(name));
            assert_eq!(spaces.rules(space.group).label, label, "{name}");
            assert_eq!(spaces.idle_us(space.group).is_some(), label.contains('*'));
        }
        assert_ne!(spaces.of(&namespace("pr-2")), spaces.of(&namespace("pr-3")), "each its own idleness");
        assert_eq!(spaces.of(&namespace("pr-2")), spaces.of(&namespace("pr-2")));
    }

    #[test]
    fn bases_are_read_from_the_nearest_down_and_a_circle_ends() {
        let spaces = spaces(
            &[("main", on("default")), ("dev", on("main")), ("a", on("b")), ("b", on("a"))],
            &[("pr-*", on("dev"))],
        );
        let below = |name: &str| -> Vec<String> {
            spaces.bases(&namespace(name)).iter().map(ToString::to_string).collect()
        };
        assert_eq!(below("pr-1"), ["dev", "main", "default"]);
        assert_eq!(below("default"), Vec::<String>::new());
        assert_eq!(below("a"), ["b", "a"]);
    }

    #[test]
    fn the_marks_of_a_quota_lie_around_it() {
        let quota = NamespaceConfig { quota: Some(128 << 20), ..NamespaceConfig::default() };
        let spaces = spaces(&[("small", quota)], &[]);
        let rules = spaces.rules(spaces.of(&namespace("small")).group);
        assert!(!rules.is_above(128 << 20) && rules.is_above((128 << 20) + 1));
        assert!(!rules.is_far_above(136 << 20) && rules.is_far_above((136 << 20) + 1));
        assert_eq!(rules.low_mark(), 127 << 20);
        assert!(!spaces.rules(0).is_above(u64::MAX));
    }
}
