//! A server that has stored something and ended, its disk, and a directory that serves as its bucket.

use std::path::PathBuf;
use std::sync::Arc;

use larder::blobs::segment::parse_file_name;
use larder::blobs::{Location, Segment, replay};

use crate::common::http::{self, get};
use crate::common::{Larder, Options, wait_for};
use crate::files::flip;
use crate::verifying::{Verified, everything, verify};

/// Objects that are stored: the last one is a file of its own.
pub const OBJECTS: usize = 12;

pub struct Scene {
    pub larder: Larder,
    bucket: tempfile::TempDir,
}

/// A part of the header, or the body's middle.
#[derive(Clone, Copy)]
pub enum Part {
    Header,
    Body,
}

impl Scene {
    /// One whose objects are on disk and in the bucket.
    pub fn new() -> Self {
        let bucket = tempfile::tempdir().unwrap();
        std::fs::create_dir(bucket.path().join("bucket")).unwrap();
        let url = format!("file://{}", bucket.path().join("bucket").display());
        let mut scene = Self { larder: Larder::start(Options::default().flag("--bucket-url", &url)), bucket };
        for number in 0..OBJECTS {
            scene.put(number);
        }
        wait_for("everything to be in the bucket", || {
            (scene.larder.metric("larder_bucket_queue_objects") == 0.0).then_some(())
        });
        scene.end();
        scene
    }

    /// One whose server had no bucket.
    pub fn without_bucket() -> Self {
        let bucket = tempfile::tempdir().unwrap();
        std::fs::create_dir(bucket.path().join("bucket")).unwrap();
        let mut scene = Self { larder: Larder::start(Options::default()), bucket };
        for number in 0..OBJECTS {
            scene.put(number);
        }
        scene.end();
        scene
    }

    pub fn put(&self, number: usize) {
        let answer = http::put(self.larder.address(), &format!("/{}", key(number)), &body(number));
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    }

    pub fn end(&mut self) {
        assert!(self.larder.terminate().success(), "{}", self.larder.log());
    }

    pub fn bucket(&self) -> PathBuf {
        self.bucket.path().join("bucket")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.bucket().display())
    }

    /// Where an object lies in the bucket.
    pub fn in_bucket(&self, number: usize) -> PathBuf {
        self.bucket().join("default").join(key(number))
    }

    /// Turns a bit of what the bucket has.
    pub fn flip_in_bucket(&self, number: usize) {
        let path = self.in_bucket(number);
        flip(&std::fs::File::options().read(true).write(true).open(path).unwrap(), 7);
    }

    /// Turns a bit of what the disk has.
    pub fn flip_on_disk(&self, number: usize, part: Part) {
        let (file, location) = self.place(number);
        let offset = match part {
            Part::Header => location.offset() + 24,
            Part::Body => location.body_offset() + 3,
        };
        flip(&std::fs::File::options().read(true).write(true).open(file).unwrap(), offset);
    }

    fn place(&self, number: usize) -> (PathBuf, Location) {
        let dir = self.larder.data_dir().join("segments");
        for entry in std::fs::read_dir(&dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some((id, kind)) = parse_file_name(&name) else { continue };
            let segment = Segment::open(&dir, id, kind, Arc::default()).unwrap();
            for (header, block) in replay::replay(&segment, 0).unwrap().records {
                if header.name.key.as_str() == key(number) {
                    return (dir.join(&name), header.location(id, block));
                }
            }
        }
        panic!("object {number} is nowhere");
    }

    /// Runs `larder verify --json`.
    pub fn verify(&self, more: &[&str]) -> Verified {
        let (data_dir, url) = (self.larder.data_dir(), self.url());
        let base = ["--json", "--data-dir", data_dir.to_str().unwrap(), "--bucket-url", &url];
        verify(&[&base[..], more].concat())
    }

    /// As with `--dry-run`; fails where that changes anything.
    #[track_caller]
    pub fn look(&self, more: &[&str]) -> Verified {
        let all = || (everything(&self.larder.data_dir()), everything(&self.bucket()));
        let before = all();
        let verified = self.verify(&[&["--dry-run"], more].concat());
        assert!(all() == before, "a dry run has changed something: {}", verified.stderr);
        assert_eq!(verified.report()["dry_run"], true);
        verified
    }

    /// Runs it again; fails unless all is well.
    #[track_caller]
    pub fn assert_clean(&self, more: &[&str]) {
        for verified in [self.look(more), self.verify(more)] {
            assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
            assert_eq!(verified.report()["good"], true);
            assert_eq!(verified.counts("disk").get("damaged"), None);
            let bucket = verified.counts("bucket");
            let usual = ["objects", "bytes", "foreign", "read", "unproven"];
            assert!(bucket.keys().all(|name| usual.contains(&name.as_str())), "{bucket:?}");
        }
    }

    /// Starts the server again; fails unless it has everything but the `lost`.
    #[track_caller]
    pub fn assert_only_lost(&mut self, lost: &[usize]) {
        self.larder.restart();
        for number in 0..OBJECTS {
            let answer = get(self.larder.address(), &format!("/{}", key(number)));
            let expected = if lost.contains(&number) { 404 } else { 200 };
            assert_eq!(answer.status, expected, "object {number}: {}", self.larder.log());
            assert!(expected == 404 || answer.body == body(number), "object {number} has other bytes");
        }
        self.end();
    }
}

pub fn key(number: usize) -> String {
    format!("d/object-{number}")
}

/// Some below a block, some above what is read at once.
pub fn body(number: usize) -> Vec<u8> {
    let length = if number == OBJECTS - 1 { 3 << 20 } else { 50 + number % 4 * 60_000 };
    format!("{number:03}.").bytes().cycle().take(length).collect()
}
