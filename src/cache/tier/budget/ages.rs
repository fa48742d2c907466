//! How many bytes were last used how long ago: a histogram, fine for what is young and coarser for what is old.

/// Parts of each doubling of the age: an age is known to a 64th.
const PARTS: u64 = 64;
/// Number of classes: 58 doublings of 64 milliseconds, which is longer than anything.
const CLASSES: usize = 59 * 64;

/// Bytes by the time since their last use.
pub(super) struct Ages {
    bytes: Vec<u64>,
}

impl Ages {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; CLASSES] }
    }

    /// The class of an age in milliseconds; of two ages the longer one is never in a lower class.
    pub(super) fn class(age_ms: u64) -> usize {
        let shifted = age_ms.saturating_add(PARTS);
        let doublings = shifted.ilog2() - PARTS.ilog2();
        let part = (shifted >> doublings) - PARTS;
        usize::try_from(u64::from(doublings) * PARTS + part).unwrap_or(CLASSES).min(CLASSES - 1)
    }

    pub(super) fn add(&mut self, age_ms: u64, bytes: u64) {
        self.bytes[Self::class(age_ms)] += bytes;
    }

    /// The class in which the `excess` oldest bytes end: all above it have to go, and some of it.
    pub(super) fn last_class_of(&self, excess: u64) -> usize {
        let mut sum = 0;
        let is_enough = |bytes: &u64| {
            sum += bytes;
            sum >= excess
        };
        self.bytes.iter().rposition(is_enough).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_grow_with_the_age_and_are_a_64th_wide() {
        let mut before = 0;
        for age in (0..100_000).chain((17..64).map(|bits| (1_u64 << bits) - 1)).chain([u64::MAX]) {
            let class = Ages::class(age);
            assert!(class >= before && class < CLASSES, "{age}");
            before = class;
        }
        assert_ne!(Ages::class(1_000_000), Ages::class(1_016_000));
    }

    #[test]
    fn the_oldest_bytes_end_where_they_do() {
        let mut ages = Ages::new();
        for (age_ms, bytes) in [(10, 500), (1000, 100), (50_000, 30), (1_000_000, 7)] {
            ages.add(age_ms, bytes);
        }
        for (excess, age_ms) in [(1, 1_000_000), (7, 1_000_000), (8, 50_000), (38, 1000), (138, 10)] {
            assert_eq!(ages.last_class_of(excess), Ages::class(age_ms), "{excess}");
        }
        assert_eq!(ages.last_class_of(u64::MAX), 0);
    }
}
