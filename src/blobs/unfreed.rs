//! Dead records whose headers can still be read from the disk, by whose they were.
//!
//! Owns the rule between a deletion and the freeing of older versions: each of them is either marked as dead while it has its
//! blocks, or gone. A mark in a hole would take a block again, so who deletes waits for what is being freed just then; nobody else
//! waits for the disk here.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::reclaim::{Dead, kill};
use super::record::Location;
use super::segment::Segment;

/// All of them. Its lock is the innermost.
#[derive(Default)]
pub(super) struct Unfreed {
    versions: Mutex<HashMap<u128, Vec<Version>>>,
    /// Told when something is no longer being freed.
    settled: Condvar,
}

/// A dead record of some object.
struct Version {
    segment: Arc<Segment>,
    location: Location,
    being_freed: bool,
}

impl Unfreed {
    /// Takes a record that died.
    pub(super) fn note(&self, dead: &Dead) {
        let version =
            Version { segment: Arc::clone(&dead.segment), location: dead.location, being_freed: false };
        self.versions.lock().entry(dead.identity).or_default().push(version);
    }

    /// True when this record is among them.
    pub(super) fn has(&self, location: &Location, identity: u128) -> bool {
        let versions = self.versions.lock();
        versions.get(&identity).is_some_and(|of_it| of_it.iter().any(|version| version.location == *location))
    }

    /// Makes those of one object unreadable, and lets go of them: an object that is overwritten again and again does not become
    /// slower each time. Returns the segments written to.
    ///
    /// # Errors
    /// Those of the disk; what was not written to stays.
    pub(super) fn kill(&self, identity: u128) -> io::Result<Vec<Arc<Segment>>> {
        let mut versions = self.versions.lock();
        let being_freed = |of_it: &Vec<Version>| of_it.iter().any(|version| version.being_freed);
        self.settled.wait_while(&mut versions, |versions| versions.get(&identity).is_some_and(being_freed));
        // Still locked: nothing of it begins to be freed.
        let mut written = Vec::new();
        let Some(of_it) = versions.get_mut(&identity) else { return Ok(written) };
        while let Some(version) = of_it.last() {
            kill(&version.segment, &version.location)?;
            written.extend(of_it.pop().map(|version| version.segment));
        }
        versions.remove(&identity);
        Ok(written)
    }

    /// Runs `free`, which frees these records. Where it fails they stay.
    pub(super) fn free(&self, run: &[Dead], free: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.set_being_freed(run, true);
        let freed = free();
        match freed {
            Ok(()) => self.forget(run),
            Err(_) => self.set_being_freed(run, false),
        }
        self.settled.notify_all();
        freed
    }

    fn set_being_freed(&self, run: &[Dead], being_freed: bool) {
        let mut versions = self.versions.lock();
        for dead in run {
            let of_it = versions.get_mut(&dead.identity).into_iter().flatten();
            of_it
                .filter(|version| version.location == dead.location)
                .for_each(|version| version.being_freed = being_freed);
        }
    }

    fn forget(&self, run: &[Dead]) {
        let mut versions = self.versions.lock();
        for dead in run {
            if let Some(of_it) = versions.get_mut(&dead.identity) {
                of_it.retain(|version| version.location != dead.location);
                if of_it.is_empty() {
                    versions.remove(&dead.identity);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::blobs::record::DEAD_MARK;

    struct Place {
        _directory: tempfile::TempDir,
        segment: Arc<Segment>,
        unfreed: Unfreed,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let segment = Arc::new(Segment::create(directory.path(), 1, 7, Arc::default()).unwrap());
            Self { _directory: directory, segment, unfreed: Unfreed::default() }
        }

        fn dead(&self, block: u32, identity: u128) -> Dead {
            let location = Location { segment: 1, block, header_len: 100, body_len: 10 };
            let dead = Dead { segment: Arc::clone(&self.segment), location, identity };
            let write = |file: &std::fs::File| {
                std::os::unix::fs::FileExt::write_all_at(file, &[1; 8], location.offset())
            };
            self.segment.with_file(write).unwrap();
            self.unfreed.note(&dead);
            dead
        }

        fn is_marked(&self, dead: &Dead) -> bool {
            let mut start = [0; DEAD_MARK.len()];
            let at = dead.location.offset();
            let read =
                |file: &std::fs::File| std::os::unix::fs::FileExt::read_at(file, &mut start, at).map(drop);
            self.segment.with_file(read).unwrap();
            start == DEAD_MARK
        }
    }

    #[test]
    fn a_deletion_marks_what_has_its_blocks_and_waits_for_what_is_being_freed() {
        let place = Place::new();
        let (older, newer, other) = (place.dead(1, 1), place.dead(2, 1), place.dead(3, 2));
        let ((begun, begins), (go_on, waits)) = (mpsc::channel(), mpsc::channel::<()>());
        std::thread::scope(|scope| {
            let run = std::slice::from_ref(&older);
            let unfreed = &place.unfreed;
            scope.spawn(move || {
                let free = || {
                    begun.send(()).unwrap();
                    waits.recv().map_err(io::Error::other)
                };
                unfreed.free(run, free).unwrap();
            });
            begins.recv().unwrap();
            unfreed.kill(2).unwrap();
            assert!(place.is_marked(&other), "another object's deletion does not wait");
            let deletion = scope.spawn(|| unfreed.kill(1).unwrap().len());
            std::thread::sleep(Duration::from_millis(50));
            assert!(!deletion.is_finished() && unfreed.has(&older.location, 1));
            go_on.send(()).unwrap();
            assert_eq!(deletion.join().unwrap(), 1);
        });
        assert!(place.is_marked(&newer) && !place.is_marked(&older));
        assert!(place.unfreed.kill(1).unwrap().is_empty(), "nothing is marked twice");
        assert!(!place.unfreed.has(&older.location, 1) && !place.unfreed.has(&newer.location, 1));
    }

    #[test]
    fn what_could_not_be_freed_stays_and_can_be_deleted() {
        let place = Place::new();
        let dead = place.dead(1, 1);
        let failed = place.unfreed.free(std::slice::from_ref(&dead), || Err(io::ErrorKind::Other.into()));
        assert!(failed.is_err() && place.unfreed.has(&dead.location, 1));
        assert_eq!(place.unfreed.kill(1).unwrap().len(), 1);
        assert!(place.is_marked(&dead));
        place.unfreed.free(std::slice::from_ref(&dead), || Ok(())).unwrap();
        assert!(!place.unfreed.has(&dead.location, 1));
    }
}
