//! One size of the curve: a cache as small as its sample, that stands for one of full size.
//!
//! Owns who is in the sample and what each of it stands for. Knows one size; not the others, nor time.
//!
//! An object of b blocks is sampled with the chance p = min(1, t·√b), t being the threshold: by its hash, so always or never. A
//! sampled object takes b/p blocks of the simulated cache and each read of it counts 1/p, as it stands for the others of its kind. Were
//! the chance the same for all, one large object would take the room of hundreds of its size that are not there; were it
//! proportional to b, one small one would count for hundreds of reads. With the root the two errors are equal: where sizes
//! are log-normal both variances grow by exp(σ²/4), instead of one by exp(σ²).

use super::lru::{Lru, Sampled};

/// To which part of its room a sample is cut when it is full.
const KEEP: (usize, usize) = (7, 8);

/// A cache of one size, in small.
pub(super) struct Simulation {
    /// Blocks.
    capacity: u64,
    threshold: f64,
    /// Blocks of the simulated cache that are taken.
    used: f64,
    lru: Lru,
    counts: Sums,
}

/// What the sample adds up to, in reads of all objects.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Sums {
    /// Reads that the real cache answered.
    pub(super) reads: f64,
    /// Those of them that this one would have answered.
    pub(super) hits: f64,
    /// Reads that this one would have answered and the real cache did not.
    pub(super) found_missed: f64,
    /// Uploads that answered a miss of the real cache.
    pub(super) refilled: f64,
}

/// What is kept of a simulation.
pub(super) struct Saved {
    /// Blocks.
    pub(super) capacity: u64,
    pub(super) threshold: f64,
    pub(super) counts: Sums,
    /// The newest first.
    pub(super) objects: Vec<Sampled>,
}

/// A read or an upload of an object, with what every simulation asks about it.
#[derive(Clone, Copy)]
pub(super) struct Access {
    hash: u64,
    blocks: u32,
    /// Where the hash lies between 0 and 1.
    place: f64,
    /// √b.
    root: f64,
}

/// What a simulation learns of.
pub(super) enum Event {
    /// The real cache answered a read.
    Read(Access),
    /// It did not, of the object with this hash.
    Missed(u64),
    /// An object was stored; whether after such a miss.
    Stored(Access, bool),
    /// The object with this hash went for another reason than room.
    Removed(u64),
}

impl Access {
    pub(super) fn new((hash, blocks): Sampled) -> Self {
        // 53 bits are what an f64 holds exactly.
        let place = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        Self { hash, blocks, place, root: f64::from(blocks).sqrt() }
    }

    /// True when the object belongs to the sample of this threshold.
    pub(super) fn is_sampled(&self, threshold: f64) -> bool {
        self.place < threshold * self.root
    }

    /// How many objects, itself included, a sampled one stands for.
    fn stands_for(&self, threshold: f64) -> f64 {
        let chance = threshold * self.root;
        if chance < 1.0 { 1.0 / chance } else { 1.0 }
    }
}

impl Simulation {
    /// An empty cache of `capacity` blocks, with at most `most` objects in its sample.
    pub(super) fn new(capacity: u64, most: usize) -> Self {
        // With 1 every object is sampled, as none is smaller than a block.
        Self { capacity, threshold: 1.0, used: 0.0, lru: Lru::new(most.max(16)), counts: Sums::default() }
    }

    /// Takes the objects of a saved one, of another capacity perhaps; its counts as well when they are to be kept. Evicts nothing.
    pub(super) fn take_over(&mut self, saved: &Saved, with_counts: bool) {
        self.threshold = saved.threshold;
        if with_counts {
            self.counts = saved.counts;
        }
        for object in saved.objects.iter().rev() {
            self.put(&Access::new(*object));
        }
    }

    /// The same with another capacity, which is not smaller.
    pub(super) fn with_capacity(&self, capacity: u64) -> Self {
        let mut larger = Self::new(capacity, self.lru.most());
        let objects = self.objects().collect();
        let Self { threshold, counts, .. } = *self;
        larger.take_over(&Saved { capacity, threshold, counts, objects }, true);
        larger
    }

