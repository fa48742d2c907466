//! Finds the real clients that the tests drive, runs them, and says what to do when one is missing.
//!
//! Knows where `tests/run` puts things; nothing of what the clients are used for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The path of a client: what the variable `LARDER_TEST_<NAME>` says, else what `tests/run` installed, else
/// what is on the PATH. A missing client fails the test; a skipped test would prove nothing.
pub fn tool(name: &str) -> PathBuf {
    let variable = format!("LARDER_TEST_{}", name.to_ascii_uppercase());
    if let Some(path) = std::env::var_os(&variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return path;
    }
    let installed = repository().join("target/test-tools");
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    [installed.join(name), installed.join("python/bin").join(name)]
        .into_iter()
        .chain(std::env::split_paths(&on_path).map(|directory| directory.join(name)))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            panic!("{name} is not installed: start the tests with tests/run, which installs it")
        })
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a fixture of `tests/clients/` to `to`.
pub fn copy_fixture(name: &str, to: &Path) {
    copy_tree(&repository().join("tests/clients").join(name), to);
}

/// Runs a command to its end and returns its output; fails with all of it when the command fails.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Takes out of a command's environment what would steer a client otherwise than the test says.
pub fn isolate(command: &mut Command) {
    let steering = [
        "SCCACHE_",
        "CCACHE_",
        "LARDER_",
        "AWS_",
        "RCLONE_",
        "PYTHON",
        "RUSTC_",
        "RUSTFLAGS",
        "CARGO_BUILD_",
        "CARGO_PROFILE_",
    ];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if steering.iter().any(|prefix| text.starts_with(prefix))
            || text.to_ascii_lowercase().ends_with("_proxy")
        {
            command.env_remove(&name);
        }
    }
}

/// Every file below a directory whose name `wanted` accepts: path to content.
pub fn contents(directory: &Path, wanted: &dyn Fn(&str) -> bool) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(contents(&path, wanted));
        } else if wanted(&entry.file_name().to_string_lossy()) {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// Fails, naming the files, unless both builds left the same files with the same bytes.
pub fn assert_same_files(first: &BTreeMap<PathBuf, Vec<u8>>, second: &BTreeMap<PathBuf, Vec<u8>>) {
    assert!(!first.is_empty(), "nothing was built");
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(first), names(second), "the builds left different files");
    let different: Vec<_> =
        first.iter().filter(|(name, bytes)| second[*name] != **bytes).map(|(n, _)| n).collect();
    assert!(different.is_empty(), "these differ between the builds: {different:?}");
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
