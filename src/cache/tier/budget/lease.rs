//! Which of the servers that share a bucket removes objects from it: the one whose name is in an object of its own.
//!
//! Read, write, wait, read back. Two servers that write at the same moment both wait, and the one that was overwritten
//! sees the other's name. Clocks of the servers may differ by a minute.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::OWN_PREFIX;
use crate::bucket::{BucketError, BucketPath, Marked, WriteMode};
use crate::cache::state::State;
use crate::cache::tier::{Operation, Tier};

/// Time that another server's write has to be seen.
const SETTLE: Duration = Duration::from_secs(2);
/// Least time that a lease lasts behind the next two listings.
const MARGIN_MS: u64 = 120_000;
/// A lease is written again when it ends within this time.
const RENEW_MS: u64 = 60_000;
/// A note of more bytes is none.
const MOST_BYTES: usize = 4096;

/// The note.
#[derive(Serialize, Deserialize)]
struct Lease {
    /// Who holds it.
    server: String,
    /// Until when, milliseconds since the Unix epoch.
    until_ms: u64,
}

/// True while this server holds it for some time yet.
pub(super) fn is_held(state: &State, tier: &Tier) -> bool {
    tier.lease_until_ms.load(Ordering::Acquire) > state.clock.now_ms().saturating_add(RENEW_MS)
}

/// Takes the lease, or goes on with it. False: another server has it.
///
/// # Errors
/// The bucket's.
pub(super) async fn hold(state: &State, tier: &Tier) -> Result<bool, BucketError> {
    let Some(path) = tier.bucket.path(&format!("{OWN_PREFIX}lease")) else { return Ok(false) };
    if tier.catalogue.server() == 0 {
        // It has lost its name for now.
        return Ok(false);
    }
    let server = format!("{:016x}", tier.catalogue.server());
    let now_ms = state.clock.now_ms();
    let found = read(tier, &path).await?;
    let is_own = |lease: &Lease| lease.server == server;
    if found.as_ref().is_some_and(|lease| !is_own(lease) && lease.until_ms > now_ms) {
        return Ok(false);
    }
    let interval_ms = u64::try_from(tier.options.scan_interval.as_millis()).unwrap_or(u64::MAX);
    let until_ms = now_ms.saturating_add(interval_ms.saturating_mul(2)).saturating_add(MARGIN_MS);
    let goes_on = found.as_ref().is_some_and(|lease| is_own(lease) && lease.until_ms > now_ms);
    let mode = if found.is_some() { WriteMode::Replace } else { WriteMode::Create };
    match write(tier, &path, &Lease { server: server.clone(), until_ms }, mode).await {
        Ok(()) => {}
        Err(BucketError::Exists) => return Ok(false),
        Err(error) => return Err(error),
    }
    if !goes_on {
        tokio::time::sleep(SETTLE).await;
        if !read(tier, &path).await?.is_some_and(|lease| is_own(&lease)) {
            return Ok(false);
        }
    }
    tier.lease_until_ms.store(until_ms, Ordering::Release);
    Ok(true)
}

/// What the note says; `None`: there is none, or it says nothing.
async fn read(tier: &Tier, path: &BucketPath) -> Result<Option<Lease>, BucketError> {
    let get = async {
        let mut read = tier.bucket.get(path, 0).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = read.body.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() > MOST_BYTES {
                break;
            }
        }
        Ok(bytes)
    };
    match tier.call(Operation::Get, tier.options.write_timeout, get).await {
        // One that cannot be read is replaced as one that has ended.
        Ok(bytes) => {
            Ok(Some(serde_json::from_slice(&bytes).unwrap_or(Lease { server: String::new(), until_ms: 0 })))
        }
        Err(BucketError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn write(tier: &Tier, path: &BucketPath, lease: &Lease, mode: WriteMode) -> Result<(), BucketError> {
    let bytes = serde_json::to_vec(lease).map_err(|error| BucketError::Unavailable(error.to_string()))?;
    let checksum = XxHash3_128::oneshot(&bytes);
    let put = tier.bucket.put(path, vec![bytes.into()], Marked::by(checksum), mode);
    tier.call(Operation::Put, tier.options.write_timeout, put).await
}
