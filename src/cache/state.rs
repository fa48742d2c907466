//! What all parts of a cache share, and the small steps that several of them take.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;

use super::CacheOptions;
use super::budget::Budget;
use super::directory::DataDirectory;
use super::flight::{BufferPool, FlightBudget};
use super::signal::{Syncs, WakeUp};
use super::spaces::Spaces;
use super::tier::Tier;
use crate::analytics::{self, Evictions};
use crate::blobs::{Location, Pin, SegmentStore, record, replay};
use crate::config::Durability;
use crate::index::sled::care::directory_bytes;
use crate::index::table::{NameHash, Slot};
use crate::index::{Clock, Index, Table};
use crate::metrics::Metrics;
use crate::object::ObjectInfo;

/// A body in the memory tier.
#[derive(Clone)]
pub(super) struct HotObject {
    pub(super) info: ObjectInfo,
    pub(super) body: Bytes,
}

/// Weighs an object in the memory tier by its bytes.
#[derive(Clone)]
pub(super) struct ByBytes;

impl Weighter<u64, HotObject> for ByBytes {
    fn weight(&self, _: &u64, object: &HotObject) -> u64 {
        object.body.len() as u64 + 128
    }
}

/// The memory tier: by sequence number, so that an overwritten object is never found in it.
pub(super) type MemoryTier = quick_cache::sync::Cache<u64, HotObject, ByBytes>;

/// What all parts of a cache share.
pub(super) struct State {
    pub(super) options: CacheOptions,
    pub(super) store: SegmentStore,
    pub(super) spaces: Spaces,
    pub(super) clock: Clock,
    pub(super) table: Table,
    /// Replaced as a whole when an engine fails.
    pub(super) index: RwLock<Arc<dyn Index>>,
    pub(super) index_on_disk: AtomicBool,
    pub(super) budget: Budget,
    pub(super) flight: FlightBudget,
    pub(super) buffers: BufferPool,
    pub(super) memory_tier: MemoryTier,
    /// The bucket behind the disk, where there is one.
    pub(super) tier: Option<Arc<Tier>>,
    pub(super) metrics: Metrics,
    pub(super) evictions: Evictions,
    pub(super) ready: AtomicBool,
    /// True once the segments' blocks were compared with the table, behind the requests.
    pub(super) reconciled: AtomicBool,
    /// Sequence numbers of records that died and that the index may still have.
    pub(super) dead: Mutex<Vec<u64>>,
    /// Of each of the store's lanes.
    pub(super) syncs: Syncs,
    pub(super) evict: WakeUp,
    /// One eviction at a time: two would each evict for the same bytes.
    pub(super) evicting: Mutex<()>,
    /// Segments from this number on are this process's own.
    pub(super) first_own_segment: u32,
    sequence: AtomicU64,
    started: Instant,
    slow_until_ms: AtomicU64,
    /// Last, so that its lock goes when all else is closed: fields are dropped in this order.
    pub(super) directory: DataDirectory,
}

/// An append slower than this is a disk that makes writers wait: for some times as long none is done on a request's thread. On a
/// machine with two busy cores many take 4 ms, because something else runs meanwhile, and the way to another thread and back costs
/// more than storing 1 KB.
const SLOW_APPEND: Duration = Duration::from_millis(10);
const SLOW_PAUSES: u32 = 10;

