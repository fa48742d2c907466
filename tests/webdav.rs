//! WebDAV over real sockets: the answers that the RFC and clients' parsers ask for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure in a test's helper fails the test")]

mod protocol_support;

use protocol_support::{Answer, Server};

const ALLPROP: &str =
    r#"<?xml version="1.0" encoding="utf-8" ?><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>"#;

async fn propfind(server: &Server, path: &str, depth: &str, body: &str) -> Answer {
    let head = format!(
        "PROPFIND {path} HTTP/1.1\nDepth: {depth}\nConnection: close\nContent-Length: {}",
        body.len()
    );
    server.raw(&head, body.as_bytes()).await
}

fn hrefs(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 207, "{}", answer.body);
    answer.body.split("<D:href>").skip(1).filter_map(|part| part.split("</D:href>").next()).collect()
}

#[tokio::test]
async fn options_says_what_is_there() {
    let server = Server::start().await;
    for (path, put) in [("/a", true), ("/a/", false), ("/", false), ("*", false)] {
        let answer = server.bare("OPTIONS", path).await;
        assert_eq!((answer.status, answer.header("dav")), (200, Some("1")), "{path}");
        assert_eq!(answer.header("ms-author-via"), Some("DAV"));
        let allow = answer.header("allow").unwrap();
        assert!(allow.contains("PROPFIND"));
        assert_eq!(allow.contains("PUT"), put, "{path}: {allow}");
    }
}

#[tokio::test]
async fn any_path_with_a_slash_at_its_end_is_a_collection() {
    let server = Server::start().await;
    for path in ["/", "/team/", "/team", "/team/a/b/", "/x/", "/default/y%20z/"] {
        let answer = propfind(&server, path, "0", ALLPROP).await;
        let own = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
        assert_eq!(hrefs(&answer), [own], "{path}");
        assert!(answer.body.contains("<D:collection/>") && answer.body.contains("getlastmodified"));
        assert_eq!(answer.header("content-type"), Some("application/xml; charset=utf-8"));
    }
}

#[tokio::test]
async fn a_path_without_a_slash_is_an_object_a_collection_or_missing() {
    let server = Server::start().await;
    server.put("/team/a", "123").await;
    server.put("/team/c/d", "1").await;
    let object = propfind(&server, "/team/a", "0", "").await;
    assert_eq!(hrefs(&object), ["/team/a"]);
    assert!(object.body.contains("<D:getcontentlength>3</D:getcontentlength>"));
    assert_eq!(hrefs(&propfind(&server, "/team/c", "0", "").await), ["/team/c/"]);
    assert_eq!(propfind(&server, "/team/none", "0", "").await.status, 404);
    server.put("/team/a/below", "1").await;
    assert_eq!(hrefs(&propfind(&server, "/team/a", "1", "").await), ["/team/a"], "the object comes first");
}

#[tokio::test]
async fn members_are_listed_with_escaped_paths() {
    let server = Server::start().await;
    for path in ["/team/p/a%20b", "/team/p/%C3%BC&", "/team/p/sub/x", "/team/p/sub/y", "/team/q", "/other"] {
        assert_eq!(server.put(path, "x").await.status, 201, "{path}");
    }
    let answer = propfind(&server, "/team/p/", "1", "").await;
    assert_eq!(hrefs(&answer), ["/team/p/", "/team/p/a%20b", "/team/p/sub/", "/team/p/%C3%BC%26"]);
    assert!(answer.body.contains("<D:displayname>ü&amp;</D:displayname>"), "{}", answer.body);
    assert_eq!(hrefs(&propfind(&server, "/team", "1", "").await), ["/team/", "/team/p/", "/team/q"]);
    assert_eq!(hrefs(&propfind(&server, "/none/", "1", "").await), ["/none/"]);
}

#[tokio::test]
async fn the_root_lists_namespaces_and_what_is_in_default() {
    let server = Server::start().await;
    server.put("/top", "x").await;
    server.put("/sub/x", "x").await;
    server.put("/default/team/hidden", "x").await;
    let answer = propfind(&server, "/", "1", "").await;
    assert_eq!(hrefs(&answer), ["/", "/default/", "/small/", "/team/", "/sub/", "/top"]);
}

#[tokio::test]
async fn a_listing_of_many_pages_is_complete() {
    let server = Server::start().await;
    larder::tls::use_ring();
    let client = reqwest::Client::new();
    for i in 0..700 {
        let url = server.url(&format!("/team/many/{i:04}"));
        assert_eq!(client.put(url).body("x").send().await.unwrap().status(), 201);
    }
    let answer = propfind(&server, "/team/many/", "1", "").await;
    assert_eq!(answer.body.matches("<D:status>HTTP/1.1 200 OK").count(), 701);
    assert!(answer.body.contains("<D:href>/team/many/0699</D:href>"));
    assert!(answer.body.contains("</D:multistatus>"));
}

