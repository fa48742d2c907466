//! Sending one body to the bucket: in one call, or a large one part by part as it is read.
//!
//! What is sent is what was stored: a body whose checksum is another is never made visible there.

use bytes::Bytes;
use twox_hash::XxHash3_128;

use crate::bucket::{BucketError, BucketPath, Marked, WriteMode};
use crate::cache::error::CacheError;
use crate::cache::read::Object;
use crate::cache::tier::{Operation, Tier};
use crate::object::{ETag, ObjectInfo};

/// Bodies of more bytes go to the bucket in parts.
const LARGE_BYTES: u64 = 16 << 20;
/// Bytes read between two calls for a large body: about a part.
const PART_BYTES: u64 = 8 << 20;

/// How it went.
pub(super) enum Sent {
    /// The bucket has it.
    Whole,
    /// The record's body is not what was stored.
    Damaged,
    /// The record cannot be read now.
    Unread(CacheError),
    /// The bucket failed.
    Failed(BucketError),
}

/// Most bytes of a body of this length that are in memory at once.
pub(super) fn memory_for(length: u64) -> u64 {
    // Of a large one, the part that was sent last and the one that is being read.
    if length > LARGE_BYTES { 2 * PART_BYTES } else { length }
}

/// Writes the body to `path`.
pub(super) async fn send(tier: &Tier, path: &BucketPath, object: Object, mode: WriteMode) -> Sent {
    let info = *object.info();
    let sent = if info.length > LARGE_BYTES {
        send_large(tier, path, object, mode).await
    } else {
        send_small(tier, path, object, mode).await
    };
    if matches!(sent, Sent::Whole) {
        tier.metrics.bucket_sent_bytes.inc_by(info.length);
    }
    sent
}

async fn send_small(tier: &Tier, path: &BucketPath, object: Object, mode: WriteMode) -> Sent {
    let mut body = Body::new(object);
    let chunks = match body.read(u64::MAX).await {
        Ok(chunks) => chunks,
        Err(error) => return Sent::Unread(error),
    };
    if !body.is_as_stored() {
        return Sent::Damaged;
    }
    let put = tier.bucket.put(path, chunks, marked(&body.info), mode);
    match tier.call(Operation::Put, tier.options.write_timeout, put).await {
        Ok(()) => Sent::Whole,
        Err(error) => Sent::Failed(error),
    }
}

async fn send_large(tier: &Tier, path: &BucketPath, object: Object, mode: WriteMode) -> Sent {
    let limit = tier.options.write_timeout;
    let mut body = Body::new(object);
    let begin = tier.bucket.begin_large(path, body.info.length, marked(&body.info), mode);
    let mut upload = match tier.call(Operation::Put, limit, begin).await {
        Ok(upload) => upload,
        Err(error) => return Sent::Failed(error),
    };
    loop {
        let chunks = match body.read(PART_BYTES).await {
            Ok(chunks) => chunks,
            Err(error) => {
                upload.abort().await;
                return Sent::Unread(error);
            }
        };
        if chunks.is_empty() {
            break;
        }
        let write = async {
            for chunk in chunks {
                upload.write(chunk).await?;
            }
            Ok(())
        };
        if let Err(error) = tier.call(Operation::Put, limit, write).await {
            // Dropped, it is taken back in the background: a bucket that fails has no time for it now.
            return Sent::Failed(error);
        }
    }
    if !body.is_as_stored() {
        upload.abort().await;
        return Sent::Damaged;
    }
    match tier.call(Operation::Put, limit, upload.complete()).await {
        Ok(()) => Sent::Whole,
        Err(error) => Sent::Failed(error),
    }
}

/// A record's body, checked while it is read.
struct Body {
    info: ObjectInfo,
    rest: crate::cache::read::ObjectBody,
    hasher: XxHash3_128,
}

impl Body {
    fn new(object: Object) -> Self {
        let info = *object.info();
        Self { info, rest: object.into_body(0..info.length), hasher: XxHash3_128::new() }
    }

    /// The next bytes, `about` so many or all that are left; none at the end.
    async fn read(&mut self, about: u64) -> Result<Vec<Bytes>, CacheError> {
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        while bytes < about
            && let Some(chunk) = self.rest.next_chunk().await?
        {
            self.hasher.write(&chunk);
            bytes += chunk.len() as u64;
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    fn is_as_stored(&self) -> bool {
        ETag(self.hasher.finish_128()) == self.info.etag
    }
}

fn marked(info: &ObjectInfo) -> Marked {
    Marked { checksum: info.etag.0, cost_ms: info.cost_ms }
}
