//! The server that is copied to, over plain HTTP: what is there (HEAD), and what is not yet (PUT).
//!
//! Owns the requests and what their answers mean for the copying. Knows nothing of the source.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};
use http::{Method, StatusCode};
use reqwest::{Client, RequestBuilder, Response, redirect};

use super::arguments::ServerPlace;
use super::source::Body;
use crate::cli::innermost;
use crate::key::{ObjectKey, ObjectName, SCCACHE_PROBE};
use crate::protocol::path::Target;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For an answer without a body worth speaking of.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Slowest upload that is waited for, bytes a second.
const SLOWEST: u64 = 64 << 10;
/// Longest that a server's Retry-After is followed.
const MOST_WAIT: Duration = Duration::from_secs(30);

/// A connection to a server, for one namespace of it.
pub(super) struct Server {
    client: Client,
    place: ServerPlace,
    headers: HeaderMap,
}

/// What became of a PUT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    /// It was stored.
    New,
    /// Somebody else's came first.
    Already,
}

/// Why a request did not do what it was for. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    /// Every other request would end the same way.
    #[error("{0}")]
    Everything(String),
    /// This object cannot be stored.
    #[error("{0}")]
    Object(String),
    /// The server has no room. It may have some in a moment, since it evicts.
    #[error("{0}")]
    Full(String),
    /// No answer, or one that says "later".
    #[error("{cause}")]
    Later {
        /// What happened.
        cause: String,
        /// How long to wait at least.
        wait: Duration,
        /// Whether the server answered at all.
        answered: bool,
    },
}

