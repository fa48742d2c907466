//! `/-/api/summary`: everything at a glance, gathered from metrics, cache and analytics at the moment it is asked for.
//!
//! Owns where each number comes from. It must not judge them.

use std::collections::BTreeMap;

use axum::http::header;
use axum::http::request::Parts;
use prometheus::IntGauge;

use super::health::{self, Signs};
use super::recent::by_label;
use crate::analytics::counts::NamespaceTotals;
use crate::analytics::summary::{BucketSummary, ClientSummary, NamespaceSummary, Summary};
use crate::cache::BucketStatus;
use crate::http::Shared;

pub(super) fn gather(shared: &Shared, request: &Parts) -> Summary {
    let Shared { metrics, analytics, cache, facts, .. } = shared;
    cache.update_gauges();
    let totals = analytics.totals();
    let evictions: BTreeMap<_, _> = by_label(&metrics.evictions).into_iter().collect();
    let bucket = cache.bucket_status().map(bucket);
    let signs = Signs {
        is_ready: cache.is_ready(),
        index_on_disk: cache.is_index_on_disk(),
        capacity_bytes: read(&metrics.capacity_bytes),
        disk_bytes: read(&metrics.disk_bytes),
        free_disk_bytes: read(&metrics.free_disk_bytes),
        min_free_disk: facts.min_free_disk,
        last_evicted_age_seconds: read(&metrics.last_evicted_age),
        bucket: bucket.clone(),
        recent: facts.recent.last_hour(metrics),
    };
    Summary {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: facts.started.elapsed().as_secs(),
        ready: signs.is_ready,
        url_hints: vec![url_hint(shared, request)],
        capacity_bytes: signs.capacity_bytes,
        disk_bytes: signs.disk_bytes,
        stored_objects: read(&metrics.stored_objects),
        stored_bytes: read(&metrics.stored_bytes),
        hits: totals.hits,
        misses: totals.misses,
        hit_ratio: totals.hit_ratio(),
        hit_bytes: totals.hit_bytes,
        time_saved_seconds: totals.time_saved_seconds,
        requests_in_flight: read(&metrics.in_flight),
        connections: read(&metrics.connections),
        received_bytes: metrics.received_bytes.get(),
        sent_bytes: metrics.sent_bytes.get(),
        last_evicted_age_seconds: (!evictions.is_empty()).then_some(signs.last_evicted_age_seconds),
        evictions,
        never_read_share: None,
        namespaces: analytics.namespaces().filter_map(|totals| namespace(shared, &totals)).collect(),
        curve: None,
        bucket,
        clients: analytics
            .clients()
            .into_iter()
            .map(|(client, requests)| ClientSummary { client, requests })
            .collect(),
        health: health::judge(&signs),
    }
}

/// A namespace that nobody configured is shown only while there is something in it.
fn namespace(shared: &Shared, counted: &NamespaceTotals<'_>) -> Option<NamespaceSummary> {
    let metrics = &shared.metrics;
    let label = [counted.name];
    let objects = read(&metrics.namespace_objects.with_label_values(&label));
    let is_configured = !counted.name.starts_with('(');
    (is_configured || objects > 0).then(|| NamespaceSummary {
        name: counted.name.to_owned(),
        objects,
        disk_bytes: read(&metrics.namespace_disk_bytes.with_label_values(&label)),
        quota_bytes: read(&metrics.namespace_quota_bytes.with_label_values(&label)),
        hits: counted.totals.hits,
        misses: counted.totals.misses,
        time_saved_seconds: counted.totals.time_saved_seconds,
    })
}

fn bucket(status: BucketStatus) -> BucketSummary {
    BucketSummary {
        url: status.url,
        is_up: status.is_up,
        failing_for_seconds: status.failing_for.map(|time| time.as_secs()),
        last_error: status.last_error,
        queue_objects: status.queue_objects,
        queue_bytes: status.queue_bytes,
    }
}

/// The address by which the caller got here, which others may use as well. A header can say anything; what is no host and port
/// is not repeated.
fn url_hint(shared: &Shared, request: &Parts) -> String {
    let scheme = if shared.facts.has_tls { "https" } else { "http" };
    let named = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = named.or_else(|| request.uri.authority().map(axum::http::uri::Authority::as_str));
    let is_plain = |host: &&str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
    };
    match named.filter(is_plain) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", shared.facts.listen),
    }
}

fn read(gauge: &IntGauge) -> u64 {
    u64::try_from(gauge.get()).unwrap_or(0)
}