#[tokio::test]
async fn whole_trees_are_refused_in_the_words_of_the_rfc() {
    let server = Server::start().await;
    let infinity = propfind(&server, "/team/", "infinity", ALLPROP).await;
    let absent = server.bare("PROPFIND", "/team/").await;
    for answer in [infinity, absent] {
        assert_eq!(answer.status, 403);
        assert!(answer.body.contains(r#"<D:error xmlns:D="DAV:"><D:propfind-finite-depth/></D:error>"#));
    }
    assert_eq!(propfind(&server, "/team/", "2", "").await.status, 400);
}

#[tokio::test]
async fn named_properties_are_answered_one_by_one() {
    let server = Server::start().await;
    server.put("/a", "123").await;
    let body = r#"<propfind xmlns="DAV:"><prop><getcontentlength/><color xmlns="urn:x"/></prop></propfind>"#;
    let answer = propfind(&server, "/a", "0", body).await;
    assert!(answer.body.contains("<D:getcontentlength>3</D:getcontentlength>"), "{}", answer.body);
    assert!(answer.body.contains(r#"<color xmlns="urn:x"/></D:prop><D:status>HTTP/1.1 404 Not Found"#));
    assert!(!answer.body.contains("getetag"));
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let server = Server::start().await;
    let bomb = r#"<!DOCTYPE x [<!ENTITY a "aa">]><propfind xmlns="DAV:"><prop><x>&a;</x></prop></propfind>"#;
    for body in ["nonsense", "<propfind", bomb] {
        let answer = propfind(&server, "/team/", "0", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.starts_with("error: bad_xml: "), "{}", answer.body);
    }
    let large = " ".repeat(65 << 10);
    assert_eq!(propfind(&server, "/team/", "0", &large).await.status, 413);
}

#[tokio::test]
async fn mkcol_creates_nothing_and_says_so_rightly() {
    let server = Server::start().await;
    server.put("/team/a/b", "x").await;
    assert_eq!(server.bare("MKCOL", "/team/new/").await.status, 201);
    assert_eq!(server.bare("MKCOL", "/team/new").await.status, 201);
    for path in ["/", "/team", "/team/a", "/team/a/", "/team/a/b"] {
        let answer = server.bare("MKCOL", path).await;
        assert_eq!(answer.status, 405, "{path}");
        assert!(answer.header("allow").is_some());
    }
    assert_eq!(server.raw("MKCOL /team/n2/ HTTP/1.1\nContent-Length: 1", b"x").await.status, 415);
}

#[tokio::test]
async fn objects_are_copied_and_moved() {
    let server = Server::start().await;
    server.put("/team/a", "body").await;
    let transfer = |method: &str, from: &str, to: &str, more: &str| {
        let head = format!("{method} {from} HTTP/1.1\nDestination: {to}{more}");
        let server = &server;
        async move { server.raw(&head, b"").await.status }
    };
    assert_eq!(transfer("COPY", "/team/a", &server.url("/team/b%20c"), "").await, 201);
    assert_eq!(server.bare("GET", "/team/b%20c").await.body, "body");
    assert_eq!(transfer("COPY", "/team/a", "/team/b%20c", "\nOverwrite: T").await, 204);
    assert_eq!(transfer("COPY", "/team/a", "/team/b%20c", "\nOverwrite: F").await, 412);
    assert_eq!(transfer("MOVE", "/team/a", "/moved", "\nOverwrite: F").await, 201);
    assert_eq!(server.bare("GET", "/moved").await.body, "body");
    assert_eq!(server.bare("GET", "/team/a").await.status, 404);

    assert_eq!(transfer("MOVE", "/team/a", "/x", "").await, 404);
    assert_eq!(transfer("COPY", "/moved", "/default/moved", "").await, 403);
    assert_eq!(transfer("COPY", "/moved", "http://elsewhere/x", "").await, 502);
    assert_eq!(transfer("COPY", "/moved", "/a/../x", "").await, 400);
    assert_eq!(transfer("COPY", "/moved", "/x/", "").await, 501);
    assert_eq!(transfer("MOVE", "/team/", "/x/", "").await, 501);
    assert_eq!(transfer("COPY", "/moved", "/x", "\nOverwrite: maybe").await, 400);
    assert_eq!(server.bare("COPY", "/moved").await.status, 400);
    assert_eq!(server.bare("GET", "/x").await.status, 404);
}

#[tokio::test]
async fn a_copy_keeps_to_the_limit_of_its_destination() {
    let server = Server::start().await;
    let body = "x".repeat((1 << 20) + 1);
    assert_eq!(server.put("/team/a", &body).await.status, 201);
    assert_eq!(server.raw("COPY /team/a HTTP/1.1\nDestination: /small/a", b"").await.status, 413);
}

#[tokio::test]
async fn deleting_a_collection_takes_all_below_and_nothing_beside() {
    let server = Server::start().await;
    for path in ["/team/p/a", "/team/p/q/b", "/team/p0", "/team/p", "/p/a"] {
        server.put(path, "x").await;
    }
    assert_eq!(server.raw("DELETE /team/p/ HTTP/1.1\nDepth: 0", b"").await.status, 400);
    assert_eq!(server.bare("DELETE", "/team/p/").await.status, 204);
    assert_eq!(server.bare("DELETE", "/team/p/").await.status, 404);
    for (path, status) in
        [("/team/p/a", 404), ("/team/p/q/b", 404), ("/team/p0", 200), ("/team/p", 200), ("/p/a", 200)]
    {
        assert_eq!(server.bare("GET", path).await.status, status, "{path}");
    }
    for path in ["/", "/team", "/team/"] {
        assert_eq!(server.bare("DELETE", path).await.status, 403, "{path}");
    }
    assert_eq!(server.bare("GET", "/team/p0").await.status, 200);
}
