//! A larder with a real object store behind its disk, a proxy between the two, and a look into the bucket from outside.
//!
//! Each has a part of the bucket to itself, so that tests share one store. Knows larder's configuration and its metrics from
//! outside only.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::azurite::{self, Azurite};
use crate::common::http::{self, Response};
use crate::common::{Larder, Options, wait_for};
use crate::garage::{self, Garage};
use crate::outside::Outside;
use crate::wire::Wire;

/// The store behind the disk.
#[derive(Clone)]
pub enum Engine {
    S3(Arc<Garage>),
    Azure(Arc<Azurite>),
}

/// What is written into the configuration beside the store itself.
#[derive(Clone, Copy, Default)]
pub struct Settings {
    /// Lines before the first table.
    pub top: &'static str,
    /// Lines in the table `bucket`.
    pub bucket: &'static str,
    /// Tables behind it.
    pub tables: &'static str,
    /// Instead of the right secret.
    pub secret: Option<&'static str>,
}

/// The server, the store and what is between them.
pub struct Behind {
    pub larder: Larder,
    pub wire: Wire,
    pub outside: Outside,
    pub engine: Engine,
    options: Options,
    /// The part of the bucket that is ours.
    place: String,
    _secret: tempfile::TempDir,
}

impl Behind {
    /// With the S3 server that this program's tests share.
    pub fn s3(settings: Settings) -> Self {
        Self::start(Engine::S3(Garage::shared()), settings)
    }

    /// With the Azure emulator that this program's tests share.
    pub fn azure(settings: Settings) -> Self {
        Self::start(Engine::Azure(Azurite::shared()), settings)
    }

    /// With this store.
    pub fn start(engine: Engine, settings: Settings) -> Self {
        static PLACES: AtomicUsize = AtomicUsize::new(0);
        let place = format!("place-{}", PLACES.fetch_add(1, Ordering::SeqCst));
        let (address, outside) = match &engine {
            Engine::S3(garage) => (garage.address(), Outside::garage(garage.address())),
            Engine::Azure(azurite) => (azurite.address(), Outside::azurite(azurite.address())),
        };
        let wire = Wire::start(address);
        let (secret, file) = secret_file(&engine, settings.secret);
        let store = store_lines(&engine, &wire, &place);
        // A machine that builds and tests at once may be slow for reasons of its own: where a test is not about time, a
        // read has enough of it.
        let patient = if settings.bucket.contains("read_timeout") { "" } else { "read_timeout = \"10s\"\n" };
        let config = format!(
            "{}\n[bucket]\n{store}secret_access_key_file = {file:?}\n{patient}{}\n{}\n",
            settings.top, settings.bucket, settings.tables
        );
        let options = Options::default().config(&config);
        let larder = Larder::start(options.clone());
        Self { larder, wire, outside, engine, options, place, _secret: secret }
    }

    /// Another server with the same settings, so with the same bucket behind it, and a disk of its own.
    pub fn another(&self) -> Larder {
        Larder::start(self.options.clone())
    }

    /// The store, where it is Garage.
    pub fn garage(&self) -> &Garage {
        match &self.engine {
            Engine::S3(garage) => garage,
            Engine::Azure(_) => panic!("this is Azurite"),
        }
    }

