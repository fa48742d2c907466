//! A frozen data directory of `migrations/`: its manifest, and how it is unpacked.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// What a dump holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) versions: Versions,
    /// Name of the object read most often before the dump, and how often.
    pub(crate) most_read: (String, u32),
    /// Names that were deleted.
    pub(crate) absent: Vec<String>,
    pub(crate) objects: Vec<Expected>,
}

/// The number of each format in the dump.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
pub(crate) struct Versions {
    pub(crate) directory: u32,
    pub(crate) segment: u32,
    pub(crate) record: u16,
    pub(crate) footer: u32,
    pub(crate) entry: u16,
}

/// An object of the namespace `default`.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
pub(crate) struct Expected {
    pub(crate) key: String,
    pub(crate) length: u64,
    /// XXH3-128 of the body, in hexadecimal.
    pub(crate) xxh3: String,
}

impl Expected {
    pub(crate) fn of(key: &str, body: &[u8]) -> Self {
        let xxh3 = format!("{:032x}", twox_hash::XxHash3_128::oneshot(body));
        Self { key: key.to_owned(), length: body.len() as u64, xxh3 }
    }
}

/// `migrations/` of this repository.
pub(crate) fn migrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")
}

/// Every dump there is, oldest first.
pub(crate) fn dumps() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(migrations()).unwrap();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// The dump of today's formats.
pub(crate) fn newest() -> PathBuf {
    dumps().pop().expect("migrations/ has dumps")
}

/// The manifest of a dump.
pub(crate) fn manifest(dump: &Path) -> Manifest {
    toml::from_str(&std::fs::read_to_string(dump.join("manifest.toml")).unwrap()).unwrap()
}

/// Unpacks a dump to a directory that goes with the handle.
pub(crate) fn unpack(dump: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xzSf").arg(dump.join("data.tar.gz")).arg("-C").arg(directory.path());
    assert!(tar.status().unwrap().success(), "tar could not unpack {}", dump.display());
    directory
}
