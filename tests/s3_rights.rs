//! What a request is allowed is what is carried out: no second reading of a request finds an operation, a source or a
//! bucket in it that its caller was not asked for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;
#[path = "support/signing.rs"]
mod signing;

use larder::config::{NamespaceScope, Right, Rights, Secret, SecretSource, TokenConfig, TokenName};
use larder::key::Namespace;
use running::{Answer, Running};
use signing::Signing;

const OWNER: (&str, &str) = ("owner", "the-secret-of-the-owner");
const GUEST: (&str, &str) = ("guest", "the-secret-of-the-guest");
const SWEEPER: (&str, &str) = ("sweeper", "the-secret-of-the-sweeper");

/// `owner` may do all; `guest` reads and writes in "open" only; `sweeper` reads and deletes everywhere.
async fn server() -> Running {
    Running::start(|config| {
        for namespace in ["open", "closed"] {
            config.namespaces.insert(Namespace::new(namespace).unwrap(), Default::default());
        }
        for ((name, secret), scope, allow) in [
            (OWNER, "*", &[Right::Read, Right::Write, Right::Delete][..]),
            (GUEST, "open", &[Right::Read, Right::Write]),
            (SWEEPER, "*", &[Right::Read, Right::Delete]),
        ] {
            let source = SecretSource::Env("S".to_owned());
            let mut token = TokenConfig::new(source, Some(Secret::new(secret).unwrap()));
            token.allow = Rights::of(allow);
            token.namespaces = vec![NamespaceScope::parse(scope).unwrap()];
            config.tokens.insert(TokenName::new(name).unwrap(), token);
        }
    })
    .await
}

async fn send(server: &Running, who: (&str, &str), request: Signing) -> Answer {
    let request = request.with(|own| {
        own.key = who.0.to_owned();
        own.secret = who.1.to_owned();
    });
    let mut client = server.client().await;
    client.send_bytes(&request.bytes()).await;
    client.answer().await
}

fn copy(path: &str, source: &str) -> Signing {
    Signing::new("PUT", path).header("x-amz-copy-source", source)
}

fn text(xml: &str, tag: &str) -> String {
    xml.split(&format!("<{tag}>")).nth(1).and_then(|rest| rest.split('<').next()).expect(tag).to_owned()
}

#[tokio::test]
async fn a_copy_reads_only_what_its_caller_may_read() {
    let server = server().await;
    let put = |path| Signing::new("PUT", path).body(b"secret");
    for path in ["/closed/a", "/open/a"] {
        assert_eq!(send(&server, OWNER, put(path)).await.status, 200);
    }
    let begun = send(&server, GUEST, Signing::new("POST", "/open/parts?uploads")).await;
    let id = text(&begun.body, "UploadId");
    for source in
        ["closed/a", "/closed/a", "closed%2Fa", "%2Fclosed%2Fa", "/closed%2fa?versionId=null", "%63losed/a"]
    {
        for path in ["/open/copy".to_owned(), format!("/open/parts?partNumber=1&uploadId={id}")] {
            let answer = send(&server, GUEST, copy(&path, source)).await;
            assert_eq!(answer.status, 403, "{source} {path} {}", answer.body);
        }
    }
    for source in ["open/a", "open%2Fa", "/open/a?versionId=null"] {
        assert_eq!(send(&server, GUEST, copy("/open/copy", source)).await.status, 200, "{source}");
    }
    for bad in ["open", "open/", "/", "open/a%ff", "open/a/../../closed/a", "open//a"] {
        let answer = send(&server, GUEST, copy("/open/bad", bad)).await;
        assert!(answer.status == 400, "{bad} {}", answer.body);
    }
    assert_eq!(send(&server, OWNER, Signing::new("GET", "/open/bad")).await.status, 404);
}

#[tokio::test]
async fn the_right_to_delete_stores_nothing() {
    let server = server().await;
    let begun = send(&server, OWNER, Signing::new("POST", "/open/k?uploads")).await;
    let id = text(&begun.body, "UploadId");
    let part = Signing::new("PUT", &format!("/open/k?partNumber=1&uploadId={id}")).body(b"part");
    let tag = send(&server, OWNER, part).await.header("etag").unwrap().to_owned();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    );
    for (method, path, body) in [
        ("POST", format!("/open/k?uploadId={id}&delete"), list.as_str()),
        ("POST", format!("/open/k?delete=&uploadId={id}"), &list),
        ("POST", "/open/k?uploads&delete".to_owned(), ""),
        ("DELETE", format!("/open/k?uploadId={id}"), ""),
        ("PUT", "/open/k".to_owned(), "x"),
        ("PUT", "/open/k?delete".to_owned(), "x"),
    ] {
        let answer = send(&server, SWEEPER, Signing::new(method, &path).body(body.as_bytes())).await;
        assert_eq!(answer.status, 403, "{method} {path} {}", answer.body);
    }
    assert_eq!(send(&server, OWNER, Signing::new("GET", "/open/k")).await.status, 404);
    let complete = Signing::new("POST", &format!("/open/k?uploadId={id}")).body(list.as_bytes());
    assert_eq!(send(&server, OWNER, complete).await.status, 200, "the upload is as it was");
}

#[tokio::test]
async fn the_right_to_write_deletes_nothing() {
    let server = server().await;
    assert_eq!(send(&server, OWNER, Signing::new("PUT", "/open/k").body(b"x")).await.status, 200);
    let list = "<Delete><Object><Key>k</Key></Object></Delete>";
    for (method, path) in [
        ("POST", "/open?delete"),
        ("POST", "/open/?delete&uploads"),
        ("POST", "/open?delete&uploadId=0"),
        ("DELETE", "/open/k"),
        ("DELETE", "/open/k?x-id=PutObject"),
    ] {
        let answer = send(&server, GUEST, Signing::new(method, path).body(list.as_bytes())).await;
        assert_eq!(answer.status, 403, "{method} {path} {}", answer.body);
    }
    // What an upload is called by decides nothing about an object.
    let answer = send(&server, GUEST, Signing::new("DELETE", "/open/k?uploadId=0")).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    assert_eq!(send(&server, OWNER, Signing::new("GET", "/open/k")).await.status, 200);
}
