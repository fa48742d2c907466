//! Health: what a person should look at, in words that say what to do.
//!
//! Owns what is bad and how bad. Pure: from what is known to sentences.

use super::recent::Counted;
use crate::analytics::summary::{BucketSummary, Health, Level};

/// Evicting objects that were used more recently is a sign of a cache that is too small, in seconds.
const YOUNG: u64 = 24 * 3600;
/// Refusals an hour that are more than somebody mistyping a token.
const MANY_REFUSALS: u64 = 20;

/// What health is judged by.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    pub(super) is_ready: bool,
    pub(super) index_on_disk: bool,
    pub(super) capacity_bytes: u64,
    pub(super) disk_bytes: u64,
    /// 0: not known yet.
    pub(super) free_disk_bytes: u64,
    pub(super) min_free_disk: u64,
    pub(super) last_evicted_age_seconds: u64,
    pub(super) bucket: Option<BucketSummary>,
    /// In the last hour.
    pub(super) recent: Counted,
}

/// What there is to say, the worst first.
pub(super) fn judge(signs: &Signs) -> Vec<Health> {
    let mut found = Vec::new();
    let mut say = |level, text: String| found.push(Health { level, text });
    if !signs.is_ready {
        say(Level::Warn, "the index is being loaded: objects that are not known yet are misses".to_owned());
    }
    if signs.is_ready && !signs.index_on_disk {
        let text = "the index is kept in memory only: the next start reads all data anew; look at the log, and at the rights and room of the data directory";
        say(Level::Warn, text.to_owned());
    }
    disk(signs, &mut say);
    if let Some(bucket) = &signs.bucket {
        self::bucket(bucket, signs.recent.not_queued, &mut say);
    }
    let Counted { damaged, auth_refusals, store_errors, .. } = signs.recent;
    if damaged > 0 {
        let text = format!("{damaged} damaged records were dropped in the last hour: look at the disk");
        say(Level::Bad, text);
    }
    if store_errors > 0 {
        let text = format!("the disk failed {store_errors} times in the last hour: the log says how");
        say(Level::Bad, text);
    }
    if auth_refusals >= MANY_REFUSALS {
        let text = format!(
            "{auth_refusals} requests were refused for who asked in the last hour: the log says who (larder::audit); builds with a wrong token run without the cache"
        );
        say(Level::Warn, text);
    }
    if found.is_empty() {
        return vec![Health { level: Level::Ok, text: "nothing to do".to_owned() }];
    }
    found.sort_by_key(|health| health.level);
    found
}

fn disk(signs: &Signs, say: &mut impl FnMut(Level, String)) {
    let known = signs.free_disk_bytes > 0;
    let could_grow = signs.free_disk_bytes.saturating_sub(signs.min_free_disk);
    let is_short = known && signs.disk_bytes.saturating_add(could_grow) < signs.capacity_bytes;
    if known && signs.free_disk_bytes < signs.min_free_disk {
        let text = "the disk is nearly full, less than min_free_disk is free: free some room on it, or lower the capacity";
        say(Level::Bad, text.to_owned());
    } else if is_short {
        let text = "the disk, by min_free_disk, and not the capacity limits the cache: free some room on it, or lower the capacity";
        say(Level::Warn, text.to_owned());
    }
    if signs.recent.evicted > 0 && signs.last_evicted_age_seconds < YOUNG {
        let what =
            if signs.recent.evicted_for_disk > 0 { "free room on the disk" } else { "raise the capacity" };
        let hours = signs.last_evicted_age_seconds / 3600;
        let text = format!(
            "objects are evicted that were used {hours} hours ago, before the next day's builds: {what}"
        );
        say(Level::Warn, text);
    }
}

fn bucket(bucket: &BucketSummary, not_queued: u64, say: &mut impl FnMut(Level, String)) {
    if !bucket.is_up {
        let since = bucket.failing_for_seconds.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
        let error = bucket.last_error.as_deref().unwrap_or("its log says how");
        say(Level::Bad, format!("the bucket fails{since}, what is only there is a miss: {error}"));
    }
    if not_queued > 0 {
        let text = format!(
            "{not_queued} objects were not queued for the bucket in the last hour, the queue is full: is the bucket too slow? Else raise queue_limit"
        );
        say(Level::Warn, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Signs {
        Signs {
            is_ready: true,
            index_on_disk: true,
            capacity_bytes: 100 << 30,
            disk_bytes: 60 << 30,
            free_disk_bytes: 50 << 30,
            min_free_disk: 1 << 30,
            last_evicted_age_seconds: 3 * YOUNG,
            ..Signs::default()
        }
    }

    fn said(signs: &Signs) -> Vec<(Level, String)> {
        judge(signs).into_iter().map(|health| (health.level, health.text)).collect()
    }

    #[test]
    fn all_is_well_until_something_is_not() {
        assert_eq!(said(&well()), [(Level::Ok, "nothing to do".to_owned())]);
        let bucket = |is_up| BucketSummary {
            url: "s3://b".to_owned(),
            is_up,
            failing_for_seconds: Some(9),
            last_error: Some("no route".to_owned()),
            queue_objects: 0,
            queue_bytes: 0,
        };
        let recent = Counted::default();
        for (signs, level, part) in [
            (Signs { is_ready: false, ..well() }, Level::Warn, "being loaded"),
            (Signs { index_on_disk: false, ..well() }, Level::Warn, "in memory only"),
            (Signs { free_disk_bytes: 30 << 30, ..well() }, Level::Warn, "by min_free_disk"),
            (Signs { free_disk_bytes: 1 << 20, ..well() }, Level::Bad, "nearly full"),
            (
                Signs { bucket: Some(bucket(false)), ..well() },
                Level::Bad,
                "for 9 s, what is only there is a miss: no route",
            ),
            (
                Signs { bucket: Some(bucket(true)), recent: Counted { not_queued: 3, ..recent }, ..well() },
                Level::Warn,
                "3 objects were not queued",
            ),
            (Signs { recent: Counted { damaged: 1, ..recent }, ..well() }, Level::Bad, "1 damaged"),
            (Signs { recent: Counted { store_errors: 2, ..recent }, ..well() }, Level::Bad, "failed 2 times"),
            (Signs { recent: Counted { auth_refusals: 20, ..recent }, ..well() }, Level::Warn, "20 requests"),
            (
                Signs { recent: Counted { evicted: 1, ..recent }, last_evicted_age_seconds: 7200, ..well() },
                Level::Warn,
                "2 hours ago",
            ),
        ] {
            let said = said(&signs);
            assert_eq!((said.len(), said[0].0), (1, level), "{said:?}");
            assert!(said[0].1.contains(part), "{said:?}");
        }
    }

    #[test]
    fn what_is_usual_is_nothing_to_say() {
        let recent = Counted { evicted: 9, auth_refusals: 3, ..Counted::default() };
        assert_eq!(said(&Signs { recent, ..well() })[0].0, Level::Ok);
        assert_eq!(
            said(&Signs { last_evicted_age_seconds: 1, ..well() })[0].0,
            Level::Ok,
            "not in the last hour"
        );
        assert_eq!(said(&Signs { free_disk_bytes: 0, ..well() })[0].0, Level::Ok, "nobody has looked yet");
    }

    #[test]
    fn the_worst_comes_first() {
        let recent = Counted { damaged: 1, ..Counted::default() };
        let levels: Vec<_> =
            said(&Signs { is_ready: false, recent, ..well() }).into_iter().map(|(level, _)| level).collect();
        assert_eq!(levels, [Level::Bad, Level::Warn]);
    }
}
