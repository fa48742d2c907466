//! The canonical request: the one spelling of a request that both sides sign.
//!
//! It must not know where the signature stands or who made it.

use http::{HeaderMap, Method, Uri};

use super::{ClaimError, Query};

/// How the path is spelled in the canonical request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathForm {
    /// Decoded and encoded again, as the specification wants.
    Encoded,
    /// As it stands in the request line, which some clients sign where they leave a character such as `(` unencoded.
    AsSent,
}

/// The canonical request.
///
/// # Errors
/// [`ClaimError::MissingHeader`] when a signed header is not there, [`ClaimError::BadPath`] when the path has a broken
/// escape.
pub fn canonical_request(
    method: &Method,
    uri: &Uri,
    query: &Query,
    headers: &HeaderMap,
    signed_headers: &str,
    payload_hash: &str,
    path_form: PathForm,
) -> Result<Vec<u8>, ClaimError> {
    let mut text = Vec::with_capacity(512);
    text.extend_from_slice(method.as_str().as_bytes());
    text.push(b'\n');
    match path_form {
        PathForm::AsSent => text.extend_from_slice(uri.path().as_bytes()),
        PathForm::Encoded => push_path(&mut text, uri.path())?,
    }
    text.push(b'\n');
    text.extend_from_slice(query.canonical().as_bytes());
    text.push(b'\n');
    for name in signed_headers.split(';') {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        push_values(&mut text, name, uri, headers)?;
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(signed_headers.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(payload_hash.as_bytes());
    Ok(text)
}

/// Encodes all but RFC 3986's unreserved characters, and the slash where `keep_slash` says so.
pub(super) fn push_encoded(text: &mut Vec<u8>, bytes: impl Iterator<Item = u8>, keep_slash: bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte),
            b'/' if keep_slash => text.push(byte),
            byte => {
                text.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
    }
}

fn push_path(text: &mut Vec<u8>, path: &str) -> Result<(), ClaimError> {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let decoded = match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit().ok_or(ClaimError::BadPath)?, digit().ok_or(ClaimError::BadPath)?);
                u8::try_from(high << 4 | low).map_err(|_| ClaimError::BadPath)?
            }
            byte => byte,
        };
        // An encoded slash stays encoded: decoded it would name another path.
        push_encoded(text, std::iter::once(decoded), byte == b'/');
    }
    Ok(())
}

fn push_values(text: &mut Vec<u8>, name: &str, uri: &Uri, headers: &HeaderMap) -> Result<(), ClaimError> {
    let mut values = headers.get_all(name).iter().map(http::HeaderValue::as_bytes).peekable();
    if values.peek().is_none() {
        // HTTP/2 has the host in its own field.
        let authority = uri.authority().filter(|_| name == "host");
        let host = authority.ok_or_else(|| ClaimError::MissingHeader(name.to_owned()))?;
        text.extend_from_slice(host.as_str().as_bytes());
        return Ok(());
    }
    for (index, value) in values.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        // Blanks at the ends go, those inside become one.
        let words = value.split(|byte| *byte == b' ' || *byte == b'\t').filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            if index > 0 {
                text.push(b' ');
            }
            text.extend_from_slice(word);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str, form: PathForm) -> Result<String, ClaimError> {
        let mut headers = HeaderMap::new();
        headers.append("host", "h".parse().unwrap());
        headers.append("x-amz-a", " b  c\td ".parse().unwrap());
        headers.append("x-amz-a", "e".parse().unwrap());
        let query = Query::default();
        let uri = path.parse().unwrap();
        canonical_request(&Method::GET, &uri, &query, &headers, "host;x-amz-a", "-", form)
            .map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn paths_are_encoded_once_and_never_normalised() {
        for (path, encoded) in [
            ("/a/b", "/a/b"),
            ("/a%2fb/%7E/(x)+=", "/a%2Fb/~/%28x%29%2B%3D"),
            ("/a/../b//c/", "/a/../b//c/"),
            ("/%C3%BC", "/%C3%BC"),
        ] {
            let text = canonical(path, PathForm::Encoded).unwrap();
            assert_eq!(text.lines().nth(1), Some(encoded), "{path}");
            assert_eq!(canonical(path, PathForm::AsSent).unwrap().lines().nth(1), Some(path));
        }
        assert_eq!(canonical("/a%4", PathForm::Encoded), Err(ClaimError::BadPath));
    }

    #[test]
    fn header_values_are_trimmed_and_joined() {
        let text = canonical("/", PathForm::Encoded).unwrap();
        assert_eq!(text, "GET\n/\n\nhost:h\nx-amz-a:b c d,e\n\nhost;x-amz-a\n-");
    }
}
