//! Which clients ask, by what they call themselves.
//!
//! Owns the list of products and the bound on versions: a client may write into `User-Agent` what it likes, and there are never
//! more than [`MOST_LABELS`] labels. Versions are kept of those whose version changes what they store.

use std::sync::OnceLock;

use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec};

use crate::metrics::Metrics;

/// Most labels there can be, those without a version included.
pub const MOST_LABELS: usize = 32;

/// Products as they begin their `User-Agent`, and their labels.
const PRODUCTS: [(&str, &str); 8] = [
    ("sccache", "sccache"),
    ("ccache", "ccache"),
    ("opendal", "opendal"),
    ("curl", "curl"),
    ("aws-cli", "aws-cli"),
    ("boto3", "boto3"),
    ("rclone", "rclone"),
    ("bazel", "bazel"),
];
/// So many of [`PRODUCTS`] have their version in the label: each of theirs may change every key.
const WITH_VERSION: usize = 2;
const OTHER: usize = PRODUCTS.len();
const VERSIONS: usize = MOST_LABELS - PRODUCTS.len() - 1;
/// Headers that are known as a whole, so that they need not be read again: a server has few kinds of clients.
const KNOWN_HEADERS: usize = 16;
/// Longest of them, in bytes.
const LONGEST_HEADER: usize = 128;
/// Longest version that is believed, in bytes.
const LONGEST_VERSION: usize = 16;

/// A client, as a number of its label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client(u8);

/// The labels and their counters. Found without a lock; only a new version takes one.
pub(super) struct Clients {
    requests: IntCounterVec,
    products: [OnceLock<IntCounter>; PRODUCTS.len() + 1],
    /// Filled from the front.
    versions: [OnceLock<Version>; VERSIONS],
    /// Filled from the front.
    known: [OnceLock<(Box<[u8]>, Client)>; KNOWN_HEADERS],
    adding: Mutex<()>,
}

struct Version {
    product: usize,
    /// `sccache 0.10.0`.
    label: String,
    requests: IntCounter,
}

impl Clients {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.client_requests.clone(),
            products: Default::default(),
            versions: Default::default(),
            known: Default::default(),
            adding: Mutex::default(),
        }
    }

    /// Counts a request, and says whose it was.
    pub(super) fn request(&self, user_agent: Option<&[u8]>) -> Client {
        let client = self.find(user_agent.unwrap_or_default());
        let at = usize::from(client.0);
        match self.versions.get(at.wrapping_sub(self.products.len())).and_then(OnceLock::get) {
            Some(version) => version.requests.inc(),
            None => {
                self.products[at].get_or_init(|| self.requests.with_label_values(&[product(at)])).inc();
            }
        }
        client
    }

    pub(super) fn label(&self, client: Client) -> &str {
        let at = usize::from(client.0);
        match self.versions.get(at.wrapping_sub(self.products.len())).and_then(OnceLock::get) {
            Some(version) => &version.label,
            None => product(at),
        }
    }

    /// Requests by label, those with most first.
    pub(super) fn all(&self) -> Vec<(String, u64)> {
        let products =
            self.products.iter().enumerate().filter_map(|(at, counter)| Some((at, counter.get()?)));
        let products = products.map(|(at, counter)| (product(at).to_owned(), counter.get()));
        let versions = self.versions.iter().map_while(OnceLock::get);
        let versions = versions.map(|version| (version.label.clone(), version.requests.get()));
        let mut all: Vec<_> = products.chain(versions).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all
    }

    fn find(&self, user_agent: &[u8]) -> Client {
        // Nothing is not compared with anything: C's memcmp takes the address, which is none, for one that it may look at, and the
        // processor hundreds of cycles to find that it may not.
        if user_agent.is_empty() {
            return self.read(user_agent);
        }
        for place in &self.known {
            match place.get() {
                Some((known, client)) if **known == *user_agent => return *client,
                Some(_) => {}
                None => {
                    let client = self.read(user_agent);
                    if user_agent.len() <= LONGEST_HEADER {
                        // Somebody else may have taken the place: then it is known another time.
                        let _ = place.set((user_agent.into(), client));
                    }
                    return client;
                }
            }
        }
        self.read(user_agent)
    }

    fn read(&self, user_agent: &[u8]) -> Client {
        let end = user_agent.iter().position(|byte| *byte == b'/').unwrap_or(user_agent.len());
        let (name, rest) = user_agent.split_at(end);
        let product = PRODUCTS.iter().position(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        let Some(product) = product else { return number(OTHER) };
        match version(rest).filter(|_| product < WITH_VERSION) {
            None => number(product),
            Some(version) => self.version(product, version).unwrap_or(number(product)),
        }
    }

    /// `None` when there are too many already.
    fn version(&self, product: usize, version: &str) -> Option<Client> {
        let is_it = |known: &Version| {
            known.product == product && known.label[PRODUCTS[product].1.len() + 1..] == *version
        };
        let find = || self.versions.iter().map_while(OnceLock::get).position(is_it);
        let at = match find() {
            Some(at) => at,
            None => {
                let _one_at_a_time = self.adding.lock();
                match find() {
                    Some(at) => at,
                    None => self.add(product, version)?,
                }
            }
        };
        Some(number(self.products.len() + at))
    }

    fn add(&self, product: usize, version: &str) -> Option<usize> {
        let at = self.versions.iter().position(|place| place.get().is_none())?;
        let label = format!("{} {version}", PRODUCTS[product].1);
        let requests = self.requests.with_label_values(&[label.as_str()]);
        self.versions[at].set(Version { product, label, requests }).ok()?;
        Some(at)
    }
}

