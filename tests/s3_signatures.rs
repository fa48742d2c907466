//! Who signed wrongly is nobody: every way in which a signature can be wrong is refused with S3's own code, never
//! taken for anonymous, and leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;
#[path = "support/signing.rs"]
mod signing;

use larder::config::{Anonymous, Config, Right, Rights, Secret, SecretSource, TokenConfig, TokenName};
use running::{Answer, Running};
use signing::{KEY, SECRET, Signing};

/// A server with one key pair; even callers without one may read and write, so that nothing here is refused for
/// want of rights.
async fn server(adjust: impl FnOnce(&mut Config)) -> Running {
    Running::start(|config| {
        let source = SecretSource::Env("S".to_owned());
        let mut token = TokenConfig::new(source, Some(Secret::new(SECRET).unwrap()));
        token.allow = Rights::of(&[Right::Read, Right::Write, Right::Delete]);
        config.tokens.insert(TokenName::new(KEY).unwrap(), token);
        config.anonymous = Some(Anonymous::ReadWrite);
        adjust(config);
    })
    .await
}

async fn send(server: &Running, request: &[u8]) -> Answer {
    let mut client = server.client().await;
    client.send_bytes(request).await;
    client.answer().await
}

fn assert_code(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{} {}", answer.head, answer.body);
    assert!(answer.body.contains(&format!("<Code>{code}</Code>")), "{code}: {}", answer.body);
    let id = answer.header("x-amz-request-id").expect("a request id");
    assert!(answer.body.contains(&format!("<RequestId>{id}</RequestId>")), "{}", answer.body);
}

fn put() -> Signing {
    Signing::new("PUT", "/default/k").body(b"body")
}

#[tokio::test]
async fn a_right_signature_is_let_in_whatever_its_region() {
    let server = server(|_| ()).await;
    for region in ["auto", "us-east-1", "the-cellar"] {
        let answer = send(&server, &put().with(|own| own.region = region.to_owned()).bytes()).await;
        assert_eq!((answer.status, answer.header("x-amz-request-id").map(str::len)), (200, Some(16)));
    }
    let answer = send(&server, &Signing::new("GET", "/default/k").bytes()).await;
    assert_eq!((answer.status, &*answer.body), (200, "body"));
    assert!(answer.header("etag").is_some_and(|tag| tag.starts_with("\"xxh3-")));
    let plain = server.ask("GET", "/default/k").await;
    assert_eq!((plain.status, &*plain.body), (200, "body"), "what S3 stored, plain HTTP finds");
}

