//! Judges a client's pace: from what was noted on its connection, until when it may go on like this.
//!
//! Pure: it is given the time and reads no clock, owns no timer and closes nothing.
//!
//! hyper has a time-out for heads of its own, but it also runs between requests and would close idle connections
//! after seconds, while a client like sccache keeps one for the whole build.

use std::time::{Duration, Instant};

use super::Limits;
use super::watch::Reading;

/// Bytes that must move for it to count as progress: a byte now and then holds memory and slots just as well
/// as none.
const PROGRESS_BYTES: u64 = 4 << 10;

/// What the client was too slow with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overdue {
    /// The next request did not come.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a request's body.
    Upload,
    /// Taking the answer.
    Download,
}

/// The judge of one connection.
pub(super) struct Pace {
    header_timeout: Duration,
    body_timeout: Duration,
    idle_timeout: Duration,
    last: Reading,
    idle_since: Instant,
    head_since: Option<Instant>,
    upload: Patience,
    download: Patience,
}

impl Pace {
    /// A judge of a connection that was accepted at `now`. One above the limit gets no more time between requests
    /// than for a head.
    pub(super) fn new(limits: &Limits, surplus: bool, now: Instant) -> Self {
        let idle_timeout =
            if surplus { limits.idle_timeout.min(limits.header_timeout) } else { limits.idle_timeout };
        Self {
            header_timeout: limits.header_timeout,
            body_timeout: limits.body_timeout,
            idle_timeout,
            last: Reading::default(),
            idle_since: now,
            head_since: None,
            upload: Patience::default(),
            download: Patience::default(),
        }
    }

    /// The client was asked to leave at `now`: once it is idle, it has no more time than for a head.
    pub(super) fn leave(&mut self, now: Instant) {
        self.idle_timeout = self.idle_timeout.min(self.header_timeout);
        self.idle_since = now;
    }

    /// When patience ends, and with what, if nothing moves until then. `None`: the server is at work, and its
    /// client has nothing to do but wait.
    pub(super) fn deadline(&mut self, reading: &Reading, now: Instant) -> Option<(Instant, Overdue)> {
        if reading.requests != self.last.requests {
            (self.head_since, self.idle_since) = (None, now);
            self.upload.reset(reading.received);
        }
        if reading.busy || reading.in_head || reading.write_blocked || self.last.write_blocked {
            self.idle_since = now;
        }
        self.head_since = reading.in_head.then(|| self.head_since.unwrap_or(now));
        self.upload.update(reading.upload_waits, reading.received, now);
        if reading.write_blocked {
            self.download.update(true, reading.sent, now);
        } else {
            self.download.reset(reading.sent);
        }
        self.last = *reading;

        let head = self.head_since.map(|since| (since + self.header_timeout, Overdue::Head));
        let upload = self.upload.end(self.body_timeout).map(|end| (end, Overdue::Upload));
        let download = self.download.end(self.body_timeout).map(|end| (end, Overdue::Download));
        let waits = [head, upload, download].into_iter().flatten().min_by_key(|(end, _)| *end);
        let idle = (!reading.busy).then(|| (self.idle_since + self.idle_timeout, Overdue::Idle));
        waits.or(idle)
    }
}

/// Time spent waiting for the client since the last progress. Time that the server takes does not count.
#[derive(Default)]
struct Patience {
    spent: Duration,
    since: Option<Instant>,
    mark: u64,
}

impl Patience {
    fn update(&mut self, waiting: bool, total: u64, now: Instant) {
        if total - self.mark >= PROGRESS_BYTES {
            self.reset(total);
        }
        if waiting {
            self.since.get_or_insert(now);
        } else if let Some(since) = self.since.take() {
            self.spent += now.saturating_duration_since(since);
        }
    }

    fn reset(&mut self, total: u64) {
        *self = Self { spent: Duration::ZERO, since: None, mark: total };
    }

