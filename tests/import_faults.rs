//! `larder import` where answers fail: what passes is waited out, what does not is told, and nothing is lost or sent twice.
//!
//! A real server stands behind a gate that spoils some answers on their way; knows both from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "support/gate.rs"]
mod gate;
#[path = "support/importing.rs"]
mod importing;

use std::collections::HashMap;
use std::sync::Mutex;

use common::{Larder, Options, http};
use gate::{Fault, gate};
use importing::{Source, import, key, puts};

#[test]
fn passing_failures_are_waited_out() {
    let larder = Larder::start(Options::default());
    let source = Source::new(12);
    let faults = [Fault::Answer(503), Fault::Reset, Fault::Answer(500), Fault::Answer(507)];
    let seen = Mutex::new(HashMap::<String, usize>::new());
    // Each object's first PUT fails, of some the second, too; and each third object's first HEAD.
    let gate = gate(larder.address(), move |method, path| {
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(format!("{method} {path}")).or_default();
        *times += 1;
        match (method, *times) {
            ("PUT", 1) => faults[path.len() % 4],
            ("PUT", 2) => faults[usize::from(path.as_bytes()[1]) % 4],
            ("HEAD", 1) if path.as_bytes()[1] % 3 == 0 => Fault::Answer(503),
            _ => Fault::None,
        }
    });
    let (code, said, why) = import(&[&source.url(), "--to", &format!("http://{gate}")], &[]);
    assert_eq!(code, Some(0), "{said}{why}");
    assert!(said.starts_with("copied 12 objects"), "{said}");
    assert_complete(&larder, &source, 0..12);
    assert_eq!(puts(&larder), 12.0);
}

#[test]
fn a_lost_answer_stores_nothing_twice() {
    let larder = Larder::start(Options::default());
    let source = Source::new(10);
    let gate =
        gate(larder.address(), |method, _| if method == "PUT" { Fault::LoseAnswer } else { Fault::None });
    let (code, said, why) = import(&[&source.url(), "--to", &format!("http://{gate}")], &[]);
    assert_eq!(code, Some(0), "{said}{why}");
    assert!(said.contains("skipped 10 "), "what was stored is found by the next HEAD: {said}");
    assert_complete(&larder, &source, 0..10);
    assert_eq!(puts(&larder), 10.0);
}

#[test]
fn what_fails_to_the_end_is_told_and_the_others_are_copied() {
    let larder = Larder::start(Options::default());
    let source = Source::new(10);
    let bad = format!("/default/{}", key(3));
    let gate = gate(larder.address(), move |method, path| match method {
        "PUT" if path == bad => Fault::Answer(500),
        _ => Fault::None,
    });
    let (code, said, why) = import(&[&source.url(), "--to", &format!("http://{gate}")], &[]);
    assert_eq!(code, Some(1), "{said}{why}");
    assert!(said.starts_with("copied 9 objects") && said.contains("1 failed"), "{said}");
    assert!(why.contains(&format!("not copied: {}", key(3))), "{why}");
    let (code, said, _) = import(&[&source.url(), "--to", &larder.url("")], &[]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("copied 1 object ") && said.contains("skipped 9 "), "{said}");
    assert_complete(&larder, &source, 0..10);
}

#[test]
fn it_ends_where_every_object_would_fail() {
    let larder = Larder::start(Options::default());
    let source = Source::new(300);
    for (fault, says) in [
        (Fault::Answer(507), "has no room"),
        (Fault::Answer(403), "does not allow it"),
        (Fault::Reset, "does not answer any more"),
    ] {
        let gate = gate(larder.address(), move |method, _| if method == "PUT" { fault } else { Fault::None });
        let (code, said, why) = import(&[&source.url(), "--to", &format!("http://{gate}")], &[]);
        assert_eq!(code, Some(1), "{said}{why}");
        let told = why.lines().last().unwrap_or_default();
        assert!(told.starts_with("larder: cannot import: ") && told.contains(says), "{says}: {why}");
        assert!(!said.contains("300 failed"), "it tried them all: {said}");
    }
    assert_eq!(puts(&larder), 0.0);
}

fn assert_complete(larder: &Larder, source: &Source, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let found = http::get(larder.address(), &format!("/{}", key(number)));
        assert_eq!((found.status, found.body), (200, source.body(number)), "{number}");
    }
}
