//! The miss-ratio curve: which share of the reads a cache of another size would have answered, learnt while requests go by.
//!
//! Owns the small caches that are simulated beside the real one, the counts they share and how these grow old. Knows
//! hashes and sizes; neither what an object is called, unless it is asked for a hash, nor whether the real cache still has it.
//!
//! It is spatial sampling of fixed size (SHARDS, FAST '15), in the form of miniature simulations (ATC '17): whether an
//! object belongs to a sample follows from its hash alone, so all reads of it do or none; and when a sample has grown too
//! large its threshold falls. Each size has a sample of its own, so that small sizes are seen as sharply as large ones.
//! What is added here: sizes in disk blocks, an object's chance rises with the root of its size (`simulation`), and how often
//! the hottest objects are read does not depend on whether they were drawn, as all reads of stored objects are counted.
//!
//! What it assumes: one LRU order over all objects, as without quotas; a client that stores what it missed; and that what the
//! real cache removed for another reason than room is told, see [`Curve::removed`].

mod lru;
mod simulation;
mod simulations;
mod state;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use twox_hash::XxHash3_64;

use self::simulation::{Access, Event};
use self::simulations::Simulations;
pub use self::state::StateError;
use crate::key::ObjectName;

/// The sizes that are simulated, as parts and multiples of the capacity.
pub const FACTORS: [f64; 6] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
/// Most objects in the sample of each size. With it a curve takes less than 2 MiB and is off by half a point as a rule.
pub const DEFAULT_SAMPLES: usize = 8192;
/// A read of so long ago counts half, in milliseconds: one day.
const HALF_LIFE_MS: f64 = 24.0 * 3600.0 * 1000.0;
/// Counts are not aged in smaller steps, in milliseconds.
const SHORTEST_STEP_MS: u64 = 60_000;
/// Bytes of a disk block.
const BLOCK: u64 = 4096;

/// One size on the curve.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// The size as a multiple of the capacity, of [`FACTORS`].
    pub factor: f64,
    /// The size in bytes of disk blocks.
    pub capacity: u64,
    /// The share of reads, 0 to 1, that a cache of this size would have answered.
    pub hit_ratio: f64,
}

/// The curve. Requests on all threads tell it what they did; only those that belong to a sample take a lock.
pub struct Curve {
    /// Places objects in samples; kept with the state, so that an object stays in or out after a restart.
    seed: u64,
    /// The highest threshold of all samples, as bits of an `f64`: most requests are done after a look at it.
    widest: AtomicU64,
    /// Not yet in [`Counts`].
    reads: AtomicU64,
    /// Not yet in [`Counts`].
    misses: AtomicU64,
    /// Not yet in [`Counts`].
    refilled: AtomicU64,
    learnt: Mutex<Learnt>,
}

struct Learnt {
    counts: Counts,
    /// Of [`FACTORS`].
    simulations: Simulations,
}

/// What counts for all sizes.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Counts {
    /// Reads that the real cache answered.
    reads: f64,
    /// Reads that it did not.
    misses: f64,
    /// Those of them that their upload followed.
    refilled: f64,
    /// Up to when all counts were aged, milliseconds since the Unix epoch; 0 before the first time.
    aged_ms: u64,
}

