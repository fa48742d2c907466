//! What a request says of its signature, in the header and in the query.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use larder::protocol::s3::PayloadForm;
use larder::sigv4::{Claim, Query, SigningKey, Timestamp};

use super::SECRET;

/// A request with its headers: the address in the first line, a header in each further one.
pub fn signature_header(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Some(uri) = lines.next().and_then(|line| Uri::try_from(line).ok()) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        let (Ok(name), Ok(value)) = (name, value) else {
            return;
        };
        headers.append(name, value);
    }
    nobody_signed(&uri, &headers);
}

/// A presigned URL's query.
pub fn presigned_query(data: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/default/key?", data].concat()) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("cache.example.test"));
    nobody_signed(&uri, &headers);
}

fn nobody_signed(uri: &Uri, headers: &HeaderMap) {
    let Some(query) = Query::parse(uri.query().unwrap_or_default()) else {
        return;
    };
    let again = Query::parse(&query.without(|_| false));
    assert_eq!(again.as_ref(), Some(&query), "encoded and decoded, it is another query");
    let Ok(Some(claim)) = Claim::read(&query, headers) else {
        return;
    };
    assert_eq!(Timestamp::parse(claim.timestamp.as_str()), Some(claim.timestamp));
    // Whatever it promises, reading the promise must not fail otherwise than with a refusal.
    let _ = PayloadForm::parse(&claim.payload_hash);
    let key = SigningKey::derive(SECRET, &claim.scope);
    let verdict = claim.is_signed_with(&key, &Method::GET, uri, &query, headers);
    assert_ne!(verdict, Ok(true), "signed without the secret");
}
