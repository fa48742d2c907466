//! One session: what the requests of a build found, cost and saved.
//!
//! Owns the counts and the two short lists of misses. It must not know when it is over for good, or who else there is.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{IDLE_MS, Label};
use crate::analytics::counts::ratio;
use crate::key::ObjectName;

/// Most misses in each of the two lists.
pub(super) const MOST_MISSES: usize = 10;
/// Most clients that are shown.
const SHOWN_CLIENTS: usize = 5;
/// Most clients that are told apart.
const MOST_CLIENTS: usize = 16;
/// Longest name of a miss that is kept, in bytes. What is cut off is its beginning: the end tells keys apart.
const LONGEST_NAME: usize = 200;

/// A build's requests. Requests on all threads tell it what they did.
#[derive(Debug)]
pub struct Session {
    id: u64,
    counts: Mutex<SessionSummary>,
}

/// A session as the pages show it and the file keeps it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SessionSummary {
    /// Number of the session, never given twice.
    pub id: u64,
    /// Whose it is: the token's name, the job's, `local` or `anonymous`.
    pub principal: String,
    /// Its label.
    pub label: String,
    /// When it began, in milliseconds since 1970.
    pub first_seen_ms: u64,
    /// When the last request began or ended, likewise.
    pub last_seen_ms: u64,
    /// False once nothing was asked for half an hour.
    #[serde(default)]
    pub is_running: bool,
    /// Requests of every kind, refused ones included.
    pub requests: u64,
    /// GETs that found their object.
    pub hits: u64,
    /// GETs that did not.
    pub misses: u64,
    /// The share of hits in both; `null`: there were none.
    #[serde(default)]
    pub hit_ratio: Option<f64>,
    /// PUTs that stored theirs. Copies and uploads in parts do not count.
    pub stored: u64,
    /// Bytes of bodies stored.
    pub stored_bytes: u64,
    /// Bytes of answers' bodies sent.
    pub sent_bytes: u64,
    /// Seconds from the heads of all requests to the ends of their answers, added up. Requests at the same time count each.
    pub cache_seconds: f64,
    /// Seconds that the objects of its hits had cost to make, added up, as far as that is known.
    pub time_saved_seconds: f64,
    /// Of what it stored, that which had cost most to make.
    pub slowest_misses: Vec<Miss>,
    /// Of what it stored, the largest.
    pub largest_misses: Vec<Miss>,
    /// Its clients, those with most requests first.
    pub clients: Vec<ClientRequests>,
}

/// An object that a session missed and then stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Miss {
    /// Namespace and key; of long ones the end, behind `…`.
    pub name: String,
    /// Bytes of its body.
    pub bytes: u64,
    /// What it cost to make, in milliseconds: from the miss to the upload. 0: unknown.
    pub cost_ms: u32,
}

/// A client and how much it asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientRequests {
    /// Product, and version of some.
    pub client: String,
    /// Its requests.
    pub requests: u64,
}

impl Session {
    pub(super) fn begin(id: u64, principal: &str, label: Label, now_ms: u64) -> Self {
        Self::of(SessionSummary {
            id,
            principal: principal.to_owned(),
            label: label.to_string(),
            first_seen_ms: now_ms,
            last_seen_ms: now_ms,
            is_running: true,
            requests: 0,
            hits: 0,
            misses: 0,
            hit_ratio: None,
            stored: 0,
            stored_bytes: 0,
            sent_bytes: 0,
            cache_seconds: 0.0,
            time_saved_seconds: 0.0,
            slowest_misses: Vec::new(),
            largest_misses: Vec::new(),
            clients: Vec::new(),
        })
    }

    /// One that was saved. What a file says is held to the same bounds.
    pub(super) fn resumed(mut saved: SessionSummary) -> Self {
        saved.slowest_misses.truncate(MOST_MISSES);
        saved.largest_misses.truncate(MOST_MISSES);
        saved.clients.truncate(MOST_CLIENTS);
        Self::of(saved)
    }

    fn of(counts: SessionSummary) -> Self {
        Self { id: counts.id, counts: Mutex::new(counts) }
    }

    /// Its number.
    pub(in crate::analytics) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn last_seen_ms(&self) -> u64 {
        self.counts.lock().last_seen_ms
    }

