//! One read from the bucket: asked for, taken in, checked, stored.
//!
//! Order of things: ask → first bytes in time → memory → hand out and store part by part → checksum → store → hand out the
//! rest. A body that breaks off is asked for again from where it broke.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use md5::{Digest, Md5};
use twox_hash::XxHash3_128;

use super::super::catalogue::Known;
use super::super::fill::{Fill, Stage};
use super::super::{Operation, Tier};
use crate::bucket::{BodyChecksum, BucketError, BucketObject, BucketPath, BucketRead};
use crate::cache::error::CacheError;
use crate::cache::state::State;
use crate::cache::upload::{GATHER_BYTES, Upload};
use crate::index::table::NameHash;
use crate::key::ObjectName;
use crate::object::{ETag, ObjectInfo};

/// Bodies up to this many bytes are handed out once all of them is there: then a bucket that fails in the middle makes a
/// miss and not a broken answer.
const WHOLE_BYTES: u64 = 256 << 10;
/// Bytes that readers are woken for, but for the first ones and the last.
const RELEASE_BYTES: u64 = 128 << 10;
/// Times that a body which broke off is asked for again.
const RESUMES: u32 = 3;
/// Memory of a body that is stored while it arrives, in bytes: what is being written, what waits, and the reader's part.
const STREAM_BYTES: u64 = 4 << 20;
/// Least time without a byte after which a body has broken off.
const STALL: Duration = Duration::from_secs(2);

/// One read from the bucket.
pub(super) struct Arrival {
    pub(super) state: Arc<State>,
    pub(super) tier: Arc<Tier>,
    pub(super) name: ObjectName,
    pub(super) path: BucketPath,
    pub(super) hash: NameHash,
    pub(super) fill: Arc<Fill>,
}

/// The body's own check.
struct Check {
    xxh3: XxHash3_128,
    /// Only where the bucket told an MD5.
    md5: Option<Md5>,
}

impl Arrival {
    /// Reads the object, and says how that ended.
    pub(super) async fn run(self) -> Stage {
        match self.read().await {
            Ok(stage) => stage,
            Err(BucketError::NotFound) => {
                self.tier.absent.remember(self.hash);
                self.tier.catalogue.remove(&self.path);
                Stage::Absent
            }
            Err(_) => Stage::Failed,
        }
    }

