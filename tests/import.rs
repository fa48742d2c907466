//! `larder import` from a directory with objects as a bucket has them, into a real server: everything arrives once,
//! whatever interrupts it, and each refusal says what to do.
//!
//! Knows both programs from outside only. That real sccache finds what was imported is `clients_import`'s to show.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "support/importing.rs"]
mod importing;

use std::process::Stdio;

use common::project::count;
use common::{Larder, Options, http, tools, wait_for};
use importing::{Source, import, key, puts};

fn objects(larder: &Larder) -> f64 {
    larder.metric("larder_stored_objects")
}

#[test]
fn everything_is_copied_once_and_only_once() {
    let larder = Larder::start(Options::default().config("[namespaces.ci]\n"));
    let source = Source::new(40);
    source.add(".sccache_check", b"Hello, World!");
    source.add(".larder/lease", b"{}");
    source.add("a b/ü%41/#1?x=y&z", b"a key that has to be escaped");
    let to = larder.url("/ci");
    let (code, said, _) = import(&[&source.url(), "--to", &to, "--dry-run"], &[]);
    assert_eq!((code, puts(&larder)), (Some(0), 0.0), "{said}");
    assert!(said.starts_with("would copy 41 objects"), "{said}");

    let (code, said, stderr) = import(&[&source.url(), "--to", &to], &[]);
    assert_eq!((code, puts(&larder)), (Some(0), 41.0), "{said}{stderr}");
    assert!(said.starts_with("copied 41 objects") && said.contains("skipped 0"), "{said}");
    assert!(stderr.contains("left out 2 objects"), "{stderr}");
    for number in 0..40 {
        let found = http::get(larder.address(), &format!("/ci/{}", key(number)));
        assert_eq!((found.status, found.body), (200, source.body(number)), "{number}");
    }
    let escaped = http::get(larder.address(), "/ci/a%20b/%C3%BC%2541/%231%3Fx=y&z");
    assert_eq!(escaped.text(), "a key that has to be escaped");
    assert_eq!(http::get(larder.address(), &format!("/{}", key(0))).status, 404, "in another namespace");

    let (code, said, _) = import(&[&source.url(), "--to", &to], &[]);
    assert_eq!((code, puts(&larder)), (Some(0), 41.0), "a second run sends nothing: {said}");
    assert!(said.starts_with("copied 0 objects (0 B), skipped 41"), "{said}");
}

#[test]
fn a_prefix_stands_in_front_of_every_key() {
    let larder = Larder::start(Options::default());
    let source = Source::new(2);
    let (code, ..) = import(&[&source.url(), "--to", &larder.url(""), "--prefix", "/team/a/"], &[]);
    assert_eq!(code, Some(0));
    let found = http::get(larder.address(), &format!("/team/a/{}", key(1)));
    assert_eq!((found.status, found.body), (200, source.body(1)));
}

#[test]
fn what_the_server_has_is_left_as_it_is() {
    let larder = Larder::start(Options::default().config("[namespaces.default]\noverwrite = \"never\"\n"));
    let source = Source::new(3);
    assert_eq!(http::put(larder.address(), &format!("/{}", key(1)), b"newer").status, 201);
    let (code, said, _) = import(&[&source.url(), "--to", &larder.url("")], &[]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("copied 2 objects") && said.contains("skipped 1 "), "{said}");
    assert_eq!(http::get(larder.address(), &format!("/{}", key(1))).text(), "newer");
}

