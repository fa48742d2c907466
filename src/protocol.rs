//! The protocols: typed operations in, responses out.
//!
//! Owns what requests mean and how the cache's answers look to a client. Adapters (`plain`, `webdav`)
//! share the modules beside them and never import each other. It must not know connections, time-outs,
//! routes, or who the caller is.

pub mod body;
pub mod conditions;
pub mod destination;
pub mod error;
pub mod handoff;
pub mod incoming;
pub mod namespaces;
pub mod operation;
pub mod path;
pub mod range;
pub mod visible;

mod plain;
mod validators;
mod webdav;

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::Request;
use axum::response::Response;
use http::header::{ALLOW, CONNECTION, HeaderValue};
use http::request::Parts;

use crate::cache::Cache;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::handoff::FileQueue;
use crate::protocol::incoming::{Incoming, Leftover};
use crate::protocol::namespaces::Namespaces;
use crate::protocol::operation::{MethodLabel, Operation};
use crate::protocol::path::Target;

/// Methods that an object's path answers.
const OBJECT_METHODS: &str = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, MKCOL, COPY, MOVE";
/// Methods that a collection's path answers.
const COLLECTION_METHODS: &str = "OPTIONS, PROPFIND, MKCOL, DELETE";

/// All protocols over one cache. Clones share it.
#[derive(Clone)]
pub struct Protocols {
    context: Arc<Context>,
}

/// What the adapters work with.
struct Context {
    cache: Cache,
    namespaces: Namespaces,
    metrics: Metrics,
    /// The date of collections, which are not stored and so have none of their own.
    started: SystemTime,
}

impl Protocols {
    /// Protocols over `cache`, with the namespaces and limits of `config`.
    #[must_use]
    pub fn new(cache: Cache, config: &Config, metrics: Metrics) -> Self {
        let namespaces = Namespaces::new(config);
        Self { context: Arc::new(Context { cache, namespaces, metrics, started: SystemTime::now() }) }
    }

    /// Reads what a request asks for. Nothing is done yet.
    #[must_use]
    pub fn parse(&self, request: &Request) -> Operation {
        Operation::parse(request.method(), request.uri(), request.headers(), &self.context.namespaces)
    }

    /// Carries out an operation that [`Protocols::parse`] read from this request, and that the caller is
    /// allowed.
    pub async fn handle(&self, operation: Operation, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let mut incoming = self.incoming(&parts, body);
        let result = self.context.dispatch(operation, &parts, &mut incoming).await;
        let response = result.unwrap_or_else(Refusal::into_response);
        with_leftover(response, incoming.discard())
    }

    /// Refuses a request without carrying it out, and sees to it that the client gets to read why.
    pub fn refuse(&self, refusal: Refusal, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let incoming = self.incoming(&parts, body);
        with_leftover(refusal.into_response(), incoming.discard())
    }

    fn incoming(&self, parts: &Parts, body: axum::body::Body) -> Incoming {
        Incoming::new(&parts.headers, body, &self.context.metrics.received_bytes)
    }
}

impl Context {
    async fn dispatch(
        &self,
        operation: Operation,
        parts: &Parts,
        incoming: &mut Incoming,
    ) -> Result<Response, Refusal> {
        let target = operation.target?;
        match (operation.method, target) {
            (MethodLabel::Get, Target::Object(name)) => {
                let files = parts.extensions.get::<FileQueue>();
                plain::get(self, name, &parts.headers, files).await
            }
            (MethodLabel::Head, Target::Object(name)) => plain::head(self, name, &parts.headers).await,
            (MethodLabel::Put, Target::Object(name)) => {
                plain::put(self, name, &parts.headers, incoming).await
            }
            (MethodLabel::Delete, Target::Object(name)) => plain::delete(self, name, &parts.headers).await,
            (MethodLabel::Get | MethodLabel::Head, Target::Root | Target::Collection(_)) => {
                Err(Refusal::new(
                    ErrorCode::NotFound,
                    "the path names a collection, which has no body: list it with PROPFIND, Depth 1",
                ))
            }
            (MethodLabel::Put, Target::Root | Target::Collection(_)) => Err(not_allowed(
                "an object cannot be stored under a namespace's own name or a path that ends in '/': \
                 PUT it below",
                COLLECTION_METHODS,
            )),
            (MethodLabel::Delete, target @ (Target::Root | Target::Collection(_))) => {
                webdav::delete_collection(self, target, &parts.headers).await
            }
            (MethodLabel::Options, target) => Ok(webdav::options(&target)),
            (MethodLabel::Propfind, target) => webdav::propfind(self, target, parts, incoming).await,
            (MethodLabel::Mkcol, target) => webdav::mkcol(self, target, incoming).await,
            (method @ (MethodLabel::Copy | MethodLabel::Move), source) => {
                let destination = operation
                    .destination
                    .map_or(Err(destination::DestinationError::Missing), |destination| *destination);
                webdav::transfer(self, method, source, destination?, &parts.headers).await
            }
            (MethodLabel::Other, Target::Object(_)) => Err(unknown_method(parts, OBJECT_METHODS)),
            (MethodLabel::Other, Target::Root | Target::Collection(_)) => {
                Err(unknown_method(parts, COLLECTION_METHODS))
            }
        }
    }
}

fn unknown_method(parts: &Parts, allow: &'static str) -> Refusal {
    let method = parts.method.as_str();
    let known = if method.len() > 32 { "the method".to_owned() } else { format!("the method {method}") };
    not_allowed(format!("{known} is not one of {allow}"), allow)
}

fn not_allowed(text: impl Into<std::borrow::Cow<'static, str>>, allow: &'static str) -> Refusal {
    Refusal::new(ErrorCode::MethodNotAllowed, text).with_header(ALLOW, HeaderValue::from_static(allow))
}

fn with_leftover(mut response: Response, leftover: Leftover) -> Response {
    match leftover {
        Leftover::None => {}
        Leftover::MustClose => {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    response
}
