//! Who may do what, over every cell of principal × namespace × operation, through a real server: what is allowed works,
//! what is not is refused with 401 or 403 and leaves the cache as it was.
//!
//! The rights expected here are written down a second time, by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/cells.rs"]
mod cells;

use cells::{NAMESPACES, Shows, TOKENS, ask, objects, refusal, restore, rights, start};
use larder::config::Anonymous;

/// One operation: its protocol, method and path below a namespace, and the rights it needs there. Rows of further
/// protocols belong here.
const OPERATIONS: &[(&str, &str, &str, &str)] = &[
    ("plain", "GET", "there", "r"),
    ("plain", "GET", "absent", "r"),
    ("plain", "GET", "team/.sccache_check", "r"),
    ("plain", "HEAD", "there", "r"),
    ("plain", "PUT", "new", "w"),
    ("plain", "PUT", "there", "w"),
    ("plain", "DELETE", "there", "d"),
    ("plain", "PATCH", "there", "r"),
    ("webdav", "OPTIONS", "", "r"),
    ("webdav", "PROPFIND", "", "r"),
    ("webdav", "PROPFIND", "there", "r"),
    ("webdav", "PROPFIND", "below/", "r"),
    ("webdav", "MKCOL", "fresh/", "w"),
    ("webdav", "DELETE", "below/", "d"),
    ("webdav", "COPY", "there", "rw"),
    ("webdav", "MOVE", "there", "rwd"),
];

