//! HTTP/1.1 on one connection, plain or over TLS: hyper speaks it, the watchdog ends it when its client is too slow.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::{Download, Upload};
use super::connection::{End, Visit, say_last};
use super::pace::Overdue;
use super::watch::Part;
use super::watchdog::{Cut, Watchdog};
use crate::http::Answering;

/// Largest head of a request in bytes: a key of 1 KB, percent-encoded, and room for headers.
pub(super) const MAX_HEAD_BYTES: usize = 32 << 10;
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

/// Serves to the end of the connection.
pub(super) async fn serve<S>(stream: S, visit: Visit, watchdog: &mut Watchdog) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Visit { site, caller, watch } = visit;
    let service = {
        let watch = Arc::clone(&watch);
        service_fn(move |request: Request<Incoming>| {
            let part = watch.begin_request();
            let answering = site.respond(request.map(|body| Upload::new(body, &watch)), &caller);
            Answered { answering, part: Some(part) }
        })
    };
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES)
        // Stand-ins for parts of files must reach the stream as the slices they are.
        .writev(true)
        .serve_connection(TokioIo::new(stream), service);
    let ended = watchdog.over(Pin::new(&mut connection), |connection| connection.graceful_shutdown()).await;
    match ended {
        Ok(Ok(())) => End::Closed,
        Ok(Err(error)) => End::Broken(error.into()),
        Err(cut) => {
            let unanswered = match cut {
                Cut::Overdue(Overdue::Head) => true,
                Cut::Overdue(Overdue::Upload) => !watch.read().answered,
                Cut::Overdue(Overdue::Idle | Overdue::Download) | Cut::Told => false,
            };
            let stream = connection.into_parts().io.into_inner();
            say_last(stream, if unanswered { RAW_TIMEOUT } else { b"" });
            End::Cut(cut)
        }
    }
}

/// An answer, of which the watch is told once it is there.
struct Answered {
    answering: Answering,
    /// Present until then.
    part: Option<Part>,
}

impl Future for Answered {
    type Output = Result<Response<Download>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.answering).poll(cx));
        // Absent only after the answer was handed out, and a future is not polled then.
        let Some(part) = self.part.take() else { return Poll::Pending };
        part.watch().note_answered();
        Poll::Ready(Ok(response.map(|body| Download::new(body, part))))
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