    fn end(&self, timeout: Duration) -> Option<Instant> {
        self.since.map(|since| since + timeout.saturating_sub(self.spent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits {
            max_connections: 1,
            header_timeout: 10 * SECOND,
            body_timeout: 30 * SECOND,
            idle_timeout: 300 * SECOND,
            drain_timeout: SECOND,
        }
    }

    /// Feeds `readings`, each with its second, to one judge; the last verdict, in seconds.
    fn verdict(readings: &[(u32, Reading)]) -> Option<(u64, Overdue)> {
        let start = Instant::now();
        let mut pace = Pace::new(&limits(), false, start);
        let mut last = None;
        for (second, reading) in readings {
            last = pace.deadline(reading, start + *second * SECOND);
        }
        last.map(|(end, overdue)| ((end - start).as_secs(), overdue))
    }

    #[test]
    fn a_quiet_connection_is_kept_for_the_idle_time() {
        assert_eq!(verdict(&[(0, Reading::default())]), Some((300, Overdue::Idle)));
        let after_a_request = Reading { requests: 1, received: 80, sent: 90, ..Reading::default() };
        assert_eq!(verdict(&[(0, Reading::default()), (200, after_a_request)]), Some((500, Overdue::Idle)));
        // Waking up for no reason does not prolong it.
        assert_eq!(
            verdict(&[(0, Reading::default()), (200, Reading::default())]),
            Some((300, Overdue::Idle))
        );
    }

    #[test]
    fn a_surplus_connection_has_no_more_than_the_time_for_a_head() {
        let start = Instant::now();
        let end = Pace::new(&limits(), true, start).deadline(&Reading::default(), start);
        assert_eq!(end, Some((start + 10 * SECOND, Overdue::Idle)));
    }

    #[test]
    fn a_head_has_its_time_as_a_whole() {
        let some = Reading { in_head: true, received: 5, ..Reading::default() };
        let more = Reading { received: 9000, ..some };
        assert_eq!(verdict(&[(0, some), (9, more)]), Some((10, Overdue::Head)));
        // The next head starts anew.
        let next = Reading { requests: 1, ..more };
        assert_eq!(verdict(&[(0, some), (9, next)]), Some((19, Overdue::Head)));
    }

    #[test]
    fn an_upload_is_given_up_without_progress() {
        let waits =
            Reading { busy: true, requests: 1, upload_waits: true, received: 100, ..Reading::default() };
        let trickle = Reading { received: 110, ..waits };
        let progress = Reading { received: 100 + PROGRESS_BYTES, ..waits };
        assert_eq!(verdict(&[(0, waits)]), Some((30, Overdue::Upload)));
        assert_eq!(verdict(&[(0, waits), (20, trickle)]), Some((30, Overdue::Upload)));
        assert_eq!(verdict(&[(0, waits), (20, progress)]), Some((50, Overdue::Upload)));
    }

    #[test]
    fn the_servers_own_time_is_not_the_clients() {
        let waits = Reading { busy: true, requests: 1, upload_waits: true, ..Reading::default() };
        let works = Reading { upload_waits: false, ..waits };
        assert_eq!(verdict(&[(0, works)]), None);
        assert_eq!(verdict(&[(0, waits), (10, works)]), None);
        assert_eq!(verdict(&[(0, waits), (10, works), (100, waits)]), Some((120, Overdue::Upload)));
    }

    #[test]
    fn a_reader_that_stops_is_given_up_even_when_the_answer_is_handed_over() {
        let blocked = Reading { requests: 1, write_blocked: true, sent: 70_000, ..Reading::default() };
        let trickle = Reading { sent: 70_001, ..blocked };
        let progress = Reading { sent: 80_000, ..blocked };
        assert_eq!(verdict(&[(0, blocked), (20, trickle)]), Some((30, Overdue::Download)));
        assert_eq!(verdict(&[(0, blocked), (20, progress)]), Some((50, Overdue::Download)));
        let done = Reading { write_blocked: false, ..progress };
        assert_eq!(verdict(&[(0, blocked), (20, done)]), Some((320, Overdue::Idle)));
    }
}
