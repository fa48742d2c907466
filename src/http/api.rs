//! `/-/api/…`: what the server knows of its use, as JSON, for its own page, `larder stats` and whoever else may see it.
//!
//! Owns paths and parameters. The forms of the answers are `analytics`'s. Who may ask is [`guard`]'s to say; numbers are gathered in
//! [`summary`] and judged in [`health`].

mod guard;
mod health;
mod recent;
mod summary;

use std::net::SocketAddr;
use std::time::Instant;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, header};
use serde::Serialize;

pub(super) use guard::admit;
pub(super) use recent::Recent;

use super::record::Record;
use super::{Caller, Shared};
use crate::analytics::history::Range;
use crate::analytics::sessions::MOST_SESSIONS;
use crate::analytics::summary::SessionList;
use crate::config::Config;
use crate::protocol::error::{ErrorCode, Refusal};

/// What all of its paths begin with.
const PREFIX: &str = "/-/api";
/// Sessions that are listed where nothing else is asked for.
const USUAL_SESSIONS: usize = 50;

/// What does not change while the server runs, and what it remembers to compare with.
pub(super) struct Facts {
    started: Instant,
    listen: SocketAddr,
    has_tls: bool,
    min_free_disk: u64,
    recent: Recent,
}

impl Facts {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            started: Instant::now(),
            listen: config.listen,
            has_tls: config.tls_cert.is_some(),
            min_free_disk: config.min_free_disk,
            recent: Recent::default(),
        }
    }

    /// Remembers the counters that are judged by their last hour.
    pub(super) fn remember(&self, metrics: &crate::metrics::Metrics) {
        self.recent.remember(metrics);
    }
}

/// True for paths that are answered here.
pub(super) fn owns(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers one of them, to those who may ask.
pub(super) async fn answer(
    shared: &Shared,
    request: Request<Body>,
    caller: &Caller,
    record: &mut Record,
) -> Response<Body> {
    let admitted = admit(shared, request, caller, record).await;
    let answered = admitted.and_then(|request| route(shared, &request));
    let mut response = answered.unwrap_or_else(Refusal::into_response);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn route(shared: &Shared, request: &Parts) -> Result<Response<Body>, Refusal> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let refusal = Refusal::new(ErrorCode::MethodNotAllowed, "the API only tells: GET it");
        return Err(refusal.with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    let query = request.uri.query().unwrap_or_default();
    match request.uri.path().strip_prefix(PREFIX).unwrap_or_default() {
        "/summary" => {
            parameters(query, [])?;
            json(&summary::gather(shared, request))
        }
        "/sessions" => {
            let [limit] = parameters(query, ["limit"])?;
            json(&SessionList {
                now_ms: crate::analytics::now_ms(),
                sessions: shared.analytics.sessions(session_limit(limit)?),
            })
        }
        "/history" => {
            let [range] = parameters(query, ["range"])?;
            json(&shared.analytics.history().view(history_range(range)?))
        }
        _ => Err(Refusal::new(
            ErrorCode::NotFound,
            format!(
                "there is no {}; there are {PREFIX}/summary, {PREFIX}/sessions and {PREFIX}/history",
                request.uri.path()
            ),
        )),
    }
}

fn session_limit(text: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = text else { return Ok(USUAL_SESSIONS) };
    text.parse().ok().filter(|limit| (1..=MOST_SESSIONS).contains(limit)).ok_or_else(|| {
        let text = format!("the parameter limit is not a number from 1 to {MOST_SESSIONS}");
        Refusal::new(ErrorCode::BadQuery, text)
    })
}

fn history_range(text: Option<&str>) -> Result<Range, Refusal> {
    let Some(text) = text else { return Ok(Range::Hour) };
    Range::named(text).ok_or_else(|| {
        Refusal::new(ErrorCode::BadQuery, "the parameter range is neither hour nor day nor week")
    })
}

/// The values of the parameters of these names. Any other, and one that is there twice, is a mistake that would else go unseen.
fn parameters<'a, const N: usize>(query: &'a str, names: [&str; N]) -> Result<[Option<&'a str>; N], Refusal> {
    let mut values = [None; N];
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let Some(at) = names.iter().position(|known| *known == name) else {
            let known = if N == 0 { "none".to_owned() } else { names.join(", ") };
            let text = format!("the query has a parameter that means nothing here; known: {known}");
            return Err(Refusal::new(ErrorCode::BadQuery, text));
        };
        if values[at].replace(value).is_some() {
            return Err(Refusal::new(ErrorCode::BadQuery, format!("the parameter {name} is there twice")));
        }
    }
    Ok(values)
}

fn json(answer: &impl Serialize) -> Result<Response<Body>, Refusal> {
    let text = serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Refusal::new(ErrorCode::Internal, "the answer could not be written")
    })?;
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_paths_are_told_from_others() {
        for own in ["/-/api", "/-/api/", "/-/api/summary"] {
            assert!(owns(own), "{own}");
        }
        for other in ["/-/apis", "/-/", "/api/", "/-/healthy"] {
            assert!(!owns(other), "{other}");
        }
    }

    #[test]
    fn parameters_are_known_and_there_once() {
        assert_eq!(parameters("", ["limit"]).ok(), Some([None]));
        assert_eq!(parameters("limit=3&", ["limit"]).ok(), Some([Some("3")]));
        for wrong in ["limitt=3", "limit=1&limit=2", "x", "=1"] {
            assert_eq!(
                parameters(wrong, ["limit"]).map_err(|refusal| refusal.code()),
                Err(ErrorCode::BadQuery),
                "{wrong}"
            );
        }
        assert!(parameters("limit=1", []).is_err());
        for (text, limit) in [
            (None, Some(50)),
            (Some("1"), Some(1)),
            (Some("200"), Some(200)),
            (Some("0"), None),
            (Some("201"), None),
            (Some("x"), None),
        ] {
            assert_eq!(session_limit(text).ok(), limit, "{text:?}");
        }
    }
}
