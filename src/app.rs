//! The composition root: the one place that names concrete parts and puts them together.
//!
//! `main` and the tests build the server through it, so that what is tested is what runs.

use std::io;

use tokio::net::TcpListener;

use crate::cache::{Cache, CacheOptions, OpenError};
use crate::config::Config;
use crate::http::Site;
use crate::metrics::Metrics;
use crate::protocol::Protocols;
use crate::server::{Limits, Server};
use crate::tls::{self, Tls};

/// Why the server could not be put together or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The metrics' declarations contradict each other.
    #[error("the metrics could not be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Unusable),
    /// The store could not be brought to disk at the end.
    #[error("closing the store failed, the last writes may be lost: {0}")]
    Close(#[source] io::Error),
}

/// A server, ready to be given a listener.
pub struct App {
    cache: Cache,
    metrics: Metrics,
    site: Site,
    server: Server,
}

impl App {
    /// Puts a server together as `config` says. Bind the listener before: a store that is large or damaged
    /// then loads while the server already answers.
    ///
    /// # Errors
    /// [`AppError::Metrics`], [`AppError::Open`], [`AppError::Tls`].
    pub fn build(config: &Config) -> Result<Self, AppError> {
        let metrics = Metrics::new()?;
        let tls = config.tls().map(Tls::open).transpose()?;
        let cache = Cache::open(CacheOptions::from(config), metrics.clone())?;
        let protocols = Protocols::new(cache.clone(), config, metrics.clone());
        let site = Site::new(protocols, cache.clone(), metrics.clone(), config.anonymous);
        let limits = Limits {
            max_connections: config.max_connections,
            header_timeout: config.header_timeout,
            body_timeout: config.body_timeout,
            idle_timeout: config.idle_timeout,
            drain_timeout: config.drain_timeout,
        };
        let server = Server::new(site.clone(), limits, metrics.clone(), tls);
        Ok(Self { cache, metrics, site, server })
    }

    /// The cache, for whoever wants to look past the protocols.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What answers the requests, for whoever has them without a socket.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The metrics of this server.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Serves `listener` until `shutdown` completes, lets requests under way finish, and closes the store.
    ///
    /// # Errors
    /// [`AppError::Close`].
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), AppError> {
        self.server.serve(listener, shutdown).await;
        self.cache.close().await.map_err(AppError::Close)
    }
}
