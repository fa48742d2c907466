//! A request's body: read in chunks, and thrown away properly when nobody wants it.
//!
//! A client that is still sending when the connection closes gets a reset and never reads the answer. So the
//! rest of an unwanted body is read in the background, up to a limit. It must not know what a body is for.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use prometheus::IntCounter;

use crate::protocol::error::{ErrorCode, Refusal};

/// Most bytes of an unwanted body that are read.
const DISCARD_BYTES: u64 = 16 << 20;
/// Longest time for which an unwanted body is read.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// A request's body. Every user ends with [`Incoming::discard`].
pub struct Incoming {
    body: Body,
    declared: Option<u64>,
    expects_continue: bool,
    polled: bool,
    /// Absent where there is no body, so that reads do not share one more cache line.
    received_bytes: Option<IntCounter>,
}

/// What is to become of the connection after an unwanted body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leftover {
    /// The next request can follow.
    None,
    /// The client waits for `100 Continue`. It is not known whether it will send the body after a refusal,
    /// so nothing on this connection can be trusted to be the next request.
    MustClose,
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// The client went away, stalled, or broke the transfer coding.
    #[error("the request's body ended before it was complete: {0}")]
    Broken(axum::Error),
    /// Longer than the caller takes, in bytes.
    #[error("the request's body is longer than {0} bytes")]
    TooLong(usize),
}

impl Incoming {
    /// Wraps the body of a request with these headers. `received_bytes` counts what is read.
    #[must_use]
    pub fn new(headers: &HeaderMap, body: Body, received_bytes: &IntCounter) -> Self {
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        Self {
            declared: text(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            expects_continue: text(EXPECT).is_some_and(|value| value.eq_ignore_ascii_case("100-continue")),
            received_bytes: (!body.is_end_stream()).then(|| received_bytes.clone()),
            body,
            polled: false,
        }
    }

    /// Length in bytes, where the client declared one.
    #[must_use]
    pub fn declared_length(&self) -> Option<u64> {
        self.declared
    }

    /// The next part; `None` at the end. The first call is what sends `100 Continue`.
    ///
    /// # Errors
    /// [`IncomingError::Broken`].
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, IncomingError> {
        self.polled = true;
        while let Some(frame) = self.body.frame().await {
            // Trailers carry nothing that is used here.
            if let Ok(data) = frame.map_err(IncomingError::Broken)?.into_data() {
                if let Some(received_bytes) = &self.received_bytes {
                    received_bytes.inc_by(data.len() as u64);
                }
                if !data.is_empty() {
                    return Ok(Some(data));
                }
            }
        }
        Ok(None)
    }

    /// The whole body, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`IncomingError`].
    pub async fn read_all(&mut self, limit: usize) -> Result<Bytes, IncomingError> {
        if self.declared.is_some_and(|declared| declared > limit as u64) {
            return Err(IncomingError::TooLong(limit));
        }
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next_chunk().await? {
            if all.len() + chunk.len() > limit {
                return Err(IncomingError::TooLong(limit));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// True when there is no body, as far as can be told without waiting for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.is_end_stream() || self.declared == Some(0)
    }

    /// Lets go of the body; what is left of it is read in the background, up to a limit.
    #[must_use]
    pub fn discard(mut self) -> Leftover {
        if self.is_empty() {
            return Leftover::None;
        }
        if self.expects_continue && !self.polled {
            return Leftover::MustClose;
        }
        tokio::spawn(tokio::time::timeout(DISCARD_TIME, async move {
            let mut read = 0;
            while let Ok(Some(chunk)) = self.next_chunk().await {
                read += chunk.len() as u64;
                if read > DISCARD_BYTES {
                    break;
                }
            }
        }));
        Leftover::None
    }
}

impl From<IncomingError> for Refusal {
    fn from(error: IncomingError) -> Self {
        let code = match &error {
            IncomingError::Broken(_) => ErrorCode::IncompleteBody,
            IncomingError::TooLong(_) => ErrorCode::TooLarge,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(headers: &[(&'static str, &'static str)], body: impl Into<Body>) -> Incoming {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>();
        Incoming::new(&headers, body.into(), &IntCounter::new("received", "received").unwrap())
    }

    #[tokio::test]
    async fn what_is_read_is_counted() {
        let mut body = incoming(&[("content-length", "5")], "12345");
        assert_eq!(body.declared_length(), Some(5));
        assert_eq!(body.read_all(5).await.unwrap(), "12345");
        assert_eq!(body.received_bytes.as_ref().map(IntCounter::get), Some(5));
        assert_eq!(body.discard(), Leftover::None);
    }

    #[tokio::test]
    async fn a_limit_holds_with_and_without_a_declared_length() {
        for headers in [&[("content-length", "5")][..], &[]] {
            let mut body = incoming(headers, "12345");
            assert!(matches!(body.read_all(4).await, Err(IncomingError::TooLong(4))));
        }
    }

    #[tokio::test]
    async fn only_an_unanswered_expectation_closes_the_connection() {
        let expecting = [("expect", "100-Continue"), ("content-length", "5")];
        assert_eq!(incoming(&expecting, "12345").discard(), Leftover::MustClose);
        let mut begun = incoming(&expecting, "12345");
        begun.next_chunk().await.unwrap();
        assert_eq!(begun.discard(), Leftover::None);
        assert_eq!(incoming(&[], "12345").discard(), Leftover::None);
        assert_eq!(incoming(&[("expect", "100-continue")], Body::empty()).discard(), Leftover::None);
    }
}
