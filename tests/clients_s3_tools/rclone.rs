//! rclone: trees kept in step, with settings as a `Other` S3 provider.

use std::process::Command;

use crate::common::s3::{S3Server, WRITER};
use crate::{complaint, noise, said};

/// rclone with a remote `cache:` that is this server.
fn rclone(server: &S3Server, arguments: &[&str]) -> Command {
    let mut command = server.client("rclone", WRITER);
    let settings = [
        ("TYPE", "s3"),
        ("PROVIDER", "Other"),
        ("ENV_AUTH", "false"),
        ("ACCESS_KEY_ID", WRITER.id),
        ("SECRET_ACCESS_KEY", WRITER.secret),
        ("ENDPOINT", &server.larder.url("")),
        ("REGION", "eu-somewhere-7"),
        ("FORCE_PATH_STYLE", "true"),
        ("CHUNK_SIZE", "5M"),
        ("UPLOAD_CUTOFF", "6M"),
    ];
    for (name, value) in settings {
        command.env(format!("RCLONE_CONFIG_CACHE_{name}"), value);
    }
    command
        .env("RCLONE_CONFIG", server.file("rclone.conf", b""))
        .args(["--retries=1", "--low-level-retries=1"]);
    command.args(arguments);
    command
}

#[test]
fn files_are_copied_listed_read_in_part_and_deleted() {
    let server = S3Server::start();
    let body = noise((16 << 20) + 3);
    server.file("tree/large", &body);
    server.file("tree/dir/a b+c&ü", b"0123456789");
    said(&mut rclone(&server, &["copy", "tree", "cache:default/tree"]));
    let listed = said(&mut rclone(&server, &["lsl", "cache:default/tree"]));
    assert!(
        listed.contains("16777219") && listed.contains("large") && listed.contains("dir/a b+c&ü"),
        "{listed}"
    );
    let part = said(&mut rclone(
        &server,
        &["cat", "--offset", "3", "--count", "4", "cache:default/tree/dir/a b+c&ü"],
    ));
    assert_eq!(part, "3456");
    said(&mut rclone(&server, &["copy", "cache:default/tree", "down"]));
    assert!(server.read("down/large") == body);
    assert_eq!(server.read("down/dir/a b+c&ü"), b"0123456789");
    let directories = said(&mut rclone(&server, &["lsd", "cache:default/tree"]));
    assert!(directories.trim_end().ends_with(" dir"), "{directories}");
    // A copy within the server.
    said(&mut rclone(&server, &["copyto", "cache:default/tree/large", "cache:team/copy"]));
    assert!(said(&mut rclone(&server, &["lsl", "cache:team"])).contains("16777219"));
    said(&mut rclone(&server, &["deletefile", "cache:default/tree/large"]));
    let left = said(&mut rclone(&server, &["lsf", "--recursive", "--files-only", "cache:default"]));
    assert_eq!(left.trim_end(), "tree/dir/a b+c&ü");
    // To rclone what is not there is a directory without anything in it.
    assert_eq!(said(&mut rclone(&server, &["cat", "cache:default/tree/large"])), "");
    let buckets = said(&mut rclone(&server, &["lsf", "cache:"]));
    assert_eq!(buckets.lines().collect::<Vec<_>>(), ["default/", "small/", "team/"]);
}

#[test]
fn a_tree_is_kept_in_step_by_size() {
    // Dates of files are metadata that larder does not keep, so sizes are what there is to compare.
    let server = S3Server::start();
    for (name, body) in [("tree/a", "one"), ("tree/b/c", "two"), ("tree/b/d", "three")] {
        server.file(name, body.as_bytes());
    }
    let sync = || said(&mut rclone(&server, &["sync", "--size-only", "tree", "cache:team/tree"]));
    sync();
    said(&mut rclone(&server, &["check", "--size-only", "tree", "cache:team/tree"]));
    std::fs::remove_file(server.directory().join("tree/a")).unwrap();
    server.file("tree/b/c", b"longer");
    complaint(&mut rclone(&server, &["check", "--size-only", "tree", "cache:team/tree"]));
    sync();
    said(&mut rclone(&server, &["check", "--download", "tree", "cache:team/tree"]));
    let left = said(&mut rclone(&server, &["lsf", "--recursive", "--files-only", "cache:team"]));
    assert_eq!(left.lines().collect::<Vec<_>>(), ["tree/b/c", "tree/b/d"]);
    said(&mut rclone(&server, &["purge", "cache:team/tree"]));
    assert_eq!(said(&mut rclone(&server, &["lsf", "--recursive", "cache:team"])), "");
}

#[test]
fn a_tree_is_synchronised_without_any_option() {
    let server = S3Server::start();
    server.file("tree/a", b"one");
    for _ in 0..2 {
        said(&mut rclone(&server, &["sync", "tree", "cache:team/tree"]));
        said(&mut rclone(&server, &["check", "--download", "tree", "cache:team/tree"]));
    }
}
