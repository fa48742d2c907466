//! Through the table in other orders than by name: the oldest first, all of it, or what changed.
//!
//! Owns the order of eviction over all shards. Knows nothing of why somebody walks.

use std::sync::atomic::Ordering;

use super::{Slot, Table};
use crate::index::Recency;

impl Table {
    /// Removes the object that was not used for the longest time, of those that are saved. `None` when there is none.
    #[must_use]
    pub fn remove_oldest(&self) -> Option<Slot> {
        loop {
            let oldest = |at: usize| self.oldest[at].load(Ordering::Acquire);
            let at = (0..Self::SHARDS).min_by_key(|at| oldest(*at))?;
            if oldest(at) == u64::MAX {
                return None;
            }
            let mut shard = self.shards[at].lock();
            let removed = shard.remove_oldest();
            self.oldest[at].store(shard.oldest_us(), Ordering::Release);
            drop(shard);
            // Another thread may have emptied the shard in between; then the next one is asked.
            if let Some(slot) = removed {
                self.count_removed(&slot);
                return Some(slot);
            }
        }
    }

    /// As [`Table::remove_oldest`], of one group.
    #[must_use]
    pub fn remove_oldest_of(&self, group: u16) -> Option<Slot> {
        loop {
            // Asked shard by shard: this is for a group above its limit only, and freeing a record costs far more.
            let oldest = |at: &usize| self.shards[*at].lock().oldest_us_of(group);
            let (used_us, at) = (0..Self::SHARDS).map(|at| (oldest(&at), at)).min()?;
            if used_us == u64::MAX {
                return None;
            }
            let mut shard = self.shards[at].lock();
            let removed = shard.remove_oldest_of(group);
            self.oldest[at].store(shard.oldest_us(), Ordering::Release);
            drop(shard);
            if let Some(slot) = removed {
                self.count_removed(&slot);
                return Some(slot);
            }
        }
    }

    /// Visits every object, a part of a shard at a time: no request waits for more than some microseconds. What moves
    /// meanwhile may be missed.
    pub fn scan(&self, mut visit: impl FnMut(&Slot)) {
        for shard in &self.shards {
            for block in 0.. {
                if !shard.lock().visit_block(block, &mut visit) {
                    break;
                }
            }
        }
    }

    /// Visits every object, one shard at a time.
    pub fn visit(&self, mut visit: impl FnMut(&Slot)) {
        for shard in &self.shards {
            shard.lock().visit(&mut visit);
        }
    }

    /// Up to `limit` objects of one shard, from 0 to [`Table::SHARDS`], whose bodies this process has not checked.
    #[must_use]
    pub fn unverified(&self, shard: usize, limit: usize) -> Vec<Slot> {
        let mut found = Vec::new();
        self.shards[shard].lock().visit(&mut |slot: &Slot| {
            if !slot.verified && found.len() < limit {
                found.push(*slot);
            }
        });
        found
    }

    /// All objects of one shard, from 0 to [`Table::SHARDS`].
    #[must_use]
    pub fn all(&self, shard: usize) -> Vec<Slot> {
        let mut found = Vec::new();
        self.shards[shard].lock().visit(&mut |slot: &Slot| found.push(*slot));
        found
    }

    /// Makes every object one whose body is yet to be checked.
    pub fn forget_verified(&self) {
        self.shards.iter().for_each(|shard| shard.lock().forget_verified());
    }

    /// Takes the recency of a group of objects in which one was used since the last call. `None` when there is none.
    /// `resume` is where to go on looking; start with 0.
    #[must_use]
    pub fn next_changed_group(&self, resume: &mut usize) -> Option<(u32, Vec<Recency>)> {
        while *resume < Self::SHARDS {
            if let Some((group, rows)) = self.shards[*resume].lock().take_changed_group() {
                let group = group * Self::SHARDS + *resume;
                return Some((u32::try_from(group).unwrap_or(u32::MAX), rows));
            }
            *resume += 1;
        }
        None
    }

