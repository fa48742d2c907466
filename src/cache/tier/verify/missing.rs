//! What the disk has and the bucket does not, or not so: it goes there.

use std::sync::Arc;
use std::time::Duration;

use super::{Inspection, Wanted};
use crate::bucket::{BucketError, BucketPath};
use crate::cache::indexer::catch_up;
use crate::cache::tier::budget::blocking;
use crate::cache::tier::catalogue::{self, Known};
use crate::cache::tier::queue::Job;
use crate::cache::tier::{Operation, Tier};
use crate::cache::verify::Stage;
use crate::index::table::Slot;
use crate::index::{Entry, Index};

/// Entries looked at in one go.
const PAGE: usize = 256;
/// Between two tries to get into a queue that is full.
const ROUND: Duration = Duration::from_millis(50);

/// An object on disk that has a place in the bucket.
struct OnDisk {
    entry: Entry,
    slot: Slot,
    path: BucketPath,
}

impl Inspection<'_> {
    /// Walks the index.
    pub(super) async fn find_missing(&mut self) -> Result<(), BucketError> {
        self.watch.begin(Stage::Missing, Some(self.state.table.objects()));
        let (state, indexer) = (Arc::clone(self.state), self.indexer.map(Arc::clone));
        let index: Arc<dyn Index> = blocking(move || match indexer {
            Some(indexer) => catch_up(&indexer),
            None => state.index(),
        })
        .await?;
        let mut from = Some(0);
        while let Some(at) = from.filter(|_| !self.watch.is_stopped()) {
            let (page, next) = self.page(&index, at).await?;
            for on_disk in page {
                self.compare(on_disk).await;
            }
            self.watch.advance(PAGE as u64);
            from = next;
        }
        Ok(())
    }

    async fn page(
        &self,
        index: &Arc<dyn Index>,
        from: u64,
    ) -> Result<(Vec<OnDisk>, Option<u64>), BucketError> {
        let (state, tier, index) = (Arc::clone(self.state), Arc::clone(self.tier), Arc::clone(index));
        let look = move || {
            let page = index.entries_from(from, PAGE)?;
            let next = page.last().filter(|_| page.len() == PAGE).map(|last| last.sequence + 1);
            let now_ms = state.clock.now_ms();
            let on_disk = |entry: Entry| {
                let (slot, ()) = state.table.peek(state.table.hash(&entry.name), |_| ())?;
                let is_current =
                    slot.sequence == entry.sequence && !state.spaces.is_expired(&slot, || now_ms);
                let path = tier.path(&entry.name).filter(|path| !tier.catalogue.is_deleted(path))?;
                is_current.then_some(OnDisk { entry, slot, path })
            };
            Ok((page.into_iter().filter_map(on_disk).collect(), next))
        };
        let failed = |error: crate::index::IndexError| {
            BucketError::Unavailable(format!("the index that tells what should be in it failed: {error}"))
        };
        blocking(look).await?.map_err(failed)
    }

    async fn compare(&mut self, on_disk: OnDisk) {
        let hash = catalogue::hash_of(&on_disk.path);
        let Some(length) = self.seen.get(&hash).copied() else {
            // Uploaded since the listing.
            if self.tier.catalogue.get(&on_disk.path).is_none() {
                self.findings.missing += 1;
                self.write(on_disk).await;
            }
            return;
        };
        let is_damaged = self.damaged.remove(&hash).is_some();
        let is_other_body =
            self.checksums.remove(&hash).is_some_and(|checksum| checksum != on_disk.entry.body_checksum);
        let is_other_length = length != on_disk.slot.location.body_len;
        // What waits for the bucket is newer than what it has.
        if on_disk.slot.unsaved || !(is_damaged || is_other_body || is_other_length) {
            return;
        }
        if !is_damaged && is_told_whole(self.tier, &on_disk.path).await {
            // Another server, or a client of the bucket itself, has written another body.
            return;
        }
        if !is_damaged {
            self.findings.different += 1;
            self.watch.tell(&format!("another body in the bucket than on disk: {}", on_disk.path));
        }
        if self.how.dry_run {
            return;
        }
        // Gone first: what is found on disk is not written over what the bucket has.
        match self.remove(&on_disk.path, on_disk.slot.hash).await {
            Ok(true) => self.write(on_disk).await,
            Ok(false) => {}
            Err(error) => {
                self.findings.unrepaired += 1;
                self.watch.tell(&format!("cannot be written anew: {}: {error}", on_disk.path));
            }
        }
    }

    async fn write(&mut self, on_disk: OnDisk) {
        if self.how.dry_run {
            return;
        }
        let OnDisk { entry, slot, path } = on_disk;
        let job =
            Job { name: entry.name, hash: slot.hash, sequence: slot.sequence, was_found: true, tries: 0 };
        self.tier.absent.forget(slot.hash);
        while !self.tier.queue.found(job.clone(), slot.location.body_len, slot.unsaved) {
            if self.watch.is_stopped() {
                return;
            }
            tokio::time::sleep(ROUND).await;
        }
        self.wanted.push(Wanted { path, hash: slot.hash, sequence: slot.sequence });
    }
}

/// True where the bucket itself has a checksum of what it has, and so was not cut short; it is noted.
async fn is_told_whole(tier: &Tier, path: &BucketPath) -> bool {
    let head = tier.call(Operation::Head, tier.options.write_timeout, tier.bucket.head(path)).await;
    match head {
        Ok(there) if there.checksum.is_some() => {
            let used_ms = there.modified_ms;
            let (length, modified_ms) = (there.length, there.modified_ms);
            tier.catalogue.put(path, Known { checksum: None, length, used_ms, modified_ms });
            true
        }
        Ok(_) => false,
        // Nothing is known against it.
        Err(_) => true,
    }
}
