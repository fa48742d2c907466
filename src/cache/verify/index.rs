//! The index on disk against the table, which was filled from the segments. Where they differ, it is written anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Stage, Watch};
use crate::cache::indexer::{SharedIndexer, catch_up};
use crate::cache::state::State;
use crate::index::{Index, IndexError};

/// Entries looked at in one go.
const PAGE: usize = 1024;

/// What was found in the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IndexFindings {
    /// Entries that are right.
    pub entries: u64,
    /// Objects that it did not have.
    pub missing: u64,
    /// Entries of what is not there, or lies elsewhere.
    pub stale: u64,
    /// True when it was written anew.
    pub is_rebuilt: bool,
    /// False: there is no place for it on disk.
    pub is_on_disk: bool,
}

impl IndexFindings {
    pub(super) fn is_good(&self) -> bool {
        self.is_on_disk && (self.is_rebuilt || self.missing == 0 && self.stale == 0)
    }

    fn differs(&self) -> bool {
        self.missing > 0 || self.stale > 0
    }
}

/// Compares, and has the index written anew where it is wrong. `None`: something went wrong in this process.
pub(super) async fn verify(
    state: &Arc<State>,
    indexer: &Arc<SharedIndexer>,
    watch: &Arc<dyn Watch>,
) -> Option<IndexFindings> {
    watch.begin(Stage::Index, Some(state.table.objects()));
    let (state, indexer, watch) = (Arc::clone(state), Arc::clone(indexer), Arc::clone(watch));
    let compared = tokio::task::spawn_blocking(move || {
        let mut findings = compare(&state, &*catch_up(&indexer), &*watch);
        if matches!(&findings, Ok(findings) if findings.differs()) {
            // A record may have been moved meanwhile: what is wrong is so again.
            findings = compare(&state, &*catch_up(&indexer), &*watch);
        }
        let error = match &findings {
            Ok(findings) if !findings.differs() => None,
            Ok(_) => Some(IndexError::Engine("it differs from the segments".to_owned())),
            Err(error) => Some(IndexError::Engine(error.to_string())),
        };
        let mut findings = findings.unwrap_or_default();
        if let Some(error) = error {
            watch.tell(&format!("the index on disk is written anew: {error}"));
            indexer.begin_anew(&error);
            catch_up(&indexer);
            findings.is_rebuilt = true;
        }
        findings.is_rebuilt |= state.metrics.index_rebuilds.get() > 0;
        findings.is_on_disk = state.index_on_disk.load(Ordering::Acquire);
        findings
    });
    compared.await.ok()
}

fn compare(state: &State, index: &dyn Index, watch: &dyn Watch) -> Result<IndexFindings, IndexError> {
    let mut findings = IndexFindings::default();
    let mut from = 0;
    while !watch.is_stopped() {
        let page = index.entries_from(from, PAGE)?;
        for entry in &page {
            let slot = state.table.peek(state.table.hash(&entry.name), |_| ());
            let is_right = slot
                .is_some_and(|(slot, ())| slot.sequence == entry.sequence && slot.location == entry.location);
            *if is_right { &mut findings.entries } else { &mut findings.stale } += 1;
        }
        watch.advance(page.len() as u64);
        match page.last().filter(|_| page.len() == PAGE) {
            Some(last) => from = last.sequence + 1,
            None => {
                findings.missing = state.table.objects().saturating_sub(findings.entries);
                break;
            }
        }
    }
    Ok(findings)
}
