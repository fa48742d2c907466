//! The examples of the S3 reference, read and verified as a server does it, and refused once anything is changed.

use bytes::Bytes;
use larder::protocol::s3::Decoder;
use larder::sigv4::{ChunkSignatures, Claim, Form, SigningKey};

use crate::request::Request;
use crate::{data, read};

const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

const EXAMPLES: [&str; 7] = [
    "get-object",
    "put-object",
    "get-bucket-lifecycle",
    "list-objects",
    "presigned-get",
    "put-chunked",
    "put-chunked-trailer",
];

/// Whether the request's own signature is the one that `secret` makes; `None` when it has none that can be read.
fn is_signed(text: &str, secret: &[u8]) -> Option<bool> {
    let request = Request::read(text)?;
    let claim = Claim::read(&request.query, &request.headers).ok()??;
    let key = SigningKey::derive(secret, &claim.scope);
    claim.is_signed_with(&key, &request.method, &request.uri, &request.query, &request.headers).ok()
}

fn example(name: &str) -> String {
    read(&data().join(format!("s3/{name}.req")))
}

#[test]
fn each_example_is_signed_with_its_key_and_no_other() {
    assert_eq!(std::fs::read_dir(data().join("s3")).unwrap().count(), EXAMPLES.len() + 2);
    for name in EXAMPLES {
        assert_eq!(is_signed(&example(name), SECRET), Some(true), "{name}");
        assert_eq!(is_signed(&example(name), &SECRET[1..]), Some(false), "{name}");
    }
}

#[test]
fn a_changed_character_anywhere_is_noticed() {
    for name in EXAMPLES {
        let text = example(name);
        // What is not signed: the protocol's version, the key's name (it says which secret), one header.
        let free = [" HTTP/1.1\n", "AKIAIOSFODNN7EXAMPLE", "Content-Length: 66946"];
        let free: Vec<_> = free.iter().flat_map(|part| text.match_indices(part)).collect();
        let is_free = |at: usize| free.iter().any(|(start, part)| (*start..start + part.len()).contains(&at));
        let mut changed = 0;
        for (at, byte) in text.bytes().enumerate() {
            if !byte.is_ascii_alphanumeric() || is_free(at) {
                continue;
            }
            let mut other = text.clone().into_bytes();
            // Letters keep their case: names of headers have none.
            other[at] = if matches!(byte, b'9' | b'z' | b'Z') { byte - 1 } else { byte + 1 };
            let other = String::from_utf8(other).unwrap();
            assert_ne!(is_signed(&other, SECRET), Some(true), "{name}, byte {at}:\n{other}");
            changed += 1;
        }
        assert!(changed > 200, "{name}: {changed}");
    }
}

#[test]
fn the_presigned_example_is_good_for_a_day() {
    let request = Request::read(&example("presigned-get")).unwrap();
    let claim = Claim::read(&request.query, &request.headers).unwrap().unwrap();
    assert_eq!(claim.form, Form::Query(std::time::Duration::from_secs(86_400)));
    assert_eq!(
        (claim.access_key_id.as_str(), claim.timestamp.as_str()),
        ("AKIAIOSFODNN7EXAMPLE", "20130524T000000Z")
    );
    assert_eq!(claim.scope.path(), "20130524/us-east-1/s3/aws4_request");
}

#[test]
fn the_chunks_of_66560_bytes_have_the_signatures_of_the_reference() {
    for (name, trailer) in [("put-chunked", ""), ("put-chunked-trailer", "x-amz-checksum-crc32c:sOO8/Q==")] {
        let body = body(name, trailer);
        assert!(example(name).contains(&format!("Content-Length: {}\n", body.len())), "{name}");
        let decoded = decode(name, &body).unwrap();
        assert!(decoded.len() == 66_560 && decoded.iter().all(|byte| *byte == b'a'), "{name}");

        for at in [0, 40, 100, 50_000, 65_700, 66_700, body.len() - 100, body.len() - 10] {
            let mut other = body.clone();
            other[at] ^= 1;
            assert!(decode(name, &other).is_none(), "{name}: byte {at} was changed unnoticed");
        }
        assert!(decode(name, &body[..body.len() - 90]).is_none(), "{name}: its end is missing");
    }
}

/// The body of an example: its chunks of the letter a, each with its signature, then the trailer with its own.
fn body(name: &str, trailer: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let chunks = read(&data().join(format!("s3/{name}.chunks")));
    for (what, signature) in chunks.lines().map(|line| line.split_once(' ').unwrap()) {
        let Ok(length) = what.parse::<usize>() else {
            body.extend(format!("{trailer}\r\nx-amz-trailer-signature:{signature}\r\n").bytes());
            continue;
        };
        body.extend(format!("{length:x};chunk-signature={signature}\r\n").bytes());
        body.extend(std::iter::repeat_n(b'a', length));
        if length > 0 {
            body.extend(b"\r\n");
        }
    }
    body.extend(b"\r\n");
    body
}

/// Decodes a body as that of the example of this name; `None` when it is not what was signed, or not all of it.
fn decode(name: &str, body: &[u8]) -> Option<Vec<u8>> {
    let request = Request::read(&example(name)).unwrap();
    let claim = Claim::read(&request.query, &request.headers).unwrap().unwrap();
    let key = SigningKey::derive(SECRET, &claim.scope);
    let chain = ChunkSignatures::new(key, &claim.timestamp, &claim.scope, claim.signature);
    let mut decoder = Decoder::new(Some(chain));
    let mut decoded = Vec::new();
    for piece in body.chunks(10_007) {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(data) = decoder.next_data().ok()? {
            decoded.extend_from_slice(&data);
        }
    }
    decoder.is_done().then_some(decoded)
}
