//! Listings through S3 against a model: every key once and in order, rolled up at the delimiter, whatever the size of
//! a page, and with tokens that stay good while the cache changes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/running.rs"]
mod running;

use std::collections::BTreeSet;

use proptest::prelude::*;
use running::{Client, Running};

#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    keys: Vec<String>,
    prefixes: Vec<String>,
    next: Option<String>,
}

/// The texts between the tags of one name.
fn texts(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().to_owned()).collect()
}

async fn page(client: &mut Client, query: &str, token: Option<&str>) -> Page {
    let token = token.map(|token| format!("&continuation-token={token}")).unwrap_or_default();
    let answer = client.ask("GET", &format!("/default?list-type=2{query}{token}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let common: String = texts(&answer.body, "CommonPrefixes").concat();
    let page = Page {
        keys: texts(&answer.body, "Key"),
        prefixes: texts(&common, "Prefix"),
        next: texts(&answer.body, "NextContinuationToken").pop(),
    };
    let count = texts(&answer.body, "KeyCount").pop().unwrap();
    assert_eq!(count, (page.keys.len() + page.prefixes.len()).to_string());
    let truncated = texts(&answer.body, "IsTruncated").pop().unwrap();
    assert_eq!(truncated, page.next.is_some().to_string());
    page
}

/// All pages, one after the other: the keys, and the prefixes.
async fn pages(client: &mut Client, query: &str) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut prefixes, mut token) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let mut page = page(client, query, token.as_deref()).await;
        keys.append(&mut page.keys);
        prefixes.append(&mut page.prefixes);
        match page.next {
            Some(next) => token = Some(next),
            None => return (keys, prefixes),
        }
    }
}

fn expected(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<char>) -> (Vec<String>, Vec<String>) {
    let (mut plain, mut rolled) = (Vec::new(), BTreeSet::new());
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        match delimiter.and_then(|delimiter| key[prefix.len()..].find(delimiter)) {
            Some(at) => drop(rolled.insert(key[..=prefix.len() + at].to_owned())),
            None => plain.push(key.clone()),
        }
    }
    (plain, rolled.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_key_is_listed_once_whatever_the_page(
        keys in proptest::collection::btree_set("[ab]{1,2}(/[ab]{1,2}){0,2}(-[ab])?", 1..40),
        prefix in "([ab](/[ab]?)?)?",
        delimiter in proptest::option::of(prop_oneof![Just('/'), Just('-'), Just('b')]),
        size in 1_usize..9,
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let server = Running::start(|_| ()).await;
            let mut client = server.client().await;
            for key in &keys {
                assert_eq!(client.put(&format!("/{key}"), b"x").await.status, 201);
            }
            let by = delimiter.map(|delimiter| format!("&delimiter={delimiter}").replace('/', "%2F"));
            let query = format!("&max-keys={size}&prefix={prefix}{}", by.unwrap_or_default());
            let found = pages(&mut client, &query).await;
            assert_eq!(found, expected(&keys, &prefix, delimiter));
        });
    }
}

#[tokio::test]
async fn a_token_stays_good_while_the_cache_changes() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    for key in ["a/1", "a/2", "b", "c/1", "d", "e"] {
        assert_eq!(client.put(&format!("/{key}"), b"x").await.status, 201);
    }
    let query = "&max-keys=2&delimiter=%2F";
    let first = page(&mut client, query, None).await;
    assert_eq!((&first.keys[..], &first.prefixes[..]), (&["b".to_owned()][..], &["a/".to_owned()][..]));
    // What the token names is gone, and something new stands on either side of it.
    for key in ["b", "a/1"] {
        assert_eq!(client.ask("DELETE", &format!("/{key}")).await.status, 204);
    }
    for key in ["a/3", "bb"] {
        assert_eq!(client.put(&format!("/{key}"), b"x").await.status, 201);
    }
    let second = page(&mut client, query, first.next.as_deref()).await;
    assert_eq!((&second.keys[..], &second.prefixes[..]), (&["bb".to_owned()][..], &["c/".to_owned()][..]));
    let third = page(&mut client, query, second.next.as_deref()).await;
    assert_eq!((&third.keys[..], third.next), (&["d".to_owned(), "e".to_owned()][..], None));
}

#[tokio::test]
async fn more_keys_than_are_read_at_once_roll_up_into_one() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    for number in 0..2500 {
        assert_eq!(client.put(&format!("/many/{number:04}"), b"x").await.status, 201);
    }
    assert_eq!(client.put("/zebra", b"x").await.status, 201);
    let found = pages(&mut client, "&delimiter=%2F").await;
    assert_eq!(found, (vec!["zebra".to_owned()], vec!["many/".to_owned()]));
    assert_eq!(pages(&mut client, "").await.0.len(), 2501);
    let page = page(&mut client, "&start-after=many%2F2498", None).await;
    assert_eq!(page.keys, ["many/2499", "zebra"]);
}

#[tokio::test]
async fn keys_behind_every_usual_character_roll_up_too() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    for number in 0..1100 {
        assert_eq!(client.put(&format!("/a/%F4%8F%BF%BFx{number:04}"), b"x").await.status, 201);
    }
    assert_eq!(client.put("/b", b"x").await.status, 201);
    let found = pages(&mut client, "&delimiter=%2F&max-keys=1").await;
    assert_eq!(found, (vec!["b".to_owned()], vec!["a/".to_owned()]));
}

#[tokio::test]
async fn the_older_listing_pages_by_marker() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    for key in ["a/1", "b&c", "d"] {
        assert_eq!(client.put(&format!("/{key}"), b"x").await.status, 201);
    }
    let ask = async |client: &mut Client, query: &str| {
        client
            .ask(
                "GET",
                &format!(
                    "/default?location-less&max-keys=1&delimiter=%2F&x-id=ListObjects&X-Amz-Algorithm{query}"
                ),
            )
            .await
    };
    // A parameter of a signature without the rest of it is no listing but a malformed URL.
    assert_eq!(ask(&mut client, "").await.status, 400);
    let head = "GET /default?max-keys=1&delimiter=%2F HTTP/1.1\r\nhost: test\r\nx-amz-meta-x: y\r\n\r\n";
    client.send(head).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, texts(&answer.body, "NextMarker")), (200, vec!["a/".to_owned()]));
    client.send(&head.replace("max-keys=1", "max-keys=5&marker=a%2F&encoding-type=url")).await;
    let answer = client.answer().await;
    assert_eq!(texts(&answer.body, "Key"), ["b%26c", "d"], "{}", answer.body);
}

#[tokio::test]
async fn what_cannot_be_a_page_is_refused() {
    let server = Running::start(|_| ()).await;
    let mut client = server.client().await;
    for query in ["&max-keys=-1", "&max-keys=x", "&continuation-token=%21", "&encoding-type=rot13"] {
        let answer = client.ask("GET", &format!("/default?list-type=2{query}")).await;
        assert_eq!(answer.status, 400, "{query} {}", answer.body);
    }
    let none = client.ask("GET", "/default?list-type=2&max-keys=0").await;
    assert!(none.status == 200 && texts(&none.body, "Key").is_empty());
    let other = client.ask("GET", "/other?list-type=2").await;
    assert!(other.status == 404 && other.body.contains("NoSuchBucket"), "{}", other.body);
}
