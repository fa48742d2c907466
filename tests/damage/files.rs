//! Damaging files, and keeping whole directories as they were.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One way of damaging one file.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// A bit of the byte at this offset is the other way round.
    Flip(u64),
    /// The file ends here.
    Cut(u64),
    /// From here on there are zeros, up to the old end.
    Zeros(u64),
    /// The file is not there.
    Missing,
}

impl Damage {
    /// Does it.
    pub fn apply(self, path: &Path) {
        let open = || OpenOptions::new().read(true).write(true).open(path).unwrap();
        match self {
            Self::Flip(offset) => flip(&open(), offset),
            Self::Cut(length) => open().set_len(length).unwrap(),
            Self::Zeros(start) => {
                let file = open();
                let length = file.metadata().unwrap().len() - start;
                file.write_all_at(&vec![0; usize::try_from(length).unwrap()], start).unwrap();
            }
            Self::Missing => std::fs::remove_file(path).unwrap(),
        }
    }
}

/// Turns one bit of the byte at `offset`.
pub fn flip(file: &File, offset: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << (offset % 8)], offset).unwrap();
}

/// All files below `dir`.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Makes `to` an exact copy of the directory `from`: holes and times, too.
pub fn copy_exactly(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
