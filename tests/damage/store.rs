//! A server with a known set of objects, a copy of its data directory to go back to, and the check that each damage
//! is followed by.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use larder::blobs::segment::{Kind, parse_file_name};
use larder::blobs::{Location, Segment, replay};

use super::bodies::{LARGE, body_of_length};
use super::common::http::{Connection, get, put, request};
use super::common::{Larder, Options, wait_for};
use super::files::{Damage, copy_exactly};

/// Number of small objects.
pub const SMALL: usize = 24;
/// Lengths of bodies: an empty one, ones that end before, at and behind a block, longer ones.
const LENGTHS: [usize; 6] = [0, 100, 3990, 4096, 20_000, 290_000];

/// The server, and what it was given.
pub struct Store {
    pub larder: Larder,
    pub keys: Vec<String>,
    kept: tempfile::TempDir,
}

/// How the server before the damage ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Told to: segments are sealed, the index knows all.
    Clean,
    /// `kill -9` right after the last write: the segments have no footers.
    Killed,
}

/// Where a small object lies, or the large one.
pub struct Place {
    pub file: PathBuf,
    pub key: String,
    pub location: Location,
}

/// The body of `key`, which ends in a number.
pub fn body_of(key: &str) -> Vec<u8> {
    let number: usize = key.rsplit('-').next().unwrap().parse().unwrap();
    let length = if number == 0 { LARGE } else { LENGTHS[number % LENGTHS.len()] };
    body_of_length(key, 1, length)
}

impl Store {
    /// Starts a server, stores objects, ends it and keeps a copy of its data.
    pub fn build(options: Options, end: End) -> Self {
        Self::build_named(options, end, "object", SMALL)
    }

    /// As [`Store::build`], without the large one.
    pub fn build_small(options: Options, end: End) -> Self {
        Self::build_of(options, end, (1..=SMALL).map(|number| format!("d/object-{number}")).collect())
    }

    /// As [`Store::build`], with `count` small objects of other names.
    pub fn build_named(options: Options, end: End, name: &str, count: usize) -> Self {
        // The first one is large.
        Self::build_of(options, end, (0..=count).map(|number| format!("d/{name}-{number}")).collect())
    }

    fn build_of(options: Options, end: End, keys: Vec<String>) -> Self {
        let mut larder = Larder::start(options);
        // What is replaced and deleted is there to come back by mistake.
        for key in keys.iter().step_by(5) {
            assert_eq!(put(larder.address(), &format!("/{key}"), b"an older version").status, 201);
        }
        for number in 0..4 {
            let path = format!("/d/deleted-{number}");
            assert_eq!(put(larder.address(), &path, &body_of_length(&path, 0, 9000)).status, 201);
            assert_eq!(request(larder.address(), "DELETE", &path, &[], &[]).status, 204);
        }
        for key in &keys {
            assert!(matches!(put(larder.address(), &format!("/{key}"), &body_of(key)).status, 201 | 204));
        }
        match end {
            End::Clean => assert!(larder.terminate().success()),
            End::Killed => larder.kill9(),
        }
        let store = Self { larder, keys, kept: tempfile::tempdir().unwrap() };
        store.keep();
        store
    }

    /// Keeps a copy of the data as they are now.
    pub fn keep(&self) {
        copy_exactly(&self.larder.data_dir(), &self.kept.path().join("data"));
    }

    /// Stores every object once more.
    pub fn replace_all(&self) {
        for key in self.keys.iter().rev() {
            assert_eq!(put(self.larder.address(), &format!("/{key}"), &body_of(key)).status, 204);
        }
    }

    /// Ends the server and puts its data back to what was kept.
    pub fn restore(&mut self) {
        self.larder.kill9();
        copy_exactly(&self.kept.path().join("data"), &self.larder.data_dir());
    }

