//! The bytes of a curve that survives a restart: a version, the counts, each sample in the order of use, a checksum.
//!
//! Owns the layout, version 1. Numbers are little endian, fractions are the bits of an `f64`. Knows no file: who keeps the bytes, keeps
//! them whole. What is damaged is refused, as a curve is learnt anew in days; a newer version is told apart.

use std::collections::HashSet;

use twox_hash::XxHash3_64;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::lru::Sampled;
use super::simulation::{Saved, Sums};
use super::simulations::Simulations;
use super::{Counts, Curve, DEFAULT_SAMPLES, FACTORS};

const MAGIC: [u8; 8] = *b"LARDRCRV";
/// The version that this build writes, and the newest that it reads.
const VERSION: u32 = 1;
const CHECKSUM: usize = 8;

/// Why bytes are no curve.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StateError {
    /// Written by a newer larder.
    #[error("the version of the miss-ratio curve is {0}, newer than {VERSION}, the newest this larder knows")]
    Newer(u32),
    /// Cut short, changed, or never a curve.
    #[error("the bytes are no miss-ratio curve, or are damaged")]
    Damaged,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    version: U32,
    simulations: U32,
    seed: U64,
    reads: U64,
    misses: U64,
    refilled: U64,
    aged_ms: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct SimulationHead {
    capacity: U64,
    threshold: U64,
    reads: U64,
    hits: U64,
    found_missed: U64,
    refilled: U64,
    objects: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct Object {
    hash: U64,
    blocks: U32,
}

impl Curve {
    /// More than [`Curve::save`] ever makes of a curve with [`DEFAULT_SAMPLES`].
    pub const MOST_STATE_BYTES: usize = size_of::<Head>()
        + FACTORS.len() * (size_of::<SimulationHead>() + DEFAULT_SAMPLES * size_of::<Object>())
        + CHECKSUM;
}

pub(super) fn encode(seed: u64, counts: &Counts, simulations: &Simulations) -> Vec<u8> {
    let head = Head {
        magic: MAGIC,
        version: U32::new(VERSION),
        // There are FACTORS of them.
        simulations: U32::new(u32::try_from(simulations.iter().count()).unwrap_or(0)),
        seed: U64::new(seed),
        reads: U64::new(counts.reads.to_bits()),
        misses: U64::new(counts.misses.to_bits()),
        refilled: U64::new(counts.refilled.to_bits()),
        aged_ms: U64::new(counts.aged_ms),
    };
    let mut bytes = Vec::with_capacity(Curve::MOST_STATE_BYTES);
    bytes.extend_from_slice(head.as_bytes());
    for (capacity, simulation) in simulations.iter() {
        let Sums { reads, hits, found_missed, refilled } = simulation.counts();
        let head = SimulationHead {
            capacity: U64::new(capacity),
            threshold: U64::new(simulation.threshold().to_bits()),
            reads: U64::new(reads.to_bits()),
            hits: U64::new(hits.to_bits()),
            found_missed: U64::new(found_missed.to_bits()),
            refilled: U64::new(refilled.to_bits()),
            objects: U64::new(simulation.sampled() as u64),
        };
        bytes.extend_from_slice(head.as_bytes());
        for (hash, blocks) in simulation.objects() {
            bytes.extend_from_slice(Object { hash: U64::new(hash), blocks: U32::new(blocks) }.as_bytes());
        }
    }
    let checksum = XxHash3_64::oneshot(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The seed, the counts and the simulations, smallest first.
pub(super) fn decode(bytes: &[u8]) -> Result<(u64, Counts, Vec<Saved>), StateError> {
    let (head, _) = Head::read_from_prefix(bytes).map_err(|_| StateError::Damaged)?;
    if head.magic != MAGIC || head.version.get() == 0 {
        return Err(StateError::Damaged);
    }
    if head.version.get() > VERSION {
        return Err(StateError::Newer(head.version.get()));
    }
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(StateError::Damaged)?;
    if XxHash3_64::oneshot(content) != u64::from_le_bytes(*checksum) {
        return Err(StateError::Damaged);
    }
    let mut rest = content.get(size_of::<Head>()..).ok_or(StateError::Damaged)?;
    let counts = Counts {
        reads: amount(head.reads)?,
        misses: amount(head.misses)?,
        refilled: amount(head.refilled)?,
        aged_ms: head.aged_ms.get(),
    };
    // Not more of them than there are bytes for.
    let simulations =
        (0..head.simulations.get()).map(|_| simulation(&mut rest)).collect::<Result<Vec<_>, _>>()?;
    let ascending = simulations.is_sorted_by(|a, b| a.capacity < b.capacity);
    if !rest.is_empty() || !ascending {
        Err(StateError::Damaged)
    } else {
        Ok((head.seed.get(), counts, simulations))
    }
}

fn simulation(rest: &mut &[u8]) -> Result<Saved, StateError> {
    let (head, behind) = SimulationHead::read_from_prefix(rest).map_err(|_| StateError::Damaged)?;
    let count = usize::try_from(head.objects.get()).map_err(|_| StateError::Damaged)?;
    let (objects, behind) =
        <[Object]>::ref_from_prefix_with_elems(behind, count).map_err(|_| StateError::Damaged)?;
    *rest = behind;
    let threshold = amount(head.threshold)?;
    let objects: Vec<Sampled> =
        objects.iter().map(|object| (object.hash.get(), object.blocks.get())).collect();
    let different: HashSet<u64> = objects.iter().map(|(hash, _)| *hash).collect();
    let fits = threshold > 0.0 && threshold <= 1.0 && objects.iter().all(|(_, blocks)| *blocks > 0);
    if !fits || different.len() != objects.len() {
        return Err(StateError::Damaged);
    }
    let counts = Sums {
        reads: amount(head.reads)?,
        hits: amount(head.hits)?,
        found_missed: amount(head.found_missed)?,
        refilled: amount(head.refilled)?,
    };
    Ok(Saved { capacity: head.capacity.get(), threshold, counts, objects })
}

/// A number that can be a count.
fn amount(bits: U64) -> Result<f64, StateError> {
    let amount = f64::from_bits(bits.get());
    if amount.is_finite() && amount >= 0.0 { Ok(amount) } else { Err(StateError::Damaged) }
}
