//! A thread that measures a directory's blocks as often as it can, while a test works on it.
//!
//! Knows directories; nothing of larder.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Measures a directory's blocks again and again, and remembers the most that three looks in a row saw. A single one is no
/// moment: where it is interrupted, or a directory gets another name meanwhile, it counts what has moved twice.
pub struct Sampler {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Sampler {
    /// Starts to measure `dir`.
    pub fn start(dir: PathBuf) -> Self {
        let (most, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (shared_most, shared_stop) = (Arc::clone(&most), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let (mut samples, mut last) = (0, [0; 3]);
            while !shared_stop.load(Ordering::Relaxed) {
                last[samples % last.len()] = crate::opened::block_bytes(&dir);
                let seen_by_all = last.into_iter().min().unwrap_or(0);
                shared_most.fetch_max(seen_by_all, Ordering::Relaxed);
                samples += 1;
            }
            samples
        });
        Self { most, stop, thread: Some(thread) }
    }

    /// The most bytes of blocks that were seen.
    pub fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let samples = self.thread.take().unwrap().join().unwrap();
        let most = self.most.load(Ordering::Relaxed);
        eprintln!("{samples} samples, at most {most} bytes");
        most
    }
}
