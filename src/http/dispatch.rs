//! From a request to the protocols: read it into a typed operation, ask whether its caller may, hand it on.
//!
//! The only file that has the protocols act.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};

use super::Shared;
use super::record::Record;
use crate::auth::audit::Attempt;
use crate::auth::{Denied, Rejected};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::path::Target;

pub(super) async fn dispatch(
    shared: &Shared,
    mut request: Request<Body>,
    peer: SocketAddr,
    record: &mut Record,
) -> Response<Body> {
    let operation = shared.protocols.parse(&request);
    record.is_operation(&operation);
    let attempt =
        Attempt { peer, principal: None, method: operation.method.as_str(), path: request.uri().path() };
    match shared.policy.identify(request.headers()) {
        Ok(principal) => {
            record.is_from(&principal);
            if let Err(denied) = shared.policy.permit(&principal, &operation) {
                shared.audit.denied(&Attempt { principal: Some(&principal), ..attempt }, &denied);
                return shared.protocols.refuse(forbidden(&denied), request);
            }
            if matches!(operation.target, Ok(Target::Root)) {
                request.extensions_mut().insert(shared.policy.visible_to(&principal));
            }
            shared.protocols.handle(operation, request).await
        }
        Err(rejected) => {
            let delay = shared.audit.rejected(&attempt, &rejected);
            tokio::time::sleep(delay).await;
            shared.protocols.refuse(unauthorized(&rejected), request)
        }
    }
}

/// RFC 9110, 15.5.2: a 401 says how to log in. No cache client answers, but a person with curl or a browser does.
fn unauthorized(rejected: &Rejected) -> Refusal {
    let how = HeaderValue::from_static("Basic realm=\"larder\"");
    Refusal::new(ErrorCode::Unauthorized, rejected.to_string()).with_header(header::WWW_AUTHENTICATE, how)
}

/// 403 and never 401: the caller is known, and asking again would not help.
fn forbidden(denied: &Denied) -> Refusal {
    Refusal::new(ErrorCode::Forbidden, denied.to_string())
}
