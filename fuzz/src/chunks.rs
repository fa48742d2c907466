//! Bodies in `aws-chunked` form.

use bytes::Bytes;
use larder::protocol::s3::{ChunkError, Decoder};
use larder::sigv4::{ChunkSignatures, Scope, SigningKey, Timestamp};

use super::SECRET;

/// What a decoder made of a body: the data, or the fault; the trailers; whether it came to its end.
type Outcome = (Result<Vec<u8>, ChunkError>, Vec<(String, String)>, bool);

/// The first byte says how the body is cut into pieces, all others are the body.
pub fn chunked_body(data: &[u8]) {
    let Some((cut, body)) = data.split_first() else {
        return;
    };
    let size = usize::from(*cut).max(1);
    let whole = decode(body, body.len().max(1), None);
    assert_eq!(decode(body, size, None), whole, "cut into pieces of {size} it is another body");

    let (_, _, is_done) = decode(body, size, Some(signatures()));
    assert!(!is_done, "signed without the secret");

    let decoded = decode(&encode(body, size), size, None);
    assert_eq!(decoded, (Ok(body.to_vec()), Vec::new(), true), "not what was encoded");
}

fn decode(body: &[u8], size: usize, signatures: Option<ChunkSignatures>) -> Outcome {
    let mut decoder = Decoder::new(signatures);
    let mut data = Vec::new();
    let mut fault = None;
    'all: for piece in body.chunks(size) {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next_data() {
                Ok(Some(more)) => data.extend_from_slice(&more),
                Ok(None) => break,
                Err(error) => {
                    fault = Some(error);
                    break 'all;
                }
            }
        }
    }
    assert!(data.len() <= body.len(), "more came out than went in");
    let trailers = decoder.trailers().to_vec();
    let is_done = decoder.is_done() && fault.is_none();
    (fault.map_or(Ok(data), Err), trailers, is_done)
}

fn encode(body: &[u8], size: usize) -> Vec<u8> {
    let mut encoded = Vec::new();
    for chunk in body.chunks(size) {
        encoded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded.extend_from_slice(b"0\r\n\r\n");
    encoded
}

#[expect(clippy::expect_used, reason = "a timestamp that is written here")]
fn signatures() -> ChunkSignatures {
    let text = |text: &str| text.to_owned();
    let scope = Scope { date: text("20130524"), region: text("us-east-1"), service: text("s3") };
    let timestamp = Timestamp::parse("20130524T000000Z").expect("a timestamp");
    let key = SigningKey::derive(SECRET, &scope);
    let seed = key.sign(b"the request");
    ChunkSignatures::new(key, &timestamp, &scope, seed)
}
