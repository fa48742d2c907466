//! Signature Version 4 against what Amazon publishes: its test suite, and the examples of the S3 reference.
//!
//! Knows the functions of `larder::sigv4`; where the vectors come from stands in `tests/data/sigv4/ORIGIN.md`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "sigv4_vectors/request.rs"]
mod request;
#[path = "sigv4_vectors/s3_examples.rs"]
mod s3_examples;
#[path = "sigv4_vectors/suite.rs"]
mod suite;

use std::path::{Path, PathBuf};

/// The vectors.
fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sigv4")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
