//! The fixtures that real builds compile: a cargo project with its dependencies, and a few C sources.
//!
//! Knows how they are built through sccache; nothing of where sccache stores.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sccache::{Sccache, Stats};
use super::{Larder, tools, total};

/// The cargo project's own output: the letters of a sentence as JSON, in base64 and in hex.
pub const EXPECTED_OUTPUT: &str = include_str!("../clients/cargo-project/expected-output");

/// A copy of a fixture, with a place to build it.
pub struct Project {
    /// Holds everything, and sccache's socket.
    pub scratch: tempfile::TempDir,
    /// The sources.
    pub source: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
}

impl Project {
    /// Copies a fixture of `tests/clients/`.
    pub fn new(fixture: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let (source, target) = (scratch.path().join("source"), scratch.path().join("target"));
        tools::copy_fixture(fixture, &source);
        Self { scratch, source, target }
    }

    /// Builds the cargo project and runs it.
    pub fn build(&self, sccache: &Sccache) {
        tools::run(&mut sccache.cargo_build(&self.source, &self.target));
        assert_eq!(self.run_program(), EXPECTED_OUTPUT);
    }

    /// What the built program prints.
    pub fn run_program(&self) -> String {
        let output = tools::run(&mut Command::new(self.target.join("debug/larder-fixture")));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Two builds of the cargo project into an empty target directory, each with a fresh daemon that `start`
    /// makes; the second finds all of the first, and larder counts as sccache does.
    pub fn build_twice(&self, larder: &Larder, start: impl Fn(&Path) -> Sccache) -> (Stats, Stats) {
        let mut builds = Vec::new();
        for _ in 0..2 {
            let before = larder.metrics();
            let sccache = start(self.scratch.path());
            self.build(&sccache);
            let stats = sccache.settled_stats();
            assert_eq!((stats.write_errors, stats.read_errors), (0, 0), "{stats:?}\n{}", sccache.log());
            let after = larder.metrics();
            let counted = |name: &str| total(&after, name) - total(&before, name);
            assert_eq!(counted("larder_hits_total"), count(stats.hits), "hits, ours and sccache's");
            let missed = count(stats.misses + stats.failed);
            assert_eq!(counted("larder_misses_total"), missed, "misses, ours and sccache's: {stats:?}");
            builds.push((self.artifacts(), stats));
            std::fs::remove_dir_all(&self.target).unwrap();
        }
        tools::assert_same_files(&builds[0].0, &builds[1].0);
        let (first, second) = (builds[0].1.clone(), builds[1].1.clone());
        assert_eq!((first.hits, first.writes), (0, first.misses), "{first:?}");
        assert_eq!((second.hits, second.misses), (first.misses, 0), "{second:?}");
        (first, second)
    }

    /// Compiles the C project's sources, and one of them as C++, and returns the objects.
    pub fn compile_c(&self, sccache: &Sccache) -> BTreeMap<PathBuf, Vec<u8>> {
        let sources = [("gcc", "ring.c"), ("gcc", "checksum.c"), ("gcc", "main.c"), ("g++", "ring.c")];
        for (compiler, source) in sources {
            let object = format!("{compiler}-{source}.o");
            self.compile(sccache, &[compiler, "-O1", "-c", source, "-o", &object]);
        }
        let objects = tools::contents(&self.source, &|name| name.ends_with(".o"));
        for object in objects.keys() {
            std::fs::remove_file(object).unwrap();
        }
        objects
    }

    /// Compiles one small source that nothing else compiles.
    pub fn compile_one(&self, sccache: &Sccache) {
        std::fs::write(self.source.join("one.c"), "int one(void) { return 1; }\n").unwrap();
        self.compile(sccache, &["gcc", "-c", "one.c", "-o", "one.o"]);
        std::fs::remove_file(self.source.join("one.o")).unwrap();
    }

    fn compile(&self, sccache: &Sccache, arguments: &[&str]) {
        tools::run(sccache.command(&tools::tool("sccache")).args(arguments).current_dir(&self.source));
    }

    /// Every library and program that a build left, by path.
    fn artifacts(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tools::contents(&self.target.join("debug/deps"), &|name| !name.ends_with(".d"))
    }
}

/// A count beside a sample of `/metrics`.
#[expect(clippy::cast_precision_loss, reason = "counts of a test are far below 2^53")]
pub fn count(number: u64) -> f64 {
    number as f64
}
