//! Bodies that can be told apart: each is made from its key and a version alone, so that what comes back is compared
//! byte for byte without keeping what was sent.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// Larger than what the server gathers in memory: such a body gets a file of its own.
pub const LARGE: usize = (8 << 20) + 4321;

/// The body of this version of `key`: its length, too, follows from both.
pub fn body(key: &str, version: u64) -> Vec<u8> {
    let mut random = random_of(key, version);
    let length = if key.starts_with("large/") { LARGE } else { small_length(&mut random) };
    filled(random, length)
}

/// The body of this version of `key` with a length of the caller's choice.
pub fn body_of_length(key: &str, version: u64, length: usize) -> Vec<u8> {
    filled(random_of(key, version), length)
}

fn filled(mut random: StdRng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

fn random_of(key: &str, version: u64) -> StdRng {
    let in_key = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    StdRng::seed_from_u64(in_key ^ version.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Mostly what compilers make, with the edges: nothing, around a block, beyond one write call.
fn small_length(random: &mut StdRng) -> usize {
    match random.random_range(0..100) {
        0..3 => 0,
        3..50 => random.random_range(60..140),
        50..70 => random.random_range(3900..4200),
        70..95 => random.random_range(5_000..60_000),
        _ => random.random_range(250_000..310_000),
    }
}
