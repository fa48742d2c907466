//! `aws s3api`: single calls with the options that people look up when something is wrong.

use serde_json::Value;

use crate::common::s3::{READER, S3Server, WRITER};
use crate::{complaint, noise, said};

/// Calls an operation on an object or a bucket: the words of `call` are split at spaces.
fn api(server: &S3Server, call: &str) -> Value {
    let mut command = server.client("aws", WRITER);
    let text = said(command.arg("s3api").args(call.split(' ')).args(["--output", "json"]));
    if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

fn refused(server: &S3Server, call: &str) -> String {
    complaint(server.client("aws", WRITER).arg("s3api").args(call.split(' ')))
}

fn names<'a>(answer: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    let entries = answer[list].as_array();
    entries.into_iter().flatten().filter_map(|entry| entry[field].as_str()).collect()
}

#[test]
fn an_object_is_stored_described_copied_and_deleted() {
    let server = S3Server::start();
    let body = noise(100_000);
    server.file("up", &body);
    let stored = api(&server, "put-object --bucket default --key a/b --body up");
    assert!(stored["ETag"].as_str().unwrap().starts_with("\"xxh3-"), "{stored}");
    let head = api(&server, "head-object --bucket default --key a/b");
    assert_eq!((head["ContentLength"].as_u64(), &head["ETag"]), (Some(100_000), &stored["ETag"]));
    api(&server, "get-object --bucket default --key a/b --range bytes=500-999 part");
    assert!(server.read("part") == body[500..1000]);
    let copied = api(&server, "copy-object --bucket team --key copy --copy-source default/a/b");
    assert_eq!(copied["CopyObjectResult"]["ETag"], stored["ETag"]);
    api(&server, "get-object --bucket team --key copy whole");
    assert!(server.read("whole") == body);
    api(&server, "delete-objects --bucket default --delete Objects=[{Key=a/b},{Key=none}]");
    assert!(refused(&server, "head-object --bucket default --key a/b").contains("404"));
    assert!(refused(&server, "get-object --bucket default --key a/b x").contains("NoSuchKey"));
    let wrong = refused(&server, "get-object --bucket team --key copy --range bytes=100000- x");
    assert!(wrong.contains("InvalidRange"), "{wrong}");
}

#[test]
fn listings_are_paged() {
    let server = S3Server::start();
    server.file("up", b"x");
    for key in ["a", "b/1", "b/2", "b/3", "c"] {
        api(&server, &format!("put-object --bucket default --key {key} --body up"));
    }
    let every = ["a", "b/1", "b/2", "b/3", "c"];
    let all = api(&server, "list-objects-v2 --bucket default");
    assert_eq!(names(&all, "Contents", "Key"), every);
    let small_pages = api(&server, "list-objects-v2 --bucket default --page-size 2");
    assert_eq!(names(&small_pages, "Contents", "Key"), every);
    let first = api(&server, "list-objects-v2 --bucket default --page-size 2 --max-items 3");
    assert_eq!(names(&first, "Contents", "Key"), ["a", "b/1", "b/2"]);
    let token = first["NextToken"].as_str().unwrap();
    let rest =
        api(&server, &format!("list-objects-v2 --bucket default --page-size 2 --starting-token {token}"));
    assert_eq!(names(&rest, "Contents", "Key"), ["b/3", "c"]);
    let top = api(&server, "list-objects --bucket default --delimiter / --page-size 1");
    assert_eq!(
        (names(&top, "Contents", "Key"), names(&top, "CommonPrefixes", "Prefix")),
        (vec!["a", "c"], vec!["b/"])
    );
}

