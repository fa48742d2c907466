//! Memory of bodies in flight: one budget for all requests, and the buffers that disk reads go through.
//!
//! A permit is never waited for: whoever gets none answers "overloaded" at once. It lives as long as the bytes it
//! stands for, so it rides in the buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Buffer sizes: a body that is read whole fits all but the largest, with its header; a chunk fits the largest.
const SIZES: [usize; 5] = [4 << 10, 24 << 10, 68 << 10, 132 << 10, CHUNK_BYTES];
/// Largest part of a body that is read at once, in bytes.
pub(super) const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of idle buffers of one size that are kept.
const KEPT_BYTES: usize = 4 << 20;

/// The budget for bodies in flight, in bytes.
#[derive(Clone)]
pub(super) struct FlightBudget {
    limit: u64,
    taken: Arc<AtomicU64>,
}

/// A share of the budget; given back when dropped.
#[derive(Debug, Default)]
pub(super) struct FlightPermit {
    taken: Arc<AtomicU64>,
    bytes: u64,
}

impl FlightBudget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, taken: Arc::default() }
    }

    /// Takes `bytes` of the budget. `None` when they are not there.
    pub(super) fn take(&self, bytes: u64) -> Option<FlightPermit> {
        let grant = |taken: u64| taken.checked_add(bytes).filter(|wanted| *wanted <= self.limit);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, grant).ok()?;
        Some(FlightPermit { taken: Arc::clone(&self.taken), bytes })
    }
}

impl FlightPermit {
    /// Puts another permit's bytes to this one's.
    pub(super) fn join(&mut self, mut other: Self) {
        if self.bytes == 0 {
            *self = other;
        } else {
            self.bytes += std::mem::take(&mut other.bytes);
        }
    }
}

impl Drop for FlightPermit {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Buffers that are used again: a body read into them never touches fresh memory.
#[derive(Clone, Default)]
pub(super) struct BufferPool {
    idle: Arc<[Mutex<Vec<Vec<u8>>>; SIZES.len()]>,
}

/// A buffer of at least the length that was asked for; its bytes are whatever they were. Goes back to the pool when
/// dropped, together with its permit.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    size: usize,
    pool: BufferPool,
    _permit: Option<FlightPermit>,
}

impl BufferPool {
    /// Bytes that a buffer for `length` takes.
    pub(super) fn size_for(length: usize) -> usize {
        SIZES.into_iter().find(|size| length <= *size).unwrap_or(CHUNK_BYTES)
    }

    /// A buffer of at least `length` bytes; at most the largest size.
    pub(super) fn take(&self, length: usize, permit: Option<FlightPermit>) -> Buffer {
        let size = SIZES.iter().position(|size| length <= *size).unwrap_or(SIZES.len() - 1);
        let bytes = self.idle[size].lock().pop().unwrap_or_else(|| vec![0; SIZES[size]]);
        Buffer { bytes, size, pool: self.clone(), _permit: permit }
    }
}

impl Buffer {
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let mut idle = self.pool.idle[self.size].lock();
        if idle.len() * SIZES[self.size] < KEPT_BYTES {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_passed_and_comes_back() {
        let budget = FlightBudget::new(10);
        let mut permit = budget.take(6).unwrap();
        assert!(budget.take(5).is_none());
        permit.join(budget.take(4).unwrap());
        assert!(budget.take(1).is_none());
        drop(permit);
        assert!(budget.take(10).is_some());
    }

    #[test]
    fn buffers_are_used_again_with_their_permits_returned() {
        let (budget, pool) = (FlightBudget::new(100), BufferPool::default());
        let mut buffer = pool.take(5000, budget.take(100));
        buffer.as_mut()[0] = 7;
        assert!(budget.take(1).is_none());
        drop(bytes::Bytes::from_owner(buffer));
        assert!(budget.take(100).is_some());
        assert_eq!(pool.take(9000, None).as_ref()[0], 7);
        assert_eq!(pool.take(9000, None).as_ref().len(), BufferPool::size_for(9000));
    }
}
