//! Requests on a connection of HTTP/2: each has a watch and a watchdog of its own, so that one that stalls is ended while the
//! others go on.
//!
//! hyper makes a future of each request, answer included, and has it run by an executor. That is where the watchdog sits: a
//! body is not asked for more while its client takes nothing, so the body itself could not keep the time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Bytes;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use tokio::task::futures::TaskLocalFuture;

use crate::http::Answer;
use crate::server::Limits;
use crate::server::drain::Entry;
use crate::server::pace::{Overdue, Pace};
use crate::server::watch::{Part, Watch};
use crate::server::watchdog::{Verdict, Watchdog};

tokio::task_local! {
    static STREAM: Arc<Stream>;
}

/// What is known of one request. The connection is busy for as long as anything holds this.
pub(super) struct Stream {
    pub(super) watch: Arc<Watch>,
    connection: Arc<Watch>,
    _parts: [Part; 2],
}

impl Stream {
    /// The stream whose future is being polled.
    pub(super) fn current() -> Arc<Self> {
        // Outside of the executor below, which does not happen, nobody looks at the watch.
        STREAM.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Self::on(Arc::default())))
    }

    /// A new one on a connection.
    fn on(connection: Arc<Watch>) -> Self {
        let watch = Arc::new(Watch::default());
        let parts = [watch.begin_request(), connection.join_request()];
        Self { watch, connection, _parts: parts }
    }
}

/// Runs the futures that hyper makes of requests.
#[derive(Clone)]
pub(super) struct Streams {
    connection: Arc<Watch>,
    entry: Arc<Entry>,
    limits: Limits,
}

impl Streams {
    pub(super) fn new(connection: Arc<Watch>, entry: Arc<Entry>, limits: Limits) -> Self {
        Self { connection, entry, limits }
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, future: F) {
        let stream = Arc::new(Stream::on(Arc::clone(&self.connection)));
        tokio::spawn(Watched {
            future: Some(Box::pin(STREAM.scope(Arc::clone(&stream), future))),
            stream,
            watchdog: None,
            entry: Arc::clone(&self.entry),
            limits: self.limits,
        });
    }
}

/// A future that finds its stream in [`Stream::current`].
type Scoped<F> = Pin<Box<TaskLocalFuture<Arc<Stream>, F>>>;

/// A request's future under its watchdog. Dropping the future resets the stream.
struct Watched<F> {
    future: Option<Scoped<F>>,
    stream: Arc<Stream>,
    /// Made when the request has to wait for the first time: most never do.
    watchdog: Option<Watchdog>,
    entry: Arc<Entry>,
    limits: Limits,
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let Some(future) = &mut this.future else {
                return Poll::Ready(());
            };
            if future.as_mut().poll(cx).is_ready() {
                this.future = None;
                return Poll::Ready(());
            }
            let watchdog = this.watchdog.get_or_insert_with(|| {
                let pace = Pace::new(&this.limits, false, Instant::now());
                Watchdog::new(pace, Arc::clone(&this.stream.watch), Arc::clone(&this.entry))
            });
            match watchdog.poll(cx) {
                Verdict::Wait => return Poll::Pending,
                // The connection sees to it that no more requests come.
                Verdict::Finish => {}
                // Not answered yet: the request's own future does that, when it is polled once more.
                Verdict::Overdue(Overdue::Upload) if this.stream.watch.give_up() => {}
                Verdict::Overdue(overdue) => {
                    tracing::debug!(?overdue, "a stream was reset, its client is too slow");
                    this.future = None;
                }
                Verdict::Told => this.future = None,
            }
        }
    }
}

/// An answer's body over HTTP/2.
pub(super) struct Pieces {
    body: Content,
    stream: Arc<Stream>,
}

/// What is sent as a body.
pub(super) enum Content {
    /// What the site answered.
    Answer(Answer),
    /// A text of the server's own, or nothing.
    Text(&'static [u8]),
}

impl Pieces {
    pub(super) fn new(body: Content, stream: Arc<Stream>) -> Self {
        Self { body, stream }
    }
}

impl Body for Pieces {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let polled = match &mut self.body {
            Content::Answer(body) => Pin::new(body).poll_frame(cx),
            Content::Text([]) => Poll::Ready(None),
            Content::Text(text) => {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(std::mem::take(text))))))
            }
        };
        polled.map_ok(|frame| frame.map_data(|bytes| Piece::new(bytes, &self.stream)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Content::Answer(body) => body.is_end_stream(),
            Content::Text(text) => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Content::Answer(body) => body.size_hint(),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
        }
    }
}

/// Bytes of an answer that h2 holds until the client's windows have room. They may outlive the request's future, and then only
/// the connection's watchdog waits for them.
pub(super) struct Piece {
    bytes: Bytes,
    stream: Arc<Stream>,
}

impl Piece {
    fn new(bytes: Bytes, stream: &Arc<Stream>) -> Self {
        stream.watch.note_piece();
        stream.connection.note_piece();
        Self { bytes, stream: Arc::clone(stream) }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.stream.watch.note_sent(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.stream.watch.note_piece_done();
        self.stream.connection.note_piece_done();
    }
}
