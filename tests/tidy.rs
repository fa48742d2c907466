//! Tidiness as a test: what the house rules say of files, names and imports, checked on every run, so that
//! reviews can be about meaning.
//!
//! Knows the sources as text; nothing of what they do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/source.rs"]
mod source;

use source::{SourceFile, all_files, root, rust_files, words};

/// Most lines of a file, tests included.
const MOST_LINES: usize = 400;

/// Directories with code of ours.
const CODE: &[&str] = &["src/", "tests/", "benches/", "examples/", "fuzz/src/"];

/// Files that may say `unsafe`. None.
const UNSAFE_ALLOWED: &[&str] = &[];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "manager", "misc"];

#[test]
fn every_file_says_at_its_top_what_it_owns() {
    let silent = failing(&rust_files(CODE), |file| !file.text.starts_with("//! "));
    assert!(silent.is_empty(), "these do not start with a `//!` line:\n{}", silent.join("\n"));
}

#[test]
fn no_file_is_too_long_to_read_at_once() {
    let mut files = rust_files(CODE);
    files.extend(scripts());
    let long = failing(&files, |file| file.text.lines().count() > MOST_LINES);
    assert!(long.is_empty(), "these have more than {MOST_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn unit_tests_stand_at_the_end_of_their_file() {
    let mixed = failing(&rust_files(&["src/"]), |file| {
        let code = file.code();
        // Behind the one module of tests, whose brace closes at the start of a line, nothing follows.
        let Some(start) = code.find("#[cfg(test)]\nmod tests {") else {
            return false;
        };
        code[start..].find("\n}\n").is_some_and(|end| !code[start + end + 3..].trim().is_empty())
    });
    assert!(mixed.is_empty(), "code follows the tests in:\n{}", mixed.join("\n"));
}

#[test]
fn names_say_what_is_inside() {
    let by_file = failing(&rust_files(CODE), |file| {
        file.path.split(['/', '.', '_']).any(|part| EMPTY_NAMES.contains(&part))
    });
    let by_name = failing(&rust_files(CODE), |file| {
        let code = file.code();
        words(&code).any(|(_, word)| ["Manager", "Utils", "Helper"].iter().any(|end| word.ends_with(end)))
    });
    assert!(by_file.is_empty() && by_name.is_empty(), "names that say nothing: {by_file:?} {by_name:?}");
}

#[test]
fn modules_are_named_files_and_not_mod_rs() {
    // Below tests/ a mod.rs is what keeps shared code from being a test of its own.
    let old = failing(&rust_files(&["src/"]), |file| file.path.ends_with("/mod.rs"));
    assert!(old.is_empty(), "write foo.rs beside foo/ instead of:\n{}", old.join("\n"));
}

#[test]
fn no_glob_imports_but_super_in_tests() {
    let globs = failing(&rust_files(CODE), |file| {
        let (all, production) = (file.code(), file.production_code());
        let in_src = file.path.starts_with("src/");
        all.match_indices("::*").any(|(at, _)| {
            let path = all[..at].rsplit([' ', '\n', '{', ',']).next().unwrap_or_default();
            let in_tests = !in_src || at >= production.len();
            // proptest is meant to be used through its prelude.
            !(in_tests && (path == "super" || path == "proptest::prelude"))
        })
    });
    assert!(globs.is_empty(), "glob imports in:\n{}", globs.join("\n"));
}

#[test]
fn unsafe_code_is_nowhere() {
    let found = failing(&rust_files(CODE), |file| {
        let code = file.code();
        !UNSAFE_ALLOWED.contains(&file.path.as_str()) && words(&code).any(|(_, word)| word == "unsafe")
    });
    assert!(found.is_empty(), "unsafe in:\n{}", found.join("\n"));
}

#[test]
fn every_metric_is_named_by_the_rules_documented_and_counted() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let sources = rust_files(&["src/"]);
    let declared = sources.iter().find(|file| file.path == "src/metrics.rs").unwrap();
    let others: String =
        sources.iter().filter(|file| file.path != "src/metrics.rs").map(SourceFile::code).collect();
    let mut wrong = Vec::new();
    for metric in larder::metrics::DESCRIPTIONS {
        let name = metric.name;
        if (metric.kind == "counter") != name.ends_with("_total") {
            wrong.push(format!("{name} is a {}: counters, and only they, end in _total", metric.kind));
        }
        if !metric.help.ends_with('.') {
            wrong.push(format!("{name}: its help is no sentence"));
        }
        if !readme.contains(&format!("`{name}`")) {
            wrong.push(format!("{name}: README.md does not name it"));
        }
        let row = declared.text.lines().find(|line| line.contains(&format!("\"{name}\"")));
        let field = row.and_then(|line| line.split(':').next()).unwrap_or_default().trim();
        if !words(&others).any(|(at, word)| word == field && others[..at].trim_end().ends_with('.')) {
            wrong.push(format!("{name}: nothing counts it (no use of the field {field:?})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn scripts_parse_and_can_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    let scripts = scripts();
    assert!(scripts.iter().any(|script| script.path == "tests/run"), "tests/run is not there");
    for script in scripts {
        let path = root().join(&script.path);
        let checked = std::process::Command::new("bash").arg("-n").arg(&path).output().unwrap();
        assert!(checked.status.success(), "{}: {}", script.path, String::from_utf8_lossy(&checked.stderr));
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is not executable", script.path);
    }
}

#[test]
fn nothing_names_a_path_of_somebodys_machine() {
    // Put together here, so that this file does not find itself.
    let needles = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut wrong = Vec::new();
    for file in all_files() {
        for (number, line) in file.text.lines().enumerate() {
            if needles.iter().any(|needle| starts_a_path(line, needle)) {
                wrong.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "paths of one machine:\n{}", wrong.join("\n"));
}

/// True when `needle` is in `line` as the beginning of an absolute path.
fn starts_a_path(line: &str, needle: &str) -> bool {
    line.match_indices(needle)
        .any(|(at, _)| !line[..at].ends_with(|c: char| source::is_word(c) || ".-}".contains(c)))
}

fn failing(files: &[SourceFile], fails: impl Fn(&SourceFile) -> bool) -> Vec<String> {
    files.iter().filter(|file| fails(file)).map(|file| file.path.clone()).collect()
}

/// Every file that asks for a shell.
fn scripts() -> Vec<SourceFile> {
    let is_script = |file: &SourceFile| {
        let first = file.text.lines().next().unwrap_or_default();
        first.starts_with("#!") && first.ends_with("sh")
    };
    all_files().into_iter().filter(is_script).collect()
}
