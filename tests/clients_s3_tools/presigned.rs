//! Presigned URLs, made by boto3 and used by curl, as they are and tampered with; and curl's own signatures.

use std::collections::BTreeMap;
use std::process::Command;

use crate::common::s3::{DOMAIN, S3Server, WRITER};
use crate::common::tools;
use crate::said;

/// What curl got: status and body.
type Answer = (u16, String);

fn curl(server: &S3Server, arguments: &[&str]) -> Answer {
    let mut command = Command::new(tools::tool("curl"));
    tools::isolate(&mut command);
    command.current_dir(server.directory()).args(["-sS", "--max-time", "60", "-w", "\n%{http_code}"]);
    let text = said(command.args(arguments));
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn urls(server: &S3Server) -> BTreeMap<String, String> {
    serde_json::from_str(&server.python("presign.py", "urls")).unwrap()
}

#[test]
fn a_presigned_url_does_what_it_was_made_for_and_no_more() {
    let server = S3Server::start();
    let urls = urls(&server);
    server.file("up", b"body");
    assert_eq!(curl(&server, &["-T", "up", &urls["put"]]).0, 200);
    assert_eq!(curl(&server, &[&urls["get"]]), (200, "body".to_owned()));
    assert_eq!(curl(&server, &[&urls["a week"]]), (200, "body".to_owned()));
    assert_eq!(curl(&server, &["-I", &urls["head"]]).0, 200);
    assert_eq!(curl(&server, &["-r", "1-2", &urls["get"]]), (206, "od".to_owned()));
    let typed = curl(&server, &["-T", "up", "-H", "Content-Type: text/x-larder", &urls["typed put"]]);
    assert_eq!(typed.0, 200, "{typed:?}");
    let (status, listing) = curl(&server, &[&urls["list"]]);
    assert!(status == 200 && listing.contains("<KeyCount>1</KeyCount>"), "{listing}");
    // The method is signed too.
    refused("PUT with a GET's", curl(&server, &["-T", "up", &urls["get"]]), "SignatureDoesNotMatch");
    refused("DELETE with a GET's", curl(&server, &["-X", "DELETE", &urls["get"]]), "SignatureDoesNotMatch");
    // So is a header that the URL names.
    let untyped = curl(&server, &["-T", "up", "-H", "Content-Type: text/other", &urls["typed put"]]);
    refused("another type", untyped, "SignatureDoesNotMatch");
    assert_eq!(curl(&server, &["-X", "DELETE", &urls["delete"]]).0, 204);
    let (status, gone) = curl(&server, &[&urls["get"]]);
    assert!(status == 404 && gone.contains("<Code>NoSuchKey</Code>"), "{gone}");
}

#[test]
fn a_presigned_url_that_was_tampered_with_or_is_out_of_time_is_refused() {
    let server = S3Server::start();
    let urls = urls(&server);
    server.file("up", b"body");
    assert_eq!(curl(&server, &["-T", "up", &urls["put"]]).0, 200);
    let get = &urls["get"];
    let flipped = if get.ends_with('0') { "1" } else { "0" };
    for (what, url, code) in [
        ("expired", urls["expired"].clone(), "AccessDenied"),
        ("from the future", urls["not yet"].clone(), "RequestTimeTooSkewed"),
        ("longer than a week", urls["too long"].clone(), "AuthorizationQueryParametersError"),
        ("wrong secret", urls["wrong secret"].clone(), "SignatureDoesNotMatch"),
        ("nobody's key", urls["nobody's"].clone(), "InvalidAccessKeyId"),
        ("another object", get.replace("/dir/", "/other/"), "SignatureDoesNotMatch"),
        ("another bucket", get.replace("/team/", "/default/"), "SignatureDoesNotMatch"),
        ("a longer life", get.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"), "SignatureDoesNotMatch"),
        ("one more parameter", format!("{get}&versionId=1"), "SignatureDoesNotMatch"),
        ("a changed signature", format!("{}{flipped}", &get[..get.len() - 1]), "SignatureDoesNotMatch"),
        ("no signature", get.split("&X-Amz-Signature").next().unwrap().to_owned(), "AuthorizationQuery"),
        ("another key's name", get.replace("=ci%2F", "=reader%2F"), "SignatureDoesNotMatch"),
        ("another service", get.replace("%2Fs3%2F", "%2Fec2%2F"), "Authorization"),
    ] {
        assert!(url != *get, "{what}: the URL is not changed: {get}");
        refused(what, curl(&server, &[&url]), code);
    }
    refused("reader's", curl(&server, &["-T", "up", &urls["reader's put"]]), "AccessDenied");
    let both = format!("Authorization: AWS4-HMAC-SHA256 Credential={}/x", WRITER.id);
    let (status, text) = curl(&server, &["-H", &both, get]);
    assert_eq!(status, 400, "both ways at once: {text}");
    assert_eq!(curl(&server, &[get]), (200, "body".to_owned()), "and as it was it works");
}

#[test]
fn a_bucket_may_be_a_host_name() {
    let server = S3Server::start();
    let urls = urls(&server);
    server.file("up", b"body");
    assert_eq!(curl(&server, &["-T", "up", &urls["put"]]).0, 200);
    let url = &urls["host"];
    let host = format!("team.{DOMAIN}:{}", server.larder.address().port());
    assert!(url.starts_with(&format!("http://{host}/dir/")), "{url}");
    let resolved = format!("{host}:127.0.0.1");
    assert_eq!(curl(&server, &["--resolve", &resolved, url]), (200, "body".to_owned()));
    // The host is signed: another bucket's name is no way to the same key there.
    let other = format!("Host: default.{DOMAIN}:{}", server.larder.address().port());
    refused(
        "another host",
        curl(&server, &["--resolve", &resolved, "-H", &other, url]),
        "SignatureDoesNotMatch",
    );
}

#[test]
fn curl_signs_for_itself() {
    let server = S3Server::start();
    server.file("up", b"body");
    let key = format!("{}:{}", WRITER.id, WRITER.secret);
    let signed = ["--aws-sigv4", "aws:amz:eu-somewhere-7:s3", "--user", &key];
    let url = server.larder.url("/team/by/curl");
    let sha256 = "x-amz-content-sha256: 230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5";
    let put =
        curl(&server, &[&signed[..], &["-H", sha256, "--data-binary", "@up", "-X", "PUT", &url]].concat());
    assert_eq!(put.0, 200, "{put:?}");
    let got = curl(&server, &[&signed[..], &["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", &url]].concat());
    assert_eq!(got, (200, "body".to_owned()));
}

fn refused(what: &str, (status, text): Answer, code: &str) {
    assert!(status == 403 || status == 400, "{what}: {status} {text}");
    assert!(text.contains(&format!("<Code>{code}")), "{what}: expected {code}: {text}");
    assert!(text.contains("<RequestId>"), "{what}: no request id: {text}");
}
