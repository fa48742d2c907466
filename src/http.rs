//! What surrounds every request, whatever its protocol: [`Site`] answers one request.
//!
//! The layers, from the outside in. Each is a plain function around the next, not a boxed service: together
//! they cost well under a microsecond a request.
//!
//! 1. `record`: in-flight gauge, metrics, the one log line. Outermost, so that it sees the answers of all others.
//! 2. `panics`: a panic becomes a 500 and a log line. Outside of all that could panic.
//! 3. `overload`: a surplus connection gets its 503. Before anything that costs.
//! 4. `admin`, `token`, `api` and `page` for the server's own pages, else `dispatch`: typed operation, rights, protocols.
//!
//! It knows nothing of sockets and time-outs (`server`) and nothing of what the protocols mean by a path.

mod admin;
mod answer;
mod api;
mod cross_site;
mod dispatch;
mod labels;
mod overload;
mod page;
mod panics;
mod record;
mod token;
mod upload;

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, Response, header};
use tower::ServiceExt as _;

pub use answer::{Answer, Answering};
pub use overload::RAW_REFUSAL;

use crate::analytics::Analytics;
use crate::auth::Policy;
use crate::auth::audit::Audit;
use crate::cache::Cache;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::protocol::Protocols;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::handoff::FileQueue;
use crate::protocol::reply::Reply;
use crate::tls::ClientCertificate;
use api::Facts;
use labels::Labels;
use record::Record;

/// Where a request came from.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Address of the other end.
    pub peer: SocketAddr,
    /// The connection is above the limit: it is there to be told so, and for the pages that must always answer.
    pub surplus: bool,
    /// The certificate that the other end showed and the handshake verified. Absent over plain TCP too.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Where parts of files can be put to be sent from there. Absent where something has to be done to the bytes on their way.
    pub files: Option<FileQueue>,
}

/// Everything a request can reach; clones share it.
#[derive(Clone)]
pub struct Site(Arc<Shared>);

struct Shared {
    protocols: Protocols,
    policy: Policy,
    analytics: Analytics,
    audit: Audit,
    metrics: Metrics,
    labels: Labels,
    admin: Router,
    cache: Cache,
    facts: Facts,
    last_id: AtomicU64,
}

impl Site {
    /// A site that serves `protocols` to those whom `policy` lets, and on its own pages the state of `cache` and `metrics`.
    #[must_use]
    pub fn new(
        protocols: Protocols,
        cache: Cache,
        metrics: Metrics,
        policy: Policy,
        analytics: Analytics,
        config: &Config,
    ) -> Self {
        Self(Arc::new(Shared {
            protocols,
            policy,
            admin: admin::router(cache.clone(), analytics.clone(), metrics.clone()),
            analytics,
            audit: Audit::new(&metrics),
            labels: Labels::new(&metrics),
            facts: Facts::new(config),
            cache,
            metrics,
            last_id: AtomicU64::new(0),
        }))
    }

    /// Remembers what was counted so far; to be called each minute.
    pub fn remember(&self) {
        self.0.facts.remember(&self.0.metrics);
    }

    /// Answers one request. Never fails: whatever goes wrong is an answer. What needs no waiting is done here and now, so that
    /// nothing of the request is left when the connection reads on: it would have to do so into fresh memory.
    pub fn respond<B>(&self, request: Request<B>, caller: &Caller) -> Answering
    where
        B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin + 'static,
    {
        let mut record = Record::begin(&self.0, &request, caller);
        let request = request.map(|body| upload::counted(body, &record));
        let own_page = admin::owns(request.uri().path()) && !self.0.protocols.is_to_bucket_host(&request);
        // Of the server's own pages these cost.
        let path = request.uri().path();
        let costs = path == token::PATH || api::owns(path) || page::owns(path);
        let always_answers = own_page && !costs;
        let surplus = caller.surplus;
        let is_refused = surplus && !always_answers && !overload::is_exempt(&request);
        if own_page && !is_refused {
            record.is_admin();
            return Answering::later(self.clone().own_page(request, caller.clone(), record));
        }
        match panics::catch(|| self.route(request, caller, is_refused, &mut record)) {
            Ok(Reply::Now(response)) => Answering::now(finished(Ok(response), record, surplus)),
            Ok(Reply::Later(mut waiting)) => Answering::later(async move {
                let answered = panics::catch_in(Pin::new(&mut waiting)).await;
                finished(answered, record, surplus)
            }),
            Err(panic) => Answering::now(finished(Err(panic), record, surplus)),
        }
    }

    fn route(&self, request: Request<Body>, caller: &Caller, is_refused: bool, record: &mut Record) -> Reply {
        if is_refused {
            self.0.labels.refused_connections.inc();
            return Reply::Now(self.0.protocols.refuse(overload::refusal(), record.id(), request));
        }
        dispatch::dispatch(&self.0, request, caller, record)
    }

    async fn own_page(self, request: Request<Body>, caller: Caller, mut record: Record) -> Response<Answer> {
        let answered = {
            let answered = pin!(self.answer_own_page(request, &caller, &mut record));
            panics::catch_in(answered).await
        };
        finished(answered, record, caller.surplus)
    }

    async fn answer_own_page(
        &self,
        request: Request<Body>,
        caller: &Caller,
        record: &mut Record,
    ) -> Response<Body> {
        let path = request.uri().path();
        if path == token::PATH {
            return token::exchange(&self.0, request, caller.peer, record).await;
        }
        if api::owns(path) {
            return api::answer(&self.0, request, caller, record).await;
        }
        if page::owns(path) {
            return page::answer(&self.0, request, caller, record).await;
        }
        self.0.admin.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

/// The answer as it goes out, with the record of its request; instead of the message of a panic, a 500.
fn finished(answered: Result<Response<Body>, String>, mut record: Record, surplus: bool) -> Response<Answer> {
    let mut response = answered.unwrap_or_else(|panic| {
        tracing::error!(request = record.id(), panic, "a request panicked, its client got a 500");
        let text = format!("the server failed on this request; look for request {} in its log", record.id());
        Protocols::refusal(Refusal::new(ErrorCode::Internal, text), record.id(), record.protocol())
    });
    if surplus {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    record.answered(response.status());
    response.map(|body| Answer::new(body, record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    /// The connection moves what becomes of a request several times, byte for byte. When that was a future with room for all that a
    /// request may wait for, it had 5 KB, and the copies took a tenth of a small hit.
    #[tokio::test]
    async fn what_becomes_of_a_request_is_small() {
        assert!(size_of::<Answering>() <= 384, "{} bytes", size_of::<Answering>());
        let data = tempfile::tempdir().unwrap();
        let app = App::build(&Config { data_dir: data.path().join("data"), ..Config::default() }).unwrap();
        let peer = "127.0.0.1:1".parse().unwrap();
        let caller = Caller { peer, surplus: false, certificate: None, files: None };
        let miss = app.site().respond(Request::get("/a").body(Body::empty()).unwrap(), &caller);
        assert!(miss.is_there(), "a miss waits for nothing");
        assert_eq!(miss.await.status(), axum::http::StatusCode::NOT_FOUND);
    }
}
