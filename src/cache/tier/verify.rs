//! The bucket, what is known of it, and the disk, each against the others, and what is wrong mended.
//!
//! The listing tells what is there; with `deep` every body is read ([`body`]); then the index tells what of the disk
//! should be there ([`missing`]). What the disk has whole is written anew; what nobody has whole is removed, since a miss
//! is better than a broken read. What is nobody's is never touched. Knows nothing of how records on disk are checked.

mod body;
mod missing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};

use self::body::Read;
use super::budget::{Pages, blocking, is_own};
use super::catalogue::{self, Known, PathHash};
use super::{Operation, Tier};
use crate::bucket::{BucketError, BucketPath, BucketRow};
use crate::cache::indexer::SharedIndexer;
use crate::cache::state::State;
use crate::cache::verify::{Stage, VerifyOptions, VerifyReport, Watch};
use crate::index::table::{NameHash, Slot};
use crate::key::ObjectName;

/// Uploads that come to nothing for so long are given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks how much waits.
const ROUND: Duration = Duration::from_millis(20);

/// What was found in the bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BucketFindings {
    /// Objects in it.
    pub objects: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// What lies there and is no object of this configuration.
    pub foreign: u64,
    /// Objects that were not known; they are now.
    pub unknown: u64,
    /// Objects that were known and are not there; they are not known any more.
    pub vanished: u64,
    /// Objects on disk that should be there and are not.
    pub missing: u64,
    /// Objects that are not as long as what is known of them, or as what the disk has.
    pub different: u64,
    /// Bodies that were read.
    pub read: u64,
    /// Of these, bodies that are not what was stored.
    pub damaged: u64,
    /// Of these, bodies of which nobody knows what they should be.
    pub unproven: u64,
    /// Bodies that could not be read.
    pub unread: u64,
    /// Objects that were written to it, or written anew.
    pub uploaded: u64,
    /// Damaged objects that were removed from it.
    pub removed: u64,
    /// Objects that should have been written or removed and could not be.
    pub unrepaired: u64,
}

impl BucketFindings {
    /// What is not as it should be at the end.
    pub(in crate::cache) fn left(&self, dry_run: bool) -> u64 {
        let found = self.vanished + self.missing + self.different + self.damaged;
        self.unread + self.unrepaired + if dry_run { found } else { 0 }
    }
}

/// What is known of an object when its record on disk turns out to be damaged. True: the bucket has it. Where what the
/// bucket has is older, nobody may be given that.
pub(in crate::cache) fn note_damaged(
    state: &State,
    name: &ObjectName,
    checksum: u128,
    slot: &Slot,
    dry_run: bool,
) -> bool {
    let Some(tier) = &state.tier else { return false };
    let Some(path) = tier.path(name).filter(|path| !tier.catalogue.is_deleted(path)) else { return false };
    let Some(known) = tier.catalogue.get(&path) else { return false };
    let is_older = slot.unsaved && known.checksum != Some(checksum);
    if is_older && !dry_run {
        tier.catalogue.mark(&path, slot.sequence);
        tier.deleting.notify_one();
    }
    !is_older
}

/// An object that has to be written.
struct Wanted {
    path: BucketPath,
    hash: NameHash,
    sequence: u64,
}

/// A comparison under way.
pub(in crate::cache) struct Inspection<'a> {
    state: &'a Arc<State>,
    tier: &'a Arc<Tier>,
    indexer: Option<&'a Arc<SharedIndexer>>,
    how: VerifyOptions,
    watch: &'a Arc<dyn Watch>,
    /// When the listing began, milliseconds since the Unix epoch.
    began_ms: u64,
    findings: BucketFindings,
    /// What was listed, and how long it is.
    seen: HashMap<PathHash, u64>,
    /// Of what nothing else is known: the XXH3-128 of the body that is there.
    checksums: HashMap<PathHash, u128>,
    /// What is not what was stored.
    damaged: HashMap<PathHash, (BucketPath, NameHash)>,
    wanted: Vec<Wanted>,
}

