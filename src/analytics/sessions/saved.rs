//! The file that sessions outlive the process in: `sessions.json`, replaced as a whole.
//!
//! Owns its version and its bound. It is worth little: one that cannot be read is begun anew, and one that cannot be written is
//! logged. One of a newer larder is left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{MOST_SESSIONS, SessionSummary};
use crate::analytics::saving;

/// Version of the file. Whoever changes the meaning of a field, or adds one that cannot be left out, raises it.
const VERSION: u32 = 1;
/// Most bytes of the file.
pub(super) const MOST_BYTES: u64 = 1 << 20;
/// A cache that is small has a small file: no more than this part of its capacity.
const CAPACITY_PART: u64 = 256;

const NAME: &str = "sessions.json";

/// Most bytes that the file has in a server of this capacity. While it is replaced there are two.
#[must_use]
pub fn most_bytes(capacity: u64) -> u64 {
    MOST_BYTES.min(capacity / CAPACITY_PART)
}

/// Where sessions are saved.
pub(super) struct File {
    directory: PathBuf,
    most_bytes: u64,
    /// False where a newer larder's file must stay.
    is_ours: bool,
    /// What stands in it, so that nothing is written that is there already.
    written: Mutex<Vec<u8>>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    sessions: &'a [SessionSummary],
}

#[derive(Deserialize)]
struct Read {
    sessions: Vec<SessionSummary>,
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

/// Why a file gives no sessions.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not what larder writes: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is of version {0}, and this larder knows none newer than {VERSION}")]
    Newer(u32),
}

impl File {
    /// The file in `directory`, and what was saved in it, in the order of the sessions' numbers.
    pub(super) fn open(directory: &Path, capacity: u64) -> (Self, Vec<SessionSummary>) {
        let path = directory.join(NAME);
        let (mut is_ours, mut sessions) = (true, Vec::new());
        match read(&path) {
            Ok(found) => sessions = found,
            Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error @ Unreadable::Newer(_)) => {
                is_ours = false;
                tracing::warn!(path = %path.display(), %error, "sessions are not saved: the file of a newer larder is left alone");
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "saved sessions cannot be read and are begun anew");
            }
        }
        sessions.truncate(MOST_SESSIONS);
        sessions.sort_by_key(|session| session.id);
        let most_bytes = most_bytes(capacity);
        let written = Mutex::default();
        (Self { directory: directory.to_owned(), most_bytes, is_ours, written }, sessions)
    }

    /// Replaces the file by one with these sessions, the newest first, or as many as fit.
    pub(super) fn save(&self, sessions: &[SessionSummary]) {
        let mut written = self.written.lock();
        let text = self.text(sessions);
        if !self.is_ours || *written == text || (sessions.is_empty() && written.is_empty()) {
            return;
        }
        match saving::replace(&self.directory.join(NAME), &text) {
            Ok(()) => *written = text,
            Err(error) => {
                let directory = self.directory.display();
                tracing::warn!(%directory, %error, "sessions were not saved");
            }
        }
    }

    fn text(&self, sessions: &[SessionSummary]) -> Vec<u8> {
        let mut count = sessions.len();
        loop {
            // Texts and finite numbers always are JSON.
            let text = serde_json::to_vec(&Written { version: VERSION, sessions: &sessions[..count] });
            let text = text.unwrap_or_default();
            if text.len() as u64 <= self.most_bytes || count == 0 {
                return text;
            }
            count = count * 3 / 4;
        }
    }
}

fn read(path: &Path) -> Result<Vec<SessionSummary>, Unreadable> {
    let size = path.metadata()?.len();
    if size > 2 * MOST_BYTES {
        return Err(io::Error::other(format!("it has {size} bytes, more than larder writes")).into());
    }
    let text = fs::read(path)?;
    let Head { version } = serde_json::from_slice(&text)?;
    if version > VERSION {
        return Err(Unreadable::Newer(version));
    }
    Ok(serde_json::from_slice::<Read>(&text)?.sessions)
}

#[cfg(test)]
mod tests {
    use super::super::Session;
    use super::*;
    use crate::key::{Namespace, ObjectKey, ObjectName};

    fn sessions(count: u64) -> Vec<SessionSummary> {
        let session = |id| {
            let session = Session::begin(id, "ci", format!("build-{id}").parse().unwrap(), id);
            let key = ObjectKey::new(&"k".repeat(500)).unwrap();
            session.stored(&ObjectName { namespace: Namespace::default_namespace(), key }, 1, 1);
            session.summary(id)
        };
        (1..=count).rev().map(session).collect()
    }

    #[test]
    fn a_file_that_cannot_be_read_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        for text in ["", "{", "{\"version\":1}", "[]", "{\"version\":1,\"sessions\":[{}]}"] {
            fs::write(&path, text).unwrap();
            let (file, found) = File::open(dir.path(), 1 << 30);
            assert!(found.is_empty(), "{text}");
            file.save(&sessions(2));
            let found = File::open(dir.path(), 1 << 30).1;
            assert_eq!(found.iter().map(|session| session.id).collect::<Vec<_>>(), [1, 2]);
        }
        assert!(!dir.path().join("sessions.new").exists());
    }

    #[test]
    fn a_newer_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        fs::write(&path, "{\"version\":2,\"else\":[]}").unwrap();
        let (file, found) = File::open(dir.path(), 1 << 30);
        assert!(found.is_empty());
        file.save(&sessions(1));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"version\":2,\"else\":[]}");
    }

    #[test]
    fn the_file_never_has_more_bytes_than_it_may_and_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = File::open(dir.path(), 16 << 20);
        file.save(&sessions(MOST_SESSIONS as u64));
        let bytes = dir.path().join(NAME).metadata().unwrap().len();
        assert!(bytes <= most_bytes(16 << 20) && bytes > 0, "{bytes}");
        let found = File::open(dir.path(), 16 << 20).1;
        assert!(found.len() > 50 && found.len() < MOST_SESSIONS, "{}", found.len());
        assert_eq!(found.last().map(|session| session.id), Some(MOST_SESSIONS as u64));
    }

    #[test]
    fn without_sessions_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("analytics");
        File::open(&directory, 1 << 30).0.save(&[]);
        assert!(!directory.exists());
    }
}
