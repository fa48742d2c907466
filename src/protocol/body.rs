//! Response bodies that come in chunks from an async source: [`Streamed`].
//!
//! Owns the step from the cache's `next_chunk` to an `http_body::Body` of exactly known length. It must not
//! know what the bytes mean.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use prometheus::IntCounter;

use crate::cache::{BodyPart, CacheError, ObjectBody};
use crate::protocol::handoff::FileQueue;

/// Something that hands out a body in chunks.
pub trait Source: Send + Sized + 'static {
    /// The next chunk, never empty; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Chunk> + Send;

    /// The next chunk where it is there already. Nothing is lost by asking.
    fn try_next(&mut self) -> Poll<Chunk> {
        Poll::Pending
    }

    /// Bytes not yet handed out, where that is known.
    fn remaining(&self) -> Option<u64>;
}

impl Source for ObjectBody {
    async fn next(&mut self) -> Result<Option<BodyPart>, CacheError> {
        self.next_part().await
    }

    fn try_next(&mut self) -> Poll<Chunk> {
        self.try_next_part()
    }

    fn remaining(&self) -> Option<u64> {
        Some(ObjectBody::remaining(self))
    }
}

/// A response body whose first chunk is already there, so that most objects go out as one piece and most
/// failures are found before the status line is sent.
///
/// The source, with the permit it may hold, is kept until the body is dropped.
pub struct Streamed<S> {
    first: Option<BodyPart>,
    source: Reading<S>,
    /// Bytes that still have to come, the first chunk included.
    left: Option<u64>,
    sent_bytes: Option<IntCounter>,
    /// Where parts of files go that the source hands out.
    files: Option<FileQueue>,
}

enum Reading<S> {
    Idle(S),
    Busy(Pin<Box<dyn Future<Output = (S, Chunk)> + Send>>),
    Ended,
}

type Chunk = Result<Option<BodyPart>, CacheError>;

impl<S: Source> Streamed<S> {
    /// Reads the first chunk. `sent_bytes` counts what is handed to the connection.
    ///
    /// # Errors
    /// Those of the source, for the first chunk.
    pub async fn start(source: S, sent_bytes: Option<IntCounter>) -> Result<Self, CacheError> {
        match Self::try_start(source, sent_bytes.clone()) {
            Ok(started) => started,
            Err(mut source) => {
                let left = source.remaining();
                let first = source.next().await?;
                Ok(Self::started(left, first, source, sent_bytes))
            }
        }
    }

    /// The same where the first chunk is there already. Else the source comes back.
    ///
    /// # Errors
    /// The source, when it has to be waited for.
    pub fn try_start(mut source: S, sent_bytes: Option<IntCounter>) -> Result<Result<Self, CacheError>, S> {
        let left = source.remaining();
        let first = match left {
            Some(0) => Ok(None),
            _ => match source.try_next() {
                Poll::Ready(first) => first,
                Poll::Pending => return Err(source),
            },
        };
        Ok(first.map(|first| Self::started(left, first, source, sent_bytes)))
    }

    fn started(
        left: Option<u64>,
        first: Option<BodyPart>,
        source: S,
        sent_bytes: Option<IntCounter>,
    ) -> Self {
        // Where all of it came in one piece, its length is known after all.
        let in_one_piece = left.is_none() && source.remaining() == Some(0);
        let left = if in_one_piece { Some(first.as_ref().map_or(0, BodyPart::len)) } else { left };
        Self { first, source: Reading::Idle(source), left, sent_bytes, files: None }
    }

    /// Lets the source hand out parts of files: the connection sends what is in `files`.
    #[must_use]
    pub fn sending_files(mut self, files: Option<FileQueue>) -> Self {
        self.files = files;
        self
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Chunk> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Ok(Some(first)));
        }
        let mut reading = match std::mem::replace(&mut self.source, Reading::Ended) {
            Reading::Idle(mut source) => {
                if let Poll::Ready(chunk) = source.try_next() {
                    self.source = Reading::Idle(source);
                    return Poll::Ready(chunk);
                }
                Box::pin(async move {
                    let chunk = source.next().await;
                    (source, chunk)
                })
            }
            Reading::Busy(reading) => reading,
            Reading::Ended => return Poll::Ready(Ok(None)),
        };
        match reading.as_mut().poll(cx) {
            Poll::Ready((source, chunk)) => {
                self.source = Reading::Idle(source);
                Poll::Ready(chunk)
            }
            Poll::Pending => {
                self.source = Reading::Busy(reading);
                Poll::Pending
            }
        }
    }
}

/// The source is never pinned in place: to be polled it moves into a box of its own.
impl<S> Unpin for Streamed<S> {}

impl<S: Source> Body for Streamed<S> {
    type Data = Bytes;
    type Error = CacheError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CacheError>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let chunk = match ready!(self.poll_chunk(cx)) {
            Ok(Some(chunk)) => chunk,
            Ok(None) if self.left.is_none() => return Poll::Ready(None),
            // The head has promised more than came: the connection must break, or the client would wait.
            Ok(None) => return Poll::Ready(Some(Err(CacheError::Vanished))),
            Err(error) => {
                tracing::warn!(%error, "a body could not be sent to its end");
                self.source = Reading::Ended;
                return Poll::Ready(Some(Err(error)));
            }
        };
        let length = chunk.len();
        let chunk = match (chunk, &self.files) {
            (BodyPart::Bytes(bytes), _) => bytes,
            (BodyPart::File(part), Some(files)) => files.push(part),
            (BodyPart::File(_), None) => return Poll::Ready(Some(Err(CacheError::Vanished))),
        };
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(length);
        }
        if let Some(sent_bytes) = &self.sent_bytes {
            sent_bytes.inc_by(length);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::BodyExt as _;

    use super::*;

    struct Parts {
        chunks: VecDeque<Chunk>,
        length: Option<u64>,
    }

    impl Source for Parts {
        async fn next(&mut self) -> Chunk {
            tokio::task::yield_now().await;
            self.chunks.pop_front().unwrap_or(Ok(None))
        }

        fn remaining(&self) -> Option<u64> {
            self.length
        }
    }

    fn parts(length: Option<u64>, chunks: Vec<Chunk>) -> Parts {
        Parts { chunks: chunks.into(), length }
    }

    fn chunk(text: &'static str) -> Chunk {
        Ok(Some(BodyPart::Bytes(Bytes::from_static(text.as_bytes()))))
    }

    #[tokio::test]
    async fn chunks_come_in_order_and_are_counted() {
        let counter = IntCounter::new("sent", "sent").unwrap();
        for length in [Some(6), None] {
            let source = parts(length, vec![chunk("abc"), chunk("d"), chunk("ef")]);
            let body = Streamed::start(source, Some(counter.clone())).await.unwrap();
            assert_eq!(body.size_hint().exact(), length);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "abcdef");
        }
        assert_eq!(counter.get(), 12);
    }

    #[tokio::test]
    async fn an_empty_body_is_at_its_end_at_once() {
        let body = Streamed::start(parts(Some(0), vec![]), None).await.unwrap();
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_an_error_and_not_an_end() {
        let body = Streamed::start(parts(Some(6), vec![chunk("abc")]), None).await.unwrap();
        assert!(matches!(body.collect().await, Err(CacheError::Vanished)));
    }

    #[tokio::test]
    async fn a_failure_of_the_first_chunk_is_known_before_the_answer_begins() {
        let broken = parts(Some(6), vec![Err(CacheError::Vanished)]);
        assert!(matches!(Streamed::start(broken, None).await, Err(CacheError::Vanished)));
    }
}
