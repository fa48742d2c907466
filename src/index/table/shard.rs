//! One shard of the table: slots in blocks, a hash table of slot numbers, and for each group of namespaces two lists through
//! its slots from the most to the least recently used: of those that eviction may take, and of those it may not.

use std::collections::HashSet;

use hashbrown::HashTable;

use super::node::Node;
use super::{NameHash, Slot};
use crate::index::Recency;

/// No slot: the end of a list.
pub(super) const NONE: u32 = u32::MAX;
/// Slots are allocated in blocks of this many, so that growing copies nothing.
const BLOCK_SLOTS: usize = 1024;
/// Objects whose recency is written together.
const GROUP_SLOTS: usize = 512;

/// Most places that a record which is saved now is moved from the newest end of its list to where its last use belongs.
const LONGEST_WALK: usize = 64;

/// The ends of one list.
#[derive(Clone, Copy)]
struct Ends {
    newest: u32,
    oldest: u32,
}

const EMPTY: Ends = Ends { newest: NONE, oldest: NONE };

/// Part of the table, behind one lock.
pub(super) struct Shard {
    by_hash: HashTable<u32>,
    blocks: Vec<Vec<Node>>,
    free: Vec<u32>,
    /// By group, first the list of what is saved, then that of what is not: see [`list_of`].
    lists: Vec<Ends>,
    /// The saved slot used longest ago of all groups, and when; asked for far more often than it changes.
    oldest: (u32, u64),
    /// By group of slots: used since it was last taken.
    changed: Vec<bool>,
    /// While loading: objects deleted since the start.
    deleted: Option<HashSet<NameHash>>,
}

impl Shard {
    /// An empty shard of objects in this many groups.
    pub(super) fn new(groups: usize) -> Self {
        Self {
            by_hash: HashTable::new(),
            blocks: Vec::new(),
            free: Vec::new(),
            lists: vec![EMPTY; 2 * groups],
            oldest: (NONE, u64::MAX),
            changed: Vec::new(),
            deleted: Some(HashSet::new()),
        }
    }

    pub(super) fn find(&self, hash: NameHash) -> Option<Slot> {
        self.position(hash).map(|at| self.node(at).slot())
    }

    pub(super) fn touch(&mut self, hash: NameHash, now_us: u64) -> Option<Slot> {
        let at = self.position(hash)?;
        let now_us = now_us.max(self.newest_us(list_of(self.node(at))));
        self.unlink(at);
        let node = self.node_mut(at);
        node.set_used(now_us);
        let slot = node.slot();
        self.link_newest(at);
        self.changed[at as usize / GROUP_SLOTS] = true;
        Some(slot)
    }

    /// Lets `change` change what an update may: where the record lies, and whether its body was checked.
    pub(super) fn update(&mut self, hash: NameHash, change: impl FnOnce(&mut Slot) -> bool) -> bool {
        let Some(at) = self.position(hash) else { return false };
        let mut slot = self.node(at).slot();
        let changed = change(&mut slot);
        self.node_mut(at).set_place(&slot);
        changed
    }

    /// Moves a record to the list of those that eviction may take, to where its last use belongs; a use is dated later
    /// where that is too far from the newest end.
    pub(super) fn set_saved(&mut self, hash: NameHash, sequence: u64) -> bool {
        let Some(at) = self.position(hash).filter(|at| self.node(*at).sequence() == sequence) else {
            return false;
        };
        if !self.node(at).is_unsaved() {
            return true;
        }
        self.unlink(at);
        let used_us = self.node(at).used_us();
        self.node_mut(at).set_saved(used_us);
        let mut newer = NONE;
        let mut older = self.lists[list_of(self.node(at))].newest;
        for _ in 0..LONGEST_WALK {
            if older == NONE || self.node(older).used_us() <= used_us {
                break;
            }
            (newer, older) = (older, self.node(older).older);
        }
        if older != NONE {
            let used_us = used_us.max(self.node(older).used_us());
            self.node_mut(at).set_saved(used_us);
        }
        self.link(at, newer, older);
        true
    }

    pub(super) fn insert_newest(&mut self, mut slot: Slot) {
        let node = Node::new(&slot);
        if self.deleted.is_none() {
            slot.used_us = slot.used_us.max(self.newest_us(list_of(&node)));
        }
        let at = self.place(Node::new(&slot));
        self.link_newest(at);
        self.changed[at as usize / GROUP_SLOTS] = true;
        let blocks = &self.blocks;
        let hash_of = |at: &u32| short(node_in(blocks, *at).hash());
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
        let (at, _) = self.oldest;
        (at != NONE).then(|| self.take(at))
    }

    pub(super) fn remove_oldest_of(&mut self, group: u16) -> Option<Slot> {
        let at = self.lists[saved_list(group)].oldest;
        (at != NONE).then(|| self.take(at))
    }

