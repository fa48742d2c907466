//! The rings: samples of three widths, made from the same readings, the oldest given up for the newest.
//!
//! Owns what restarts, gaps and a clock that is set do to them. Knows no metrics and no files.

use std::collections::VecDeque;
use std::time::Duration;

use super::sample::{Columns, Sample, Values, unsigned};
use super::{Range, View};

/// Seconds that the clock may go back without costing history: what is read meanwhile goes to the newest sample.
const SMALL_STEP_BACK: u64 = 3600;

/// Samples of one width, in order.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    step: u64,
    most: usize,
    samples: VecDeque<Sample>,
}

impl Ring {
    fn new(step: u64, most: usize) -> Self {
        Self { step, most, samples: VecDeque::new() }
    }

    fn add(&mut self, sample: &Sample) {
        let at = sample.at / self.step * self.step;
        // The clock was ahead and was set right: what it dated later than now would stand in the way for as long.
        while self.samples.back().is_some_and(|newest| newest.at > at + SMALL_STEP_BACK.max(self.step)) {
            self.samples.pop_back();
        }
        match self.samples.back_mut() {
            Some(newest) if newest.at >= at => newest.merge(sample),
            _ => self.push(Sample { at, ..*sample }),
        }
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() == self.most {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    fn after(&self, from: u64) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.at >= from)
    }

    /// Seconds that a full sample covers.
    pub(super) fn step(&self) -> u64 {
        self.step
    }

    /// Its newest samples by column: all, or after so many halvings of what the ring can hold.
    pub(super) fn newest(&self, halvings: u32) -> Columns {
        let count = self.most >> halvings;
        Columns::of(self.samples.iter().skip(self.samples.len().saturating_sub(count)))
    }

    /// Takes in what was saved. False when that is not what a ring of this width can hold; then nothing is taken in.
    pub(super) fn fill(&mut self, columns: &Columns) -> bool {
        let Some(samples) = columns.samples() else { return false };
        let is_ascending = samples.is_sorted_by(|a, b| a.at < b.at);
        let is_good = |sample: &Sample| sample.at.is_multiple_of(self.step) && sample.seconds >= 0.0;
        if !is_ascending || samples.len() > self.most || !samples.iter().all(is_good) {
            return false;
        }
        self.samples = samples.into();
        true
    }
}

/// The three rings, and the reading before.
#[derive(Clone, Debug)]
pub(super) struct Rings {
    pub(super) fine: Ring,
    pub(super) middle: Ring,
    pub(super) coarse: Ring,
    /// What the counters were at the last reading; at 0 when the process starts, as they are.
    before: Values,
    peak: u64,
}

impl Default for Rings {
    fn default() -> Self {
        Self {
            fine: Ring::new(5, 3600 / 5),
            middle: Ring::new(60, 24 * 60),
            coarse: Ring::new(900, 14 * 24 * 4),
            before: Values::default(),
            peak: 0,
        }
    }
}

impl Rings {
    /// Notes how many requests are in flight, between two readings.
    pub(super) fn peak(&mut self, in_flight: i64) {
        self.peak = self.peak.max(unsigned(in_flight));
    }

    /// Takes in a reading, made at `now`, in seconds since 1970, and `elapsed` after the one before.
    pub(super) fn add(&mut self, values: &Values, elapsed: Duration, now: u64) {
        let mut came = values.since(&self.before);
        came.in_flight = came.in_flight.max(std::mem::take(&mut self.peak));
        self.before = *values;
        // Dated by the middle of its time, so that a tick that comes a moment late does not leave a sample empty.
        let at = now.saturating_sub(elapsed.as_secs() / 2);
        let sample = Sample { at, seconds: elapsed.as_millis() as f64 / 1e3, values: came };
        for ring in [&mut self.fine, &mut self.middle, &mut self.coarse] {
            ring.add(&sample);
        }
    }

