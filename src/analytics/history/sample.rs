//! What one sample holds, and how several become one.
//!
//! The one place to add a value: its line in the list below gives it a field, a column in the answers and in the file, and its
//! way of being added up. Knows which metric each is read from.

use std::cmp::max;

use prometheus::core::Collector;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;

// How two samples become one: `sum`, `last`, or `max` for a peak.

/// Counted since the start of the process: a sample has what came in its time.
fn sum(earlier: u64, later: u64) -> u64 {
    earlier.saturating_add(later)
}

/// Measured: a sample has the last.
fn last(_: u64, later: u64) -> u64 {
    later
}

macro_rules! values {
    ($($(#[doc = $doc:literal])* $name:ident: $kind:ident;)*) => {
        /// What is read each time.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
        pub struct Values {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        /// Samples by column, all of one length.
        #[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
        pub struct Columns {
            /// Where each sample begins, in seconds since 1970; ascending.
            pub at: Vec<u64>,
            /// Seconds of it that the server ran and counted.
            pub seconds: Vec<f64>,
            $($(#[doc = $doc])* #[serde(default)] pub $name: Vec<u64>,)*
        }

        impl Values {
            /// What came since an earlier reading of the same process.
            pub(super) fn since(&self, earlier: &Self) -> Self {
                Self { $($name: values!(@since $kind, self.$name, earlier.$name),)* }
            }

            fn merge(&mut self, later: &Self) {
                $(self.$name = $kind(self.$name, later.$name);)*
            }
        }

        impl Columns {
            /// The samples by column.
            pub(super) fn of<'a>(samples: impl Iterator<Item = &'a Sample>) -> Self {
                let mut columns = Self::default();
                for sample in samples {
                    columns.at.push(sample.at);
                    columns.seconds.push(sample.seconds);
                    $(columns.$name.push(sample.values.$name);)*
                }
                columns
            }

            /// The samples by row. `None` when columns differ in length; one that is not there at all, as in a file from
            /// before there was such a value, is all zeros.
            pub(super) fn samples(&self) -> Option<Vec<Sample>> {
                let fits = |length: usize| length == self.at.len();
                if !fits(self.seconds.len()) $(|| !(self.$name.is_empty() || fits(self.$name.len())))* {
                    return None;
                }
                let row = |i: usize| Sample {
                    at: self.at[i],
                    seconds: self.seconds[i],
                    values: Values { $($name: self.$name.get(i).copied().unwrap_or_default(),)* },
                };
                Some((0..self.at.len()).map(row).collect())
            }
        }
    };
    (@since sum, $now:expr, $before:expr) => { $now.saturating_sub($before) };
    (@since $kind:ident, $now:expr, $before:expr) => { $now };
}

values! {
    /// GETs of objects that were found.
    hits: sum;
    /// GETs of objects that were not.
    misses: sum;
    /// Bytes of the bodies of hits.
    hit_bytes: sum;
    /// Bytes of object bodies sent.
    sent_bytes: sum;
    /// Bytes of request bodies taken in.
    received_bytes: sum;
    /// Milliseconds of making that hits saved, as far as their cost is known.
    time_saved_ms: sum;
    /// GETs answered, of objects or not.
    gets: sum;
    /// Microseconds from their heads to the ends of their answers, of all together.
    get_micros: sum;
    /// Objects evicted.
    evictions: sum;
    /// Most requests at once.
    in_flight: max;
    /// Objects in the cache.
    stored_objects: last;
    /// Bytes of the bodies in the cache.
    stored_bytes: last;
    /// Bytes of disk blocks of the data directory.
    disk_bytes: last;
}

/// What happened in one span of time.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Sample {
    /// Where it begins, in seconds since 1970.
    pub at: u64,
    /// Seconds of it that the server ran and counted: counts through these are rates.
    pub seconds: f64,
    /// What was read.
    #[serde(flatten)]
    pub values: Values,
}

impl Sample {
    /// Takes in a later one.
    pub(super) fn merge(&mut self, later: &Self) {
        self.seconds += later.seconds;
        self.values.merge(&later.values);
    }
}

impl Values {
    /// The metrics as of now.
    pub(super) fn read(metrics: &Metrics) -> Self {
        let (gets, get_seconds) = gets(metrics);
        Self {
            hits: total(&metrics.hits),
            misses: total(&metrics.misses),
            hit_bytes: total(&metrics.hit_bytes),
            sent_bytes: metrics.sent_bytes.get(),
            received_bytes: metrics.received_bytes.get(),
            time_saved_ms: scaled(sum_of(&metrics.time_saved), 1e3),
            gets,
            get_micros: scaled(get_seconds, 1e6),
            evictions: total(&metrics.evictions),
            in_flight: unsigned(metrics.in_flight.get()),
            stored_objects: unsigned(metrics.stored_objects.get()),
            stored_bytes: unsigned(metrics.stored_bytes.get()),
            disk_bytes: unsigned(metrics.disk_bytes.get()),
        }
    }
}

/// A counter over all of its labels.
fn sum_of(counter: &impl Collector) -> f64 {
    let families = counter.collect();
    let metrics = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric);
    metrics.map(|metric| metric.get_counter().get_value()).sum()
}

/// A counter of whole things over all of its labels.
fn total(counter: &impl Collector) -> u64 {
    scaled(sum_of(counter), 1.0)
}

/// GETs of every protocol, and their seconds. The server's own pages are nobody's build.
fn gets(metrics: &Metrics) -> (u64, f64) {
    let families = metrics.request_seconds.collect();
    let of_get = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric).filter(|metric| {
        let is = |name: &str, value: &str| {
            metric.get_label().iter().any(|label| label.name() == name && label.value() == value)
        };
        is("method", "GET") && !is("protocol", "admin")
    });
    of_get.fold((0, 0.0), |(count, seconds), metric| {
        let histogram = metric.get_histogram();
        (count + histogram.get_sample_count(), seconds + histogram.get_sample_sum())
    })
}

/// A number of the metrics' as a whole one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and none is below 0")]
fn scaled(number: f64, by: f64) -> u64 {
    (number * by).round() as u64
}

/// A gauge that is never below 0 for long.
pub(super) fn unsigned(gauge: i64) -> u64 {
    u64::try_from(gauge).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_over_all_labels_and_the_servers_own_pages_are_left_out() {
        let metrics = Metrics::new().unwrap();
        metrics.evictions.with_label_values(&["capacity"]).inc_by(2);
        metrics.evictions.with_label_values(&["expired"]).inc_by(3);
        metrics.request_seconds.with_label_values(&["plain", "GET"]).observe(0.25);
        metrics.request_seconds.with_label_values(&["webdav", "GET"]).observe(0.5);
        metrics.request_seconds.with_label_values(&["plain", "PUT"]).observe(1.0);
        metrics.request_seconds.with_label_values(&["admin", "GET"]).observe(1.0);
        let values = Values::read(&metrics);
        assert_eq!((values.evictions, values.gets, values.get_micros), (5, 2, 750_000));
    }

    #[test]
    fn columns_and_rows_are_the_same_samples() {
        let sample = |at| Sample { at, seconds: 5.0, values: Values { hits: at * 2, ..Values::default() } };
        let samples = [sample(5), sample(10)];
        let columns = Columns::of(samples.iter());
        assert_eq!(columns.samples().unwrap(), samples);
        // A file from before a value was kept.
        let old = Columns { evictions: Vec::new(), ..columns.clone() };
        assert_eq!(old.samples().unwrap(), samples);
        assert!(Columns { hits: vec![1], ..columns }.samples().is_none());
    }
}
