//! What the cache is worth: how large it should be ([`Curve`]), what its evictions cost ([`Evictions`]) and what an object
//! cost to make ([`MissClock`]).
//!
//! Owns measurements that need more than a counter, each in bounded memory. Whoever serves requests tells it what happened, by
//! hash, size and time; it knows no requests, no files, no metrics and no clock, and nothing waits for it.

mod curve;
mod evictions;
mod miss_clock;

pub use self::curve::{Curve, DEFAULT_SAMPLES, FACTORS, Point, StateError};
pub use self::evictions::{AGE_LIMITS, EvictionCounts, Evictions};
pub use self::miss_clock::{LONGEST_COST, MissClock};
