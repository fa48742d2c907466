//! Build sessions: the requests of one build, told apart by a label that its credentials or a header carry.
//!
//! Owns which sessions there are, when one ends and how many are kept. What one counts is [`Session`]'s, and the file they outlive
//! the process in `saved`'s. Never a label in metrics: labels are as many as there are builds.
//!
//! Bounded: [`MOST_SESSIONS`] sessions of 2 × [`MOST_MISSES`] names of at most 200 bytes and a kilobyte of counts, so about a megabyte
//! of memory at most; and [`saved::MOST_BYTES`] on disk.

mod label;
mod saved;
mod session;

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::RwLock;
use twox_hash::XxHash3_64;

pub use self::label::{HEADER, Label};
use self::saved::File;
pub use self::saved::most_bytes;
pub use self::session::{ClientRequests, Miss, Session, SessionSummary};

/// Most sessions that are kept, those that are over included.
pub const MOST_SESSIONS: usize = 200;
/// A session without a request for so long is over, in milliseconds; the next request with its label begins another.
pub const IDLE_MS: u64 = 30 * 60 * 1000;
/// Longest name of a principal that is kept, in bytes: a CI job's comes from its issuer.
const LONGEST_PRINCIPAL: usize = 200;

/// The sessions of a server.
pub(super) struct Sessions {
    /// Every request of a build looks into it; only a new session writes.
    book: RwLock<Book>,
    file: File,
}

struct Book {
    /// All that are kept, in the order of their beginning.
    all: Vec<Arc<Session>>,
    /// The last one of each principal and label.
    last: HashTable<Last>,
    next_id: u64,
    /// Callers choose labels: without it they could choose such as lie in one place of the table.
    seed: u64,
}

struct Last {
    principal: Box<str>,
    label: Label,
    session: Arc<Session>,
}

impl Sessions {
    /// With those that were saved in `directory`, of a server of this capacity in bytes.
    pub(super) fn open(directory: &Path, capacity: u64) -> Self {
        let (file, saved) = File::open(directory, capacity);
        let next_id = saved.iter().map(|session| session.id).max().map_or(1, |id| id + 1);
        let seed = RandomState::new().hash_one(next_id);
        let mut book = Book { all: Vec::new(), last: HashTable::new(), next_id, seed };
        for summary in saved {
            let Ok(label) = summary.label.parse() else { continue };
            let principal = summary.principal.clone();
            book.add(&principal, label, Arc::new(Session::resumed(summary)));
        }
        Self { book: RwLock::new(book), file }
    }

    /// Counts a request of `client` in the session that goes on under this label, or in a new one.
    pub(super) fn request(&self, principal: &str, label: Label, client: &str, now_ms: u64) -> Arc<Session> {
        let principal = &principal[..principal.floor_char_boundary(LONGEST_PRINCIPAL)];
        let running = |book: &Book| {
            let session = book.find(principal, label)?;
            session.request(client, now_ms).then(|| Arc::clone(session))
        };
        if let Some(session) = running(&self.book.read()) {
            return session;
        }
        let mut book = self.book.write();
        // Another request may have begun it meanwhile.
        running(&book).unwrap_or_else(|| {
            let session = Arc::new(Session::begin(book.next_id, principal, label, now_ms));
            session.request(client, now_ms);
            book.next_id += 1;
            book.add(principal, label, Arc::clone(&session));
            if book.all.len() > MOST_SESSIONS {
                book.forget_oldest();
            }
            session
        })
    }

    /// Those used last, the newest first.
    pub(super) fn list(&self, limit: usize, now_ms: u64) -> Vec<SessionSummary> {
        let all = self.book.read().all.clone();
        let mut list: Vec<_> = all.iter().map(|session| session.summary(now_ms)).collect();
        list.sort_by_key(|session| std::cmp::Reverse((session.last_seen_ms, session.id)));
        list.truncate(limit);
        list
    }

    /// Writes them down, if anything has changed since.
    pub(super) fn save(&self) {
        self.file.save(&self.list(MOST_SESSIONS, 0));
    }
}

impl Book {
    fn find(&self, principal: &str, label: Label) -> Option<&Arc<Session>> {
        let hash = hash_of(self.seed, principal, label);
        Some(&self.last.find(hash, |last| last.is_of(principal, label))?.session)
    }

