//! One suite that every [`Index`] engine passes.

use super::{Change, Entry, Index, MemoryIndex, Progress, Recency, SledIndex};
use crate::blobs::Location;
use crate::key::{Namespace, ObjectKey, ObjectName};

fn entry(sequence: u64, namespace: &str, key: &str) -> Entry {
    Entry {
        sequence,
        name: ObjectName { namespace: Namespace::new(namespace).unwrap(), key: ObjectKey::new(key).unwrap() },
        location: Location { segment: 1, block: 2, header_len: 90, body_len: sequence * 10 },
        created_ms: sequence * 1000,
        body_checksum: u128::from(sequence) << 70,
    }
}

fn all(index: &dyn Index) -> Vec<Entry> {
    let mut entries = Vec::new();
    index.load(&mut |entry| entries.push(entry)).unwrap();
    entries
}

fn keys(index: &dyn Index, namespace: &str, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let namespace = Namespace::new(namespace).unwrap();
    let found = index.list(&namespace, prefix, after, limit).unwrap();
    found.iter().map(|entry| entry.name.key.as_str().to_owned()).collect()
}

fn puts_removes_and_order(index: &dyn Index) {
    let entries = [entry(1, "a", "x"), entry(2, "a", "y"), entry(3, "b", "x"), entry(300, "a", "z")];
    index.apply(&entries.clone().map(Change::Put)).unwrap();
    assert_eq!(all(index), entries);
    index.apply(&[Change::Remove(2), Change::Remove(77)]).unwrap();
    assert_eq!(all(index), [entries[0].clone(), entries[2].clone(), entries[3].clone()]);
    let moved = Entry { location: Location { block: 9, ..entries[0].location }, ..entries[0].clone() };
    index.apply(&[Change::Put(moved.clone())]).unwrap();
    assert_eq!(all(index)[0], moved);
    let from = |from, limit| -> Vec<u64> {
        index.entries_from(from, limit).unwrap().iter().map(|entry| entry.sequence).collect()
    };
    assert_eq!(
        (from(0, 9), from(2, 1), from(300, 9), from(301, 9)),
        (vec![1, 3, 300], vec![3], vec![300], vec![])
    );
}

fn a_name_belongs_to_its_newest_entry(index: &dyn Index) {
    index.apply(&[Change::Put(entry(1, "a", "x")), Change::Put(entry(2, "a", "x"))]).unwrap();
    index.apply(&[Change::Remove(1)]).unwrap();
    assert_eq!(keys(index, "a", "", None, 9), ["x"]);
    index.apply(&[Change::Remove(2)]).unwrap();
    assert!(keys(index, "a", "", None, 9).is_empty());
}

fn lists_in_byte_order_within_a_namespace(index: &dyn Index) {
    let names = ["b/2", "a", "b", "b/1", "b.c", "ü", "b/10", " "];
    for (sequence, key) in (1..).zip(names) {
        index
            .apply(&[Change::Put(entry(sequence, "n", key)), Change::Put(entry(100 + sequence, "nn", key))])
            .unwrap();
    }
    assert_eq!(keys(index, "n", "", None, 99), [" ", "a", "b", "b.c", "b/1", "b/10", "b/2", "ü"]);
    assert_eq!(keys(index, "n", "b/", None, 99), ["b/1", "b/10", "b/2"]);
    assert_eq!(keys(index, "n", "b/", Some("b/1"), 99), ["b/10", "b/2"]);
    assert_eq!(keys(index, "n", "b/", Some("a"), 2), ["b/1", "b/10"]);
    assert_eq!(keys(index, "n", "", Some("b.c"), 1), ["b/1"]);
    assert!(keys(index, "other", "", None, 9).is_empty());
    assert!(keys(index, "n", "b/", Some("b/3"), 9).is_empty());
}

fn recency_and_progress_are_replaced(index: &dyn Index) {
    let row = |sequence, hits| Recency { sequence, used_us: sequence + 5, hits };
    index.put_recency(1, &[row(1, 1), row(2, 1)]).unwrap();
    index.put_recency(2, &[row(3, 1)]).unwrap();
    index.put_recency(1, &[row(2, 7)]).unwrap();
    let mut rows = Vec::new();
    index.load_recency(&mut |row| rows.push(row)).unwrap();
    assert_eq!(rows, [row(2, 7), row(3, 1)]);

    let progress = |segment, block| Progress { segment, block, identity: 7 };
    index.checkpoint(&[progress(1, u32::MAX), progress(2, 9)]).unwrap();
    index.checkpoint(&[progress(2, 12), progress(3, 1)]).unwrap();
    assert_eq!(index.progress().unwrap(), [progress(2, 12), progress(3, 1)]);
}

#[test]
fn every_engine_conforms() {
    let suite: [fn(&dyn Index); 4] = [
        puts_removes_and_order,
        a_name_belongs_to_its_newest_entry,
        lists_in_byte_order_within_a_namespace,
        recency_and_progress_are_replaced,
    ];
    for case in suite {
        case(&MemoryIndex::default());
        let dir = tempfile::tempdir().unwrap();
        case(&SledIndex::open(&dir.path().join("index")).unwrap());
    }
}

#[test]
fn sled_remembers_what_was_checkpointed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    {
        let index = SledIndex::open(&path).unwrap();
        index.apply(&[Change::Put(entry(1, "a", "x"))]).unwrap();
        index.checkpoint(&[Progress { segment: 4, block: 5, identity: u64::MAX }]).unwrap();
        assert!(index.disk_bytes().unwrap() > 0);
    }
    std::fs::write(path.join("snap.00.generating"), b"half").unwrap();
    let index = SledIndex::open(&path).unwrap();
    assert_eq!(all(&index), [entry(1, "a", "x")]);
    assert_eq!(index.progress().unwrap(), [Progress { segment: 4, block: 5, identity: u64::MAX }]);
}

/// The capacity is kept by this figure: what is on its way to the disk is in it.
#[test]
fn sled_counts_what_it_has_not_written_yet() {
    let dir = tempfile::tempdir().unwrap();
    let index = SledIndex::open(dir.path()).unwrap();
    for first in (0..2000).step_by(20) {
        let puts: Vec<Change> =
            (first..first + 20).map(|at| Change::Put(entry(at, "a", &format!("{at:0>900}")))).collect();
        index.apply(&puts).unwrap();
        let counted = index.disk_bytes().unwrap();
        index.checkpoint(&[]).unwrap();
        assert_eq!(counted, index.disk_bytes().unwrap(), "after {first} entries");
    }
}
