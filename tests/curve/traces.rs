//! Sequences of reads as build caches see them, the same in each run: (number of the object, bytes of disk blocks).
//!
//! Owns how they are made up, and how a recorded one is read. Knows nothing of caches.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const BLOCK: u64 = 4096;

/// One read. Of 0 bytes is what a client asked for and never stored, as a compilation that failed.
pub(crate) type Access = (usize, u64);

/// A few kilobytes mostly, megabytes at times: log-normal, as artifacts of builds are. The mean is near 60 KB.
fn size(random: &mut StdRng) -> u64 {
    let normal: f64 = (0..12).map(|_| random.random_range(0.0..1.0)).sum::<f64>() - 6.0;
    let bytes = (12_000.0_f64.ln() + 1.8 * normal).exp().clamp(100.0, 64e6);
    (bytes / BLOCK as f64).ceil() as u64 * BLOCK
}

fn sizes(random: &mut StdRng, objects: usize) -> Vec<u64> {
    (0..objects).map(|_| size(random)).collect()
}

/// The n-th object is read in proportion to n^-`exponent`.
pub(crate) fn zipf(seed: u64, objects: usize, exponent: f64, reads: usize) -> Vec<Access> {
    let mut random = StdRng::seed_from_u64(seed);
    let sizes = sizes(&mut random, objects);
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=objects)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    let draw = |random: &mut StdRng| {
        let at = random.random_range(0.0..sum);
        cumulated.partition_point(|sum| *sum < at)
    };
    (0..reads).map(|_| draw(&mut random)).map(|object| (object, sizes[object])).collect()
}

/// Popular objects, between them runs over some that nobody reads twice.
pub(crate) fn scanned(seed: u64, objects: usize, reads: usize) -> Vec<Access> {
    let mut random = StdRng::seed_from_u64(seed);
    let popular = zipf(seed, objects, 0.8, reads);
    let (mut next, mut trace) = (objects, Vec::with_capacity(reads));
    for access in popular {
        trace.push(access);
        if random.random_range(0..8000) == 0 {
            let length = random.random_range(1000..6000);
            trace.extend((next..next + length).map(|object| (object, size(&mut random))));
            next += length;
        }
    }
    trace
}

/// Projects of different sizes are built again and again, in the order of their files; each build finds some of them changed,
/// now and then most of them, and some builds are of older commits.
pub(crate) fn builds(seed: u64, projects: usize, reads: usize) -> Vec<Access> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut next, mut trace) = (0, Vec::with_capacity(reads));
    let mut fresh = |random: &mut StdRng| {
        next += 1;
        (next, size(random))
    };
    // For each project its last commits, the newest last.
    let mut commits: Vec<Vec<Vec<Access>>> = (0..projects)
        .map(|_| {
            let files = random.random_range(200..4000);
            vec![(0..files).map(|_| fresh(&mut random)).collect()]
        })
        .collect();
    while trace.len() < reads {
        // Some projects are built far more often.
        let at = random.random_range(0..projects).min(random.random_range(0..projects));
        let history = &mut commits[at];
        let base = match random.random_range(0..10) {
            0..7 => history.len() - 1,
            _ => random.random_range(0..history.len()),
        };
        let mut commit = history[base].clone();
        let changed = if random.random_range(0..20) == 0 { 0.6 } else { 0.03 };
        for file in &mut commit {
            if random.random_range(0.0..1.0) < changed {
                *file = fresh(&mut random);
            }
        }
        trace.extend_from_slice(&commit);
        history.push(commit);
        if history.len() > 12 {
            history.remove(0);
        }
    }
    trace
}

/// The same reads over and over, each time in another order: nearly everything is found, or nearly nothing.
pub(crate) fn rounds(seed: u64, objects: usize, reads: usize) -> Vec<Access> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut all: Vec<Access> = sizes(&mut random, objects).into_iter().enumerate().collect();
    let mut trace = Vec::with_capacity(reads);
    while trace.len() < reads {
        for at in (1..all.len()).rev() {
            all.swap(at, random.random_range(0..=at));
        }
        trace.extend_from_slice(&all);
    }
    trace
}

/// What sccache asked a larder for in a sequence of real builds, see the head of the file.
pub(crate) fn recorded() -> Vec<Access> {
    let text = include_str!("../data/sccache-builds.trace");
    let mut sizes = Vec::new();
    let mut trace = Vec::new();
    for word in text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace) {
        // Key and length at the first read, the number of that at each later one.
        let object = match word.split_once(':') {
            Some((_, length)) => {
                let length: u64 = length.parse().unwrap();
                sizes.push(if length == 0 { 0 } else { (length + 160).div_ceil(BLOCK) * BLOCK });
                sizes.len() - 1
            }
            None => word.parse().unwrap(),
        };
        trace.push((object, sizes[object]));
    }
    trace
}

/// The bytes of all different objects of a trace.
pub(crate) fn footprint(trace: &[Access]) -> u64 {
    let mut seen = std::collections::HashSet::new();
    trace.iter().filter(|(object, _)| seen.insert(*object)).map(|(_, bytes)| bytes).sum()
}