#[test]
fn checksums_are_verified() {
    let server = S3Server::start();
    server.file("up", b"123456789");
    for (algorithm, wrong) in [
        ("CRC32", "--checksum-crc32 y/Q5Jw=="),
        ("SHA1", "--checksum-sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("SHA256", "--checksum-sha256 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ] {
        let put = "put-object --bucket default --body up --key";
        api(&server, &format!("{put} {algorithm} --checksum-algorithm {algorithm}"));
        let said = refused(&server, &format!("{put} wrong {wrong}"));
        assert!(said.contains("BadDigest"), "{algorithm}: {said}");
    }
    api(&server, "put-object --bucket default --key md5 --body up --content-md5 JfnnlDI7RTiF9RgfG2JNCw==");
    let wrong = "put-object --bucket default --key wrong --body up --content-md5 JfnnlDI7RTiF9RgfG2JNCg==";
    assert!(refused(&server, wrong).contains("BadDigest"));
    assert!(refused(&server, "head-object --bucket default --key wrong").contains("404"));
}

#[test]
fn buckets_are_what_the_configuration_names() {
    let server = S3Server::start();
    assert_eq!(names(&api(&server, "list-buckets"), "Buckets", "Name"), ["default", "small", "team"]);
    api(&server, "head-bucket --bucket team");
    api(&server, "create-bucket --bucket team");
    let location = api(&server, "get-bucket-location --bucket team");
    assert!(location.get("LocationConstraint").is_some(), "{location}");
    assert!(refused(&server, "create-bucket --bucket another").contains("AccessDenied"));
    assert!(refused(&server, "head-bucket --bucket another").contains("404"));
    assert!(refused(&server, "list-objects-v2 --bucket another").contains("NoSuchBucket"));
    assert!(refused(&server, "get-bucket-acl --bucket team").contains("NotImplemented"));
    assert!(refused(&server, "put-bucket-policy --bucket team --policy {}").contains("NotImplemented"));
    assert!(refused(&server, "delete-bucket --bucket team").contains("NotImplemented"));
}

#[test]
fn a_multipart_upload_by_hand() {
    let server = S3Server::start();
    let (first, second) = (noise(5 << 20), noise(1000));
    server.file("1", &first);
    server.file("2", &second);
    let begin = |key: &str| {
        let begun = api(&server, &format!("create-multipart-upload --bucket team --key {key}"));
        begun["UploadId"].as_str().unwrap().to_owned()
    };
    let upload = begin("made");
    let of = |upload: &str, key: &str| format!("--bucket team --key {key} --upload-id {upload}");
    let mut parts = Vec::new();
    for number in [1, 2] {
        let call = format!("upload-part {} --part-number {number} --body {number}", of(&upload, "made"));
        let etag = api(&server, &call)["ETag"].as_str().unwrap().replace('"', "");
        parts.push(format!("{{ETag={etag},PartNumber={number}}}"));
    }
    let listed = api(&server, &format!("list-parts {}", of(&upload, "made")));
    let sizes: Vec<_> =
        listed["Parts"].as_array().unwrap().iter().filter_map(|part| part["Size"].as_u64()).collect();
    assert_eq!(sizes, [5 << 20, 1000]);
    let other = begin("other");
    let uploads = api(&server, "list-multipart-uploads --bucket team");
    assert_eq!(names(&uploads, "Uploads", "Key"), ["made", "other"]);
    api(&server, &format!("abort-multipart-upload {}", of(&other, "other")));

    let call = format!("complete-multipart-upload {} --multipart-upload", of(&upload, "made"));
    let done = api(&server, &format!("{call} Parts=[{}]", parts.join(",")));
    assert_eq!((done["Bucket"].as_str(), done["Key"].as_str()), (Some("team"), Some("made")));
    api(&server, "get-object --bucket team --key made whole");
    assert!(server.read("whole") == [first, second].concat());
    let gone = refused(&server, &format!("list-parts {}", of(&upload, "made")));
    assert!(gone.contains("NoSuchUpload"), "{gone}");
}

#[test]
fn a_key_that_may_only_read_is_told_so() {
    let server = S3Server::start();
    server.file("up", b"x");
    api(&server, "put-object --bucket team --key a --body up");
    let reader = |call: &str| {
        let mut command = server.client("aws", READER);
        command.arg("s3api").args(call.split(' '));
        command
    };
    said(&mut reader("get-object --bucket team --key a down"));
    assert_eq!(server.read("down"), b"x");
    for call in ["put-object --bucket team --key a --body up", "delete-object --bucket team --key a"] {
        let told = complaint(&mut reader(call));
        assert!(told.contains("AccessDenied"), "{call}: {told}");
    }
}