impl<'a> Inspection<'a> {
    /// `None`: there is no bucket. Without an indexer the index has everything already.
    pub(in crate::cache) fn new(
        state: &'a Arc<State>,
        indexer: Option<&'a Arc<SharedIndexer>>,
        how: VerifyOptions,
        watch: &'a Arc<dyn Watch>,
    ) -> Option<Self> {
        let tier = state.tier.as_ref()?;
        Some(Self {
            state,
            tier,
            indexer,
            how,
            watch,
            began_ms: state.clock.now_ms(),
            findings: BucketFindings::default(),
            seen: HashMap::new(),
            checksums: HashMap::new(),
            damaged: HashMap::new(),
            wanted: Vec::new(),
        })
    }

    /// Compares, and reports. Ends early where `watch` says so.
    pub(in crate::cache) async fn run(mut self, report: &mut VerifyReport) {
        let done = self.steps().await;
        report.bucket_error = done.err().map(|error| error.to_string());
        report.bucket = Some(self.findings);
    }

    async fn steps(&mut self) -> Result<(), BucketError> {
        self.list().await?;
        if self.watch.is_stopped() {
            return Ok(());
        }
        self.forget_vanished().await?;
        self.find_missing().await?;
        if !self.how.dry_run && !self.watch.is_stopped() {
            self.remove_damaged().await;
            self.wait_for_uploads().await;
        }
        Ok(())
    }

    async fn list(&mut self) -> Result<(), BucketError> {
        self.watch.begin(Stage::Bucket, Some(self.tier.catalogue.rows()));
        let mut pages = Pages::new(self.tier);
        while !self.watch.is_stopped() {
            let page = pages.next().await?;
            if page.is_empty() {
                break;
            }
            let (state, tier, began_ms) = (Arc::clone(self.state), Arc::clone(self.tier), self.began_ms);
            let judge = move || page.into_iter().map(|row| judge(&state, &tier, row, began_ms)).collect();
            let rows: Vec<Judged> = blocking(judge).await?;
            let rows: Vec<Listed> = rows.into_iter().filter_map(|judged| self.take_in(judged)).collect();
            if self.how.deep {
                self.read_all(rows).await;
            } else {
                self.watch.advance(rows.len() as u64);
            }
        }
        Ok(())
    }

    /// Counts a row. `None`: there is no more to know about it.
    fn take_in(&mut self, judged: Judged) -> Option<Listed> {
        let findings = &mut self.findings;
        match judged {
            Judged::Own => None,
            Judged::Foreign => {
                findings.foreign += 1;
                None
            }
            Judged::Object(listed) => {
                findings.objects += 1;
                findings.bytes += listed.row.length;
                findings.unknown += u64::from(listed.known.is_none());
                let is_other = listed.known.is_some_and(|known| known.length != listed.row.length);
                // Where the disk has it, it is that one's length which counts.
                if is_other && !listed.is_on_disk && !listed.is_newer {
                    findings.different += 1;
                    self.watch.tell(&format!("of another length in the bucket: {}", listed.row.path));
                }
                self.seen.insert(catalogue::hash_of(&listed.row.path), listed.row.length);
                (!listed.is_deleted).then_some(listed)
            }
        }
    }

    async fn read_all(&mut self, rows: Vec<Listed>) {
        let (tier, watch) = (self.tier, self.watch);
        let read = |listed: Listed| async move {
            let read = if watch.is_stopped() { None } else { Some(body::read(tier, &listed).await) };
            watch.advance(1);
            (listed, read)
        };
        let mut reads = stream::iter(rows).map(read).buffer_unordered(tier.options.uploads.max(1));
        while let Some((listed, read)) = reads.next().await {
            let Some(read) = read else { continue };
            let hash = catalogue::hash_of(&listed.row.path);
            self.findings.read += u64::from(!matches!(read, Read::Gone | Read::Failed(_)));
            match read {
                Read::Whole => {}
                Read::Gone => drop(self.seen.remove(&hash)),
                Read::Unproven(checksum) if listed.is_on_disk => drop(self.checksums.insert(hash, checksum)),
                Read::Unproven(_) => self.findings.unproven += 1,
                Read::Damaged => {
                    self.findings.damaged += 1;
                    self.watch.tell(&format!("damaged in the bucket: {}", listed.row.path));
                    self.damaged.insert(hash, (listed.row.path, listed.hash));
                }
                Read::Failed(error) => {
                    self.findings.unread += 1;
                    self.watch.tell(&format!("cannot be read: {}: {error}", listed.row.path));
                }
            }
        }
    }

