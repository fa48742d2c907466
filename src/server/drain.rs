//! Counts the open connections and tells them when to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use prometheus::IntGauge;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// What connections are to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stage {
    /// Serve.
    Serving,
    /// Finish the request under way, then close.
    Finishing,
    /// Close.
    Closing,
}

/// The server's end of it.
#[derive(Default)]
pub(super) struct Drain(Arc<Shared>);

#[derive(Default)]
struct Shared {
    open: AtomicUsize,
    stage: AtomicU8,
    stage_changed: Arc<Notify>,
    one_left: Notify,
}

/// A connection's end of it; the connection counts as open until this is dropped.
pub(super) struct Entry {
    shared: Arc<Shared>,
    gauge: IntGauge,
}

impl Drain {
    /// Counts a connection in.
    pub(super) fn join(&self, gauge: &IntGauge) -> Entry {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        gauge.inc();
        Entry { shared: Arc::clone(&self.0), gauge: gauge.clone() }
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Tells all connections.
    pub(super) fn enter(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Release);
        self.0.stage_changed.notify_waiters();
    }

    /// Completes when no connection is open. No new ones may join meanwhile.
    pub(super) async fn emptied(&self) {
        while self.open() > 0 {
            // A permit is kept for a connection that leaves between the look and the wait.
            self.0.one_left.notified().await;
        }
    }
}

impl Entry {
    /// What to do now. One load: cheap enough to ask at every wake-up.
    pub(super) fn stage(&self) -> Stage {
        match self.shared.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Finishing,
            _ => Stage::Closing,
        }
    }

    /// Completes at the next change of stage; counts from this call on, not from its first poll.
    pub(super) fn stage_change(&self) -> OwnedNotified {
        Arc::clone(&self.shared.stage_changed).notified_owned()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.gauge.dec();
        self.shared.open.fetch_sub(1, Ordering::Release);
        self.shared.one_left.notify_one();
    }
}
