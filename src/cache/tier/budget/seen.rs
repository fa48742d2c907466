//! Which paths a listing had, in a few bits each: a Bloom filter. It may take one that was not there for one that was.

use crate::cache::tier::catalogue::PathHash;

/// Bits for each path that is expected: then one in two thousand is mistaken.
const BITS_EACH: u64 = 16;
/// Fewest and most bits: 8 KiB and 64 MiB of memory.
const BITS: std::ops::RangeInclusive<u64> = 1 << 16..=1 << 29;

/// The paths.
pub(super) struct Seen {
    words: Vec<u64>,
}

impl Seen {
    /// Room for about so many paths; with more it is mistaken more often.
    pub(super) fn new(expected: u64) -> Self {
        let bits = (expected.saturating_mul(BITS_EACH)).clamp(*BITS.start(), *BITS.end()).next_power_of_two();
        Self { words: vec![0; usize::try_from(bits / 64).unwrap_or(1)] }
    }

    pub(super) fn add(&mut self, hash: &PathHash) {
        for at in self.places(hash) {
            self.words[at / 64] |= 1 << (at % 64);
        }
    }

    pub(super) fn has(&self, hash: &PathHash) -> bool {
        self.places(hash).into_iter().all(|at| self.words[at / 64] & (1 << (at % 64)) != 0)
    }

    /// The hash is as good as random: its quarters are four hashes.
    fn places(&self, hash: &PathHash) -> [usize; 4] {
        let mask = self.words.len() * 64 - 1;
        let quarter = |at: usize| {
            let bytes = [hash[at], hash[at + 1], hash[at + 2], hash[at + 3]];
            u32::from_le_bytes(bytes) as usize & mask
        };
        [0, 4, 8, 12].map(quarter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_and_hardly_anything_else() {
        let hash = |n: u64| crate::cache::tier::catalogue::hash(&n.to_le_bytes());
        let mut seen = Seen::new(20_000);
        (0..20_000).for_each(|n| seen.add(&hash(n)));
        assert!((0..20_000).all(|n| seen.has(&hash(n))));
        let mistaken = (20_000..40_000).filter(|n| seen.has(&hash(*n))).count();
        assert!(mistaken < 200, "{mistaken} of 20000");
    }
}
