//! A property test: namespaces with bases, a time to live, write-once and patterns answer as plain maps would that are
//! looked through one after the other, across restarts and crashes.
//!
//! The capacity is far above what the operations can store, so nothing may be evicted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use larder::cache::{CacheError, CacheOptions, PutOptions, Stored};
use larder::config::{Durability, NamespaceConfig, Overwrite};
use larder::key::{Namespace, NamespacePattern};
use larder::object::{ObjectInfo, Precondition};
use opened::{Opened, body, name_in};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const NAMESPACES: &[&str] = &["default", "main", "pr-1", "pr-2", "brief", "once"];
const KEYS: &[&str] = &["a", "a/b", "b", "c/.sccache_check"];
const TTL_MINUTES: u64 = 60;
/// Never a divisor of the time to live: no step falls on the very end of it.
const STEP_MINUTES: u64 = 25;
const CASES: u32 = 40;

fn base_of(namespace: &str) -> Option<&'static str> {
    match namespace {
        "pr-1" | "pr-2" | "brief" => Some("main"),
        "main" | "once" => Some("default"),
        _ => None,
    }
}

fn configure(options: &mut CacheOptions) {
    let settings = |namespace: &str| NamespaceConfig {
        base: base_of(namespace).map(|base| Namespace::new(base).unwrap()),
        ttl: (namespace == "brief").then_some(Duration::from_secs(60 * TTL_MINUTES)),
        overwrite: if namespace == "once" { Overwrite::Never } else { Overwrite::Allow },
        ..NamespaceConfig::default()
    };
    for namespace in ["main", "brief", "once"] {
        options.namespaces.insert(Namespace::new(namespace).unwrap(), settings(namespace));
    }
    options.namespace_patterns.insert(NamespacePattern::new("pr-*").unwrap(), settings("pr-1"));
}

/// A namespace and a key, by their places in the lists.
type Name = (usize, usize);

#[derive(Clone, Debug)]
enum Condition {
    None,
    Absent,
    /// The version that a reader sees.
    Seen,
    /// A version that was never there.
    Other,
}

#[derive(Clone, Debug)]
enum Step {
    Put { name: Name, body: u64, condition: Condition },
    Get { name: Name },
    Delete { name: Name, condition: Condition },
    Copy { from: Name, to: Name, condition: Condition },
    List { namespace: usize },
    Pass,
    Restart,
    Crash,
}

fn steps() -> impl Strategy<Value = Step> {
    let name = || (0..NAMESPACES.len(), 0..KEYS.len());
    let condition = || {
        prop_oneof![
            5 => Just(Condition::None),
            1 => Just(Condition::Absent),
            1 => Just(Condition::Seen),
            1 => Just(Condition::Other),
        ]
    };
    prop_oneof![
        // Few bodies, so that the same one comes again.
        30 => (name(), 0..4u64, condition())
            .prop_map(|(name, body, condition)| Step::Put { name, body, condition }),
        30 => name().prop_map(|name| Step::Get { name }),
        12 => (name(), condition()).prop_map(|(name, condition)| Step::Delete { name, condition }),
        10 => (name(), name(), condition())
            .prop_map(|(from, to, condition)| Step::Copy { from, to, condition }),
        6 => (0..NAMESPACES.len()).prop_map(|namespace| Step::List { namespace }),
        6 => Just(Step::Pass),
        1 => Just(Step::Restart),
        2 => Just(Step::Crash),
    ]
}

#[derive(Clone)]
struct Known {
    body: Bytes,
    info: ObjectInfo,
    stored_at: u64,
}

struct Model {
    opened: Option<Opened>,
    objects: BTreeMap<(&'static str, &'static str), Known>,
    minutes: u64,
}

impl Model {
    fn opened(&self) -> &Opened {
        self.opened.as_ref().unwrap()
    }

    fn own(&self, namespace: &'static str, key: &'static str) -> Option<&Known> {
        let known = self.objects.get(&(namespace, key))?;
        let is_over = namespace == "brief" && known.stored_at + TTL_MINUTES <= self.minutes;
        (!is_over).then_some(known)
    }

    fn seen(&self, namespace: &'static str, key: &'static str) -> Option<&Known> {
        let below = || self.seen(base_of(namespace)?, key);
        self.own(namespace, key).or_else(below)
    }

