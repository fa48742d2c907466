//! The forms in which the server tells of itself: what `/-/api/summary` and `/-/api/sessions` answer, and `larder stats` reads.
//!
//! Owns the fields and their meanings. Fields may be added; none changes its meaning or goes without a new path. It must not
//! know where the numbers come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sessions::SessionSummary;

/// What `/-/api/summary` answers. Counts are since the start of the process; a value that is not known is `null`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Version of larder.
    pub version: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// False while the index is loaded.
    pub ready: bool,
    /// Addresses that clients can be given, the best first. Without a namespace.
    pub url_hints: Vec<String>,
    /// Configured capacity.
    pub capacity_bytes: u64,
    /// Bytes of disk blocks that the data directory takes.
    pub disk_bytes: u64,
    /// Objects in the cache.
    pub stored_objects: u64,
    /// Bytes of their bodies.
    pub stored_bytes: u64,
    /// GETs that found their object.
    pub hits: u64,
    /// GETs that did not.
    pub misses: u64,
    /// The share of hits in both, 0 to 1.
    pub hit_ratio: Option<f64>,
    /// Bytes of bodies that hits sent.
    pub hit_bytes: u64,
    /// What the hits' objects had cost to make, as far as that is known.
    pub time_saved_seconds: f64,
    /// Requests being answered, this one included.
    pub requests_in_flight: u64,
    /// Open connections, this one's included.
    pub connections: u64,
    /// Bytes of request bodies taken in.
    pub received_bytes: u64,
    /// Bytes of object bodies sent.
    pub sent_bytes: u64,
    /// Objects evicted, by reason.
    pub evictions: BTreeMap<String, u64>,
    /// Seconds since its last use of the object evicted last.
    pub last_evicted_age_seconds: Option<u64>,
    /// The share of stored bytes, 0 to 1, that nobody read before they were evicted.
    pub never_read_share: Option<f64>,
    /// Every namespace that the configuration names, and every pattern.
    pub namespaces: Vec<NamespaceSummary>,
    /// What caches of other sizes would have answered; `None` while too little was seen.
    pub curve: Option<Vec<CurvePoint>>,
    /// The bucket behind the disk; `None`: there is none.
    pub bucket: Option<BucketSummary>,
    /// Requests by client, those with most first.
    pub clients: Vec<ClientSummary>,
    /// What a person should look at, the worst first. Never empty: where nothing is wrong, it says so.
    pub health: Vec<Health>,
}

/// One namespace, or all that a pattern matches.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NamespaceSummary {
    /// Name or pattern.
    pub name: String,
    /// Objects in it.
    pub objects: u64,
    /// Bytes of disk blocks of its objects.
    pub disk_bytes: u64,
    /// Its quota; the capacity where it has none.
    pub quota_bytes: u64,
    /// GETs that found their object.
    pub hits: u64,
    /// GETs that did not.
    pub misses: u64,
    /// What the hits' objects had cost to make.
    pub time_saved_seconds: f64,
}

/// A point of the miss-ratio curve.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Size as a multiple of the capacity.
    pub factor: f64,
    /// Size in bytes.
    pub capacity_bytes: u64,
    /// The share of GETs, 0 to 1, that a cache of this size would have answered.
    pub predicted_hit_ratio: f64,
}

/// The bucket behind the disk.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BucketSummary {
    /// Its URL.
    pub url: String,
    /// False: it failed, and is left alone or only tried now and then.
    pub is_up: bool,
    /// Seconds since when it fails.
    pub failing_for_seconds: Option<u64>,
    /// What the last failure said, where it fails.
    pub last_error: Option<String>,
    /// Objects that wait to be written to it, or to be deleted from it.
    pub queue_objects: u64,
    /// Bytes of those that wait to be written.
    pub queue_bytes: u64,
}

/// A client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientSummary {
    /// Product, and version of some.
    pub client: String,
    /// Its requests.
    pub requests: u64,
}

/// Something that a person should know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// How bad it is.
    pub level: Level,
    /// What is, and what to do.
    pub text: String,
}

/// How bad something is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Builds have less of the cache than they should.
    Bad,
    /// It works, and will not for long, or worse than it could.
    Warn,
    /// Nothing to do.
    Ok,
}

/// What `/-/api/sessions` answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SessionList {
    /// The server's time, in milliseconds since 1970: what the sessions' times are to be compared with.
    pub now_ms: u64,
    /// The sessions used last, the newest first.
    pub sessions: Vec<SessionSummary>,
}
