//! Requests signed with Signature V4, built by hand so that every part of them can be made wrong.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Method, Uri};
use larder::sigv4::{
    PathForm, Query, Scope, Signature, SigningKey, Timestamp, canonical_request, string_to_sign,
};

pub const KEY: &str = "ci";
pub const SECRET: &str = "a-secret-of-the-tests";

/// A request to be signed.
#[derive(Clone)]
pub struct Signing {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// Headers that are sent but not signed.
    pub unsigned_headers: Vec<(String, String)>,
    pub payload: String,
    pub body: Vec<u8>,
    pub key: String,
    pub secret: String,
    pub service: String,
    pub region: String,
    /// Seconds by which the client's clock is wrong.
    pub clock: i64,
}

impl Signing {
    pub fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            unsigned_headers: Vec::new(),
            payload: "UNSIGNED-PAYLOAD".to_owned(),
            body: Vec::new(),
            key: KEY.to_owned(),
            secret: SECRET.to_owned(),
            service: "s3".to_owned(),
            region: "auto".to_owned(),
            clock: 0,
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|own| own.headers.push((name.to_owned(), value.to_owned())))
    }

    pub fn body(self, body: &[u8]) -> Self {
        self.with(|own| own.body = body.to_vec())
    }

    pub fn timestamp(&self) -> Timestamp {
        let offset = Duration::from_secs(self.clock.unsigned_abs());
        let now = SystemTime::now();
        let moment = if self.clock < 0 { now - offset } else { now + offset };
        Timestamp::from_http_date(&httpdate::fmt_http_date(moment)).expect("a date")
    }

    pub fn scope(&self, timestamp: &Timestamp) -> Scope {
        let date = timestamp.date().to_owned();
        Scope { date, region: self.region.clone(), service: self.service.clone() }
    }

    pub fn signing_key(&self, timestamp: &Timestamp) -> SigningKey {
        SigningKey::derive(self.secret.as_bytes(), &self.scope(timestamp))
    }

    /// The whole request as bytes, and its signature.
    pub fn signed(&self) -> (Vec<u8>, Signature, Timestamp) {
        let timestamp = self.timestamp();
        let mut all = vec![
            ("host".to_owned(), "test".to_owned()),
            ("x-amz-content-sha256".to_owned(), self.payload.clone()),
            ("x-amz-date".to_owned(), timestamp.as_str().to_owned()),
        ];
        all.extend(self.headers.iter().cloned());
        all.sort();
        let signature = self.signature(&self.path, &all, &timestamp);
        let names: Vec<_> = all.iter().map(|(name, _)| &**name).collect();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={}",
            self.key,
            self.scope(&timestamp).path(),
            names.join(";"),
            signature.to_hex()
        );
        all.push(("authorization".to_owned(), authorization));
        (self.request(&self.path, &all), signature, timestamp)
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.signed().0
    }

    /// The request as a presigned URL, good for so many seconds.
    pub fn presigned(&self, expires: &str) -> String {
        let timestamp = self.timestamp();
        let credential = format!("{}/{}", self.key, self.scope(&timestamp).path()).replace('/', "%2F");
        let join = if self.path.contains('?') { '&' } else { '?' };
        let path = format!(
            "{}{join}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}\
             &X-Amz-Expires={expires}&X-Amz-SignedHeaders=host",
            self.path,
            timestamp.as_str()
        );
        let host = [("host".to_owned(), "test".to_owned())];
        let signature = self.signature(&path, &host, &timestamp);
        format!("{path}&X-Amz-Signature={}", signature.to_hex())
    }

    fn signature(&self, path: &str, headers: &[(String, String)], timestamp: &Timestamp) -> Signature {
        let uri: Uri = path.parse().expect("a path");
        let query = Query::parse(uri.query().unwrap_or_default()).expect("a query");
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (HeaderName::try_from(&**name).expect("a name"), value.parse().expect("a value"))
            })
            .collect();
        let names: Vec<_> = headers.iter().map(|(name, _)| &**name).collect();
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let request = canonical_request(
            &method,
            &uri,
            &query,
            &map,
            &names.join(";"),
            &self.payload,
            PathForm::Encoded,
        );
        let text = string_to_sign(timestamp, &self.scope(timestamp), &request.expect("a request"));
        self.signing_key(timestamp).sign(text.as_bytes())
    }

    fn request(&self, path: &str, headers: &[(String, String)]) -> Vec<u8> {
        let mut request = format!("{} {path} HTTP/1.1\r\n", self.method);
        for (name, value) in headers.iter().chain(&self.unsigned_headers) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.method == "PUT" || self.method == "POST" {
            request.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        let mut request = format!("{request}\r\n").into_bytes();
        request.extend_from_slice(&self.body);
        request
    }
}
