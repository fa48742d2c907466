//! The cells of `access.rs` that speak S3: every caller, signed and not, in every namespace, for every kind of call.
//!
//! S3's clients know no 401: whoever is nobody gets 403 with the code that says why.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/cells.rs"]
mod cells;

use cells::{NAMESPACES, Shows, TOKENS, ask, objects, refusal, restore, rights, start};
use larder::config::Anonymous;

/// One call: its method, what stands behind the bucket, and the rights that it needs there.
const CALLS: &[(&str, &str, &str)] = &[
    ("GET", "/there", "r"),
    ("GET", "/absent", "r"),
    ("HEAD", "/there", "r"),
    ("GET", "?list-type=2", "r"),
    ("GET", "?location", "r"),
    ("GET", "?uploads", "r"),
    ("HEAD", "/", "r"),
    ("PUT", "/new", "w"),
    ("PUT", "/copy", "rw"),
    ("POST", "/new?uploads", "w"),
    ("DELETE", "/there", "d"),
    ("POST", "/?delete", "d"),
];

async fn every_cell(anonymous: Option<Anonymous>, callers: &[Shows]) -> (usize, usize) {
    let server = start(anonymous).await;
    let (mut refused, mut allowed) = (0, 0);
    for namespace in NAMESPACES {
        for shows in callers {
            for (method, rest, needed) in CALLS {
                let cell = format!("{shows:?} {method} {namespace}{rest}");
                let source = format!("/{namespace}/there");
                let copies = *rest == "/copy";
                // Without a signature something else has to say that it is S3.
                let more =
                    if copies { ("x-amz-copy-source", source.as_str()) } else { ("x-amz-meta-x", "y") };
                let before = objects(&server).await;
                let answer = ask(&server, method, &format!("/{namespace}{rest}"), *shows, &[more]).await;
                if refusal(rights(*shows, namespace, anonymous), needed).is_some() {
                    refused += 1;
                    assert_eq!(answer.status, 403, "{cell}: {answer:?}");
                    assert_eq!(objects(&server).await, before, "{cell} left a trace");
                    let says = "<Code>AccessDenied</Code>";
                    assert!(*method == "HEAD" || answer.body.contains(says), "{cell}: {answer:?}");
                } else {
                    allowed += 1;
                    let expected = if *rest == "/absent" { [404, 404] } else { [200, 204] };
                    assert!(expected.contains(&answer.status), "{cell}: {answer:?}");
                    restore(&server, namespace).await;
                }
            }
        }
    }
    (refused, allowed)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_where_only_tokens_get_in() {
    let signed = TOKENS.iter().map(|(name, _, _)| Shows::Signed(name));
    let callers: Vec<_> = signed.chain([Shows::Bearer("team"), Shows::Nothing]).collect();
    let (refused, allowed) = every_cell(None, &callers).await;
    assert_eq!(refused + allowed, callers.len() * NAMESPACES.len() * CALLS.len());
    assert!(refused > 200 && allowed > 100, "{refused} {allowed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_where_anyone_may_do_all_or_read() {
    for anonymous in [Anonymous::Read, Anonymous::ReadWrite] {
        every_cell(Some(anonymous), &[Shows::Nothing, Shows::Signed("blind")]).await;
    }
}

#[tokio::test]
async fn a_wrong_signature_is_never_anonymous() {
    for anonymous in [None, Some(Anonymous::ReadWrite)] {
        let server = start(anonymous).await;
        for (shows, code) in [
            (Shows::WronglySigned("everywhere"), "SignatureDoesNotMatch"),
            (Shows::WronglySigned("nobody"), "InvalidAccessKeyId"),
        ] {
            for (method, path) in
                [("GET", "/team-a/there"), ("PUT", "/team-a/new"), ("GET", "/team-a?list-type=2")]
            {
                let before = objects(&server).await;
                let answer = ask(&server, method, path, shows, &[]).await;
                assert_eq!(answer.status, 403, "{shows:?} {method} {path}: {answer:?}");
                assert!(answer.body.contains(&format!("<Code>{code}</Code>")), "{shows:?}: {answer:?}");
                assert_eq!(objects(&server).await, before);
            }
        }
        let refused = |reason| server.metrics.auth_refusals.with_label_values(&[reason]).get();
        assert_eq!((refused("signature"), refused("unknown")), (3, 3));
    }
}

#[tokio::test]
async fn a_copy_needs_to_read_its_source() {
    let server = start(None).await;
    for (token, _, _) in TOKENS {
        for source in NAMESPACES {
            for destination in NAMESPACES {
                let from = format!("/{source}/there");
                let shows = Shows::Signed(token);
                let more = [("x-amz-copy-source", from.as_str())];
                let answer = ask(&server, "PUT", &format!("/{destination}/copied"), shows, &more).await;
                let reads = refusal(rights(shows, source, None), "r");
                let writes = refusal(rights(shows, destination, None), "w");
                let expected = if reads.or(writes).is_some() { 403 } else { 200 };
                assert_eq!(answer.status, expected, "{token} {source} -> {destination}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_list_of_buckets_shows_what_its_caller_may_read() {
    let server = start(None).await;
    for (token, shown) in [
        ("reader", &["default", "pr-1", "team-a", "team-b"][..]),
        ("team", &["team-a"]),
        ("deleter", &["pr-1"]),
    ] {
        let answer = ask(&server, "GET", "/", Shows::Signed(token), &[]).await;
        assert_eq!(answer.status, 200, "{token}: {answer:?}");
        let names: Vec<_> = answer
            .body
            .split("<Bucket>")
            .skip(1)
            .filter_map(|bucket| bucket.split_once("<Name>")?.1.split_once("</Name>"))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, shown, "{token}");
    }
    assert_eq!(ask(&server, "GET", "/", Shows::Signed("blind"), &[]).await.status, 403);
}
