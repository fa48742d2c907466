//! The tier behind the disk: a bucket that objects are read from when the disk has none, and written to behind the writers.
//!
//! Owns what all of that shares: where an object lies in the bucket ([`layout`]), whether the bucket is asked at all
//! ([`breaker`], [`absent`]), and what is known of it ([`catalogue`]). A bucket that fails makes misses, never errors.

mod absent;
mod breaker;
mod catalogue;
mod layout;

use std::time::{Duration, Instant};

use self::absent::Absent;
use self::breaker::Breaker;
use self::catalogue::Catalogue;
use self::layout::Layout;
use super::CacheOptions;
use crate::bucket::{Bucket, BucketError, BucketPath};
use crate::config::BucketConfig;
use crate::key::ObjectName;
use crate::metrics::Metrics;

/// What is done to the bucket, as the metrics name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Get,
    Head,
    Put,
    Delete,
    List,
}

impl Operation {
    fn label(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "head",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

/// The bucket and what is known of it.
pub(super) struct Tier {
    pub(super) bucket: Bucket,
    pub(super) options: BucketConfig,
    pub(super) catalogue: Catalogue,
    pub(super) absent: Absent,
    pub(super) breaker: Breaker,
    layout: Layout,
    metrics: Metrics,
}

impl Tier {
    pub(super) fn new(bucket: Bucket, options: &CacheOptions, metrics: Metrics) -> Self {
        let own = options.bucket.clone();
        Self {
            bucket,
            catalogue: Catalogue::open(
                options.data_dir.join("bucket"),
                own.url.as_deref().unwrap_or_default(),
            ),
            absent: Absent::new(own.absent_for),
            breaker: Breaker::default(),
            layout: Layout::new(options),
            options: own,
            metrics,
        }
    }

    /// Where an object lies in the bucket. `None`: nowhere, it stays on the disk.
    pub(super) fn path(&self, name: &ObjectName) -> Option<BucketPath> {
        self.bucket.path(&self.layout.below(name)?)
    }

    /// Whose object lies at `path`; `None` where it is nobody's.
    pub(super) fn name(&self, path: &BucketPath) -> Option<ObjectName> {
        self.layout.name(self.bucket.below(path)?)
    }

    /// Makes one call, where the breaker lets it, in at most `limit`; counts it and tells the breaker how it went.
    ///
    /// # Errors
    /// The call's, `TooSlow`, and `Unavailable` where the breaker is open.
    pub(super) async fn call<T>(
        &self,
        operation: Operation,
        limit: Duration,
        call: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let Some(admitted) = self.breaker.admit() else {
            self.count(operation, "not_tried");
            return Err(BucketError::Unavailable(
                "it failed a moment ago, and is left alone for a while".into(),
            ));
        };
        let began = Instant::now();
        let answer = tokio::time::timeout(limit, call).await.unwrap_or(Err(BucketError::TooSlow(limit)));
        self.metrics
            .bucket_seconds
            .with_label_values(&[operation.label()])
            .observe(began.elapsed().as_secs_f64());
        let (outcome, is_failure) = match &answer {
            Ok(_) => ("ok", false),
            Err(BucketError::NotFound) => ("not_found", false),
            Err(BucketError::Exists) => ("exists", false),
            Err(BucketError::Unavailable(_)) => ("unavailable", true),
            Err(BucketError::TooSlow(_)) => ("too_slow", true),
            Err(BucketError::Refused(_)) => ("refused", true),
        };
        self.count(operation, outcome);
        admitted.report(is_failure);
        self.metrics.bucket_breaker.set(self.breaker.state().gauge());
        answer
    }

    fn count(&self, operation: Operation, outcome: &str) {
        self.metrics.bucket_requests.with_label_values(&[operation.label(), outcome]).inc();
    }
}
