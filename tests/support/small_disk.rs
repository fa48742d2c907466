//! A small file system of its own for one test: an ext4 image behind a loop device, or where there are none a tmpfs
//! with a size. Unmounted when dropped.
//!
//! Knows mount(8) and mkfs(8); nothing of larder.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub struct SmallDisk {
    mounted: PathBuf,
    _scratch: TempDir,
}

impl SmallDisk {
    /// Makes and mounts a file system of `bytes`. Fails with what to do where that is not allowed.
    pub fn mount(bytes: u64) -> Self {
        let scratch = TempDir::new().unwrap();
        let (image, mounted) = (scratch.path().join("image"), scratch.path().join("mounted"));
        std::fs::create_dir(&mounted).unwrap();
        File::create(&image).unwrap().set_len(bytes).unwrap();
        // No reserved blocks: root could use them, and the test runs as root.
        let ext4 = run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))
            .and_then(|()| run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mounted)));
        if let Err(no_ext4) = ext4 {
            let size = format!("size={bytes}");
            let tmpfs = run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "larder"]).arg(&mounted));
            if let Err(no_tmpfs) = tmpfs {
                panic!(
                    "this test mounts a small file system, which needs root (and mkfs.ext4 and mount): \
                     {no_ext4}; {no_tmpfs}"
                );
            }
            eprintln!("no ext4 ({no_ext4}), a tmpfs instead");
        }
        Self { mounted, _scratch: scratch }
    }

    /// Its root directory.
    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// Bytes free.
    pub fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.mounted).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Takes every free block, with a file that grows.
    pub fn fill(&self) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.filler()).unwrap();
        for size in [1 << 20, 64 << 10, 4 << 10] {
            // Until the disk says that it is full.
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        file.sync_all().unwrap();
    }

    /// Gives the blocks back that [`SmallDisk::fill`] took.
    pub fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    /// Another program's file of `bytes`, as far as there is room.
    pub fn grow_file(&self, name: &str, bytes: u64) {
        let mut file = File::create(self.mounted.join(name)).unwrap();
        for _ in 0..bytes >> 20 {
            file.write_all(&[2; 1 << 20]).unwrap();
        }
        file.sync_all().unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.mounted.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, for a test that failed with its cache open.
        if let Err(error) = run(Command::new("umount").arg("-l").arg(&self.mounted)) {
            eprintln!("{error}");
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