    /// The samples of a range that ends at `now`.
    pub(super) fn view(&self, range: Range, now: u64) -> View {
        let ring = match range {
            Range::Hour => &self.fine,
            Range::Day => &self.middle,
            Range::Week => &self.coarse,
        };
        let from = now.saturating_sub(range.seconds());
        let totals = ring.after(from).copied().reduce(|mut all, sample| {
            all.merge(&sample);
            all
        });
        View {
            range,
            step_seconds: ring.step,
            from,
            to: now,
            totals: totals.unwrap_or_default(),
            samples: Columns::of(ring.after(from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Duration = Duration::from_secs(5);
    /// A full quarter of an hour.
    const T: u64 = 1_700_000_100;

    fn hits(hits: u64) -> Values {
        Values { hits, ..Values::default() }
    }

    #[test]
    fn every_ring_adds_up_to_the_same() {
        let mut rings = Rings::default();
        for i in 1..=720 {
            rings.add(&Values { in_flight: i % 7, disk_bytes: i, ..hits(i * 3) }, FIVE, T + i * 5);
        }
        let now = T + 3600;
        let (hour, day, week) =
            (rings.view(Range::Hour, now), rings.view(Range::Day, now), rings.view(Range::Week, now));
        for (view, count) in [(&hour, 720), (&day, 60), (&week, 4)] {
            assert_eq!(view.samples.at.len(), count, "{:?}", view.range);
            let Values { hits, in_flight, disk_bytes, .. } = view.totals.values;
            assert_eq!((hits, in_flight, disk_bytes), (2160, 6, 720), "{:?}", view.range);
            assert!((view.totals.seconds - 3600.0).abs() < 1e-6);
        }
        assert_eq!(day.samples.hits, [36; 60]);
    }

    #[test]
    fn the_rings_are_bounded() {
        let mut rings = Rings::default();
        for i in 0..2000 {
            rings.add(&hits(i), Duration::from_secs(900), T + i * 900);
        }
        let lengths = [&rings.fine, &rings.middle, &rings.coarse].map(|ring| ring.samples.len());
        assert_eq!(lengths, [720, 1440, 1344]);
        assert!(lengths.iter().sum::<usize>() * size_of::<Sample>() <= 411 << 10);
    }

    #[test]
    fn a_gap_is_a_gap_and_the_first_reading_after_it_counts_from_zero() {
        let mut rings = Rings::default();
        rings.add(&hits(100), FIVE, T + 5);
        // A new process ten minutes later.
        let mut next = Rings::default();
        for (ring, saved) in [
            (&mut next.fine, &rings.fine),
            (&mut next.middle, &rings.middle),
            (&mut next.coarse, &rings.coarse),
        ] {
            assert!(ring.fill(&saved.newest(0)));
        }
        next.add(&hits(4), FIVE, T + 605);
        let hour = next.view(Range::Hour, T + 610).samples;
        assert_eq!((hour.at, hour.hits), (vec![T, T + 600], vec![100, 4]));
        let week = next.view(Range::Week, T + 610).samples;
        assert_eq!((week.hits, week.seconds), (vec![104], vec![10.0]), "both lie in one quarter of an hour");
    }

    #[test]
    fn a_clock_that_is_set_back_costs_what_it_had_dated_ahead_at_most() {
        let mut rings = Rings::default();
        rings.add(&hits(10), FIVE, T + 5);
        rings.add(&hits(20), FIVE, T + 300);
        // Back by less than an hour: the newest sample takes it.
        rings.add(&hits(25), FIVE, T + 100);
        assert_eq!(rings.view(Range::Hour, T + 300).samples.hits, [10, 15]);
        // Ahead by a day and back again.
        rings.add(&hits(30), FIVE, T + 86_400);
        rings.add(&hits(31), FIVE, T + 310);
        assert_eq!(rings.view(Range::Hour, T + 310).samples.hits, [10, 15, 1]);
    }

    #[test]
    fn what_no_ring_can_hold_is_not_taken_in() {
        let column =
            |at: &[u64]| Columns { at: at.to_vec(), seconds: vec![5.0; at.len()], ..Columns::default() };
        let mut ring = Ring::new(5, 3);
        for bad in [&[10, 5][..], &[5, 5], &[3], &[5, 10, 15, 20]] {
            assert!(!ring.fill(&column(bad)), "{bad:?}");
        }
        assert!(ring.fill(&column(&[5, 15])) && ring.samples.len() == 2);
    }
}
