//! A property test: whatever is done to a cache, it answers as a plain map would, across restarts and crashes.
//!
//! The capacity is far above what the operations can store, so nothing may be evicted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/opened.rs"]
mod opened;

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use larder::cache::{CacheError, PutOptions};
use larder::config::{Durability, Verify};
use larder::key::Namespace;
use larder::object::{ObjectInfo, Precondition};
use opened::{Opened, body, name};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Above 8 MiB a body gets a file of its own.
const GATHERED: usize = 8 << 20;
const KEYS: &[&str] = &["a", "a/b", "a/b/c", "a/bc", "ab", "b", "b/\u{fc}", "b/z/0", "c", "c/d e"];
const PREFIXES: &[&str] = &["", "a", "a/", "a/b", "b/", "c/d", "nothing"];
/// Sequences of operations for each way to run a cache.
const CASES: u32 = 12;

#[derive(Clone, Debug)]
enum Condition {
    None,
    Absent,
    /// The version that is there now.
    Current,
    /// A version that was never there.
    Other,
}

#[derive(Clone, Debug)]
enum Step {
    Put { key: usize, length: usize, declared: bool, condition: Condition },
    Get { key: usize, from: u64, length: u64 },
    Head { key: usize },
    Delete { key: usize, condition: Condition },
    Copy { from: usize, to: usize, condition: Condition },
    List { prefix: usize, after: Option<usize>, limit: usize },
    Abandon { key: usize, length: usize, declared: bool },
    Restart,
    Crash,
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![
        20 => 0..40_000usize,
        10 => 0..300_000usize,
        1 => GATHERED - 2..GATHERED + 300_000,
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    prop_oneof![
        6 => Just(Condition::None),
        1 => Just(Condition::Absent),
        1 => Just(Condition::Current),
        1 => Just(Condition::Other),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS.len();
    prop_oneof![
        30 => (key(), lengths(), any::<bool>(), conditions())
            .prop_map(|(key, length, declared, condition)| Step::Put { key, length, declared, condition }),
        20 => (key(), 0..400_000u64, prop_oneof![0..400_000u64, Just(u64::MAX >> 1)])
            .prop_map(|(key, from, length)| Step::Get { key, from, length }),
        10 => (key(), Just(0u64), Just(u64::MAX >> 1))
            .prop_map(|(key, from, length)| Step::Get { key, from, length }),
        8 => key().prop_map(|key| Step::Head { key }),
        12 => (key(), conditions()).prop_map(|(key, condition)| Step::Delete { key, condition }),
        8 => (key(), key(), conditions())
            .prop_map(|(from, to, condition)| Step::Copy { from, to, condition }),
        8 => (0..PREFIXES.len(), prop::option::of(key()), 0..KEYS.len() + 2)
            .prop_map(|(prefix, after, limit)| Step::List { prefix, after, limit }),
        5 => (key(), lengths(), any::<bool>())
            .prop_map(|(key, length, declared)| Step::Abandon { key, length, declared }),
        2 => Just(Step::Restart),
        4 => Just(Step::Crash),
    ]
}

/// The plain map, and the cache that must answer like it.
struct Model {
    opened: Option<Opened>,
    objects: BTreeMap<&'static str, (Bytes, ObjectInfo)>,
    writes: u64,
}

impl Model {
    fn opened(&self) -> &Opened {
        self.opened.as_ref().unwrap()
    }

    fn precondition(&self, key: &str, condition: &Condition) -> Precondition {
        match condition {
            Condition::None => Precondition::None,
            Condition::Absent => Precondition::Absent,
            Condition::Current => {
                Precondition::Unchanged(self.objects.get(key).map_or(7, |(_, info)| info.sequence))
            }
            Condition::Other => Precondition::Unchanged(7),
        }
    }

    fn holds(&self, key: &str, condition: &Condition) -> bool {
        match condition {
            Condition::None => true,
            Condition::Absent => !self.objects.contains_key(key),
            Condition::Current => self.objects.contains_key(key),
            Condition::Other => false,
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Put { key, length, declared, condition } => {
                self.put(KEYS[key], length, declared, &condition).await;
            }
            Step::Get { key, from, length } => self.check(KEYS[key], from..from + length).await,
            Step::Head { key } => {
                let found = self.opened().cache.head(&name(KEYS[key])).await.unwrap();
                assert_eq!(found, self.objects.get(KEYS[key]).map(|(_, info)| *info));
            }
            Step::Delete { key, condition } => {
                let precondition = self.precondition(KEYS[key], &condition);
                let deleted = self.opened().cache.delete(&name(KEYS[key]), precondition).await;
                if self.holds(KEYS[key], &condition) {
                    assert_eq!(deleted.unwrap(), self.objects.remove(KEYS[key]).is_some());
                } else {
                    assert!(matches!(deleted, Err(CacheError::PreconditionFailed)), "{deleted:?}");
                }
            }
            Step::Copy { from, to, condition } => self.copy(KEYS[from], KEYS[to], &condition).await,
            Step::List { prefix, after, limit } => {
                self.list(PREFIXES[prefix], after.map(|key| KEYS[key]), limit).await;
            }
            Step::Abandon { key, length, declared } => self.abandon(KEYS[key], length, declared).await,
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

    async fn put(&mut self, key: &'static str, length: usize, declared: bool, condition: &Condition) {
        self.writes += 1;
        let body = body(self.writes, length);
        let options = PutOptions {
            declared_length: declared.then_some(length as u64),
            precondition: self.precondition(key, condition),
            ..PutOptions::default()
        };
        let upload = self.opened().cache.begin_put(name(key), options).await;
        if !self.holds(key, condition) {
            assert!(matches!(upload.err(), Some(CacheError::PreconditionFailed)));
            return;
        }
        let mut upload = upload.unwrap();
        for chunk in parts(&body) {
            upload.write(chunk).await.unwrap();
        }
        let stored = upload.commit().await.unwrap();
        assert_eq!(stored.info.length, length as u64);
        let replaced = self.objects.insert(key, (body, stored.info));
        assert_eq!(stored.created, replaced.is_none());
        let older = replaced.is_none_or(|(_, info)| info.sequence < stored.info.sequence);
        assert!(older, "a newer version has a lower sequence number");
    }

    async fn copy(&mut self, from: &'static str, to: &'static str, condition: &Condition) {
        let precondition = self.precondition(to, condition);
        let copied = self.opened().cache.copy(&name(from), name(to), precondition).await;
        let Some((body, source)) = self.objects.get(from).cloned() else {
            assert!(copied.unwrap().is_none());
            return;
        };
        if !self.holds(to, condition) {
            assert!(matches!(copied, Err(CacheError::PreconditionFailed)), "{copied:?}");
            return;
        }
        let stored = copied.unwrap().unwrap();
        assert_eq!(stored.info.etag, source.etag, "the copy's tag");
        let replaced = self.objects.insert(to, (body, stored.info));
        assert_eq!(stored.created, replaced.is_none());
    }

    async fn abandon(&mut self, key: &'static str, length: usize, declared: bool) {
        // One byte more than is sent is declared, so that even a commit would not do.
        let declared_length = declared.then_some(length as u64 + 1);
        let options = PutOptions { declared_length, ..PutOptions::default() };
        let mut upload = self.opened().cache.begin_put(name(key), options).await.unwrap();
        for chunk in parts(&body(0, length)) {
            upload.write(chunk).await.unwrap();
        }
        if declared && length.is_multiple_of(2) {
            let ended = upload.commit().await;
            assert!(matches!(ended, Err(CacheError::LengthMismatch { .. })), "{ended:?}");
        }
    }

    async fn check(&self, key: &'static str, range: Range<u64>) {
        let found = self.opened().cache.get(&name(key)).await.unwrap();
        let expected = self.objects.get(key);
        assert_eq!(found.as_ref().map(|object| *object.info()), expected.map(|(_, info)| *info), "{key}");
        let (Some(object), Some((body, _))) = (found, expected) else { return };
        let cut = |at: u64| usize::try_from(at.min(body.len() as u64)).unwrap();
        let expected = &body[cut(range.start)..cut(range.end)];
        let mut reader = object.into_body(range.clone());
        assert_eq!(reader.remaining(), expected.len() as u64, "{key} {range:?}");
        let mut read = Vec::new();
        while let Some(chunk) = reader.next_chunk().await.unwrap() {
            read.extend_from_slice(&chunk);
        }
        // The bytes themselves would fill the screen.
        assert!(read == expected, "{key} {range:?}: other bytes");
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) {
        let namespace = Namespace::default_namespace();
        let listed = self.opened().cache.list(&namespace, prefix, after, limit).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|row| (row.key.as_str().to_owned(), row.info)).collect();
        let expected: Vec<_> = self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| **key > after))
            .map(|(key, (_, info))| ((*key).to_owned(), *info))
            .take(limit)
            .collect();
        assert_eq!(listed, expected, "prefix {prefix:?} after {after:?} limit {limit}");
    }

    async fn check_all(&self) {
        self.list("", None, usize::MAX).await;
        for key in KEYS {
            self.check(key, 0..u64::MAX).await;
        }
        let metrics = &self.opened().metrics;
        assert_eq!(metrics.damaged.get(), 0, "records taken for damaged");
        assert_eq!(metrics.index_rebuilds.get(), 0, "indexes given up");
    }
}

/// A body in parts of different sizes.
fn parts(body: &Bytes) -> Vec<Bytes> {
    let mut rest = body.clone();
    let mut parts = Vec::new();
    let mut size = 1000;
    while !rest.is_empty() {
        parts.push(rest.split_to(size.min(rest.len())));
        size = size * 3 % 700_001;
    }
    parts
}

fn holds_for(durability: Durability, punch_holes: bool) {
    let seed = opened::seed();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        // A case takes part of a second; these are enough to bring a failure down to a few steps.
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let cases = (any::<bool>(), any::<bool>(), prop::collection::vec(steps(), 1..60));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome = runner.run(&cases, |(tier, always, steps)| {
        runtime.block_on(async {
            let opened = Opened::new(256 << 20, |options| {
                options.durability = durability;
                options.punch_holes = punch_holes;
                options.memory_tier = if tier { 64 << 20 } else { 0 };
                options.verify = if always { Verify::Always } else { Verify::First };
            });
            let mut model = Model { opened: Some(opened.await), objects: BTreeMap::new(), writes: 0 };
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
fn a_cache_answers_as_a_map() {
    holds_for(Durability::Periodic, true);
}

#[test]
fn a_cache_answers_as_a_map_without_hole_punching() {
    holds_for(Durability::Periodic, false);
}

#[test]
fn a_cache_that_waits_for_the_disk_answers_as_a_map() {
    holds_for(Durability::Commit, true);
}

#[test]
fn a_cache_that_waits_for_the_disk_answers_as_a_map_without_hole_punching() {
    holds_for(Durability::Commit, false);
}