    /// The path in the bucket of what lies at `below` larder's own part of it.
    pub fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.place)
    }

    /// What lies in the bucket at `below`, seen from outside.
    pub fn stored(&self, below: &str) -> Option<Vec<u8>> {
        self.outside.get(&self.path(below))
    }

    /// Somebody else puts this into the bucket.
    pub fn put_from_outside(&self, below: &str, body: &[u8]) {
        self.outside.put(&self.path(below), body);
    }

    /// Names of the objects in larder's part of the bucket, without what larder keeps for itself.
    pub fn names(&self) -> Vec<String> {
        let below = |path: &String| path.strip_prefix(&format!("{}/", self.place)).map(str::to_owned);
        let names = self.outside.list(&self.place);
        names.keys().filter_map(below).filter(|name| !name.starts_with(".larder/")).collect()
    }

    pub fn get(&self, path: &str) -> Response {
        http::get(self.larder.address(), path)
    }

    pub fn head(&self, path: &str) -> Response {
        http::request(self.larder.address(), "HEAD", path, &[], b"")
    }

    pub fn delete(&self, path: &str) -> Response {
        http::request(self.larder.address(), "DELETE", path, &[], b"")
    }

    /// A PUT that has to succeed.
    pub fn put(&self, path: &str, body: &[u8]) {
        let answer = http::put(self.larder.address(), path, body);
        assert!((200..300).contains(&answer.status), "PUT {path}: {} {}", answer.status, answer.text());
    }

    /// A GET that has to be a hit with these bytes.
    #[track_caller]
    pub fn assert_hit(&self, path: &str, body: &[u8]) -> Response {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        assert!(answer.body == body, "GET {path}: {} other bytes", answer.body.len());
        answer
    }

    /// Waits until nothing waits to be written to the bucket.
    pub fn wait_until_drained(&self) {
        wait_for("the queue to the bucket to drain", || {
            (self.larder.metric("larder_bucket_queue_objects") == 0.0).then_some(())
        });
    }

    /// Stops the server, which has to end well, removes everything on its disk, and starts it again.
    pub fn forget_disk(&mut self) {
        assert_eq!(self.larder.terminate().code(), Some(0), "{}", self.larder.log());
        std::fs::remove_dir_all(self.larder.data_dir()).unwrap();
        self.larder.restart();
    }

    /// As [`Behind::forget_disk`], of a server that has ended.
    pub fn forget_disk_of_ended(&mut self) {
        std::fs::remove_dir_all(self.larder.data_dir()).unwrap();
        self.larder.restart();
    }

    /// Stores this through larder, sees it in the bucket, and empties larder's disk.
    pub fn put_into_bucket_only(&mut self, objects: &[(&str, &[u8])]) {
        for (path, body) in objects {
            self.put(path, body);
        }
        self.wait_until_drained();
        self.forget_disk();
    }

    /// What `/-/ready` says, which has to say that the server is ready.
    pub fn readiness(&self) -> String {
        let answer = self.get("/-/ready");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().starts_with("ready\n"), "{}", answer.text());
        answer.text()
    }

    /// Waits until every one of these lies in the bucket, with these bytes and no others.
    pub fn wait_until_stored(&self, objects: &[(String, Vec<u8>)]) {
        wait_for("everything to be in the bucket", || {
            let names: BTreeSet<String> = self.names().into_iter().collect();
            objects.iter().all(|(name, _)| names.contains(name)).then_some(())
        });
        self.wait_until_drained();
        for (name, body) in objects {
            assert!(
                self.stored(name).is_some_and(|stored| stored == *body),
                "{name} is another in the bucket"
            );
        }
    }

    /// Calls of the bucket that ended so.
    pub fn calls(&self, operation: &str, outcome: &str) -> f64 {
        let name = format!("larder_bucket_requests_total{{operation=\"{operation}\",outcome=\"{outcome}\"}}");
        self.larder.metrics().get(&name).copied().unwrap_or(0.0)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        // What works behind the requests may die without any of them noticing.
        let log = self.larder.log();
        assert!(std::thread::panicking() || !log.contains("panicked at"), "the server panicked:\n{log}");
    }
}

/// `length` bytes that no other `seed` gives.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn secret_file(engine: &Engine, other: Option<&str>) -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("secret");
    let secret = match engine {
        Engine::S3(_) => garage::SECRET,
        Engine::Azure(_) => azurite::KEY,
    };
    std::fs::write(&file, format!("{}\n", other.unwrap_or(secret))).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    (scratch, file)
}

fn store_lines(engine: &Engine, wire: &Wire, place: &str) -> String {
    let address = wire.address();
    match engine {
        Engine::S3(_) => format!(
            "url = \"s3://{}/{place}\"\nendpoint = \"http://{address}\"\nregion = \"{}\"\naccess_key_id = \"{}\"\n",
            garage::BUCKET,
            garage::REGION,
            garage::KEY_ID
        ),
        Engine::Azure(_) => format!(
            "url = \"az://{}/{place}\"\nendpoint = \"http://{address}/{account}\"\naccess_key_id = \"{account}\"\n",
            azurite::CONTAINER,
            account = azurite::ACCOUNT
        ),
    }
}
