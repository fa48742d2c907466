//! `POST /-/token`: a CI job shows its identity token and gets a cache token.
//!
//! Owns how the one is sent and the other answered. What identity tokens are good for is `auth`'s. Neither token may ever
//! come into a line of the log or into a cache on the way.

use std::net::SocketAddr;
use std::time::SystemTime;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::Shared;
use super::record::Record;
use crate::auth::audit::{self, Attempt};
use crate::auth::{ExchangeError, Exchanged, Principal};
use crate::config::print_expiry;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::incoming::{Incoming, Leftover};

/// The page.
pub(super) const PATH: &str = "/-/token";

/// Most bytes of a body: an identity token, and some JSON around it.
const MOST_BYTES: usize = 32 << 10;

pub(super) async fn exchange(
    shared: &Shared,
    request: Request<Body>,
    peer: SocketAddr,
    record: &mut Record,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut incoming = Incoming::new(&parts.headers, body, &shared.metrics.received_bytes);
    let mut response = if parts.method == Method::POST {
        match answer(shared, &parts.headers, &mut incoming, peer, record).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        }
    } else {
        let text = "this page exchanges a CI job's identity token for a cache token: POST it";
        let refusal = Refusal::new(ErrorCode::MethodNotAllowed, text);
        refusal.with_header(header::ALLOW, HeaderValue::from_static("POST")).into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match incoming.discard() {
        Leftover::None => {}
        Leftover::MustClose => {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    response
}

async fn answer(
    shared: &Shared,
    headers: &HeaderMap,
    incoming: &mut Incoming,
    peer: SocketAddr,
    record: &mut Record,
) -> Result<Response<Body>, Refusal> {
    if !shared.policy.knows_issuers() {
        return Err(Refusal::new(ErrorCode::NotFound, ExchangeError::NotConfigured.to_string()));
    }
    let body = incoming.read_all(MOST_BYTES).await?;
    let outcome = match presented(headers, &body) {
        Ok(identity) => shared.policy.exchange(&identity, SystemTime::now()).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(exchanged) => {
            record.is_from(&Principal::Job(exchanged.job.clone()));
            audit::exchanged(peer, &exchanged);
            Ok(if wants_text(headers) { text(&exchanged) } else { json(&exchanged) })
        }
        Err(error) => {
            let attempt = Attempt { peer, principal: None, method: "POST", path: PATH };
            tokio::time::sleep(shared.audit.not_exchanged(&attempt, &error)).await;
            Err(refusal(&error))
        }
    }
}

/// The identity token: in the header, or as the body, bare or in a field `token` of JSON or of a form.
fn presented(headers: &HeaderMap, body: &[u8]) -> Result<String, ExchangeError> {
    let malformed = ExchangeError::Malformed;
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(value) = values.next() {
        let value = value
            .to_str()
            .ok()
            .filter(|_| values.next().is_none())
            .and_then(|text| text.trim().split_once(' '));
        return match value {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim().to_owned()),
            _ => Err(malformed("the header Authorization has to be Bearer, and there once")),
        };
    }
    let body = std::str::from_utf8(body).map_err(|_| malformed("the body is no text"))?.trim();
    if body.is_empty() {
        return Err(ExchangeError::Missing);
    }
    if body.starts_with('{') {
        let json: Value =
            serde_json::from_str(body).map_err(|_| malformed("the body starts as JSON and is none"))?;
        let token = json.get("token").and_then(Value::as_str);
        return token.map(str::to_owned).ok_or(malformed("the JSON has no text \"token\""));
    }
    // curl says of every -d that it is a form, so what is sent counts and not what it is called.
    let field = body.split('&').find_map(|field| field.strip_prefix("token="));
    let token = field.map(|token| percent_decode_str(token).decode_utf8_lossy().into_owned());
    Ok(token.unwrap_or_else(|| body.to_owned()))
}

/// True for a caller that asks for text and not for JSON: a script that wants the token and nothing else.
fn wants_text(headers: &HeaderMap) -> bool {
    let named = |kind: &str| {
        let mut values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.to_ascii_lowercase().contains(kind))
    };
    named("text/plain") && !named("application/json")
}

