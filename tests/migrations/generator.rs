//! Writes the dump of today's formats, with the real server: run it once when a version was raised, with
//! `cargo test --test migrations -- --ignored`, then commit what it wrote and never change it again.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::common::{Larder, Options, http, wait_for};
use super::dump::{Expected, Manifest, Versions, migrations};
use super::todays_versions;

/// A body that packs well: its key over and over. `round` tells an overwrite from what it replaced.
fn body(key: &str, round: u8, length: usize) -> Vec<u8> {
    let line = format!("{key} {round}\n");
    line.bytes().cycle().take(length).collect()
}

struct Writer {
    larder: Larder,
    bodies: BTreeMap<String, Vec<u8>>,
    absent: Vec<String>,
}

impl Writer {
    fn put(&mut self, key: &str, round: u8, length: usize) {
        let body = body(key, round, length);
        let status = http::put(self.larder.address(), &format!("/{key}"), &body).status;
        assert!(status == 201 || status == 204, "PUT {key}: {status}");
        self.bodies.insert(key.to_owned(), body);
    }

    fn delete(&mut self, key: &str) {
        let status = http::request(self.larder.address(), "DELETE", &format!("/{key}"), &[], b"").status;
        assert_eq!(status, 204, "DELETE {key}");
        self.bodies.remove(key);
        self.absent.push(key.to_owned());
    }

    fn read(&self, key: &str, times: u32) {
        for _ in 0..times {
            assert_eq!(http::get(self.larder.address(), &format!("/{key}")).status, 200);
        }
    }
}

#[test]
#[ignore = "writes a dump into migrations/"]
fn write_the_dump() {
    let versions = todays_versions();
    let target = migrations().join(format!("v{}", versions.directory));
    assert!(!target.join("data.tar.gz").exists(), "{} is frozen", target.display());

    // The smallest capacity has the smallest segments, so that some get full.
    let larder = Larder::start(Options::default().flag("--capacity", "64MiB"));
    let mut writer = Writer { larder, bodies: BTreeMap::new(), absent: Vec::new() };
    for number in 0..24 {
        writer.put(&format!("small/{number}"), 0, 100 + 37 * number);
    }
    for number in 0..6 {
        writer.put(&format!("large/{number}"), 0, 400_000 + number);
    }
    writer.put("empty", 0, 0);
    writer.put("solo", 0, 9 << 20);
    writer.put("ünïcode/…", 0, 20_000);
    writer.put("large/2", 1, 300_000);
    writer.put("small/3", 1, 5_000);
    writer.delete("small/4");
    writer.delete("large/1");
    writer.read("small/7", 5);
    // The end in good order seals the segments and writes the whole index.
    assert!(writer.larder.terminate().success());

    writer.larder.restart();
    for number in 0..8 {
        writer.put(&format!("later/{number}"), 0, 3_000 + number);
    }
    wait_for("the index to take them in", || {
        (writer.larder.metric("larder_index_disk_bytes") > 0.0).then_some(())
    });
    writer.put("small/5", 1, 50);
    writer.put("later/1", 1, 9_000);
    writer.delete("later/2");
    writer.delete("small/6");
    // And this one leaves a segment without its footer, and an index that is behind.
    writer.larder.kill9();

    save(&target, versions, &writer);
}

fn save(target: &Path, versions: Versions, writer: &Writer) {
    std::fs::create_dir_all(target).unwrap();
    let objects = writer.bodies.iter().map(|(key, body)| Expected::of(key, body)).collect();
    let manifest =
        Manifest { versions, most_read: ("small/7".to_owned(), 5), absent: writer.absent.clone(), objects };
    std::fs::write(target.join("manifest.toml"), toml::to_string(&manifest).unwrap()).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--mtime=@0", "-czSf"]);
    tar.arg(target.join("data.tar.gz")).arg("-C").arg(writer.larder.data_dir()).arg(".");
    assert!(tar.status().unwrap().success());
}