    /// Makes [`Table::next_changed_group`] hand out every group again.
    pub fn mark_all_changed(&self) {
        self.shards.iter().for_each(|shard| shard.lock().mark_all_changed());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::blobs::Location;
    use crate::index::Clock;
    use crate::index::table::{NewRecord, Space};
    use crate::key::{Namespace, ObjectKey, ObjectName};
    use crate::object::Precondition;

    const GROUPS: u16 = 3;

    fn name(key: u8) -> ObjectName {
        let key = ObjectKey::new(&key.to_string()).unwrap();
        ObjectName { namespace: Namespace::default_namespace(), key }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, bool),
        Save(u8),
        Get(u8),
        Remove(u8),
        Evict,
        EvictOf(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..40u8, any::<bool>()).prop_map(|(key, unsaved)| Step::Put(key, unsaved)),
            3 => (0..40u8).prop_map(Step::Save),
            5 => (0..40u8).prop_map(Step::Get),
            1 => (0..40u8).prop_map(Step::Remove),
            2 => Just(Step::Evict),
            2 => (0..GROUPS).prop_map(Step::EvictOf),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// The keys of a plain list, the least recently used first, tell what must go, from all or from one group; what is
        /// not saved stays until it is, and then goes in its turn.
        #[test]
        fn the_oldest_of_all_and_of_each_group_are_exact(steps in steps()) {
            let clock = Clock::default();
            let table = Table::new(GROUPS, clock.clone());
            table.finish_loading();
            let group_of = |key: u8| u16::from(key) % GROUPS;
            let mut order: Vec<u8> = Vec::new();
            let mut unsaved_since: HashMap<u8, u64> = HashMap::new();
            for (sequence, step) in (1..).zip(steps) {
                clock.put_forward(Duration::from_micros(10));
                let went = |order: &mut Vec<u8>, key: u8| order.retain(|other| *other != key);
                match step {
                    Step::Put(key, unsaved) => {
                        let record = NewRecord {
                            hash: table.hash(&name(key)),
                            sequence,
                            location: Location { segment: 1, block: 1, header_len: 90, body_len: 9000 },
                            space: Space { group: group_of(key), instance: 0 },
                            created_ms: 1,
                            unsaved,
                        };
                        table.insert(record, Precondition::None, |_| ()).unwrap();
                        went(&mut order, key);
                        order.push(key);
                        unsaved_since.remove(&key);
                        if unsaved {
                            unsaved_since.insert(key, sequence);
                        }
                    }
                    Step::Save(key) => {
                        let current = unsaved_since.remove(&key);
                        let hash = table.hash(&name(key));
                        prop_assert!(!table.set_saved(hash, u64::MAX), "that record is not the current one");
                        prop_assert!(current.is_none_or(|sequence| table.set_saved(hash, sequence)));
                    }
                    Step::Get(key) => {
                        let found = table.get(table.hash(&name(key)), |_| ()).is_some();
                        prop_assert_eq!(found, order.contains(&key));
                        if found {
                            went(&mut order, key);
                            order.push(key);
                        }
                    }
                    Step::Remove(key) => {
                        let _ = table.remove(table.hash(&name(key)), Precondition::None);
                        unsaved_since.remove(&key);
                        went(&mut order, key);
                    }
                    Step::Evict => {
                        let expected = order.iter().copied().find(|key| !unsaved_since.contains_key(key));
                        let gone = table.remove_oldest().map(|slot| slot.hash);
                        prop_assert_eq!(gone, expected.map(|key| table.hash(&name(key))));
                        expected.into_iter().for_each(|key| went(&mut order, key));
                    }
                    Step::EvictOf(group) => {
                        let may_go = |key: &u8| group_of(*key) == group && !unsaved_since.contains_key(key);
                        let expected = order.iter().copied().find(may_go);
                        let gone = table.remove_oldest_of(group).map(|slot| slot.hash);
                        prop_assert_eq!(gone, expected.map(|key| table.hash(&name(key))));
                        expected.into_iter().for_each(|key| went(&mut order, key));
                    }
                }
                for group in 0..GROUPS {
                    let objects = order.iter().filter(|key| group_of(**key) == group).count() as u64;
                    prop_assert_eq!(table.objects_of(group), objects);
                    prop_assert_eq!(table.disk_bytes_of(group), objects * 3 * 4096);
                }
                let mut seen = 0;
                table.scan(|_| seen += 1);
                prop_assert_eq!(seen, order.len());
            }
        }
    }
}
