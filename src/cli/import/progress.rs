//! How far it is: a bar where somebody looks at a terminal, else a line now and then.
//!
//! Owns what goes to stderr while objects are copied. Stdout is for the summary.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use super::copy::Tally;
use super::source::Listing;
use super::{objects, say};

/// Time between two lines.
const LINES: Duration = Duration::from_secs(5);
/// Rows of a listing between two looks at the clock.
const ROWS: usize = 1024;
const TEMPLATE: &str =
    "{wide_bar} {binary_bytes} of {binary_total_bytes}, {msg}, {binary_bytes_per_sec}, {eta} left";

/// The bar, or what stands for it.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    verb: &'static str,
    state: Mutex<State>,
}

struct State {
    told: Instant,
    total: u64,
    total_bytes: u64,
    done: u64,
    done_bytes: u64,
}

impl Progress {
    /// Nothing is shown yet.
    pub(super) fn new(dry_run: bool) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_message("listing the source");
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let state = State { told: Instant::now(), total: 0, total_bytes: 0, done: 0, done_bytes: 0 };
        Self { bar, verb: if dry_run { "looked at" } else { "did" }, state: Mutex::new(state) }
    }

    /// The listing has so many entries so far.
    pub(super) fn listed(&self, entries: usize) {
        if !entries.is_multiple_of(ROWS) {
            return;
        }
        let text = || format!("listing the source: {} entries", HumanCount(entries as u64));
        match &self.bar {
            Some(bar) => bar.set_message(text()),
            None => self.now_and_then(|_| text()),
        }
    }

    /// The listing is there.
    pub(super) fn start(&self, listing: &Listing) {
        let mut state = self.state.lock();
        (state.total, state.total_bytes) = (listing.entries.len() as u64, listing.bytes());
        let Some(bar) = &self.bar else {
            let bytes = BinaryBytes(state.total_bytes);
            return say(&format!("the source has {} ({bytes})", objects(state.total)));
        };
        bar.disable_steady_tick();
        bar.set_length(state.total_bytes);
        bar.set_message(String::new());
        // A test reads it: it is right.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
    }

    /// One object more is done, whatever became of it.
    pub(super) fn advance(&self, tally: &Tally, bytes: u64) {
        let (done, total) = {
            let mut state = self.state.lock();
            state.done += 1;
            state.done_bytes += bytes;
            (state.done, state.total)
        };
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("{} of {}", HumanCount(done), objects(total)));
                bar.inc(bytes);
            }
            None => self.now_and_then(|state| {
                format!(
                    "{} {} of {} ({} of {}): {} copied, {} skipped, {} failed",
                    self.verb,
                    HumanCount(state.done),
                    objects(state.total),
                    BinaryBytes(state.done_bytes),
                    BinaryBytes(state.total_bytes),
                    HumanCount(tally.copied.get()),
                    HumanCount(tally.skipped.get()),
                    HumanCount(tally.failed.get()),
                )
            }),
        }
    }

    /// Says something that stays to be read.
    pub(super) fn tell(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn now_and_then(&self, line: impl FnOnce(&State) -> String) {
        let mut state = self.state.lock();
        if state.told.elapsed() >= LINES {
            state.told = Instant::now();
            say(&line(&state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ProgressStyle, TEMPLATE};

    #[test]
    fn the_bars_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
