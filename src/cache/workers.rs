//! The threads that work behind the requests: sync and space, eviction and expiry, index, and tidying.
//!
//! Each is a loop over one task with an alarm of its own. A task that fails is counted, told, and tried again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::expiry::Schedule;
use super::indexer::SharedIndexer;
use super::signal::WakeUp;
use super::state::{State, gauge};
use super::{compaction, evict, loader, scrub};

/// Between two syncs with `durability = "periodic"`, and between two rounds of the index.
const ROUND: Duration = Duration::from_secs(1);
/// Between two looks for thin segments.
const TIDY_ROUND: Duration = Duration::from_secs(10);
/// Between two writes of the order of use.
const RECENCY_ROUND: Duration = Duration::from_secs(30);
/// Between two tries to have the index on disk again.
const RETRY_ROUND: Duration = Duration::from_secs(60);

/// The running threads of a cache.
pub(super) struct Workers {
    state: Arc<State>,
    indexer: Arc<SharedIndexer>,
    index_wake: Arc<WakeUp>,
    tidy_wake: Arc<WakeUp>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    finished: AtomicBool,
}

impl Workers {
    /// Starts the threads; one of them loads what was stored before.
    pub(super) fn start(state: &Arc<State>) -> io::Result<Self> {
        let workers = Self {
            state: Arc::clone(state),
            indexer: Arc::new(SharedIndexer::new(Arc::clone(state))),
            index_wake: Arc::default(),
            tidy_wake: Arc::default(),
            threads: Mutex::default(),
            finished: AtomicBool::new(false),
        };
        if state.store.segments().is_empty() {
            // A new cache has nothing to load; its first client need not wait for the index to open.
            loader::set_ready(state);
        }
        for lane in 0..state.store.lanes() {
            let shared = Arc::clone(state);
            workers.spawn(&format!("larder-sync-{lane}"), move || sync_loop(&shared, lane))?;
        }
        let shared = Arc::clone(state);
        workers.spawn("larder-evict", move || evict_loop(&shared))?;
        let (shared, indexer, wake) =
            (Arc::clone(state), Arc::clone(&workers.indexer), Arc::clone(&workers.index_wake));
        workers.spawn("larder-index", move || index_loop(&shared, &indexer, &wake))?;
        let (shared, wake) = (Arc::clone(state), Arc::clone(&workers.tidy_wake));
        workers.spawn("larder-tidy", move || tidy_loop(&shared, &wake))?;
        Ok(workers)
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// The indexer, for listings that must see everything.
    pub(super) fn indexer(&self) -> &Arc<SharedIndexer> {
        &self.indexer
    }

    /// Stops the threads and makes everything durable.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn stop(&self) -> io::Result<()> {
        self.halt();
        if self.finished.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.state.store.seal_all();
        self.state.sync_all()?;
        self.state.store.reclaim()?;
        if self.state.is_ready() {
            self.indexer.finish();
        }
        Ok(())
    }

    /// Stops the threads, as a crash would: nothing is flushed.
    fn halt(&self) {
        if let Some(tier) = &self.state.tier {
            tier.halt();
        }
        let syncs = self.state.syncs.iter().map(|sync| &sync.wake);
        for wake in syncs.chain([&self.state.evict, &*self.index_wake, &*self.tidy_wake]) {
            wake.stop();
        }
        for thread in self.threads.lock().drain(..) {
            // A panic was logged by the panic hook when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Makes a lane durable, over and over. The first lane's thread also keeps the books, once a round: with
/// `durability = "commit"` there are hundreds of syncs a second.
fn sync_loop(state: &State, lane: usize) {
    let mut kept = None;
    loop {
        report(state, "sync", state.sync_lane(lane));
        if lane == 0 && kept.is_none_or(|kept: Instant| kept.elapsed() >= ROUND / 2) {
            keep_books(state);
            kept = Some(Instant::now());
        }
        if !state.syncs.of_lane(lane).wake.sleep(ROUND) {
            return;
        }
    }
}

/// Frees what is dead, and looks at how much room there is.
fn keep_books(state: &State) {
    report(state, "write", state.store.reclaim());
    match rustix::fs::statvfs(state.directory.path()) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            state.budget.set_free_disk(free);
            state.metrics.free_disk_bytes.set(gauge(free));
        }
        Err(error) => report(state, "read", Err(error.into())),
    }
    state.update_gauges();
    if state.budget.committed() > state.budget.high_mark() {
        state.evict.ring();
    }
}

fn evict_loop(state: &State) {
    let mut schedule = Schedule::default();
    while state.evict.sleep(ROUND) {
        // First what nobody may find any more, then what somebody might.
        report(state, "write", schedule.work(state));
        report(state, "write", evict::keep_ahead(state));
    }
}

fn index_loop(state: &State, indexer: &SharedIndexer, wake: &WakeUp) {
    loader::load(state, indexer);
    let (mut saved, mut tried) = (Instant::now(), Instant::now());
    while wake.sleep(ROUND) {
        if !state.index_on_disk.load(Ordering::Acquire) && tried.elapsed() >= RETRY_ROUND {
            indexer.retry_disk();
            tried = Instant::now();
        }
        indexer.work(wake);
        if saved.elapsed() >= RECENCY_ROUND {
            indexer.save_recency();
            saved = Instant::now();
        }
    }
}

fn tidy_loop(state: &State, wake: &WakeUp) {
    let mut scrubs = scrub::Schedule::default();
    while wake.sleep(TIDY_ROUND) {
        if !state.is_ready() {
            continue;
        }
        scrubs.work(state, wake);
        report(state, "write", compaction::compact_some(state, wake));
    }
}

fn report(state: &State, operation: &str, result: io::Result<()>) {
    if let Err(error) = result {
        state.metrics.store_errors.with_label_values(&[operation]).inc();
        tracing::error!(operation, %error, "the store failed in the background");
    }
}
