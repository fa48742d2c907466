//! Who may do what, over every cell of principal × namespace × operation, through a real server: what is allowed works,
//! what is not is refused with 401 or 403 and leaves the cache as it was.
//!
//! The rights expected here are written down a second time, by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/running.rs"]
mod running;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder::config::{
    Anonymous, Config, NamespaceConfig, NamespacePattern, Right, Rights, Secret, SecretSource, TokenConfig,
    TokenName,
};
use larder::key::{Namespace, ObjectName};
use running::{Answer, Running};

const NAMESPACES: [&str; 4] = ["default", "team-a", "team-b", "pr-1"];

/// A token: its name, where its rights hold, and which they are, by their first letters.
const TOKENS: &[(&str, &[&str], &str)] = &[
    ("everywhere", &["*"], "rwd"),
    ("reader", &["*"], "r"),
    ("team", &["team-a"], "rw"),
    ("cleaner", &["team-a", "pr-*"], "rwd"),
    ("blind", &["team-a"], "w"),
    ("deleter", &["pr-*"], "rd"),
    ("admin", &["*"], "a"),
];

/// How a caller shows who it is.
#[derive(Clone, Copy, Debug)]
enum Shows {
    Nothing,
    Bearer(&'static str),
    Basic(&'static str),
    WrongSecret,
}

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

fn secret(token: &str) -> String {
    format!("the-secret-of-{token}-0123456789")
}

/// What `shows` may do in a namespace; `None`: it is nobody. `anonymous` is the server's word.
fn rights(shows: Shows, namespace: &str, anonymous: Option<Anonymous>) -> Option<&'static str> {
    match shows {
        Shows::WrongSecret => None,
        Shows::Nothing => match anonymous {
            None => None,
            Some(Anonymous::Read) => Some("r"),
            Some(Anonymous::ReadWrite) => Some("rwd"),
        },
        Shows::Bearer(token) | Shows::Basic(token) => {
            let (_, places, rights) = TOKENS.iter().find(|(name, _, _)| *name == token).unwrap();
            let holds = places.iter().any(|place| match place.strip_suffix('*') {
                Some(beginning) => namespace.starts_with(beginning),
                None => namespace == *place,
            });
            Some(if holds { rights } else { "" })
        }
    }
}

fn configure(config: &mut Config, anonymous: Option<Anonymous>) {
    config.anonymous = anonymous;
    for name in NAMESPACES {
        config.namespaces.insert(Namespace::new(name).unwrap(), NamespaceConfig::default());
    }
    for (name, places, rights) in TOKENS {
        let secret = Secret::new(&secret(name)).unwrap();
        let mut token = TokenConfig::new(SecretSource::Env("UNUSED".to_owned()), Some(secret));
        token.namespaces = places.iter().map(|place| NamespacePattern::parse(place).unwrap()).collect();
        let letter = |right: &Right| right.to_string().chars().next().unwrap();
        let rights: Vec<_> = Right::ALL.into_iter().filter(|right| rights.contains(letter(right))).collect();
        token.allow = Rights::of(&rights);
        config.tokens.insert(TokenName::new(name).unwrap(), token);
    }
}

/// A server on which each namespace has the objects `there` and `below/it`.
async fn start(anonymous: Option<Anonymous>) -> Running {
    let server = Running::start(|config| configure(config, anonymous)).await;
    for namespace in NAMESPACES {
        restore(&server, namespace).await;
    }
    server
}

async fn restore(server: &Running, namespace: &str) {
    for key in ["there", "below/it"] {
        let path = format!("/{namespace}/{key}");
        assert_eq!(ask(server, "PUT", &path, Shows::Bearer("everywhere"), &[]).await.status / 100, 2);
    }
}

async fn ask(server: &Running, method: &str, path: &str, shows: Shows, more: &[(&str, &str)]) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    match shows {
        Shows::Nothing => {}
        Shows::Bearer(token) => head += &format!("Authorization: Bearer {}\r\n", secret(token)),
        Shows::Basic(token) => {
            let pair = STANDARD.encode(format!("anyone:{}", secret(token)));
            head += &format!("Authorization: Basic {pair}\r\n");
        }
        Shows::WrongSecret => head += "Authorization: Bearer the-secret-of-nobody-0123456789\r\n",
    }
    for (name, value) in more {
        head += &format!("{name}: {value}\r\n");
    }
    let body = if method == "PUT" { "body" } else { "" };
    let mut client = server.client().await;
    client.send(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    // A HEAD's answer has the length of a body that does not come.
    if method == "HEAD" { client.head().await } else { client.answer().await }
}

/// The status that must come when the caller has `rights` and needs `needed`; `None`: any but a refusal.
fn refusal(rights: Option<&str>, needed: &str) -> Option<u16> {
    match rights {
        None => Some(401),
        Some(rights) if needed.chars().all(|right| rights.contains(right)) => None,
        Some(_) => Some(403),
    }
}

async fn objects(server: &Running) -> Vec<String> {
    let mut all = Vec::new();
    for namespace in NAMESPACES {
        let namespace = Namespace::new(namespace).unwrap();
        for listed in server.cache.list(&namespace, "", None, 1000).await.unwrap() {
            let name = ObjectName { namespace: namespace.clone(), key: listed.key };
            let sequence = server.cache.head(&name).await.unwrap().unwrap().sequence;
            all.push(format!("{name} {sequence}"));
        }
    }
    all
}

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
