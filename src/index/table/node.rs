//! A slot as it lies in memory, packed, with its links: 80 bytes, whatever it has to remember.
//!
//! Owns the packing. Knows nothing of lists or of hash tables.

use super::shard::NONE;
use super::{NameHash, Slot, Space};
use crate::blobs::Location;
use crate::index::Recency;

/// A million of these are most of the memory that an object costs.
const _: () = assert!(size_of::<Node>() <= 80);

/// One object, or a free place. A [`Slot`]'s fields side by side: nested, they would leave gaps of 16 bytes.
pub(super) struct Node {
    hash: NameHash,
    sequence: u64,
    created_ms: u64,
    used_us: u64,
    body_len: u64,
    segment: u32,
    block: u32,
    hits: u32,
    instance: u32,
    pub(super) newer: u32,
    pub(super) older: u32,
    header_len: u16,
    group: u16,
    verified: bool,
    unsaved: bool,
    occupied: bool,
}

impl Node {
    /// Linked to nothing.
    pub(super) fn new(slot: &Slot) -> Self {
        let Location { segment, block, header_len, body_len } = slot.location;
        Self {
            hash: slot.hash,
            sequence: slot.sequence,
            created_ms: slot.created_ms,
            used_us: slot.used_us,
            body_len,
            segment,
            block,
            hits: slot.hits,
            instance: slot.space.instance,
            newer: NONE,
            older: NONE,
            header_len,
            group: slot.space.group,
            verified: slot.verified,
            unsaved: slot.unsaved,
            occupied: true,
        }
    }

    pub(super) fn slot(&self) -> Slot {
        let Self { segment, block, header_len, body_len, .. } = *self;
        Slot {
            hash: self.hash,
            sequence: self.sequence,
            location: Location { segment, block, header_len, body_len },
            space: Space { group: self.group, instance: self.instance },
            created_ms: self.created_ms,
            used_us: self.used_us,
            hits: self.hits,
            verified: self.verified,
            unsaved: self.unsaved,
        }
    }

    pub(super) fn recency(&self) -> Recency {
        Recency { sequence: self.sequence, used_us: self.used_us, hits: self.hits }
    }

    pub(super) fn hash(&self) -> NameHash {
        self.hash
    }

    pub(super) fn group(&self) -> u16 {
        self.group
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn is_unsaved(&self) -> bool {
        self.unsaved
    }

    /// Lets eviction have it, as used at `used_us`.
    pub(super) fn set_saved(&mut self, used_us: u64) {
        (self.unsaved, self.used_us) = (false, used_us);
    }

    pub(super) fn used_us(&self) -> u64 {
        self.used_us
    }

    pub(super) fn is_occupied(&self) -> bool {
        self.occupied
    }

    /// Counts a use.
    pub(super) fn set_used(&mut self, now_us: u64) {
        self.used_us = now_us;
        self.hits = self.hits.saturating_add(1);
    }

    /// Takes over where `slot` says that the record lies, and whether its body was checked.
    pub(super) fn set_place(&mut self, slot: &Slot) {
        let Location { segment, block, header_len, body_len } = slot.location;
        (self.segment, self.block, self.header_len, self.body_len) = (segment, block, header_len, body_len);
        self.verified = slot.verified;
    }

    /// Its body is to be checked again.
    pub(super) fn forget_verified(&mut self) {
        self.verified = false;
    }

    /// Makes it a free place.
    pub(super) fn vacate(&mut self) {
        self.occupied = false;
    }
}
