//! Damage to the index on disk, which is sled's, and to the small files beside it: the segments have everything, so
//! nothing at all is lost, nothing counts as damaged, and no start is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "modules shared by test programs, not a library")]

mod common;

#[path = "crash/bodies.rs"]
mod bodies;
#[path = "damage/files.rs"]
mod files;
#[path = "damage/store.rs"]
mod store;

use std::path::{Path, PathBuf};

use common::Options;
use files::{Damage, copy_exactly, files_below};
use store::{End, Store};

/// Restores, lets `damage` loose on the index directory, starts, and checks that nothing is lost.
fn case(store: &mut Store, what: &str, damage: impl FnOnce(&Path)) {
    store.restore();
    let index = store.larder.data_dir().join("index");
    damage(&index);
    store.larder.restart();
    store.assert_only_lost(&[], what);
}

/// The files of the index, relative to its directory.
fn index_files(store: &mut Store) -> Vec<(PathBuf, u64)> {
    store.restore();
    let index = store.larder.data_dir().join("index");
    let files = files_below(&index);
    let relative = |path: &PathBuf| path.strip_prefix(&index).unwrap().to_owned();
    files.iter().map(|path| (relative(path), path.metadata().unwrap().len())).collect()
}

fn damage_every_file(end: End, damages: impl Fn(u64) -> Vec<Damage>) {
    let mut store = Store::build(Options::default(), end);
    for (file, length) in index_files(&mut store) {
        for damage in damages(length) {
            let what = format!("{damage:?} of {} of {length} bytes, end: {end:?}", file.display());
            case(&mut store, &what, |index| damage.apply(&index.join(&file)));
        }
    }
}

/// `parts` offsets spread over `length` bytes, and those at both ends.
fn offsets(length: u64, parts: u64) -> Vec<u64> {
    let mut offsets: Vec<u64> = (0..parts).map(|part| length * part / parts).collect();
    offsets.extend([1, 7, 30, length.saturating_sub(1)]);
    offsets.retain(|offset| *offset < length);
    offsets.sort_unstable();
    offsets.dedup();
    offsets
}

#[test]
fn flips_anywhere_in_the_index_lose_nothing() {
    damage_every_file(End::Clean, |length| offsets(length, 16).into_iter().map(Damage::Flip).collect());
}

#[test]
fn flips_at_the_start_of_the_index_lose_nothing() {
    // Where sled has its first pages, whatever the length of the file.
    damage_every_file(End::Clean, |length| (0..length.min(6000)).step_by(521).map(Damage::Flip).collect());
}

#[test]
fn an_index_cut_anywhere_loses_nothing() {
    damage_every_file(End::Clean, |length| offsets(length, 10).into_iter().map(Damage::Cut).collect());
    damage_every_file(End::Killed, |length| offsets(length, 6).into_iter().map(Damage::Cut).collect());
}

#[test]
fn an_index_of_zeros_or_without_some_file_loses_nothing() {
    // A power cut leaves a file's length and not its bytes, from some point on.
    let damages = |length: u64| {
        let zeros = offsets(length, 8).into_iter().map(Damage::Zeros);
        zeros.chain([Damage::Missing]).collect()
    };
    damage_every_file(End::Clean, damages);
}

#[test]
fn an_index_that_is_no_index_loses_nothing() {
    let mut store = Store::build(Options::default(), End::Clean);
    case(&mut store, "no index", |index| std::fs::remove_dir_all(index).unwrap());
    case(&mut store, "a file in its place", |index| {
        std::fs::remove_dir_all(index).unwrap();
        std::fs::write(index, "not a directory").unwrap();
    });
    case(&mut store, "an unfinished snapshot", |index| {
        std::fs::write(index.join("snap.00000000000000AA.generating"), [7; 300]).unwrap();
    });
    case(&mut store, "a wrong snapshot", |index| {
        std::fs::write(index.join("snap.00000000FFFFFFFF"), [7; 300]).unwrap();
    });
    case(&mut store, "a failed index that was left", |index| {
        copy_exactly(index, &index.with_file_name("index.failed"));
    });
    case(&mut store, "a file in the place of a failed index", |index| {
        std::fs::write(index.with_file_name("index.failed"), "not a directory").unwrap();
        Damage::Zeros(0).apply(&index.join("db"));
    });
}

#[test]
fn an_older_index_loses_nothing() {
    let mut store = Store::build(Options::default(), End::Clean);
    let kept = tempfile::tempdir().unwrap();
    let index = store.larder.data_dir().join("index");
    copy_exactly(&index, &kept.path().join("index"));
    store.larder.restart();
    store.replace_all();
    assert!(store.larder.terminate().success());
    store.keep();
    case(&mut store, "an index from before everything was replaced", |index| {
        copy_exactly(&kept.path().join("index"), index);
    });
}

#[test]
fn the_index_of_another_server_loses_nothing() {
    let mut store = Store::build(Options::default(), End::Clean);
    // The same numbers and lengths everywhere, and other keys; and one that has more.
    for count in [store::SMALL, 3 * store::SMALL] {
        let other = Store::build_named(Options::default(), End::Clean, "other", count);
        let foreign = other.larder.data_dir().join("index");
        case(&mut store, "the index of another server", |index| copy_exactly(&foreign, index));
        store.larder.restart();
        store.assert_only_lost(&[], "the second start with the index of another server");
    }
}

#[test]
fn damaged_format_and_lock_files_are_no_reason_to_refuse() {
    let mut store = Store::build(Options::default(), End::Clean);
    for name in ["format", "lock"] {
        for damage in [Damage::Missing, Damage::Cut(0), Damage::Flip(0), Damage::Flip(3), Damage::Zeros(0)] {
            let what = format!("{damage:?} of {name}");
            case(&mut store, &what, |index| damage.apply(&index.with_file_name(name)));
        }
        case(&mut store, &format!("garbage in {name}"), |index| {
            std::fs::write(index.with_file_name(name), [0xff; 5000]).unwrap();
        });
    }
}
