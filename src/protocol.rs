//! INTERIM stand-in with the surface of the real protocols: GET, HEAD and PUT of whole objects, enough to drive
//! the server's tests. To be replaced whole at the merge; `http` calls nothing else than what is public here.
#![allow(missing_docs, clippy::unused_async)]

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;

use crate::cache::{Cache, PutOptions};
use crate::config::Config;
use crate::metrics::Metrics;
use error::{ErrorCode, Refusal};
use incoming::Incoming;
use operation::{MethodLabel, Operation};

#[derive(Clone)]
pub struct Protocols {
    cache: Cache,
    metrics: Metrics,
}

impl Protocols {
    #[must_use]
    pub fn new(cache: Cache, _config: &Config, metrics: Metrics) -> Self {
        Self { cache, metrics }
    }

    #[must_use]
    pub fn parse(&self, request: &Request) -> Operation {
        Operation::parse(request)
    }

    pub async fn handle(&self, operation: Operation, request: Request) -> Response {
        let Ok(target) = operation.target else {
            return self.refuse(Refusal::new(ErrorCode::BadPath, "no key"), request);
        };
        match operation.method {
            MethodLabel::Get | MethodLabel::Head => match self.cache.get(&target).await {
                Ok(Some(object)) => {
                    let length = object.info().length;
                    let mut body = object.into_body(0..length);
                    let mut all = Vec::new();
                    while let Ok(Some(chunk)) = body.next_chunk().await {
                        all.extend_from_slice(&chunk);
                    }
                    self.metrics.sent_bytes.inc_by(length);
                    Body::new(Chunked(Bytes::from(all))).into_response()
                }
                _ => Refusal::new(ErrorCode::NotFound, "no such object").into_response(),
            },
            MethodLabel::Put => {
                let mut body = request.into_body();
                let Ok(mut upload) = self.cache.begin_put(target, PutOptions::default()).await else {
                    return StatusCode::INTERNAL_SERVER_ERROR.into_response();
                };
                while let Some(frame) = body.frame().await {
                    let Ok(frame) = frame else { return StatusCode::BAD_REQUEST.into_response() };
                    if let Ok(data) = frame.into_data() {
                        self.metrics.received_bytes.inc_by(data.len() as u64);
                        if upload.write(data).await.is_err() {
                            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
                        }
                    }
                }
                match upload.commit().await {
                    Ok(_) => StatusCode::CREATED.into_response(),
                    Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                }
            }
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }

    pub fn refuse(&self, refusal: Refusal, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let _ = Incoming::new(&parts.headers, body, self.metrics.received_bytes.clone()).discard();
        refusal.into_response()
    }
}

struct Chunked(Bytes);

impl http_body::Body for Chunked {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let size = self.0.len().min(256 << 10);
        let chunk = self.0.split_to(size);
        std::task::Poll::Ready((!chunk.is_empty()).then(|| Ok(http_body::Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0.len() as u64)
    }
}

pub mod error {
    use axum::http::{HeaderValue, StatusCode, header};
    use axum::response::{IntoResponse, Response};

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum ErrorCode {
        BadPath,
        Forbidden,
        NotFound,
        Overloaded,
    }

    #[derive(Debug)]
    pub struct Refusal(ErrorCode, String);

    impl Refusal {
        pub fn new(code: ErrorCode, text: impl Into<std::borrow::Cow<'static, str>>) -> Self {
            Self(code, text.into().into_owned())
        }

        pub fn overloaded(text: impl Into<std::borrow::Cow<'static, str>>) -> Self {
            Self::new(ErrorCode::Overloaded, text)
        }

        #[must_use]
        pub fn into_response(self) -> Response {
            let (code, status) = match self.0 {
                ErrorCode::BadPath => ("bad_path", StatusCode::BAD_REQUEST),
                ErrorCode::Forbidden => ("forbidden", StatusCode::FORBIDDEN),
                ErrorCode::NotFound => ("not_found", StatusCode::NOT_FOUND),
                ErrorCode::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE),
            };
            let mut response = (status, format!("error: {code}: {}\n", self.1)).into_response();
            if self.0 == ErrorCode::Overloaded {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
    }
}

pub mod incoming {
    use axum::body::Body;
    use axum::http::HeaderMap;
    use http_body_util::BodyExt;
    use prometheus::IntCounter;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Leftover {
        None,
        MustClose,
    }

    pub struct Incoming(Body);

    impl Incoming {
        #[must_use]
        pub fn new(_headers: &HeaderMap, body: Body, _received: IntCounter) -> Self {
            Self(body)
        }

        #[must_use]
        pub fn discard(mut self) -> Leftover {
            tokio::spawn(async move { while let Some(Ok(_)) = self.0.frame().await {} });
            Leftover::None
        }
    }
}

pub mod operation {
    use axum::extract::Request;
    use axum::http::Method;

    use crate::key::{KeyError, Namespace, ObjectKey, ObjectName};

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Protocol {
        Plain,
        WebDav,
    }

    impl Protocol {
        pub const ALL: &[Self] = &[Self::Plain, Self::WebDav];

        #[must_use]
        pub fn as_str(self) -> &'static str {
            match self {
                Self::Plain => "plain",
                Self::WebDav => "webdav",
            }
        }
    }

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum MethodLabel {
        Get,
        Head,
        Put,
        Delete,
        Other,
    }

    impl MethodLabel {
        pub const ALL: &[Self] = &[Self::Get, Self::Head, Self::Put, Self::Delete, Self::Other];

        #[must_use]
        pub fn as_str(self) -> &'static str {
            match self {
                Self::Get => "GET",
                Self::Head => "HEAD",
                Self::Put => "PUT",
                Self::Delete => "DELETE",
                Self::Other => "other",
            }
        }

        #[must_use]
        pub fn of(method: &Method) -> Self {
            match method.as_str() {
                "GET" => Self::Get,
                "HEAD" => Self::Head,
                "PUT" => Self::Put,
                "DELETE" => Self::Delete,
                _ => Self::Other,
            }
        }
    }

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Access {
        Read,
        Write,
        Delete,
        WriteAndDelete,
    }

    #[derive(Clone, Debug)]
    pub struct Operation {
        pub protocol: Protocol,
        pub method: MethodLabel,
        pub access: Access,
        pub target: Result<ObjectName, KeyError>,
    }

    impl Operation {
        #[must_use]
        pub fn parse(request: &Request) -> Self {
            let method = MethodLabel::of(request.method());
            let target = ObjectKey::new(request.uri().path().trim_start_matches('/'))
                .map(|key| ObjectName { namespace: Namespace::default_namespace(), key });
            let access = match method {
                MethodLabel::Get | MethodLabel::Head | MethodLabel::Other => Access::Read,
                MethodLabel::Delete => Access::Delete,
                MethodLabel::Put => Access::Write,
            };
            Self { protocol: Protocol::Plain, method, access, target }
        }
    }
}
