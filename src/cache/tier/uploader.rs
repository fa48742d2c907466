//! Bringing records to the bucket, several at once, each tried until it is there.
//!
//! A record that was replaced or deleted meanwhile is let go. Knows nothing of why a record is in the queue.

mod sending;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::sending::Sent;
use super::breaker::jitter;
use super::catalogue::Known;
use super::queue::Job;
use super::{Operation, Tier};
use crate::blobs::Pin;
use crate::bucket::{BodyChecksum, BucketError, BucketObject, BucketPath, WriteMode};
use crate::cache::error::CacheError;
use crate::cache::opening;
use crate::cache::read::Object;
use crate::cache::state::State;
use crate::index::table::Slot;
use crate::object::ETag;

/// Memory for bodies on their way, in KiB.
const MEMORY_KIB: usize = 64 << 10;
/// The first pause after a failure; doubled with each one after it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Pause before a record is read again that there was no memory for.
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// Between two log lines that say the same.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How a try ended.
enum Tried {
    /// It is in the bucket, or need not be.
    Done,
    /// This server could not read it just now.
    NotNow,
    /// The bucket failed.
    Failed(BucketError),
}

/// What the workers share.
pub(super) struct Uploader {
    tier: Arc<Tier>,
    state: Arc<State>,
    memory: Semaphore,
    /// When somebody was last told that the bucket refuses.
    told: Mutex<Option<Instant>>,
}

impl Uploader {
    pub(super) fn new(state: Arc<State>, tier: Arc<Tier>) -> Self {
        Self { state, tier, memory: Semaphore::new(MEMORY_KIB), told: Mutex::default() }
    }

    /// One worker: takes one object after the other, for ever.
    pub(super) async fn work(self: Arc<Self>) {
        let queue = &self.tier.queue;
        let mut failures = 0;
        loop {
            let job = queue.take().await;
            match self.upload(&job).await {
                Tried::Done => {
                    queue.done(&job);
                    if failures > 0 {
                        queue.bucket_is_back();
                    }
                    failures = 0;
                }
                Tried::NotNow => queue.again(&job, SHORT_PAUSE),
                Tried::Failed(error) => {
                    failures += 1;
                    // One that fails alone waits for its next turn; where all fail, the worker's pause is what counts.
                    let is_away = matches!(error, BucketError::Unavailable(_));
                    queue.again(&job, if is_away { Duration::ZERO } else { backoff(job.tries + 1) });
                    queue.bucket_failed();
                    self.tell_refused(&error, &job);
                    queue.pause(backoff(failures)).await;
                }
            }
        }
    }

