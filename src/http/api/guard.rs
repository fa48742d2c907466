//! Who may see the server's own pages about its use: whoever has the right `admin`, and where there are no tokens whoever the
//! server lets in at all.
//!
//! It must not know what the pages show.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::request::Parts;

use crate::auth::audit::Attempt;
use crate::auth::{Identity, NotAdmin, Rejected};
use crate::http::record::Record;
use crate::http::{Caller, Shared, dispatch};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::operation::MethodLabel;

/// Lets a request through, or says why not: 401 to whoever has shown nothing, so that a browser asks for a token, 403 to
/// whoever is known and lacks the right. None of these pages takes a body.
pub(in crate::http) async fn admit(
    shared: &Shared,
    request: Request<Body>,
    caller: &Caller,
    record: &mut Record,
) -> Result<Parts, Refusal> {
    let (request, _) = request.into_parts();
    let method = MethodLabel::of(&request.method).as_str();
    let attempt = Attempt { peer: caller.peer, principal: None, method, path: request.uri.path() };
    let refused = |rejected: &Rejected| -> (Duration, Refusal) {
        (shared.audit.rejected(&attempt, rejected), dispatch::unauthorized(rejected))
    };
    let (delay, refusal) = match shared.policy.identify(&request.headers, caller.certificate.as_deref()) {
        Ok(Identity { principal, .. }) => match shared.policy.authorize_admin(&principal) {
            Ok(()) => {
                record.is_from(&principal);
                return Ok(request);
            }
            Err(NotAdmin::Nobody) => refused(&Rejected::NotLoggedIn),
            Err(NotAdmin::Denied(denied)) => {
                shared.audit.denied(&Attempt { principal: Some(&principal), ..attempt }, &denied);
                (Duration::ZERO, Refusal::new(ErrorCode::Forbidden, denied.to_string()))
            }
        },
        Err(Rejected::Missing | Rejected::UnknownCertificate(_)) => refused(&Rejected::NotLoggedIn),
        Err(rejected) => refused(&rejected),
    };
    tokio::time::sleep(delay).await;
    Err(refusal)
}
