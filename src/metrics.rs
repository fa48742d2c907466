//! Every metric of the server, declared once. The text of each is its help text and its documentation.
//!
//! A leaf: it owns the registry and the handles, and knows nothing of who counts what.

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    CounterVec, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Upper bounds, in seconds, of the latency histograms: from a hit in memory to a stalled disk.
const LATENCY_BUCKETS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// One row of the metrics' documentation.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Name on `/metrics`.
    pub name: &'static str,
    /// Prometheus type.
    pub kind: &'static str,
    /// Labels, in order.
    pub labels: &'static [&'static str],
    /// Meaning.
    pub help: &'static str,
}

trait Make: Sized {
    const KIND: &'static str;
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self>;
}

macro_rules! make {
    ($type:ty, $kind:literal, |$name:ident, $help:ident, $labels:ident| $body:expr) => {
        impl Make for $type {
            const KIND: &'static str = $kind;
            fn make($name: &str, $help: &str, $labels: &[&str]) -> prometheus::Result<Self> {
                $body
            }
        }
    };
}

make!(IntCounter, "counter", |name, help, _labels| IntCounter::new(name, help));
make!(IntGauge, "gauge", |name, help, _labels| IntGauge::new(name, help));
make!(IntCounterVec, "counter", |name, help, labels| IntCounterVec::new(Opts::new(name, help), labels));
make!(CounterVec, "counter", |name, help, labels| CounterVec::new(Opts::new(name, help), labels));
make!(GaugeVec, "gauge", |name, help, labels| GaugeVec::new(Opts::new(name, help), labels));
make!(IntGaugeVec, "gauge", |name, help, labels| IntGaugeVec::new(Opts::new(name, help), labels));
make!(Histogram, "histogram", |name, help, _labels| {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS.to_vec()))
});
make!(HistogramVec, "histogram", |name, help, labels| {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS.to_vec()), labels)
});

macro_rules! metrics {
    ($($field:ident: $type:ty = $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// Handles to every metric.
        #[derive(Clone)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: $type,)*
        }

        /// Every metric there is, in the order of their declaration.
        pub const DESCRIPTIONS: &[Description] = &[
            $(Description { name: $name, kind: <$type as Make>::KIND, labels: &[$($label),*], help: $help },)*
        ];

        impl Metrics {
            /// Makes and registers every metric.
            ///
            /// # Errors
            /// Two metrics of one name, or a name that Prometheus does not allow: a mistake in this file.
            pub fn new() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $(
                    let $field = <$type as Make>::make($name, $help, &[$($label),*])?;
                    registry.register(Box::new($field.clone()))?;
                )*
                // The usual process_* metrics: CPU, memory, open files, start time.
                registry.register(Box::new(ProcessCollector::for_self()))?;
                let metrics = Self { registry, $($field,)* };
                metrics.begin_failures();
                Ok(metrics)
            }
        }
    };
}

