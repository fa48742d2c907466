//! HTTP/2 on one connection over TLS: hyper speaks it within the limits set here, the connection's watchdog ends it when its
//! client is too slow as a whole, and each request has a watchdog of its own (`streams`).

mod streams;

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Limits;
use super::body::Upload;
use super::connection::{End, Visit};
use super::drain::Entry;
use super::http1::MAX_HEAD_BYTES;
use super::pace::Overdue;
use super::watch::Watch;
use super::watchdog::{Cut, Verdict, Watchdog};
use crate::http::{Caller, Site};
use streams::{Content, Pieces, Stream, Streams};

/// Requests at once on one connection. A build runs as many compilations as it has processors.
const MAX_STREAMS: u32 = 128;
/// Bytes of one body, and of all bodies of a connection, that a client may send before they were asked for. What nobody has
/// read yet is held in memory.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of one answer that are held ready to be sent.
const MAX_SEND_BUFFER: usize = 256 << 10;
/// Streams that a client opened and reset before they were looked at, and streams reset for its mistakes, until the connection
/// is closed: opening and resetting costs a client next to nothing (CVE-2023-44487 and its kin).
const MAX_RESET_UNSEEN: usize = 20;
const MAX_RESET_BY_SERVER: usize = 256;

const TIMEOUT_TEXT: &[u8] = b"error: timeout: the request did not arrive in the time given for it\n";

/// Serves to the end of the connection.
pub(super) async fn serve<S>(
    stream: S,
    visit: Visit,
    limits: &Limits,
    entry: Arc<Entry>,
    watchdog: &mut Watchdog,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Visit { site, caller, watch } = visit;
    let surplus = caller.surplus;
    let streams = Streams::new(Arc::clone(&watch), entry, *limits);
    let service = service_fn(move |request| answer(request, site.clone(), caller.clone()));
    let mut connection = pin!(
        http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(MAX_SEND_BUFFER)
            .max_pending_accept_reset_streams(MAX_RESET_UNSEEN)
            .max_local_error_reset_streams(MAX_RESET_BY_SERVER)
            // A ping that is not answered ends the connection: the client's machine is gone. Rarely: clients that only look at
            // a connection when they use it do not answer, and theirs is to be kept for minutes.
            .keep_alive_interval(limits.idle_timeout / 2)
            .keep_alive_timeout(limits.body_timeout)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut leaving = false;
    std::future::poll_fn(|cx| {
        loop {
            match connection.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(End::Closed),
                Poll::Ready(Err(error)) => return Poll::Ready(End::Broken(error.into())),
                Poll::Pending => {}
            }
            let leave = if surplus && !leaving && watch.read().requests > 0 {
                // There is no header to say it with, as there is in HTTP/1.1.
                true
            } else {
                match watchdog.poll(cx) {
                    Verdict::Wait => return Poll::Pending,
                    Verdict::Finish => true,
                    // A request may be on its way: GOAWAY tells its client that it can be sent again elsewhere.
                    Verdict::Overdue(Overdue::Idle) if !leaving => true,
                    Verdict::Overdue(overdue) => return Poll::Ready(End::Cut(Cut::Overdue(overdue))),
                    Verdict::Told => return Poll::Ready(End::Cut(Cut::Told)),
                }
            };
            if leave {
                leaving = true;
                connection.as_mut().graceful_shutdown();
                watchdog.pace().leave(Instant::now());
            }
        }
    })
    .await
}

async fn answer(
    request: Request<Incoming>,
    site: Site,
    caller: Caller,
) -> Result<Response<Pieces>, Infallible> {
    let stream = Stream::current();
    let watch = Arc::clone(&stream.watch);
    let without_body = request.method() == Method::HEAD;
    let request = with_host(request.map(|body| Upload::of_stream(body, &watch)));
    let response = unless_given_up(&watch, site.respond(request, &caller)).await;
    watch.note_answered();
    let response = match response {
        Some(response) => response.map(Content::Answer),
        None => timed_out(),
    };
    let response = if without_body { bare(response) } else { response };
    Ok(response.map(|body| Pieces::new(body, stream)))
}

/// Polls `work` unless the watchdog says that its request's body does not come. `None` then.
async fn unless_given_up<W: Future>(watch: &Watch, work: W) -> Option<W::Output> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match watch.is_given_up() {
        true => Poll::Ready(None),
        false => Pin::new(&mut work).poll(cx).map(Some),
    })
    .await
}

/// The host is in the target in HTTP/2 and in a field in HTTP/1.1, where everything behind this looks for it (RFC 9113, 8.3.1).
fn with_host<B>(mut request: Request<B>) -> Request<B> {
    if !request.headers().contains_key(HOST) {
        let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        if let Some(host) = host {
            request.headers_mut().insert(HOST, host);
        }
    }
    request
}

fn timed_out() -> Response<Content> {
    let mut response = Response::new(Content::Text(TIMEOUT_TEXT));
    *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The answer to a HEAD, which has no body. hyper sees to that in HTTP/1.1 only.
fn bare(response: Response<Content>) -> Response<Content> {
    let (mut head, body) = response.into_parts();
    if let Content::Answer(body) = &body
        && let Some(length) = body.size_hint().exact()
    {
        head.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    Response::from_parts(head, Content::Text(b""))
}
