//! How the bucket is reached: one HTTP client for all stores, and answers that are no success as what they say.
//!
//! Owns connections, proxies and TLS, and the judgement of statuses; what `object_store` makes of a 301, a 400, a missing
//! bucket or a 501 is one and the same. Knows nothing of objects.

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::redirect;

use super::answer::{Answer, is_missing_place};
use super::names::Names;
use super::odd_keys;
use crate::tls;

/// Shorter than servers and address translators keep an idle connection: one that is dead costs a whole time limit.
const POOL_IDLE: Duration = Duration::from_secs(20);
/// Most that is read of a body that says what went wrong, in bytes.
const MOST_ERROR_BYTES: usize = 64 << 10;

/// The mark on an answer whose ETag looks like an MD5 and is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncryptedETag;

/// Makes the clients of a bucket.
#[derive(Debug)]
pub(super) struct Connector {
    /// Time to a connection, TLS included. Calls have limits of their own.
    pub(super) connect_timeout: Duration,
    /// The store is on this machine, where no proxy has a way to.
    pub(super) is_local: bool,
}

#[derive(Debug)]
struct Judging(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        tls::use_ring();
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        let client = reqwest::Client::builder()
            .https_only(allows_http.as_deref() != Some("true"))
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            // Many small requests at once go through many connections faster than through one.
            .http1_only()
            // A signature is for one host: a redirect names a wrong region or a wrong endpoint.
            .redirect(redirect::Policy::none())
            .dns_resolver(Names::new())
            .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")));
        let client = if self.is_local { client.no_proxy() } else { client };
        let client = client.build().map_err(|source| object_store::Error::Generic {
            store: "HTTP client",
            source: Box::new(source),
        })?;
        Ok(HttpClient::new(Judging(client)))
    }
}

#[async_trait]
impl HttpService for Judging {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // Where a machine gets its credentials from is asked in the same way, and `object_store` reads those statuses.
        let is_own = request.uri().host().is_some_and(|host| host.starts_with("169.254."));
        let lists = request.method() == Method::GET && odd_keys::is_listing(request.uri().query());
        let mut response = self.0.call(request).await?;
        let status = response.status();
        if status.is_success() && has_encrypted_etag(response.headers()) {
            response.extensions_mut().insert(EncryptedETag);
        }
        if lists && status.is_success() {
            let (parts, body) = response.into_parts();
            let bytes = body.bytes().await?;
            let body = match std::str::from_utf8(&bytes).map(odd_keys::renamed) {
                Ok(Cow::Owned(text)) => text.into(),
                Ok(Cow::Borrowed(_)) | Err(_) => bytes.into(),
            };
            return Ok(HttpResponse::from_parts(parts, body));
        }
        // These mean something to `object_store`.
        let is_told = [StatusCode::NOT_MODIFIED, StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED];
        if is_own || status.is_success() || is_told.contains(&status) {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let text = beginning(body).await;
        let mut answer = Answer::new(status, &text);
        if let Some(code) = parts.headers.get("x-ms-error-code").and_then(|code| code.to_str().ok()) {
            code.clone_into(&mut answer.code);
        }
        if status == StatusCode::NOT_FOUND && !is_missing_place(&answer.code) {
            return Ok(HttpResponse::from_parts(parts, text.into()));
        }
        if let Some(place) = parts.headers.get(header::LOCATION).and_then(|place| place.to_str().ok()) {
            answer.message = format!("it sends us to {place}: correct bucket.region or bucket.endpoint");
        } else if let Some(region) = parts.headers.get("x-amz-bucket-region").and_then(|r| r.to_str().ok())
            && status.is_redirection()
        {
            answer.message = format!("the bucket is in the region {region}: correct bucket.region");
        }
        Err(HttpError::new(HttpErrorKind::Unknown, answer))
    }
}

/// S3's ETags of objects that a key of the customer's or of KMS encrypts are no MD5 of the body.
fn has_encrypted_etag(headers: &HeaderMap) -> bool {
    let by_kms =
        headers.get("x-amz-server-side-encryption").is_some_and(|how| how.as_bytes().starts_with(b"aws:kms"));
    by_kms || headers.contains_key("x-amz-server-side-encryption-customer-algorithm")
}

/// As much of the body as came, up to a limit. What went wrong is in the status already.
async fn beginning(mut body: object_store::client::HttpResponseBody) -> String {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() >= MOST_ERROR_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
