//! The server's own pages: `/-/healthy`, `/-/ready`, `/metrics`. `/-/` and `/-/token` are beside it, and
//! everything else below `/-/` is a 404 that says so.
//!
//! These answer however busy the server is, so they must not touch the store beyond a look at its state.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::TextEncoder;

use crate::cache::Cache;
use crate::metrics::Metrics;
use crate::protocol::error::{ErrorCode, Refusal};

#[derive(Clone)]
struct Pages {
    cache: Cache,
    metrics: Metrics,
}

/// True for the paths that [`router`] answers, and that no object can have.
pub(super) fn owns(path: &str) -> bool {
    path == "/metrics" || path == "/-" || path.starts_with("/-/")
}

/// The pages as a router of their own.
pub(super) fn router(cache: Cache, metrics: Metrics) -> Router {
    Router::new()
        .route("/-/healthy", get(async || "ok\n"))
        .route("/-/ready", get(ready))
        .route("/metrics", get(render))
        .fallback(unknown)
        .with_state(Pages { cache, metrics })
}

async fn ready(State(pages): State<Pages>) -> Response<Body> {
    if pages.cache.is_ready() {
        return "ready\n".into_response();
    }
    let text = "the index is still being loaded, ask again shortly";
    Refusal::new(ErrorCode::NotReady, text).into_response()
}

async fn render(State(pages): State<Pages>) -> Response<Body> {
    pages.cache.update_gauges();
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
    use super::owns;

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
