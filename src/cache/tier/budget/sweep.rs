//! The second listing: what is over its time goes, then what was not used for the longest time until the capacity is kept.
//!
//! Each object is looked at once more right before it goes: one that was written or used since the first listing stays.

use std::collections::HashSet;
use std::sync::Arc;

use super::ages::Ages;
use super::survey::Survey;
use super::{Judged, PAGE, Pages, lease};
use crate::bucket::{BucketError, BucketPath, BucketRow};
use crate::cache::state::State;
use crate::cache::tier::{Operation, Tier};
use crate::index::table::{NameHash, Space};

/// Objects of the last class that are put in order before the oldest of them go. Of more than these any may go.
const MOST_SORTED: usize = 1 << 16;

/// What was removed.
#[derive(Clone, Copy, Default)]
pub(super) struct Removed {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// A removal under way.
pub(super) struct Sweep<'a> {
    state: &'a Arc<State>,
    tier: &'a Arc<Tier>,
    began_ms: u64,
    last_modified_ms: u64,
    excess: u64,
    idle: HashSet<Space>,
    /// Above this class of ages all goes.
    last_class: usize,
    batch: Vec<Victim>,
    removed: Removed,
    /// Bytes that went for the capacity's sake, or in spite of it.
    relieved: u64,
}

struct Victim {
    path: BucketPath,
    hash: NameHash,
    length: u64,
    used_ms: u64,
    reason: &'static str,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(
        state: &'a Arc<State>,
        tier: &'a Arc<Tier>,
        survey: &Survey,
        excess: u64,
        idle: HashSet<Space>,
    ) -> Self {
        Self {
            state,
            tier,
            began_ms: survey.began_ms,
            last_modified_ms: survey.last_modified_ms,
            excess,
            idle,
            last_class: survey.ages.last_class_of(excess),
            batch: Vec::new(),
            removed: Removed::default(),
            relieved: 0,
        }
    }

    pub(super) async fn run(mut self) -> Result<Removed, BucketError> {
        let mut pages = Pages::new(self.tier);
        let mut edge: Vec<Victim> = Vec::new();
        loop {
            let page = pages.next().await?;
            if page.is_empty() {
                break;
            }
            for row in &page {
                let Some((victim, class)) = self.judge(row) else { continue };
                if class > self.last_class || victim.reason != "capacity" {
                    self.add(victim).await?;
                } else if class == self.last_class && edge.len() < MOST_SORTED {
                    edge.push(victim);
                }
            }
        }
        self.remove_batch().await?;
        edge.sort_unstable_by_key(|victim| victim.used_ms);
        for victim in edge {
            // Those in the batch are as good as gone.
            let waiting: u64 = self.batch.iter().map(|victim| victim.length).sum();
            if self.relieved + waiting >= self.excess {
                break;
            }
            self.add(victim).await?;
        }
        self.remove_batch().await?;
        Ok(self.removed)
    }

    /// Why an object has to go, if it has to, and the class of its age.
    fn judge(&self, row: &BucketRow) -> Option<(Victim, usize)> {
        if row.modified_ms > self.last_modified_ms {
            return None;
        }
        let Judged { hash, space, used_ms, is_over, .. } =
            Judged::new(self.state, self.tier, row, self.began_ms)?;
        let reason = if is_over {
            "expired"
        } else if self.idle.contains(&space) && used_ms < self.began_ms {
            "idle"
        } else if self.excess > 0 {
            "capacity"
        } else {
            return None;
        };
        let class = Ages::class(self.began_ms.saturating_sub(used_ms));
        let victim = Victim { path: row.path.clone(), hash, length: row.length, used_ms, reason };
        Some((victim, class))
    }

    async fn add(&mut self, victim: Victim) -> Result<(), BucketError> {
        self.batch.push(victim);
        if self.batch.len() >= PAGE { self.remove_batch().await } else { Ok(()) }
    }

    async fn remove_batch(&mut self) -> Result<(), BucketError> {
        let mut batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        if !lease::is_held(self.state, self.tier) && !lease::hold(self.state, self.tier).await? {
            return Err(BucketError::Unavailable("another server has taken over".into()));
        }
        let mut claims = Vec::with_capacity(batch.len());
        batch.retain(|victim| {
            let claim = self.tier.queue.claim(victim.hash);
            let is_unused = claim.is_some() && self.is_unused(victim);
            claims.extend(claim.filter(|_| is_unused));
            is_unused
        });
        let paths = batch.iter().map(|victim| victim.path.clone()).collect();
        let delete = self.tier.bucket.delete_all(paths);
        let gone = self.tier.call(Operation::Delete, self.tier.options.write_timeout, delete).await?;
        for victim in batch.iter().filter(|victim| gone.contains(&victim.path)) {
            self.tier.is_gone(&victim.path, victim.reason);
            self.removed.objects += 1;
            self.removed.bytes += victim.length;
            if victim.reason == "capacity" {
                self.relieved += victim.length;
            }
        }
        Ok(())
    }

    /// True when nobody has used or written it here since it was judged.
    fn is_unused(&self, victim: &Victim) -> bool {
        let known = self.tier.catalogue.get(&victim.path).map_or(0, |known| known.used_ms);
        let on_disk = self.state.table.peek(victim.hash, |slot| (slot.used_us / 1000, slot.unsaved));
        let is_used = on_disk.is_some_and(|(_, (used_ms, unsaved))| unsaved || used_ms > victim.used_ms);
        !is_used && known <= victim.used_ms
    }
}
