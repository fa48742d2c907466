//! A TCP stream that notes on the connection's [`Watch`] what moves and what does not, and that sends parts of files where
//! hyper hands it their stand-ins. Under TLS it carries records, and there are no stand-ins.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::watch::Watch;
use crate::protocol::handoff::{FileQueue, is_stand_in};

/// A small answer is put together and sent with `send(2)`, up to this many bytes: that takes the kernel less than to be told of
/// several places. A copy of more would cost what it saves.
const SMALL_BYTES: usize = 4096;

/// A stream under watch.
pub(super) struct WatchedStream {
    stream: TcpStream,
    watch: Arc<Watch>,
    /// Present where HTTP/1.1 itself is what is carried.
    files: Option<FileQueue>,
    /// Where small answers are put together.
    small: Vec<u8>,
}

impl WatchedStream {
    /// A stream that carries HTTP/1.1 as it is, and parts of files from `files`.
    pub(super) fn plain(stream: TcpStream, watch: Arc<Watch>, files: FileQueue) -> Self {
        Self { stream, watch, files: Some(files), small: Vec::new() }
    }

    /// A stream that carries TLS.
    pub(super) fn under_tls(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Self { stream, watch, files: None, small: Vec::new() }
    }

    /// Sends the part of a file that a stand-in of `length` bytes is for.
    fn poll_send_file(&self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        self.poll_try(cx, || {
            let sent =
                self.files.as_ref().and_then(|files| files.send_next(|part| part.send(&self.stream, length)));
            // A stand-in without its part must not go out as the zeros that it is.
            sent.unwrap_or_else(|| Err(io::Error::other("a body's part is missing from the queue")))
        })
    }

    /// Sends bytes from several places. [`SendFlags::MORE`] where a part of a file follows: the kernel waits for it and sends both
    /// in one segment.
    fn poll_send_several(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
        flags: SendFlags,
    ) -> Poll<io::Result<usize>> {
        let flags = flags | SendFlags::NOSIGNAL;
        self.poll_try(cx, || Ok(sendmsg(&self.stream, buffers, &mut SendAncillaryBuffer::default(), flags)?))
    }

    fn poll_send_small(&mut self, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.small.clear();
        for buffer in buffers {
            self.small.extend_from_slice(buffer);
        }
        self.poll_try(cx, || Ok(send(&self.stream, &self.small, SendFlags::NOSIGNAL)?))
    }

    fn poll_try<R>(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, &mut send) {
                // The readiness was out of date; it is cleared now.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn note(&self, written: &Poll<io::Result<usize>>, offered: usize) {
        match written {
            Poll::Ready(Ok(written)) => self.watch.note_write(*written, offered),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.watch.note_write_blocked(),
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.watch.note_received(read);
            if self.files.is_some() {
                self.watch.note_text();
            }
        }
        polled
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let polled = match is_stand_in(buffer) {
            true => self.poll_send_file(cx, buffer.len()),
            false => Pin::new(&mut self.stream).poll_write(cx, buffer),
        };
        self.note(&polled, buffer.len());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = buffers.iter().map(|buffer| buffer.len()).sum();
        let polled = match buffers.iter().position(|buffer| is_stand_in(buffer)) {
            Some(0) => self.poll_send_file(cx, buffers[0].len()),
            Some(before) => self.poll_send_several(cx, &buffers[..before], SendFlags::MORE),
            None if offered <= SMALL_BYTES => self.poll_send_small(cx, buffers),
            None => self.poll_send_several(cx, buffers, SendFlags::empty()),
        };
        self.note(&polled, offered);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