    async fn forget_vanished(&mut self) -> Result<(), BucketError> {
        let (tier, began_ms, seen) = (Arc::clone(self.tier), self.began_ms, std::mem::take(&mut self.seen));
        let (seen, vanished) = blocking(move || {
            let mut vanished = 0;
            tier.catalogue.visit(|hash, known| {
                if known.used_ms < began_ms && !seen.contains_key(&hash) {
                    tier.catalogue.remove_hash(hash);
                    vanished += 1;
                }
            });
            (seen, vanished)
        })
        .await?;
        (self.seen, self.findings.vanished) = (seen, vanished);
        Ok(())
    }

    /// What is still among the damaged ones the disk does not have.
    async fn remove_damaged(&mut self) {
        for (path, hash) in std::mem::take(&mut self.damaged).into_values() {
            match self.remove(&path, hash).await {
                Ok(true) => self.findings.removed += 1,
                // Somebody is just writing it.
                Ok(false) => {}
                Err(error) => {
                    self.findings.unrepaired += 1;
                    self.watch.tell(&format!("cannot be removed from the bucket: {path}: {error}"));
                }
            }
        }
    }

    /// Removes an object that is not what it should be. False: it is not the time for that.
    async fn remove(&self, path: &BucketPath, hash: NameHash) -> Result<bool, BucketError> {
        let Some(_claim) = self.tier.queue.claim(hash) else { return Ok(false) };
        let delete = self.tier.bucket.delete(path);
        self.tier.call(Operation::Delete, self.tier.options.write_timeout, delete).await?;
        self.tier.is_gone(path, "damaged");
        Ok(true)
    }

    async fn wait_for_uploads(&mut self) {
        let waiting = || self.tier.queue.length().objects + self.tier.catalogue.marked() as u64;
        let mut left = waiting();
        self.watch.begin(Stage::Uploading, Some(left));
        let mut moved = Instant::now();
        while left > 0 && !self.watch.is_stopped() && moved.elapsed() < PATIENCE {
            tokio::time::sleep(ROUND).await;
            let now = waiting();
            if now < left {
                self.watch.advance(left - now);
                moved = Instant::now();
            }
            left = now;
        }
        for Wanted { path, hash, sequence } in std::mem::take(&mut self.wanted) {
            let is_current = self.state.table.peek(hash, |slot| slot.sequence == sequence);
            if self.tier.catalogue.get(&path).is_some() {
                self.findings.uploaded += 1;
            } else if is_current.is_some_and(|(_, is_current)| is_current) {
                self.findings.unrepaired += 1;
                self.watch.tell(&format!("not written to the bucket: {path}"));
            }
        }
    }
}

/// What a row is.
enum Judged {
    /// A note of larder's.
    Own,
    Foreign,
    Object(Listed),
}

/// An object in the bucket.
struct Listed {
    row: BucketRow,
    hash: NameHash,
    /// What was known of it before it was listed.
    known: Option<Known>,
    is_on_disk: bool,
    /// Deleted by a client; the bucket has yet to hear of it.
    is_deleted: bool,
    /// Written, or used, since the listing began.
    is_newer: bool,
}

/// Finds out what a row is about, and brings what is known up to date.
fn judge(state: &State, tier: &Tier, row: BucketRow, began_ms: u64) -> Judged {
    let Some(name) = tier.name(&row.path) else {
        return if is_own(tier, &row.path) { Judged::Own } else { Judged::Foreign };
    };
    let hash = state.table.hash(&name);
    let known = tier.catalogue.get(&row.path);
    let BucketRow { path, length, modified_ms } = &row;
    let is_newer = known.is_some_and(|known| known.used_ms >= began_ms);
    let is_same =
        known.is_some_and(|known| known.length == *length && [0, *modified_ms].contains(&known.modified_ms));
    if !is_newer && known.is_none_or(|known| !is_same || known.modified_ms == 0) {
        let checksum = known.filter(|_| is_same).and_then(|known| known.checksum);
        let used_ms = known.map_or(0, |known| known.used_ms).max(*modified_ms);
        tier.catalogue.put(path, Known { checksum, length: *length, used_ms, modified_ms: *modified_ms });
    }
    let is_on_disk = state.table.peek(hash, |_| ()).is_some();
    let is_deleted = tier.catalogue.is_deleted(&row.path);
    Judged::Object(Listed { row, hash, known, is_on_disk, is_deleted, is_newer })
}
