//! Running `larder verify`, and whole directories as they are.
//!
//! Knows the program from outside only.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::tools;

/// What a run said.
pub struct Verified {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs it with these arguments.
pub fn verify(arguments: &[&str]) -> Verified {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    tools::isolate(&mut command);
    let output = command.arg("verify").args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Verified { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

impl Verified {
    /// The report, of a run with `--json`.
    #[track_caller]
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// Numbers of the report's part that are not 0.
    #[track_caller]
    pub fn counts(&self, part: &str) -> BTreeMap<String, u64> {
        let report = self.report();
        let numbers = report[part].as_object().unwrap_or_else(|| panic!("no {part}: {report:#}")).iter();
        numbers.filter_map(|(name, value)| Some((name.clone(), value.as_u64().filter(|n| *n > 0)?))).collect()
    }

    /// Fails unless the part's numbers are these, and the others 0.
    #[track_caller]
    pub fn assert_counts(&self, part: &str, expected: &[(&str, u64)]) {
        let expected: BTreeMap<String, u64> =
            expected.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let mut counts = self.counts(part);
        counts.retain(|name, _| name != "bytes");
        assert_eq!(counts, expected, "{part}: {}{}", self.stdout, self.stderr);
    }
}

/// Everything below a directory: contents of files, times, blocks.
pub fn everything(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64, u64)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let bytes = if metadata.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        if metadata.is_dir() {
            found.extend(everything(&path));
        }
        found.insert(path, (bytes, metadata.mtime(), metadata.mtime_nsec(), metadata.blocks()));
    }
    found
}
