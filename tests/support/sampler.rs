//! A thread that measures a directory's blocks as often as it can, while a test works on it.
//!
//! Knows directories; nothing of larder.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Measures a directory's blocks again and again, and remembers the most it saw.
pub struct Sampler {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Sampler {
    /// Starts to measure `dir`.
    pub fn start(dir: PathBuf) -> Self {
        let (most, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (shared_most, shared_stop) = (Arc::clone(&most), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut samples = 0;
            while !shared_stop.load(Ordering::Relaxed) {
                shared_most.fetch_max(crate::opened::block_bytes(&dir), Ordering::Relaxed);
                samples += 1;
            }
            samples
        });
        Self { most, stop, thread: Some(thread) }
    }

    /// The most bytes of blocks that were ever seen.
    pub fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let samples = self.thread.take().unwrap().join().unwrap();
        let most = self.most.load(Ordering::Relaxed);
        eprintln!("{samples} samples, at most {most} bytes");
        most
    }
}
