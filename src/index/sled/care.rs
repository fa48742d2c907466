//! The precautions that a sled database needs, each measured: leftovers of a killed start are removed before opening,
//! `flush` is followed by an fsync of its file (it does none itself), and every call that may panic is caught.
//!
//! Knows nothing of what is in the trees.

use std::any::Any;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sled::Db;

use crate::index::IndexError;

/// Opens or makes a database in the directory `path`, with so many bytes of memory for its pages.
///
/// # Errors
/// Whatever keeps sled from opening it, panics included.
pub fn open(path: &Path, cache_bytes: u64) -> Result<Db, IndexError> {
    remove_leftovers(path)?;
    // No background flush: its owner's is the only one, so that what belongs together is on disk together.
    let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
    guarded(|| Ok(config.open()?))
}

/// Brings everything to disk.
///
/// # Errors
/// sled's, and the disk's.
pub fn flush(db: &Db, path: &Path) -> Result<(), IndexError> {
    db.flush()?;
    // sled's flush writes but does not sync on Linux.
    File::open(path.join("db"))?.sync_data()?;
    Ok(())
}

/// Bytes of disk blocks that `path` and all below it take; 0 where it is not there.
///
/// # Errors
/// Those of the file system.
pub fn directory_bytes(path: &Path) -> std::io::Result<u64> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // sled removes its own files while they are counted.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            bytes += directory_bytes(&entry?.path())?;
        }
    }
    Ok(bytes)
}

/// A process killed while it opens leaves `snap.*.generating`, and sled never opens again until it is gone.
fn remove_leftovers(path: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Runs sled's code and turns a panic into an error.
///
/// # Errors
/// The work's, and [`IndexError::Panicked`].
pub fn guarded<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    // Whatever state a panic leaves behind is given up with the engine.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(IndexError::Panicked(panic_text(&*panic))))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