    /// True when nothing but the capacities may differ.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let same = self.threshold.total_cmp(&other.threshold).is_eq() && self.counts == other.counts;
        same && self.objects().eq(other.objects())
    }

    /// True when the object of this event would not be taken in for its size.
    pub(super) fn is_too_small_for(&self, event: &Event) -> bool {
        match event {
            Event::Read(access) | Event::Stored(access, _) => u64::from(access.blocks) > self.capacity,
            Event::Missed(_) | Event::Removed(_) => false,
        }
    }

    /// True when it has taken in more than it has room for.
    pub(super) fn is_over(&self) -> bool {
        self.used > self.capacity as f64
    }

    pub(super) fn threshold(&self) -> f64 {
        self.threshold
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.lru.memory()
    }

    pub(super) fn counts(&self) -> Sums {
        self.counts
    }

    /// The sample, the newest first.
    pub(super) fn objects(&self) -> impl Iterator<Item = Sampled> {
        self.lru.iter()
    }

    pub(super) fn sampled(&self) -> usize {
        self.lru.len()
    }

    /// How many of all reads this cache would have answered, when the real one answered `reads`, and `refilled` of those it missed
    /// were followed by their upload.
    pub(super) fn hits(&self, reads: f64, refilled: f64) -> f64 {
        let sums = &self.counts;
        // Drawing the hottest objects or not is what makes the sample's reads more or fewer than there were; and they are hits.
        let of_reads = sums.hits + reads - sums.reads;
        // No missed object is hot: here all kinds of objects are too many or too few alike.
        let calibration = if sums.refilled > 0.0 { refilled / sums.refilled } else { 1.0 };
        (of_reads + sums.found_missed * calibration).max(0.0)
    }

    pub(super) fn scale_counts(&mut self, by: f64) {
        let Sums { reads, hits, found_missed, refilled } = &mut self.counts;
        for sum in [reads, hits, found_missed, refilled] {
            *sum *= by;
        }
    }

    /// Learns of an event. To be followed by [`Simulation::evict`].
    pub(super) fn learn(&mut self, event: &Event) {
        match event {
            Event::Read(access) => self.read(access),
            Event::Missed(hash) => self.missed(*hash),
            Event::Stored(access, after_miss) => self.stored(access, *after_miss),
            Event::Removed(hash) => self.removed(*hash),
        }
    }

    /// Lets go of the oldest until the rest has room.
    pub(super) fn evict(&mut self) {
        while self.is_over() && self.lru.len() > 1 {
            let Some(oldest) = self.lru.remove_oldest() else { break };
            self.used -= self.room(&Access::new(oldest));
        }
    }

    fn read(&mut self, access: &Access) {
        if access.is_sampled(self.threshold) {
            let stands_for = access.stands_for(self.threshold);
            self.counts.reads += stands_for;
            if self.put(access) {
                self.counts.hits += stands_for;
            }
        }
    }

    fn missed(&mut self, hash: u64) {
        if let Some(blocks) = self.lru.touch(hash) {
            self.counts.found_missed += Access::new((hash, blocks)).stands_for(self.threshold);
        }
    }

    fn stored(&mut self, access: &Access, after_miss: bool) {
        if access.is_sampled(self.threshold) {
            if after_miss {
                self.counts.refilled += access.stands_for(self.threshold);
            }
            self.put(access);
        } else {
            // It was of another size before.
            self.removed(access.hash);
        }
    }

    fn removed(&mut self, hash: u64) {
        if let Some(blocks) = self.lru.remove(hash) {
            self.used -= self.room(&Access::new((hash, blocks)));
        }
    }

    /// Makes a sampled object the newest. True when it was there.
    fn put(&mut self, access: &Access) -> bool {
        let known = self.lru.touch(access.hash);
        if known == Some(access.blocks) {
            return true;
        }
        if known.is_some() {
            self.removed(access.hash);
        }
        if u64::from(access.blocks) <= self.capacity {
            if self.lru.len() == self.lru.most() {
                self.lower_threshold();
            }
            if access.is_sampled(self.threshold) {
                self.insert(access);
            }
        }
        known.is_some()
    }

    fn insert(&mut self, access: &Access) {
        self.lru.insert((access.hash, access.blocks));
        self.used += self.room(access);
    }

    /// Lets go of those nearest to the threshold. What stays stands for them from now on.
    fn lower_threshold(&mut self) {
        let mut objects: Vec<Access> = self.lru.iter().map(Access::new).collect();
        let mut needed: Vec<f64> = objects.iter().map(|access| access.place / access.root).collect();
        let keep = objects.len() * KEEP.0 / KEEP.1;
        let (_, lowest_without, _) = needed.select_nth_unstable_by(keep, f64::total_cmp);
        self.threshold = lowest_without.min(self.threshold);
        objects.retain(|access| access.is_sampled(self.threshold));
        self.lru.clear();
        self.used = 0.0;
        objects.iter().rev().for_each(|access| self.insert(access));
    }

    /// Blocks of the simulated cache that a sampled object takes.
    fn room(&self, access: &Access) -> f64 {
        f64::from(access.blocks) * access.stands_for(self.threshold)
    }
}
