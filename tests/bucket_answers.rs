//! What the bucket's client makes of answers, and what it asks: a store that says what a test wants it to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/told.rs"]
mod told;

use bytes::Bytes;
use futures_util::StreamExt as _;
use larder::bucket::{BodyChecksum, Bucket, BucketError, Marked, WriteMode};
use larder::config::BucketConfig;
use told::{Told, answer};

fn bucket(told: &Told, adjust: impl FnOnce(&mut BucketConfig)) -> Bucket {
    let mut config = BucketConfig {
        url: Some("s3://ci/larder".to_owned()),
        endpoint: Some(told.url()),
        access_key_id: Some("id".to_owned()),
        secret_access_key_file: Some(told.secret_file()),
        ..BucketConfig::default()
    };
    adjust(&mut config);
    Bucket::open(&config).unwrap().unwrap()
}

async fn put(bucket: &Bucket, mode: WriteMode) -> Result<(), BucketError> {
    let path = bucket.path("a b").unwrap();
    bucket
        .put(&path, vec![Bytes::from_static(b"bo"), Bytes::from_static(b"dy")], Marked::by(0xabc), mode)
        .await
}

async fn get(bucket: &Bucket) -> Result<Vec<u8>, BucketError> {
    let mut read = bucket.get(&bucket.path("a b").unwrap(), 0).await?;
    let mut all = Vec::new();
    while let Some(chunk) = read.body.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}

const FOUND: &str = "Last-Modified: Wed, 18 Nov 2026 10:00:00 GMT\r\n";
const MD5: &str = "ETag: \"841a2d689ad86bd1611447453c22c6fc\"\r\n";

