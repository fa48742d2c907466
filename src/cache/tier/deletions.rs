//! Deleting in the bucket what clients have deleted: behind them, in batches, tried until the bucket has heard of it.

use std::sync::Arc;
use std::time::Duration;

use super::uploader::backoff;
use super::{Operation, Tier};
use crate::cache::state::State;

/// Deleted in one call at most: S3's own limit.
const BATCH: usize = 1000;
/// Between two looks at marks that could not be worked off: their objects are on disk again, or are being written.
const ROUND: Duration = Duration::from_secs(5);

/// Works the marks off, for ever.
pub(super) async fn delete_marked(state: Arc<State>, tier: Arc<Tier>) {
    let mut failures = 0;
    loop {
        // A mark from before the start may be about a record that the index has yet to load.
        let is_done = if state.is_ready() { delete_some(&state, &tier).await } else { None };
        match is_done {
            Some(true) => {
                failures = 0;
                continue;
            }
            Some(false) => {
                failures += 1;
                tier.queue.pause(backoff(failures)).await;
            }
            None => {
                failures = 0;
                let _ = tokio::time::timeout(ROUND, tier.deleting.notified()).await;
            }
        }
    }
}

/// Deletes some of what is marked. `None`: nothing can be deleted now; false: the bucket failed.
async fn delete_some(state: &State, tier: &Tier) -> Option<bool> {
    let mut claims = Vec::new();
    let marks = tier.catalogue.marks(BATCH, |mark| {
        // Whose object it was the configuration may not say any more; then nobody writes it either.
        let Some(hash) = tier.name(&mark.path).map(|name| state.table.hash(&name)) else { return true };
        // Written again: the upload takes the mark away.
        let is_again = state.table.peek(hash, |slot| slot.sequence >= mark.sequence);
        if is_again.is_some_and(|(_, is_again)| is_again) {
            return false;
        }
        match tier.queue.claim(hash) {
            Some(claim) => {
                claims.push(claim);
                true
            }
            None => false,
        }
    });
    if marks.is_empty() {
        return None;
    }
    let paths = marks.iter().map(|mark| mark.path.clone()).collect();
    let call = tier.bucket.delete_all(paths);
    let deleted = tier.call(Operation::Delete, tier.options.write_timeout, call).await;
    let Ok(gone) = deleted else { return Some(false) };
    for mark in marks.iter().filter(|mark| gone.contains(&mark.path)) {
        tier.is_gone(&mark.path, "deleted");
        tier.catalogue.unmark(&mark.path, mark.sequence);
    }
    Some(gone.len() == marks.len())
}
