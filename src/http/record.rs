//! The record of one request: in-flight gauge, metrics and the one log line.
//!
//! It is never told to finish: it is dropped with the answer's body, or with the request when its client goes
//! away before there is an answer. It must not log header values or bodies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::http::{Method, Request, StatusCode, Uri};

use super::labels::RequestLabels;
use super::{Caller, Shared};
use crate::analytics::sessions::Session;
use crate::auth::Principal;
use crate::protocol::operation::{Operation, Protocol};

/// What is noted of a request from its head to the end of its answer.
pub(super) struct Record {
    shared: Arc<Shared>,
    started: Instant,
    id: u64,
    labels: RequestLabels,
    status: Option<StatusCode>,
    sent_bytes: u64,
    complete: bool,
    /// The build that it belongs to.
    session: Option<Arc<Session>>,
    line: Option<Box<Line>>,
}

/// What only the log line needs; made only when the line will be written.
struct Line {
    method: Method,
    uri: Uri,
    peer: SocketAddr,
    /// Whose request it is, once that is known. Nobody's: the server's own pages, refused credentials.
    principal: Option<Principal>,
    received_bytes: Arc<AtomicU64>,
}

impl Record {
    pub(super) fn begin<B>(shared: &Arc<Shared>, request: &Request<B>, caller: &Caller) -> Self {
        shared.metrics.in_flight.inc();
        let line = tracing::enabled!(target: "larder::request", tracing::Level::DEBUG).then(|| {
            Box::new(Line {
                method: request.method().clone(),
                uri: request.uri().clone(),
                peer: caller.peer,
                principal: None,
                received_bytes: Arc::default(),
            })
        });
        Self {
            shared: Arc::clone(shared),
            started: Instant::now(),
            id: shared.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            labels: RequestLabels::unparsed(request.method()),
            status: None,
            sent_bytes: 0,
            complete: false,
            session: None,
            line,
        }
    }

    /// Number of the request since the start of the server; what a 500 tells the client to look for.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Where the bytes of the request's body are to be counted for the log line, if there will be one.
    pub(super) fn received_bytes(&self) -> Option<Arc<AtomicU64>> {
        self.line.as_ref().map(|line| Arc::clone(&line.received_bytes))
    }

    /// The protocol of the request, as far as it is known.
    pub(super) fn protocol(&self) -> Protocol {
        self.labels.protocol().unwrap_or(Protocol::Plain)
    }

    pub(super) fn is_admin(&mut self) {
        self.labels.set_admin();
    }

    pub(super) fn is_operation(&mut self, operation: &Operation) {
        self.labels.set_operation(operation);
    }

    pub(super) fn is_from(&mut self, principal: &Principal) {
        if let Some(line) = &mut self.line {
            line.principal = Some(principal.clone());
        }
    }

    /// Notes the build that the request belongs to.
    pub(super) fn is_of(&mut self, session: Option<&Arc<Session>>) {
        self.session = session.cloned();
    }

    /// Notes the answer's status. Counted here and not at the end of the body, so that a client that has its
    /// answer finds it counted.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.shared.labels.answered(self.labels, status);
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    /// The answer's body was handed over to its end.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    fn log(&self, line: &Line, seconds: f64) {
        // A HEAD's body is never asked for.
        let complete = self.complete || line.method == Method::HEAD;
        tracing::debug!(
            target: "larder::request",
            id = self.id,
            peer = %line.peer,
            principal = line.principal.as_ref().map(tracing::field::display),
            protocol = self.labels.protocol_label(),
            method = %line.method,
            path = line.uri.path(),
            // No answer: the client went away first.
            status = self.status.map(|status| status.as_u16()),
            received_bytes = line.received_bytes.load(Ordering::Relaxed),
            sent_bytes = self.sent_bytes,
            complete,
            seconds,
            "request",
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        if self.status.is_some() {
            self.shared.labels.observe(self.labels, seconds);
        }
        if let Some(session) = &self.session {
            self.shared.analytics.answered(session, seconds, self.sent_bytes);
        }
        if let Some(line) = &self.line {
            self.log(line, seconds);
        }
        // Last, so that whoever sees the gauge return finds everything else noted.
        self.shared.metrics.in_flight.dec();
    }
}
