//! An upload to a key that a write-once namespace has: its body is compared with the stored one and not stored.
//!
//! By checksum and length, as the rest of the cache tells bodies apart. It takes neither room on disk nor memory.

use std::sync::Arc;

use twox_hash::XxHash3_128;

use super::{Accepted, Stored, refuse_overwrite};
use crate::cache::error::CacheError;
use crate::cache::state::State;
use crate::object::{ETag, ObjectInfo};

/// A body that is only looked at.
pub(super) struct Comparing {
    state: Arc<State>,
    accepted: Accepted,
    existing: ObjectInfo,
    received: u64,
    hasher: XxHash3_128,
}

impl Comparing {
    /// Begins, where the declared length leaves it open what the body is.
    pub(super) fn begin(
        state: Arc<State>,
        accepted: Accepted,
        existing: ObjectInfo,
    ) -> Result<Self, CacheError> {
        let upload = Self { state, accepted, existing, received: 0, hasher: XxHash3_128::new() };
        match upload.accepted.declared_length {
            Some(declared) if declared != existing.length => Err(upload.refuse()),
            _ => Ok(upload),
        }
    }

    pub(super) fn write(&mut self, chunk: &[u8]) -> Result<(), CacheError> {
        self.received += chunk.len() as u64;
        self.accepted.check(self.received)?;
        if self.received > self.existing.length {
            return Err(self.refuse());
        }
        self.hasher.write(chunk);
        Ok(())
    }

    /// What was stored when the upload began answers for it, even where it was deleted meanwhile: then the deletion came
    /// second.
    pub(super) async fn commit(self) -> Result<Stored, CacheError> {
        self.accepted.check_end(self.received)?;
        let same =
            self.received == self.existing.length && ETag(self.hasher.finish_128()) == self.existing.etag;
        if !same {
            return Err(self.refuse());
        }
        // It may have been stored a moment ago by somebody who still waits for the disk.
        self.state.committed(None).await?;
        Ok(Stored { info: self.existing, created: false })
    }

    fn refuse(&self) -> CacheError {
        refuse_overwrite(&self.state, self.accepted.space, &self.accepted.name)
    }
}
