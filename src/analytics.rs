//! What the server learns of its use: who asks, what they find, what it saved, and which build it was for.
//!
//! [`Analytics`] is told of every hit, miss and stored object in one place for all protocols, and hands it on to the counters
//! by namespace and protocol ([`counts`]), by client ([`clients`]) and by build ([`sessions`]); what the counters were, [`history`]
//! keeps. A hit without a session label costs a few atomic additions here: no lock, no allocation, no hash of a string. Beside them
//! stand the measurements that need more than a counter, each in bounded memory: how large the cache should be ([`Curve`]), what its
//! evictions cost ([`Evictions`]) and what an object cost to make ([`MissClock`]); these know no metrics and no clock. None of it
//! knows requests, routes or the cache.

pub mod clients;
pub mod counts;
pub mod history;
pub mod sessions;
pub mod summary;

mod curve;
mod evictions;
mod miss_clock;
mod saving;
mod sizes;

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use self::curve::{Curve, DEFAULT_SAMPLES, FACTORS, Point, StateError};
pub use self::evictions::{AGE_LIMITS, EvictionCounts, Evictions};
pub use self::miss_clock::{LONGEST_COST, MissClock};

use self::clients::{Client, Clients};
pub use self::counts::Protocol;
use self::counts::{Counts, NamespaceTotals, Totals};
use self::history::History;
use self::sessions::{Label, Session, SessionSummary, Sessions};
use self::sizes::Sizes;
use crate::config::Config;
use crate::key::ObjectName;
use crate::metrics::Metrics;
use crate::object::ObjectInfo;

/// What the server learnt. Clones share it.
#[derive(Clone)]
pub struct Analytics(Arc<Shared>);

struct Shared {
    counts: Counts,
    clients: Clients,
    sessions: Sessions,
    history: History,
    misses: MissClock,
    sizes: Sizes,
    /// Made anew in each process: what waits does not outlive it.
    hasher: RandomState,
}

/// On whose account a request goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account<'a> {
    /// What it speaks.
    pub protocol: Protocol,
    /// The build it belongs to, where it says so.
    pub session: Option<&'a Session>,
}

impl Analytics {
    /// Counters for the namespaces of `config`, and the sessions that were saved in its data directory, which has to be locked.
    #[must_use]
    pub fn open(config: &Config, metrics: &Metrics) -> Self {
        Self(Arc::new(Shared {
            counts: Counts::new(config, metrics),
            clients: Clients::new(metrics),
            sessions: Sessions::open(&directory(&config.data_dir), config.capacity),
            history: History::open(&directory(&config.data_dir), config.capacity, metrics.clone()),
            misses: MissClock::new(),
            sizes: Sizes::open(&directory(&config.data_dir), config.capacity, metrics),
            hasher: RandomState::new(),
        }))
    }

    /// A GET found `name`, of which `bytes` go out.
    pub fn hit(&self, account: Account<'_>, name: &ObjectName, found: &ObjectInfo, bytes: u64) {
        if is_counted(name) {
            self.0.counts.hit(&name.namespace, account.protocol, bytes, found.cost_ms);
            self.0.sizes.hit(name, found.length);
            if let Some(session) = account.session {
                session.hit(found.cost_ms);
            }
        }
    }

    /// A GET found nothing of this name.
    pub fn miss(&self, account: Account<'_>, name: &ObjectName) {
        if is_counted(name) {
            self.0.counts.miss(&name.namespace, account.protocol);
            self.0.misses.missed(self.hash(account, name), now_ms());
            self.0.sizes.miss(name);
            if let Some(session) = account.session {
                session.miss();
            }
        }
    }

    /// What `name` cost to make, in milliseconds, by the time since somebody missed it; `None`: nobody did. To be asked once a PUT,
    /// when its head was read: the time of the upload is none of it.
    #[must_use]
    pub fn cost_ms(&self, account: Account<'_>, name: &ObjectName) -> Option<u32> {
        if !is_counted(name) {
            return None;
        }
        self.0.misses.stored(self.hash(account, name), now_ms())
    }

