//! How OpenDAL's requests reach a server under test: sent as they are, their methods noted.
//!
//! Must not know which service speaks.
#![allow(dead_code, unreachable_pub, reason = "each test file is its own crate and uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

use std::sync::{Arc, Mutex};

use futures_util::stream;
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, HttpTransporter, OperationContext};

/// The methods of the requests that were sent.
pub type Sent = Arc<Mutex<Vec<String>>>;

/// A context for [`opendal::Operator::with_context`], over this client.
pub fn context(client: reqwest::Client, sent: Sent) -> OperationContext {
    OperationContext::new().with_http_transport(HttpTransporter::new(Transport { client, sent }))
}

struct Transport {
    client: reqwest::Client,
    sent: Sent,
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: http::Request<Buffer>) -> opendal::Result<http::Response<HttpBody>> {
        let failed = |error| Error::new(ErrorKind::Unexpected, "transport").set_source(error);
        let (parts, body) = request.into_parts();
        self.sent.lock().unwrap().push(parts.method.to_string());
        let sent = self
            .client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(body.to_bytes())
            .send()
            .await
            .map_err(failed)?;
        let mut response = http::Response::builder().status(sent.status());
        *response.headers_mut().unwrap() = sent.headers().clone();
        let body = sent.bytes().await.map_err(failed)?;
        let length = body.len() as u64;
        let body = HttpBody::new(stream::iter([Ok(Buffer::from(body))]), Some(length));
        Ok(response.body(body).unwrap())
    }
}