/// Every caller of every kind on one server; how many cells were refused and allowed.
async fn every_cell(anonymous: Option<Anonymous>, callers: &[Shows]) -> (usize, usize) {
    let server = start(anonymous).await;
    let (mut refused, mut allowed) = (0, 0);
    for namespace in NAMESPACES {
        for shows in callers {
            for (protocol, method, key, needed) in OPERATIONS {
                let cell = format!("{protocol}: {shows:?} {method} {namespace}/{key}");
                let path = format!("/{namespace}/{key}");
                let destination = format!("/{namespace}/copy");
                let more = [("Depth", "1"), ("Destination", destination.as_str())];
                let transfer = matches!(*method, "COPY" | "MOVE");
                let more = match *method {
                    "PROPFIND" => &more[..1],
                    _ if transfer => &more[1..],
                    _ => &[],
                };
                let before = objects(&server).await;
                let answer = ask(&server, method, &path, *shows, more).await;
                match refusal(rights(*shows, namespace, anonymous), needed) {
                    Some(status) => {
                        refused += 1;
                        assert_eq!(answer.status, status, "{cell}: {answer:?}");
                        assert_eq!(objects(&server).await, before, "{cell} left a trace");
                        let challenge = answer.header("www-authenticate");
                        assert_eq!(challenge.is_some(), status == 401, "{cell}");
                        assert!(
                            *method == "HEAD" || answer.body.starts_with("error: "),
                            "{cell}: {answer:?}"
                        );
                    }
                    None => {
                        allowed += 1;
                        let expected = match (*method, *key) {
                            (_, "absent" | "team/.sccache_check") => [404, 404],
                            ("PATCH", _) => [405, 405],
                            ("PROPFIND", _) => [207, 207],
                            ("GET" | "HEAD" | "OPTIONS", _) => [200, 200],
                            _ => [201, 204],
                        };
                        assert!(expected.contains(&answer.status), "{cell}: {answer:?}");
                        if !matches!(*needed, "r") {
                            restore(&server, namespace).await;
                        }
                    }
                }
            }
        }
    }
    (refused, allowed)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_where_only_tokens_get_in() {
    let bearers = TOKENS.iter().map(|(name, _, _)| Shows::Bearer(name));
    let basics = TOKENS.iter().map(|(name, _, _)| Shows::Basic(name));
    let callers: Vec<_> = bearers.chain(basics).chain([Shows::Nothing]).collect();
    let (refused, allowed) = every_cell(None, &callers).await;
    assert_eq!(refused + allowed, callers.len() * NAMESPACES.len() * OPERATIONS.len());
    assert!(refused > 300 && allowed > 300, "{refused} {allowed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_where_anyone_may_read() {
    let callers = [Shows::Nothing, Shows::Bearer("team"), Shows::Basic("blind")];
    every_cell(Some(Anonymous::Read), &callers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_where_anyone_may_do_all() {
    // A token's holder has the token's rights, fewer as they may be.
    let callers = [Shows::Nothing, Shows::Bearer("reader"), Shows::Basic("admin")];
    every_cell(Some(Anonymous::ReadWrite), &callers).await;
}

#[tokio::test]
async fn a_wrong_token_is_never_anonymous() {
    for anonymous in [None, Some(Anonymous::Read), Some(Anonymous::ReadWrite)] {
        let server = start(anonymous).await;
        for (path, method) in [("/team-a/there", "GET"), ("/new", "PUT")] {
            let answer = ask(&server, method, path, Shows::WrongSecret, &[]).await;
            assert_eq!(answer.status, 401, "{anonymous:?} {method}");
            assert!(
                answer.body.starts_with("error: unauthorized: this cache does not know the token"),
                "{answer:?}"
            );
        }
        assert!(!server.has("new").await);
    }
}

#[tokio::test]
async fn a_transfer_needs_its_rights_on_both_sides() {
    let server = start(None).await;
    for (token, _, _) in TOKENS {
        for source in NAMESPACES {
            for destination in NAMESPACES.iter().filter(|destination| **destination != source) {
                for (method, at_source) in [("COPY", "r"), ("MOVE", "rd")] {
                    let (shows, to) = (Shows::Bearer(token), format!("/{destination}/moved-here"));
                    let more = [("Destination", to.as_str())];
                    let path = format!("/{source}/there");
                    let answer = ask(&server, method, &path, shows, &more).await;
                    let cell = format!("{token} {method} {source} -> {destination}: {answer:?}");
                    let first = refusal(rights(shows, source, None), at_source);
                    match first.or(refusal(rights(shows, destination, None), "w")) {
                        Some(status) => assert_eq!(answer.status, status, "{cell}"),
                        None => assert_eq!(answer.status / 100, 2, "{cell}"),
                    }
                    restore(&server, source).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn the_listing_of_the_server_shows_what_its_caller_may_read() {
    let server = start(None).await;
    for (token, shown) in [
        ("reader", &["/default/", "/team-a/", "/team-b/", "/pr-1/", "/there", "/below/"][..]),
        ("team", &["/team-a/"]),
        ("deleter", &["/pr-1/"]),
    ] {
        let listing = ask(&server, "PROPFIND", "/", Shows::Bearer(token), &[("Depth", "1")]).await;
        assert_eq!(listing.status, 207, "{token}");
        let mut found: Vec<_> = listing.body.split("href>").skip(1).step_by(2).collect();
        found.iter_mut().for_each(|href| *href = href.split('<').next().unwrap());
        found.retain(|href| *href != "/");
        found.sort_unstable();
        let mut expected = shown.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{token}");
        // What sccache asks before its first store works for everyone who may read anything.
        let check = ask(&server, "PROPFIND", "/", Shows::Bearer(token), &[("Depth", "0")]).await;
        assert_eq!(check.status, 207, "{token}");
    }
    assert_eq!(ask(&server, "PROPFIND", "/", Shows::Bearer("blind"), &[("Depth", "1")]).await.status, 403);
    assert_eq!(ask(&server, "PROPFIND", "/", Shows::Nothing, &[("Depth", "1")]).await.status, 401);
}

#[tokio::test]
async fn a_bad_path_is_answered_only_to_those_who_may_be_here() {
    let server = start(None).await;
    for (shows, status) in [(Shows::Nothing, 401), (Shows::Bearer("team"), 400), (Shows::WrongSecret, 401)] {
        assert_eq!(ask(&server, "GET", "//.sccache_check", shows, &[]).await.status, status, "{shows:?}");
    }
}

#[tokio::test]
async fn the_servers_own_pages_ask_for_no_token() {
    let server = start(None).await;
    for page in ["/-/healthy", "/-/ready", "/metrics"] {
        assert_eq!(ask(&server, "GET", page, Shows::Nothing, &[]).await.status, 200, "{page}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let server = start(None).await;
    for (shows, method, path, says) in [
        (Shows::Nothing, "GET", "/x", "SCCACHE_WEBDAV_TOKEN"),
        (Shows::WrongSecret, "GET", "/x", "larder token new"),
        (Shows::Bearer("reader"), "PUT", "/x", "the token reader has not the right to write"),
        (Shows::Bearer("team"), "GET", "/x", "no rights in the namespace default, only in team-a"),
    ] {
        let answer = ask(&server, method, path, shows, &[]).await;
        assert!(answer.body.contains(says) && answer.body.lines().count() == 1, "{shows:?}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}
