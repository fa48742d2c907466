//! How much of a processor a thread behind the requests may take: little while the rest of the server works, half of one otherwise.
//!
//! Owns the measure. It asks the system what the other threads of this process took, so that requests pay nothing for being
//! counted. Knows no requests and no index.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Of a thread's time, one part in so many may be work while the rest of the server is busy.
const BUSY_SHARE: u32 = 10;
/// The same while it is not.
const IDLE_SHARE: u32 = 2;
/// The rest of the server is busy when it takes more than one part in so many of a processor: ten thousand hits of 1 KB a second,
/// of which a build makes a few hundred.
const BUSY_PART: u32 = 10;
/// Longest rest: whoever waits for the thread, be it for the server to stop, does not wait ten times as long as for a slow disk.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// When a thread looked last, and what the others had taken by then.
pub(super) struct Throttle {
    looked: Instant,
    others: Duration,
}

impl Throttle {
    /// To be made by the thread that is to be held back.
    pub(super) fn begin() -> Self {
        Self { looked: Instant::now(), others: time_of_others() }
    }

    /// Sleeps as long as is right after so much work, by what the other threads did since the last call.
    pub(super) fn rest(&mut self, worked: Duration) {
        let now = Self::begin();
        let share = share(now.others.saturating_sub(self.others), now.looked - self.looked);
        *self = now;
        std::thread::sleep(length(worked, share));
    }
}

fn share(others: Duration, passed: Duration) -> u32 {
    if others * BUSY_PART > passed { BUSY_SHARE } else { IDLE_SHARE }
}

fn length(worked: Duration, share: u32) -> Duration {
    (worked * (share - 1)).min(LONGEST_REST)
}

/// Processor time that all threads but this one have taken, those that ended included.
fn time_of_others() -> Duration {
    let taken = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    taken(ClockId::ProcessCPUTime).saturating_sub(taken(ClockId::ThreadCPUTime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_take_decides_how_much_is_left() {
        let second = Duration::from_secs(1);
        assert_eq!(share(Duration::ZERO, second), IDLE_SHARE);
        assert_eq!(share(second / BUSY_PART, second), IDLE_SHARE);
        assert_eq!(share(second / 5, second), BUSY_SHARE);
        assert_eq!(share(2 * second, second), BUSY_SHARE);
        let work = Duration::from_millis(2);
        assert_eq!((length(work, BUSY_SHARE), length(work, IDLE_SHARE)), (9 * work, work));
        assert_eq!(length(second, BUSY_SHARE), LONGEST_REST);
    }

    #[test]
    fn what_other_threads_took_is_seen() {
        let taken = |clock| Duration::try_from(clock_gettime(clock)).unwrap();
        let much = Duration::from_millis(50);
        let before = time_of_others();
        std::thread::spawn(move || while taken(ClockId::ThreadCPUTime) < much {}).join().unwrap();
        assert!(time_of_others() - before >= much);
    }
}
