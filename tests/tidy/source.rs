//! Reads the repository's files for the tidiness rules, and takes comments and texts out of Rust code so that
//! a rule about code never trips over prose.
//!
//! Knows no rule.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// One text file of the repository.
pub(crate) struct SourceFile {
    /// Its path from the root, with forward slashes.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl SourceFile {
    /// Its Rust code, as long as the text, with every comment and every string's content blanked.
    pub(crate) fn code(&self) -> String {
        blank_prose(&self.text)
    }

    /// Its code before the first `#[cfg(test)]` that opens a module.
    pub(crate) fn production_code(&self) -> String {
        let code = self.code();
        let end = code.find("#[cfg(test)]\nmod ").unwrap_or(code.len());
        code[..end].to_owned()
    }

    /// Its first module below the crate: `cache` for `src/cache.rs` and for `src/cache/x.rs`.
    pub(crate) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split(['/', '.']).next().unwrap_or(inside)
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the repository, in order of their paths; what is built or stored is left out.
pub(crate) fn all_files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    collect(&root(), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the repository was not found");
    files
}

/// The Rust files below one of these directories.
pub(crate) fn rust_files(directories: &[&str]) -> Vec<SourceFile> {
    let below = |path: &str| directories.iter().any(|directory| path.starts_with(directory));
    all_files().into_iter().filter(|file| file.path.ends_with(".rs") && below(&file.path)).collect()
}

/// The identifiers of some code with the position of each.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + code[rest..].find(is_word)?;
        let end = start + code[start..].find(|c| !is_word(c)).unwrap_or(code.len() - start);
        rest = end;
        Some((start, &code[start..end]))
    })
}

/// True for the characters of identifiers.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<SourceFile>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        // In a worktree `.git` is a file.
        if matches!(name.as_str(), "target" | ".git" | "larder-data") {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file() {
            // Binary fixtures are no text and have no rules.
            files.extend(std::fs::read_to_string(entry.path()).ok().map(|text| SourceFile { path, text }));
        }
    }
}

fn blank_prose(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = prose_end(text, at);
        if end > at {
            code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(code).unwrap()
}

/// Where the comment or literal that starts at `at` ends; `at` when none starts there.
fn prose_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let until = |needle: &str, from: usize| {
        bytes[from..]
            .windows(needle.len())
            .position(|part| part == needle.as_bytes())
            .map_or(bytes.len(), |i| from + i)
    };
    let behind_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match bytes[at] {
        b'/' if bytes.get(at + 1) == Some(&b'/') => until("\n", at),
        b'/' if bytes.get(at + 1) == Some(&b'*') => (until("*/", at) + 2).min(bytes.len()),
        b'"' => quoted_end(bytes, at + 1, b'"'),
        b'r' if !behind_word => {
            let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
            if bytes.get(at + 1 + hashes) != Some(&b'"') {
                return at;
            }
            let close = format!("\"{}", "#".repeat(hashes));
            (until(&close, at + 2 + hashes) + close.len()).min(bytes.len())
        }
        // A character, not a lifetime: a quote follows the next character or the escape.
        b'\'' if bytes.get(at + 1) == Some(&b'\\') => quoted_end(bytes, at + 1, b'\''),
        b'\'' => {
            let width = text[at + 1..].chars().next().map_or(0, char::len_utf8);
            if bytes.get(at + 1 + width) == Some(&b'\'') { at + 2 + width } else { at }
        }
        _ => at,
    }
}

fn quoted_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

#[test]
fn prose_is_blanked_and_code_is_left() {
    let file = |text: &str| SourceFile { path: "src/x.rs".to_owned(), text: text.to_owned() }.code();
    for (text, code) in [
        ("a // b", "a     "),
        ("a /* b\n */ c", "a     \n    c"),
        (r#"a("b \" //", c)"#, "a(         , c)"),
        (r##"r#"a"b"# c"##, "         c"),
        ("'\\'' 'x' &'a str", "         &'a str"),
        ("'\u{fc}' for r in", "     for r in"),
    ] {
        assert_eq!(file(text), code, "{text}");
    }
}
