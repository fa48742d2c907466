//! Comparing everything with what it should be, all at once: records with their checksums, the index with the table, the
//! bucket with both.
//!
//! Owns the order of the steps and what is reported. In a dry run nothing is opened that would write: the segments are
//! read as they are, no thread works behind them, and what is known of the bucket is a copy. Knows nothing of people.

mod disk;
mod index;
mod unchanged;

use std::sync::Arc;
use std::time::Duration;

pub use self::disk::DiskFindings;
pub use self::index::IndexFindings;
use super::error::OpenError;
use super::state::State;
use super::tier::{BucketFindings, Inspection, Purpose};
use super::{Cache, CacheOptions};
use crate::metrics::Metrics;

/// Between two looks whether the start is over.
const ROUND: Duration = Duration::from_millis(20);

/// How to verify.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VerifyOptions {
    /// Only look: no byte changes, neither on disk nor in the bucket.
    pub dry_run: bool,
    /// Read every body in the bucket.
    pub deep: bool,
}

/// What is being done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Finding what is there.
    Opening,
    /// Reading records; measured in bytes.
    Disk,
    /// Comparing the index; measured in entries.
    Index,
    /// Listing the bucket, and reading what is in it; measured in objects.
    Bucket,
    /// Looking for what the bucket does not have; measured in objects.
    Missing,
    /// Waiting for uploads; measured in objects.
    Uploading,
}

/// Who hears how far it is. Called from many threads.
pub trait Watch: Send + Sync {
    /// Something else is done from now on, with so much to do, where that is known.
    fn begin(&self, stage: Stage, total: Option<u64>);
    /// So much more of it is done.
    fn advance(&self, amount: u64);
    /// Something was found that a person may want to know of: one line.
    fn tell(&self, line: &str);
    /// True once it is to end early.
    fn is_stopped(&self) -> bool;
}

/// What was found and done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerifyReport {
    /// True when nothing was changed.
    pub dry_run: bool,
    /// Of the records on disk.
    pub disk: DiskFindings,
    /// Of the index; `None`: it was not looked at, as in a dry run.
    pub index: Option<IndexFindings>,
    /// Of the bucket; `None`: there is none, or it could not be listed.
    pub bucket: Option<BucketFindings>,
    /// Why the bucket could not be compared to its end.
    pub bucket_error: Option<String>,
    /// Why the store could not be closed.
    pub close_error: Option<String>,
    /// True when it was stopped early.
    pub is_interrupted: bool,
}

impl VerifyReport {
    /// True when all is well, or is so now.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let could_look = !self.is_interrupted && self.bucket_error.is_none() && self.close_error.is_none();
        let disk = self.disk.newer_files == 0 && (!self.dry_run || self.disk.damaged == 0);
        let index = self.index.is_none_or(|index| index.is_good());
        let bucket = self.bucket.is_none_or(|bucket| bucket.left(self.dry_run) == 0);
        could_look && disk && index && bucket
    }
}

pub(super) async fn run(
    options: CacheOptions,
    metrics: Metrics,
    how: VerifyOptions,
    watch: Arc<dyn Watch>,
) -> Result<VerifyReport, OpenError> {
    watch.begin(Stage::Opening, None);
    if how.dry_run {
        let looked = tokio::task::spawn_blocking(move || unchanged::open(options, metrics)).await;
        let unchanged::Unchanged { state, damaged, _scratch } = looked.unwrap_or_else(|error| {
            Err(OpenError::Io { path: String::new(), error: std::io::Error::other(error) })
        })?;
        let mut report = VerifyReport { dry_run: true, ..VerifyReport::default() };
        report.disk = disk::verify(&state, how, &watch).await;
        report.disk.damaged += damaged;
        if let Some(inspection) = Inspection::new(&state, None, how, &watch) {
            inspection.run(&mut report).await;
        }
        report.is_interrupted = watch.is_stopped();
        return Ok(report);
    }
    let cache = Cache::open_for(Purpose::Verifying, options, metrics)?;
    let report = repair(&cache, how, &watch).await;
    Ok(VerifyReport { close_error: cache.close().await.err().map(|error| error.to_string()), ..report })
}

async fn repair(cache: &Cache, how: VerifyOptions, watch: &Arc<dyn Watch>) -> VerifyReport {
    let state = &cache.state;
    let mut report = VerifyReport::default();
    while !is_settled(state) && !watch.is_stopped() {
        tokio::time::sleep(ROUND).await;
    }
    if !watch.is_stopped() {
        report.disk = disk::verify(state, how, watch).await;
        // What the start has found is among them.
        report.disk.damaged = state.metrics.damaged.get();
    }
    if !watch.is_stopped() {
        report.index = index::verify(state, cache.workers.indexer(), watch).await;
    }
    if !watch.is_stopped()
        && let Some(inspection) = Inspection::new(state, Some(cache.workers.indexer()), how, watch)
    {
        inspection.run(&mut report).await;
    }
    report.is_interrupted = watch.is_stopped();
    report
}

fn is_settled(state: &State) -> bool {
    state.is_ready() && state.reconciled.load(std::sync::atomic::Ordering::Acquire)
}
