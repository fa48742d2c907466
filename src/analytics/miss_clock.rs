//! What an object cost to make: the time from a read that found nothing to the upload of what was missing.
//!
//! Owns the misses that wait for their upload, in a table of fixed size, and the rules by which the time between is believed.
//! Knows hashes and times; neither names nor clients.
//!
//! What the number means, and what it does not:
//! - It is the time of **one job**, from when the server answered 404 to when the upload **arrived**: its own time is left out, as long
//!   as `stored` is told when the request's head was read. What the client does in between is in it: compiling, but also waiting for
//!   a processor or a job server's token, and packing the result.
//! - A build runs n jobs at once. Added up over objects the costs are time of jobs, as if all had run one after the other; what a person
//!   waited less is between that and an n-th of it.
//! - Where several clients miss the same object the upload is taken to answer the **last** miss: the time can be too short, never too
//!   long. Who can tell clients apart mixes who asked into the hash, on both sides.
//! - An upload more than [`LONGEST_COST`] after its miss costs nothing known, as one without a miss: a client that gave up, one
//!   that only reads, a clock that was put back. Only the first upload after a miss counts.
//! - A read without an answer (a client that timed out) never told anybody that something is missing, and must not be noted.
//! - When more misses wait than there is room for, the oldest are forgotten: their cost is unknown, not wrong.

use std::time::Duration;

use parking_lot::Mutex;

/// An upload that comes later than this after its miss is not the answer to it.
pub const LONGEST_COST: Duration = Duration::from_secs(3600);

/// Misses that have their places together; among them the oldest makes room.
const WAYS: usize = 8;
/// Groups of places. A power of two.
const SETS: usize = 8192;

/// The misses that wait for their upload: 65,536 of them in about a megabyte.
pub struct MissClock {
    sets: Box<[Mutex<[Miss; WAYS]>]>,
}

/// A miss; one at time 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Miss {
    hash: u64,
    at_ms: u64,
}

impl Default for MissClock {
    fn default() -> Self {
        Self::new()
    }
}

impl MissClock {
    /// A clock that waits for nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { sets: (0..SETS).map(|_| Mutex::new([Miss::default(); WAYS])).collect() }
    }

    /// A read of this object was answered with 404 at `now_ms`, milliseconds of any clock above 0.
    pub fn missed(&self, hash: u64, now_ms: u64) {
        let mut set = self.set(hash).lock();
        let same = set.iter_mut().find(|miss| miss.hash == hash && miss.at_ms != 0);
        let place = match same {
            Some(same) => Some(same),
            // Free ones, at time 0, are the oldest of all.
            None => set.iter_mut().min_by_key(|miss| miss.at_ms),
        };
        if let Some(place) = place {
            *place = Miss { hash, at_ms: now_ms };
        }
    }

    /// An upload of this object arrived at `now_ms` and was stored. What the object cost to make, in milliseconds, when that is
    /// known.
    #[must_use]
    pub fn stored(&self, hash: u64, now_ms: u64) -> Option<u32> {
        let mut set = self.set(hash).lock();
        let miss = set.iter_mut().find(|miss| miss.hash == hash && miss.at_ms != 0)?;
        let missed_ms = std::mem::take(miss).at_ms;
        drop(set);
        let cost = Duration::from_millis(now_ms.checked_sub(missed_ms)?);
        if cost > LONGEST_COST { None } else { u32::try_from(cost.as_millis()).ok() }
    }

    fn set(&self, hash: u64) -> &Mutex<[Miss; WAYS]> {
        // The highest bits place an object in samples of the curve; these are others.
        let at = usize::from(u16::from_le_bytes([hash.to_le_bytes()[0], hash.to_le_bytes()[1]])) % SETS;
        &self.sets[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST_MS: u64 = 3_600_000;

    #[test]
    fn a_miss_and_its_upload_are_the_cost_and_only_once() {
        let clock = MissClock::new();
        assert_eq!(clock.stored(7, 1000), None, "nobody missed it");
        clock.missed(7, 1000);
        assert_eq!(clock.stored(8, 1500), None, "another object");
        assert_eq!(clock.stored(7, 3500), Some(2500));
        assert_eq!(clock.stored(7, 9000), None, "a second upload made nothing");
    }

    #[test]
    fn jobs_at_once_each_have_their_own_time() {
        let clock = MissClock::new();
        for job in 1..=1000_u64 {
            clock.missed(job << 3, job);
        }
        for job in (1..=1000_u64).rev() {
            assert_eq!(clock.stored(job << 3, 5000), Some(u32::try_from(5000 - job).unwrap()));
        }
    }

    #[test]
    fn of_several_misses_the_last_counts() {
        let clock = MissClock::new();
        // Two machines build the same, the second later; the first of them to be done uploads.
        clock.missed(7, 1000);
        clock.missed(7, 9000);
        assert_eq!(clock.stored(7, 10_000), Some(1000));
        assert_eq!(clock.stored(7, 11_000), None, "the other upload brings nothing new");
    }

    #[test]
    fn what_takes_too_long_or_went_backwards_is_unknown() {
        let clock = MissClock::new();
        clock.missed(1, 1000);
        clock.missed(2, 1000);
        clock.missed(3, 1000);
        assert_eq!(clock.stored(1, 1000 + LONGEST_MS), Some(3_600_000));
        assert_eq!(clock.stored(2, 1001 + LONGEST_MS), None);
        assert_eq!(clock.stored(3, 999), None, "the clock was put back");
    }

    #[test]
    fn the_oldest_of_too_many_are_forgotten_and_no_memory_is_taken() {
        let clock = MissClock::new();
        // All in one set, and none ever uploaded but the newest.
        let object = |number: u64| number << 32;
        for number in 1..=100_u64 {
            clock.missed(object(number), number);
        }
        let known =
            (1..=100).filter(|number| clock.stored(object(*number), 100).is_some()).collect::<Vec<_>>();
        assert_eq!(known, (93..=100).collect::<Vec<_>>());
        assert!(SETS * size_of::<Mutex<[Miss; WAYS]>>() < 5 << 18, "more than 1.25 MiB");
    }
}
