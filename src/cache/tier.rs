//! The tier behind the disk: a bucket that objects are read from when the disk has none, and written to behind the writers.
//!
//! Owns what all of that shares: where an object lies in the bucket ([`layout`]), whether the bucket is asked at all
//! ([`breaker`], [`absent`]), what is known of it ([`catalogue`]), and the way of a read ([`reading`], [`fill`]). A bucket that fails makes misses, never errors.

mod absent;
mod breaker;
mod budget;
mod catalogue;
mod deletions;
mod fill;
mod layout;
mod listing;
mod queue;
mod reading;
mod rescan;
mod upkeep;
mod uploader;
mod verify;
mod writing;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, RwLock, watch};

use self::absent::Absent;
use self::breaker::{Breaker, BreakerState};
use self::catalogue::{Catalogue, Saved};
pub(super) use self::fill::FillReader;
use self::layout::Layout;
use self::queue::Queue;
use self::reading::Fills;
pub(super) use self::reading::{bring, fetch, is_known};
pub(super) use self::rescan::forget_surplus;
pub(super) use self::upkeep::{Purpose, finish, start};
pub use self::verify::BucketFindings;
pub(super) use self::verify::{Inspection, note_damaged};
pub(super) use self::writing::{Deletion, Outgoing, begin_delete, begin_write, written_through};
use super::CacheOptions;
use crate::bucket::{Bucket, BucketError, BucketPath};
use crate::config::BucketConfig;
use crate::key::ObjectName;
use crate::metrics::Metrics;

/// Of the capacity, one such part is for what is known of the bucket.
const CATALOGUE_PART: u64 = 8;

/// What is done to the bucket, as the metrics name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Get,
    Head,
    Put,
    Delete,
    List,
}

impl Operation {
    fn label(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "head",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

/// How the bucket is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketStatus {
    /// The bucket's URL.
    pub url: String,
    /// True while it is asked; false: it failed, and is left alone or only tried now and then.
    pub is_up: bool,
    /// Since when it fails.
    pub failing_for: Option<Duration>,
    /// What the last failure said, where it fails.
    pub last_error: Option<String>,
    /// Objects that wait to be written to it, or to be deleted from it.
    pub queue_objects: u64,
    /// Bytes of those that wait to be written.
    pub queue_bytes: u64,
}

/// The last failure, and when the first one of those in a row was.
struct Failing {
    since: Instant,
    error: String,
    is_told: bool,
}

/// The bucket and what is known of it.
pub(super) struct Tier {
    pub(super) bucket: Bucket,
    pub(super) options: BucketConfig,
    pub(super) catalogue: Catalogue,
    pub(super) absent: Absent,
    pub(super) breaker: Breaker,
    /// What waits to be written.
    pub(super) queue: Queue,
    /// Rung when there is something to delete.
    deleting: Notify,
    /// Rung when there seems to be more than `bucket.capacity`.
    over_capacity: Notify,
    /// Until when this server is the one that removes from the bucket, milliseconds since the Unix epoch.
    lease_until_ms: AtomicU64,
    /// Records from this number on were not in the bucket when the process before ended, as far as one knows.
    unsaved_from: u64,
    /// But for these; empty once everything is loaded.
    never_queued: Mutex<HashSet<u64>>,
    layout: Layout,
    fills: Fills,
    failing: Mutex<Option<Failing>>,
    metrics: Metrics,
    stopped: watch::Sender<bool>,
    /// Read by every task; who writes waits for them all.
    tasks: Arc<RwLock<()>>,
}

impl Tier {
    pub(super) fn new(bucket: Bucket, options: &CacheOptions, metrics: Metrics) -> Self {
        let own = options.bucket.clone();
        let url = own.url.as_deref().unwrap_or_default();
        let catalogue =
            Catalogue::open(options.data_dir.join("bucket"), url, options.capacity / CATALOGUE_PART);
        let saved = catalogue.saved();
        // What was stored before there was a bucket, or before the catalogue was lost, is looked for in the bucket; nobody was
        // promised that it stays on disk until then.
        let floor = saved.unwrap_or(Saved { below: u64::MAX, complete_below: 0 });
        let never_queued = Mutex::new(catalogue.not_queued());
        Self {
            bucket,
            catalogue,
            queue: Queue::new(own.queue_limit.unwrap_or(options.capacity / 2), floor),
            deleting: Notify::new(),
            over_capacity: Notify::new(),
            lease_until_ms: AtomicU64::new(0),
            unsaved_from: floor.below,
            never_queued,
            absent: Absent::new(own.absent_for),
            breaker: Breaker::default(),
            layout: Layout::new(options),
            fills: Fills::default(),
            options: own,
            failing: Mutex::default(),
            metrics,
            stopped: watch::Sender::new(false),
            tasks: Arc::default(),
        }
    }

