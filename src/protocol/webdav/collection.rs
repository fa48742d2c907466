//! MKCOL, and DELETE of a collection with all that lies below.
//!
//! Collections are not stored: making one checks and does nothing. It must not know single objects' requests.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue};

use crate::key::ObjectName;
use crate::object::Precondition;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::incoming::Incoming;
use crate::protocol::path::{Collection, Target};
use crate::protocol::{COLLECTION_METHODS, Context, OBJECT_METHODS, not_allowed};

/// Keys deleted between two looks into the index.
const PAGE: usize = 1000;

/// RFC 4918, 9.3. OpenDAL takes 201 and 405 for success.
pub(in crate::protocol) async fn mkcol(
    context: &Context,
    target: Target,
    incoming: &mut Incoming,
) -> Result<Response, Refusal> {
    if !incoming.is_empty() {
        return Err(Refusal::new(ErrorCode::UnsupportedBody, "MKCOL takes no body"));
    }
    let collection = match target {
        Target::Root => return Err(exists(COLLECTION_METHODS)),
        Target::Collection(collection) => collection,
        Target::Object(name) => {
            if context.cache.head(&name).await?.is_some() {
                return Err(exists(OBJECT_METHODS));
            }
            Collection { prefix: format!("{}/", name.key), namespace: name.namespace }
        }
    };
    let Collection { namespace, prefix } = &collection;
    if prefix.is_empty() || !context.cache.list(namespace, prefix, None, 1).await?.is_empty() {
        return Err(exists(COLLECTION_METHODS));
    }
    Ok(status(StatusCode::CREATED))
}

/// RFC 4918, 9.6.1. Objects that are stored while it runs may stay.
pub(in crate::protocol) async fn delete_collection(
    context: &Context,
    target: Target,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let Target::Collection(Collection { namespace, prefix }) = target else {
        return Err(whole_namespace());
    };
    if prefix.is_empty() {
        return Err(whole_namespace());
    }
    let is_infinity = |depth: &HeaderValue| depth.as_bytes().trim_ascii().eq_ignore_ascii_case(b"infinity");
    if headers.get("depth").is_some_and(|depth| !is_infinity(depth)) {
        return Err(Refusal::new(
            ErrorCode::BadHeader,
            "DELETE of a collection takes all below it: send Depth: infinity, or no Depth",
        ));
    }
    let mut after: Option<String> = None;
    let mut any = false;
    loop {
        let page = context.cache.list_with_bucket(&namespace, &prefix, after.as_deref(), PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.as_str().to_owned());
        for (key, _) in page {
            let name = ObjectName { namespace: namespace.clone(), key };
            any |= context.cache.delete(&name, Precondition::None).await?;
        }
    }
    if !any {
        return Err(Refusal::new(ErrorCode::NotFound, "nothing is stored below this path"));
    }
    Ok(status(StatusCode::NO_CONTENT))
}

fn exists(allow: &'static str) -> Refusal {
    not_allowed("there is something under this name already", allow)
}

fn whole_namespace() -> Refusal {
    Refusal::new(
        ErrorCode::Forbidden,
        "a whole namespace cannot be deleted by one request: delete the collections below it",
    )
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
