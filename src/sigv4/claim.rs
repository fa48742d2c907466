//! What a request says of its own signature: whose key, when, over which headers. In the `Authorization` header, or
//! in the query of a presigned URL.
//!
//! It reads and checks the form, and compares the signature once it is given the key. It must not know which keys
//! there are, or what time it is.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Uri};

use super::key::string_to_sign;
use super::{
    ALGORITHM, PathForm, Query, Scope, Signature, SigningKey, Timestamp, UNSIGNED_PAYLOAD, canonical_request,
};

/// The longest time a presigned URL may be good for: a week, as with S3.
pub const MAX_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);

/// A signature as claimed. Nothing of it is true before [`Claim::is_signed_with`] says so.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose key.
    pub access_key_id: String,
    /// What the key is good for.
    pub scope: Scope,
    /// When it was made.
    pub timestamp: Timestamp,
    /// The signature.
    pub signature: Signature,
    /// Where it stood.
    pub form: Form,
    /// The body's hash, or what stands for it.
    pub payload_hash: String,
    signed_headers: String,
}

/// Where a signature stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// In the header `Authorization`.
    Header,
    /// In the query, good for this long from its timestamp on.
    Query(Duration),
}

/// Why a signature cannot be one. The text is fit for the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClaimError {
    /// The header `Authorization` has not the form it must have.
    #[error(
        "the Authorization header is no Signature V4 ({0}): it has the form 'AWS4-HMAC-SHA256 \
         Credential=<key id>/<date>/<region>/s3/aws4_request, SignedHeaders=<names>, Signature=<64 hex digits>'"
    )]
    Header(&'static str),
    /// A presigned URL lacks a parameter or has a bad one.
    #[error("the query is no presigned URL ({0}): have the client sign it anew")]
    Query(&'static str),
    /// There is no usable date.
    #[error("the request is signed but has no valid x-amz-date or Date header")]
    Date,
    /// A signed header is not there.
    #[error("the signature covers the header '{0}', which the request does not have")]
    MissingHeader(String),
    /// A header that changes a request's meaning is not signed.
    #[error("the header '{0}' is not covered by the signature: everybody on the way could have added it")]
    UnsignedHeader(String),
    /// A signed request must say what its body is.
    #[error("the header x-amz-content-sha256 is missing: S3 wants it on every signed request")]
    PayloadHash,
    /// The path has a broken escape.
    #[error("the path has a '%' without two hex digits behind it")]
    BadPath,
}

impl Claim {
    /// Reads the claim of a request that has one.
    ///
    /// # Errors
    /// [`ClaimError`] for one that is malformed.
    pub fn read(uri_query: &Query, headers: &HeaderMap) -> Result<Option<Self>, ClaimError> {
        let claim = if headers.get(AUTHORIZATION).is_some_and(|value| starts_as_v4(value.as_bytes())) {
            Self::from_header(headers)?
        } else if uri_query.has("X-Amz-Signature") || uri_query.has("X-Amz-Algorithm") {
            Self::from_query(uri_query, headers)?
        } else {
            return Ok(None);
        };
        claim.check_signed_headers(headers)?;
        Ok(Some(claim))
    }

    /// True when the request carries the signature that `key` makes for it.
    ///
    /// # Errors
    /// [`ClaimError::MissingHeader`], [`ClaimError::BadPath`].
    pub fn is_signed_with(
        &self,
        key: &SigningKey,
        method: &Method,
        uri: &Uri,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<bool, ClaimError> {
        let fits = |form| {
            let request = canonical_request(
                method,
                uri,
                query,
                headers,
                &self.signed_headers,
                &self.payload_hash,
                form,
            )?;
            let text = string_to_sign(&self.timestamp, &self.scope, &request);
            Ok::<_, ClaimError>(key.sign(text.as_bytes()).matches(&self.signature))
        };
        Ok(fits(PathForm::Encoded)? || fits(PathForm::AsSent)?)
    }

    fn from_header(headers: &HeaderMap) -> Result<Self, ClaimError> {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (all.next(), all.next()) else {
            return Err(ClaimError::Header("it is there twice"));
        };
        let text = value.to_str().map_err(|_| ClaimError::Header("it is not ASCII"))?;
        let fields = text.strip_prefix(ALGORITHM).ok_or(ClaimError::Header("another algorithm"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) =
                field.trim().split_once('=').ok_or(ClaimError::Header("a field has no '='"))?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(ClaimError::Header("an unknown field")),
            };
            if place.replace(value).is_some() {
                return Err(ClaimError::Header("a field is there twice"));
            }
        }
        let credential = credential.ok_or(ClaimError::Header("no Credential"))?;
        let (access_key_id, scope) =
            parse_credential(credential).ok_or(ClaimError::Header("the Credential is malformed"))?;
        let signed_headers = signed_headers.ok_or(ClaimError::Header("no SignedHeaders"))?.to_owned();
        let signature = signature
            .and_then(Signature::from_hex)
            .ok_or(ClaimError::Header("the Signature is not 64 hex digits"))?;
        let timestamp = match (only(headers, "x-amz-date"), only(headers, "date")) {
            (Some(text), _) => Timestamp::parse(text),
            (None, Some(text)) => Timestamp::parse(text).or_else(|| Timestamp::from_http_date(text)),
            (None, None) => None,
        };
        let timestamp = timestamp.ok_or(ClaimError::Date)?;
        if timestamp.date() != scope.date {
            return Err(ClaimError::Header("the Credential's date is not that of x-amz-date"));
        }
        let payload_hash = only(headers, "x-amz-content-sha256").ok_or(ClaimError::PayloadHash)?.to_owned();
        Ok(Self {
            access_key_id,
            scope,
            timestamp,
            signature,
            form: Form::Header,
            payload_hash,
            signed_headers,
        })
    }

    fn from_query(query: &Query, headers: &HeaderMap) -> Result<Self, ClaimError> {
        let get = |name, missing| query.get(name).ok_or(ClaimError::Query(missing));
        if get("X-Amz-Algorithm", "no X-Amz-Algorithm")? != ALGORITHM {
            return Err(ClaimError::Query("X-Amz-Algorithm is not AWS4-HMAC-SHA256"));
        }
        let credential = get("X-Amz-Credential", "no X-Amz-Credential")?;
        let (access_key_id, scope) =
            parse_credential(credential).ok_or(ClaimError::Query("X-Amz-Credential is malformed"))?;
        let timestamp = Timestamp::parse(get("X-Amz-Date", "no X-Amz-Date")?)
            .ok_or(ClaimError::Query("X-Amz-Date is not of the form 20150830T123600Z"))?;
        if timestamp.date() != scope.date {
            return Err(ClaimError::Query("the date in X-Amz-Credential is not that of X-Amz-Date"));
        }
        let expires = get("X-Amz-Expires", "no X-Amz-Expires")?;
        let expires = expires.parse().ok().map(Duration::from_secs);
        let expires = expires
            .filter(|time| !time.is_zero() && *time <= MAX_EXPIRY)
            .ok_or(ClaimError::Query("X-Amz-Expires is not a number of seconds from 1 to 604800"))?;
        let signed_headers = get("X-Amz-SignedHeaders", "no X-Amz-SignedHeaders")?.to_owned();
        let signature = Signature::from_hex(get("X-Amz-Signature", "no X-Amz-Signature")?)
            .ok_or(ClaimError::Query("X-Amz-Signature is not 64 hex digits"))?;
        let payload_hash =
            query.get("X-Amz-Content-Sha256").or_else(|| only(headers, "x-amz-content-sha256"));
        let payload_hash = payload_hash.unwrap_or(UNSIGNED_PAYLOAD).to_owned();
        Ok(Self {
            access_key_id,
            scope,
            timestamp,
            signature,
            form: Form::Query(expires),
            payload_hash,
            signed_headers,
        })
    }

    /// A header that nobody signed must not change what the request does: `x-amz-copy-source` makes a copy of an upload.
    fn check_signed_headers(&self, headers: &HeaderMap) -> Result<(), ClaimError> {
        let is_signed = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        if !is_signed("host") {
            return Err(ClaimError::UnsignedHeader("host".to_owned()));
        }
        // The hash of the body is in the signed text itself.
        let mut names = headers.keys().map(http::HeaderName::as_str);
        match names
            .find(|name| name.starts_with("x-amz-") && *name != "x-amz-content-sha256" && !is_signed(name))
        {
            Some(name) => Err(ClaimError::UnsignedHeader(name.to_owned())),
            None => Ok(()),
        }
    }
}

fn starts_as_v4(value: &[u8]) -> bool {
    value.starts_with(b"AWS4-")
}

/// The value of a header that is there once and is text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next().filter(|_| all.next().is_none())?;
    value.to_str().ok()
}

/// `<key id>/<date>/<region>/<service>/aws4_request`; the id may have slashes of its own.
fn parse_credential(text: &str) -> Option<(String, Scope)> {
    let mut parts = text.rsplitn(5, '/');
    if parts.next()? != "aws4_request" {
        return None;
    }
    let (service, region, date) = (parts.next()?, parts.next()?, parts.next()?);
    let access_key_id = parts.next().filter(|id| !id.is_empty())?;
    // No region is that long; what is kept of a request must be small.
    if region.len() + service.len() > 128 {
        return None;
    }
    if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scope = Scope { date: date.to_owned(), region: region.to_owned(), service: service.to_owned() };
    Some((access_key_id.to_owned(), scope))
}