    /// Restores, damages, starts, and checks that only `lost` is lost; once with the index, once without.
    pub fn case(&mut self, place: &Place, damage: Damage, lost: &[&str]) {
        for index_is_there in [true, false] {
            self.restore();
            damage.apply(&place.file);
            if !index_is_there {
                std::fs::remove_dir_all(self.larder.data_dir().join("index")).unwrap();
            }
            self.larder.restart();
            self.assert_only_lost(
                lost,
                &format!("{damage:?} of {}, index there: {index_is_there}", place.key),
            );
        }
    }

    /// Where the objects lie in the files, as of the copy.
    pub fn places(&self) -> Vec<Place> {
        let dir = self.kept.path().join("data/segments");
        let mut places = Vec::new();
        for entry in std::fs::read_dir(&dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some((id, kind)) = parse_file_name(&name) else { continue };
            let segment = Segment::open(&dir, id, kind, Arc::default()).unwrap();
            for (header, block) in replay::replay(&segment, 0).unwrap().records {
                places.push(Place {
                    file: self.larder.data_dir().join("segments").join(&name),
                    key: header.name.key.as_str().to_owned(),
                    location: header.location(id, block),
                });
            }
            assert!(kind == Kind::Shared || !places.is_empty());
        }
        places.retain(|place| self.is_current(place));
        assert_eq!(places.len(), self.keys.len(), "every object has one place");
        places
    }

    fn is_current(&self, place: &Place) -> bool {
        self.keys.contains(&place.key) && place.location.body_len == body_of(&place.key).len() as u64
    }

    /// Fails unless everything is served as it was stored, but for the `lost`, which are misses and counted as damage,
    /// and unless the listing is of exactly what is there.
    pub fn assert_only_lost(&self, lost: &[&str], what: &str) {
        self.assert_only_missing(lost, what);
        let damaged = self.larder.metric("larder_damaged_records_total");
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let expected = lost.len() as f64;
        assert_eq!(damaged, expected, "{what}: counted as damaged; log:\n{}", self.larder.log());
    }

    /// As [`Store::assert_only_lost`], whatever was counted.
    pub fn assert_only_missing(&self, lost: &[&str], what: &str) {
        let log = || self.larder.log();
        let mut connection = Connection::open(self.larder.address()).unwrap();
        let mut missing = Vec::new();
        for key in &self.keys {
            let mut found = connection.request("GET", &format!("/{key}"), &[], &[]).unwrap();
            if found.status == 404 && !lost.contains(&&key[..]) {
                // A damaged index may cost some time.
                found = wait_for(&format!("{key} after {what}; log:\n{}", log()), || {
                    let again = get(self.larder.address(), &format!("/{key}"));
                    (again.status != 404).then_some(again)
                });
            }
            match found.status {
                200 => assert!(found.body == body_of(key), "{what}: wrong bytes for {key}"),
                404 => missing.push(&key[..]),
                other => panic!("{what}: {other} for {key}; log:\n{}", log()),
            }
        }
        assert_eq!(missing, lost, "{what}: misses; log:\n{}", log());
        for number in 0..4 {
            let deleted = get(self.larder.address(), &format!("/d/deleted-{number}"));
            assert_eq!(deleted.status, 404, "{what}: a deleted object is back");
        }
        let expected: BTreeSet<String> =
            self.keys.iter().filter(|key| !lost.contains(&&key[..])).map(|key| format!("/{key}")).collect();
        wait_for(&format!("the listing to be of {expected:?} after {what}"), || {
            (self.listed() == expected).then_some(())
        });
    }

    /// The paths that `PROPFIND` lists below `/d/`.
    fn listed(&self) -> BTreeSet<String> {
        let answer = request(self.larder.address(), "PROPFIND", "/d/", &[("Depth", "1")], &[]);
        assert_eq!(answer.status, 207, "{}", answer.text());
        let text = answer.text();
        let hrefs = text.split("href>").filter(|part| part.starts_with('/'));
        hrefs.map(|part| part.split('<').next().unwrap().to_owned()).filter(|path| path != "/d/").collect()
    }
}