#[tokio::test]
async fn every_wrong_signature_is_refused_for_its_reason() {
    let server = server(|_| ()).await;
    let with = |change: fn(&mut Signing)| put().with(change);
    for (request, status, code) in [
        (with(|own| own.secret.push('x')), 403, "SignatureDoesNotMatch"),
        (with(|own| own.key = "nobody".to_owned()), 403, "InvalidAccessKeyId"),
        (with(|own| own.clock = -1000), 403, "RequestTimeTooSkewed"),
        (with(|own| own.clock = 1000), 403, "RequestTimeTooSkewed"),
        (with(|own| own.service = "iam".to_owned()), 400, "AuthorizationHeaderMalformed"),
        (
            with(|own| own.unsigned_headers.push(("x-amz-copy-source".to_owned(), "/default/a".to_owned()))),
            403,
            "AccessDenied",
        ),
        (with(|own| own.payload = "00".repeat(32)), 400, "XAmzContentSHA256Mismatch"),
        (with(|own| own.payload = "nonsense".to_owned()), 400, "InvalidArgument"),
        (
            with(|own| own.payload = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD".to_owned()),
            501,
            "NotImplemented",
        ),
    ] {
        assert_code(&send(&server, &request.bytes()).await, status, code);
    }
    assert!(!server.has("k").await, "a refused write left something");
}

#[tokio::test]
async fn a_signed_request_that_was_changed_on_its_way_is_refused() {
    let server = server(|_| ()).await;
    let good = String::from_utf8(put().bytes()).unwrap();
    for (from, to, code) in [
        ("PUT /default/k", "PUT /default/l", "SignatureDoesNotMatch"),
        ("PUT /default/k", "PUT /default/k?x=1", "SignatureDoesNotMatch"),
        ("host: test", "host: tset", "SignatureDoesNotMatch"),
        ("SignedHeaders=host;", "SignedHeaders=", "AccessDenied"),
        ("Signature=", "Signature=0", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 C", "AWS4-HMAC-SHA257 C", "AuthorizationHeaderMalformed"),
        ("/s3/aws4_request", "/aws4_request", "AuthorizationHeaderMalformed"),
        (",Signature=", ",Other=", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=ci/", "AWS ci:", "AuthorizationHeaderMalformed"),
        (
            "/default/k",
            "/default/k?AWSAccessKeyId=ci&Expires=9999999999&Signature=x",
            "AuthorizationHeaderMalformed",
        ),
        ("x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n", "", "AuthorizationHeaderMalformed"),
    ] {
        assert!(good.contains(from), "{from}");
        let answer = send(&server, good.replacen(from, to, 1).as_bytes()).await;
        let status = if code == "AuthorizationHeaderMalformed" { 400 } else { 403 };
        assert_code(&answer, status, code);
    }
    assert!(!server.has("k").await && !server.has("l").await);
}

#[tokio::test]
async fn presigned_urls_work_until_they_expire_and_only_as_they_are() {
    let server = server(|_| ()).await;
    assert_eq!(send(&server, &put().bytes()).await.status, 200);
    let get = Signing::new("GET", "/default/k?response-content-type=text%2Fplain");
    let url = get.presigned("60");
    let answer = server.ask("GET", &url).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain")));
    assert_code(&server.ask("DELETE", &url).await, 403, "SignatureDoesNotMatch");
    assert_code(&server.ask("GET", &url.replace("/k?", "/l?")).await, 403, "SignatureDoesNotMatch");
    assert_code(&server.ask("GET", &url.replace("plain", "html")).await, 403, "SignatureDoesNotMatch");
    assert_code(
        &server.ask("GET", &url.replace("X-Amz-Expires=60", "X-Amz-Expires=61")).await,
        403,
        "SignatureDoesNotMatch",
    );
    let old = get.clone().with(|own| own.clock = -100);
    assert_eq!(server.ask("GET", &old.presigned("600")).await.status, 200);
    assert_code(&server.ask("GET", &old.presigned("60")).await, 403, "AccessDenied");
    let early = get.clone().with(|own| own.clock = 2000);
    assert_code(&server.ask("GET", &early.presigned("60")).await, 403, "RequestTimeTooSkewed");
    for expires in ["0", "604801", "-1", "soon", ""] {
        assert_code(
            &server.ask("GET", &get.presigned(expires)).await,
            400,
            "AuthorizationQueryParametersError",
        );
    }
    let short = &url[..url.find("&X-Amz-Signature").unwrap()];
    assert_code(&server.ask("GET", short).await, 400, "AuthorizationQueryParametersError");
    assert!(server.has("k").await);
}

#[tokio::test]
async fn requests_without_a_signature_follow_the_anonymous_rule() {
    let (header, body) = ("x-amz-content-sha256: UNSIGNED-PAYLOAD", "body");
    let put = format!("PUT /default/k HTTP/1.1\r\nhost: test\r\n{header}\r\ncontent-length: 4\r\n\r\n{body}");
    let get = format!("GET /default/k HTTP/1.1\r\nhost: test\r\n{header}\r\n\r\n");
    let open = server(|_| ()).await;
    assert_eq!(send(&open, put.as_bytes()).await.status, 200);
    assert_eq!(send(&open, get.as_bytes()).await.body, "body");
    let read_only = server(|config| config.anonymous = Some(Anonymous::Read)).await;
    assert_code(&send(&read_only, put.as_bytes()).await, 403, "AccessDenied");
    assert_code(&send(&read_only, get.as_bytes()).await, 404, "NoSuchKey");
    let closed = server(|config| config.anonymous = None).await;
    assert_code(&send(&closed, get.as_bytes()).await, 403, "AccessDenied");
}

#[tokio::test]
async fn a_body_in_signed_chunks_is_checked_chunk_by_chunk() {
    let server = server(|_| ()).await;
    let data = b"abcdefgh".repeat(3000);
    let whole = chunked(&data, None);
    let answer = send(&server, &whole).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let stored = server.ask("GET", "/default/chunks").await;
    assert!(stored.body.as_bytes() == data);
    assert!(send(&server, &Signing::new("DELETE", "/default/chunks").bytes()).await.status == 204);
    for (flip, code) in [(10_000, "SignatureDoesNotMatch"), (data.len() - 1, "SignatureDoesNotMatch")] {
        assert_code(&send(&server, &chunked(&data, Some(flip))).await, 403, code);
    }
    let cut = String::from_utf8(whole).unwrap().replacen(
        "x-amz-decoded-content-length: 24000",
        "x-amz-decoded-content-length: 23999",
        1,
    );
    assert_code(&send(&server, cut.as_bytes()).await, 403, "SignatureDoesNotMatch");
    assert!(!server.has("chunks").await);
}

/// A PUT of `data` in signed chunks with a signed trailer; one byte of it flipped where `flip` says so.
fn chunked(data: &[u8], flip: Option<usize>) -> Vec<u8> {
    use sha2::Digest as _;

    let signing = Signing::new("PUT", "/default/chunks")
        .with(|own| own.payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned())
        .header("x-amz-decoded-content-length", &data.len().to_string())
        .header("x-amz-trailer", "x-amz-checksum-sha256");
    let (_, seed, timestamp) = signing.signed();
    let (key, scope) = (signing.signing_key(&timestamp), signing.scope(&timestamp).path());
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let empty = hex(&sha2::Sha256::digest(b""));
    let mut previous = seed.to_hex();
    let mut body = Vec::new();
    for chunk in data.chunks(8192).chain([&[][..]]) {
        let hash = hex(&sha2::Sha256::digest(chunk));
        let text =
            format!("AWS4-HMAC-SHA256-PAYLOAD\n{}\n{scope}\n{previous}\n{empty}\n{hash}", timestamp.as_str());
        previous = key.sign(text.as_bytes()).to_hex();
        body.extend_from_slice(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).as_bytes());
        if !chunk.is_empty() {
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
    }
    let checksum = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, sha2::Sha256::digest(data));
    let trailer = format!("x-amz-checksum-sha256:{checksum}");
    let hash = hex(&sha2::Sha256::digest(format!("{trailer}\n")));
    let text = format!("AWS4-HMAC-SHA256-TRAILER\n{}\n{scope}\n{previous}\n{hash}", timestamp.as_str());
    let signature = key.sign(text.as_bytes()).to_hex();
    body.extend_from_slice(format!("{trailer}\r\nx-amz-trailer-signature:{signature}\r\n\r\n").as_bytes());
    if let Some(at) = flip {
        let start = body.windows(8).position(|window| window == b"abcdefgh").expect("the data");
        // Heads between the chunks shift what lies behind them; any byte of data will do.
        let at = (start + at..).find(|at| body[*at] == b'e').expect("data");
        body[at] = b'E';
    }
    signing.body(&body).bytes()
}
