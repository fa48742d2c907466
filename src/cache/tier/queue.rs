//! What waits to be written to the bucket: in memory only, in the order of sequence numbers, bounded by bytes and by number.
//!
//! It can be lost at any time: what must be written follows from the records on disk and from the catalogue. Owns who
//! writes what, that no two touch one object at once, and up to which record everything is saved. Knows nothing of how
//! one uploads.

mod jobs;

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use self::jobs::Jobs;
use super::catalogue::Saved;
use crate::index::table::NameHash;
use crate::key::ObjectName;

/// Objects that wait at most: some 30 MB of memory.
const MOST_OBJECTS: usize = 1 << 17;

/// The queue.
pub(in crate::cache) struct Queue {
    jobs: Mutex<Jobs>,
    /// Something may be taken.
    changed: Notify,
    /// The bucket takes writes again.
    recovered: Notify,
    most_bytes: u64,
}

/// An object that is to be written to the bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cache) struct Job {
    pub(in crate::cache) name: ObjectName,
    pub(in crate::cache) hash: NameHash,
    pub(in crate::cache) sequence: u64,
    /// Found on disk, and not written just now: the bucket may have it.
    pub(in crate::cache) was_found: bool,
    /// How often it failed.
    pub(in crate::cache) tries: u32,
}

/// How much waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::cache) struct Length {
    pub(in crate::cache) objects: u64,
    pub(in crate::cache) bytes: u64,
    /// For how long the one that waits longest has waited.
    pub(in crate::cache) age: Duration,
}

/// The right to touch an object in the bucket; others wait until it is dropped.
pub(in crate::cache) struct Claim<'a> {
    queue: &'a Queue,
    hash: NameHash,
}

impl Queue {
    /// A queue of at most so many bytes of bodies. `floor`: up to where everything is saved, until a walk has found the rest.
    pub(super) fn new(most_bytes: u64, floor: Saved) -> Self {
        let jobs = Mutex::new(Jobs::new(floor));
        Self { jobs, changed: Notify::new(), recovered: Notify::new(), most_bytes }
    }

    /// Draws the number of a write and keeps a place for it, to be published or cancelled. False where there is none; the
    /// record is found by a walk then.
    pub(in crate::cache) fn begin(
        &self,
        length: u64,
        may_wait: bool,
        draw: impl FnOnce() -> u64,
    ) -> (u64, bool) {
        let mut jobs = self.jobs.lock();
        // Under the lock: nothing may count as saved up to a number that is drawn and not in yet.
        let sequence = draw();
        let is_kept = may_wait && jobs.has_room(length, self.most_bytes, MOST_OBJECTS);
        if is_kept {
            jobs.reserve(sequence, length);
        }
        (sequence, is_kept)
    }

    /// The record that has a place is published: it may be taken. An older one of the same object need not wait any more.
    pub(in crate::cache) fn publish(&self, sequence: u64, name: ObjectName, hash: NameHash) {
        self.jobs.lock().publish(sequence, name, hash);
        self.changed.notify_one();
    }

    /// The record that has a place is not published.
    pub(in crate::cache) fn cancel(&self, sequence: u64) {
        self.jobs.lock().remove(sequence);
    }

    /// A published record has no place; a walk has to find it.
    pub(in crate::cache) fn note_not_queued(&self, sequence: u64) {
        self.jobs.lock().note_not_queued(sequence);
    }

    /// Puts in a record that was found on disk; `is_unsaved`: eviction leaves it. False where the room that is left is for
    /// clients' writes.
    pub(in crate::cache) fn found(&self, job: Job, length: u64, is_unsaved: bool) -> bool {
        let mut jobs = self.jobs.lock();
        if jobs.has(job.sequence) {
            return true;
        }
        // What nobody may evict had a place before.
        let (most_bytes, most_objects) = if is_unsaved {
            (self.most_bytes, MOST_OBJECTS)
        } else {
            (self.most_bytes / 2, MOST_OBJECTS / 2)
        };
        if !jobs.has_room(length, most_bytes, most_objects) {
            return false;
        }
        jobs.found(job, length, is_unsaved);
        drop(jobs);
        self.changed.notify_one();
        true
    }

