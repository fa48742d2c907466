//! s3cmd: an older client, with XML parsing, ETag checks and part sizes of its own.

use std::process::Command;

use crate::common::s3::{Key, S3Server, WRITER};
use crate::common::tools;
use crate::{complaint, noise, said};

/// s3cmd with everything on its command line; path style, as it does for a host that names no bucket.
fn s3cmd(server: &S3Server, arguments: &[&str]) -> Command {
    s3cmd_as(server, WRITER, arguments)
}

fn s3cmd_as(server: &S3Server, key: Key, arguments: &[&str]) -> Command {
    let mut command = server.client("s3cmd", key);
    let config = server.file("s3cfg", b"[default]\n");
    let host = server.larder.address().to_string();
    command.arg("--config").arg(config).args(["--no-ssl", "--no-progress", "--max-retries=1"]);
    command.args(["--host", &host, "--host-bucket", &host, "--region", "eu-somewhere-7"]);
    command.args(["--access_key", key.id, "--secret_key", key.secret]).args(arguments);
    command
}

#[test]
fn files_are_put_listed_copied_and_deleted() {
    let server = S3Server::start();
    let body = noise(200_000);
    server.file("up", &body);
    said(&mut s3cmd(&server, &["put", "up", "s3://default/dir/a b&ü"]));
    let listed = said(&mut s3cmd(&server, &["ls", "s3://default/dir/"]));
    assert!(listed.contains("200000") && listed.contains("s3://default/dir/a b&ü"), "{listed}");
    let top = said(&mut s3cmd(&server, &["ls", "s3://default"]));
    assert!(top.contains("DIR") && top.contains("s3://default/dir/"), "{top}");
    said(&mut s3cmd(&server, &["get", "s3://default/dir/a b&ü", "down"]));
    assert!(server.read("down") == body);
    said(&mut s3cmd(&server, &["cp", "s3://default/dir/a b&ü", "s3://team/copy"]));
    said(&mut s3cmd(&server, &["get", "s3://team/copy", "copy"]));
    assert!(server.read("copy") == body);
    said(&mut s3cmd(&server, &["del", "s3://team/copy"]));
    assert_eq!(said(&mut s3cmd(&server, &["ls", "s3://team"])), "");
    let missing = complaint(&mut s3cmd(&server, &["get", "s3://team/copy", "none"]));
    assert!(missing.contains("does not exist"), "{missing}");
    let buckets = said(&mut s3cmd(&server, &["ls"]));
    assert!(buckets.contains("s3://default") && buckets.contains("s3://team"), "{buckets}");
}

#[test]
fn a_large_file_goes_up_in_parts_of_5_mib() {
    let server = S3Server::start();
    let body = noise((12 << 20) + 17);
    server.file("up", &body);
    said(&mut s3cmd(&server, &["put", "--multipart-chunk-size-mb=5", "up", "s3://default/large"]));
    said(&mut s3cmd(&server, &["get", "s3://default/large", "down"]));
    assert!(server.read("down") == body);
    let uploads = said(&mut s3cmd(&server, &["multipart", "s3://default"]));
    assert!(!uploads.contains("s3://default/large"), "the upload is still there: {uploads}");
}

#[test]
fn trees_are_synchronised_and_removed() {
    let server = S3Server::start();
    server.file("tree/a", b"one");
    server.file("tree/b/c", b"two");
    said(&mut s3cmd(&server, &["sync", "tree/", "s3://default/tree/"]));
    said(&mut s3cmd(&server, &["sync", "s3://default/tree/", "down/"]));
    assert_eq!((server.read("down/a"), server.read("down/b/c")), (b"one".to_vec(), b"two".to_vec()));
    said(&mut s3cmd(&server, &["del", "--recursive", "--force", "s3://default/tree"]));
    assert_eq!(said(&mut s3cmd(&server, &["ls", "--recursive", "s3://default"])), "");
}

#[test]
fn a_signed_url_is_refused_for_its_old_signature() {
    // s3cmd knows only Signature V2 for these. It must not pass for a request without a signature.
    let server = S3Server::start_with("anonymous = \"read\"");
    server.file("up", b"body");
    said(&mut s3cmd(&server, &["put", "up", "s3://default/shared"]));
    let url = said(&mut s3cmd(&server, &["signurl", "s3://default/shared", "+60"]));
    assert!(url.contains("AWSAccessKeyId=ci"), "{url}");
    let mut curl = Command::new(tools::tool("curl"));
    tools::isolate(&mut curl);
    let text = said(curl.args(["-sS", url.trim()]));
    assert!(text.contains("<Error>") && text.contains("Signature V4"), "{text}");
}

#[test]
fn a_wrong_secret_is_explained() {
    let server = S3Server::start();
    let wrong = Key { secret: "not-the-secret-of-this-key", ..WRITER };
    let told = complaint(&mut s3cmd_as(&server, wrong, &["ls", "s3://default"]));
    assert!(told.contains("SignatureDoesNotMatch") || told.contains("403"), "{told}");
}