fn product(at: usize) -> &'static str {
    PRODUCTS.get(at).map_or("other", |(_, label)| *label)
}

fn number(at: usize) -> Client {
    // There are 32.
    Client(u8::try_from(at).unwrap_or(u8::MAX))
}

/// The version behind a product's name: two or three numbers, and nothing of what may follow.
fn version(rest: &[u8]) -> Option<&str> {
    let rest = rest.strip_prefix(b"/")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(rest.len());
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    let is_number = |part: &str| !part.is_empty();
    let parts = text.split('.').count();
    let is_one = (2..=3).contains(&parts) && text.split('.').all(is_number) && text.len() <= LONGEST_VERSION;
    is_one.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(clients: &Clients, user_agent: &str) -> String {
        clients.label(clients.request(Some(user_agent.as_bytes()))).to_owned()
    }

    #[test]
    fn products_and_versions_are_told_apart() {
        let metrics = Metrics::new().unwrap();
        let clients = Clients::new(&metrics);
        for (user_agent, expected) in [
            ("sccache/0.10.0", "sccache 0.10.0"),
            ("ccache/4.8.2 (Linux)", "ccache 4.8.2"),
            ("ccache/4.12", "ccache 4.12"),
            ("sccache/1.2.3.4", "sccache"),
            ("sccache/1", "sccache"),
            ("sccache/..", "sccache"),
            ("sccache/0.10.0-rc1", "sccache 0.10.0"),
            ("sccache", "sccache"),
            ("curl/8.14.1", "curl"),
            ("Boto3/1.40.1 md/Botocore#1.40", "boto3"),
            ("rclone/v1.60.1-DEV", "rclone"),
            ("Mozilla/5.0 (curl/8)", "other"),
            ("", "other"),
            ("sccache2/1.0.0", "other"),
        ] {
            assert_eq!(label(&clients, user_agent), expected, "{user_agent}");
        }
        assert_eq!(clients.label(clients.request(None)), "other");
        assert_eq!(metrics.client_requests.with_label_values(&["sccache 0.10.0"]).get(), 2);
        assert_eq!(clients.all()[0], ("other".to_owned(), 4));
    }

    #[test]
    fn whatever_clients_write_the_labels_stay_few() {
        let metrics = Metrics::new().unwrap();
        let clients = Clients::new(&metrics);
        for number in 0..1000 {
            for product in ["sccache", "ccache", "curl", "x"] {
                label(&clients, &format!("{product}/0.{number}.1"));
            }
        }
        assert!(clients.all().len() <= MOST_LABELS);
        assert_eq!(label(&clients, "sccache/0.1.1"), "sccache 0.1.1", "the first ones keep theirs");
        assert_eq!(label(&clients, "sccache/0.999.1"), "sccache", "the others are their product's");
        assert_eq!(clients.all().iter().map(|(_, requests)| requests).sum::<u64>(), 4002);
    }
}