fn text(exchanged: &Exchanged) -> Response<Body> {
    with_type("text/plain; charset=utf-8", format!("{}\n", exchanged.token.reveal()))
}

fn json(exchanged: &Exchanged) -> Response<Body> {
    let (token, job) = (&exchanged.token, &exchanged.job);
    let words = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>();
    let answer = json!({
        "token": token.reveal(),
        "expires": print_expiry(job.expires()),
        "subject": job.subject(),
        "namespaces": words(&mut job.namespaces().iter().map(ToString::to_string)),
        "allow": words(&mut job.allow().map(|right| right.to_string())),
        "env": {
            "SCCACHE_WEBDAV_TOKEN": token.reveal(),
            "AWS_ACCESS_KEY_ID": token.s3_id(),
            "AWS_SECRET_ACCESS_KEY": token.s3_secret(),
        },
    });
    with_type("application/json", format!("{answer}\n"))
}

fn with_type(kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn refusal(error: &ExchangeError) -> Refusal {
    let code = match error {
        ExchangeError::NotConfigured => ErrorCode::NotFound,
        // The job is known, and nobody wrote that it may do anything.
        ExchangeError::NoRule { .. } => ErrorCode::Forbidden,
        ExchangeError::Unreachable(_) => {
            let later = HeaderValue::from_static("30");
            return Refusal::new(ErrorCode::IssuerUnreachable, error.to_string())
                .with_header(header::RETRY_AFTER, later);
        }
        ExchangeError::Missing
        | ExchangeError::Malformed(_)
        | ExchangeError::Algorithm(_)
        | ExchangeError::Issuer(_)
        | ExchangeError::UnknownKey(_)
        | ExchangeError::Signature
        | ExchangeError::Expired(_)
        | ExchangeError::NotYetValid(_)
        | ExchangeError::Audience { .. } => ErrorCode::Unauthorized,
    };
    let how = HeaderValue::from_static("Bearer realm=\"larder\"");
    let refusal = Refusal::new(code, error.to_string());
    if code == ErrorCode::Unauthorized { refusal.with_header(header::WWW_AUTHENTICATE, how) } else { refusal }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(authorization: &[&str], body: &[u8]) -> Result<String, ExchangeError> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        presented(&headers, body)
    }

    #[test]
    fn the_token_is_found_wherever_scripts_put_it() {
        for (authorization, body) in [
            (&["Bearer a.b.c"][..], ""),
            (&["bearer  a.b.c "], "x"),
            (&[], "a.b.c"),
            (&[], "a.b.c\r\n"),
            (&[], " {\"token\": \"a.b.c\", \"more\": 1}"),
            (&[], "token=a.b.c"),
            (&[], "x=1&token=a%2Eb.c&y"),
        ] {
            assert_eq!(
                read(authorization, body.as_bytes()),
                Ok("a.b.c".to_owned()),
                "{authorization:?} {body}"
            );
        }
        assert_eq!(read(&[], b" \n"), Err(ExchangeError::Missing));
        for (authorization, body) in [
            (&["Basic YTpi"][..], &b""[..]),
            (&["Bearer"], b"a.b.c"),
            (&["Bearer a", "Bearer a"], b""),
            (&[], b"{"),
            (&[], b"{\"token\": 1}"),
            (&[], b"\xff"),
        ] {
            assert!(
                matches!(read(authorization, body), Err(ExchangeError::Malformed(_))),
                "{authorization:?}"
            );
        }
    }

    #[test]
    fn text_is_answered_only_to_who_asks_for_it() {
        for (accept, is_text) in [
            (None, false),
            (Some("*/*"), false),
            (Some("text/plain"), true),
            (Some("Text/Plain;q=0.5"), true),
            (Some("application/json, text/plain, */*"), false),
        ] {
            let headers =
                accept.into_iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value))).collect();
            assert_eq!(wants_text(&headers), is_text, "{accept:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_a_panic(body: Vec<u8>, text in "[{}\"token=%&a-f0-9: ]{0,40}", header in "[ -~]{0,40}") {
            let _ = read(&[], &body);
            let _ = read(&[], text.as_bytes());
            let _ = read(&[&header], b"");
        }
    }
}
