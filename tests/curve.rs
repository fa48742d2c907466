//! The miss-ratio curve against exact LRU caches of all its sizes, on reads as builds make them: within two points everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "curve/exact.rs"]
mod exact;
#[path = "curve/traces.rs"]
mod traces;

use std::collections::VecDeque;

use exact::ExactLru;
use larder::analytics::{Curve, DEFAULT_SAMPLES, FACTORS};
use traces::Access;

/// Curves that draw different samples: what one gets right by luck, another does not.
const DRAWS: u64 = 3;
/// Uploads come so many reads after their miss, as the jobs of a build run side by side: as many as the recorded one had.
const JOBS: usize = 2;

/// A hash of an object as good as the curve's own, and cheaper here.
fn hash(object: usize, draw: u64) -> u64 {
    let mut mixed =
        (object as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ draw.wrapping_mul(0xd1b5_4a32_d192_ed03);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn exact_caches(capacity: u64) -> [ExactLru; 6] {
    FACTORS.map(|factor| ExactLru::new((capacity as f64 * factor) as u64 / 4096 * 4096))
}

/// Tells a curve what a cache of its capacity does with these reads.
struct Told<'a> {
    curve: &'a Curve,
    draw: u64,
    under_way: VecDeque<Access>,
}

impl<'a> Told<'a> {
    fn new(curve: &'a Curve, draw: u64) -> Self {
        Self { curve, draw, under_way: VecDeque::new() }
    }

    fn tell(&mut self, (object, bytes): Access, hit: bool) {
        if self.under_way.len() >= JOBS {
            self.store_next();
        }
        if hit {
            // It was stored by then.
            while self.under_way.iter().any(|(other, _)| *other == object) {
                self.store_next();
            }
            self.curve.read(hash(object, self.draw), bytes);
        } else {
            self.curve.missed(hash(object, self.draw));
            if bytes > 0 {
                self.under_way.push_back((object, bytes));
            }
        }
    }

    fn store_next(&mut self) {
        if let Some((object, bytes)) = self.under_way.pop_front() {
            self.curve.stored(hash(object, self.draw), bytes, true);
        }
    }
}

/// What the curves said, and what is true, in points of the hit ratio, for each size.
struct Compared {
    truth: [f64; 6],
    /// For each draw.
    said: Vec<[f64; 6]>,
}

impl Compared {
    fn new(name: &str, trace: &[Access], capacity: u64, samples: usize) -> Self {
        let mut exact = exact_caches(capacity);
        let curves: Vec<Curve> =
            (0..DRAWS).map(|draw| Curve::with_samples(capacity, samples, draw)).collect();
        let mut told: Vec<Told<'_>> =
            (0..).zip(&curves).map(|(draw, curve)| Told::new(curve, draw)).collect();
        for access in trace {
            let hits: Vec<bool> = exact.iter_mut().map(|cache| cache.read(*access)).collect();
            told.iter_mut().for_each(|told| told.tell(*access, hits[2]));
        }
        assert!(exact[2].is_full(), "{name}: the trace does not fill a cache of {capacity}");
        let said = curves.iter().map(|curve| curve.points().unwrap().map(|point| point.hit_ratio * 100.0));
        let compared = Self { truth: exact.map(|cache| cache.hit_ratio() * 100.0), said: said.collect() };
        println!("{name}, {} MiB, {samples} samples: off by {:.2}", capacity >> 20, compared.worst());
        for (at, factor) in FACTORS.iter().enumerate() {
            let said: Vec<String> = compared.said.iter().map(|said| format!("{:.2}", said[at])).collect();
            println!("    {factor:>5} {:.2}: {}", compared.truth[at], said.join(" "));
        }
        compared
    }

    /// The largest distance, over all sizes and draws.
    fn worst(&self) -> f64 {
        let errors = self.said.iter().flat_map(|said| said.iter().zip(&self.truth));
        errors.map(|(said, truth)| (said - truth).abs()).fold(0.0, f64::max)
    }
}

/// Caches whose capacity is these parts of all the bytes that are read.
fn assert_close(name: &str, trace: &[Access], parts: &[f64]) {
    for part in parts {
        let worst = at_part(name, trace, *part, DEFAULT_SAMPLES).worst();
        assert!(worst <= 2.0, "{name}: off by {worst:.2} points at {part} of all bytes");
    }
}

fn at_part(name: &str, trace: &[Access], part: f64, samples: usize) -> Compared {
    let capacity = traces::footprint(trace) as f64 * part;
    Compared::new(name, trace, capacity as u64, samples)
}

#[test]
fn popular_objects_of_mixed_sizes() {
    assert_close("zipf 0.8", &traces::zipf(1, 200_000, 0.8, 200_000), &[0.1, 0.35]);
}

#[test]
fn very_popular_objects_of_mixed_sizes() {
    assert_close("zipf 1.1", &traces::zipf(2, 200_000, 1.1, 200_000), &[0.01, 0.1]);
}

#[test]
fn popular_objects_between_scans() {
    assert_close("scanned", &traces::scanned(3, 60_000, 120_000), &[0.02, 0.1, 0.3]);
}

#[test]
fn builds_that_change_a_little_each_time() {
    assert_close("builds", &traces::builds(4, 40, 250_000), &[0.03, 0.1, 0.3]);
}

#[test]
fn a_recorded_sequence_of_builds() {
    let trace = traces::recorded();
    assert!(trace.len() > 10_000, "only {} reads", trace.len());
    assert_close("recorded", &trace, &[0.03, 0.06, 0.1, 0.3]);
    // It has fewer objects than a sample; so with smaller ones as well.
    for part in [0.1, 0.3] {
        let worst = at_part("recorded", &trace, part, 1024).worst();
        assert!(worst <= 2.0, "off by {worst:.2} points at {part} of all bytes");
    }
}

#[test]
fn reads_that_all_caches_but_the_large_miss() {
    assert_close("rounds", &traces::rounds(5, 60_000, 200_000), &[0.05, 0.15, 0.35]);
}

/// The error follows from the number of objects in a sample alone, as its root.
#[test]
fn a_smaller_sample_is_less_sharp_and_not_wrong() {
    let trace = traces::zipf(6, 200_000, 0.8, 150_000);
    let worst = at_part("few samples", &trace, 0.35, DEFAULT_SAMPLES / 16).worst();
    assert!(worst <= 2.0 * 4.0, "off by {worst:.2} points");
}

/// Where everything just fits, a hundredth of the size is most of the hit ratio: there the curve is right about the size.
#[test]
fn a_cliff_is_found_within_three_hundredths_of_its_size() {
    let trace = traces::rounds(7, 30_000, 100_000);
    let cliff = traces::footprint(&trace) as f64;
    let ratios = |capacity: f64| Compared::new("cliff", &trace, (capacity / 4.0) as u64, DEFAULT_SAMPLES);
    let (before, behind) = (ratios(cliff * 0.97), ratios(cliff * 1.03));
    assert!(behind.truth[4] - before.truth[4] > 5.0, "no cliff: {:?} {:?}", before.truth, behind.truth);
    for said in ratios(cliff).said {
        let allowed = before.truth[4] - 2.0..=behind.truth[4] + 2.0;
        assert!(allowed.contains(&said[4]), "{said:?} is not in {allowed:?}");
    }
}
