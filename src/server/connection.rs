//! One connection: TLS where it is configured, then HTTP in the version that was agreed on, then a line about its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;

use super::decrypted::{Decrypted, Version};
use super::drain::Entry;
use super::handshake::{self, HandshakeError};
use super::pace::Pace;
use super::stream::WatchedStream;
use super::watch::Watch;
use super::watchdog::{Cut, Watchdog};
use super::{Limits, http1, http2};
use crate::http::{Caller, Site};
use crate::protocol::handoff::FileQueue;

/// A connection, accepted and not yet served.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) site: Site,
    pub(super) caller: Caller,
    pub(super) limits: Limits,
    pub(super) entry: Entry,
    /// What to greet its client with, where TLS is spoken.
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// Who asks whom, and what is noted of it.
pub(super) struct Visit {
    pub(super) site: Site,
    pub(super) caller: Caller,
    pub(super) watch: Arc<Watch>,
}

/// How a connection ended.
pub(super) enum End {
    /// In due form.
    Closed,
    /// The client broke the protocol, or the network broke.
    Broken(Box<dyn std::error::Error + Send + Sync>),
    /// The server ended it.
    Cut(Cut),
}

impl Connection {
    /// Serves it to its end.
    pub(super) async fn run(self) {
        let peer = self.caller.peer;
        match self.serve().await {
            End::Closed => {}
            End::Broken(error) => tracing::debug!(%peer, %error, "a connection broke"),
            End::Cut(Cut::Told) => tracing::debug!(%peer, "a connection was closed at shutdown"),
            End::Cut(Cut::Overdue(overdue)) => {
                tracing::debug!(%peer, ?overdue, "a connection was closed, its client is too slow");
            }
        }
    }

    async fn serve(self) -> End {
        let Self { stream, site, mut caller, limits, entry, tls } = self;
        let pace = Pace::new(&limits, caller.surplus, Instant::now());
        let entry = Arc::new(entry);
        let Some(tls) = tls else {
            let watch = Arc::new(Watch::default());
            let mut watchdog = Watchdog::new(pace, Arc::clone(&watch), entry);
            let files = FileQueue::default();
            let stream = WatchedStream::plain(stream, Arc::clone(&watch), files.clone());
            caller.files = Some(files);
            return http1::serve(stream, Visit { site, caller, watch }, &mut watchdog).await;
        };
        // The handshake is the first head.
        let watch = Arc::new(Watch::greeting());
        let mut watchdog = Watchdog::new(pace, Arc::clone(&watch), Arc::clone(&entry));
        let greeted = match handshake::perform(stream, tls, &watch, &mut watchdog).await {
            Ok(greeted) => greeted,
            Err(HandshakeError::Cut(cut)) => return End::Cut(cut),
            Err(error) => return End::Broken(error.into()),
        };
        caller.certificate = greeted.certificate.map(Arc::new);
        let version = greeted.version;
        let stream = Decrypted::new(greeted.stream, version, Arc::clone(&watch));
        let visit = Visit { site, caller, watch };
        match version {
            Version::Http1 => http1::serve(stream, visit, &mut watchdog).await,
            Version::Http2 => http2::serve(stream, visit, &limits, entry, &mut watchdog).await,
        }
    }
}

/// Writes a last text and closes, without waiting for anything: the client may be gone.
pub(super) fn say_last(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &[u8]) {
    let cx = &mut Context::from_waker(Waker::noop());
    if !text.is_empty() {
        let _ = Pin::new(&mut stream).poll_write(cx, text);
    }
    // Over TLS this is what tells a client that nothing was cut off.
    let _ = Pin::new(&mut stream).poll_shutdown(cx);
}
