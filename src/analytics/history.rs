//! The server's own history: what its main counters were over the last hour, day and week, across restarts.
//!
//! Three rings of samples, each made from the same readings: 5 s for an hour, 1 min for a day, 15 min for two weeks. At most
//! 3,504 samples of 120 bytes, so 411 KiB of memory; [`most_bytes`] on disk. Knows the metrics and a file; nothing of requests, and
//! nothing of how it is shown.

mod file;
mod ring;
mod sample;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use self::file::HistoryFile;
pub use self::file::most_bytes;
use self::ring::Rings;
pub use self::sample::Columns;
use self::sample::{Sample, Values};
use crate::metrics::Metrics;

/// Between two looks at the requests in flight, whose peak is kept.
const LOOK: Duration = Duration::from_secs(1);
/// Every so many of them, all counters are read.
const LOOKS_OF_A_READING: u64 = 5;

/// How far back a look at the history goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Range {
    /// The last hour, in steps of 5 s.
    Hour,
    /// The last 24 hours, in steps of a minute.
    Day,
    /// The last 7 days, in steps of 15 minutes.
    Week,
}

impl Range {
    /// The range of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            _ => None,
        }
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        match self {
            Self::Hour => 3600,
            Self::Day => 24 * 3600,
            Self::Week => 7 * 24 * 3600,
        }
    }
}

/// The history as of one range, as `/-/api/history` answers it.
#[derive(Debug, Serialize)]
pub struct View {
    /// What was asked for.
    pub range: Range,
    /// Seconds that a full sample covers.
    pub step_seconds: u64,
    /// Where the range begins, in seconds since 1970.
    pub from: u64,
    /// Where it ends: now.
    pub to: u64,
    /// All samples as one: sums of what is counted, peaks, and the last of what is measured.
    pub totals: Sample,
    /// The samples in order. Where the server did not run there are none.
    pub samples: Columns,
}

/// The history of one server. Clones share it.
#[derive(Clone)]
pub struct History(Arc<Shared>);

struct Shared {
    book: Mutex<Book>,
    file: HistoryFile,
    metrics: Metrics,
}

struct Book {
    rings: Rings,
    read_at: Instant,
}

impl History {
    /// The history that was saved in this directory, by a server of this capacity in bytes, or one that begins now. What
    /// cannot be read is begun anew with a warning; what a newer larder wrote is left alone, and then nothing is saved.
    #[must_use]
    pub fn open(directory: &Path, capacity: u64, metrics: Metrics) -> Self {
        let file = HistoryFile::new(directory, capacity);
        let rings = file.load();
        let book = Mutex::new(Book { rings, read_at: Instant::now() });
        Self(Arc::new(Shared { book, file, metrics }))
    }

    /// Reads the counters for ever. `refresh` is called before each reading, for the gauges
    /// that are set only when somebody looks.
    pub async fn run(&self, refresh: impl Fn()) -> Infallible {
        let mut every = tokio::time::interval(LOOK);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0;
        loop {
            every.tick().await;
            self.0.book.lock().rings.peak(self.0.metrics.in_flight.get());
            looks += 1;
            if looks % LOOKS_OF_A_READING == 0 {
                refresh();
                self.read();
            }
        }
    }

    /// Saves it, up to now. Blocks on the disk. A failure is a warning: it costs history only.
    pub(super) fn save(&self) {
        self.read();
        // A copy, so that nobody who looks waits for the disk.
        let rings = self.0.book.lock().rings.clone();
        if let Err(error) = self.0.file.save(&rings) {
            tracing::warn!(%error, "the history could not be saved");
        }
    }

    /// The last hour, day or week, up to now.
    #[must_use]
    pub fn view(&self, range: Range) -> View {
        self.0.book.lock().rings.view(range, unix_seconds(SystemTime::now()))
    }

    fn read(&self) {
        let mut book = self.0.book.lock();
        // Under the lock, so that of two readings the one taken in later is the later one.
        let values = Values::read(&self.0.metrics);
        let elapsed = book.read_at.elapsed();
        book.read_at += elapsed;
        book.rings.add(&values, elapsed, unix_seconds(SystemTime::now()));
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_there_after_a_restart_and_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().unwrap();
        let first = History::open(dir.path(), 1 << 30, metrics.clone());
        metrics.received_bytes.inc_by(1000);
        metrics.in_flight.set(3);
        first.0.book.lock().rings.peak(3);
        first.read();
        metrics.received_bytes.inc_by(24);
        metrics.in_flight.set(0);
        // What came since the last reading is in it too.
        first.save();
        let before = first.view(Range::Hour).totals;
        assert_eq!((before.values.received_bytes, before.values.in_flight), (1024, 3));

        // The next process begins to count at 0.
        let fresh = Metrics::new().unwrap();
        let second = History::open(dir.path(), 1 << 30, fresh.clone());
        assert_eq!(second.view(Range::Hour).totals, before);
        fresh.received_bytes.inc_by(6);
        second.read();
        for range in [Range::Hour, Range::Day, Range::Week] {
            assert_eq!(second.view(range).totals.values.received_bytes, 1030, "{range:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_begun_anew_and_a_newer_one_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().unwrap();
        let path = dir.path().join("history.json");
        let filled = History::open(dir.path(), 1 << 30, metrics.clone());
        filled.read();
        filled.save();
        let whole = std::fs::read_to_string(&path).unwrap();
        let damaged = [
            String::new(),
            whole[..whole.len() / 2].to_owned(),
            whole.replacen("\"hits\":[0", "\"hits\":[0,0", 1),
            whole.replacen("\"version\":1", "\"version\":0", 1),
        ];
        for text in damaged {
            assert_ne!(text, whole);
            std::fs::write(&path, &text).unwrap();
            let history = History::open(dir.path(), 1 << 30, metrics.clone());
            assert!(history.view(Range::Week).samples.at.is_empty(), "{text}");
            history.save();
            assert!(std::fs::read_to_string(&path).unwrap().contains("\"version\":1"));
        }
        let newer = whole.replacen("\"version\":1", "\"version\":2", 1);
        std::fs::write(&path, &newer).unwrap();
        History::open(dir.path(), 1 << 30, metrics).save();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
    }

    #[test]
    fn a_small_cache_has_a_small_file_with_the_newest_samples() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().unwrap();
        let capacity = 16 << 20;
        let history = History::open(dir.path(), capacity, metrics.clone());
        let now = unix_seconds(SystemTime::now());
        for i in 0..3000 {
            metrics.received_bytes.inc_by(123_456_789);
            let values = Values::read(&metrics);
            history.0.book.lock().rings.add(&values, Duration::from_secs(900), now - (2999 - i) * 900);
        }
        history.save();
        assert!(std::fs::metadata(dir.path().join("history.json")).unwrap().len() <= most_bytes(capacity));
        let again = History::open(dir.path(), capacity, metrics).view(Range::Week).samples;
        let before = history.view(Range::Week).samples;
        assert!(again.at.len() > 100 && before.at.ends_with(&again.at), "{:?}", again.at.len());
    }

    #[tokio::test(start_paused = true)]
    async fn it_reads_by_itself_and_asks_for_fresh_gauges() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().unwrap();
        let history = History::open(dir.path(), 1 << 30, metrics.clone());
        let gauges = metrics.clone();
        let run = history.run(move || gauges.stored_objects.set(7));
        tokio::select! {
            never = run => match never {},
            () = async {
                while history.view(Range::Hour).samples.at.is_empty() {
                    tokio::time::sleep(LOOK).await;
                }
            } => {}
        }
        assert_eq!(history.view(Range::Hour).totals.values.stored_objects, 7);
    }
}
