//! The client that sccache is built on, OpenDAL's webdav service, against the protocols.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure in a test's helper fails the test")]

mod opendal_support;
mod protocol_support;

use opendal::{Buffer, EntryMode, ErrorKind, Operator, services};
use opendal_support::Sent;
use protocol_support::Server;

/// An operator as sccache makes it: the namespace in the endpoint, the key prefix as root.
fn operator(server: &Server, endpoint: &str, root: &str) -> Operator {
    observed(server, endpoint, root, Sent::default())
}

fn observed(server: &Server, endpoint: &str, root: &str, sent: Sent) -> Operator {
    let builder = services::Webdav::default().endpoint(&server.url(endpoint)).root(root);
    larder::tls::use_ring();
    let context = opendal_support::context(reqwest::Client::new(), sent);
    Operator::new(builder).unwrap().with_context(context)
}

/// Every way of naming a place that people configure.
const PLACES: [(&str, &str); 4] = [("", "/"), ("/team", "/"), ("/team", "/key/prefix/"), ("", "/x y&/ü/")];

#[tokio::test]
async fn objects_are_written_read_and_deleted() {
    let server = Server::start().await;
    for (endpoint, root) in PLACES {
        let operator = operator(&server, endpoint, root);
        operator.check().await.unwrap();
        let body: Vec<u8> = (0..=255).cycle().take(700_000).collect();
        let path = "5/1/d/51db a&b";
        assert_eq!(operator.read(path).await.unwrap_err().kind(), ErrorKind::NotFound);
        let written = operator.write(path, body.clone()).await.unwrap();
        assert!(operator.read(path).await.unwrap().to_vec() == body);
        assert_eq!(operator.read_with(path).range(3..10).await.unwrap().to_vec(), body[3..10]);
        assert_eq!(operator.read_with(path).range(699_990..).await.unwrap().to_vec(), body[699_990..]);
        let stat = operator.stat(path).await.unwrap();
        assert_eq!((stat.content_length(), stat.mode()), (700_000, EntryMode::FILE));
        assert_eq!(stat.etag(), written.etag());
        assert!(stat.last_modified().is_some());
        operator.write(path, "replaced").await.unwrap();
        assert_eq!(operator.read(path).await.unwrap().to_vec(), b"replaced");
        operator.write("empty", "").await.unwrap();
        assert_eq!(operator.stat("empty").await.unwrap().content_length(), 0);
        operator.delete(path).await.unwrap();
        operator.delete(path).await.unwrap();
        assert!(!operator.exists(path).await.unwrap());
    }
}

#[tokio::test]
async fn conditional_reads_hold_to_the_etag_and_the_date() {
    let server = Server::start().await;
    let operator = operator(&server, "/team", "/");
    operator.write("a", "body").await.unwrap();
    let stat = operator.stat("a").await.unwrap();
    let (etag, date) = (stat.etag().unwrap().to_owned(), stat.last_modified().unwrap());
    let failed = |result: opendal::Result<Buffer>| result.unwrap_err().kind();
    operator.read_with("a").if_match(&etag).await.unwrap();
    operator.read_with("a").if_none_match("\"other\"").await.unwrap();
    operator.read_with("a").if_unmodified_since(date).await.unwrap();
    assert_eq!(failed(operator.read_with("a").if_match("\"other\"").await), ErrorKind::ConditionNotMatch);
    assert_eq!(failed(operator.read_with("a").if_none_match(&etag).await), ErrorKind::ConditionNotMatch);
    assert_eq!(failed(operator.read_with("a").if_modified_since(date).await), ErrorKind::ConditionNotMatch);
}

#[tokio::test]
async fn collections_are_made_listed_and_removed() {
    let server = Server::start().await;
    for (endpoint, root) in PLACES {
        let operator = operator(&server, endpoint, root);
        operator.create_dir("made/deep/").await.unwrap();
        assert!(operator.stat("made/deep/").await.unwrap().is_dir());
        for path in ["dir/a", "dir/b c&d", "dir/sub/x", "dir/sub/y/z", "dir0"] {
            operator.write(path, "x").await.unwrap();
        }
        let paths = |entries: Vec<opendal::Entry>| {
            let mut paths: Vec<_> = entries.iter().map(|entry| entry.path().to_owned()).collect();
            paths.sort();
            paths
        };
        let flat = paths(operator.list("dir/").await.unwrap());
        assert_eq!(flat, ["dir/", "dir/a", "dir/b c&d", "dir/sub/"], "{endpoint}{root}");
        let tree = paths(operator.list_with("dir/").recursive(true).await.unwrap());
        for path in ["dir/a", "dir/b c&d", "dir/sub/x", "dir/sub/y/z"] {
            assert!(tree.iter().any(|own| own == path), "{path} in {tree:?}");
        }
        assert!(!tree.iter().any(|path| path == "dir0"));
        operator.delete_with("dir/").recursive(true).await.unwrap();
        assert!(!operator.exists("dir/sub/y/z").await.unwrap());
        assert!(operator.exists("dir0").await.unwrap());
    }
}

#[tokio::test]
async fn objects_are_copied_and_renamed() {
    let server = Server::start().await;
    for (endpoint, root) in PLACES {
        let operator = operator(&server, endpoint, root);
        operator.write("from/a", "body").await.unwrap();
        operator.copy("from/a", "to/deep/b c").await.unwrap();
        operator.copy("from/a", "to/deep/b c").await.unwrap();
        assert_eq!(operator.read("to/deep/b c").await.unwrap().to_vec(), b"body");
        operator.rename("from/a", "moved/ü").await.unwrap();
        assert_eq!(operator.read("moved/ü").await.unwrap().to_vec(), b"body");
        assert!(!operator.exists("from/a").await.unwrap());
        assert_eq!(operator.copy("from/a", "x").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn a_first_store_takes_two_requests() {
    let server = Server::start().await;
    let sent = Sent::default();
    let operator = observed(&server, "/team", "/new/prefix/", sent.clone());
    operator.write("5/1/d/51db", "x").await.unwrap();
    // No climbing to the root, no MKCOL.
    assert_eq!(*sent.lock().unwrap(), ["PROPFIND", "PUT"]);
}

#[tokio::test]
async fn user_metadata_is_declined_and_the_object_is_stored() {
    let server = Server::start().await;
    let operator = operator(&server, "/team", "/");
    let metadata = [("color".to_owned(), "blue".to_owned())];
    assert!(operator.write_with("a", "body").user_metadata(metadata).await.is_err());
    assert_eq!(operator.read("a").await.unwrap().to_vec(), b"body");
}

#[tokio::test]
async fn an_endpoint_with_a_slash_too_many_is_told_so() {
    let server = Server::start().await;
    for endpoint in ["/", "/team/"] {
        let error = operator(&server, endpoint, "/").read(".sccache_check").await.unwrap_err();
        assert!(
            error.to_string().contains("a slash too many at the end of the client's endpoint"),
            "{error}"
        );
    }
}