    /// Where an object lies in the bucket. `None`: nowhere, it stays on the disk.
    pub(super) fn path(&self, name: &ObjectName) -> Option<BucketPath> {
        self.bucket.path(&self.layout.below(name)?)
    }

    /// Whose object lies at `path`; `None` where it is nobody's.
    pub(super) fn name(&self, path: &BucketPath) -> Option<ObjectName> {
        self.layout.name(self.bucket.below(path)?)
    }

    /// How the bucket is.
    pub(super) fn status(&self) -> BucketStatus {
        self.update_gauges();
        let (failing, length) = (self.failing.lock(), self.queue.length());
        BucketStatus {
            url: self.options.url.clone().unwrap_or_default(),
            is_up: self.breaker.state() == BreakerState::Closed,
            failing_for: failing.as_ref().map(|failing| failing.since.elapsed()),
            last_error: failing.as_ref().map(|failing| failing.error.clone()),
            queue_objects: length.objects + self.catalogue.marked() as u64,
            queue_bytes: length.bytes,
        }
    }

    /// Runs `task` beside the requests, until it ends or the tier is stopped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Nobody can be waiting for the tasks to end but who stops the tier.
        let Ok(running) = Arc::clone(&self.tasks).try_read_owned() else { return };
        let mut stopped = self.stopped.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                // The sender lives as long as the tier; an error would mean that it is gone.
                _ = stopped.wait_for(|stopped| *stopped) => {}
                () = task => {}
            }
            drop(running);
        });
    }

    /// True for a record of an earlier process that no eviction may take before it is known to be in the bucket.
    pub(super) fn was_unsaved(&self, name: &ObjectName, sequence: u64) -> bool {
        sequence >= self.unsaved_from
            && !self.never_queued.lock().contains(&sequence)
            && self.path(name).is_some()
    }

    /// Tells all tasks to end.
    pub(super) fn halt(&self) {
        self.stopped.send_replace(true);
    }

    /// Ends all tasks and waits for that.
    pub(super) async fn stop(&self) {
        self.halt();
        let _ = self.tasks.write().await;
    }

    /// Makes one call, where the breaker lets it, in at most `limit`; counts it and tells the breaker how it went.
    ///
    /// # Errors
    /// The call's, `TooSlow`, and `Unavailable` where the breaker is open.
    pub(super) async fn call<T>(
        &self,
        operation: Operation,
        limit: Duration,
        call: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let Some(admitted) = self.breaker.admit() else {
            self.count(operation, "not_tried");
            return Err(BucketError::Unavailable(
                "it failed a moment ago, and is left alone for a while".into(),
            ));
        };
        let began = Instant::now();
        let answer = tokio::time::timeout(limit, call).await.unwrap_or(Err(BucketError::TooSlow(limit)));
        self.metrics
            .bucket_seconds
            .with_label_values(&[operation.label()])
            .observe(began.elapsed().as_secs_f64());
        let (outcome, is_failure) = match &answer {
            Ok(_) => ("ok", false),
            Err(BucketError::NotFound) => ("not_found", false),
            Err(BucketError::Exists) => ("exists", false),
            // Of one object, and nothing about the others.
            Err(BucketError::Impossible(_)) => ("impossible", false),
            Err(BucketError::Unavailable(_)) => ("unavailable", true),
            Err(BucketError::TooSlow(_)) => ("too_slow", true),
            Err(BucketError::Refused(_)) => ("refused", true),
        };
        self.count(operation, outcome);
        admitted.report(is_failure);
        self.note(answer.as_ref().err().filter(|_| is_failure));
        self.metrics.bucket_breaker.set(self.breaker.state().gauge());
        answer
    }

    /// A body that the bucket had begun to send did not come to its end.
    pub(super) fn body_failed(&self, error: &BucketError) {
        self.breaker.body_broke_off();
        self.metrics.bucket_breaker.set(self.breaker.state().gauge());
        self.note(Some(error));
    }

    /// Remembers how the bucket is, and tells when it is left alone and when it is back.
    fn note(&self, failure: Option<&BucketError>) {
        let mut failing = self.failing.lock();
        match failure {
            Some(error) => {
                let now = failing.get_or_insert_with(|| Failing {
                    since: Instant::now(),
                    error: String::new(),
                    is_told: false,
                });
                now.error = error.to_string();
                if !now.is_told && self.breaker.state() != BreakerState::Closed {
                    now.is_told = true;
                    tracing::warn!(%error, "the bucket fails; until it is back, what is not on disk is a miss");
                }
            }
            None => {
                if let Some(past) = failing.take().filter(|past| past.is_told) {
                    tracing::info!(seconds = past.since.elapsed().as_secs(), "the bucket is back");
                }
            }
        }
    }

    fn count(&self, operation: Operation, outcome: &str) {
        self.metrics.bucket_requests.with_label_values(&[operation.label(), outcome]).inc();
    }
}
