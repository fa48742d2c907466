//! Uploads in parts: put together in order and only of what was promised, counted like every object, and gone a day
//! after they were begun.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;

use std::time::{Duration, SystemTime};

use larder::analytics::Analytics;
use larder::config::Config;
use larder::protocol::Protocols;
use running::{Answer, Client, Running};

fn text(xml: &str, tag: &str) -> String {
    let rest = xml.split(&format!("<{tag}>")).nth(1).unwrap_or_else(|| panic!("no {tag} in {xml}"));
    rest.split('<').next().unwrap().to_owned()
}

async fn begin(client: &mut Client, key: &str) -> String {
    let answer = client.ask("POST", &format!("/default/{key}?uploads")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    text(&answer.body, "UploadId")
}

/// Uploads a part; its tag.
async fn part(client: &mut Client, key: &str, id: &str, number: u32, body: &[u8]) -> String {
    let answer = client.put(&format!("/default/{key}?partNumber={number}&uploadId={id}"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.header("etag").unwrap().to_owned()
}

async fn complete(client: &mut Client, key: &str, id: &str, parts: &[(u32, &str)]) -> Answer {
    let part = |(number, tag): &(u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
    };
    let list: String = parts.iter().map(part).collect();
    let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let head = format!(
        "POST /default/{key}?uploadId={id} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.send(&format!("{head}{body}")).await;
    client.answer().await
}

fn assert_code(answer: &Answer, code: &str) {
    assert!(answer.status >= 400 && answer.body.contains(&format!("<Code>{code}</Code>")), "{}", answer.body);
}

#[tokio::test]
async fn parts_are_put_together_in_order_and_only_if_they_are_the_ones() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    let id = begin(&mut client, "k").await;
    let two = part(&mut client, "k", &id, 2, b"world").await;
    let old = part(&mut client, "k", &id, 1, b"goodbye ").await;
    let one = part(&mut client, "k", &id, 1, b"hello ").await;
    for (parts, code) in [
        (&[][..], "MalformedXML"),
        (&[(2, &*two), (1, &*one)][..], "InvalidPartOrder"),
        (&[(1, &*one), (1, &*one)][..], "InvalidPartOrder"),
        (&[(1, &*old), (2, &*two)][..], "InvalidPart"),
        (&[(1, &*one), (3, &*two)][..], "InvalidPart"),
    ] {
        assert_code(&complete(&mut client, "k", &id, parts).await, code);
    }
    assert_code(&complete(&mut client, "other", &id, &[(1, &one)]).await, "NoSuchUpload");
    assert!(!server.has("k").await, "nothing is there before it is complete");
    let wrong = format!("{two}</ETag><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32><ETag>{two}");
    assert!(complete(&mut client, "k", &id, &[(1, &one), (2, &wrong)]).await.status == 400);
    let done = complete(&mut client, "k", &id, &[(1, &one), (2, &two)]).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(client.ask("GET", "/default/k").await.body, "hello world");
    assert_code(&complete(&mut client, "k", &id, &[(1, &one)]).await, "NoSuchUpload");
    let listed = client.ask("GET", "/default?list-type=2").await;
    assert_eq!(
        listed.body.matches("<Key>").count(),
        1,
        "the parts are no objects of the bucket: {}",
        listed.body
    );
}

#[tokio::test]
async fn uploads_and_parts_are_listed_in_pages_and_abandoned_ones_are_gone() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    let (a, b) = (begin(&mut client, "a").await, begin(&mut client, "dir/b").await);
    for number in [1, 3, 20, 10_000] {
        part(&mut client, "a", &a, number, b"xyz").await;
    }
    let first = client.ask("GET", &format!("/default/a?uploadId={a}&max-parts=3")).await;
    assert_eq!(first.body.matches("<Size>3</Size>").count(), 3, "{}", first.body);
    let marker = text(&first.body, "NextPartNumberMarker");
    let second = client.ask("GET", &format!("/default/a?uploadId={a}&part-number-marker={marker}")).await;
    assert_eq!((marker.as_str(), text(&second.body, "PartNumber").as_str()), ("20", "10000"));
    for number in ["0", "10001", "-1", "x", ""] {
        let answer = client.put(&format!("/default/a?partNumber={number}&uploadId={a}"), b"x").await;
        assert_code(&answer, "InvalidArgument");
    }
    let uploads = client.ask("GET", "/default?uploads&max-uploads=1").await;
    assert_eq!((text(&uploads.body, "Key").as_str(), text(&uploads.body, "UploadId")), ("a", a.clone()));
    let next = format!("/default?uploads&key-marker=a&upload-id-marker={a}");
    let uploads = client.ask("GET", &next).await;
    assert_eq!((text(&uploads.body, "Key").as_str(), text(&uploads.body, "UploadId")), ("dir/b", b));
    assert_eq!(client.ask("DELETE", &format!("/default/a?uploadId={a}")).await.status, 204);
    assert_code(&client.ask("GET", &format!("/default/a?uploadId={a}")).await, "NoSuchUpload");
    assert_code(&client.put(&format!("/default/a?partNumber=1&uploadId={a}"), b"x").await, "NoSuchUpload");
}

#[tokio::test]
async fn an_upload_that_nobody_completes_is_gone_after_a_day_and_nothing_else_is() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    assert_eq!(client.put("/kept", b"x").await.status, 201);
    let id = begin(&mut client, "k").await;
    part(&mut client, "k", &id, 1, b"xyz").await;
    let (config, metrics) = (Config::default(), server.metrics.clone());
    let analytics = Analytics::open(&config, &metrics);
    let protocols = Protocols::new(server.cache.clone(), &config, metrics, analytics);
    let hours = |hours: u64| SystemTime::now() + Duration::from_secs(hours * 3600);
    assert_eq!(protocols.expire_uploads(hours(23)).await.unwrap(), 0);
    let tag = part(&mut client, "k", &id, 1, b"xyz").await;
    let other = begin(&mut client, "l").await;
    part(&mut client, "l", &other, 1, b"xyz").await;
    assert_eq!(client.ask("DELETE", &format!("/default/l?uploadId={other}")).await.status, 204);
    assert_eq!(protocols.expire_uploads(hours(25)).await.unwrap(), 2, "the upload and its part");
    assert_code(&complete(&mut client, "k", &id, &[(1, &tag)]).await, "NoSuchUpload");
    assert!(server.has("kept").await);
}

#[tokio::test]
async fn the_namespace_of_the_parts_cannot_be_named() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    let id = begin(&mut client, "k").await;
    let list = client.ask("GET", "/-uploads?list-type=2").await;
    assert_code(&list, "NoSuchBucket");
    assert_eq!(client.ask("GET", &format!("/-uploads/default/{id}/key")).await.status, 404);
    assert_eq!(
        client.put(&format!("/-uploads/default/{id}/key"), b"l").await.status,
        201,
        "a key like any other"
    );
    let tag = part(&mut client, "k", &id, 1, b"x").await;
    assert_eq!(complete(&mut client, "k", &id, &[(1, &tag)]).await.status, 200, "and not the upload's own");
}