    async fn read(&self) -> Result<Stage, BucketError> {
        let (mut read, first) = self.ask(0).await?;
        let object = read.object;
        let space = self.state.spaces.of_object(&self.name);
        let rules = self.state.spaces.rules(space.group);
        let is_over = rules.is_over(object.modified_ms, self.state.clock.now_ms());
        if is_over || object.length > rules.max_object_size {
            return Ok(Stage::Absent);
        }
        let in_memory = if object.length > GATHER_BYTES { STREAM_BYTES } else { object.length };
        let Some(permit) = self.state.flight.take(in_memory) else {
            self.state.metrics.refused.with_label_values(&["memory"]).inc();
            return Ok(Stage::Overloaded);
        };
        self.fill.hold(permit);
        let mut store = self.begin(&object).await;
        if store.is_none() && object.length > GATHER_BYTES {
            // Neither the disk nor the memory has room for it.
            return Ok(Stage::Failed);
        }
        let known = self.known_checksum(&object);
        let early =
            known.filter(|_| object.length > WHOLE_BYTES).map(|checksum| self.info(&object, checksum));
        let mut check = Check::new(&object);
        let (mut received, mut released, mut resumes) = (0, 0, 0);
        let mut next = Ok(first);
        loop {
            match next {
                Ok(Some(chunk)) if !chunk.is_empty() => {
                    let before = received;
                    received += chunk.len() as u64;
                    if received > object.length {
                        return Ok(self.damaged("it is longer than it says"));
                    }
                    self.tier.metrics.bucket_received_bytes.inc_by(chunk.len() as u64);
                    check.take(&chunk);
                    self.keep(&mut store, chunk).await;
                    if store.is_none() && object.length > GATHER_BYTES {
                        return Ok(Stage::Failed);
                    }
                    // One part stays behind until all is checked; and readers are not woken for every small piece.
                    if let Some(info) = early
                        && (before == 0 || before - released >= RELEASE_BYTES)
                    {
                        self.fill.release(Stage::Arriving(info), before);
                        released = before;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) if received == object.length => break,
                Ok(None) | Err(_) => {
                    let why =
                        next.err().unwrap_or_else(|| BucketError::Unavailable("the body ended early".into()));
                    self.tier.body_failed(&why);
                    resumes += 1;
                    if resumes > RESUMES {
                        return Err(why);
                    }
                    let (again, chunk) = self.ask(received).await?;
                    if again.object != object {
                        return Err(BucketError::Unavailable("it was replaced while it was read".into()));
                    }
                    read = again;
                    next = Ok(chunk);
                    continue;
                }
            }
            next = self.next(&mut read).await;
        }
        self.tier.breaker.body_ended();
        let checksum = check.xxh3.finish_128();
        if !check.holds(&object, known) {
            return Ok(self.damaged("its checksum is another"));
        }
        let used_ms = self.state.clock.now_ms();
        self.tier.catalogue.put(
            &self.path,
            Known {
                checksum: Some(checksum),
                length: object.length,
                used_ms,
                modified_ms: object.modified_ms,
            },
        );
        let mut info = self.info(&object, checksum);
        // Who only reads does not wait for the disk.
        self.fill.release(Stage::Arriving(info), object.length);
        if let Some(upload) = store {
            match upload.commit().await {
                Ok(stored) => {
                    info = stored.info;
                    self.undo_where_deleted();
                }
                // A client wrote the object meanwhile, or the disk failed; the readers have the body all the same.
                Err(error) => {
                    tracing::debug!(key = %self.name.key, %error, "object of the bucket not stored");
                }
            }
        }
        self.fill.release(Stage::Whole(info), object.length);
        Ok(Stage::Whole(info))
    }

    /// A client may have deleted the object while it was on its way; then nothing may bring it back.
    fn undo_where_deleted(&self) {
        if self.tier.catalogue.is_deleted(&self.path)
            && let Some((slot, ())) = self.state.table.peek(self.hash, |_| ())
            && !slot.unsaved
        {
            self.state.drop_dead(&slot);
        }
    }

    /// Asks for the body from the byte `from` on, and waits for the first of it.
    async fn ask(&self, from: u64) -> Result<(BucketRead, Option<Bytes>), BucketError> {
        let call = async {
            let mut read = self.tier.bucket.get(&self.path, from).await?;
            let first = read.body.next().await.transpose()?;
            Ok((read, first))
        };
        self.tier.call(Operation::Get, self.tier.options.read_timeout, call).await
    }

    async fn next(&self, read: &mut BucketRead) -> Result<Option<Bytes>, BucketError> {
        let limit = STALL.max(4 * self.tier.options.read_timeout);
        match tokio::time::timeout(limit, read.body.next()).await {
            Ok(next) => next.transpose(),
            Err(_) => Err(BucketError::TooSlow(limit)),
        }
    }

    async fn begin(&self, object: &BucketObject) -> Option<Upload> {
        let state = Arc::clone(&self.state);
        let begun = Upload::begin_fill(state, self.name.clone(), object).await;
        let upload = begun.map_err(|error| self.not_stored(&error)).ok()?;
        if let Some(view) = upload.view() {
            self.fill.set_view(view);
        }
        Some(upload)
    }

    /// Hands a part of the body to the readers and to the disk. A disk that fails ends the storing, not the reading.
    async fn keep(&self, store: &mut Option<Upload>, chunk: Bytes) {
        self.fill.push(chunk.clone());
        if let Some(upload) = store
            && let Err(error) = upload.write(chunk).await
        {
            self.not_stored(&error);
            *store = None;
        }
    }

    fn not_stored(&self, error: &CacheError) {
        tracing::warn!(namespace = %self.name.namespace, key = %self.name.key, %error, "an object of the bucket cannot be stored");
    }

    fn damaged(&self, what: &str) -> Stage {
        self.tier.metrics.bucket_damaged.inc();
        tracing::warn!(path = %self.path, what, "damaged object in the bucket, not served");
        Stage::Failed
    }

    /// The XXH3-128 of the body, where the bucket tells it before the body.
    fn known_checksum(&self, object: &BucketObject) -> Option<u128> {
        match object.checksum {
            Some(BodyChecksum::Xxh3(checksum)) => Some(checksum),
            // What others wrote may be another body of the same length; it is told when all of it is there.
            Some(BodyChecksum::Md5(_)) | None => None,
        }
    }

    fn info(&self, object: &BucketObject, checksum: u128) -> ObjectInfo {
        // Nothing on disk has the number 0, so a condition on this version holds for none.
        ObjectInfo {
            length: object.length,
            etag: ETag(checksum),
            created_ms: object.modified_ms,
            cost_ms: object.cost_ms,
            sequence: 0,
        }
    }
}

impl Check {
    fn new(object: &BucketObject) -> Self {
        let md5 = matches!(object.checksum, Some(BodyChecksum::Md5(_))).then(Md5::new);
        Self { xxh3: XxHash3_128::new(), md5 }
    }

    fn take(&mut self, chunk: &[u8]) {
        self.xxh3.write(chunk);
        if let Some(md5) = &mut self.md5 {
            md5.update(chunk);
        }
    }

    fn holds(self, object: &BucketObject, known: Option<u128>) -> bool {
        let md5 = match (object.checksum, self.md5) {
            (Some(BodyChecksum::Md5(told)), Some(found)) => <[u8; 16]>::from(found.finalize()) == told,
            _ => true,
        };
        md5 && known.is_none_or(|known| known == self.xxh3.finish_128())
    }
}
