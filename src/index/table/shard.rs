//! One shard of the table: slots in blocks, a hash table of slot numbers, and a list through the slots from the
//! most to the least recently used.

use std::collections::HashSet;

use hashbrown::HashTable;

use super::{NameHash, Slot};
use crate::index::Recency;

/// No slot: the end of a list.
const NONE: u32 = u32::MAX;
/// Slots are allocated in blocks of this many, so that growing copies nothing.
const BLOCK_SLOTS: usize = 1024;
/// Objects whose recency is written together.
const GROUP_SLOTS: usize = 512;

struct Node {
    slot: Slot,
    newer: u32,
    older: u32,
    occupied: bool,
}

/// Part of the table, behind one lock.
pub(super) struct Shard {
    by_hash: HashTable<u32>,
    blocks: Vec<Vec<Node>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    /// By group of slots: used since it was last taken.
    changed: Vec<bool>,
    /// While loading: objects deleted since the start.
    deleted: Option<HashSet<NameHash>>,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self {
            by_hash: HashTable::new(),
            blocks: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            changed: Vec::new(),
            deleted: Some(HashSet::new()),
        }
    }

    pub(super) fn find(&self, hash: NameHash) -> Option<Slot> {
        self.position(hash).map(|at| self.node(at).slot)
    }

    pub(super) fn touch(&mut self, hash: NameHash, now_us: u64) -> Option<Slot> {
        let at = self.position(hash)?;
        let now_us = now_us.max(self.newest_us());
        self.unlink(at);
        self.link_newest(at);
        self.changed[at as usize / GROUP_SLOTS] = true;
        let slot = &mut self.node_mut(at).slot;
        slot.used_us = now_us;
        slot.hits = slot.hits.saturating_add(1);
        Some(*slot)
    }

    pub(super) fn update(&mut self, hash: NameHash, change: impl FnOnce(&mut Slot) -> bool) -> bool {
        self.position(hash).is_some_and(|at| change(&mut self.node_mut(at).slot))
    }

    pub(super) fn insert_newest(&mut self, mut slot: Slot) {
        if self.deleted.is_none() {
            slot.used_us = slot.used_us.max(self.newest_us());
        }
        let node = Node { slot, newer: NONE, older: NONE, occupied: true };
        let at = self.place(node);
        self.link_newest(at);
        self.changed[at as usize / GROUP_SLOTS] = true;
        let blocks = &self.blocks;
        let hash_of = |at: &u32| short(node_in(blocks, *at).slot.hash);
        self.by_hash.insert_unique(short(slot.hash), at, hash_of);
    }

    pub(super) fn remove(&mut self, hash: NameHash) -> Option<Slot> {
        let at = self.position(hash)?;
        Some(self.take(at))
    }

    /// Removes an object, and while loading remembers that, so that it is not loaded later on.
    pub(super) fn delete(&mut self, hash: NameHash) -> Option<Slot> {
        if let Some(deleted) = &mut self.deleted {
            deleted.insert(hash);
        }
        self.remove(hash)
    }

    pub(super) fn remove_oldest(&mut self) -> Option<Slot> {
        (self.oldest != NONE).then(|| self.take(self.oldest))
    }

    /// True when the object was deleted since the start: whatever is found on disk was stored before.
    pub(super) fn was_deleted(&self, hash: NameHash) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.contains(&hash))
    }

    pub(super) fn oldest_us(&self) -> u64 {
        if self.oldest == NONE { u64::MAX } else { self.node(self.oldest).slot.used_us }
    }

    pub(super) fn finish_loading(&mut self) {
        self.deleted = None;
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(self.by_hash.len());
        order.extend(self.by_hash.iter().map(|at| (self.node(*at).slot.used_us, *at)));
        order.sort_unstable();
        (self.newest, self.oldest) = (NONE, NONE);
        for (_, at) in order {
            self.link_newest(at);
        }
    }

    pub(super) fn visit(&self, visit: &mut impl FnMut(&Slot)) {
        self.by_hash.iter().for_each(|at| visit(&self.node(*at).slot));
    }

    pub(super) fn take_changed_group(&mut self) -> Option<(usize, Vec<Recency>)> {
        let group = self.changed.iter().position(|changed| *changed)?;
        self.changed[group] = false;
        let first = group * GROUP_SLOTS;
        let nodes = self.blocks[first / BLOCK_SLOTS].iter().skip(first % BLOCK_SLOTS).take(GROUP_SLOTS);
        let rows = nodes.filter(|node| node.occupied).map(|node| Recency {
            sequence: node.slot.sequence,
            used_us: node.slot.used_us,
            hits: node.slot.hits,
        });
        Some((group, rows.collect()))
    }

    pub(super) fn mark_all_changed(&mut self) {
        self.changed.fill(true);
    }

    fn newest_us(&self) -> u64 {
        if self.newest == NONE { 0 } else { self.node(self.newest).slot.used_us }
    }

    fn position(&self, hash: NameHash) -> Option<u32> {
        self.by_hash.find(short(hash), |at| self.node(*at).slot.hash == hash).copied()
    }

    fn node(&self, at: u32) -> &Node {
        node_in(&self.blocks, at)
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.blocks[at as usize / BLOCK_SLOTS][at as usize % BLOCK_SLOTS]
    }

    fn place(&mut self, node: Node) -> u32 {
        if let Some(at) = self.free.pop() {
            *self.node_mut(at) = node;
            return at;
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK_SLOTS) {
            self.blocks.push(Vec::with_capacity(BLOCK_SLOTS));
            self.changed.resize(self.blocks.len() * (BLOCK_SLOTS / GROUP_SLOTS), false);
        }
        let full = (self.blocks.len() - 1) * BLOCK_SLOTS;
        let last = self.blocks.len() - 1;
        self.blocks[last].push(node);
        // 2^32 slots in one of 64 shards would take terabytes of memory.
        u32::try_from(full + self.blocks[last].len() - 1).unwrap_or(NONE)
    }

    fn take(&mut self, at: u32) -> Slot {
        self.unlink(at);
        let slot = self.node(at).slot;
        if let Ok(entry) = self.by_hash.find_entry(short(slot.hash), |other| *other == at) {
            entry.remove();
        }
        self.node_mut(at).occupied = false;
        self.changed[at as usize / GROUP_SLOTS] = true;
        self.free.push(at);
        slot
    }

    fn link_newest(&mut self, at: u32) {
        let second = self.newest;
        let node = self.node_mut(at);
        (node.newer, node.older) = (NONE, second);
        match second {
            NONE => self.oldest = at,
            second => self.node_mut(second).newer = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Node { newer, older, .. } = *self.node(at);
        match newer {
            NONE => self.newest = older,
            newer => self.node_mut(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.node_mut(older).newer = newer,
        }
    }
}

fn node_in(blocks: &[Vec<Node>], at: u32) -> &Node {
    &blocks[at as usize / BLOCK_SLOTS][at as usize % BLOCK_SLOTS]
}

/// The part of a hash that places it in its shard.
fn short(hash: NameHash) -> u64 {
    hash.low
}
