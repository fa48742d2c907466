//! What a newer larder wrote is refused or left alone, never taken for damage and removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use twox_hash::XxHash3_64;

use super::dump::{manifest, newest, unpack};
use super::{assert_whole, common, name, open, read};

/// Bytes of a record's header before its names, and of what its checksum covers of them: format 1.
const FIXED: usize = 80;
const COVERED: usize = 72;

/// The shared segments, lowest number first.
fn segments(data: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(data.join("segments")).unwrap();
    let mut found: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    found.sort();
    found
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Makes a segment's file header one of version 2, whole by its checksum.
fn make_segment_newer(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    assert_eq!(number(&bytes[8..12]), 1);
    bytes[8] = 2;
    let sum = XxHash3_64::oneshot(&bytes[..24]);
    bytes[24..32].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}

/// Makes the first record of a file one of version 2, whole by its checksum.
fn make_record_newer(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let record = &mut bytes[offset..];
    assert_eq!((&record[..4], record[4]), (&b"LREC"[..], 1));
    record[4] = 2;
    let salt = number(&record[16..24]);
    let names = usize::try_from(number(&record[6..8]) + number(&record[8..10])).unwrap();
    let covered = [&record[..COVERED], &record[FIXED..FIXED + names]].concat();
    let sum = XxHash3_64::oneshot_with_seed(salt, &covered);
    record[COVERED..FIXED].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}

/// Opens the data, uses it, closes it; the files at `paths` have the same bytes afterwards.
async fn assert_left_alone(data: &Path, paths: &[PathBuf]) {
    let before: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let (cache, _) = open(data);
    for expected in &manifest(&newest()).objects {
        read(&cache, &expected.key).await;
        cache.delete(&name(&expected.key), larder::object::Precondition::None).await.unwrap();
    }
    cache.close().await.unwrap();
    for (path, before) in paths.iter().zip(before) {
        let now = std::fs::read(path).unwrap_or_else(|error| panic!("{} is gone: {error}", path.display()));
        assert!(now == before, "{} was changed", path.display());
    }
}

#[tokio::test]
async fn segments_of_a_newer_larder_are_left_alone_and_come_back_with_it() {
    let data = unpack(&newest());
    let paths = segments(data.path());
    let originals: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    paths.iter().for_each(|path| make_segment_newer(path));
    assert_left_alone(data.path(), &paths).await;

    // The newer larder is back: for it the bytes are known, and nothing keeps it from finding them.
    for (path, bytes) in paths.iter().zip(originals) {
        std::fs::write(path, bytes).unwrap();
    }
    let (cache, _) = open(data.path());
    for expected in manifest(&newest()).objects.iter().filter(|object| object.length < 8 << 20) {
        assert!(read(&cache, &expected.key).await.is_some(), "{} is gone", expected.key);
    }
}

#[tokio::test]
async fn files_with_newer_records_are_left_alone_without_an_index() {
    let data = unpack(&newest());
    std::fs::remove_dir_all(data.path().join("index")).unwrap();
    let files = std::fs::read_dir(data.path().join("segments")).unwrap();
    let solo =
        files.map(|file| file.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "obj"));
    let solo = solo.expect("the dump has a large object");
    make_record_newer(&solo, 0);
    // The last segment has no footer, so it is read record by record.
    let unsealed = segments(data.path()).pop().unwrap();
    make_record_newer(&unsealed, 4096);
    let length = std::fs::metadata(&unsealed).unwrap().len();
    let record = std::fs::read(&unsealed).unwrap()[4096..4096 + FIXED].to_vec();

    assert_left_alone(data.path(), &[solo]).await;
    // Its known records were deleted, which is their right; the newer one is there.
    let bytes = std::fs::read(&unsealed).unwrap();
    assert_eq!((bytes.len() as u64, &bytes[4096..4096 + FIXED]), (length, &record[..]));
}

#[tokio::test]
async fn a_newer_footer_costs_a_scan() {
    let data = unpack(&newest());
    std::fs::remove_dir_all(data.path().join("index")).unwrap();
    for path in segments(data.path()) {
        let mut bytes = std::fs::read(&path).unwrap();
        let trailer = bytes.len() - 56;
        if bytes[trailer..].starts_with(b"LARDRFOO") {
            bytes[trailer + 8] = 2;
            let sum = XxHash3_64::oneshot(&bytes[trailer..trailer + 48]);
            bytes[trailer + 48..].copy_from_slice(&sum.to_le_bytes());
            std::fs::write(&path, bytes).unwrap();
        }
    }
    assert_whole(&newest(), data.path()).await;
}

#[tokio::test]
async fn a_newer_index_is_built_again() {
    let data = unpack(&newest());
    {
        let index = sled::open(data.path().join("index")).unwrap();
        let entries = index.open_tree("entries").unwrap();
        let (key, value) = entries.first().unwrap().expect("the index has entries");
        let mut value = value.to_vec();
        value[0] = 2;
        entries.insert(key, value).unwrap();
        index.flush().unwrap();
    }
    let metrics = assert_whole(&newest(), data.path()).await;
    assert_eq!(metrics.index_rebuilds.get(), 1);
}

#[test]
fn a_newer_directory_is_refused_and_nothing_in_it_is_touched() {
    let data = unpack(&newest());
    let text = format!("larder data directory, format {}", larder::cache::DIRECTORY_FORMAT + 1);
    let sum = XxHash3_64::oneshot(text.as_bytes());
    std::fs::write(data.path().join("format"), format!("{text}, checksum {sum:016x}\n")).unwrap();
    let before = contents(data.path());

    let mut serve = Command::new(env!("CARGO_BIN_EXE_larder"));
    common::tools::isolate(&mut serve);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path());
    let output = serve.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1), "{:?}: {told}", output.status);
    assert!(told.contains("use a newer larder or another data_dir"), "{told}");
    assert!(contents(data.path()) == before, "the directory was touched");
}

fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    common::tools::contents(directory, &|_| true)
}