impl Curve {
    /// A curve that has seen nothing, around a cache of `capacity` bytes of disk blocks.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self::with_samples(capacity, DEFAULT_SAMPLES, RandomState::new().hash_one(0))
    }

    /// As [`Curve::new`], with at most so many objects in each sample, which `seed` draws.
    #[must_use]
    pub fn with_samples(capacity: u64, samples: usize, seed: u64) -> Self {
        let simulations = Simulations::new(&sizes(capacity), samples);
        Self::of(seed, Learnt { counts: Counts::default(), simulations })
    }

    /// The curve that [`Curve::save`] made `bytes` from. Was that around another capacity, it keeps the objects it knows and
    /// begins to count anew.
    ///
    /// # Errors
    /// [`StateError`]: the caller begins with a new one.
    pub fn restore(bytes: &[u8], capacity: u64) -> Result<Self, StateError> {
        let (seed, counts, saved) = state::decode(bytes)?;
        let wanted = sizes(capacity);
        let same = saved.len() == wanted.len() && wanted.iter().zip(&saved).all(|(a, b)| *a == b.capacity);
        let counts = if same { counts } else { Counts { aged_ms: counts.aged_ms, ..Counts::default() } };
        let simulations = Simulations::restore(&wanted, DEFAULT_SAMPLES, &saved, same);
        Ok(Self::of(seed, Learnt { counts, simulations }))
    }

    /// Everything it knows, less than [`Curve::MOST_STATE_BYTES`] of it.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut learnt = self.learnt.lock();
        self.take_in(&mut learnt.counts);
        state::encode(self.seed, &learnt.counts, &learnt.simulations)
    }

    /// The hash by which the other functions know an object, the same after a restart. (The table's is another in each process.)
    #[must_use]
    pub fn hash(&self, name: &ObjectName) -> u64 {
        let namespace = XxHash3_64::oneshot_with_seed(self.seed, name.namespace.as_str().as_bytes());
        XxHash3_64::oneshot_with_seed(namespace, name.key.as_str().as_bytes())
    }

    /// A read was answered with an object that takes `bytes` on disk.
    pub fn read(&self, hash: u64, bytes: u64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let access = Access::new((hash, blocks(bytes)));
        if access.is_sampled(f64::from_bits(self.widest.load(Ordering::Relaxed))) {
            self.learn(&Event::Read(access));
        }
    }

    /// A read found nothing. Together with the [`Curve::stored`] that should follow it is one access; larger caches may still
    /// have the object, whose size is known from before.
    pub fn missed(&self, hash: u64) {
        self.misses.fetch_add(1, Ordering::Relaxed);
        self.learn(&Event::Missed(hash));
    }

    /// An object was stored, or replaced, that takes `bytes` on disk. No read, but the object is the most recent one now. `after_miss` says
    /// whether a read of it found nothing shortly before, as far as the caller knows; [`super::MissClock`] does.
    pub fn stored(&self, hash: u64, bytes: u64, after_miss: bool) {
        if after_miss {
            self.refilled.fetch_add(1, Ordering::Relaxed);
        }
        let access = Access::new((hash, blocks(bytes)));
        self.learn(&Event::Stored(access, after_miss));
    }

    /// An object went for another reason than room: deleted, expired, damaged. Never to be called for an eviction: which objects
    /// a cache of another size would have evicted is what the curve is about.
    pub fn removed(&self, hash: u64) {
        self.learn(&Event::Removed(hash));
    }

    /// Lets what was counted before `now_ms`, milliseconds since the Unix epoch, count less: half as much for each day. To be called
    /// every few minutes; how often makes no difference.
    pub fn age(&self, now_ms: u64) {
        let mut learnt = self.learnt.lock();
        self.take_in(&mut learnt.counts);
        let counts = &mut learnt.counts;
        let elapsed = now_ms.saturating_sub(counts.aged_ms);
        if counts.aged_ms != 0 && elapsed < SHORTEST_STEP_MS {
            return;
        }
        let left = if counts.aged_ms == 0 { 1.0 } else { (-(elapsed as f64) / HALF_LIFE_MS).exp2() };
        counts.aged_ms = now_ms;
        counts.reads *= left;
        counts.misses *= left;
        counts.refilled *= left;
        learnt.simulations.scale_counts(left);
    }

    /// The curve at all of [`FACTORS`], smallest first; `None` while nothing was read.
    #[must_use]
    pub fn points(&self) -> Option<[Point; FACTORS.len()]> {
        let mut learnt = self.learnt.lock();
        self.take_in(&mut learnt.counts);
        let Counts { reads, misses, refilled, .. } = learnt.counts;
        if reads + misses <= 0.0 {
            return None;
        }
        let mut at_least = 0.0_f64;
        let mut sizes = FACTORS.iter().zip(learnt.simulations.iter());
        Some(std::array::from_fn(|_| {
            let Some((factor, (capacity, simulation))) = sizes.next() else {
                return Point { factor: 0.0, capacity: 0, hit_ratio: 0.0 };
            };
            // What a sample says of a larger cache may be a little less by chance, and never is in truth.
            at_least = at_least.max(simulation.hits(reads, refilled) / (reads + misses)).min(1.0);
            Point { factor: *factor, capacity: capacity * BLOCK, hit_ratio: at_least }
        }))
    }

    /// The share of reads, 0 to 1, that a cache of `capacity` bytes of disk blocks would have answered: between two sizes of the curve
    /// a straight line over the logarithm of the size; `None` outside the curve, and while nothing was read.
    #[must_use]
    pub fn predicted_hit_ratio(&self, capacity: u64) -> Option<f64> {
        let points = self.points()?;
        let capacity = capacity / BLOCK * BLOCK;
        let above = points.iter().position(|point| point.capacity >= capacity)?;
        if points[above].capacity == capacity {
            return Some(points[above].hit_ratio);
        }
        let (low, high) = (points[above.checked_sub(1)?], points[above]);
        let log = |bytes: u64| (bytes.max(1) as f64).log2();
        let way = (log(capacity) - log(low.capacity)) / (log(high.capacity) - log(low.capacity));
        Some(low.hit_ratio + way * (high.hit_ratio - low.hit_ratio))
    }

    fn of(seed: u64, learnt: Learnt) -> Self {
        let widest = AtomicU64::new(learnt.simulations.widest().to_bits());
        let [reads, misses, refilled] = [0; 3].map(AtomicU64::new);
        Self { seed, widest, reads, misses, refilled, learnt: Mutex::new(learnt) }
    }

    fn learn(&self, event: &Event) {
        let mut learnt = self.learnt.lock();
        learnt.simulations.learn(event);
        self.widest.store(learnt.simulations.widest().to_bits(), Ordering::Relaxed);
    }

    fn take_in(&self, counts: &mut Counts) {
        counts.reads += self.reads.swap(0, Ordering::Relaxed) as f64;
        counts.misses += self.misses.swap(0, Ordering::Relaxed) as f64;
        counts.refilled += self.refilled.swap(0, Ordering::Relaxed) as f64;
    }
}

