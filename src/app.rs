//! The composition root: the one place that names concrete parts and puts them together.
//!
//! `main` and the tests build the server through it, so that what is tested is what runs.

use std::convert::Infallible;
use std::io;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

use crate::analytics::Analytics;
use crate::auth::{Policy, TokenKeyError};
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
    /// The key of the cache tokens cannot be used.
    #[error(transparent)]
    TokenKey(#[from] TokenKeyError),
    /// The store could not be brought to disk at the end.
    #[error("closing the store failed, the last writes may be lost: {0}")]
    Close(#[source] io::Error),
}

/// A server, ready to be given a listener.
pub struct App {
    cache: Cache,
    metrics: Metrics,
    analytics: Analytics,
    policy: Policy,
    protocols: Protocols,
    site: Site,
    server: Server,
}

/// Removes abandoned uploads in parts, now and then for ever. Half an hour more or less is nothing beside their day.
async fn expire_uploads(protocols: &Protocols) -> Infallible {
    let mut every = tokio::time::interval(Duration::from_secs(1800));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        match protocols.expire_uploads(SystemTime::now()).await {
            Ok(0) => {}
            Ok(objects) => {
                tracing::info!(objects, "removed what was left of multipart uploads over a day old");
            }
            Err(error) => tracing::warn!(%error, "looking for abandoned multipart uploads failed"),
        }
    }
}

/// Has what was learnt written to disk and remembered, each minute for ever.
async fn each_minute(analytics: &Analytics, site: &Site) -> Infallible {
    let mut every = tokio::time::interval(Duration::from_secs(60));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        site.remember();
        let analytics = analytics.clone();
        let _ = tokio::task::spawn_blocking(move || analytics.save()).await;
    }
}

impl App {
    /// Puts a server together as `config` says. Bind the listener before: a store that is large or damaged
    /// then loads while the server already answers.
    ///
    /// # Errors
    /// [`AppError::Metrics`], [`AppError::Open`], [`AppError::Tls`], [`AppError::TokenKey`].
    pub fn build(config: &Config) -> Result<Self, AppError> {
        let metrics = Metrics::new()?;
        let tls = config.tls().map(Tls::open).transpose()?;
        let cache = Cache::open(CacheOptions::from(config), metrics.clone())?;
        // Once the cache has locked the data directory.
        let analytics = Analytics::open(config, &metrics);
        let protocols = Protocols::new(cache.clone(), config, metrics.clone(), analytics.clone());
        let policy = Policy::new(config)?;
        let site = Site::new(
            protocols.clone(),
            cache.clone(),
            metrics.clone(),
            policy.clone(),
            analytics.clone(),
            config,
        );
        let limits = Limits {
            max_connections: config.max_connections,
            header_timeout: config.header_timeout,
            body_timeout: config.body_timeout,
            idle_timeout: config.idle_timeout,
            drain_timeout: config.drain_timeout,
        };
        let server = Server::new(site.clone(), limits, metrics.clone(), tls);
        Ok(Self { cache, metrics, analytics, policy, protocols, site, server })
    }

    /// The cache, for whoever wants to look past the protocols.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Who may do what; new rules are put into force here.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
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
        tokio::select! {
            () = self.server.serve(listener, shutdown) => {}
            never = expire_uploads(&self.protocols) => match never {},
            never = each_minute(&self.analytics, &self.site) => match never {},
            never = self.analytics.history().run(|| self.cache.update_gauges()) => match never {},
        }
        let analytics = self.analytics.clone();
        // A panic in there would be told by the panic's own line.
        let _ = tokio::task::spawn_blocking(move || analytics.save()).await;
        self.cache.close().await.map_err(AppError::Close)
    }
}
