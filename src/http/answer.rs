//! The body of every answer. It carries the request's [`Record`], so that a request counts as in flight, and
//! its clock runs, until the last byte is handed over or the client is gone.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Body as _, Frame, SizeHint};

use super::record::Record;

/// An answer's body.
pub struct Answer {
    body: Body,
    record: Record,
}

impl Answer {
    pub(super) fn new(body: Body, mut record: Record) -> Self {
        if body.is_end_stream() {
            record.complete();
        }
        Self { body, record }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.record.sent(frame.data_ref().map_or(0, Bytes::len));
                // A body of known length is not polled again to hear that it has ended.
                if self.body.is_end_stream() {
                    self.record.complete();
                }
            }
            Poll::Ready(None) => self.record.complete(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
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
