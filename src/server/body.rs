//! The bodies of a request and of its answer, as the connection's watchdog needs to see them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::watch::{Part, Watch};
use crate::http::Answer;

/// A request's body. Whoever reads it and has to wait, waits for the client: that is noted.
pub(super) struct Upload {
    body: Incoming,
    /// Present until the body's end. A request without a body never has it, and there is nothing to note of one.
    part: Option<Part>,
    /// Whether the watch is to hear of each byte: true where it is not the connection's own, which counts what it reads.
    counts: bool,
}

impl Upload {
    pub(super) fn new(body: Incoming, watch: &Arc<Watch>) -> Self {
        let part = (!body.is_end_stream()).then(|| watch.part());
        Self { body, part, counts: false }
    }

    /// The body of one request among several on a connection, with a watch for itself.
    pub(super) fn of_stream(body: Incoming, watch: &Arc<Watch>) -> Self {
        let mut upload = Self::new(body, watch);
        upload.counts = true;
        upload
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(part) = &self.part {
            part.watch().note_upload_waits(polled.is_pending());
            if let (true, Poll::Ready(Some(Ok(frame)))) = (self.counts, &polled) {
                part.watch().note_received(frame.data_ref().map_or(0, Bytes::len));
            }
        }
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.part = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Only while it is unfinished may this body be the one that the flag speaks of.
        if let Some(part) = &self.part {
            part.watch().note_upload_waits(false);
        }
    }
}

/// An answer's body; the connection is busy until it is dropped.
pub(super) struct Download {
    body: Answer,
    _part: Part,
}

impl Download {
    pub(super) fn new(body: Answer, part: Part) -> Self {
        Self { body, _part: part }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