    /// True when the object was deleted since the start: whatever is found on disk was stored before.
    pub(super) fn was_deleted(&self, hash: NameHash) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.contains(&hash))
    }

    pub(super) fn oldest_us(&self) -> u64 {
        self.oldest.1
    }

    pub(super) fn oldest_us_of(&self, group: u16) -> u64 {
        let at = self.lists[saved_list(group)].oldest;
        if at == NONE { u64::MAX } else { self.node(at).used_us() }
    }

    pub(super) fn finish_loading(&mut self) {
        self.deleted = None;
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(self.by_hash.len());
        order.extend(self.by_hash.iter().map(|at| (self.node(*at).used_us(), *at)));
        order.sort_unstable();
        self.lists.fill(EMPTY);
        for (_, at) in order {
            self.link_newest(at);
        }
        self.find_oldest();
    }

    pub(super) fn visit(&self, visit: &mut impl FnMut(&Slot)) {
        self.by_hash.iter().for_each(|at| visit(&self.node(*at).slot()));
    }

    /// Visits the objects of one block of slots, counted from 0. False when there is none of this number.
    pub(super) fn visit_block(&self, block: usize, visit: &mut impl FnMut(&Slot)) -> bool {
        let nodes = self.blocks.get(block);
        nodes.into_iter().flatten().filter(|node| node.is_occupied()).for_each(|node| visit(&node.slot()));
        nodes.is_some()
    }

    pub(super) fn forget_verified(&mut self) {
        self.blocks.iter_mut().flatten().for_each(Node::forget_verified);
    }

    pub(super) fn take_changed_group(&mut self) -> Option<(usize, Vec<Recency>)> {
        let group = self.changed.iter().position(|changed| *changed)?;
        self.changed[group] = false;
        let first = group * GROUP_SLOTS;
        let nodes = self.blocks[first / BLOCK_SLOTS].iter().skip(first % BLOCK_SLOTS).take(GROUP_SLOTS);
        Some((group, nodes.filter(|node| node.is_occupied()).map(Node::recency).collect()))
    }

    pub(super) fn mark_all_changed(&mut self) {
        self.changed.fill(true);
    }

    fn newest_us(&self, list: usize) -> u64 {
        let at = self.lists[list].newest;
        if at == NONE { 0 } else { self.node(at).used_us() }
    }

    fn position(&self, hash: NameHash) -> Option<u32> {
        self.by_hash.find(short(hash), |at| self.node(*at).hash() == hash).copied()
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
        let slot = self.node(at).slot();
        if let Ok(entry) = self.by_hash.find_entry(short(slot.hash), |other| *other == at) {
            entry.remove();
        }
        self.node_mut(at).vacate();
        self.changed[at as usize / GROUP_SLOTS] = true;
        self.free.push(at);
        slot
    }

    fn link_newest(&mut self, at: u32) {
        let second = self.lists[list_of(self.node(at))].newest;
        self.link(at, NONE, second);
    }

    /// Puts a slot between two neighbours of its list.
    fn link(&mut self, at: u32, newer: u32, older: u32) {
        let list = list_of(self.node(at));
        let node = self.node_mut(at);
        (node.newer, node.older) = (newer, older);
        let (used_us, unsaved) = (node.used_us(), node.is_unsaved());
        match newer {
            NONE => self.lists[list].newest = at,
            newer => self.node_mut(newer).older = at,
        }
        if older != NONE {
            self.node_mut(older).newer = at;
            return;
        }
        self.lists[list].oldest = at;
        if unsaved {
            return;
        }
        if newer != NONE && self.oldest.0 == newer {
            self.find_oldest();
        } else if used_us < self.oldest.1 {
            self.oldest = (at, used_us);
        }
    }

    fn unlink(&mut self, at: u32) {
        let node = self.node(at);
        let (newer, older, list) = (node.newer, node.older, list_of(node));
        match newer {
            NONE => self.lists[list].newest = older,
            newer => self.node_mut(newer).older = older,
        }
        match older {
            NONE => self.lists[list].oldest = newer,
            older => self.node_mut(older).newer = newer,
        }
        if self.oldest.0 == at {
            self.find_oldest();
        }
    }

    /// Looks for the oldest end of all lists of what is saved: as many looks as there are groups.
    fn find_oldest(&mut self) {
        let ends = self.lists.iter().step_by(2).map(|ends| ends.oldest).filter(|at| *at != NONE);
        let oldest = ends.map(|at| (self.node(at).used_us(), at)).min();
        self.oldest = oldest.map_or((NONE, u64::MAX), |(used_us, at)| (at, used_us));
    }
}

fn node_in(blocks: &[Vec<Node>], at: u32) -> &Node {
    &blocks[at as usize / BLOCK_SLOTS][at as usize % BLOCK_SLOTS]
}

/// Number of the list of what is saved of a group.
fn saved_list(group: u16) -> usize {
    2 * usize::from(group)
}

/// Number of the list that a slot is in.
fn list_of(node: &Node) -> usize {
    saved_list(node.group()) + usize::from(node.is_unsaved())
}

/// The part of a hash that places it in its shard.
fn short(hash: NameHash) -> u64 {
    hash.high
}
