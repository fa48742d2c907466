//! Replacing a file as a whole: whoever reads it finds the old one or the new one.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Puts `bytes` in place of what is at `path`, whose directory is made if it is missing.
///
/// # Errors
/// The disk's; the old file is there then.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    // Otherwise a power cut may leave the new name with nothing behind it.
    file.sync_all()?;
    fs::rename(new, path)
}
