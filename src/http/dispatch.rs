//! From a request to the protocols: read it into a typed operation, ask whether its caller may, hand it on.
//!
//! The only file that has the protocols act.

use std::time::SystemTime;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};

use super::Shared;
use super::record::Record;
use crate::auth::{Denied, Principal, Rejected, SignatureError};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::operation::{Admission, Operation};
use crate::protocol::s3::Payload;
use crate::sigv4::ClaimError;

pub(super) async fn dispatch(shared: &Shared, request: Request<Body>, record: &mut Record) -> Response<Body> {
    let operation = shared.protocols.parse(&request);
    record.is_operation(&operation);
    match admit(shared, &request, &operation, record) {
        Ok(admission) => shared.protocols.handle(operation, admission, request).await,
        Err(refusal) => shared.protocols.refuse(refusal, record.id(), request),
    }
}

fn admit(
    shared: &Shared,
    request: &Request<Body>,
    operation: &Operation,
    record: &mut Record,
) -> Result<Admission, Refusal> {
    let (principal, payload) = identify(shared, request, operation)?;
    record.is_from(&principal);
    shared.policy.permit(&principal, operation).map_err(forbidden)?;
    Ok(Admission { request_id: record.id(), payload })
}

fn identify(
    shared: &Shared,
    request: &Request<Body>,
    operation: &Operation,
) -> Result<(Principal, Payload), Refusal> {
    let headers = request.headers();
    let Some(s3) = &operation.s3 else {
        return Ok((shared.policy.identify(headers).map_err(unauthorized)?, Payload::Plain));
    };
    let query = s3.query()?;
    let signed =
        shared.policy.verify_signature(request.method(), request.uri(), query, headers, SystemTime::now());
    match signed.map_err(unauthorized)? {
        Some(signed) => Ok((signed.principal, Payload::signed(&signed.payload_hash, signed.chunks)?)),
        None => Ok((shared.policy.identify(headers).map_err(unauthorized)?, Payload::unsigned(headers)?)),
    }
}

/// RFC 9110, 15.5.2: a 401 says how to log in. No cache client answers, but a person with curl or a browser does.
#[expect(clippy::needless_pass_by_value, reason = "the end of the rejection, to be used by map_err")]
fn unauthorized(rejected: Rejected) -> Refusal {
    let code = match &rejected {
        Rejected::Signature(error) => return Refusal::new(signature_code(error), error.to_string()),
        Rejected::Missing
        | Rejected::Repeated
        | Rejected::Scheme
        | Rejected::Malformed(_)
        | Rejected::Unknown
        | Rejected::NoTokens
        | Rejected::Expired(_) => ErrorCode::Unauthorized,
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

/// 403 and never 401: the caller is known, and asking again would not help.
#[expect(clippy::needless_pass_by_value, reason = "the end of the denial, to be used by map_err")]
fn forbidden(denied: Denied) -> Refusal {
    Refusal::new(ErrorCode::Forbidden, denied.to_string())
}
