//! From a request to the protocols: read it into a typed operation, ask whether its caller may, hand it on.
//!
//! The only file that has the protocols act.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};

use super::record::Record;
use super::{Caller, Shared, cross_site};
use crate::analytics::sessions::{self, Label, Session};
use crate::auth::audit::Attempt;
use crate::auth::{Denied, Identity, Principal, Rejected, SignatureError};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::operation::{Admission, Operation};
use crate::protocol::path::Target;
use crate::protocol::reply::Reply;
use crate::protocol::s3::Payload;
use crate::sigv4::ClaimError;

/// Carries a session's label, for clients whose credentials cannot.
const SESSION: HeaderName = HeaderName::from_static(sessions::HEADER);

/// Why a request does not come as far as the protocols.
enum Refused {
    /// Nobody is known to have made it.
    Rejected(Rejected),
    /// This caller may not do this.
    Denied(Principal, Denied),
    /// It is wrong before it matters who asks.
    Request(Refusal),
}

pub(super) fn dispatch(
    shared: &Arc<Shared>,
    mut request: Request<Body>,
    caller: &Caller,
    record: &mut Record,
) -> Reply {
    let operation = shared.protocols.parse(&request);
    record.is_operation(&operation);
    match admit(shared, &request, &operation, caller, record) {
        Ok((principal, admission)) => {
            if matches!(operation.target, Ok(Target::Root)) {
                request.extensions_mut().insert(shared.policy.visible_to(&principal));
            }
            shared.protocols.handle(operation, admission, request, caller.files.as_ref())
        }
        Err(refused) => {
            let delay = audit(shared, &refused, &request, &operation, caller);
            let (shared, id) = (Arc::clone(shared), record.id());
            Reply::later(async move {
                tokio::time::sleep(delay).await;
                shared.protocols.refuse(refused.into_refusal(), id, request)
            })
        }
    }
}

fn admit(
    shared: &Shared,
    request: &Request<Body>,
    operation: &Operation,
    caller: &Caller,
    record: &mut Record,
) -> Result<(Principal, Admission), Refused> {
    cross_site::check(request)?;
    let (Identity { principal, label }, payload) = identify(shared, request, operation, caller)?;
    record.is_from(&principal);
    let session = session(shared, request.headers(), &principal, label);
    record.is_of(session.as_ref());
    match shared.policy.permit(&principal, operation) {
        Ok(()) => Ok((principal, Admission { request_id: record.id(), payload, session })),
        Err(denied) => Err(Refused::Denied(principal, denied)),
    }
}

/// Counts a known caller's request for its client, and for the build that it says it belongs to.
fn session(
    shared: &Shared,
    headers: &HeaderMap,
    principal: &Principal,
    label: Option<Label>,
) -> Option<Arc<Session>> {
    // Once through the few that a request has is less than to look two up.
    let (mut agent, mut named) = (None, None);
    for (name, value) in headers {
        if *name == header::USER_AGENT {
            agent = agent.or(Some(value.as_bytes()));
        } else if *name == SESSION {
            named = named.or(Some(value.as_bytes()));
        }
    }
    let client = shared.analytics.request(agent);
    let named = named.and_then(Label::read);
    let label = named.or(label)?;
    Some(shared.analytics.session(principal.name(), label, client))
}

fn identify(
    shared: &Shared,
    request: &Request<Body>,
    operation: &Operation,
    caller: &Caller,
) -> Result<(Identity, Payload), Refused> {
    let (headers, certificate) = (request.headers(), caller.certificate.as_deref());
    let Some(s3) = &operation.s3 else {
        return Ok((shared.policy.identify(headers, certificate)?, Payload::Plain));
    };
    let query = s3.query()?;
    let signed =
        shared.policy.verify_signature(request.method(), request.uri(), query, headers, SystemTime::now())?;
    match signed {
        Some(signed) => {
            let identity = Identity { principal: signed.principal, label: signed.label };
            Ok((identity, Payload::signed(&signed.payload_hash, signed.chunks)?))
        }
        None => Ok((shared.policy.identify(headers, certificate)?, Payload::unsigned(headers)?)),
    }
}

/// Notes a refusal for who asked; how long its answer is to wait.
fn audit(
    shared: &Shared,
    refused: &Refused,
    request: &Request<Body>,
    operation: &Operation,
    caller: &Caller,
) -> Duration {
    let (method, path) = (operation.method.as_str(), request.uri().path());
    let attempt = Attempt { peer: caller.peer, principal: None, method, path };
    match refused {
        Refused::Rejected(rejected) => shared.audit.rejected(&attempt, rejected),
        Refused::Denied(principal, denied) => {
            shared.audit.denied(&Attempt { principal: Some(principal), ..attempt }, denied);
            Duration::ZERO
        }
        Refused::Request(_) => Duration::ZERO,
    }
}

impl Refused {
    fn into_refusal(self) -> Refusal {
        match self {
            Self::Rejected(rejected) => unauthorized(&rejected),
            // 403 and never 401: the caller is known, and asking again would not help.
            Self::Denied(_, denied) => Refusal::new(ErrorCode::Forbidden, denied.to_string()),
            Self::Request(refusal) => refusal,
        }
    }
}

impl From<Rejected> for Refused {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Request(refusal)
    }
}

/// RFC 9110, 15.5.2: a 401 says how to log in. No cache client answers, but a person with curl or a browser does.
pub(super) fn unauthorized(rejected: &Rejected) -> Refusal {
    let code = match rejected {
        Rejected::Signature(error) => return Refusal::new(signature_code(error), error.to_string()),
        Rejected::Missing
        | Rejected::NotLoggedIn
        | Rejected::Repeated
        | Rejected::Scheme
        | Rejected::Malformed(_)
        | Rejected::Unknown
        | Rejected::NoTokens
        | Rejected::Expired(_)
        | Rejected::UnknownCertificate(_)
        | Rejected::AmbiguousCertificate(..)
        | Rejected::CacheToken
        | Rejected::IssuerGone
        | Rejected::JobExpired => ErrorCode::Unauthorized,
    };
    let how = HeaderValue::from_static("Basic realm=\"larder\"");
    Refusal::new(code, rejected.to_string()).with_header(header::WWW_AUTHENTICATE, how)
}

/// S3's clients know no 401: each of these is a code of its own to them.
fn signature_code(error: &SignatureError) -> ErrorCode {
    match error {
        SignatureError::Malformed(ClaimError::Query(_)) => ErrorCode::MalformedPresignedUrl,
        SignatureError::Malformed(ClaimError::UnsignedHeader(_)) | SignatureError::Expired => {
            ErrorCode::Forbidden
        }
        SignatureError::Malformed(ClaimError::MissingHeader(_) | ClaimError::BadPath)
        | SignatureError::Mismatch => ErrorCode::BadSignature,
        SignatureError::Malformed(ClaimError::Header(_) | ClaimError::Date | ClaimError::PayloadHash)
        | SignatureError::Service
        | SignatureError::OldVersion => ErrorCode::MalformedSignature,
        SignatureError::UnknownKey => ErrorCode::UnknownKey,
        SignatureError::Clock => ErrorCode::ClockSkew,
    }
}
