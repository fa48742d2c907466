//! The protocols: typed operations in, responses out.
//!
//! Owns what requests mean and how the cache's answers look to a client. Adapters (`plain`, `webdav`, `s3`)
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
pub mod reply;
pub mod s3;
pub mod visible;

mod plain;
mod read;
mod validators;
mod webdav;
mod write;

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::Request;
use axum::response::Response;
use http::header::{ALLOW, CONNECTION, HeaderMap, HeaderValue};
use http::request::Parts;
use http_body::Body as _;

use crate::analytics::{Account, Analytics};
use crate::cache::{Cache, CacheError};
use crate::config::Config;
use crate::key::ObjectName;
use crate::metrics::Metrics;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::handoff::FileQueue;
use crate::protocol::incoming::{Incoming, Leftover};
use crate::protocol::namespaces::Namespaces;
use crate::protocol::operation::{Admission, MethodLabel, Operation, Protocol};
use crate::protocol::path::Target;
use crate::protocol::reply::Reply;

/// Methods that an object's path answers.
const OBJECT_METHODS: &str = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, MKCOL, COPY, MOVE";
/// Methods that a collection's path answers.
const COLLECTION_METHODS: &str = "OPTIONS, PROPFIND, MKCOL, DELETE";

/// All protocols over one cache. Clones share it.
#[derive(Clone)]
pub struct Protocols {
    context: Arc<Context>,
    s3: s3::Service,
}

/// What the adapters work with.
struct Context {
    cache: Cache,
    namespaces: Namespaces,
    metrics: Metrics,
    analytics: Analytics,
    /// The domain whose subdomains are buckets.
    s3_domain: Option<String>,
    /// Most bytes of an object that comes in parts.
    max_in_parts: u64,
    /// The date of collections, which are not stored and so have none of their own.
    started: SystemTime,
}

impl Protocols {
    /// Protocols over `cache`, with the namespaces and limits of `config`, which tell `analytics` what is found and stored.
    #[must_use]
    pub fn new(cache: Cache, config: &Config, metrics: Metrics, analytics: Analytics) -> Self {
        let namespaces = Namespaces::new(config);
        let s3_domain = config.s3_domain.clone();
        let max_in_parts = config.capacity / 2;
        let started = SystemTime::now();
        let context = Context { cache, namespaces, metrics, analytics, s3_domain, max_in_parts, started };
        let context = Arc::new(context);
        Self { s3: s3::Service::new(Arc::clone(&context)), context }
    }

    /// True for a request to a bucket's own host name, whose paths are all keys.
    #[must_use]
    pub fn is_to_bucket_host(&self, request: &Request) -> bool {
        s3::is_to_bucket_host(request.uri(), request.headers(), self.context.s3_domain.as_deref())
    }

    /// Reads what a request asks for. Nothing is done yet.
    #[must_use]
    pub fn parse(&self, request: &Request) -> Operation {
        let Context { namespaces, s3_domain, .. } = &*self.context;
        Operation::parse(request.method(), request.uri(), request.headers(), namespaces, s3_domain.as_deref())
    }

    /// Carries out an operation that [`Protocols::parse`] read from this request, and that the caller is allowed. `files` is where
    /// parts of files can be put to be sent from there; absent: the connection cannot send files.
    pub fn handle(
        &self,
        operation: Operation,
        admission: Admission,
        request: Request,
        files: Option<&FileQueue>,
    ) -> Reply {
        let (parts, body) = request.into_parts();
        match operation {
            // A read as builds send it. One with a body has more to be seen to.
            Operation {
                protocol: Protocol::Plain,
                method: MethodLabel::Get,
                target: Ok(Target::Object(name)),
                ..
            } if body.is_end_stream() => self.read(name, admission, parts.headers, files),
            operation => {
                let (all, files) = (self.clone(), files.cloned());
                Reply::later(async move { all.carry_out(operation, admission, parts, body, files).await })
            }
        }
    }

