//! A slot as it lies in memory, packed, with its links: 64 bytes, one line of the processor's cache.
//!
//! Owns the packing. Knows nothing of lists or of hash tables.

use super::shard::NONE;
use super::{NameHash, Slot, Space};
use crate::blobs::Location;
use crate::index::Recency;

/// A million of these are most of the memory that an object costs, and with five million each line is fetched from memory.
const _: () = assert!(size_of::<Node>() == 64);

/// Bits of the smaller one of two numbers that lie in one word, below the larger one.
const FLAG_BITS: u32 = 8;
const SHORT_BITS: u32 = 16;

const OCCUPIED: u64 = 1;
const VERIFIED: u64 = 2;
const UNSAVED: u64 = 4;

/// One object, or a free place. A [`Slot`]'s fields side by side, none wider than it has to be.
#[repr(align(64))]
pub(super) struct Node {
    hash_high: u64,
    sequence: u64,
    /// When it was last used, above the flags: 56 bits of microseconds last until the year 4253.
    used: u64,
    /// When it was stored, above the length of its header: 48 bits of milliseconds last until the year 10889.
    created: u64,
    /// Bytes of its body, up to 256 TiB, above the number of its hits.
    body: u64,
    segment: u32,
    block: u32,
    instance: u32,
    pub(super) newer: u32,
    pub(super) older: u32,
    hash_low: u16,
    group: u16,
}

impl Node {
    /// Linked to nothing.
    pub(super) fn new(slot: &Slot) -> Self {
        let Location { segment, block, header_len, body_len } = slot.location;
        let flags = OCCUPIED | flag(VERIFIED, slot.verified) | flag(UNSAVED, slot.unsaved);
        Self {
            hash_high: slot.hash.high,
            sequence: slot.sequence,
            used: join(slot.used_us, flags, FLAG_BITS),
            created: join(slot.created_ms, u64::from(header_len), SHORT_BITS),
            body: join(body_len, u64::from(short(u64::from(slot.hits))), SHORT_BITS),
            segment,
            block,
            instance: slot.space.instance,
            newer: NONE,
            older: NONE,
            hash_low: slot.hash.low,
            group: slot.space.group,
        }
    }

    pub(super) fn slot(&self) -> Slot {
        Slot {
            hash: self.hash(),
            sequence: self.sequence,
            location: Location {
                segment: self.segment,
                block: self.block,
                header_len: low_short(self.created),
                body_len: self.body >> SHORT_BITS,
            },
            space: Space { group: self.group, instance: self.instance },
            created_ms: self.created >> SHORT_BITS,
            used_us: self.used_us(),
            hits: self.hits(),
            verified: self.used & VERIFIED != 0,
            unsaved: self.is_unsaved(),
        }
    }

    pub(super) fn recency(&self) -> Recency {
        Recency { sequence: self.sequence, used_us: self.used_us(), hits: self.hits() }
    }

    pub(super) fn hash(&self) -> NameHash {
        NameHash { high: self.hash_high, low: self.hash_low }
    }

