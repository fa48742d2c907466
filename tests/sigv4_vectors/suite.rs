//! AWS's test suite: the canonical request, the text to sign and the signature of each case.
//!
//! It is not made for S3: its service is `service`, and its paths are normalised, which S3 never does.

use std::path::Path;

use larder::sigv4::{PathForm, Scope, SigningKey, Timestamp, canonical_request, string_to_sign};
use sha2::{Digest as _, Sha256};

use crate::request::Request;
use crate::{data, read};

const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Cases that do not hold here, with the reason. One that does hold fails the test, so that this list cannot grow
/// unseen.
const NOT_FOR_S3: [(&str, Why); 8] = [
    ("get-header-value-multiline", Why::NoRequest),
    ("normalize-path/get-relative", Why::Normalised),
    ("normalize-path/get-relative-relative", Why::Normalised),
    ("normalize-path/get-slash", Why::Normalised),
    ("normalize-path/get-slash-dot-slash", Why::Normalised),
    ("normalize-path/get-slash-pointless-dot", Why::Normalised),
    ("normalize-path/get-slashes", Why::Normalised),
    ("normalize-path/get-space", Why::NoRequest),
];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Why {
    /// The suite's canonical path is normalised.
    Normalised,
    /// HTTP has no such request: a header folded over lines, a space in the path.
    NoRequest,
}

#[test]
fn every_case_that_s3_knows_is_signed_as_the_suite_says() {
    let cases = cases(&data().join("suite"), "");
    assert_eq!(cases.len(), 34, "{cases:?}");
    let scope =
        Scope { date: "20150830".to_owned(), region: "us-east-1".to_owned(), service: "service".to_owned() };
    let timestamp = Timestamp::parse("20150830T123600Z").unwrap();
    let mut skipped = Vec::new();
    for case in &cases {
        let name = case.rsplit('/').next().unwrap();
        let part = |ending: &str| read(&data().join(format!("suite/{case}/{name}.{ending}")));
        let Some(request) = Request::read(&part("sreq")) else {
            skipped.push((case.as_str(), Why::NoRequest));
            continue;
        };
        // Not from the request itself, which in `get-vanilla-with-session-token` has another signature.
        let authorization = part("authz");
        let signed = authorization.split("SignedHeaders=").nth(1).unwrap().split(", ").next().unwrap();
        let hash: String = Sha256::digest(&request.body).iter().map(|byte| format!("{byte:02x}")).collect();
        let Request { method, uri, query, headers, .. } = &request;
        let canonical = canonical_request(method, uri, query, headers, signed, &hash, PathForm::Encoded)
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        if String::from_utf8_lossy(&canonical) != part("creq") {
            let line = |text: &str, at: usize| text.lines().nth(at).map(str::to_owned);
            let own = String::from_utf8_lossy(&canonical);
            assert_ne!(line(&own, 1), line(&part("creq"), 1), "{case}: not the path differs:\n{own}");
            skipped.push((case.as_str(), Why::Normalised));
            continue;
        }
        let text = string_to_sign(&timestamp, &scope, &canonical);
        assert_eq!(text, part("sts"), "{case}");
        let signature = SigningKey::derive(SECRET, &scope).sign(text.as_bytes()).to_hex();
        assert!(authorization.ends_with(&format!("Signature={signature}")), "{case}: {authorization}");
    }
    assert_eq!(skipped, NOT_FOR_S3);
}

/// Directories that hold a case, by path, in order.
fn cases(directory: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().extension().is_some_and(|ending| ending == "sreq") {
            found.push(prefix.trim_end_matches('/').to_owned());
        } else if entry.path().is_dir() {
            found.extend(cases(&entry.path(), &format!("{name}/")));
        }
    }
    found.sort();
    found
}
