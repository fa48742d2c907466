//! The catalogue over restarts, kills and damage.

use std::path::Path;

use super::{Catalogue, Known, Mark, Saved};
use crate::bucket::BucketPath;

fn path(text: &str) -> BucketPath {
    BucketPath::parse(text).unwrap()
}

fn known(length: u64) -> Known {
    Known { checksum: Some(u128::from(length) << 70), length, used_ms: 5, modified_ms: 6 }
}

fn open(dir: &Path) -> Catalogue {
    Catalogue::open(dir.join("bucket"), "file:///a")
}

const SAVED: Saved = Saved { below: 70, complete_below: 60 };

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn what_was_checkpointed_survives_a_kill() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let catalogue = open(dir.path());
    assert_eq!(catalogue.saved(), None);
    assert_eq!(catalogue.put(&path("n/a"), known(1)), None);
    assert_eq!(catalogue.put(&path("n/a"), known(2)), Some(known(1)));
    catalogue.put(&path("n/b"), Known { checksum: None, ..known(3) });
    catalogue.put(&path("n/c"), known(4));
    assert_eq!(catalogue.remove(&path("n/c")), Some(known(4)));
    catalogue.mark(&path("n/c"), 33);
    [69, 71, 75].into_iter().for_each(|sequence| catalogue.note_not_queued(sequence));
    assert!(catalogue.checkpoint(Saved { below: 70, ..SAVED }));
    assert_eq!(catalogue.not_queued(), [71, 75].into());
    catalogue.mark(&path("n/c"), 34);
    assert!(catalogue.checkpoint(Saved { below: 72, ..SAVED }));
    // While the first one is open, as a killed process would leave it.
    copy(dir.path(), killed.path());
    let again = open(killed.path());
    assert_eq!(again.saved(), Some(Saved { below: 72, ..SAVED }));
    assert_eq!(again.not_queued(), [75].into());
    assert_eq!(again.get(&path("n/a")), Some(known(2)));
    assert_eq!(again.get(&path("n/b")), Some(Known { checksum: None, ..known(3) }));
    assert_eq!(again.get(&path("n/c")), None);
    assert_eq!((again.rows(), again.server()), (2, catalogue.server()));
    assert!(again.is_deleted(&path("n/c")) && !again.is_deleted(&path("n/a")));
    let mut seen = Vec::new();
    again.visit(|_, known| seen.push(known.length));
    seen.sort_unstable();
    assert_eq!(seen, [2, 3]);
}

#[test]
fn marks_go_with_what_is_newer_and_come_back_where_a_deletion_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let catalogue = open(dir.path());
    assert_eq!(catalogue.mark(&path("a"), 10), None);
    let before = catalogue.mark(&path("a"), 20);
    assert_eq!(before, Some(Mark { path: path("a"), sequence: 10 }));
    catalogue.restore(&path("a"), before);
    assert_eq!(catalogue.marks(9, |_| true), [Mark { path: path("a"), sequence: 10 }]);
    catalogue.unmark(&path("a"), 9);
    assert!(catalogue.is_deleted(&path("a")));
    catalogue.unmark(&path("a"), 10);
    assert!(!catalogue.is_deleted(&path("a")) && catalogue.marked() == 0);
}

#[test]
fn another_bucket_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    {
        let catalogue = open(dir.path());
        catalogue.put(&path("a"), known(1));
        catalogue.mark(&path("b"), 1);
        catalogue.checkpoint(SAVED);
    }
    let other = Catalogue::open(dir.path().join("bucket"), "file:///b");
    assert_eq!((other.get(&path("a")), other.saved(), other.marked()), (None, None, 0));
}

#[test]
fn damage_costs_what_was_known_and_nothing_else() {
    for file in ["db", "conf"] {
        let dir = tempfile::tempdir().unwrap();
        {
            let catalogue = open(dir.path());
            for n in 0..2000 {
                catalogue.put(&path(&format!("n/{n}")), known(n));
            }
            catalogue.checkpoint(SAVED);
        }
        let damaged = dir.path().join("bucket").join(file);
        let length = std::fs::read(&damaged).unwrap().len();
        std::fs::write(&damaged, vec![0xa5; length]).unwrap();
        let catalogue = open(dir.path());
        // Whatever is left, it works from here on; at the latest with the next checkpoint.
        let _ = catalogue.get(&path("n/1"));
        catalogue.checkpoint(SAVED);
        catalogue.put(&path("new"), known(7));
        assert!(catalogue.checkpoint(SAVED));
        assert_eq!(catalogue.get(&path("new")), Some(known(7)));
    }
}

#[test]
fn a_newer_row_is_not_taken_for_todays() {
    let mut bytes = known(1).encode();
    assert_eq!(Known::decode(&bytes), Ok(known(1)));
    bytes[0] = 2;
    assert!(Known::decode(&bytes).is_err());
}
