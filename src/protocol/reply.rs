//! What a request is answered with: [`Reply`].
//!
//! Most requests of a build are answered without waiting for anything: a hit that is in memory, a miss. For these no future is
//! made. One for all that a request may wait for has some thousand bytes, and whoever polls it moves it several times before.

use std::pin::Pin;

use axum::response::Response;

/// An answer, there or to come.
pub enum Reply {
    /// There.
    Now(Response),
    /// Once something has been waited for.
    Later(Pin<Box<dyn Future<Output = Response> + Send>>),
}

impl Reply {
    /// The answer that `waiting` ends with.
    pub fn later(waiting: impl Future<Output = Response> + Send + 'static) -> Self {
        Self::Later(Box::pin(waiting))
    }

    /// The answer, for callers that can wait for it.
    pub async fn response(self) -> Response {
        match self {
            Self::Now(response) => response,
            Self::Later(waiting) => waiting.await,
        }
    }
}
