//! The fuzz targets in short: their corpus, every prefix and many mutations of it, and arbitrary bytes. `fuzz/run`
//! does it for as long as one likes, guided by coverage.
//!
//! Knows the targets by name only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[path = "../fuzz/src/lib.rs"]
#[allow(missing_docs, unreachable_pub, reason = "a crate of its own elsewhere")]
mod targets;

use targets::TARGETS;

/// Mutations and arbitrary inputs of each target.
const CASES: u32 = 10_000;

#[test]
fn every_target_has_a_binary_and_a_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut binaries: Vec<_> = std::fs::read_dir(fuzz.join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".rs", ""))
        .collect();
    binaries.sort();
    assert_eq!(binaries, TARGETS.map(|(name, _)| name));
    for (name, _) in TARGETS {
        assert!(corpus(name).len() >= 3, "{name}");
    }
}

#[test]
fn authorization() {
    holds("authorization");
}

#[test]
fn chunked_body() {
    holds("chunked_body");
}

#[test]
fn identity_token() {
    holds("identity_token");
}

#[test]
fn presigned_query() {
    holds("presigned_query");
}

#[test]
fn signature_header() {
    holds("signature_header");
}

#[test]
fn xml_bodies() {
    holds("xml_bodies");
}

fn holds(name: &str) {
    let (_, target) = TARGETS.iter().find(|(own, _)| *own == name).unwrap();
    let corpus = corpus(name);
    for input in &corpus {
        target(input);
        for end in 0..input.len().min(2000) {
            target(&input[..end]);
        }
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config { cases: CASES, ..Config::default() }, rng);
    let input = prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..300),
        9 => mutated(corpus),
    ];
    runner
        .run(&input, |input| {
            target(&input);
            Ok(())
        })
        .unwrap();
}

/// An input of the corpus with a few parts exchanged for bytes of another, or for arbitrary ones.
fn mutated(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let other = corpus.clone();
    let cut =
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..20_usize, any::<Option<Vec<u8>>>());
    let cuts = proptest::collection::vec(cut, 1..5);
    (proptest::sample::select(corpus), cuts).prop_map(move |(mut input, cuts)| {
        for (source, at, length, arbitrary) in cuts {
            let start = at.index(input.len() + 1);
            let end = (start + length).min(input.len());
            let source = source.get(&other);
            let from = at.index(source.len() + 1);
            let new = arbitrary.unwrap_or_else(|| source[from..(from + length).min(source.len())].to_vec());
            input.splice(start..end, new);
        }
        input
    })
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}
