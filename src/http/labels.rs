//! The metrics' label values, resolved once: a request finds its counters by index instead of hashing strings.
//!
//! The one place that knows which label values there are and in which order.

use std::sync::OnceLock;

use axum::http::{Method, StatusCode};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use crate::metrics::Metrics;
use crate::protocol::operation::{MethodLabel, Operation, Protocol};

/// The protocols and, last, the server's own pages.
const PROTOCOLS: usize = Protocol::ALL.len() + 1;
const METHODS: usize = MethodLabel::ALL.len();
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The labels of one request: its protocol, or the server's own pages, and its method.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLabels {
    protocol: Option<Protocol>,
    method: MethodLabel,
}

impl RequestLabels {
    /// What is known before the request is parsed.
    pub(super) fn unparsed(method: &Method) -> Self {
        Self { protocol: Some(Protocol::Plain), method: MethodLabel::of(method) }
    }

    pub(super) fn set_operation(&mut self, operation: &Operation) {
        self.protocol = Some(operation.protocol);
        self.method = operation.method;
    }

    pub(super) fn set_admin(&mut self) {
        self.protocol = None;
    }

    /// The protocol; `None` for the server's own pages.
    pub(super) fn protocol(self) -> Option<Protocol> {
        self.protocol
    }

    pub(super) fn protocol_label(self) -> &'static str {
        self.protocol.map_or("admin", Protocol::as_str)
    }

    fn index(self) -> usize {
        let protocol = self.protocol.map_or(PROTOCOLS - 1, |protocol| protocol as usize);
        protocol * METHODS + self.method as usize
    }
}

/// Counters by label, each made when it is first wanted, so that `/metrics` lists only what occurred.
pub(super) struct Labels {
    pub(super) refused_connections: IntCounter,
    requests: IntCounterVec,
    seconds: HistogramVec,
    by_request: Vec<Handles>,
}

#[derive(Default)]
struct Handles {
    answered: [OnceLock<IntCounter>; CLASSES.len()],
    seconds: OnceLock<Histogram>,
}

impl Labels {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            refused_connections: metrics.refused.with_label_values(&["connections"]),
            requests: metrics.requests.clone(),
            seconds: metrics.request_seconds.clone(),
            by_request: (0..PROTOCOLS * METHODS).map(|_| Handles::default()).collect(),
        }
    }

    /// Counts an answer.
    pub(super) fn answered(&self, labels: RequestLabels, status: StatusCode) {
        let class = (usize::from(status.as_u16()) / 100).clamp(1, CLASSES.len()) - 1;
        self.by_request[labels.index()].answered[class]
            .get_or_init(|| {
                self.requests.with_label_values(&[
                    labels.protocol_label(),
                    labels.method.as_str(),
                    CLASSES[class],
                ])
            })
            .inc();
    }

    /// Notes how long an answer took, in seconds.
    pub(super) fn observe(&self, labels: RequestLabels, seconds: f64) {
        self.by_request[labels.index()]
            .seconds
            .get_or_init(|| {
                self.seconds.with_label_values(&[labels.protocol_label(), labels.method.as_str()])
            })
            .observe(seconds);
    }
}