    pub(super) fn group(&self) -> u16 {
        self.group
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn is_unsaved(&self) -> bool {
        self.used & UNSAVED != 0
    }

    /// Lets eviction have it, as used at `used_us`.
    pub(super) fn set_saved(&mut self, used_us: u64) {
        self.set_used_us(used_us);
        self.used &= !UNSAVED;
    }

    pub(super) fn used_us(&self) -> u64 {
        self.used >> FLAG_BITS
    }

    pub(super) fn is_occupied(&self) -> bool {
        self.used & OCCUPIED != 0
    }

    /// Counts a use; of more than 65,535 it knows that they were many.
    pub(super) fn set_used(&mut self, now_us: u64) {
        self.set_used_us(now_us);
        if low_short(self.body) < u16::MAX {
            self.body += 1;
        }
    }

    /// Takes over where `slot` says that the record lies, and whether its body was checked.
    pub(super) fn set_place(&mut self, slot: &Slot) {
        let Location { segment, block, header_len, body_len } = slot.location;
        (self.segment, self.block) = (segment, block);
        self.created = join(self.created >> SHORT_BITS, u64::from(header_len), SHORT_BITS);
        self.body = join(body_len, u64::from(low_short(self.body)), SHORT_BITS);
        self.used = self.used & !VERIFIED | flag(VERIFIED, slot.verified);
    }

    /// Its body is to be checked again.
    pub(super) fn forget_verified(&mut self) {
        self.used &= !VERIFIED;
    }

    /// Makes it a free place.
    pub(super) fn vacate(&mut self) {
        self.used &= !OCCUPIED;
    }

    fn hits(&self) -> u32 {
        u32::from(low_short(self.body))
    }

    fn set_used_us(&mut self, used_us: u64) {
        self.used = join(used_us, self.used & !(u64::MAX << FLAG_BITS), FLAG_BITS);
    }
}

/// Two numbers in one word, the lower one in its last `bits` bits. A higher one that does not fit becomes the most that does.
fn join(high: u64, low: u64, bits: u32) -> u64 {
    high.min(u64::MAX >> bits) << bits | low
}

fn low_short(word: u64) -> u16 {
    short(word & u64::from(u16::MAX))
}

fn short(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn flag(flag: u64, is_set: bool) -> u64 {
    if is_set { flag } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Slot {
        Slot {
            hash: NameHash { high: u64::MAX - 1, low: u16::MAX - 2 },
            sequence: u64::MAX - 3,
            location: Location {
                segment: u32::MAX - 4,
                block: u32::MAX - 5,
                header_len: u16::MAX - 6,
                body_len: (1 << 48) - 7,
            },
            space: Space { group: u16::MAX - 8, instance: u32::MAX - 9 },
            created_ms: (1 << 48) - 10,
            used_us: (1 << 56) - 11,
            hits: u32::from(u16::MAX) - 12,
            verified: true,
            unsaved: false,
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        for (verified, unsaved) in [(false, false), (true, false), (false, true), (true, true)] {
            let slot = Slot { verified, unsaved, ..slot() };
            let node = Node::new(&slot);
            assert_eq!(node.slot(), slot);
            assert!(node.is_occupied());
        }
    }

    #[test]
    fn no_change_touches_what_lies_beside_it() {
        let mut node = Node::new(&Slot { unsaved: true, ..slot() });
        node.set_used(77);
        let mut expected = Slot { used_us: 77, hits: slot().hits + 1, unsaved: true, ..slot() };
        assert_eq!(node.slot(), expected);
        node.set_saved(78);
        node.forget_verified();
        (expected.used_us, expected.unsaved, expected.verified) = (78, false, false);
        assert_eq!(node.slot(), expected);
        expected.location = Location { segment: 1, block: 2, header_len: 3, body_len: 4 };
        expected.verified = true;
        node.set_place(&Slot { created_ms: 9, hits: 9, used_us: 9, ..expected });
        assert_eq!(node.slot(), expected);
        node.vacate();
        assert_eq!((node.is_occupied(), node.slot()), (false, expected));
    }

    #[test]
    fn what_does_not_fit_becomes_the_most_that_does() {
        let location = Location { body_len: u64::MAX, ..slot().location };
        let most = Slot { location, created_ms: u64::MAX, used_us: u64::MAX, hits: u32::MAX, ..slot() };
        let mut node = Node::new(&most);
        node.set_used(u64::MAX);
        let kept = node.slot();
        assert_eq!((kept.location.body_len, kept.created_ms), ((1 << 48) - 1, (1 << 48) - 1));
        assert_eq!((kept.used_us, kept.hits), ((1 << 56) - 1, u32::from(u16::MAX)));
        assert_eq!((kept.location.header_len, kept.verified), (most.location.header_len, true));
    }
}
