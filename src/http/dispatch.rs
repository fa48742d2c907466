//! From a request to the protocols: read it into a typed operation, ask whether its caller may, hand it on.
//!
//! The only file that has the protocols act.

use axum::body::Body;
use axum::http::{Request, Response};

use super::Shared;
use super::record::Record;
use crate::auth::Denied;
use crate::protocol::error::{ErrorCode, Refusal};

pub(super) async fn dispatch(shared: &Shared, request: Request<Body>, record: &mut Record) -> Response<Body> {
    let operation = shared.protocols.parse(&request);
    record.is_operation(&operation);
    let principal = shared.policy.identify();
    match shared.policy.authorize(principal, operation.access) {
        Ok(()) => shared.protocols.handle(operation, request).await,
        Err(denied) => shared.protocols.refuse(refusal(denied), request),
    }
}

fn refusal(denied: Denied) -> Refusal {
    // 403 and never 401: no client here answers a challenge, and there is no credential that would help.
    let code = match denied {
        Denied::ReadOnly => ErrorCode::Forbidden,
    };
    Refusal::new(code, denied.to_string())
}