/// The sizes around a capacity in bytes, in blocks, each as [`FACTORS`] has it: rounded last, or the largest would be short by 31 blocks.
fn sizes(capacity: u64) -> [u64; FACTORS.len()] {
    std::array::from_fn(|at| (capacity.saturating_mul(1 << at) / 4 / BLOCK).max(1 << at))
}

fn blocks(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each size 8192 nodes of 24 bytes and a table of 16,384 places, each 4 bytes and one of control: 6 · (8192 · 24 + 16,384 · 5)
    /// = 1.67 MB. While a threshold falls, 8192 · (32 + 8) bytes more for a moment.
    #[test]
    fn memory_is_bounded_by_the_samples() {
        const ONE: usize = DEFAULT_SAMPLES * 24 + 2 * DEFAULT_SAMPLES * 5;
        // The first has room for everything at all sizes, the other at none.
        for (capacity, apart) in [(1 << 40, 1), (1 << 30, FACTORS.len())] {
            let curve = Curve::new(capacity);
            let store = |objects: std::ops::Range<u64>| {
                for object in objects {
                    let hash = object.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    curve.stored(hash, 4096 * (1 + object % 50), true);
                }
                size_of::<Curve>() + curve.learnt.lock().simulations.memory()
            };
            let full = store(0..300_000);
            assert!(full > apart * ONE && full < apart * ONE + 4096, "{full} bytes at {capacity}");
            assert_eq!(store(300_000..400_000), full, "nothing grows");
            assert!(full + DEFAULT_SAMPLES * (size_of::<Access>() + size_of::<f64>()) < 10_000_000);
            let learnt = curve.learnt.lock();
            let (_, largest) = learnt.simulations.iter().last().unwrap();
            assert!(largest.threshold() < 0.2, "samples were thinned");
        }
    }
}