    /// The condition as the cache is told, and whether it holds.
    fn condition(
        &self,
        (namespace, key): (&'static str, &'static str),
        condition: &Condition,
    ) -> (Precondition, bool) {
        let seen = self.seen(namespace, key);
        match condition {
            Condition::None => (Precondition::None, true),
            Condition::Absent => (Precondition::Absent, seen.is_none()),
            Condition::Seen => {
                (Precondition::Unchanged(seen.map_or(7, |known| known.info.sequence)), seen.is_some())
            }
            Condition::Other => (Precondition::Unchanged(7), false),
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Put { name, body: seed, condition } => {
                let to = named(name);
                let body = body(seed, if seed == 0 { 300_000 } else { 5000 });
                let (precondition, holds) = self.condition(to, &condition);
                let stored = self.put(to, &body, precondition).await;
                self.written(to, body, stored, holds);
            }
            Step::Get { name } => self.check(named(name)).await,
            Step::Delete { name, condition } => {
                let (namespace, key) = named(name);
                let (precondition, holds) = self.condition((namespace, key), &condition);
                let there = self.own(namespace, key).is_some();
                let deleted = self.opened().cache.delete(&name_in(namespace, key), precondition).await;
                if holds {
                    assert_eq!(deleted.unwrap(), there, "{namespace}/{key}");
                    self.objects.remove(&(namespace, key));
                } else {
                    assert!(matches!(deleted, Err(CacheError::PreconditionFailed)), "{deleted:?}");
                }
            }
            Step::Copy { from, to, condition } => {
                let (from, to) = (named(from), named(to));
                let (precondition, holds) = self.condition(to, &condition);
                let source = self.seen(from.0, from.1).map(|known| known.body.clone());
                let (from_name, to_name) = (name_in(from.0, from.1), name_in(to.0, to.1));
                let copied = self.opened().cache.copy(&from_name, to_name, precondition).await;
                match source {
                    None => assert!(copied.unwrap().is_none(), "{from:?} is not there"),
                    Some(body) => self.written(to, body, copied.map(Option::unwrap), holds),
                }
            }
            Step::List { namespace } => self.list(NAMESPACES[namespace]).await,
            Step::Pass => {
                self.minutes += STEP_MINUTES;
                self.opened().options.clock.put_forward(Duration::from_secs(60 * STEP_MINUTES));
            }
            Step::Restart => {
                self.opened = Some(self.opened.take().unwrap().reopen(|_| {}).await);
                self.check_all().await;
            }
            Step::Crash => {
                self.opened = Some(self.opened.take().unwrap().after_crash().await);
                self.check_all().await;
            }
        }
    }

    async fn put(
        &self,
        (namespace, key): (&'static str, &'static str),
        body: &Bytes,
        precondition: Precondition,
    ) -> Result<Stored, CacheError> {
        let declared_length = (body.len() < 100_000).then_some(body.len() as u64);
        let options = PutOptions { declared_length, precondition, ..PutOptions::default() };
        let mut upload = self.opened().cache.begin_put(name_in(namespace, key), options).await?;
        upload.write(body.slice(..body.len() / 2)).await?;
        upload.write(body.slice(body.len() / 2..)).await?;
        upload.commit().await
    }

    /// Checks the outcome of a write of `body`, and takes it over.
    fn written(
        &mut self,
        to: (&'static str, &'static str),
        body: Bytes,
        outcome: Result<Stored, CacheError>,
        holds: bool,
    ) {
        let own = self.own(to.0, to.1);
        if !holds {
            assert!(matches!(outcome, Err(CacheError::PreconditionFailed)), "{to:?}: {outcome:?}");
            return;
        }
        if let Some(own) = own.filter(|_| to.0 == "once" && !to.1.ends_with(".sccache_check")) {
            match outcome {
                Ok(stored) => {
                    assert!(own.body == body, "{to:?} was replaced");
                    assert_eq!((stored.info, stored.created), (own.info, false), "{to:?}");
                }
                Err(CacheError::Exists { .. }) => assert!(own.body != body, "{to:?}: the same body"),
                Err(error) => panic!("{to:?}: {error}"),
            }
            return;
        }
        let stored = outcome.unwrap();
        assert_eq!(stored.created, own.is_none(), "{to:?}");
        self.objects.insert(to, Known { body, info: stored.info, stored_at: self.minutes });
    }

    async fn check(&self, (namespace, key): (&'static str, &'static str)) {
        let expected = self.seen(namespace, key);
        let found = self.opened().cache.head(&name_in(namespace, key)).await.unwrap();
        assert_eq!(found, expected.map(|known| known.info), "{namespace}/{key}");
        let found = self.opened().get_as(&name_in(namespace, key)).await;
        assert!(found.as_deref() == expected.map(|known| &*known.body), "{namespace}/{key}: another body");
    }

    async fn list(&self, namespace: &'static str) {
        let listed =
            self.opened().cache.list(&Namespace::new(namespace).unwrap(), "", None, 99).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|row| (row.key.as_str().to_owned(), row.info)).collect();
        let own = |key: &'static str| Some((key.to_owned(), self.own(namespace, key)?.info));
        let expected: Vec<_> = KEYS.iter().filter_map(|key| own(key)).collect();
        assert_eq!(listed, expected, "{namespace}");
    }

    async fn check_all(&self) {
        for namespace in NAMESPACES {
            self.list(namespace).await;
            for key in KEYS {
                self.check((namespace, key)).await;
            }
        }
        assert_eq!(self.opened().metrics.damaged.get(), 0, "records taken for damaged");
    }
}

fn named((namespace, key): Name) -> (&'static str, &'static str) {
    (NAMESPACES[namespace], KEYS[key])
}

fn holds_for(durability: Durability, punch_holes: bool) {
    let seed = opened::seed();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let cases = (any::<bool>(), prop::collection::vec(steps(), 1..120));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome = runner.run(&cases, |(tier, steps)| {
        runtime.block_on(async {
            let opened = Opened::new(256 << 20, |options| {
                options.durability = durability;
                options.punch_holes = punch_holes;
                options.memory_tier = if tier { 64 << 20 } else { 0 };
                configure(options);
            });
            let mut model = Model { opened: Some(opened.await), objects: BTreeMap::new(), minutes: 0 };
            for step in steps {
                model.step(step).await;
            }
            model.check_all().await;
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn namespaces_answer_as_maps_on_top_of_each_other() {
    holds_for(Durability::Periodic, true);
}

#[test]
fn namespaces_that_wait_for_the_disk_answer_as_maps_without_hole_punching() {
    holds_for(Durability::Commit, false);
}
