//! Reading one body in the bucket, and whether it is what was stored there.

use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};
use twox_hash::XxHash3_128;

use super::Listed;
use crate::bucket::{BodyChecksum, BucketError};
use crate::cache::tier::uploader::backoff;
use crate::cache::tier::{Operation, Tier};

/// Times that a body is read where the bucket fails.
const ATTEMPTS: u32 = 5;

/// How it went.
pub(super) enum Read {
    Whole,
    /// Nobody knows what it should be; it has this XXH3-128.
    Unproven(u128),
    Damaged,
    /// It was removed since it was listed.
    Gone,
    Failed(BucketError),
}

/// Reads it, and again where it is damaged: the way here may be to blame.
pub(super) async fn read(tier: &Tier, listed: &Listed) -> Read {
    let mut was_damaged = false;
    let mut attempt = 1;
    loop {
        match read_once(tier, listed).await {
            Ok(Read::Damaged) if !was_damaged => was_damaged = true,
            Ok(read) => return read,
            Err(BucketError::NotFound) => return Read::Gone,
            Err(error) if attempt == ATTEMPTS => return Read::Failed(error),
            Err(_) => {
                tokio::time::sleep(backoff(attempt)).await;
                attempt += 1;
            }
        }
    }
}

async fn read_once(tier: &Tier, listed: &Listed) -> Result<Read, BucketError> {
    let limit = tier.options.write_timeout;
    let get = tier.bucket.get(&listed.row.path, 0);
    let mut read = tier.call(Operation::Get, limit, get).await?;
    let (mut xxh3, mut md5, mut length) = (XxHash3_128::new(), Md5::new(), 0);
    let wants_md5 = matches!(read.object.checksum, Some(BodyChecksum::Md5(_)));
    loop {
        let chunk = tokio::time::timeout(limit, read.body.next()).await;
        let Some(chunk) = chunk.map_err(|_| BucketError::TooSlow(limit))?.transpose()? else { break };
        xxh3.write(&chunk);
        if wants_md5 {
            md5.update(&chunk);
        }
        length += chunk.len() as u64;
    }
    if length != read.object.length {
        return Err(BucketError::Unavailable("the body ended early".to_owned()));
    }
    let found = xxh3.finish_128();
    // Without a checksum of its own, what was known of it counts, also where somebody has written it since.
    let is_whole = match read.object.checksum {
        Some(BodyChecksum::Xxh3(checksum)) => Some(checksum == found),
        Some(BodyChecksum::Md5(checksum)) => Some(md5.finalize()[..] == checksum),
        None => listed.known.and_then(|known| known.checksum).map(|checksum| checksum == found),
    };
    Ok(match is_whole {
        Some(true) => Read::Whole,
        Some(false) => Read::Damaged,
        None => Read::Unproven(found),
    })
}
