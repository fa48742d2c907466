//! What other sizes of the cache would be worth: the curve, told of every request, shown as metrics, kept across restarts.
//!
//! Owns how much of the disk an object counts as, and the curve's file. Knows nothing of how the curve is learnt.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use prometheus::GaugeVec;

use super::{Curve, FACTORS, Point, saving};
use crate::key::ObjectName;
use crate::metrics::Metrics;

/// The curve's file. What is in it has its own version and checksum.
const NAME: &str = "curve";
/// Bytes that a record has beside body and key, about: at most a block more or less.
const HEADER_BYTES: u64 = 100;
/// A cache that is small has no file: it would take more than this part of its capacity, and what it learns is soon learnt anew.
const CAPACITY_PART: u64 = 256;

/// The curve of one server.
pub(super) struct Sizes {
    curve: Curve,
    path: PathBuf,
    is_saved: bool,
    predicted: GaugeVec,
}

/// Most bytes of disk that the file takes in a server of this capacity. While it is replaced there are two.
pub(super) fn most_bytes(capacity: u64) -> u64 {
    let most = Curve::MOST_STATE_BYTES as u64;
    if most > capacity / CAPACITY_PART { 0 } else { most }
}

impl Sizes {
    /// The curve that was saved in `directory`, or a new one.
    pub(super) fn open(directory: &Path, capacity: u64, metrics: &Metrics) -> Self {
        let path = directory.join(NAME);
        let curve = match std::fs::read(&path) {
            Ok(bytes) => Curve::restore(&bytes, capacity).map_err(|error| error.to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Curve::new(capacity)),
            Err(error) => Err(error.to_string()),
        };
        let curve = curve.unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "the saved curve cannot be read and is begun anew");
            Curve::new(capacity)
        });
        let is_saved = most_bytes(capacity) > 0;
        Self { curve, path, is_saved, predicted: metrics.predicted_hit_ratio.clone() }
    }

    pub(super) fn hit(&self, name: &ObjectName, length: u64) {
        self.curve.read(self.curve.hash(name), on_disk(name, length));
    }

    pub(super) fn miss(&self, name: &ObjectName) {
        self.curve.missed(self.curve.hash(name));
    }

    pub(super) fn stored(&self, name: &ObjectName, length: u64, after_miss: bool) {
        self.curve.stored(self.curve.hash(name), on_disk(name, length), after_miss);
    }

    pub(super) fn deleted(&self, name: &ObjectName) {
        self.curve.removed(self.curve.hash(name));
    }

    pub(super) fn points(&self) -> Option<[Point; FACTORS.len()]> {
        self.curve.points()
    }

    pub(super) fn update_gauges(&self) {
        for point in self.points().iter().flatten() {
            let factor = point.factor.to_string();
            self.predicted.with_label_values(&[&factor]).set(point.hit_ratio);
        }
    }

    /// Lets the curve grow older, and writes it. Blocks on the disk.
    pub(super) fn save(&self, now_ms: u64) {
        self.curve.age(now_ms);
        if !self.is_saved || self.points().is_none() {
            return;
        }
        if let Err(error) = saving::replace(&self.path, &self.curve.save()) {
            tracing::warn!(path = %self.path.display(), %error, "the curve was not saved");
        }
    }
}

fn on_disk(name: &ObjectName, length: u64) -> u64 {
    length + HEADER_BYTES + name.key.as_str().len() as u64
}
