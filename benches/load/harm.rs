//! Ways to damage the index of a server that has ended.
//!
//! Knows of the data directory only that the index is in a directory of its own.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::common::Larder;

/// Where the index is.
pub(crate) fn index_dir(larder: &Larder) -> PathBuf {
    let name = std::env::var("GROWTH_INDEX").unwrap_or_else(|_| "index".to_owned());
    let path = larder.data_dir().join(name);
    assert!(path.is_dir(), "no index at {}: name its directory in GROWTH_INDEX", path.display());
    path
}

/// Does `harm` to every file below `directory`.
pub(crate) fn each_file(directory: &Path, harm: &dyn Fn(&Path)) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { each_file(&path, harm) } else { harm(&path) }
    }
}

pub(crate) fn cut_in_half(file: &Path) {
    let length = file.metadata().unwrap().len();
    std::fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
}

/// Flips a bit in one byte of each 64 KiB, and in the first and the last.
pub(crate) fn flip_bytes(file: &Path) {
    let length = file.metadata().unwrap().len();
    let file = std::fs::File::options().read(true).write(true).open(file).unwrap();
    let places = (0..length).step_by(64 << 10).chain(length.checked_sub(1));
    for at in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    }
}
