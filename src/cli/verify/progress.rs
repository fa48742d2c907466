//! How far it is: a bar where somebody looks at a terminal, else a line for each step.
//!
//! Owns what goes to stderr while it works. Stdout is for the report.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cache::{VerifyStage, Watch};

/// Findings that are told one by one.
const MOST_TOLD: u64 = 100;
const BYTES: &str =
    "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
const OBJECTS: &str = "{msg} {wide_bar} {human_pos} of {human_len}, {eta} left";

/// The bar, or what stands for it.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    told: AtomicU64,
    is_stopped: AtomicBool,
}

impl Progress {
    /// Nothing is shown yet.
    pub(super) fn new() -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar, told: AtomicU64::new(0), is_stopped: AtomicBool::new(false) }
    }

    /// Has it end early. True when it was told before.
    pub(super) fn stop(&self) -> bool {
        let was_stopped = self.is_stopped.swap(true, Ordering::AcqRel);
        if !was_stopped {
            self.say(
                "stopping; what is under way is brought to its end, a second Ctrl-C does not wait for that",
            );
        }
        was_stopped
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        // Nobody there is no reason to end.
        let say = || drop(writeln!(io::stderr(), "larder: {line}"));
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }
}

impl Watch for Progress {
    fn begin(&self, stage: VerifyStage, total: Option<u64>) {
        let (text, template) = match stage {
            VerifyStage::Opening => ("finding what is there", OBJECTS),
            VerifyStage::Disk => ("reading the records on disk", BYTES),
            VerifyStage::Index => ("comparing the index", OBJECTS),
            VerifyStage::Bucket => ("comparing the bucket", OBJECTS),
            VerifyStage::Missing => ("looking for what the bucket does not have", OBJECTS),
            VerifyStage::Uploading => ("writing to the bucket", OBJECTS),
        };
        let Some(bar) = &self.bar else { return self.say(text) };
        bar.set_message(text);
        bar.reset();
        let Some(total) = total else { return };
        bar.set_length(total);
        // A test reads them: they are right.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
    }

    fn advance(&self, amount: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(amount);
        }
    }

    fn tell(&self, line: &str) {
        match self.told.fetch_add(1, Ordering::Relaxed) + 1 {
            told if told < MOST_TOLD => self.say(line),
            MOST_TOLD => self.say("there is more of this, which is counted and not told"),
            _ => {}
        }
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, OBJECTS, ProgressStyle};

    #[test]
    fn the_bars_templates_are_some() {
        assert!([BYTES, OBJECTS].iter().all(|template| ProgressStyle::with_template(template).is_ok()));
    }
}