    /// Its counts as of now.
    #[must_use]
    pub fn summary(&self, now_ms: u64) -> SessionSummary {
        let mut summary = self.counts.lock().clone();
        summary.is_running = runs(summary.last_seen_ms, now_ms);
        summary.hit_ratio = ratio(summary.hits, summary.misses);
        summary.clients.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.client.cmp(&b.client)));
        summary.clients.truncate(SHOWN_CLIENTS);
        summary
    }

    /// A request of this client was made. False, and not counted: the session is over.
    pub(super) fn request(&self, client: &str, now_ms: u64) -> bool {
        let mut counts = self.counts.lock();
        if !runs(counts.last_seen_ms, now_ms) {
            return false;
        }
        counts.requests += 1;
        counts.last_seen_ms = counts.last_seen_ms.max(now_ms);
        let clients = &mut counts.clients;
        match clients.iter().position(|known| known.client == client) {
            Some(at) => clients[at].requests += 1,
            None if clients.len() < MOST_CLIENTS => {
                clients.push(ClientRequests { client: client.to_owned(), requests: 1 });
            }
            None => {}
        }
        true
    }

    /// A request ended after `seconds`, with so many bytes sent.
    pub(in crate::analytics) fn answered(&self, seconds: f64, sent_bytes: u64, now_ms: u64) {
        let mut counts = self.counts.lock();
        counts.cache_seconds += seconds;
        counts.sent_bytes += sent_bytes;
        counts.last_seen_ms = counts.last_seen_ms.max(now_ms);
    }

    pub(in crate::analytics) fn hit(&self, cost_ms: u32) {
        let mut counts = self.counts.lock();
        counts.hits += 1;
        counts.time_saved_seconds += f64::from(cost_ms) / 1000.0;
    }

    pub(in crate::analytics) fn miss(&self) {
        self.counts.lock().misses += 1;
    }

    pub(in crate::analytics) fn stored(&self, name: &ObjectName, bytes: u64, cost_ms: u32) {
        let mut counts = self.counts.lock();
        counts.stored += 1;
        counts.stored_bytes += bytes;
        let miss = || Miss { name: shown(name), bytes, cost_ms };
        if cost_ms > 0 {
            keep(&mut counts.slowest_misses, |kept| u64::from(kept.cost_ms), u64::from(cost_ms), miss);
        }
        keep(&mut counts.largest_misses, |kept| kept.bytes, bytes, miss);
    }
}

fn runs(last_seen_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(last_seen_ms) <= IDLE_MS
}

/// Puts a miss of this `weight` into a list that has the heaviest first, if it is among them.
fn keep(list: &mut Vec<Miss>, weigh: impl Fn(&Miss) -> u64, weight: u64, miss: impl FnOnce() -> Miss) {
    let at = list.partition_point(|kept| weigh(kept) >= weight);
    if at < MOST_MISSES {
        list.truncate(MOST_MISSES - 1);
        list.insert(at, miss());
    }
}

fn shown(name: &ObjectName) -> String {
    let text = name.to_string();
    if text.len() <= LONGEST_NAME {
        return text;
    }
    format!("…{}", &text[text.ceil_char_boundary(text.len() - LONGEST_NAME)..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Namespace, ObjectKey};

    fn name(key: &str) -> ObjectName {
        ObjectName { namespace: Namespace::default_namespace(), key: ObjectKey::new(key).unwrap() }
    }

    fn session() -> Session {
        Session::begin(1, "ci", "build".parse().unwrap(), 5)
    }

    #[test]
    fn what_requests_tell_is_added_up() {
        let session = session();
        session.request("sccache 0.10.0", 10);
        session.miss();
        session.stored(&name("a"), 100, 2500);
        session.hit(1500);
        session.hit(0);
        session.answered(0.25, 40, 30);
        session.answered(0.5, 2, 20);
        let summary = session.summary(30);
        assert_eq!((summary.hits, summary.misses, summary.stored, summary.requests), (2, 1, 1, 1));
        assert_eq!((summary.stored_bytes, summary.sent_bytes), (100, 42));
        assert_eq!((summary.first_seen_ms, summary.last_seen_ms), (5, 30));
        assert_eq!(summary.hit_ratio, Some(2.0 / 3.0));
        assert!(
            (summary.cache_seconds - 0.75).abs() < 1e-9 && (summary.time_saved_seconds - 1.5).abs() < 1e-9
        );
        let kept = Miss { name: "default/a".to_owned(), bytes: 100, cost_ms: 2500 };
        assert_eq!(
            (&summary.slowest_misses[..], &summary.largest_misses[..]),
            (&[kept.clone()][..], &[kept][..])
        );
        assert!(summary.is_running && !session.summary(31 + IDLE_MS).is_running);
    }

    #[test]
    fn the_slowest_and_the_largest_are_kept_and_no_more() {
        let session = session();
        for number in [3, 17, 99, 50, 2, 76, 31, 88, 64, 12, 23, 45, 91, 5, 7] {
            session.stored(&name(&format!("k{number}")), number, 100 - u32::try_from(number).unwrap());
        }
        session.stored(&name("of-unknown-cost"), 0, 0);
        let summary = session.summary(5);
        let sizes: Vec<_> = summary.largest_misses.iter().map(|miss| miss.bytes).collect();
        assert_eq!(sizes, [99, 91, 88, 76, 64, 50, 45, 31, 23, 17]);
        let costs: Vec<_> = summary.slowest_misses.iter().map(|miss| miss.cost_ms).collect();
        assert_eq!(costs, [98, 97, 95, 93, 88, 83, 77, 69, 55, 50]);
        assert_eq!(summary.stored, 16);
    }

    #[test]
    fn names_and_clients_are_bounded() {
        let session = session();
        session.stored(&name(&format!("{}/the-end", "ü".repeat(500))), 1, 1);
        for number in 0..100 {
            for _ in 0..=number {
                session.request(&format!("client {number}"), 6);
            }
        }
        let summary = session.summary(6);
        let shown = &summary.largest_misses[0].name;
        assert!(shown.starts_with('…') && shown.ends_with("/the-end") && shown.len() <= LONGEST_NAME + 3);
        let most: Vec<_> = summary.clients.iter().map(|client| client.requests).collect();
        assert_eq!(most, [16, 15, 14, 13, 12]);
    }
}