    /// The next object to write; whoever gets it gives it back by [`Queue::done`] or [`Queue::again`].
    pub(in crate::cache) async fn take(&self) -> Job {
        loop {
            let changed = self.changed.notified();
            let (job, next_due) = self.jobs.lock().take(Instant::now());
            if let Some(job) = job {
                // There may be more for others.
                self.changed.notify_one();
                return job;
            }
            match next_due {
                Some(due) => {
                    let _ = tokio::time::timeout_at(due.into(), changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// The object is written, or need not be.
    pub(in crate::cache) fn done(&self, job: &Job) {
        let mut jobs = self.jobs.lock();
        jobs.free(job.hash);
        jobs.remove(job.sequence);
        drop(jobs);
        self.changed.notify_one();
    }

    /// The object could not be written, and is tried again in a while.
    pub(in crate::cache) fn again(&self, job: &Job, pause: Duration) {
        let mut jobs = self.jobs.lock();
        jobs.free(job.hash);
        jobs.delay(job.sequence, Instant::now() + pause);
        drop(jobs);
        self.changed.notify_one();
    }

    /// The right to touch an object in the bucket. `None` while somebody else has it.
    pub(in crate::cache) fn claim(&self, hash: NameHash) -> Option<Claim<'_>> {
        self.jobs.lock().occupy(hash).then_some(Claim { queue: self, hash })
    }

    /// Waits until the first try to write the record of this number is over, where it waits at all.
    pub(in crate::cache) async fn first_try(&self, sequence: u64) {
        let (told, over) = oneshot::channel();
        if self.jobs.lock().tell(sequence, told) {
            // Nothing is sent: the other end is dropped.
            let _ = over.await;
        }
    }

    /// The bucket does not take writes: nobody need wait for one.
    pub(in crate::cache) fn bucket_failed(&self) {
        self.jobs.lock().tell_all();
    }

    /// The bucket took a write: who pauses because it did not goes on.
    pub(in crate::cache) fn bucket_is_back(&self) {
        self.recovered.notify_waiters();
    }

    /// Waits for a while, or until the bucket is back.
    pub(in crate::cache) async fn pause(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.recovered.notified()).await;
    }

    /// Most bytes that wait.
    pub(super) fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// How much waits.
    pub(in crate::cache) fn length(&self) -> Length {
        self.jobs.lock().length()
    }

    /// Up to where everything is saved; `next` gives the number that is drawn next.
    pub(in crate::cache) fn saved(&self, next: impl FnOnce() -> u64) -> Saved {
        let jobs = self.jobs.lock();
        jobs.saved(next())
    }

    /// Where a walk has to begin, once there is room; `None`: everything is known.
    pub(in crate::cache) fn begin_walk(&self) -> Option<u64> {
        let mut jobs = self.jobs.lock();
        let has_room = jobs.has_room(self.most_bytes / 4, self.most_bytes, MOST_OBJECTS / 4);
        if has_room { jobs.begin_walk() } else { None }
    }

    /// The walk has come to here.
    pub(in crate::cache) fn walk_is_at(&self, sequence: u64) {
        self.jobs.lock().walk_is_at(sequence);
    }

    /// The walk is over: everything was looked at, or it failed and has to be done again.
    pub(in crate::cache) fn end_walk(&self, is_complete: bool) {
        self.jobs.lock().end_walk(is_complete);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.queue.jobs.lock().free(self.hash);
        self.queue.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Clock, Table};
    use crate::key::{Namespace, ObjectKey};

    const FLOOR: Saved = Saved { below: u64::MAX, complete_below: u64::MAX };

    fn named(table: &Table, key: &str) -> (ObjectName, NameHash) {
        let name =
            ObjectName { namespace: Namespace::default_namespace(), key: ObjectKey::new(key).unwrap() };
        let hash = table.hash(&name);
        (name, hash)
    }

    fn put(queue: &Queue, table: &Table, key: &str, sequence: u64, length: u64) -> bool {
        let (sequence, is_kept) = queue.begin(length, true, || sequence);
        let (name, hash) = named(table, key);
        if is_kept {
            queue.publish(sequence, name, hash);
        }
        is_kept
    }

    #[tokio::test]
    async fn the_oldest_goes_first_and_only_the_newest_of_a_name() {
        let (queue, table) = (Queue::new(1000, FLOOR), Table::new(1, Clock::default()));
        assert!(put(&queue, &table, "a", 1, 10) && put(&queue, &table, "b", 2, 10));
        assert!(put(&queue, &table, "a", 3, 10));
        assert_eq!((queue.length().objects, queue.length().bytes), (2, 20));
        assert_eq!(queue.saved(|| 9).below, 2);
        let b = queue.take().await;
        assert_eq!((b.sequence, queue.saved(|| 9).below), (2, 2));
        queue.done(&b);
        assert_eq!(queue.saved(|| 9).below, 3);
        queue.done(&queue.take().await);
        assert_eq!(queue.saved(|| 9), Saved { below: 9, complete_below: 9 });
        assert_eq!(queue.length(), Length::default());
    }

    #[tokio::test]
    async fn nobody_else_touches_what_somebody_writes() {
        let (queue, table) = (Queue::new(1000, FLOOR), Table::new(1, Clock::default()));
        put(&queue, &table, "a", 1, 10);
        let first = queue.take().await;
        put(&queue, &table, "a", 2, 10);
        assert!(queue.claim(first.hash).is_none());
        assert!(tokio::time::timeout(Duration::from_millis(1), queue.take()).await.is_err());
        // A newer one waits: the older one is not tried again.
        queue.again(&first, Duration::ZERO);
        let second = queue.take().await;
        assert_eq!((second.sequence, queue.length().objects), (2, 1));
        queue.done(&second);
        let claim = queue.claim(first.hash).unwrap();
        put(&queue, &table, "a", 3, 10);
        assert!(tokio::time::timeout(Duration::from_millis(1), queue.take()).await.is_err());
        drop(claim);
        assert_eq!(queue.take().await.sequence, 3);
    }

    #[tokio::test]
    async fn what_finds_no_room_is_left_to_a_walk() {
        let (queue, table) = (Queue::new(100, FLOOR), Table::new(1, Clock::default()));
        assert!(put(&queue, &table, "large", 1, 1000), "alone it has room");
        assert!(!put(&queue, &table, "a", 2, 1));
        queue.note_not_queued(2);
        assert_eq!(queue.begin_walk(), None, "not while the queue is full");
        queue.done(&queue.take().await);
        assert_eq!(queue.saved(|| 9), Saved { below: 9, complete_below: 2 });
        assert_eq!(queue.begin_walk(), Some(2));
        assert_eq!(queue.begin_walk(), None, "one at a time");
        queue.walk_is_at(5);
        assert_eq!(queue.saved(|| 9).complete_below, 5);
        let (name, hash) = named(&table, "a");
        let job = Job { name, hash, sequence: 6, was_found: true, tries: 0 };
        assert!(queue.found(job.clone(), 40, true) && queue.found(job.clone(), 40, false));
        assert!(!queue.found(Job { sequence: 7, ..job }, 40, false), "half of it is for clients");
        queue.end_walk(true);
        assert_eq!(queue.saved(|| 9), Saved { below: 6, complete_below: 6 });
    }

    #[tokio::test]
    async fn what_failed_waits_and_who_waits_for_it_is_told() {
        let (queue, table) = (Queue::new(100, FLOOR), Table::new(1, Clock::default()));
        put(&queue, &table, "a", 1, 1);
        put(&queue, &table, "b", 2, 1);
        let job = queue.take().await;
        let waiting = queue.first_try(1);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut waiting).await.is_err());
        queue.again(&job, Duration::from_secs(3600));
        waiting.await;
        assert_eq!(queue.take().await.sequence, 2);
        assert!(tokio::time::timeout(Duration::from_millis(1), queue.take()).await.is_err());
        let waiting = queue.first_try(2);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut waiting).await.is_err());
        queue.bucket_failed();
        waiting.await;
        queue.first_try(77).await;
    }
}