impl State {
    pub(super) fn new(
        options: CacheOptions,
        directory: DataDirectory,
        store: SegmentStore,
        index: Arc<dyn Index>,
        tier: Option<Arc<Tier>>,
        metrics: Metrics,
    ) -> Self {
        let budget =
            Budget::new(options.capacity, options.min_free_disk, options.segment_size(), store.clone());
        // Segment numbers only grow, so numbers that start from the next one are above any that was ever used; 36 bits
        // below it last for 68 thousand million writes by one process.
        let first_own_segment = store.next_segment_id();
        let first_sequence = u64::from(first_own_segment) << 36;
        let objects = usize::try_from(options.memory_tier / (16 << 10)).unwrap_or(usize::MAX).max(16);
        metrics.capacity_bytes.set(gauge(options.capacity));
        metrics.min_free_disk_bytes.set(gauge(options.min_free_disk));
        let (spaces, clock) = (Spaces::new(&options), options.clock.clone());
        for (_, rules) in spaces.all() {
            let quota = rules.quota.unwrap_or(options.capacity);
            metrics.namespace_quota_bytes.with_label_values(&[&rules.label]).set(gauge(quota));
        }
        Self {
            budget,
            flight: FlightBudget::new(options.memory_budget),
            buffers: BufferPool::default(),
            memory_tier: MemoryTier::with_weighter(objects, options.memory_tier, ByBytes),
            table: Table::new(spaces.count(), clock.clone()),
            spaces,
            clock,
            index: RwLock::new(index),
            index_on_disk: AtomicBool::new(false),
            evictions: Evictions::default(),
            ready: AtomicBool::new(false),
            reconciled: AtomicBool::new(false),
            dead: Mutex::default(),
            syncs: Syncs::new(store.lanes()),
            evict: WakeUp::default(),
            evicting: Mutex::new(()),
            first_own_segment,
            sequence: AtomicU64::new(first_sequence),
            started: Instant::now(),
            slow_until_ms: AtomicU64::new(0),
            options,
            directory,
            store,
            tier,
            metrics,
        }
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// The number that is drawn next, unless somebody is quicker.
    pub(super) fn upcoming_sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(super) fn index(&self) -> Arc<dyn Index> {
        Arc::clone(&self.index.read())
    }

    /// Lets go of an object that the table no longer has, and of the versions before it: with the newest one gone, a start
    /// after a crash must not take one of those for the current one.
    pub(super) fn forget(&self, gone: &Slot) {
        self.kill_replaced(gone.hash);
        self.dead.lock().push(gone.sequence);
        self.store.release(gone.location, gone.hash.number());
    }

    /// Lets go of a record that a newer one of the same object replaces, at `by`; to be followed by [`State::mark_replaced`].
    pub(super) fn release_replaced(&self, old: &Slot, by: &Location) {
        match self.options.durability {
            Durability::Periodic => self.store.release(old.location, old.hash.number()),
            // The newer one is not durable yet; the sync that makes it so kills the older one.
            Durability::Commit => self.store.release_replaced(old.location, old.hash.number(), by),
        }
    }

    /// Makes a replaced record unreadable before the newer one is acknowledged: otherwise it could come back after a crash,
    /// once the newer one is deleted, evicted or damaged.
    pub(super) fn mark_replaced(&self, old: &Slot) {
        self.dead.lock().push(old.sequence);
        // With `commit` that is the sync's work, unless the newer one is gone already.
        if self.options.durability == Durability::Periodic || self.table.peek(old.hash, |_| ()).is_none() {
            self.kill_replaced(old.hash);
        }
    }

    fn kill_replaced(&self, hash: NameHash) {
        if let Err(error) = self.store.kill_replaced(hash.number()) {
            self.kill_failed(&error);
        }
    }

    /// Where a record cannot be made unreadable it is still freed; only a crash before that brings it back.
    fn kill_failed(&self, error: &io::Error) {
        self.metrics.store_errors.with_label_values(&["write"]).inc();
        tracing::warn!(%error, "a dead record could not be marked as such");
    }

    /// Drops a record that turned out to be damaged. Nothing happens when it was removed or moved in the meantime: then
    /// it was not damaged but gone.
    pub(super) fn drop_damaged(&self, slot: &Slot, what: &str) {
        if self.table.remove_record(slot) {
            let Location { segment, block, .. } = slot.location;
            tracing::warn!(segment, block, sequence = slot.sequence, what, "damaged record dropped");
            self.metrics.damaged.inc();
            // So that the next start does not find it and count it again, should it come before the blocks are freed.
            if let Err(error) = self.store.kill(&slot.location) {
                self.kill_failed(&error);
            }
            self.forget(slot);
        }
    }

    /// Drops a record that cannot be read because of its header: deleted, and perhaps freed, right before the process
    /// died, where the index on disk was not told any more; or else damaged.
    pub(super) fn drop_unreadable(&self, slot: &Slot, pin: &Pin, header: &[u8]) {
        let freed = || pin.file().and_then(|file| replay::is_hole(file, slot.location.offset()));
        if record::is_dead(header) || freed().unwrap_or(false) {
            self.drop_dead(slot);
        } else {
            self.drop_damaged(slot, "header");
        }
    }

    /// Drops a record unless it was removed or moved in the meantime. True when it was dropped.
    pub(super) fn drop_dead(&self, slot: &Slot) -> bool {
        let removed = self.table.remove_record(slot);
        if removed {
            self.forget(slot);
        }
        removed
    }

    /// True when the object's time is over; it is dropped then.
    pub(super) fn drop_if_expired(&self, slot: &Slot) -> bool {
        let expired = self.spaces.is_expired(slot, || self.clock.now_ms());
        if expired && self.drop_dead(slot) {
            self.count_eviction(slot, "expired");
        }
        expired
    }

    /// Drops a record that was not used since it was looked at, for this reason.
    pub(super) fn drop_unused(&self, slot: &Slot, reason: &str) {
        if self.table.remove_unused(slot) {
            self.count_eviction(slot, reason);
            self.forget(slot);
        }
    }

    /// Counts an object that goes without anybody having asked for it.
    pub(super) fn count_eviction(&self, slot: &Slot, reason: &str) {
        self.metrics.evictions.with_label_values(&[reason]).inc();
        let bytes = slot.location.disk_len();
        self.metrics.evicted_bytes.with_label_values(&[reason]).inc_by(bytes);
        // Quotas and times to live say nothing about the size of the cache.
        if matches!(reason, "capacity" | "min_free_disk" | "disk_full") {
            let age = Duration::from_micros(self.clock.now_us().saturating_sub(slot.used_us));
            self.evictions.note_eviction(bytes, slot.hits, age);
            if slot.hits == 0 {
                self.metrics.evicted_unread_bytes.inc_by(bytes);
            }
        }
    }

    /// Waits until everything written so far is durable, where the configuration asks for that; of a new object's record, `alone`,
    /// only the lane that has it.
    ///
    /// # Errors
    /// The sync's.
    pub(super) async fn committed(&self, alone: Option<Location>) -> io::Result<()> {
        match (self.options.durability, alone) {
            (Durability::Periodic, _) => Ok(()),
            (Durability::Commit, Some(at)) => {
                self.syncs.of_lane(self.store.lane_of(&at)).wait_for_next().await
            }
            (Durability::Commit, None) => self.syncs.wait_for_all().await,
        }
    }

    /// Makes a lane durable, for everybody who waits for that now.
    pub(super) fn sync_lane(&self, lane: usize) -> io::Result<()> {
        self.syncs.of_lane(lane).run(|| self.store.sync_lane(lane))
    }

    /// Makes all of them durable. Where one fails the others are synced all the same.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        (0..self.store.lanes()).map(|lane| self.sync_lane(lane)).fold(Ok(()), io::Result::and)
    }

