//! Damage, and what becomes of it.

use std::fs::{File, remove_file, write};

use crate::scene::{OBJECTS, Part, Scene, body, key};

const ALL: u64 = OBJECTS as u64;

#[test]
fn where_all_is_well_nothing_is_found_and_nothing_changes() {
    let mut scene = Scene::new();
    let before = crate::verifying::everything(&scene.bucket());
    scene.assert_clean(&[]);
    scene.assert_clean(&["--deep"]);
    assert!(crate::verifying::everything(&scene.bucket()) == before);
    let verified = scene.verify(&["--deep"]);
    verified.assert_counts("disk", &[("checked", ALL)]);
    verified.assert_counts("index", &[("entries", ALL)]);
    verified.assert_counts("bucket", &[("objects", ALL), ("read", ALL)]);
    scene.assert_only_lost(&[]);
}

#[test]
fn damage_of_every_kind_is_found_and_repaired() {
    let mut scene = Scene::new();
    scene.flip_on_disk(0, Part::Body);
    scene.flip_on_disk(1, Part::Header);
    remove_file(scene.in_bucket(2)).unwrap();
    File::options().write(true).open(scene.in_bucket(3)).unwrap().set_len(1000).unwrap();
    scene.flip_in_bucket(4);
    scene.flip_in_bucket(5);
    scene.flip_on_disk(5, Part::Body);
    scene.flip_on_disk(OBJECTS - 1, Part::Body);
    std::fs::create_dir(scene.bucket().join("somebody")).unwrap();
    write(scene.bucket().join("somebody/else"), b"not ours").unwrap();
    write(scene.bucket().join("default/from-another-server"), b"unknown").unwrap();
    // No client can name it, and it must not hide the others.
    write(scene.bucket().join("default/od\u{1}d"), b"odd").unwrap();

    let looked = scene.look(&["--deep"]);
    assert_eq!(looked.code, Some(1), "{}", looked.stderr);
    assert_eq!(looked.counts("disk")["damaged"], 4);
    let found = looked.counts("bucket");
    assert_eq!((found["damaged"], found["missing"], found["vanished"]), (3, 1, 1), "{found:?}");

    let verified = scene.verify(&["--deep"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    verified.assert_counts("disk", &[("checked", ALL), ("damaged", 4), ("in_bucket", 3)]);
    verified.assert_counts(
        "bucket",
        &[
            ("objects", ALL),
            ("foreign", 1),
            ("unknown", 1),
            ("unproven", 1),
            ("vanished", 1),
            ("missing", 1),
            ("read", ALL),
            ("damaged", 3),
            ("uploaded", 3),
            ("removed", 1),
        ],
    );
    for told in [
        "damaged on disk (body): default/d/object-0,",
        "damaged on disk (header)",
        "damaged in the bucket: default/d/object-5",
        "an object in the bucket is left out",
        "od\\u{1}d",
    ] {
        assert!(verified.stderr.contains(told), "no {told:?} in {}", verified.stderr);
    }
    for number in (0..OBJECTS).filter(|number| *number != 5) {
        assert!(std::fs::read(scene.in_bucket(number)).unwrap() == body(number), "object {number}");
    }
    assert!(!scene.in_bucket(5).exists());
    assert_eq!(std::fs::read(scene.bucket().join("somebody/else")).unwrap(), b"not ours");
    scene.assert_clean(&["--deep"]);
    scene.assert_only_lost(&[5]);
}

#[test]
fn lengths_are_compared_without_reading_bodies() {
    let mut scene = Scene::new();
    File::options().write(true).open(scene.in_bucket(3)).unwrap().set_len(1000).unwrap();
    // Nobody can tell without reading.
    scene.flip_in_bucket(4);
    let looked = scene.look(&[]);
    assert_eq!(looked.code, Some(1));
    looked.assert_counts("bucket", &[("objects", ALL), ("different", 1)]);
    let verified = scene.verify(&[]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    verified.assert_counts("bucket", &[("objects", ALL), ("different", 1), ("uploaded", 1)]);
    assert!(std::fs::read(scene.in_bucket(3)).unwrap() == body(3));
    scene.assert_clean(&[]);
    let deep = scene.verify(&["--deep"]);
    deep.assert_counts("bucket", &[("objects", ALL), ("read", ALL), ("damaged", 1), ("uploaded", 1)]);
    scene.assert_clean(&["--deep"]);
    scene.assert_only_lost(&[]);
}

#[test]
fn what_the_server_stored_without_a_bucket_comes_to_it() {
    let mut scene = Scene::without_bucket();
    // What others wrote there, and nobody has a checksum of, is proven by the disk.
    for (number, bytes) in [(7, body(7)), (8, b"something else".to_vec())] {
        std::fs::create_dir_all(scene.in_bucket(number).parent().unwrap()).unwrap();
        write(scene.in_bucket(number), bytes).unwrap();
    }
    let looked = scene.look(&["--deep"]);
    assert_eq!(looked.code, Some(1));
    assert_eq!(looked.counts("bucket")["missing"], ALL - 2);
    let verified = scene.verify(&["--deep"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    for number in 0..OBJECTS {
        let found = std::fs::read(scene.in_bucket(number));
        assert!(number == 8 || found.unwrap() == body(number), "{}", key(number));
    }
    scene.assert_clean(&[]);
    scene.assert_only_lost(&[]);
}

#[test]
fn a_damaged_index_and_a_lost_catalogue_are_made_anew() {
    let mut scene = Scene::new();
    let data_dir = scene.larder.data_dir();
    let index = std::fs::read_dir(data_dir.join("index")).unwrap().map(|entry| entry.unwrap().path());
    for file in index.filter(|path| path.is_file()) {
        let length = file.metadata().unwrap().len();
        write(&file, vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
    }
    std::fs::remove_dir_all(data_dir.join("bucket")).unwrap();
    let looked = scene.look(&["--deep"]);
    assert_eq!(looked.code, Some(0), "a dry run leaves the index alone: {}", looked.stderr);
    looked.assert_counts("bucket", &[("objects", ALL), ("unknown", ALL), ("read", ALL)]);
    let verified = scene.verify(&["--deep"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    assert_eq!(verified.report()["index"]["rebuilt"], true);
    scene.assert_clean(&[]);
    assert_eq!(scene.verify(&[]).report()["index"]["rebuilt"], false);
    scene.assert_only_lost(&[]);
}
