//! Through the table in other orders than by name: the oldest first, all of it, or what changed.
//!
//! Owns the order of eviction over all shards. Knows nothing of why somebody walks.

use std::sync::atomic::Ordering;

use super::{Slot, Table};
use crate::index::Recency;

impl Table {
    /// Removes the object that was not used for the longest time. `None` when there is none.
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
