//! Sockets: binds, accepts, holds the connection limit, and drains at the end.
//!
//! One task accepts; each connection is a task of its own (`connection`), which speaks TLS where it is configured and HTTP
//! through hyper, and watches its client's pace. It knows nothing of what a request means: that is `http`'s.

mod body;
mod connection;
mod decrypted;
mod drain;
mod handshake;
mod heads;
mod http1;
mod http2;
mod open_files;
mod pace;
mod stream;
mod watch;
mod watchdog;

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::http::{Caller, RAW_REFUSAL, Site};
use crate::metrics::Metrics;
use crate::tls::Tls;
use connection::Connection;
use drain::{Drain, Stage};

/// Connections above the limit that are still read, to be refused in due form.
const SURPLUS_CONNECTIONS: usize = 64;
/// Descriptors that are not connections: segments, the index, standard streams.
const OTHER_DESCRIPTORS: usize = 512;
const BACKLOG: u32 = 4096;
/// Pause after a failed accept: out of descriptors, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many connections are held, and for how long which of them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at once.
    pub max_connections: usize,
    /// For a whole head, once its first byte arrived.
    pub header_timeout: Duration,
    /// Without progress of a body, in either direction.
    pub body_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// For requests under way at shutdown.
    pub drain_timeout: Duration,
}

/// The listener could not be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("listen: {0} is in use by another process; stop it, or listen on another port")]
    InUse(SocketAddr),
    /// The system refused.
    #[error("listen: cannot listen on {address}: {error}")]
    Refused {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// Opens a listener; to be called inside the runtime. Connections wait from here on until they are served.
///
/// # Errors
/// [`BindError`].
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Or a restart would have to wait until the old connections are forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        _ => BindError::Refused { address, error },
    })
}

/// Serves a [`Site`] over TCP, or over TLS.
pub struct Server {
    site: Site,
    limits: Limits,
    metrics: Metrics,
    tls: Option<Tls>,
}

impl Server {
    /// A server of `site`. With `tls` it speaks nothing else.
    #[must_use]
    pub fn new(site: Site, limits: Limits, metrics: Metrics, tls: Option<Tls>) -> Self {
        Self { site, limits, metrics, tls }
    }

    /// Serves `listener` until `shutdown` completes, then closes it and lets the requests under way finish, for
    /// at most `drain_timeout`.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let wanted = self.limits.max_connections + SURPLUS_CONNECTIONS + OTHER_DESCRIPTORS;
        open_files::raise_limit(wanted);
        let drain = Drain::default();
        let following = self.tls.clone().map(|tls| tokio::spawn(tls.follow_files()));
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer, &drain),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(listener);
        if let Some(following) = following {
            following.abort();
        }
        tracing::info!(connections = drain.open(), "shutting down, requests under way may finish");
        drain.enter(Stage::Finishing);
        if tokio::time::timeout(self.limits.drain_timeout, drain.emptied()).await.is_err() {
            tracing::warn!(connections = drain.open(), "drain_timeout is over, closing what is left");
            drain.enter(Stage::Closing);
            drain.emptied().await;
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, drain: &Drain) {
        let open = drain.open();
        if open >= self.limits.max_connections + SURPLUS_CONNECTIONS {
            self.metrics.refused.with_label_values(&["connections"]).inc();
            // Over TLS a refusal would take a handshake, which is what there is no room for.
            if self.tls.is_none()
                && let Err(error) = refuse(stream, RAW_REFUSAL)
            {
                tracing::debug!(%error, %peer, "a connection was refused and did not hear why");
            }
            return;
        }
        // Answers go out in one write; waiting to fill a packet would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "TCP_NODELAY could not be set");
        }
        let connection = Connection {
            stream,
            site: self.site.clone(),
            caller: Caller {
                peer,
                surplus: open >= self.limits.max_connections,
                certificate: None,
                files: None,
            },
            limits: self.limits,
            entry: drain.join(&self.metrics.connections),
            tls: self.tls.as_ref().map(Tls::current),
        };
        tokio::spawn(connection.run());
    }
}

/// Writes an answer that nobody asked for and closes, without waiting for anything.
fn refuse(stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut stream = stream.into_std()?;
    // Closing with unread bytes resets the connection, and the client may never see the refusal.
    let mut unread = [0; 8 << 10];
    match stream.read(&mut unread) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    stream.write_all(answer)?;
    stream.shutdown(Shutdown::Write)
}