#[test]
fn killed_in_the_middle_it_ends_complete_and_sends_nothing_twice() {
    let larder = Larder::start(Options::default());
    let source = Source::new(1500);
    let mut stored = 0.0;
    for signal in [rustix::process::Signal::KILL, rustix::process::Signal::INT] {
        let mut command = importing::command();
        command.args(["import", &source.url(), "--to", &larder.url(""), "--jobs", "1"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("a part of it to be copied", || (objects(&larder) >= stored + 100.0).then_some(()));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        let output = child.wait_with_output().unwrap();
        if signal == rustix::process::Signal::INT {
            let (said, why) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(1), "{said}{why}");
            assert!(said.contains("copied ") && why.contains("interrupted; start it again"), "{said}{why}");
        } else {
            assert_eq!(output.status.code(), None, "it ended before it was killed");
        }
        // What it had sent whole is stored, though nobody waits for the answer, which is not counted then. The request that
        // asks for the metrics is one itself.
        wait_for("the server to be done with what was sent", || {
            let metrics = larder.metrics();
            (metrics["larder_connections"] <= 1.0 && metrics["larder_requests_in_flight"] <= 1.0)
                .then_some(())
        });
        stored = objects(&larder);
        assert!(stored < count(1500), "it was complete before the signal came: the test proves nothing");
    }
    let before = puts(&larder);
    let (code, said, stderr) = import(&[&source.url(), "--to", &larder.url("")], &[]);
    assert_eq!(code, Some(0), "{said}{stderr}");
    for number in 0..1500 {
        let found = http::get(larder.address(), &format!("/{}", key(number)));
        assert_eq!((found.status, found.body), (200, source.body(number)), "{number}");
    }
    assert_eq!(puts(&larder) - before, count(1500) - stored, "an object was stored twice");
    assert!(before <= stored, "an object was stored twice: {before} answers for {stored} objects");
}

#[test]
fn of_more_than_fits_the_most_recent_stays() {
    let larder = Larder::start(Options::default().flag("--capacity", "16MiB").flag("--min-free-disk", "0"));
    let source = Source::new(0);
    let body = vec![7; 256 << 10];
    for number in 0..120 {
        source.add_aged(&key(number), &body, 1000 - number);
    }
    let (code, _, stderr) = import(&[&source.url(), "--to", &larder.url(""), "--jobs", "2"], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("the source has 30.00 MiB, the server keeps 16.00 MiB"), "{stderr}");
    let has = |number| {
        http::request(larder.address(), "HEAD", &format!("/{}", key(number)), &[], &[]).status == 200
    };
    assert!((100..120).all(has), "the newest were evicted");
    assert!(!has(0) && !has(10), "the oldest stayed");
}

#[test]
fn a_token_is_needed_where_the_server_asks_for_one_and_is_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (secret, reader) = ("a-secret-that-writes", "a-secret-that-reads");
    for (name, text) in [("writer", secret), ("reader", reader)] {
        std::fs::write(directory.path().join(name), format!("{text}\n")).unwrap();
    }
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let config = format!(
        "[tokens.writer]\nsecret_file = \"{}\"\n[tokens.reader]\nsecret_file = \"{}\"\nallow = [\"read\"]\n",
        path("writer"),
        path("reader")
    );
    for name in ["writer", "reader"] {
        importing::only_for_me(&path(name));
    }
    let larder = Larder::start(Options::default().config(&config));
    let source = Source::new(3);
    let (from, to) = (source.url(), larder.url(""));
    let base = [from.as_str(), "--to", &to];
    let with = |more: &[&str], vars: &[(&str, &str)]| {
        let (code, said, why) = import(&[&base[..], more].concat(), vars);
        assert!(!format!("{said}{why}").contains("a-secret"), "{said}{why}");
        (code, why)
    };
    for (more, vars, says) in [
        (&[][..], &[][..], "asks for a token"),
        (&[], &[("LARDER_TOKEN", "another-secret-altogether")], "refuses the token"),
        (&["--token-file", &path("reader")], &[], "does not allow it: forbidden"),
    ] {
        let (code, why) = with(more, vars);
        assert_eq!(code, Some(1), "{why}");
        assert!(why.contains(says), "no {says:?} in {why}");
    }
    assert_eq!(with(&["--token-file", &path("writer")], &[]).0, Some(0));
    assert_eq!(with(&[], &[("LARDER_TOKEN", secret)]).0, Some(0));
    assert_eq!(puts(&larder), 3.0);
}

#[test]
fn one_object_that_is_too_large_fails_alone() {
    let larder = Larder::start(Options::default().flag("--max-object-size", "1MiB"));
    let source = Source::new(5);
    source.add("too/large", &vec![1; 3 << 20]);
    let (code, said, why) = import(&[&source.url(), "--to", &larder.url("")], &[]);
    assert_eq!(code, Some(1), "{why}");
    assert!(said.starts_with("copied 5 objects") && said.contains("1 failed"), "{said}");
    assert!(
        why.contains("not copied: too/large: too_large") && why.contains("raise max_object_size"),
        "{why}"
    );
    assert!(why.contains("1 object failed, see above"), "{why}");
}

#[test]
fn one_odd_name_is_left_out_and_told() {
    let larder = Larder::start(Options::default());
    let source = Source::new(5);
    source.add("bad\u{1}key", b"x");
    let (code, said, why) = import(&[&source.url(), "--to", &larder.url("")], &[]);
    assert_eq!(code, Some(0), "{why}");
    assert!(said.starts_with("copied 5 objects"), "{said}");
    assert!(why.contains("left out: ") && why.contains("bad\\u{1}key"), "{why}");
    assert_eq!(puts(&larder), 5.0);
}

#[test]
fn what_is_not_there_is_told_with_what_to_do() {
    let larder = Larder::start(Options::default());
    let source = Source::new(1);
    let empty = tempfile::tempdir().unwrap();
    let (from, here) = (source.url(), larder.url(""));
    let (nowhere, strange) = (larder.url("/team"), format!("http://{}", importing::not_a_larder()));
    let (gone, bare) = (format!("{from}/gone"), empty.path().to_str().unwrap());
    for (arguments, says) in [
        (&[gone.as_str(), "--to", &here][..], "No such file or directory"),
        (&[bare, "--to", &here], "sccache --show-stats tells where"),
        (&[&from["file://".len()..], "--to", &here], "write file:/// in front"),
        (&[&from, "--to", &nowhere], "no namespace team: add [namespaces.team]"),
        (
            &[&from, "--to", "http://127.0.0.1:9"],
            "no larder answers at http://127.0.0.1:9: Connection refused",
        ),
        (&[&from, "--to", &strange], "is no larder"),
    ] {
        let (code, _, why) = import(arguments, &[]);
        assert_eq!(code, Some(1), "{arguments:?}: {why}");
        assert!(why.contains(says), "{arguments:?}: no {says:?} in {why}");
        assert_eq!(why.lines().filter(|line| line.contains("cannot import")).count(), 1, "{why}");
    }
    let (code, _, why) = import(&["ftp://bucket"], &[]);
    assert_eq!(code, Some(2));
    assert!(why.contains("s3://BUCKET"), "{why}");
    assert!(tools::contents(empty.path(), &|_| true).is_empty() && puts(&larder) == 0.0);
}
