//! The budget of the bucket: what lies in it is listed now and then, and what is over its time or its capacity is removed.
//!
//! Every server that shares the bucket lists it and brings its catalogue up to date; only the one that holds the lease
//! removes. In two listings, so that memory does not grow with the bucket: the first finds out how old what has to go is
//! ([`survey`]), the second removes it ([`sweep`]). What is nobody's is neither counted nor touched.

mod ages;
mod lease;
mod seen;
mod survey;
mod sweep;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use self::survey::Survey;
use super::breaker::jitter;
use super::catalogue::Known;
use super::{Operation, Tier, rescan, upkeep};
use crate::bucket::{BucketError, BucketPath, BucketRow};
use crate::cache::indexer::SharedIndexer;
use crate::cache::state::{State, gauge};
use crate::index::table::{NameHash, Space};

/// Rows looked at in one go: what most stores list in one call.
const PAGE: usize = 1000;
/// Time that one page has.
const PAGE_TIME: Duration = Duration::from_secs(60);
/// Most time from the start to the first listing.
const FIRST_AFTER: Duration = Duration::from_secs(20);
/// Least time between two listings when there seems to be more than the capacity, for who removes and for who does not.
const HURRY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));
/// Down to this part below the capacity it goes, so that not every upload lists.
const BELOW_PART: u64 = 20;
/// Below it lie larder's own notes.
pub(in crate::cache) const OWN_PREFIX: &str = ".larder/";

/// Lists the bucket and keeps its budget, for ever.
pub(super) async fn keep(state: Arc<State>, tier: Arc<Tier>, indexer: Arc<SharedIndexer>) {
    let interval = tier.options.scan_interval;
    // Servers that start together need not list together.
    tokio::time::sleep(interval.min(FIRST_AFTER.mul_f64(0.25 + 0.75 * jitter()))).await;
    loop {
        let began = Instant::now();
        let mut removes = false;
        if state.is_ready() {
            match scan(&state, &tier, &indexer).await {
                Ok(did_remove) => removes = did_remove,
                Err(error) => {
                    tracing::warn!(%error, "the bucket could not be listed to its end; tried again later");
                }
            }
        }
        let hurry = if removes { HURRY.0 } else { HURRY.1 }.min(interval / 2);
        let rest = |time: Duration| time.saturating_sub(began.elapsed());
        tokio::time::sleep(rest(hurry)).await;
        let _ = tokio::time::timeout(rest(interval), tier.over_capacity.notified()).await;
    }
}

/// Compares the bucket with what is known of it, and mends what is known. Nothing is removed.
async fn survey(state: &Arc<State>, tier: &Arc<Tier>) -> Result<Survey, BucketError> {
    let mut survey = Survey::new(state, tier);
    let mut pages = Pages::new(tier);
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        let (state, tier) = (Arc::clone(state), Arc::clone(tier));
        let taken_in = move || {
            let survey = survey.with(&state, &tier, &page);
            // A page adds no more to it than the budget keeps between two counts; many would.
            upkeep::count_catalogue(&state, &tier);
            survey
        };
        survey = blocking(taken_in).await?;
    }
    let shared = Arc::clone(tier);
    let survey = blocking(move || survey.finish(&shared)).await?;
    tier.metrics.bucket_objects.set(gauge(survey.objects));
    tier.metrics.bucket_bytes.set(gauge(survey.bytes));
    Ok(survey)
}

/// True when this server is the one that removes.
async fn scan(
    state: &Arc<State>,
    tier: &Arc<Tier>,
    indexer: &Arc<SharedIndexer>,
) -> Result<bool, BucketError> {
    let mut survey = survey(state, tier).await?;
    // Where the capacity is what took them, they would only take others' place.
    let bytes = survey.bytes;
    let capacity = tier.options.capacity.unwrap_or(u64::MAX);
    let target = capacity - capacity / BELOW_PART;
    let room = target.saturating_sub(bytes);
    let lost = std::mem::take(&mut survey.vanished);
    if let Err(error) = rescan::queue_lost(state, tier, indexer, lost, room).await {
        tracing::warn!(%error, "what the bucket has lost could not be looked for on disk");
    }
    let excess = if bytes > capacity { bytes - target } else { 0 };
    let idle = survey.idle(state);
    if excess == 0 && survey.over == 0 && idle.is_empty() {
        return Ok(false);
    }
    if !lease::hold(state, tier).await? {
        return Ok(false);
    }
    let sweep = sweep::Sweep::new(state, tier, &survey, excess, idle);
    let removed = sweep.run().await?;
    tracing::info!(objects = removed.objects, bytes = removed.bytes, "removed from the bucket");
    Ok(true)
}

/// What a row is about.
struct Judged {
    hash: NameHash,
    space: Space,
    /// The last use that this server knows of, milliseconds since the Unix epoch; being written is one.
    used_ms: u64,
    /// True when its time is over.
    is_over: bool,
    /// What the catalogue has of it.
    known: Option<Known>,
}

impl Judged {
    /// `None`: it is nobody's.
    fn new(state: &State, tier: &Tier, row: &BucketRow, now_ms: u64) -> Option<Self> {
        let name = tier.name(&row.path)?;
        let (hash, space) = (state.table.hash(&name), state.spaces.of_object(&name));
        let on_disk = state.table.peek(hash, |slot| slot.used_us / 1000).map_or(0, |(_, used_ms)| used_ms);
        let known = tier.catalogue.get(&row.path);
        let used_ms = row.modified_ms.max(on_disk).max(known.map_or(0, |known| known.used_ms));
        let ttl_ms = tier.options.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let is_unused = ttl_ms.is_some_and(|ttl_ms| used_ms.saturating_add(ttl_ms) <= now_ms);
        let is_over = is_unused || state.spaces.rules(space.group).is_over(row.modified_ms, now_ms);
        Some(Self { hash, space, used_ms, is_over, known })
    }
}

/// True for larder's own notes.
pub(super) fn is_own(tier: &Tier, path: &BucketPath) -> bool {
    tier.bucket.below(path).is_some_and(|below| below.starts_with(OWN_PREFIX))
}

/// A listing, a page at a time.
pub(super) struct Pages<'a> {
    tier: &'a Tier,
    rows: BoxStream<'static, Result<BucketRow, BucketError>>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(tier: &'a Tier) -> Self {
        Self { tier, rows: tier.bucket.list() }
    }

    /// The next page; empty at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<BucketRow>, BucketError> {
        let rows = &mut self.rows;
        let page = async {
            let mut page = Vec::new();
            while page.len() < PAGE
                && let Some(row) = rows.next().await
            {
                match row {
                    Ok(row) => page.push(row),
                    // Nobody's: no object of larder has such a key.
                    Err(BucketError::Impossible(cause)) => {
                        tracing::warn!(cause = %cause.escape_debug(), "an object in the bucket is left out");
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(page)
        };
        self.tier.call(Operation::List, PAGE_TIME, page).await
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BucketError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| BucketError::Unavailable(format!("this server is going down: {error}")))
}
