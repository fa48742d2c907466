//! An engine that remembers nothing across restarts: the reference for the conformance suite, and the stand-in
//! while the engine on disk cannot be opened.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::Mutex;

use super::{Change, Entry, Index, IndexError, Progress, Recency};
use crate::key::{Namespace, ObjectKey, ObjectName};

/// Entries in memory.
#[derive(Default)]
pub struct MemoryIndex {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<u64, Entry>,
    names: BTreeMap<ObjectName, u64>,
    recency: BTreeMap<u32, Vec<Recency>>,
    progress: Vec<Progress>,
}

impl Index for MemoryIndex {
    fn apply(&self, changes: &[Change]) -> Result<(), IndexError> {
        let State { entries, names, .. } = &mut *self.state.lock();
        for change in changes {
            match change {
                Change::Put(entry) => {
                    names.insert(entry.name.clone(), entry.sequence);
                    entries.insert(entry.sequence, entry.clone());
                }
                Change::Remove(sequence) => {
                    let Some(entry) = entries.remove(sequence) else { continue };
                    if names.get(&entry.name) == Some(sequence) {
                        names.remove(&entry.name);
                    }
                }
            }
        }
        Ok(())
    }

    fn put_recency(&self, group: u32, rows: &[Recency]) -> Result<(), IndexError> {
        self.state.lock().recency.insert(group, rows.to_vec());
        Ok(())
    }

    fn checkpoint(&self, progress: &[Progress]) -> Result<(), IndexError> {
        self.state.lock().progress = progress.to_vec();
        Ok(())
    }

    fn progress(&self) -> Result<Vec<Progress>, IndexError> {
        Ok(self.state.lock().progress.clone())
    }

    fn load(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), IndexError> {
        self.state.lock().entries.values().cloned().for_each(visit);
        Ok(())
    }

    fn entries_from(&self, from: u64, limit: usize) -> Result<Vec<Entry>, IndexError> {
        let state = self.state.lock();
        Ok(state.entries.range(from..).take(limit).map(|(_, entry)| entry.clone()).collect())
    }

    fn load_recency(&self, visit: &mut dyn FnMut(Recency)) -> Result<(), IndexError> {
        self.state.lock().recency.values().flatten().copied().for_each(visit);
        Ok(())
    }

    fn list(
        &self,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, IndexError> {
        let state = self.state.lock();
        let in_range = |name: &&ObjectName| {
            let key = name.key.as_str();
            key.starts_with(prefix) && after.is_none_or(|after| key > after)
        };
        // The first key of the namespace sorts at or behind the least valid key, which is one '!' or so; starting
        // from the namespace's least possible name keeps the walk short.
        let Ok(least) = ObjectKey::new(" ") else { return Ok(Vec::new()) };
        let start = ObjectName { namespace: namespace.clone(), key: least };
        Ok(state
            .names
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(|(name, _)| name.namespace == *namespace)
            .filter(|(name, _)| in_range(name))
            .filter_map(|(_, sequence)| state.entries.get(sequence).cloned())
            .take(limit)
            .collect())
    }

    fn disk_bytes(&self) -> Result<u64, IndexError> {
        Ok(0)
    }
}
