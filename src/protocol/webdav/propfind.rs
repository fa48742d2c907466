//! PROPFIND (RFC 4918, 9.1), Depth 0 and 1.
//!
//! sccache asks for the parent collection before each store and creates what is missing, so every path that
//! ends in a slash is answered 207. It must not know how rows are written.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;

use super::listing::{Listing, Members};
use super::multistatus::{Kind, Row};
use super::propfind_body;
use crate::key::{Namespace, ObjectName};
use crate::protocol::Context;
use crate::protocol::body::Streamed;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::incoming::Incoming;
use crate::protocol::path::{Collection, Target};
use crate::protocol::visible::Visible;

/// RFC 4918, 9.1: how a server says that it lists no whole trees.
const FINITE_DEPTH: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
     <D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>\n";

pub(in crate::protocol) async fn propfind(
    context: &Context,
    target: Target,
    parts: &Parts,
    incoming: &mut Incoming,
) -> Result<Response, Refusal> {
    let with_members = match depth(&parts.headers)? {
        Depth::Zero => false,
        Depth::One => true,
        Depth::Infinity => return Ok(xml(StatusCode::FORBIDDEN, Body::from(FINITE_DEPTH))),
    };
    let body = incoming.read_all(propfind_body::MAX_BODY).await?;
    let asked = propfind_body::parse(&body)
        .map_err(|error| Refusal::new(ErrorCode::BadXml, format!("PROPFIND: {error}")))?;

    let path = parts.uri.path();
    let date = context.started;
    let (collection, name) = match resolve(context, target).await? {
        Found::Object(name, info) => {
            let row = Row { href: path, name: name.key.last_segment(), kind: Kind::Object(info.into()) };
            return answer(Listing::new(&row, asked, date)).await;
        }
        Found::Root => (None, String::new()),
        Found::Collection(collection) => {
            let parent = collection.prefix.strip_suffix('/').unwrap_or(collection.namespace.as_str());
            let name = parent.rsplit('/').next().unwrap_or(parent).to_owned();
            (Some(collection), name)
        }
    };
    let href = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
    let row = Row { href: &href, name: &name, kind: Kind::Collection(date) };
    let mut listing = Listing::new(&row, asked, date);
    if with_members {
        let shows = |namespace: &Namespace| Visible::shows(&parts.extensions, namespace);
        let collection = collection.or_else(|| {
            for namespace in context.namespaces.iter().filter(|namespace| shows(namespace)) {
                listing.push_collection(namespace.as_str());
            }
            // Keys of the default namespace are also found without its name.
            let namespace = Some(context.namespaces.default_namespace()).filter(|default| shows(default))?;
            Some(Collection { namespace: namespace.clone(), prefix: String::new() })
        });
        if let Some(collection) = collection {
            listing.set_members(Members::new(context.cache.clone(), collection));
        }
    }
    answer(listing).await
}

enum Depth {
    Zero,
    One,
    Infinity,
}

enum Found {
    Root,
    Collection(Collection),
    Object(ObjectName, crate::object::ObjectInfo),
}

/// An absent header means infinity (RFC 4918, 9.1).
fn depth(headers: &HeaderMap) -> Result<Depth, Refusal> {
    let Some(value) = headers.get("depth") else {
        return Ok(Depth::Infinity);
    };
    match value.as_bytes().trim_ascii() {
        b"0" => Ok(Depth::Zero),
        b"1" => Ok(Depth::One),
        text if text.eq_ignore_ascii_case(b"infinity") => Ok(Depth::Infinity),
        _ => Err(Refusal::new(ErrorCode::BadHeader, "the header Depth is none of 0, 1 and infinity")),
    }
}

/// A path without a slash at its end may still mean a collection, where anything lies below it.
async fn resolve(context: &Context, target: Target) -> Result<Found, Refusal> {
    let name = match target {
        Target::Root => return Ok(Found::Root),
        Target::Collection(collection) => return Ok(Found::Collection(collection)),
        Target::Object(name) => name,
    };
    if let Some(info) = context.cache.head(&name).await? {
        return Ok(Found::Object(name, info));
    }
    let prefix = format!("{}/", name.key);
    if context.cache.list(&name.namespace, &prefix, None, 1).await?.is_empty() {
        return Err(Refusal::new(
            ErrorCode::NotFound,
            "nothing is stored under this path or below it; collections are paths that end in '/'",
        ));
    }
    Ok(Found::Collection(Collection { namespace: name.namespace, prefix }))
}

async fn answer(listing: Listing) -> Result<Response, Refusal> {
    let body = Streamed::start(listing, None).await?;
    Ok(xml(StatusCode::MULTI_STATUS, Body::new(body)))
}

fn xml(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
