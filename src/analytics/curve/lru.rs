//! Objects of a sample in the order of their use: a hash table over nodes of a list, in memory that is taken once.
//!
//! Owns order and memory. Knows hashes and blocks; not who is in the sample, nor when somebody has to go.

use hashbrown::HashTable;

/// No node: the end of the list.
const NONE: u32 = u32::MAX;

/// One object: its hash and its blocks.
pub(super) type Sampled = (u64, u32);

#[derive(Clone, Copy)]
struct Node {
    hash: u64,
    blocks: u32,
    newer: u32,
    /// Of a free node, the next free one.
    older: u32,
}

/// The list. Never more than `most` objects.
pub(super) struct Lru {
    nodes: Vec<Node>,
    by_hash: HashTable<u32>,
    newest: u32,
    oldest: u32,
    free: u32,
}

impl Lru {
    /// An empty list with room for `most` objects.
    pub(super) fn new(most: usize) -> Self {
        let (nodes, by_hash) = (Vec::with_capacity(most), HashTable::with_capacity(most));
        Self { nodes, by_hash, newest: NONE, oldest: NONE, free: NONE }
    }

    /// Number of objects.
    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Most objects it has room for.
    pub(super) fn most(&self) -> usize {
        self.nodes.capacity()
    }

    /// Bytes that it takes, itself included.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.nodes.capacity() * size_of::<Node>() + self.by_hash.allocation_size()
    }

    /// Makes an object the newest; returns its blocks, or `None` when it is not there.
    pub(super) fn touch(&mut self, hash: u64) -> Option<u32> {
        let at = *self.by_hash.find(spread(hash), |at| self.nodes[*at as usize].hash == hash)?;
        if self.newest != at {
            self.unlink(at);
            self.link_newest(at);
        }
        Some(self.nodes[at as usize].blocks)
    }

    /// Puts in an object that is not there, as the newest. The caller keeps the length below `most`.
    pub(super) fn insert(&mut self, (hash, blocks): Sampled) {
        let node = Node { hash, blocks, newer: NONE, older: NONE };
        let at = if self.free == NONE {
            // Fewer than `most`, which the caller's memory bounds far below 2^32.
            let at = u32::try_from(self.nodes.len()).unwrap_or(NONE);
            self.nodes.push(node);
            at
        } else {
            let at = self.free;
            self.free = self.nodes[at as usize].older;
            self.nodes[at as usize] = node;
            at
        };
        let nodes = &self.nodes;
        self.by_hash.insert_unique(spread(hash), at, |at| spread(nodes[*at as usize].hash));
        self.link_newest(at);
    }

    /// Takes out an object; returns its blocks, or `None` when it is not there.
    pub(super) fn remove(&mut self, hash: u64) -> Option<u32> {
        let nodes = &self.nodes;
        let found = self.by_hash.find_entry(spread(hash), |at| nodes[*at as usize].hash == hash).ok()?;
        let (at, _) = found.remove();
        self.unlink(at);
        self.nodes[at as usize].older = self.free;
        self.free = at;
        Some(self.nodes[at as usize].blocks)
    }

    /// Takes out the object that was not used for the longest time.
    pub(super) fn remove_oldest(&mut self) -> Option<Sampled> {
        let oldest = self.nodes.get(self.oldest as usize)?.hash;
        self.remove(oldest).map(|blocks| (oldest, blocks))
    }

    /// Takes out all objects, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.by_hash.clear();
        (self.newest, self.oldest, self.free) = (NONE, NONE, NONE);
    }

    /// All objects, the newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Sampled> {
        let mut at = self.newest;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at as usize)?;
            at = node.older;
            Some((node.hash, node.blocks))
        })
    }

    fn link_newest(&mut self, at: u32) {
        let second = self.newest;
        let node = &mut self.nodes[at as usize];
        (node.newer, node.older) = (NONE, second);
        match self.nodes.get_mut(second as usize) {
            Some(second) => second.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Node { newer, older, .. } = self.nodes[at as usize];
        match self.nodes.get_mut(newer as usize) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
        match self.nodes.get_mut(older as usize) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
    }
}

/// The hash table looks at the highest bits, which a sample has in common.
fn spread(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_order_of_use_as_a_plain_list_does() {
        let (mut lru, mut plain) = (Lru::new(64), Vec::<Sampled>::new());
        let mut state = 1_u64;
        for step in 0..20_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let hash = (state >> 40) % 90;
            let known = plain.iter().position(|(other, _)| *other == hash).map(|at| plain.remove(at));
            if state >> 62 == 0 {
                assert_eq!(lru.remove(hash), known.map(|(_, blocks)| blocks));
                continue;
            }
            assert_eq!(lru.touch(hash), known.map(|(_, blocks)| blocks));
            if known.is_none() {
                if plain.len() == 64 {
                    assert_eq!(lru.remove_oldest(), plain.pop());
                }
                lru.insert((hash, step));
            }
            plain.insert(0, known.unwrap_or((hash, step)));
            assert_eq!((lru.len(), lru.most()), (plain.len(), 64));
        }
        assert_eq!(lru.iter().collect::<Vec<_>>(), plain);
    }
}