impl Server {
    /// Makes the client. Nothing is asked yet.
    ///
    /// # Errors
    /// Why there can be none.
    pub(super) fn connect(place: &ServerPlace) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &place.token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.reveal()));
            let mut value = value.map_err(|_| "the token is none that a header can carry".to_owned())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("larder-import/", env!("CARGO_PKG_VERSION")));
        let client = if place.is_local { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| format!("the HTTP client: {}", cause(&error)))?;
        Ok(Self { client, place: place.clone(), headers })
    }

    /// Asks whether there is a larder that lets this caller in and knows the namespace: a wrong name would be stored, as
    /// the start of keys in the namespace `default`.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub(super) async fn check(&self) -> Result<(), String> {
        let (origin, namespace) = (&self.place.origin, &self.place.namespace);
        let no_answer = |error: &reqwest::Error| {
            format!(
                "no larder answers at {origin}: {}. Is it running, and is --to its address?",
                cause(error)
            )
        };
        let probe = format!("{origin}/{namespace}/{SCCACHE_PROBE}");
        let answer = self.request(Method::GET, probe).send().await.map_err(|error| no_answer(&error))?;
        match answer.status() {
            StatusCode::OK | StatusCode::NOT_FOUND => {}
            _ => return Err(self.judge(answer, "the first request").await.to_string()),
        }
        // S3's way to ask whether a bucket is there: plain HTTP knows no answer but "no such object".
        let bucket = format!("{origin}/{namespace}?location");
        let answer = self.request(Method::GET, bucket).send().await.map_err(|error| no_answer(&error))?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        if status == StatusCode::OK && text.contains("LocationConstraint") {
            return Ok(());
        }
        Err(if text.contains("NoSuchBucket") {
            format!(
                "{origin} has no namespace {namespace}: add [namespaces.{namespace}] to its configuration, or name another \
                 one with --to"
            )
        } else {
            format!("what answers at {origin} is no larder (it answered {status}): correct --to")
        })
    }

    /// What the server may hold, in bytes, where it says so.
    pub(super) async fn capacity(&self) -> Option<u64> {
        let answer = self.request(Method::GET, format!("{}/metrics", self.place.origin)).send().await.ok()?;
        let text = answer.text().await.ok()?;
        text.lines().find_map(|line| line.strip_prefix("larder_capacity_bytes ")?.trim().parse().ok())
    }

    /// The name under which `key` is stored.
    ///
    /// # Errors
    /// `Object` for a key that larder has no name for.
    pub(super) fn name(&self, key: &str) -> Result<ObjectName, ServerError> {
        let whole = match &self.place.prefix {
            Some(prefix) => format!("{prefix}/{key}"),
            None => key.to_owned(),
        };
        let key = ObjectKey::new(&whole).map_err(|error| ServerError::Object(error.to_string()))?;
        Ok(ObjectName { namespace: self.place.namespace.clone(), key })
    }

    /// Whether the server has it.
    ///
    /// # Errors
    /// [`ServerError`].
    pub(super) async fn has(&self, name: &ObjectName) -> Result<bool, ServerError> {
        let answer = self.request(Method::HEAD, self.url(name)).send().await.map_err(|error| lost(&error))?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.judge(answer, "reading").await),
        }
    }

    /// Stores it, unless something is there.
    ///
    /// # Errors
    /// [`ServerError`]; `Later` also where the body broke off.
    pub(super) async fn store(&self, name: &ObjectName, body: Body) -> Result<Stored, ServerError> {
        let time = TIMEOUT + Duration::from_secs(body.length / SLOWEST);
        let request = self
            .request(Method::PUT, self.url(name))
            .timeout(time)
            .header(IF_NONE_MATCH, HeaderValue::from_static("*"))
            .header(CONTENT_LENGTH, body.length)
            .body(reqwest::Body::wrap_stream(body.pieces));
        let answer = request.send().await.map_err(|error| lost(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(Stored::New),
            StatusCode::PRECONDITION_FAILED => Ok(Stored::Already),
            _ => Err(self.judge(answer, "writing").await),
        }
    }

    fn request(&self, method: Method, url: String) -> RequestBuilder {
        self.client.request(method, url).headers(self.headers.clone()).timeout(TIMEOUT)
    }

    fn url(&self, name: &ObjectName) -> String {
        format!("{}{}", self.place.origin, Target::Object(name.clone()))
    }

    async fn judge(&self, answer: Response, what: &str) -> ServerError {
        let (status, wait) = (answer.status(), retry_after(answer.headers()));
        let text = answer.text().await.unwrap_or_default();
        // "error: <code>: <what is wrong>", or nothing behind a HEAD.
        let said = match text.lines().next().unwrap_or_default().trim_start_matches("error: ") {
            "" => format!("it answered {status} to {what}"),
            line => line.to_owned(),
        };
        let origin = &self.place.origin;
        match status {
            StatusCode::UNAUTHORIZED if self.place.token.is_none() => ServerError::Everything(format!(
                "{origin} asks for a token ({said}): give one with --token-file FILE or LARDER_TOKEN"
            )),
            StatusCode::UNAUTHORIZED => {
                ServerError::Everything(format!("{origin} refuses the token: {said}"))
            }
            StatusCode::FORBIDDEN => ServerError::Everything(format!(
                "{origin} does not allow it: {said}. The token needs read and write in the namespace {}",
                self.place.namespace
            )),
            StatusCode::PAYLOAD_TOO_LARGE => {
                ServerError::Object(format!("{said}. To have it, raise max_object_size on the server"))
            }
            StatusCode::INSUFFICIENT_STORAGE => ServerError::Full(format!(
                "{origin} has no room: {said}. Look at its capacity, min_free_disk, and the free space of its disk"
            )),
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => {
                ServerError::Later { cause: said, wait, answered: true }
            }
            status if status.is_server_error() => ServerError::Later { cause: said, wait, answered: true },
            _ => ServerError::Object(said),
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0)).min(MOST_WAIT)
}

fn lost(error: &reqwest::Error) -> ServerError {
    // A body that its source broke off is no sign that the server is gone.
    let answered = error.is_body();
    ServerError::Later { cause: cause(error), wait: Duration::ZERO, answered }
}

fn cause(error: &reqwest::Error) -> String {
    let text = innermost(error);
    if error.is_timeout() { format!("no answer in time ({text})") } else { text }
}