metrics! {
    requests: IntCounterVec = "larder_requests_total" ["protocol", "method", "status"]
        "Requests answered, by protocol (plain, webdav, s3, admin), method and status class (2xx to 5xx).";
    request_seconds: HistogramVec = "larder_request_seconds" ["protocol", "method"]
        "Seconds from the request's head to the end of its answer's body.";
    in_flight: IntGauge = "larder_requests_in_flight"
        [] "Requests being answered, bodies included.";
    connections: IntGauge = "larder_connections"
        [] "Open client connections.";
    received_bytes: IntCounter = "larder_received_bytes_total"
        [] "Bytes of request bodies taken in.";
    sent_bytes: IntCounter = "larder_sent_bytes_total"
        [] "Bytes of object bodies sent.";
    refused: IntCounterVec = "larder_refused_total" ["reason"]
        "Requests and connections refused for overload, by reason (connections, memory).";
    auth_refusals: IntCounterVec = "larder_auth_refusals_total" ["reason"]
        "Requests refused for who asked, by reason (missing, malformed, unknown, expired, certificate, clock, signature, right, namespace; for identity tokens also algorithm, issuer, key, audience, rule, unreachable).";
    hits: IntCounterVec = "larder_hits_total" ["namespace", "protocol"]
        "GETs of objects that were found, by namespace or pattern and protocol. The probe .sccache_check does not count.";
    misses: IntCounterVec = "larder_misses_total" ["namespace", "protocol"]
        "GETs of objects that were not found, likewise. The probe .sccache_check does not count.";
    hit_bytes: IntCounterVec = "larder_hit_bytes_total" ["namespace", "protocol"]
        "Bytes of bodies that hits sent, likewise.";
    stored: IntCounterVec = "larder_stored_total" ["namespace", "protocol"]
        "Objects that PUTs stored, likewise. Copies, uploads in parts and the probe .sccache_check do not count.";
    time_saved: CounterVec = "larder_time_saved_seconds_total" ["namespace"]
        "Seconds that the objects of hits had cost to make, from a client's miss to its upload, as far as that is known. Time of jobs: what a person waited less is between this and its share by jobs at once.";
    client_requests: IntCounterVec = "larder_client_requests_total" ["client"]
        "Requests of known callers, by client (sccache and ccache with their version, opendal, curl, aws-cli, boto3, rclone, bazel, other). At most 32 clients; further versions count as their product.";
    memory_hits: IntCounter = "larder_memory_hits_total"
        [] "Hits that the memory tier served.";
    base_hits: IntCounter = "larder_base_hits_total"
        [] "Hits of requests to a layer that its base served.";
    overwrites_refused: IntCounterVec = "larder_overwrites_refused_total" ["namespace"]
        "PUTs refused because overwrite = \"never\" and another body is stored, by namespace or pattern.";
    stored_objects: IntGauge = "larder_stored_objects"
        [] "Objects in the cache.";
    stored_bytes: IntGauge = "larder_stored_bytes"
        [] "Bytes of the bodies in the cache.";
    namespace_objects: IntGaugeVec = "larder_namespace_objects" ["namespace"]
        "Objects, by namespace or pattern; (unconfigured): in namespaces that are not in the configuration any more.";
    namespace_disk_bytes: IntGaugeVec = "larder_namespace_disk_bytes" ["namespace"]
        "Bytes of disk blocks of the objects, by namespace or pattern: what its quota limits.";
    namespace_quota_bytes: IntGaugeVec = "larder_namespace_quota_bytes" ["namespace"]
        "Quota in bytes, by namespace or pattern; the capacity where none is set.";
    disk_bytes: IntGauge = "larder_disk_bytes"
        [] "Bytes of disk blocks that the data directory takes, index included.";
    index_bytes: IntGauge = "larder_index_disk_bytes"
        [] "Bytes of disk blocks that the index takes; part of larder_disk_bytes.";
    capacity_bytes: IntGauge = "larder_capacity_bytes"
        [] "Configured capacity in bytes.";
    free_disk_bytes: IntGauge = "larder_free_disk_bytes"
        [] "Bytes free on the file system of the data directory.";
    min_free_disk_bytes: IntGauge = "larder_min_free_disk_bytes"
        [] "Configured bytes that are to stay free there.";
    evictions: IntCounterVec = "larder_evictions_total" ["reason"]
        "Objects evicted, by reason (capacity, min_free_disk, disk_full, quota, expired, idle).";
    evicted_bytes: IntCounterVec = "larder_evicted_bytes_total" ["reason"]
        "Bytes of disk blocks freed by eviction, by reason.";
    evicted_unread_bytes: IntCounter = "larder_evicted_unread_bytes_total"
        [] "Bytes of disk blocks of objects evicted for lack of room that nobody had read: what a smaller cache would not have missed.";
    evicted_age: GaugeVec = "larder_evicted_age_seconds" ["share"]
        "Seconds since its last use that at most this share (0.1, 0.5, 0.9) of the objects evicted for lack of room had, to the next of a few steps; +Inf beyond a year.";
    predicted_hit_ratio: GaugeVec = "larder_predicted_hit_ratio" ["factor"]
        "Hit ratio, 0 to 1, of a cache of the capacity times the factor (0.25 to 8) with the same requests, by sampling; a day ago counts half.";
    last_evicted_age: IntGauge = "larder_last_evicted_age_seconds"
        [] "Seconds since its last use of the object evicted last: below a few days, the cache is too small.";
    damaged: IntCounter = "larder_damaged_records_total"
        [] "Records dropped because a checksum did not match.";
    compacted_segments: IntCounter = "larder_compacted_segments_total"
        [] "Segments emptied by copying their live records forward.";
    index_rebuilds: IntCounter = "larder_index_rebuilds_total"
        [] "Times the index on disk was set aside and built again from the segments.";
    store_errors: IntCounterVec = "larder_store_errors_total" ["operation"]
        "Failures of the disk, by operation (read, write, sync, index).";
    append_seconds: Histogram = "larder_append_seconds"
        [] "Seconds to write one record into a segment.";
    bucket_requests: IntCounterVec = "larder_bucket_requests_total" ["operation", "outcome"]
        "Calls of the bucket, by operation (get, head, put, delete, list) and outcome (ok, not_found, exists, unavailable, too_slow, refused, impossible, not_tried).";
    bucket_seconds: HistogramVec = "larder_bucket_request_seconds" ["operation"]
        "Seconds from a call of the bucket to its answer, of a read to the first byte.";
    bucket_hits: IntCounter = "larder_bucket_hits_total"
        [] "Objects that were not on disk and that the bucket had.";
    bucket_misses: IntCounter = "larder_bucket_misses_total"
        [] "Objects that were not on disk and that the bucket did not have either.";
    bucket_failed_reads: IntCounter = "larder_bucket_failed_reads_total"
        [] "Misses because the bucket failed, was too slow or was not asked after failures.";
    bucket_absent_hits: IntCounter = "larder_bucket_absent_hits_total"
        [] "Misses answered without asking the bucket, because it did not have the object a moment ago.";
    bucket_shared_reads: IntCounter = "larder_bucket_shared_reads_total"
        [] "Requests that joined another request's read from the bucket.";
    bucket_damaged: IntCounter = "larder_bucket_damaged_total"
        [] "Bodies from the bucket that were not whole and were not stored.";
    bucket_received_bytes: IntCounter = "larder_bucket_received_bytes_total"
        [] "Bytes of bodies read from the bucket.";
    bucket_sent_bytes: IntCounter = "larder_bucket_sent_bytes_total"
        [] "Bytes of bodies written to the bucket.";
    bucket_breaker: IntGauge = "larder_bucket_breaker"
        [] "0: the bucket is asked; 1: one call finds out whether it is back; 2: it failed and is left alone.";
    bucket_queue_objects: IntGauge = "larder_bucket_queue_objects"
        [] "Objects that wait to be written to the bucket, or to be deleted from it.";
    bucket_queue_bytes: IntGauge = "larder_bucket_queue_bytes"
        [] "Bytes of the bodies that wait to be written to the bucket.";
    bucket_queue_age: IntGauge = "larder_bucket_queue_age_seconds"
        [] "Seconds that the object that waits longest for the bucket has waited.";
    bucket_not_queued: IntCounter = "larder_bucket_not_queued_total"
        [] "Objects stored on disk only, because the queue to the bucket was full. They are queued later, where they are still there.";
    bucket_objects: IntGauge = "larder_bucket_objects"
        [] "Objects in the bucket, as of the last listing and what was written since.";
    bucket_bytes: IntGauge = "larder_bucket_bytes"
        [] "Bytes of the bodies in the bucket, likewise.";
    bucket_capacity_bytes: IntGauge = "larder_bucket_capacity_bytes"
        [] "Configured capacity of the bucket in bytes; 0: none.";
    bucket_removed: IntCounterVec = "larder_bucket_removed_total" ["reason"]
        "Objects removed from the bucket, by reason (capacity, expired, idle, deleted, damaged).";
    ready: IntGauge = "larder_ready"
        [] "1 once the index is loaded, else 0.";
}

impl Metrics {
    /// The registry that `/metrics` renders.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Failures begin at 0: a series that begins with its first failure hides it from `rate` and `increase`, and so from alerts.
    fn begin_failures(&self) {
        for operation in ["read", "write", "sync", "index"] {
            let _at_zero = self.store_errors.with_label_values(&[operation]);
        }
        for reason in ["connections", "memory"] {
            let _at_zero = self.refused.with_label_values(&[reason]);
        }
    }
}
