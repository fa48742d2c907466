//! Removing uploads that nobody completed within a day.
//!
//! Must not know when it is called.

use std::time::SystemTime;

use super::stored::{RECORD, is_over, remove_all};
use crate::cache::CacheError;
use crate::key::{Namespace, ObjectKey};
use crate::protocol::Context;
use crate::protocol::s3::listing::BATCH;

/// Removes every upload that was begun over a day before `now`, and parts whose upload has ended. Returns how many objects
/// that were. Nothing is removed while the index loads, when an upload may only seem to have ended.
///
/// # Errors
/// Those of listing and deleting.
pub(in crate::protocol) async fn expire(context: &Context, now: SystemTime) -> Result<usize, CacheError> {
    let uploads = Namespace::uploads();
    let (mut after, mut removed) = (None::<String>, 0);
    // The parts of one upload, whose record comes behind them.
    let mut parts: Vec<ObjectKey> = Vec::new();
    if !context.cache.is_ready() {
        return Ok(0);
    }
    loop {
        let rows = context.cache.list(&uploads, "", after.as_deref(), BATCH).await?;
        let is_last = rows.len() < BATCH;
        for row in rows {
            after = Some(row.key.as_str().to_owned());
            let is_of_same = parts.first().is_none_or(|part| upload_of(part) == upload_of(&row.key));
            let ended = if is_of_same { Vec::new() } else { std::mem::take(&mut parts) };
            removed += remove_all(&context.cache, ended).await?;
            if row.key.last_segment() != RECORD {
                parts.push(row.key);
                continue;
            }
            let mut upload = std::mem::take(&mut parts);
            if is_over(row.info.modified(), now) {
                upload.push(row.key);
                removed += remove_all(&context.cache, upload).await?;
            }
        }
        if is_last {
            return Ok(removed + remove_all(&context.cache, parts).await?);
        }
    }
}

/// The part of a key that all objects of one upload have.
fn upload_of(key: &ObjectKey) -> &str {
    key.as_str().rsplit_once('/').map_or(key.as_str(), |(upload, _)| upload)
}