    /// From now on `session` is the last one of its principal and label.
    fn add(&mut self, principal: &str, label: Label, session: Arc<Session>) {
        self.all.push(Arc::clone(&session));
        let seed = self.seed;
        let rehash = |last: &Last| hash_of(seed, &last.principal, last.label);
        let hash = hash_of(seed, principal, label);
        match self.last.entry(hash, |last| last.is_of(principal, label), rehash) {
            Entry::Occupied(mut last) => last.get_mut().session = session,
            Entry::Vacant(place) => {
                place.insert(Last { principal: principal.into(), label, session });
            }
        }
    }

    /// Forgets the session that was used the longest time ago.
    fn forget_oldest(&mut self) {
        let oldest = self.all.iter().enumerate().min_by_key(|(_, session)| session.last_seen_ms());
        let Some((at, _)) = oldest else { return };
        let gone = self.all.remove(at);
        self.last.retain(|last| !Arc::ptr_eq(&last.session, &gone));
    }
}

impl Last {
    fn is_of(&self, principal: &str, label: Label) -> bool {
        self.label == label && *self.principal == *principal
    }
}

fn hash_of(seed: u64, principal: &str, label: Label) -> u64 {
    let seed = XxHash3_64::oneshot_with_seed(seed, principal.as_bytes());
    XxHash3_64::oneshot_with_seed(seed, label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    fn seen(sessions: &Sessions, principal: &str, text: &str, now_ms: u64) -> u64 {
        sessions.request(principal, label(text), "sccache", now_ms).summary(now_ms).id
    }

    #[test]
    fn a_session_goes_on_until_nothing_is_asked_for_half_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path(), 1 << 30);
        let first = seen(&sessions, "ci", "build-1", MINUTE);
        assert_eq!(seen(&sessions, "ci", "build-1", 31 * MINUTE), first);
        assert_ne!(seen(&sessions, "ci", "build-2", 31 * MINUTE), first, "another label");
        assert_ne!(seen(&sessions, "dev", "build-1", 31 * MINUTE), first, "somebody else's");
        let again = seen(&sessions, "ci", "build-1", 61 * MINUTE + 1);
        assert_ne!(again, first, "the first one is over");
        let list = sessions.list(10, 62 * MINUTE);
        let shown: Vec<_> = list.iter().map(|s| (s.id, s.requests, s.is_running)).collect();
        assert_eq!(shown, [(4, 1, true), (3, 1, false), (2, 1, false), (1, 2, false)]);
        assert_eq!(sessions.list(2, 62 * MINUTE).len(), 2);
    }

    #[test]
    fn however_many_labels_there_are_the_last_ones_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path(), 1 << 30);
        let number = MOST_SESSIONS as u64;
        for build in 0..3 * number {
            seen(&sessions, &"p".repeat(1000), &format!("build-{build}"), build + 1);
        }
        let list = sessions.list(usize::MAX, 3 * number);
        assert_eq!(list.len(), MOST_SESSIONS);
        assert_eq!((list[0].id, list[MOST_SESSIONS - 1].id), (3 * number, 2 * number + 1));
        assert_eq!(list[0].principal.len(), LONGEST_PRINCIPAL);
        let book = sessions.book.read();
        assert_eq!((book.all.len(), book.last.len()), (MOST_SESSIONS, MOST_SESSIONS));
    }

    #[test]
    fn sessions_outlive_the_process_and_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path(), 1 << 30);
        let first = seen(&sessions, "ci", "build-1", MINUTE);
        let session = sessions.request("ci", label("build-1"), "ccache", MINUTE);
        session.hit(1500);
        session.miss();
        sessions.save();
        let before = sessions.list(10, MINUTE);
        let sessions = Sessions::open(dir.path(), 1 << 30);
        assert_eq!(sessions.list(10, MINUTE), before);
        assert_eq!(seen(&sessions, "ci", "build-1", 2 * MINUTE), first);
        assert_eq!(sessions.list(10, MINUTE)[0].hits, 1);
        assert_eq!(seen(&sessions, "ci", "build-2", 2 * MINUTE), first + 1, "no number is given twice");
    }
}
