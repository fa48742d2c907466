//! Every answer: [`Answering`] until it is there, [`Answer`] as its body. That carries the request's [`Record`], so that a
//! request counts as in flight, and its clock runs, until the last byte is handed over or the client is gone.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::Response;
use http_body::{Body as _, Frame, SizeHint};

use super::record::Record;

/// An answer, there already or to come. Not to be polled once it was handed out.
pub struct Answering(State);

enum State {
    Now(Option<Response<Answer>>),
    Later(Pin<Box<dyn Future<Output = Response<Answer>> + Send>>),
}

impl Answering {
    pub(super) fn now(response: Response<Answer>) -> Self {
        Self(State::Now(Some(response)))
    }

    pub(super) fn later(waiting: impl Future<Output = Response<Answer>> + Send + 'static) -> Self {
        Self(State::Later(Box::pin(waiting)))
    }

    /// Whether the answer is there.
    #[cfg(test)]
    pub(super) fn is_there(&self) -> bool {
        matches!(self.0, State::Now(_))
    }
}

impl Future for Answering {
    type Output = Response<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Answer>> {
        match &mut self.0 {
            // Nobody asks a future again once it was ready; who does is told to wait, for ever.
            State::Now(response) => response.take().map_or(Poll::Pending, Poll::Ready),
            State::Later(waiting) => waiting.as_mut().poll(cx),
        }
    }
}

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
