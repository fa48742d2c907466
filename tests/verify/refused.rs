//! When nothing is looked at, and why.

use crate::scene::Scene;
use crate::verifying::{everything, verify};

#[test]
fn a_running_server_is_left_alone() {
    let mut scene = Scene::new();
    scene.larder.restart();
    for more in [&[][..], &["--dry-run"]] {
        let refused = scene.verify(more);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
        let (pid, why) = (scene.larder.pid(), &refused.stderr);
        assert!(why.contains(&format!("(process {pid}). Stop it first")), "{why}");
    }
    scene.assert_only_lost(&[]);
}

#[test]
fn a_wrong_configuration_and_wrong_places_are_told() {
    let scene = Scene::new();
    let before = everything(&scene.bucket());
    let data_dir = scene.larder.data_dir();
    let data_dir = data_dir.to_str().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let nowhere = empty.path().join("nowhere");
    let (no_bucket, empty_dir) = (format!("file://{}", nowhere.display()), empty.path().to_str().unwrap());
    for (arguments, code, says) in [
        (&["--data-dir", data_dir, "--capacity", "much"][..], 2, "capacity"),
        (&["--data-dir", data_dir, "--deeply"], 2, "--deeply"),
        (&["--data-dir", empty_dir], 1, "no data of larder's"),
        (&["--data-dir", data_dir, "--bucket-url", &no_bucket], 1, "nowhere"),
        (&["--data-dir", data_dir, "--bucket-url", &no_bucket, "--dry-run"], 1, "nowhere"),
    ] {
        let refused = verify(arguments);
        assert_eq!(refused.code, Some(code), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(says), "{arguments:?}: no {says:?} in {}", refused.stderr);
    }
    assert!(
        !nowhere.exists() && everything(empty.path()).is_empty() && everything(&scene.bucket()) == before
    );
}

#[test]
fn without_a_bucket_the_disk_alone_is_checked_and_told_in_a_table() {
    let scene = Scene::new();
    let data_dir = scene.larder.data_dir();
    let verified = verify(&["--data-dir", data_dir.to_str().unwrap()]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    let line = |name: &str| verified.stdout.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    let read = line("disk: records read").unwrap();
    assert!(read.split_whitespace().any(|word| word == "12"), "{read}");
    assert!(line("disk: damaged").is_some() && line("bucket").is_none(), "{}", verified.stdout);
}
