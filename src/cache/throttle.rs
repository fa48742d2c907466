//! How much of a processor a thread behind the requests may take: little while the rest of the server works, half of one otherwise.
//!
//! Owns the measure. It asks the system what the other threads of this process took, so that requests pay nothing for being
//! counted. Knows no requests and no index.

use std::time::{Duration, Instant};

/// Of a thread's time, one part in so many may be work while the rest of the server is busy.
const BUSY_SHARE: u32 = 10;
/// The same while it is not.
const IDLE_SHARE: u32 = 2;
/// The rest of the server is busy when it takes more than one part in so many of a processor: ten thousand hits of 1 KB a second,
/// of which a build makes a few hundred.
const BUSY_PART: u32 = 10;
/// Between two looks, at least: the system counts in hundredths of a second.
const LOOK: Duration = Duration::from_millis(200);
/// Longest rest: whoever waits for the thread, be it for the server to stop, does not wait ten times as long as for a slow disk.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// What a thread knows of the others.
pub(super) struct Throttle {
    looked: Instant,
    /// What they had taken by then.
    others: Option<Duration>,
    share: u32,
}

impl Throttle {
    /// For one thread, which is taken for one beside others that are busy until it has seen them.
    pub(super) fn new() -> Self {
        Self { looked: Instant::now(), others: None, share: BUSY_SHARE }
    }

    /// Sleeps as long as is right after so much work.
    pub(super) fn rest(&mut self, worked: Duration) {
        let passed = self.looked.elapsed();
        if passed >= LOOK {
            let others = time_of_others();
            self.share = match (self.others, others) {
                (Some(before), Some(now)) => share(now.saturating_sub(before), passed),
                _ => BUSY_SHARE,
            };
            (self.looked, self.others) = (Instant::now(), others);
        }
        std::thread::sleep(length(worked, self.share));
    }
}

fn share(others: Duration, passed: Duration) -> u32 {
    if others * BUSY_PART > passed { BUSY_SHARE } else { IDLE_SHARE }
}

fn length(worked: Duration, share: u32) -> Duration {
    (worked * (share - 1)).min(LONGEST_REST)
}

/// Processor time that all threads but this one have taken, those that ended included. `None` where the system does not tell.
fn time_of_others() -> Option<Duration> {
    let taken = |file| time_in(&std::fs::read_to_string(file).ok()?);
    Some(taken("/proc/self/stat")?.saturating_sub(taken("/proc/thread-self/stat")?))
}

/// The processor time in a line of proc(5)'s `stat`: its fields 14 and 15, in user mode and in the kernel. They count hundredths of a
/// second wherever Rust has a standard library. A program's name, the second field, may have blanks and parentheses.
fn time_in(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((next()? + next()?) * 10))
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
    fn the_time_is_found_behind_whatever_name() {
        let line = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 31 0 0 20 0 5 0 100";
        assert_eq!(time_in(line), Some(Duration::from_millis(2810)));
        for line in ["", "12", "12 (a) S 1 2", "12 (a) S 1 2 3 4 5 6 7 8 9 10 x 31"] {
            assert_eq!(time_in(line), None, "{line}");
        }
    }

    #[test]
    fn what_other_threads_took_is_seen() {
        let before = time_of_others().unwrap();
        let burn = || {
            let own = || time_in(&std::fs::read_to_string("/proc/thread-self/stat").unwrap()).unwrap();
            while own() < Duration::from_millis(200) {}
        };
        std::thread::spawn(burn).join().unwrap();
        // The last hundredth of each of the eight counts may be missing.
        assert!(time_of_others().unwrap() - before >= Duration::from_millis(100));
    }
}
