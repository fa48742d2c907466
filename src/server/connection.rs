//! One connection: hyper speaks HTTP/1.1 on it, the watchdog beside it ends it when its client is too slow.
//!
//! The watchdog has one timer, which is armed anew only when it has fired or must fire earlier than it would:
//! a connection that is busy with request after request sets it once in minutes.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::task::unconstrained;
use tokio::time::Sleep;

use super::Limits;
use super::body::{Download, Upload};
use super::drain::{Entry, Stage};
use super::pace::{Overdue, Pace};
use super::stream::WatchedStream;
use super::watch::Watch;
use crate::http::{Caller, Site};
use crate::protocol::handoff::FileQueue;

/// Largest head of a request in bytes: a key of 1 KB, percent-encoded, and room for headers.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Largest piece of a body that is read or gathered for writing at once, in bytes.
const MAX_BUFFER_BYTES: usize = 256 << 10;

/// The refusal of a request that did not arrive in time, [`ErrorCode::Timeout`]. RFC 9110 15.5.9.
///
/// [`ErrorCode::Timeout`]: crate::protocol::error::ErrorCode::Timeout
const RAW_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 68\r\n\
    Connection: close\r\n\
    \r\n\
    error: timeout: the request did not arrive in the time given for it\n";

/// A connection, accepted and not yet served.
pub(super) struct Connection {
    stream: TcpStream,
    site: Site,
    caller: Caller,
    pace: Pace,
    entry: Entry,
}

enum End {
    Closed,
    Broken(hyper::Error),
    Overdue(Overdue),
    Told,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, site: Site, caller: Caller, limits: &Limits, entry: Entry) -> Self {
        Self { stream, site, caller, pace: Pace::new(limits, caller.surplus, Instant::now()), entry }
    }

    /// Serves it to its end.
    pub(super) async fn run(self) {
        let Self { stream, site, caller, pace, entry } = self;
        let watch = Arc::new(Watch::default());
        let files = FileQueue::default();
        let service = {
            let (watch, files) = (Arc::clone(&watch), files.clone());
            service_fn(move |request: Request<Incoming>| {
                let (site, watch) = (site.clone(), Arc::clone(&watch));
                let part = watch.begin_request();
                let files = files.clone();
                async move {
                    let mut request = request.map(|body| Upload::new(body, &watch));
                    request.extensions_mut().insert(files);
                    let response = site.respond(request, caller).await;
                    watch.note_answered();
                    Ok::<Response<_>, Infallible>(response.map(|body| Download::new(body, part)))
                }
            })
        };
        let stream = TokioIo::new(WatchedStream::new(stream, Arc::clone(&watch), files));
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES)
            // Stand-ins for parts of files must reach the stream as the slices they are.
            .writev(true)
            .serve_connection(stream, service);

        let mut watchdog = pin!(Watchdog::new(pace, &watch, &entry));
        let end = std::future::poll_fn(|cx| {
            loop {
                match Pin::new(&mut connection).poll(cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(End::Closed),
                    Poll::Ready(Err(error)) => return Poll::Ready(End::Broken(error)),
                    Poll::Pending => {}
                }
                match watchdog.as_mut().poll(cx) {
                    Verdict::Wait => return Poll::Pending,
                    Verdict::Finish => Pin::new(&mut connection).graceful_shutdown(),
                    Verdict::End(end) => return Poll::Ready(end),
                }
            }
        })
        .await;
        match end {
            End::Closed => {}
            End::Broken(error) => tracing::debug!(peer = %caller.peer, %error, "a connection broke"),
            End::Told => tracing::debug!(peer = %caller.peer, "a connection was closed at shutdown"),
            End::Overdue(overdue) => {
                tracing::debug!(peer = %caller.peer, ?overdue, "a connection was closed, its client is too slow");
                let unanswered = match overdue {
                    Overdue::Head => true,
                    Overdue::Upload => !watch.read().answered,
                    Overdue::Idle | Overdue::Download => false,
                };
                if unanswered {
                    let stream = connection.into_parts().io.into_inner().into_inner();
                    // Best effort: the client may be gone.
                    let _ = stream.try_write(RAW_TIMEOUT);
                }
            }
        }
    }
}

enum Verdict {
    Wait,
    /// Finish the request under way; said once.
    Finish,
    End(End),
}

/// Decides, whenever the connection has to wait, whether it may.
struct Watchdog<'a> {
    pace: Pace,
    watch: &'a Watch,
    entry: &'a Entry,
    stage: Stage,
    stage_change: Pin<Box<OwnedNotified>>,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires.
    armed: Instant,
    /// Whom the timer and the change of stage wake. They are asked again only when this changes.
    waker: Option<Waker>,
}

impl<'a> Watchdog<'a> {
    fn new(pace: Pace, watch: &'a Watch, entry: &'a Entry) -> Self {
        // Armed at the first poll, when the first deadline is known.
        let armed = Instant::now() + Duration::from_secs(24 * 60 * 60);
        Self {
            pace,
            watch,
            entry,
            stage: Stage::Serving,
            stage_change: Box::pin(entry.stage_change()),
            timer: Box::pin(tokio::time::sleep_until(armed.into())),
            armed,
            waker: None,
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Verdict {
        let mut register = !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        let stage = self.entry.stage();
        if stage != self.stage {
            self.stage = stage;
            self.stage_change = Box::pin(self.entry.stage_change());
            self.waker = None;
            return match stage {
                Stage::Serving | Stage::Finishing => Verdict::Finish,
                Stage::Closing => Verdict::End(End::Told),
            };
        }
        let now = Instant::now();
        let reading = self.watch.read();
        if let Some((end, overdue)) = self.pace.deadline(&reading, now) {
            if end <= now {
                return Verdict::End(End::Overdue(overdue));
            }
            if end < self.armed || self.armed <= now {
                self.arm(end);
                register = true;
            }
        } else if self.armed <= now {
            // The server is at work for long. Whatever comes next wakes this task anyway.
            self.arm(now + Duration::from_secs(60));
            register = true;
        }
        if register {
            self.waker = Some(cx.waker().clone());
            // Unconstrained: a task whose budget is used up would be put off, and this is not asked again.
            let fired = pin!(unconstrained(self.timer.as_mut())).poll(cx).is_ready();
            let told = pin!(unconstrained(self.stage_change.as_mut())).poll(cx).is_ready();
            if fired || told {
                // Between the look at clock and stage and here: look again.
                self.waker = None;
                cx.waker().wake_by_ref();
            }
        }
        Verdict::Wait
    }

    fn arm(&mut self, end: Instant) {
        self.armed = end;
        self.timer.as_mut().reset(end.into());
    }
}

#[cfg(test)]
mod tests {
    use super::RAW_TIMEOUT;
    use crate::protocol::error::ErrorCode;

    #[test]
    fn the_raw_refusal_is_a_whole_answer() {
        let text = std::str::from_utf8(RAW_TIMEOUT).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let declared = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        assert_eq!(declared, Some(body.len().to_string().as_str()));
        let (status, code) = (ErrorCode::Timeout.status(), ErrorCode::Timeout.as_str());
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")) && body.starts_with(&format!("error: {code}: "))
        );
    }
}
