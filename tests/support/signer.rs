//! Signs requests for S3 (Signature V4, header form, unsigned payload), as a client would: written from the
//! specification, and not with the server's own code.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

const REGION: &str = "auto";

/// The headers that sign a request of these for the host `test`. Each `x-amz-` header of `more` is signed too.
pub fn sign(
    method: &str,
    path: &str,
    key_id: &str,
    secret: &str,
    more: &[(&str, &str)],
) -> Vec<(String, String)> {
    sign_in((REGION, "test"), method, path, (key_id, secret), more)
}

/// As [`sign`], for this region and host.
pub fn sign_in(
    (region, host): (&str, &str),
    method: &str,
    path: &str,
    (key_id, secret): (&str, &str),
    more: &[(&str, &str)],
) -> Vec<(String, String)> {
    let now = OffsetDateTime::now_utc();
    let date = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
    let timestamp = format!("{date}T{:02}{:02}{:02}Z", now.hour(), now.minute(), now.second());
    let mut headers = vec![
        ("host".to_owned(), host.to_owned()),
        ("x-amz-content-sha256".to_owned(), "UNSIGNED-PAYLOAD".to_owned()),
        ("x-amz-date".to_owned(), timestamp.clone()),
    ];
    let own = |(name, value): &(&str, &str)| (name.to_ascii_lowercase(), (*value).to_owned());
    headers.extend(more.iter().map(own).filter(|(name, _)| name.starts_with("x-amz-")));
    headers.sort();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parameters: Vec<_> = query.split('&').filter(|part| !part.is_empty()).collect();
    parameters.sort_unstable();
    let parameters: Vec<_> = parameters
        .into_iter()
        .map(|part| if part.contains('=') { part.to_owned() } else { format!("{part}=") })
        .collect();
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("{method}\n{path}\n{}\n{lines}\n{names}\nUNSIGNED-PAYLOAD", parameters.join("&"));
    let scope = format!("{date}/{region}/s3/aws4_request");
    let hashed = hex(&Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashed}");
    let key = [date.as_str(), region, "s3", "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &text));
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}");
    headers.retain(|(name, _)| name == "x-amz-content-sha256" || name == "x-amz-date");
    headers.push(("Authorization".to_owned(), authorization));
    headers
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
