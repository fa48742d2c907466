//! The data directory: its lock, its format, and where the parts of the cache lie in it.
//!
//! One server at a time, and never an older larder on a newer directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::error::OpenError;
use crate::blobs::head::SEGMENT_VERSION;
use crate::blobs::record::RECORD_VERSION;

/// Format of the directory that this build writes, and the newest that it opens.
pub const DIRECTORY_FORMAT: u32 = 1;

/// Whoever raises a version that data depends on raises the directory's too: then an older larder refuses the directory
/// instead of taking what it cannot read for damage.
const _: () = assert!(DIRECTORY_FORMAT >= SEGMENT_VERSION && DIRECTORY_FORMAT >= RECORD_VERSION as u32);

const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";

/// A data directory, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Makes the directory where it is missing, takes its lock and checks its format.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let io_error = |error| OpenError::Io { path: path.display().to_string(), error };
        std::fs::create_dir_all(path).map_err(io_error)?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(lock_path)
            .map_err(io_error)?;
        take_lock(path, &lock)?;
        // New, or damaged: records carry versions of their own, so nothing depends on this file being whole.
        if check_format(path)?.is_none() {
            std::fs::write(path.join(FORMAT_FILE), format_text(DIRECTORY_FORMAT)).map_err(io_error)?;
        }
        write_pid(&mut lock).map_err(io_error)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// As [`DataDirectory::open`], for who only looks: nothing is made or written.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) fn open_unchanged(path: &Path) -> Result<Self, OpenError> {
        let io_error = |error| OpenError::Io { path: path.display().to_string(), error };
        // Without that file nobody has ever been here; something has to be held open all the same.
        let lock = File::open(path.join(LOCK_FILE)).or_else(|_| File::open(path)).map_err(io_error)?;
        take_lock(path, &lock)?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory itself.
    #[must_use]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the segments are.
    #[must_use]
    pub(super) fn segments(&self) -> PathBuf {
        self.path.join("segments")
    }

    /// Where the index is.
    #[must_use]
    pub(super) fn index(&self) -> PathBuf {
        self.path.join("index")
    }

    /// Where a failed index is moved before it is removed.
    #[must_use]
    pub(super) fn set_aside(&self) -> PathBuf {
        self.path.join("index.failed")
    }
}

fn take_lock(path: &Path, mut lock: &File) -> Result<(), OpenError> {
    let path = path.display().to_string();
    match rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            // Only for the message; an unreadable lock file is told as such.
            let _ = lock.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() { "unknown" } else { holder.trim() }.to_owned();
            Err(OpenError::Locked { path, holder })
        }
        Err(error) => Err(OpenError::Io { path, error: error.into() }),
    }
}

/// The format of the directory, where it says one that can be read.
fn check_format(path: &Path) -> Result<Option<u32>, OpenError> {
    let shown = || path.display().to_string();
    match read_format(path).map_err(|error| OpenError::Io { path: shown(), error })? {
        Some(found) if found > DIRECTORY_FORMAT => {
            Err(OpenError::NewerFormat { path: shown(), found, known: DIRECTORY_FORMAT })
        }
        found => Ok(found),
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())
}

/// The checksum keeps a flipped digit from passing for a newer format, which would refuse the start.
fn format_text(format: u32) -> String {
    let text = format!("larder data directory, format {format}");
    let sum = twox_hash::XxHash3_64::oneshot(text.as_bytes());
    format!("{text}, checksum {sum:016x}\n")
}

fn read_format(path: &Path) -> io::Result<Option<u32>> {
    let bytes = match std::fs::read(path.join(FORMAT_FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes);
    let number = text.split(", ").find_map(|part| part.strip_prefix("format ")).and_then(|n| n.parse().ok());
    Ok(number.filter(|format| format_text(*format) == text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_who_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDirectory::open(dir.path()).unwrap();
        let refused = DataDirectory::open(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(first);
        assert!(DataDirectory::open(dir.path()).is_ok());
    }

    #[test]
    fn a_newer_directory_is_refused_and_a_damaged_format_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let format = dir.path().join(FORMAT_FILE);
        std::fs::write(&format, format_text(DIRECTORY_FORMAT + 1)).unwrap();
        assert!(matches!(DataDirectory::open(dir.path()), Err(OpenError::NewerFormat { found: 2, .. })));
        std::fs::write(&format, format_text(DIRECTORY_FORMAT).replace("format 1", "format 9")).unwrap();
        assert!(DataDirectory::open(dir.path()).is_ok());
        assert_eq!(std::fs::read_to_string(&format).unwrap(), format_text(DIRECTORY_FORMAT));
    }
}