#[tokio::test]
async fn parts_count_into_the_quota_of_where_they_go() {
    use larder::config::{NamespaceConfig, Overwrite};
    use larder::key::Namespace;

    let server = Running::start(|config| {
        let quota = Some(8 << 20);
        let own = NamespaceConfig { quota, overwrite: Overwrite::Never, ..NamespaceConfig::default() };
        config.namespaces.insert(Namespace::new("pr").unwrap(), own);
        config.capacity = 64 << 20;
    })
    .await;
    let mut client = server.client().await;
    for at in 0..20 {
        assert_eq!(client.put(&format!("/kept/{at}"), &vec![at; 1 << 20]).await.status, 201);
    }
    let answer = client.ask("POST", "/pr/k?uploads").await;
    let id = text(&answer.body, "UploadId");
    for number in 1..=60 {
        let path = format!("/pr/k?partNumber={number}&uploadId={id}");
        assert_eq!(client.put(&path, &vec![number; 1 << 20]).await.status, 200);
    }
    for at in 0..20 {
        assert!(server.has(&format!("kept/{at}")).await, "{at} was evicted for another's parts");
    }
    // Its oldest parts went, and a part may be sent anew though the namespace takes no second body.
    let again = client.put(&format!("/pr/k?partNumber=60&uploadId={id}"), b"another").await;
    assert!(again.status == 200 || again.body.contains("NoSuchUpload"), "{}", again.body);
}

#[tokio::test]
async fn an_upload_that_cannot_be_put_together_is_told_so() {
    let server = Running::start(|config| config.capacity = 32 << 20).await;
    let mut client = server.client().await;
    let id = begin(&mut client, "k").await;
    let mut tags = Vec::new();
    for number in 1..=5 {
        tags.push((number, part(&mut client, "k", &id, number, &vec![7; 4 << 20]).await));
    }
    let parts: Vec<_> = tags.iter().map(|(number, tag)| (*number, &**tag)).collect();
    assert_code(&complete(&mut client, "k", &id, &parts).await, "EntityTooLarge");
    assert_eq!(complete(&mut client, "k", &id, &parts[..3]).await.status, 200);
    assert_eq!(client.ask("GET", "/k").await.header("content-length"), Some("12582912"));
}

#[tokio::test]
async fn a_part_can_be_a_range_of_an_object() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    assert_eq!(client.put("/source", b"0123456789").await.status, 201);
    let id = begin(&mut client, "k").await;
    let mut tags = Vec::new();
    for (number, range) in [(1, "bytes=7-9"), (2, "bytes=0-1")] {
        let head = format!(
            "PUT /default/k?partNumber={number}&uploadId={id} HTTP/1.1\r\nhost: test\r\nx-amz-copy-source: default/source\r\n\
             x-amz-copy-source-range: {range}\r\ncontent-length: 0\r\n\r\n"
        );
        client.send(&head).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        tags.push(text(&answer.body, "ETag").replace("&quot;", "\""));
        for beyond in ["bytes=10-11", "bytes=5-10", "bytes=-1", "bytes=3-"] {
            client.send(&head.replace(range, beyond)).await;
            assert_code(&client.answer().await, "InvalidRange");
        }
    }
    assert_eq!(complete(&mut client, "k", &id, &[(1, &tags[0]), (2, &tags[1])]).await.status, 200);
    assert_eq!(client.ask("GET", "/default/k").await.body, "78901");
}
