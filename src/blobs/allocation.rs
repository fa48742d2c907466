//! Where a large record may begin, and its blocks, asked for before its bytes are written.
//!
//! Owns on which file systems that is worth it and from what size on. ext4 otherwise reserves each block by itself while it is
//! written, which is a third of what a write of 260 KB or more costs. And the kernel keeps a file in memory in pieces that begin
//! at multiples of their size: of a record that begins at any block they are small, which costs a write a quarter more and a read
//! half more. Knows nothing of records.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, FsWord};
use rustix::io::Errno;

/// ext4, and its predecessors, whose files have no extents and which refuse to be asked (`linux/magic.h`).
const EXT4_MAGIC: FsWord = 0xEF53;
/// Fewest bytes that any of this is done for: 64 KB cost the same with and without, 20 KB a quarter more.
const LEAST_BYTES: u64 = 128 << 10;
/// Large records begin at multiples of so many blocks, 64 KiB. With twice as many a read of 3 MB is a tenth quicker still, and a
/// segment holds a quarter less.
const ALIGNED_BLOCKS: u32 = 16;

/// When the blocks of a write are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Allocation {
    /// All of them before the first byte.
    Ahead,
    /// Each as it is written. btrfs is slower when it is asked before, XFS no faster.
    AsWritten,
}

impl Allocation {
    /// What suits the file system of `dir`.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let is_ext4 = rustix::fs::statfs(dir)?.f_type == EXT4_MAGIC;
        Ok(if is_ext4 { Self::Ahead } else { Self::AsWritten })
    }

    /// The block that a record of `length` bytes begins at when those before `free` are taken. What is left between has no
    /// blocks and so takes no room on the disk. XFS, which gains more by it, gives some to what follows a small record.
    pub(super) fn first_block(self, free: u32, length: u64) -> u32 {
        if self == Self::AsWritten || length < LEAST_BYTES {
            return free;
        }
        free.next_multiple_of(ALIGNED_BLOCKS)
    }

    /// Takes blocks for `length` bytes of `file` from `offset` on. The file's length stays: what a process that dies leaves
    /// behind its end goes with the next cut.
    ///
    /// # Errors
    /// `StorageFull`. Whatever else keeps the file system from it, the write will tell.
    pub(super) fn take(self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        if self == Self::AsWritten || length < LEAST_BYTES {
            return Ok(());
        }
        match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, length) {
            Err(full @ (Errno::NOSPC | Errno::DQUOT)) => Err(full.into()),
            _ => Ok(()),
        }
    }
}