    /// True while appends are quick enough for a thread that serves requests.
    pub(super) fn appends_are_quick(&self) -> bool {
        self.slow_until_ms.load(Ordering::Relaxed) <= self.uptime_ms()
    }

    /// Notes how long an append took.
    pub(super) fn note_append(&self, took: Duration) {
        self.metrics.append_seconds.observe(took.as_secs_f64());
        if took > SLOW_APPEND {
            let pause = u64::try_from((took * SLOW_PAUSES).as_millis()).unwrap_or(u64::MAX);
            self.slow_until_ms.fetch_max(self.uptime_ms().saturating_add(pause), Ordering::Relaxed);
        }
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sets the gauges that describe the store.
    pub(super) fn update_gauges(&self) {
        if let Some(tier) = &self.tier {
            tier.update_gauges();
        }
        self.metrics.stored_objects.set(gauge(self.table.objects()));
        self.metrics.stored_bytes.set(gauge(self.table.bytes()));
        // What cannot be counted now is counted the next time.
        let learnt = directory_bytes(&analytics::directory(self.directory.path())).unwrap_or(0);
        self.metrics.disk_bytes.set(gauge(self.budget.used_beside(learnt)));
        let evicted = self.evictions.counts();
        for (label, share) in [("0.1", 0.1), ("0.5", 0.5), ("0.9", 0.9)] {
            let Some(age) = evicted.age_quantile(share) else { break };
            let seconds = if age == Duration::MAX { f64::INFINITY } else { age.as_secs_f64() };
            self.metrics.evicted_age.with_label_values(&[label]).set(seconds);
        }
        for (group, rules) in self.spaces.all() {
            let label = [rules.label.as_str()];
            self.metrics.namespace_objects.with_label_values(&label).set(gauge(self.table.objects_of(group)));
            let bytes = gauge(self.table.disk_bytes_of(group));
            self.metrics.namespace_disk_bytes.with_label_values(&label).set(bytes);
        }
        if let Some(tier) = &self.tier {
            tier.update_gauges();
        }
    }
}

/// A byte count as a gauge takes it.
pub(super) fn gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
