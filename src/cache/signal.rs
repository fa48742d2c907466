//! How threads of the cache wake each other: a worker's alarm, and the sync that writers wait for.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// Wakes a worker thread, or tells it to stop.
#[derive(Default)]
pub(super) struct WakeUp {
    state: Mutex<Wake>,
    changed: Condvar,
}

#[derive(Default)]
struct Wake {
    rung: bool,
    stopped: bool,
}

impl WakeUp {
    /// Wakes the worker.
    pub(super) fn ring(&self) {
        let mut state = self.state.lock();
        if !state.rung {
            state.rung = true;
            self.changed.notify_all();
        }
    }

    /// Tells the worker to stop.
    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    /// True once the worker is to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Sleeps until woken, or for `at_most`. False when the worker is to stop.
    pub(super) fn sleep(&self, at_most: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.rung && !state.stopped {
            self.changed.wait_for(&mut state, at_most);
        }
        state.rung = false;
        !state.stopped
    }
}

/// The syncs of all lanes of a store.
pub(super) struct Syncs(Vec<SyncSignal>);

impl Syncs {
    pub(super) fn new(lanes: usize) -> Self {
        Self((0..lanes).map(|_| SyncSignal::default()).collect())
    }

    pub(super) fn of_lane(&self, lane: usize) -> &SyncSignal {
        &self.0[lane]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SyncSignal> {
        self.0.iter()
    }

    /// Waits for a sync of each lane that begins after this call.
    ///
    /// # Errors
    /// What one of them failed with.
    pub(super) async fn wait_for_all(&self) -> io::Result<()> {
        // Asked for before the first is waited for: they run at the same time.
        let asked: Vec<_> = self.0.iter().map(SyncSignal::ask).collect();
        let mut result = Ok(());
        for request in asked {
            result = result.and(request.wait().await);
        }
        result
    }
}

/// Joins writers that wait for durability into one sync.
pub(super) struct SyncSignal {
    /// Rung when a writer waits.
    pub(super) wake: WakeUp,
    requested: Mutex<u64>,
    /// One sync at a time: a second one would find nothing left to do and promise too early.
    running: Mutex<()>,
    done: watch::Sender<Done>,
}

/// The newest request that a sync has covered, and what came of it.
#[derive(Clone, Default)]
struct Done {
    covered: u64,
    /// The requests that the last failed sync covered, or several that failed in a row. Kept, because whoever waited for
    /// it may look only after a later one went well: that one says nothing of data that the kernel gave up on.
    failed: Option<(RangeInclusive<u64>, io::ErrorKind)>,
}

/// A writer's wish for a sync that begins after it.
struct Request {
    number: u64,
    done: watch::Receiver<Done>,
}

impl Request {
    async fn wait(mut self) -> io::Result<()> {
        match self.done.wait_for(|done| done.covered >= self.number).await {
            Ok(done) => done.result(self.number),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Done {
    fn after(&self, covered: u64, failure: Option<io::ErrorKind>) -> Self {
        let failed = match (failure, &self.failed) {
            (None, before) => before.clone(),
            (Some(kind), Some((range, _))) if *range.end() == self.covered => {
                Some((*range.start()..=covered, kind))
            }
            (Some(kind), _) => Some((self.covered + 1..=covered, kind)),
        };
        Self { covered, failed }
    }

    fn result(&self, request: u64) -> io::Result<()> {
        match &self.failed {
            Some((range, kind)) if range.contains(&request) => Err((*kind).into()),
            _ => Ok(()),
        }
    }
}

impl Default for SyncSignal {
    fn default() -> Self {
        Self {
            wake: WakeUp::default(),
            requested: Mutex::new(0),
            running: Mutex::new(()),
            done: watch::Sender::new(Done::default()),
        }
    }
}

impl SyncSignal {
    /// Waits for a sync that begins after this call.
    ///
    /// # Errors
    /// What that sync failed with.
    pub(super) async fn wait_for_next(&self) -> io::Result<()> {
        self.ask().wait().await
    }

    fn ask(&self) -> Request {
        let done = self.done.subscribe();
        let number = {
            let mut requested = self.requested.lock();
            *requested += 1;
            *requested
        };
        self.wake.ring();
        Request { number, done }
    }

    /// Runs one sync for everybody who waits now.
    pub(super) fn run(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let _one_at_a_time = self.running.lock();
        let covered = *self.requested.lock();
        let result = sync();
        let failure = result.as_ref().err().map(io::Error::kind);
        self.done.send_modify(|done| *done = done.after(covered, failure));
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn writers_that_wait_together_share_one_sync() {
        let signal = Arc::new(SyncSignal::default());
        let syncs = AtomicU64::new(0);
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let signal = Arc::clone(&signal);
                tokio::spawn(async move { signal.wait_for_next().await })
            })
            .collect();
        // All of them have asked before the one sync begins.
        while *signal.requested.lock() < 100 {
            tokio::task::yield_now().await;
        }
        let sync = || {
            syncs.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        signal.run(sync).unwrap();
        for writer in waiting {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(syncs.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_waits_for_all_lanes_asks_all_at_once_and_hears_of_each() {
        let syncs = Syncs::new(2);
        let mut wait = std::pin::pin!(syncs.wait_for_all());
        assert!(poll_once(wait.as_mut()).is_none());
        // The second lane is through before the first, whose failure counts all the same.
        syncs.of_lane(1).run(|| Ok(())).unwrap();
        assert!(poll_once(wait.as_mut()).is_none());
        assert!(syncs.of_lane(0).run(|| Err(io::ErrorKind::StorageFull.into())).is_err());
        assert_eq!(poll_once(wait.as_mut()).unwrap().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[tokio::test]
    async fn a_sync_that_began_before_is_not_enough() {
        let signal = SyncSignal::default();
        let mut wait = std::pin::pin!(None);
        signal
            .run(|| {
                // The writer asks while the sync is under way: it may have passed the writer's file by.
                wait.set(Some(signal.wait_for_next()));
                let mut asked = wait.as_mut().as_pin_mut().unwrap();
                assert!(poll_once(asked.as_mut()).is_none());
                Ok(())
            })
            .unwrap();
        assert!(
            poll_once(wait.as_mut().as_pin_mut().unwrap()).is_none(),
            "released by a sync that began before"
        );
        signal.run(|| Ok(())).unwrap();
        assert!(matches!(poll_once(wait.as_mut().as_pin_mut().unwrap()), Some(Ok(()))));
    }

    #[tokio::test]
    async fn a_sync_that_fails_fails_those_who_waited_for_it() {
        let signal = SyncSignal::default();
        let mut wait = std::pin::pin!(signal.wait_for_next());
        assert!(poll_once(wait.as_mut()).is_none());
        assert!(signal.run(|| Err(io::ErrorKind::StorageFull.into())).is_err());
        assert_eq!(wait.await.unwrap_err().kind(), io::ErrorKind::StorageFull);
        let mut next = std::pin::pin!(signal.wait_for_next());
        assert!(poll_once(next.as_mut()).is_none());
        signal.run(|| Ok(())).unwrap();
        next.await.unwrap();
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn whoever_waited_for_a_failed_sync_is_told_even_after_a_good_one() {
        let signal = SyncSignal::default();
        let mut first = Box::pin(signal.wait_for_next());
        let mut poll = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(first.as_mut().poll(&mut poll).is_pending());
        assert!(signal.run(|| Err(io::ErrorKind::StorageFull.into())).is_err());
        let mut second = Box::pin(signal.wait_for_next());
        assert!(second.as_mut().poll(&mut poll).is_pending());
        signal.run(|| Ok(())).unwrap();

        let told = |polled: std::task::Poll<io::Result<()>>| match polled {
            std::task::Poll::Ready(result) => result.map_err(|error| error.kind()),
            std::task::Poll::Pending => panic!("still waiting"),
        };
        assert_eq!(told(first.as_mut().poll(&mut poll)), Err(io::ErrorKind::StorageFull));
        assert_eq!(told(second.as_mut().poll(&mut poll)), Ok(()));
    }

    #[test]
    fn failures_in_a_row_are_all_remembered() {
        let kind = io::ErrorKind::StorageFull;
        let done =
            Done::default().after(2, Some(kind)).after(2, Some(kind)).after(5, Some(kind)).after(7, None);
        let fails = |request| done.result(request).is_err();
        assert!(fails(1) && fails(2) && fails(5) && !fails(6) && !fails(7));
    }
}
