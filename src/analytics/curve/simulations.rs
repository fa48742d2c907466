//! All sizes of the curve. Those that never had to evict differ in nothing but their capacity: they are one simulation, until the
//! smallest of them has no more room. So an access costs as many simulations as there are sizes that are full.
//!
//! Owns which sizes are simulated apart. Knows no time, and nothing of the reads that belong to no sample.

use super::simulation::{Event, Saved, Simulation};

/// The simulations.
pub(super) struct Simulations {
    /// Capacities in blocks, smallest first.
    sizes: Box<[u64]>,
    /// As `sizes`. The last one stands for all sizes from its own on.
    apart: Vec<Simulation>,
}

impl Simulations {
    /// Empty caches of these capacities in blocks, smallest first, with at most `most` objects in the sample of each.
    pub(super) fn new(sizes: &[u64], most: usize) -> Self {
        Self {
            sizes: sizes.into(),
            apart: sizes.iter().take(1).map(|size| Simulation::new(*size, most)).collect(),
        }
    }

    /// The same, with what is known of the nearest size of `saved`, smallest first; `with_counts` says whether its counts are kept.
    pub(super) fn restore(sizes: &[u64], most: usize, saved: &[Saved], with_counts: bool) -> Self {
        let apart = sizes.iter().map(|size| {
            let mut simulation = Simulation::new(*size, most);
            // A larger LRU cache holds all that a smaller one does, in the same order.
            if let Some(nearest) = saved.iter().find(|saved| saved.capacity >= *size).or(saved.last()) {
                simulation.take_over(nearest, with_counts);
                simulation.evict();
            }
            simulation
        });
        let mut simulations = Self { sizes: sizes.into(), apart: apart.collect() };
        while let [.., last_but_one, last] = &simulations.apart[..]
            && last.is_like(last_but_one)
        {
            simulations.apart.pop();
        }
        simulations
    }

    /// Each size with what is simulated for it, smallest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Simulation)> {
        let of = |at: usize| self.apart.get(at).or(self.apart.last());
        self.sizes.iter().enumerate().filter_map(move |(at, size)| Some((*size, of(at)?)))
    }

    /// The highest threshold of all samples.
    pub(super) fn widest(&self) -> f64 {
        self.apart.iter().map(Simulation::threshold).fold(0.0, f64::max)
    }

    pub(super) fn learn(&mut self, event: &Event) {
        self.part(|last| last.is_too_small_for(event));
        for simulation in &mut self.apart {
            simulation.learn(event);
        }
        self.part(Simulation::is_over);
        for simulation in &mut self.apart {
            simulation.evict();
        }
    }

    pub(super) fn scale_counts(&mut self, by: f64) {
        for simulation in &mut self.apart {
            simulation.scale_counts(by);
        }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.apart.iter().map(Simulation::memory).sum()
    }

    /// Simulates the smallest size of those that are one apart from the others, for as long as `differs` says that it is not as they are.
    fn part(&mut self, differs: impl Fn(&Simulation) -> bool) {
        while let Some(next) = self.sizes.get(self.apart.len())
            && let Some(last) = self.apart.last().filter(|last| differs(last))
        {
            let larger = last.with_capacity(*next);
            self.apart.push(larger);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::Access;
    use super::*;

    fn seen(simulation: &Simulation) -> (f64, [f64; 4], Vec<(u64, u32)>) {
        let counts = simulation.counts();
        let sums = [counts.reads, counts.hits, counts.found_missed, counts.refilled];
        (simulation.threshold(), sums, simulation.objects().collect())
    }

    #[test]
    fn sizes_that_are_one_learn_what_each_would_alone() {
        const SIZES: [u64; 4] = [64, 128, 1024, 1 << 40];
        for most in [16, 60, 4096] {
            let mut together = Simulations::new(&SIZES, most);
            let mut alone = SIZES.map(|size| Simulations::new(&[size], most));
            assert_eq!(together.apart.len(), 1);
            let mut state = 1_u64;
            for step in 0..30_000_u64 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // More and more objects, so that one size after the other is full.
                let object = (state >> 33) % (1 + step / 20);
                let hash = object.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let blocks = if object % 97 == 5 { 100 } else { 1 + (object % 3) as u32 };
                let event = match state >> 60 {
                    0 => Event::Removed(hash),
                    1 | 2 => Event::Missed(hash),
                    3..=8 => Event::Stored(Access::new((hash, blocks)), state >> 62 == 0),
                    _ => Event::Read(Access::new((hash, blocks))),
                };
                together.learn(&event);
                alone.iter_mut().for_each(|one| one.learn(&event));
                if step % 500 == 0 {
                    let all = together.iter().zip(alone.iter().flat_map(Simulations::iter));
                    all.for_each(|(one, other)| {
                        assert_eq!((one.0, seen(one.1)), (other.0, seen(other.1)), "step {step}");
                    });
                }
            }
            assert_eq!(together.apart.len(), SIZES.len(), "one after the other was parted from the rest");
        }
    }

    #[test]
    fn sizes_that_were_one_are_so_after_a_restart() {
        let sizes = [64, 128, 1024, 2048];
        let mut simulations = Simulations::new(&sizes, 4096);
        for hash in 0..100_u64 {
            simulations.learn(&Event::Stored(Access::new((hash << 50, 1)), true));
        }
        assert_eq!(simulations.apart.len(), 2);
        let saved: Vec<Saved> = simulations
            .iter()
            .map(|(capacity, simulation)| Saved {
                capacity,
                threshold: simulation.threshold(),
                counts: simulation.counts(),
                objects: simulation.objects().collect(),
            })
            .collect();
        assert_eq!(Simulations::restore(&sizes, 4096, &saved, true).apart.len(), 2);
        assert_eq!(Simulations::restore(&[99, 101, 3000], 4096, &saved, false).apart.len(), 2);
    }
}
