//! Ends what a client is too slow with: a handshake, a connection, one request among several on a connection.
//!
//! One timer, which is armed anew only when it has fired or must fire earlier than it would: a connection that is busy with
//! request after request sets it once in minutes. `pace` judges; this keeps the time and listens to the drain.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::futures::OwnedNotified;
use tokio::task::unconstrained;
use tokio::time::Sleep;

use super::drain::{Entry, Stage};
use super::pace::{Overdue, Pace};
use super::watch::Watch;

/// What is to be done with what is watched.
pub(super) enum Verdict {
    /// Nothing.
    Wait,
    /// Finish what is under way; said once.
    Finish,
    /// The client is too slow.
    Overdue(Overdue),
    /// The server does not wait any longer.
    Told,
}

/// Decides, whenever what is watched has to wait, whether it may.
pub(super) struct Watchdog {
    pace: Pace,
    watch: Arc<Watch>,
    entry: Arc<Entry>,
    stage: Stage,
    stage_change: Pin<Box<OwnedNotified>>,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires.
    armed: Instant,
    /// Whom the timer and the change of stage wake. They are asked again only when this changes.
    waker: Option<Waker>,
}

impl Watchdog {
    pub(super) fn new(pace: Pace, watch: Arc<Watch>, entry: Arc<Entry>) -> Self {
        // Armed at the first poll, when the first deadline is known.
        let armed = Instant::now() + Duration::from_secs(24 * 60 * 60);
        Self {
            pace,
            watch,
            stage: Stage::Serving,
            stage_change: Box::pin(entry.stage_change()),
            entry,
            timer: Box::pin(tokio::time::sleep_until(armed.into())),
            armed,
            waker: None,
        }
    }

    /// The judge, where something else than what was watched is to be judged.
    pub(super) fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    /// Forgets that it said [`Verdict::Finish`]: what is watched from now on has not heard of it.
    pub(super) fn say_finish_again(&mut self) {
        self.stage = Stage::Serving;
    }

    /// To be asked each time that what is watched has to wait.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Verdict {
        let mut register = !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        let stage = self.entry.stage();
        if stage != self.stage {
            self.stage = stage;
            self.stage_change = Box::pin(self.entry.stage_change());
            self.waker = None;
            return match stage {
                Stage::Serving | Stage::Finishing => Verdict::Finish,
                Stage::Closing => Verdict::Told,
            };
        }
        let now = Instant::now();
        let reading = self.watch.read();
        if let Some((end, overdue)) = self.pace.deadline(&reading, now) {
            if end <= now {
                return Verdict::Overdue(overdue);
            }
            if end < self.armed || self.armed <= now {
                self.arm(end);
                register = true;
            }
        } else if self.armed <= now {
            // The server is at work for long. Whatever comes next wakes this task anyway.
            self.arm(now + Duration::from_secs(60));
            register = true;
        }
        if register {
            self.waker = Some(cx.waker().clone());
            // Unconstrained: a task whose budget is used up would be put off, and this is not asked again.
            let fired = pin!(unconstrained(self.timer.as_mut())).poll(cx).is_ready();
            let told = pin!(unconstrained(self.stage_change.as_mut())).poll(cx).is_ready();
            if fired || told {
                // Between the look at clock and stage and here: look again.
                self.waker = None;
                cx.waker().wake_by_ref();
            }
        }
        Verdict::Wait
    }

    /// Polls `work` under this watchdog, which may end it. At [`Verdict::Finish`] calls `finish`, once.
    pub(super) async fn over<W: Future>(
        &mut self,
        mut work: Pin<&mut W>,
        mut finish: impl FnMut(Pin<&mut W>),
    ) -> Result<W::Output, Cut> {
        std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(output) = work.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                match self.poll(cx) {
                    Verdict::Wait => return Poll::Pending,
                    Verdict::Finish => finish(work.as_mut()),
                    Verdict::Overdue(overdue) => return Poll::Ready(Err(Cut::Overdue(overdue))),
                    Verdict::Told => return Poll::Ready(Err(Cut::Told)),
                }
            }
        })
        .await
    }

    fn arm(&mut self, end: Instant) {
        self.armed = end;
        self.timer.as_mut().reset(end.into());
    }
}

/// Why work was not polled to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// The client was too slow.
    Overdue(Overdue),
    /// The server is stopping and does not wait any longer.
    Told,
}
