//! Who failed how often: how long the next failure of an address waits, and whether it is worth a line in the log.
//!
//! Owns both limits and the bound on what is remembered. It must not know why somebody failed, and it never sees
//! who succeeded: good credentials wait for nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Addresses remembered at most; then the one that failed longest ago is forgotten. About 100 bytes each.
const MOST_ADDRESSES: usize = 4096;
/// An address that did not fail for so long is forgotten.
const MEMORY: Duration = Duration::from_secs(60);
/// Guesses that cost no wait: a person who mistypes a token, and the few requests of a client that starts.
const FREE_GUESSES: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_millis(16);
/// A client with a wrong token still hears of it in time, and a guesser gets nowhere.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// Lines for one address in one [`WINDOW`].
const LINES_OF_ONE: u32 = 20;
/// Lines for all addresses in one [`WINDOW`].
const LINES_OF_ALL: u32 = 600;
const WINDOW: Duration = Duration::from_secs(60);

/// What follows from a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    /// Time to wait before the answer.
    pub(super) delay: Duration,
    /// Write a line, and say how many were left out before it; `None`: leave this one out.
    pub(super) line: Option<u64>,
}

/// Failures of the recent past, by address.
pub(super) struct Failures {
    by_address: HashMap<IpAddr, Entry>,
    lines: Lines,
}

struct Entry {
    guesses: u32,
    last: Instant,
    lines: Lines,
}

/// Lines written since the start of a window, and left out since the last one that was written.
struct Lines {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl Failures {
    pub(super) fn new(now: Instant) -> Self {
        Self { by_address: HashMap::new(), lines: Lines::new(now) }
    }

    /// Notes a failure from `address`; `guess` when it may have been an attempt at a secret.
    pub(super) fn note(&mut self, address: IpAddr, guess: bool, now: Instant) -> Verdict {
        let address = network(address);
        if !self.by_address.contains_key(&address) {
            self.make_room(now);
        }
        let fresh = || Entry { guesses: 0, last: now, lines: Lines::new(now) };
        let entry = self.by_address.entry(address).or_insert_with(fresh);
        if now.duration_since(entry.last) >= MEMORY {
            entry.guesses = 0;
        }
        entry.last = now;
        if guess {
            entry.guesses = entry.guesses.saturating_add(1);
        }
        let line = match (entry.lines.allow(LINES_OF_ONE, now), self.lines.allow(LINES_OF_ALL, now)) {
            (Some(own), Some(all)) => Some(own.max(all)),
            (Some(own), None) => {
                // It was not written after all.
                entry.lines.left_out = own + 1;
                None
            }
            (None, _) => None,
        };
        Verdict { delay: if guess { delay(entry.guesses) } else { Duration::ZERO }, line }
    }

    fn make_room(&mut self, now: Instant) {
        if self.by_address.len() < MOST_ADDRESSES {
            return;
        }
        self.by_address.retain(|_, entry| now.duration_since(entry.last) < MEMORY);
        let oldest = self.by_address.iter().min_by_key(|(_, entry)| entry.last).map(|(address, _)| *address);
        if let Some(oldest) = oldest.filter(|_| self.by_address.len() >= MOST_ADDRESSES) {
            self.by_address.remove(&oldest);
        }
    }
}

impl Lines {
    fn new(now: Instant) -> Self {
        Self { since: now, written: 0, left_out: 0 }
    }

    /// `Some` with the number left out before when one more may be written.
    fn allow(&mut self, most: u32, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= WINDOW {
            self.since = now;
            self.written = 0;
        }
        if self.written == most {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

fn delay(guesses: u32) -> Duration {
    match guesses.checked_sub(FREE_GUESSES + 1) {
        None => Duration::ZERO,
        // Doubled each time; far below the point where shifting would lose anything.
        Some(doublings) => (FIRST_DELAY * (1 << doublings.min(16))).min(LONGEST_DELAY),
    }
}

/// Whoever has one IPv6 address mostly has the 2^64 beside it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn guesses_wait_longer_and_longer_up_to_a_second() {
        let start = Instant::now();
        let mut failures = Failures::new(start);
        let delays: Vec<_> =
            (0..20).map(|_| failures.note(address(1), true, start).delay.as_millis()).collect();
        assert_eq!(delays[..8], [0, 0, 0, 0, 0, 16, 32, 64]);
        assert_eq!(delays[12..], [1000; 8]);
        // Neither another address nor a caller who is known waits, and in the end it is forgotten.
        assert_eq!(failures.note(address(2), true, start).delay, Duration::ZERO);
        assert_eq!(failures.note(address(1), false, start).delay, Duration::ZERO);
        assert_eq!(failures.note(address(1), true, start + MEMORY).delay, Duration::ZERO);
    }

    #[test]
    fn lines_are_limited_and_say_how_many_were_left_out() {
        let start = Instant::now();
        let mut failures = Failures::new(start);
        let lines: Vec<_> = (0..25).map(|_| failures.note(address(1), false, start).line).collect();
        assert_eq!(lines[..20], [Some(0); 20]);
        assert_eq!(lines[20..], [None; 5]);
        assert_eq!(failures.note(address(2), false, start).line, Some(0));
        assert_eq!(failures.note(address(1), false, start + WINDOW).line, Some(5));
    }

    #[test]
    fn many_addresses_together_write_no_more_lines_and_take_no_more_memory() {
        let start = Instant::now();
        let mut failures = Failures::new(start);
        let mut written = 0;
        for number in 0..10_000 {
            let now = start + Duration::from_micros(number.into());
            written += u32::from(failures.note(address(number), true, now).line.is_some());
        }
        assert_eq!(written, LINES_OF_ALL);
        assert_eq!(failures.by_address.len(), MOST_ADDRESSES);
        assert!(failures.by_address.contains_key(&address(9_999)));
        assert!(!failures.by_address.contains_key(&address(0)));
        let said = failures.note(address(9_999), true, start + WINDOW + MEMORY).line;
        assert_eq!(said, Some(10_000 - u64::from(LINES_OF_ALL)));
    }

    #[test]
    fn neighbours_in_ipv6_count_as_one() {
        let start = Instant::now();
        let mut failures = Failures::new(start);
        for last in 1..=6 {
            failures.note(format!("2001:db8::{last}").parse().unwrap(), true, start);
        }
        assert!(failures.note("2001:db8::7".parse().unwrap(), true, start).delay > Duration::ZERO);
        let other = failures.note("2001:db8:0:1::7".parse().unwrap(), true, start);
        assert_eq!(other.delay, Duration::ZERO);
        for _ in 0..6 {
            failures.note("::ffff:10.0.0.1".parse().unwrap(), true, start);
        }
        assert!(failures.note("10.0.0.1".parse().unwrap(), true, start).delay > Duration::ZERO);
    }
}
