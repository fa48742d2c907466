//! From a request to the protocols: read it into a typed operation, ask whether its caller may, hand it on.
//!
//! The only file that has the protocols act.

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};

use super::Shared;
use super::record::Record;
use crate::auth::{Denied, Rejected};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::operation::Operation;

pub(super) async fn dispatch(shared: &Shared, request: Request<Body>, record: &mut Record) -> Response<Body> {
    let operation = shared.protocols.parse(&request);
    record.is_operation(&operation);
    match admit(shared, &request, &operation, record) {
        Ok(()) => shared.protocols.handle(operation, request).await,
        Err(refusal) => shared.protocols.refuse(refusal, request),
    }
}

fn admit(
    shared: &Shared,
    request: &Request<Body>,
    operation: &Operation,
    record: &mut Record,
) -> Result<(), Refusal> {
    let principal = shared.policy.identify(request.headers()).map_err(unauthorized)?;
    record.is_from(&principal);
    shared.policy.permit(&principal, operation).map_err(forbidden)
}

/// RFC 9110, 15.5.2: a 401 says how to log in. No cache client answers, but a person with curl or a browser does.
#[expect(clippy::needless_pass_by_value, reason = "the end of the rejection, to be used by map_err")]
fn unauthorized(rejected: Rejected) -> Refusal {
    let how = HeaderValue::from_static("Basic realm=\"larder\"");
    Refusal::new(ErrorCode::Unauthorized, rejected.to_string()).with_header(header::WWW_AUTHENTICATE, how)
}

/// 403 and never 401: the caller is known, and asking again would not help.
#[expect(clippy::needless_pass_by_value, reason = "the end of the denial, to be used by map_err")]
fn forbidden(denied: Denied) -> Refusal {
    Refusal::new(ErrorCode::Forbidden, denied.to_string())
}