    fn read(
        &self,
        name: ObjectName,
        admission: Admission,
        mut headers: HeaderMap,
        files: Option<&FileQueue>,
    ) -> Reply {
        fn account(admission: &Admission) -> Account<'_> {
            Account { protocol: Protocol::Plain, session: admission.session.as_deref() }
        }
        match read::try_get(&self.context, account(&admission), &name, &mut headers, files) {
            Ok(answer) => Reply::Now(answer.unwrap_or_else(Refusal::into_response)),
            Err(waits) => {
                let (context, files) = (Arc::clone(&self.context), files.cloned());
                Reply::later(async move {
                    let (account, files) = (account(&admission), files.as_ref());
                    let answer = waits.wait(&context, account, &name, &mut headers, files).await;
                    answer.unwrap_or_else(Refusal::into_response)
                })
            }
        }
    }

    async fn carry_out(
        &self,
        operation: Operation,
        admission: Admission,
        parts: Parts,
        body: axum::body::Body,
        files: Option<FileQueue>,
    ) -> Response {
        let files = files.as_ref();
        let mut incoming = self.incoming(&parts, body);
        let response = match operation.protocol {
            Protocol::S3 => {
                let handled =
                    s3::handle(&self.context, &self.s3, operation, admission, &parts, &mut incoming, files);
                Box::pin(handled).await
            }
            Protocol::Plain | Protocol::WebDav => {
                let result = self.context.dispatch(operation, &admission, &parts, &mut incoming, files).await;
                result.unwrap_or_else(Refusal::into_response)
            }
        };
        with_leftover(response, incoming.discard())
    }

    /// Refuses a request without carrying it out, in the form of its protocol, and sees to it that the client gets to
    /// read why.
    pub fn refuse(&self, refusal: Refusal, request_id: u64, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let incoming = self.incoming(&parts, body);
        let is_s3 = s3::is_s3(&parts.uri, &parts.headers, self.context.s3_domain.as_deref());
        let protocol = if is_s3 { Protocol::S3 } else { Protocol::Plain };
        with_leftover(Self::refusal(refusal, request_id, protocol), incoming.discard())
    }

    /// A refusal as clients of `protocol` read it.
    #[must_use]
    pub fn refusal(refusal: Refusal, request_id: u64, protocol: Protocol) -> Response {
        match protocol {
            Protocol::S3 => s3::refuse(refusal, request_id),
            Protocol::Plain | Protocol::WebDav => refusal.into_response(),
        }
    }

    /// Removes what is left of uploads in parts that nobody completed within a day. Returns how many objects that were.
    ///
    /// # Errors
    /// The cache's.
    pub async fn expire_uploads(&self, now: SystemTime) -> Result<usize, CacheError> {
        s3::expire(&self.context, now).await
    }

    fn incoming(&self, parts: &Parts, body: axum::body::Body) -> Incoming {
        Incoming::new(&parts.headers, body, &self.context.metrics.received_bytes)
    }
}

impl Context {
    /// What is neither a GET nor a PUT has its future in a box of its own: else each of these would carry, and copy, room for
    /// the largest of them.
    async fn dispatch(
        &self,
        operation: Operation,
        admission: &Admission,
        parts: &Parts,
        incoming: &mut Incoming,
        files: Option<&FileQueue>,
    ) -> Result<Response, Refusal> {
        let account = Account { protocol: operation.protocol, session: admission.session.as_deref() };
        let target = operation.target?;
        match (operation.method, target) {
            (MethodLabel::Get, Target::Object(name)) => {
                read::get(self, account, name, &parts.headers, files).await
            }
            (MethodLabel::Head, Target::Object(name)) => {
                Box::pin(read::head(self, name, &parts.headers)).await
            }
            (MethodLabel::Put, Target::Object(name)) => {
                plain::put(self, account, name, &parts.headers, incoming).await
            }
            (MethodLabel::Delete, Target::Object(name)) => {
                Box::pin(plain::delete(self, name, &parts.headers)).await
            }
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
                Box::pin(webdav::delete_collection(self, target, &parts.headers)).await
            }
            (MethodLabel::Options, target) => Ok(webdav::options(&target)),
            (MethodLabel::Propfind, target) => {
                Box::pin(webdav::propfind(self, target, parts, incoming)).await
            }
            (MethodLabel::Mkcol, target) => Box::pin(webdav::mkcol(self, target, incoming)).await,
            (method @ (MethodLabel::Copy | MethodLabel::Move), source) => {
                let destination = operation
                    .destination
                    .map_or(Err(destination::DestinationError::Missing), |destination| *destination);
                Box::pin(webdav::transfer(self, method, source, destination?, &parts.headers)).await
            }
            (MethodLabel::Post | MethodLabel::Other, Target::Object(_)) => {
                Err(unknown_method(parts, OBJECT_METHODS))
            }
            (MethodLabel::Post | MethodLabel::Other, Target::Root | Target::Collection(_)) => {
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