    /// Trying again does not help there; somebody has to do something.
    fn tell_refused(&self, error: &BucketError, job: &Job) {
        let BucketError::Refused(_) = error else { return };
        let mut told = self.told.lock();
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            tracing::error!(namespace = %job.name.namespace, key = %job.name.key, %error, "objects cannot be written to the bucket; they stay on disk, and it is tried again");
        }
    }

    async fn upload(&self, job: &Job) -> Tried {
        let Some((slot, pin)) = self.current(job) else { return Tried::Done };
        let Some(path) = self.tier.path(&job.name) else {
            self.state.table.set_saved(job.hash, job.sequence);
            return Tried::Done;
        };
        let object = match opening::open(&self.state, &job.name, slot, pin).await {
            Ok(Some(object)) => object,
            Ok(None) => return self.lost(job, &path),
            Err(error) => return not_now(&error),
        };
        if job.was_found {
            match self.look(&path, &slot, &object).await {
                Ok(true) => return self.saved(job, &path),
                Ok(false) => {}
                Err(error) => return Tried::Failed(error),
            }
        }
        let info = *object.info();
        let mode = if self.state.spaces.rules(slot.space.group).write_once {
            WriteMode::Create
        } else {
            WriteMode::Replace
        };
        let kib = u32::try_from(sending::memory_for(info.length).div_ceil(1024)).unwrap_or(u32::MAX);
        // Never closed.
        let Ok(_memory) = self.memory.acquire_many(kib).await else { return Tried::NotNow };
        match sending::send(&self.tier, &path, object, mode).await {
            Sent::Whole => {
                let used_ms = self.state.clock.now_ms();
                let checksum = Some(info.etag.0);
                self.tier.is_there(&path, Known { checksum, length: info.length, used_ms, modified_ms: 0 });
                self.saved(job, &path)
            }
            Sent::Damaged => {
                self.state.drop_damaged(&slot, "body");
                self.lost(job, &path)
            }
            Sent::Unread(error) => not_now(&error),
            Sent::Failed(BucketError::Exists) => self.came_second(job, &slot, &path).await,
            Sent::Failed(error @ BucketError::Impossible(_)) => {
                tracing::warn!(%path, %error, "this object stays on disk only, and goes when its room is needed");
                self.state.table.set_saved(job.hash, job.sequence);
                Tried::Done
            }
            Sent::Failed(error) => Tried::Failed(error),
        }
    }

    /// The record, where it is still the current one of its object.
    fn current(&self, job: &Job) -> Option<(Slot, Option<Pin>)> {
        let pin = |slot: &Slot| (slot.sequence == job.sequence).then(|| self.state.store.pin(&slot.location));
        let (slot, pin) = self.state.table.peek(job.hash, pin)?;
        let pin = pin?;
        (!self.state.drop_if_expired(&slot)).then_some((slot, pin))
    }

    /// Asks whether the bucket has a found object, or a newer one, and notes what it has.
    async fn look(&self, path: &BucketPath, slot: &Slot, object: &Object) -> Result<bool, BucketError> {
        let head = self.tier.bucket.head(path);
        let there = match self.tier.call(Operation::Head, self.tier.options.write_timeout, head).await {
            Ok(there) => there,
            Err(BucketError::NotFound) => return Ok(false),
            Err(error) => return Err(error),
        };
        let info = object.info();
        let BucketObject { length, modified_ms, checksum, .. } = there;
        let is_same = length == info.length && checksum == Some(BodyChecksum::Xxh3(info.etag.0));
        // Eviction may have had it already, so it was saved, or was not promised to be: what is newer there stays.
        let is_newer_there =
            !slot.unsaved && modified_ms >= info.created_ms && !self.tier.catalogue.is_deleted(path);
        if is_same || is_newer_there {
            let checksum = match checksum {
                Some(BodyChecksum::Xxh3(checksum)) => Some(checksum),
                _ => None,
            };
            let used_ms = modified_ms.max(slot.used_us / 1000);
            self.tier.is_there(path, Known { checksum, length, used_ms, modified_ms });
        }
        Ok(is_same || is_newer_there)
    }

    /// Eviction may have the record. Where a client has deleted the object meanwhile, that is newer.
    fn saved(&self, job: &Job, path: &BucketPath) -> Tried {
        self.tier.absent.forget(job.hash);
        self.state.table.set_saved(job.hash, job.sequence);
        self.tier.catalogue.unmark(path, job.sequence);
        Tried::Done
    }

    /// The record cannot be read any more: what it had replaced must not come back in its place.
    fn lost(&self, job: &Job, path: &BucketPath) -> Tried {
        let is_gone = self.state.table.peek(job.hash, |_| ()).is_none();
        if is_gone && self.tier.catalogue.get(path).is_some() {
            self.tier.catalogue.mark(path, job.sequence);
        }
        Tried::Done
    }

    /// In a write-once namespace somebody else's object came first. Where it is another one, this server's goes.
    async fn came_second(&self, job: &Job, slot: &Slot, path: &BucketPath) -> Tried {
        let head = self.tier.bucket.head(path);
        let there = match self.tier.call(Operation::Head, self.tier.options.write_timeout, head).await {
            Ok(there) => there,
            Err(BucketError::NotFound) => return Tried::NotNow,
            Err(error) => return Tried::Failed(error),
        };
        let own =
            match opening::open_header(&self.state, &job.name, *slot, self.state.store.pin(&slot.location))
                .await
            {
                Ok(own) => own,
                Err(error) => return not_now(&error),
            };
        let theirs = match there.checksum {
            Some(BodyChecksum::Xxh3(checksum)) => Some(checksum),
            _ => None,
        };
        let is_same = own.is_some_and(|own| {
            own.length == there.length && theirs.is_none_or(|theirs| ETag(theirs) == own.etag)
        });
        let BucketObject { length, modified_ms, .. } = there;
        self.tier.is_there(path, Known { checksum: theirs, length, used_ms: modified_ms, modified_ms });
        let saved = self.saved(job, path);
        if !is_same && self.state.drop_dead(slot) {
            let label = &self.state.spaces.rules(slot.space.group).label;
            self.state.metrics.overwrites_refused.with_label_values(&[label]).inc();
            tracing::warn!(namespace = %job.name.namespace, key = %job.name.key, "another server's body for a key of a write-once namespace was first in the bucket; this one is dropped");
        }
        saved
    }
}

/// How long to wait after so many failures in a row.
pub(super) fn backoff(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    // Servers that share a bucket must not all come back in the same moment.
    doubled.min(LONGEST_PAUSE).mul_f64(0.5 + 0.5 * jitter())
}

fn not_now(error: &CacheError) -> Tried {
    if !matches!(error, CacheError::Overloaded) {
        tracing::warn!(%error, "a record cannot be read for the bucket now");
    }
    Tried::NotNow
}
