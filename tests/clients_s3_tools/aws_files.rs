//! `aws s3`: files and trees copied, listed, synchronised, removed and shared.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::common::s3::{S3Server, WRITER};
use crate::common::tools;
use crate::{complaint, noise, said};

fn s3(server: &S3Server, arguments: &[&str]) -> Command {
    let mut command = server.client("aws", WRITER);
    command.arg("s3").args(arguments);
    command
}

#[test]
fn a_file_of_64_mib_goes_up_in_parts_and_comes_back() {
    let server = S3Server::start();
    let body = noise(64 << 20);
    server.file("up", &body);
    said(&mut s3(&server, &["cp", "--quiet", "up", "s3://default/large/one"]));
    said(&mut s3(&server, &["cp", "--quiet", "s3://default/large/one", "down"]));
    assert!(server.read("down") == body, "the body changed on its way");
    let listed = said(&mut s3(&server, &["ls", "s3://default/large/"]));
    assert!(listed.contains("67108864 one"), "{listed}");
    // A copy of one that large is made of parts too.
    said(&mut s3(&server, &["cp", "--quiet", "s3://default/large/one", "s3://team/copy"]));
    said(&mut s3(&server, &["cp", "--quiet", "s3://team/copy", "copy"]));
    assert!(server.read("copy") == body, "the copy differs");
    assert!(uploads_left(&server).is_empty(), "{}", uploads_left(&server));
}

#[test]
fn files_are_copied_moved_listed_and_removed() {
    let server = S3Server::start();
    server.file("up", b"body");
    said(&mut s3(&server, &["cp", "up", "s3://team/dir/a b+c&ü"]));
    assert_eq!(said(&mut s3(&server, &["cp", "s3://team/dir/a b+c&ü", "-"])), "body");
    said(&mut s3(&server, &["mv", "s3://team/dir/a b+c&ü", "s3://default/moved"]));
    let listed = said(&mut s3(&server, &["ls", "--recursive", "s3://team"]));
    assert_eq!(listed, "", "the source of a move is still there");
    assert_eq!(said(&mut s3(&server, &["cp", "s3://default/moved", "-"])), "body");
    let buckets = said(&mut s3(&server, &["ls"]));
    let names: Vec<_> = buckets.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(names, ["default", "small", "team"]);
    said(&mut s3(&server, &["rm", "s3://default/moved"]));
    let missing = complaint(&mut s3(&server, &["cp", "s3://default/moved", "-"]));
    assert!(missing.contains("404"), "{missing}");
    // `mb` is what scripts begin with.
    said(&mut s3(&server, &["mb", "s3://team"]));
    assert!(complaint(&mut s3(&server, &["mb", "s3://another"])).contains("AccessDenied"));
}

#[test]
fn standard_input_is_stored() {
    let server = S3Server::start();
    let body = noise(12 << 20);
    let mut command = s3(&server, &["cp", "--quiet", "-", "s3://default/from-a-pipe"]);
    command.stdin(std::fs::File::open(server.file("up", &body)).unwrap());
    said(&mut command);
    said(&mut s3(&server, &["cp", "--quiet", "s3://default/from-a-pipe", "down"]));
    assert!(server.read("down") == body, "the body changed on its way");
}

#[test]
fn a_tree_is_synchronised_both_ways() {
    let server = S3Server::start();
    for (name, body) in [("tree/a", "one"), ("tree/b/c", "two"), ("tree/b/d e/f&g", "three")] {
        aged(&server.file(name, body.as_bytes()));
    }
    said(&mut s3(&server, &["sync", "tree", "s3://default/tree"]));
    let again = said(&mut s3(&server, &["sync", "tree", "s3://default/tree"]));
    assert_eq!(again, "", "a second sync has nothing to do");
    said(&mut s3(&server, &["sync", "s3://default/tree", "down"]));
    let below = |name: &str| {
        let root = server.directory().join(name);
        let files = tools::contents(&root, &|_| true).into_iter();
        files.map(|(path, body)| (path.strip_prefix(&root).unwrap().to_owned(), body)).collect()
    };
    tools::assert_same_files(&below("tree"), &below("down"));

    std::fs::remove_file(server.directory().join("tree/a")).unwrap();
    server.file("tree/new", b"four, longer");
    let changed = said(&mut s3(&server, &["sync", "--delete", "tree", "s3://default/tree"]));
    assert!(changed.contains("delete: s3://default/tree/a") && changed.contains("tree/new"), "{changed}");
    let listed = said(&mut s3(&server, &["ls", "--recursive", "s3://default/tree/"]));
    let names: Vec<_> = listed.lines().filter_map(|line| line.split_once("tree/")).map(|(_, n)| n).collect();
    assert_eq!(names, ["b/c", "b/d e/f&g", "new"]);
    said(&mut s3(&server, &["rm", "--recursive", "s3://default/tree"]));
    assert_eq!(said(&mut s3(&server, &["ls", "--recursive", "s3://default"])), "");
}

#[test]
fn a_presigned_url_is_for_everybody() {
    let server = S3Server::start();
    server.file("up", b"body");
    said(&mut s3(&server, &["cp", "up", "s3://default/shared"]));
    let url = said(&mut s3(&server, &["presign", "s3://default/shared", "--expires-in", "60"]));
    let mut curl = Command::new(tools::tool("curl"));
    tools::isolate(&mut curl);
    assert_eq!(said(curl.args(["-sSf", url.trim()])), "body");
}

/// Dates a file back: within one second the CLI cannot tell which of two is newer.
fn aged(file: &Path) {
    let earlier = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::open(file).unwrap().set_modified(earlier).unwrap();
}

fn uploads_left(server: &S3Server) -> String {
    let mut command = server.client("aws", WRITER);
    command.args(["s3api", "list-multipart-uploads", "--bucket", "default", "--query", "Uploads[].Key"]);
    said(command.args(["--output", "text"])).replace("None", "").trim().to_owned()
}
