//! What a TLS connection carries, with the heads in it noted on the connection's [`Watch`]. How many bytes move and whether the
//! client takes them is noted below TLS, by the stream that the records go through.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::heads::Heads;
use super::stream::WatchedStream;
use super::watch::Watch;

/// The version of HTTP that client and server agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    /// HTTP/1.1, also where nothing was said about it.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A stream of what was encrypted.
pub(super) struct Decrypted {
    stream: TlsStream<WatchedStream>,
    /// Present for HTTP/2. Where heads of HTTP/1.1 begin, the watch knows by itself.
    heads: Option<Heads>,
    watch: Arc<Watch>,
}

impl Decrypted {
    pub(super) fn new(stream: TlsStream<WatchedStream>, version: Version, watch: Arc<Watch>) -> Self {
        let heads = (version == Version::Http2).then(Heads::new);
        Self { stream, heads, watch }
    }
}

impl AsyncRead for Decrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let read = &buffer.filled()[before..];
        if !read.is_empty() {
            match &mut this.heads {
                Some(heads) => this.watch.note_in_head(heads.advance(read)),
                None => this.watch.note_text(),
            }
        }
        polled
    }
}

impl AsyncWrite for Decrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
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
