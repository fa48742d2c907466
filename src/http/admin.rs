//! The server's own pages: `/-/healthy`, `/-/ready`, `/metrics`. `/-/` and `/-/token` are beside it, and
//! everything else below `/-/` is a 404 that says so.
//!
//! These answer however busy the server is, so they must not touch the store beyond a look at its state.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::TextEncoder;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::analytics::Analytics;
use crate::cache::{BucketStatus, Cache};
use crate::metrics::Metrics;
use crate::protocol::error::{ErrorCode, Refusal};

#[derive(Clone)]
struct Pages {
    cache: Cache,
    analytics: Analytics,
    metrics: Metrics,
}

/// True for the paths that [`router`] answers, and that no object can have.
pub(super) fn owns(path: &str) -> bool {
    path == "/metrics" || path == "/-" || path.starts_with("/-/")
}

/// The pages as a router of their own. They say how things are now: no proxy may keep one.
pub(super) fn router(cache: Cache, analytics: Analytics, metrics: Metrics) -> Router {
    Router::new()
        .route("/-/healthy", get(async || "ok\n"))
        .route("/-/ready", get(ready))
        .route("/metrics", get(render))
        .fallback(unknown)
        .layer(SetResponseHeaderLayer::overriding(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .with_state(Pages { cache, analytics, metrics })
}

async fn ready(State(pages): State<Pages>) -> Response<Body> {
    if pages.cache.is_ready() {
        // Ready whatever the bucket says: the disk serves, and what it does not have is a miss.
        let bucket = pages.cache.bucket_status().map(|status| told(&status)).unwrap_or_default();
        return format!("ready\n{bucket}").into_response();
    }
    let text = "the index is still being loaded, ask again shortly";
    Refusal::new(ErrorCode::NotReady, text).into_response()
}

/// One line on how the bucket is.
fn told(status: &BucketStatus) -> String {
    // Anybody may read this page. What a store says at length, names of accounts among it, is in the log.
    let error = status.last_error.as_deref().unwrap_or_default();
    let error = error.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ");
    let state = match status.failing_for {
        None => "ok".to_owned(),
        Some(time) if status.is_up => format!("ok, but failed {} s ago ({error})", time.as_secs()),
        Some(time) => format!("failing since {} s ({error}), reads are misses", time.as_secs()),
    };
    let queue = match status.queue_objects {
        0 => String::new(),
        1 => format!(", 1 object ({}) waits to be uploaded", megabytes(status.queue_bytes)),
        objects => format!(", {objects} objects ({}) wait to be uploaded", megabytes(status.queue_bytes)),
    };
    format!("bucket {}: {state}{queue}\n", status.url)
}

/// Rounded up, so that what waits is never nothing.
fn megabytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

async fn render(State(pages): State<Pages>) -> Response<Body> {
    pages.cache.update_gauges();
    pages.analytics.update_gauges();
    match TextEncoder::new().encode_to_string(&pages.metrics.registry().gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written as text");
            Refusal::new(ErrorCode::Internal, "the metrics could not be written").into_response()
        }
    }
}

async fn unknown(uri: Uri) -> Response<Body> {
    let text = format!(
        "there is no page {}; there are /-/, /-/healthy, /-/ready, /-/token and /metrics",
        uri.path()
    );
    Refusal::new(ErrorCode::NotFound, text).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BucketStatus, owns, told};

    #[test]
    fn the_bucket_is_told_in_one_line_and_no_account_in_it() {
        let status = BucketStatus {
            url: "s3://ci/larder".to_owned(),
            is_up: true,
            failing_for: None,
            last_error: None,
            queue_objects: 0,
            queue_bytes: 0,
        };
        assert_eq!(told(&status), "bucket s3://ci/larder: ok\n");
        let waiting = BucketStatus { queue_objects: 1, queue_bytes: 5, ..status.clone() };
        assert_eq!(told(&waiting), "bucket s3://ci/larder: ok, 1 object (1 MiB) waits to be uploaded\n");
        let error =
            "the bucket refuses: 403 AccessDenied: User: arn:aws:iam::123456789012:user/ci is not authorized";
        let failing = BucketStatus {
            is_up: false,
            failing_for: Some(Duration::from_millis(12_900)),
            last_error: Some(error.to_owned()),
            queue_objects: 17,
            queue_bytes: 3 << 20,
            ..status
        };
        assert_eq!(
            told(&failing),
            "bucket s3://ci/larder: failing since 12 s (the bucket refuses: 403 AccessDenied), reads are misses, 17 objects \
             (3 MiB) wait to be uploaded\n"
        );
        let once = BucketStatus { is_up: true, queue_objects: 0, ..failing };
        assert!(told(&once).contains("ok, but failed 12 s ago (the bucket refuses: 403 AccessDenied)\n"));
    }

    #[test]
    fn own_pages_are_told_from_keys() {
        for own in ["/metrics", "/-", "/-/healthy", "/-/nothing"] {
            assert!(owns(own), "{own}");
        }
        for key in ["/", "/metrics/a", "/metricsx", "/-x", "/a/-/b"] {
            assert!(!owns(key), "{key}");
        }
    }
}
