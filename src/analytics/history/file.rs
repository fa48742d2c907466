//! The file that the history outlives the process in: `history.json`, read at the start, replaced as a whole.
//!
//! Owns its version and its bound. Knows nothing of what the samples mean.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::ring::{Ring, Rings};
use super::sample::Columns;

/// What this build writes, and the newest that it reads. A new column needs no new version.
const VERSION: u32 = 1;

/// Most bytes of the file.
const MOST_BYTES: u64 = 1 << 20;
/// A cache that is small has a small file: no more than this part of its capacity.
const CAPACITY_PART: u64 = 256;

/// Most bytes that the file has in a server of this capacity. While it is replaced there are two.
#[must_use]
pub fn most_bytes(capacity: u64) -> u64 {
    MOST_BYTES.min(capacity / CAPACITY_PART)
}

/// Where a history is saved.
pub(super) struct HistoryFile {
    path: PathBuf,
    most_bytes: u64,
    /// A newer larder wrote it, so it is left alone.
    is_newer: AtomicBool,
    /// One writer at a time: they share the name of the file that is not yet in place.
    writing: Mutex<()>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    rings: Vec<SavedRing>,
}

#[derive(Serialize, Deserialize)]
struct SavedRing {
    step_seconds: u64,
    samples: Columns,
}

/// As much of a file as every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not what was written: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its version is {0}, this larder knows {VERSION}")]
    Version(u32),
    #[error("its samples are out of order")]
    Samples,
}

impl HistoryFile {
    pub(super) fn new(directory: &Path, capacity: u64) -> Self {
        let path = directory.join("history.json");
        Self {
            path,
            most_bytes: most_bytes(capacity),
            is_newer: AtomicBool::new(false),
            writing: Mutex::new(()),
        }
    }

    /// What was saved; empty rings where there is nothing or nothing that can be used, which is told in a warning.
    pub(super) fn load(&self) -> Rings {
        match self.read() {
            Ok(rings) => rings,
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => Rings::default(),
            Err(error) => {
                let path = self.path.display();
                if matches!(error, Unusable::Version(version) if version > VERSION) {
                    self.is_newer.store(true, Ordering::Relaxed);
                    tracing::warn!(%path, %error, "the history of a newer larder is left alone: none is kept");
                } else {
                    tracing::warn!(%path, %error, "the history cannot be read and begins anew");
                }
                Rings::default()
            }
        }
    }

    fn read(&self) -> Result<Rings, Unusable> {
        let bytes = std::fs::read(&self.path)?;
        let Versioned { version } = serde_json::from_slice(&bytes)?;
        if version != VERSION {
            return Err(Unusable::Version(version));
        }
        let saved: Saved = serde_json::from_slice(&bytes)?;
        let mut rings = Rings::default();
        for ring in [&mut rings.fine, &mut rings.middle, &mut rings.coarse] {
            let samples = saved.rings.iter().find(|saved| saved.step_seconds == ring.step());
            if !samples.is_some_and(|saved| ring.fill(&saved.samples)) {
                return Err(Unusable::Samples);
            }
        }
        Ok(rings)
    }

    /// Replaces the file, so that there is always a whole one.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn save(&self, rings: &Rings) -> io::Result<()> {
        if self.is_newer.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(bytes) = self.written(rings)? else { return Ok(()) };
        let _one = self.writing.lock();
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let new = self.path.with_extension("json.new");
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)
    }

    /// The file's content: all of it, or as much of its newest as fits. `None` where nothing does.
    fn written(&self, rings: &Rings) -> serde_json::Result<Option<Vec<u8>>> {
        for halvings in 0..16 {
            let of = |ring: &Ring| SavedRing { step_seconds: ring.step(), samples: ring.newest(halvings) };
            let saved =
                Saved { version: VERSION, rings: [&rings.fine, &rings.middle, &rings.coarse].map(of).into() };
            let bytes = serde_json::to_vec(&saved)?;
            if bytes.len() as u64 <= self.most_bytes {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}