#[tokio::test]
async fn a_write_says_where_what_and_with_which_checksum() {
    let told = Told::start(|_| answer(200, MD5, ""));
    let bucket = bucket(&told, |_| {});
    put(&bucket, WriteMode::Replace).await.unwrap();
    let asked = told.asked().remove(0);
    assert_eq!(asked.line, "PUT /ci/larder/a%20b HTTP/1.1");
    assert_eq!(asked.body, b"body");
    assert_eq!(asked.header("x-amz-meta-larder_xxh3"), Some("00000000000000000000000000000abc"));
    assert_eq!(asked.header("user-agent"), Some(concat!("larder/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(asked.header("if-none-match"), None);
    let signature = asked.header("authorization").unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=id/"), "{signature}");
    assert!(signature.contains("/us-east-1/s3/aws4_request"), "{signature}");
    assert_eq!(asked.header("x-amz-security-token"), None, "nothing of the environment beside our own keys");
}

#[tokio::test]
async fn creating_asks_for_nothing_there_and_replaces_where_the_store_does_not_know_that() {
    let told = Told::start(|asked| match asked.header("if-none-match") {
        Some("*") => answer(501, "", "<Error><Code>NotImplemented</Code></Error>"),
        _ => answer(200, MD5, ""),
    });
    put(&bucket(&told, |_| {}), WriteMode::Create).await.unwrap();
    assert_eq!(told.asked().len(), 2);
    for status in [412, 409] {
        let told = Told::start(move |_| answer(status, "", ""));
        let bucket = bucket(&told, |_| {});
        assert!(matches!(put(&bucket, WriteMode::Create).await, Err(BucketError::Exists)));
        let replaced = put(&bucket, WriteMode::Replace).await;
        assert!(matches!(replaced, Err(BucketError::Unavailable(_))), "{replaced:?}");
    }
}

#[tokio::test]
async fn every_failure_is_told_once_at_once_and_for_what_it_is() {
    for (status, head, body, kind, says) in [
        (
            503,
            "",
            "<Error><Code>SlowDown</Code><Message>later</Message></Error>",
            "unavailable",
            "503 SlowDown: later",
        ),
        (500, "", "", "unavailable", "500"),
        (429, "", "", "unavailable", "429"),
        (403, "", "<Error><Code>AccessDenied</Code></Error>", "refused", "403 AccessDenied"),
        (401, "", "", "refused", "401"),
        (404, "", "<Error><Code>NoSuchKey</Code></Error>", "not found", ""),
        (404, "", "", "not found", ""),
        (404, "", "<Error><Code>NoSuchBucket</Code></Error>", "refused", "NoSuchBucket"),
        (404, "x-ms-error-code: ContainerNotFound\r\n", "", "refused", "ContainerNotFound"),
        (301, "x-amz-bucket-region: eu-north-1\r\n", "", "refused", "eu-north-1: correct bucket.region"),
        (307, "Location: http://elsewhere/\r\n", "", "refused", "http://elsewhere/"),
        (400, "", "<Error><Code>InvalidToken</Code></Error>", "refused", "InvalidToken"),
        (400, "", "<Error><Code>RequestTimeout</Code></Error>", "unavailable", "RequestTimeout"),
    ] {
        let told = Told::start(move |_| answer(status, head, body));
        let found = get(&bucket(&told, |_| {})).await.unwrap_err();
        let (found_kind, text) = match &found {
            BucketError::Unavailable(text) => ("unavailable", text.as_str()),
            BucketError::Refused(text) => ("refused", text.as_str()),
            BucketError::NotFound => ("not found", ""),
            _ => ("another", ""),
        };
        assert_eq!(found_kind, kind, "{status} {body}: {found:?}");
        assert!(text.contains(says) && text.len() < 200, "{status} {body}: {text}");
        assert_eq!(told.asked().len(), 1, "{status}: nothing is tried again inside a call");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_asked_for_again_inside_the_call() {
    let told =
        Told::start(|_| format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n{FOUND}{MD5}\r\nhalf").into_bytes());
    let found = get(&bucket(&told, |_| {})).await;
    assert!(matches!(found, Err(BucketError::Unavailable(_))), "{found:?}");
    assert_eq!(told.asked().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_told_by_what_happened() {
    let told = Told::start(|_| Vec::new());
    let broken = get(&bucket(&told, |_| {})).await.unwrap_err().to_string();
    assert!(broken.contains("the connection broke"), "{broken}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = bucket(&told, |config| config.endpoint = Some(format!("http://{closed}")));
    let text = get(&nobody).await.unwrap_err().to_string();
    assert!(text.contains("no connection: Connection refused"), "{text}");
    let tls = bucket(&told, |config| config.endpoint = Some(told.url().replace("http://", "https://")));
    let text = get(&tls).await.unwrap_err();
    assert!(matches!(text, BucketError::Unavailable(_)), "{text:?}");
}

#[tokio::test]
async fn a_checksum_is_believed_only_where_it_is_one() {
    let own = "x-amz-meta-larder_xxh3: 000000000000000000000000000000ff\r\n";
    let kms = "x-amz-server-side-encryption: aws:kms\r\n";
    let customers = "x-amz-server-side-encryption-customer-algorithm: AES256\r\n";
    let usual = "x-amz-server-side-encryption: AES256\r\n";
    let md5 = Some(BodyChecksum::Md5(0x841a_2d68_9ad8_6bd1_6114_4745_3c22_c6fc_u128.to_be_bytes()));
    for (head, expected) in [
        (MD5.to_owned(), md5),
        (format!("{MD5}{usual}"), md5),
        (format!("{MD5}{own}{kms}"), Some(BodyChecksum::Xxh3(255))),
        (format!("{MD5}{kms}"), None),
        (format!("{MD5}{customers}"), None),
        ("ETag: \"841a2d689ad86bd1611447453c22c6fc-3\"\r\n".to_owned(), None),
        (format!("{MD5}x-amz-meta-larder_xxh3: nonsense\r\n"), md5),
    ] {
        let told = Told::start({
            let head = head.clone();
            move |_| answer(200, &format!("{FOUND}{head}"), "body")
        });
        let bucket = bucket(&told, |_| {});
        let path = bucket.path("x").unwrap();
        let read = bucket.get(&path, 0).await.unwrap().object;
        assert_eq!(
            (read.checksum, read.length, read.modified_ms),
            (expected, 4, 1_794_996_000_000),
            "{head}"
        );
        assert_eq!(bucket.head(&path).await.unwrap(), read, "{head}");
    }
}

#[tokio::test]
async fn the_bucket_stands_before_the_host_where_that_is_asked_for() {
    let told = Told::start(|_| answer(404, "", ""));
    let bucket = bucket(&told, |config| {
        config.endpoint = Some(told.url().replace("127.0.0.1", "localhost"));
        config.path_style = Some(false);
        config.region = Some("eu-7".to_owned());
    });
    // The name resolves to this machine (RFC 6761, 6.3), or it does not resolve here.
    if matches!(get(&bucket).await, Err(BucketError::NotFound)) {
        let asked = told.asked().remove(0);
        assert_eq!(asked.line, "GET /larder/a%20b HTTP/1.1");
        assert!(asked.header("host").unwrap().starts_with("ci.localhost:"), "{asked:?}");
        assert!(asked.header("authorization").unwrap().contains("/eu-7/s3/"), "{asked:?}");
    }
}

#[tokio::test]
async fn an_answer_about_other_objects_deletes_nothing_and_ends_nothing() {
    let body =
        "<DeleteResult><Error><Key>stranger</Key><Code>X</Code><Message>y</Message></Error></DeleteResult>";
    let told = Told::start(move |_| answer(200, "", body));
    let bucket = bucket(&told, |_| {});
    let failed = bucket.delete(&bucket.path("x").unwrap()).await;
    assert!(matches!(failed, Err(BucketError::Unavailable(_))), "{failed:?}");
    let body = "<DeleteResult><Error><Key>larder/x</Key><Code>AccessDenied</Code><Message>y</Message></Error></DeleteResult>";
    let told = Told::start(move |_| answer(200, "", body));
    let bucket = self::bucket(&told, |_| {});
    let failed = bucket.delete(&bucket.path("x").unwrap()).await;
    assert!(matches!(failed, Err(BucketError::Refused(_))), "{failed:?}");
    let both = ["x", "y"].map(|key| bucket.path(key).unwrap());
    let gone = bucket.delete_all(both.to_vec()).await.unwrap();
    assert_eq!(gone.into_iter().collect::<Vec<_>>(), both[1..]);
}

#[tokio::test]
async fn azure_gets_its_own_account_key_and_metadata() {
    let told = Told::start(|_| {
        answer(201, "ETag: \"0x8D\"\r\nLast-Modified: Wed, 18 Nov 2026 10:00:00 GMT\r\n", "")
    });
    // The account and key that every Azurite has.
    let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    std::fs::write(told.secret_file(), key).unwrap();
    let bucket = bucket(&told, |config| {
        config.url = Some("az://container/larder".to_owned());
        config.endpoint = Some(format!("{}/devstoreaccount1", told.url()));
        config.access_key_id = Some("devstoreaccount1".to_owned());
    });
    put(&bucket, WriteMode::Create).await.unwrap();
    let asked = told.asked().remove(0);
    assert_eq!(asked.line, "PUT /devstoreaccount1/container/larder/a%20b HTTP/1.1");
    assert_eq!(asked.header("x-ms-meta-larder_xxh3"), Some("00000000000000000000000000000abc"));
    assert_eq!(asked.header("if-none-match"), Some("*"));
    assert!(asked.header("authorization").unwrap().starts_with("SharedKey devstoreaccount1:"), "{asked:?}");
}
