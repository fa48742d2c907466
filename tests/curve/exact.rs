//! Exact LRU by bytes, as fast as a test needs it: what the curve is measured against.
//!
//! Knows numbers of objects and their sizes; nothing of the curve.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::traces::Access;

const NONE: usize = usize::MAX;

#[derive(Clone, Copy)]
struct Node {
    /// 0 when the object is not in the cache.
    bytes: u64,
    newer: usize,
    older: usize,
}

/// A cache that knows all it holds.
pub(crate) struct ExactLru {
    capacity: u64,
    used: u64,
    /// By number of the object.
    nodes: Vec<Node>,
    newest: usize,
    oldest: usize,
    pub(crate) hits: u64,
    pub(crate) reads: u64,
}

impl ExactLru {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { capacity, used: 0, nodes: Vec::new(), newest: NONE, oldest: NONE, hits: 0, reads: 0 }
    }

    /// Reads an object, and stores it where it is missing and there is one. True when it was there.
    pub(crate) fn read(&mut self, (object, bytes): Access) -> bool {
        if object >= self.nodes.len() {
            self.nodes.resize(object * 2 + 1, Node { bytes: 0, newer: NONE, older: NONE });
        }
        let hit = self.nodes[object].bytes != 0;
        self.reads += 1;
        self.hits += u64::from(hit);
        if hit {
            self.remove(object);
        }
        if bytes > 0 && bytes <= self.capacity {
            while self.used + bytes > self.capacity {
                self.remove(self.oldest);
            }
            self.insert(object, bytes);
        }
        hit
    }

    /// True when it had to evict, so that its size says something.
    pub(crate) fn is_full(&self) -> bool {
        self.used > self.capacity / 10 * 9
    }

    pub(crate) fn hit_ratio(&self) -> f64 {
        self.hits as f64 / self.reads as f64
    }

    fn insert(&mut self, object: usize, bytes: u64) {
        self.nodes[object] = Node { bytes, newer: NONE, older: self.newest };
        match self.nodes.get_mut(self.newest) {
            Some(second) => second.newer = object,
            None => self.oldest = object,
        }
        self.newest = object;
        self.used += bytes;
    }

    fn remove(&mut self, object: usize) {
        let Node { bytes, newer, older } = self.nodes[object];
        match self.nodes.get_mut(newer) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
        match self.nodes.get_mut(older) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
        self.nodes[object].bytes = 0;
        self.used -= bytes;
    }
}
