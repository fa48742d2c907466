//! Requests signed with an S3 key pair: is the signature that of this request, made just now, with a token's secret?
//!
//! It must not know what the request asks for, or read its body: it hands on what the signature promises of that.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Uri};
use parking_lot::RwLock;

use super::rules::Rules;
use super::{Policy, Principal, Rejected};
use crate::analytics::sessions::Label;
use crate::sigv4::{ChunkSignatures, Claim, ClaimError, Form, Query, Scope, SigningKey};

/// How far a client's clock may be off, either way. S3's own tolerance.
const TOLERANCE: Duration = Duration::from_secs(15 * 60);
/// Most derived keys that are kept: one for each pair of key and region in use today.
const MAX_KEYS: usize = 256;

/// A request whose signature is right.
#[derive(Debug)]
pub struct Signed {
    /// Who signed it.
    pub principal: Principal,
    /// The label of a session behind the last `+` of the access key's id.
    pub label: Option<Label>,
    /// What the signature promises of the body, as in `x-amz-content-sha256`.
    pub payload_hash: String,
    /// The start of the chain of signatures, should the body be signed in chunks.
    pub chunks: ChunkSignatures,
}

/// Why a signed request is not let in. The text is fit for the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// It has not the form of a signature.
    #[error(transparent)]
    Malformed(#[from] ClaimError),
    /// Signature V2, which nobody needs and which leaves most of a request unsigned.
    #[error("the request is signed with Signature V2: set the client to Signature V4 (AWS4-HMAC-SHA256)")]
    OldVersion,
    /// Signed for another service than S3.
    #[error("the request is signed for another service: its credential must say .../s3/aws4_request")]
    Service,
    /// No usable token has this name.
    #[error(
        "there is no usable S3 key of this id: the access key id is the name of a token, [tokens.NAME], which has a \
         secret_file or secret_env and has not expired"
    )]
    UnknownKey,
    /// Made too long ago, or in the future.
    #[error(
        "the request was signed more than 15 minutes away from the server's time: set the clock of one of them"
    )]
    Clock,
    /// The time of a presigned URL is over.
    #[error("this presigned URL has expired: have a new one made")]
    Expired,
    /// The signature is another one.
    #[error(
        "the signature is not the one that this request and this key's secret make: check the secret access key, and \
         that nothing between client and server changes the request's path or headers"
    )]
    Mismatch,
}

impl SignatureError {
    /// The label in metrics and in the audit log.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::OldVersion | Self::Service => "malformed",
            Self::UnknownKey => "unknown",
            Self::Expired => "expired",
            Self::Clock => "clock",
            Self::Mismatch => "signature",
        }
    }
}

/// Keys derived from secrets. Only keys that a signature was right with are kept, so nobody else can fill it.
#[derive(Default)]
pub(super) struct DerivedKeys(RwLock<HashMap<(String, Scope), SigningKey>>);

impl Policy {
    /// Verifies the signature of a request that has one; `None` for one that has none.
    ///
    /// # Errors
    /// [`Rejected::Signature`]. A wrong signature is never taken for none.
    pub fn verify_signature(
        &self,
        method: &Method,
        uri: &Uri,
        query: &Query,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Option<Signed>, Rejected> {
        let authorization = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let is_v2_url = query.has("AWSAccessKeyId") || query.has("Signature");
        if authorization.is_some_and(|value| value.starts_with(b"AWS ")) || is_v2_url {
            return Err(SignatureError::OldVersion.into());
        }
        let Some(claim) = Claim::read(query, headers).map_err(SignatureError::from)? else { return Ok(None) };
        let rules = self.rules.load();
        let signed =
            verify(&rules, &claim, now, |key| claim.is_signed_with(key, method, uri, query, headers))?;
        Ok(Some(signed))
    }
}

fn verify(
    rules: &Rules,
    claim: &Claim,
    now: SystemTime,
    is_signed_with: impl Fn(&SigningKey) -> Result<bool, ClaimError>,
) -> Result<Signed, SignatureError> {
    if claim.scope.service != "s3" {
        return Err(SignatureError::Service);
    }
    check_time(claim, now)?;
    // No token's name has a '+', and no cache token has: what stands behind one is a session's label, good or bad.
    let name = claim.access_key_id.split('+').next().unwrap_or_default();
    let known = rules.s3_key(name, now).ok_or(SignatureError::UnknownKey)?;
    let id = (name.to_owned(), claim.scope.clone());
    let kept = rules.derived_keys.0.read().get(&id).cloned();
    let is_new = kept.is_none();
    let key = kept.unwrap_or_else(|| SigningKey::derive(known.secret.reveal().as_bytes(), &claim.scope));
    if !is_signed_with(&key)? {
        return Err(SignatureError::Mismatch);
    }
    if is_new {
        let mut keys = rules.derived_keys.0.write();
        if keys.len() >= MAX_KEYS {
            // Mostly those of days that are over.
            keys.clear();
        }
        keys.insert(id, key.clone());
    }
    let chunks = ChunkSignatures::new(key, &claim.timestamp, &claim.scope, claim.signature);
    let label = Label::behind_plus(claim.access_key_id.as_bytes());
    Ok(Signed { principal: known.principal, label, payload_hash: claim.payload_hash.clone(), chunks })
}

fn check_time(claim: &Claim, now: SystemTime) -> Result<(), SignatureError> {
    match claim.form {
        Form::Header if claim.timestamp.is_near(now, TOLERANCE) => Ok(()),
        Form::Header => Err(SignatureError::Clock),
        Form::Query(_) if claim.timestamp.time() > now + TOLERANCE => Err(SignatureError::Clock),
        Form::Query(expiry) if now > claim.timestamp.time() + expiry => Err(SignatureError::Expired),
        Form::Query(_) => Ok(()),
    }
}
