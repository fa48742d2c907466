//! The body of a request on its way in: its bytes, counted for the log line.
//!
//! It must not judge them: limits and `/metrics` belong to the protocols, time-outs to `server`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

use super::record::Record;

struct Counted<B> {
    body: B,
    bytes: Arc<AtomicU64>,
}

/// `body`, counted if there will be a log line. A request without a body, as every GET is, costs nothing here.
pub(super) fn counted<B>(body: B, record: &Record) -> Body
where
    B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin + 'static,
{
    match record.received_bytes() {
        _ if body.is_end_stream() => Body::empty(),
        Some(bytes) => Body::new(Counted { body, bytes }),
        None => Body::new(body),
    }
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
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