    /// A PUT stored `name`, of `bytes`, which had cost `cost_ms` to make.
    pub fn stored(&self, account: Account<'_>, name: &ObjectName, bytes: u64, cost_ms: Option<u32>) {
        if is_counted(name) {
            self.0.counts.stored(&name.namespace, account.protocol);
            self.0.sizes.stored(name, bytes, cost_ms.is_some());
            if let Some(session) = account.session {
                session.stored(name, bytes, cost_ms.unwrap_or(0));
            }
        }
    }

    /// A client deleted `name`.
    pub fn deleted(&self, name: &ObjectName) {
        if is_counted(name) {
            self.0.sizes.deleted(name);
        }
    }

    /// What caches of other sizes would have answered, smallest first; `None` while nothing was read.
    #[must_use]
    pub fn curve(&self) -> Option<[Point; FACTORS.len()]> {
        self.0.sizes.points()
    }

    /// Brings the gauges that are not counted along up to date.
    pub fn update_gauges(&self) {
        self.0.sizes.update_gauges();
    }

    /// Counts a request of a client that calls itself so, in the header `User-Agent`.
    pub fn request(&self, user_agent: Option<&[u8]>) -> Client {
        self.0.clients.request(user_agent)
    }

    /// The session of a request that a known caller made with this label, which is counted in it.
    #[must_use]
    pub fn session(&self, principal: &str, label: Label, client: Client) -> Arc<Session> {
        self.0.sessions.request(principal, label, self.0.clients.label(client), now_ms())
    }

    /// The answer to a session's request came to its end after `seconds`, with so many bytes of its body sent.
    pub fn answered(&self, session: &Session, seconds: f64, sent_bytes: u64) {
        session.answered(seconds, sent_bytes, now_ms());
    }

    /// The sessions that were used last, at most `limit` of them, the newest first.
    #[must_use]
    pub fn sessions(&self, limit: usize) -> Vec<SessionSummary> {
        self.0.sessions.list(limit, now_ms())
    }

    /// All namespaces and protocols together, since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.0.counts.totals()
    }

    /// The same by namespace or pattern, in the order of the configuration.
    pub fn namespaces(&self) -> impl Iterator<Item = NamespaceTotals<'_>> {
        self.0.counts.namespaces()
    }

    /// Requests by client since the start, those with most first.
    #[must_use]
    pub fn clients(&self) -> Vec<(String, u64)> {
        self.0.clients.all()
    }

    /// What the main counters were in the last hour, day and week.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.0.history
    }

    /// Writes what is to outlive the process, if there is anything new. Blocks on the disk. A failure is logged: nothing hangs on it.
    pub fn save(&self) {
        self.0.sessions.save();
        self.0.history.save();
        self.0.sizes.save(now_ms());
    }

    /// Two builds that miss the same object at the same time are told apart where they say who they are.
    fn hash(&self, account: Account<'_>, name: &ObjectName) -> u64 {
        self.0.hasher.hash_one((account.session.map(Session::id), name))
    }
}

/// Most bytes that the files in the data directory take, in a server of this capacity: each, and the one that is about to replace it.
#[must_use]
pub fn most_disk_bytes(capacity: u64) -> u64 {
    2 * (sessions::most_bytes(capacity) + history::most_bytes(capacity) + sizes::most_bytes(capacity))
}

/// Where below the data directory all of this is kept.
#[must_use]
pub fn directory(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("analytics")
}

/// What sccache asks to learn its rights, and the parts of uploads, are nobody's build.
fn is_counted(name: &ObjectName) -> bool {
    !name.key.is_probe() && !name.namespace.is_uploads()
}

/// Milliseconds since 1970, as sessions have their times.
#[must_use]
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    in_ms(now)
}

fn in_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
