//! The first listing: what there is, how long ago it was used, and where the catalogue is wrong.

use std::collections::{HashMap, HashSet};

use super::Judged;
use super::ages::Ages;
use super::seen::Seen;
use crate::bucket::BucketRow;
use crate::cache::state::State;
use crate::cache::tier::Tier;
use crate::cache::tier::catalogue::{self, Known, PathHash};
use crate::index::table::Space;

/// A use that the catalogue does not know is written down when it is so much later, in milliseconds.
const LATER_MS: u64 = 600_000;

/// What a listing has found.
pub(super) struct Survey {
    /// Objects in the bucket.
    pub(super) objects: u64,
    /// Bytes of their bodies.
    pub(super) bytes: u64,
    /// When it began, milliseconds since the Unix epoch.
    pub(super) began_ms: u64,
    /// The latest write in it, by the bucket's clock: what was written later is not meant.
    pub(super) last_modified_ms: u64,
    /// Objects whose time is over.
    pub(super) over: u64,
    pub(super) ages: Ages,
    /// What was known and is not there any more.
    pub(super) vanished: HashSet<PathHash>,
    /// The newest use of each namespace of a pattern, milliseconds since the Unix epoch.
    newest_use: HashMap<Space, u64>,
    seen: Seen,
}

impl Survey {
    pub(super) fn new(state: &State, tier: &Tier) -> Self {
        Self {
            objects: 0,
            bytes: 0,
            began_ms: state.clock.now_ms(),
            last_modified_ms: 0,
            over: 0,
            ages: Ages::new(),
            vanished: HashSet::new(),
            newest_use: HashMap::new(),
            seen: Seen::new(tier.catalogue.rows().saturating_mul(2)),
        }
    }

    /// Takes a page in.
    pub(super) fn with(mut self, state: &State, tier: &Tier, page: &[BucketRow]) -> Self {
        for row in page {
            let Some(judged) = Judged::new(state, tier, row, self.began_ms) else { continue };
            self.objects += 1;
            self.bytes += row.length;
            self.last_modified_ms = self.last_modified_ms.max(row.modified_ms);
            self.over += u64::from(judged.is_over);
            // What is over goes anyway.
            if !judged.is_over {
                self.ages.add(self.began_ms.saturating_sub(judged.used_ms), row.length);
            }
            if state.spaces.idle_us(judged.space.group).is_some() {
                let newest = self.newest_use.entry(judged.space).or_default();
                *newest = judged.used_ms.max(*newest);
            }
            self.seen.add(&catalogue::hash_of(&row.path));
            self.mend(tier, row, &judged);
        }
        self
    }

    /// Brings what is known of one object up to date.
    fn mend(&self, tier: &Tier, row: &BucketRow, judged: &Judged) {
        let BucketRow { path, length, modified_ms } = row;
        let used_ms = judged.used_ms;
        let found = Known { checksum: None, length: *length, used_ms, modified_ms: *modified_ms };
        let Some(known) = judged.known else {
            tier.catalogue.put(path, found);
            return;
        };
        // Written, or used, since the listing began: the row may be older than what is known.
        if known.used_ms >= self.began_ms {
            return;
        }
        let is_same = known.length == *length && [0, *modified_ms].contains(&known.modified_ms);
        if !is_same {
            tier.catalogue.put(path, found);
        } else if known.modified_ms == 0 || used_ms > known.used_ms.saturating_add(LATER_MS) {
            tier.catalogue.put(path, Known { checksum: known.checksum, ..found });
        }
    }

    /// Forgets what was not listed.
    pub(super) fn finish(mut self, tier: &Tier) -> Self {
        tier.catalogue.visit(|hash, known| {
            if known.used_ms < self.began_ms && !self.seen.has(&hash) {
                tier.catalogue.remove_hash(hash);
                self.vanished.insert(hash);
            }
        });
        self
    }

    /// The namespaces of patterns that nobody has used for the time that they may be idle.
    pub(super) fn idle(&self, state: &State) -> HashSet<Space> {
        let is_idle = |(space, newest_ms): (&Space, &u64)| {
            let idle_ms = state.spaces.idle_us(space.group)? / 1000;
            (newest_ms.saturating_add(idle_ms) <= self.began_ms).then_some(*space)
        };
        self.newest_use.iter().filter_map(is_idle).collect()
    }
}
