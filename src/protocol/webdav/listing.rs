//! The members of a collection, as the pages of a 207 answer.
//!
//! Owns how flat keys become members: what follows the next slash is skipped, however much lies there. A page
//! is read when the connection has room for it, so that a listing of a million rows takes no more memory than
//! one of a hundred. It must not know HTTP.

use std::time::SystemTime;

use bytes::Bytes;

use super::multistatus::{HEAD, Kind, Row, TAIL, write_row};
use super::propfind_body::Asked;
use crate::cache::{BodyPart, Cache, CacheError};
use crate::key::MAX_KEY_BYTES;
use crate::object::ObjectSummary;
use crate::protocol::body::Source;
use crate::protocol::path::{Collection, encode_segment};

/// Keys read from the index at a time.
const PAGE: usize = 256;

/// Walks the members of one collection, each once, in byte order.
pub(super) struct Members {
    cache: Cache,
    collection: Collection,
    after: Option<String>,
    ended: bool,
}

/// A direct member of a collection: an object, or a collection below it.
pub(super) struct Member {
    /// The segment behind the collection's prefix, without a slash.
    pub(super) name: String,
    /// The object it is; `None` for a collection.
    pub(super) object: Option<ObjectSummary>,
}

/// The document of a PROPFIND, page by page.
pub(super) struct Listing {
    /// Rows that are known beforehand, behind the head of the document.
    start: Option<String>,
    members: Option<Members>,
    /// The collection's path as the client wrote it, with a slash at its end.
    base: String,
    /// Names that `start` has already.
    known: Vec<String>,
    asked: Asked,
    collection_date: SystemTime,
    finished: bool,
}

impl Members {
    pub(super) fn new(cache: Cache, collection: Collection) -> Self {
        Self { cache, collection, after: None, ended: false }
    }

    /// The next members, perhaps none though there are more; `None` at the end.
    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<Member>>, CacheError> {
        if self.ended {
            return Ok(None);
        }
        let Collection { namespace, prefix } = &self.collection;
        let keys = self.cache.list_with_bucket(namespace, prefix, self.after.as_deref(), PAGE).await?;
        self.ended = keys.len() < PAGE;
        let mut members: Vec<Member> = Vec::new();
        let mut skipped: Option<String> = None;
        for (key, summary) in keys {
            let key = key.as_str();
            if skipped.as_ref().is_some_and(|below| key.starts_with(below.as_str())) {
                continue;
            }
            let member = match key[prefix.len()..].split_once('/') {
                Some((name, _)) => {
                    skipped = Some(format!("{prefix}{name}/"));
                    Member { name: name.to_owned(), object: None }
                }
                None => {
                    skipped = None;
                    self.after = Some(key.to_owned());
                    Member { name: key[prefix.len()..].to_owned(), object: Some(summary) }
                }
            };
            members.push(member);
        }
        if let Some(below) = skipped {
            self.after = Some(behind_all_below(below));
        }
        Ok(Some(members))
    }
}

/// A text that sorts behind every key that starts with `prefix`: none is that long, and no UTF-8 is greater.
fn behind_all_below(mut prefix: String) -> String {
    while prefix.len() <= MAX_KEY_BYTES {
        prefix.push(char::MAX);
    }
    prefix
}

impl Listing {
    /// A document with the row `own` and no others yet. `date` is what collections show.
    pub(super) fn new(own: &Row<'_>, asked: Asked, date: SystemTime) -> Self {
        let mut start = HEAD.to_owned();
        write_row(&mut start, own, &asked);
        let base = own.href.to_owned();
        let known = Vec::new();
        Self { start: Some(start), members: None, base, known, asked, collection_date: date, finished: false }
    }

    /// Adds a collection that is there whether it has members or not.
    pub(super) fn push_collection(&mut self, name: &str) {
        let mut rows = self.start.take().unwrap_or_default();
        self.write(&mut rows, name, Kind::Collection(self.collection_date));
        self.start = Some(rows);
        self.known.push(name.to_owned());
    }

    /// Adds the members of a collection.
    pub(super) fn set_members(&mut self, members: Members) {
        self.members = Some(members);
    }

    fn write(&self, out: &mut String, name: &str, kind: Kind) {
        let slash = match kind {
            Kind::Object(_) => "",
            Kind::Collection(_) => "/",
        };
        let href = format!("{}{}{slash}", self.base, encode_segment(name));
        write_row(out, &Row { href: &href, name, kind }, &self.asked);
    }
}

impl Source for Listing {
    async fn next(&mut self) -> Result<Option<BodyPart>, CacheError> {
        let mut out = self.start.take().unwrap_or_default();
        while !self.finished && out.len() < 4096 {
            let page = match &mut self.members {
                Some(members) => members.next_page().await?,
                None => None,
            };
            let Some(page) = page else {
                out.push_str(TAIL);
                self.finished = true;
                break;
            };
            for Member { name, object } in page {
                match object {
                    Some(summary) => self.write(&mut out, &name, Kind::Object(summary)),
                    None if self.known.contains(&name) => {}
                    None => self.write(&mut out, &name, Kind::Collection(self.collection_date)),
                }
            }
        }
        Ok((!out.is_empty()).then(|| BodyPart::Bytes(Bytes::from(out))))
    }

    fn remaining(&self) -> Option<u64> {
        self.finished.then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{CacheOptions, PutOptions};
    use crate::config::Config;
    use crate::key::{Namespace, ObjectKey, ObjectName};
    use crate::metrics::Metrics;

    async fn members(keys: &[&str], prefix: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        let cache = Cache::open(CacheOptions::from(&config), Metrics::new().unwrap()).unwrap();
        let namespace = Namespace::default_namespace();
        for key in keys {
            let name = ObjectName { namespace: namespace.clone(), key: ObjectKey::new(key).unwrap() };
            cache.begin_put(name, PutOptions::default()).await.unwrap().commit().await.unwrap();
        }
        let mut members = Members::new(cache, Collection { namespace, prefix: prefix.to_owned() });
        let mut names = Vec::new();
        while let Some(page) = members.next_page().await.unwrap() {
            names.extend(
                page.into_iter().map(|member| {
                    format!("{}{}", member.name, if member.object.is_some() { "" } else { "/" })
                }),
            );
        }
        names
    }

    #[tokio::test]
    async fn each_member_is_there_once_in_byte_order() {
        let keys = ["p/a", "p/a/x", "p/a/y/z", "p/a-b", "p/a0", "p/b/c", "q", "p0"];
        assert_eq!(members(&keys, "p/").await, ["a", "a-b", "a/", "a0", "b/"]);
        assert_eq!(members(&keys, "").await, ["p/", "p0", "q"]);
        assert_eq!(members(&keys, "none/").await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_large_collection_below_is_skipped_and_pages_join_up() {
        let mut keys: Vec<String> = (0..3 * PAGE).map(|i| format!("p/big/{i:05}")).collect();
        keys.extend((0..2 * PAGE + 1).map(|i| format!("p/c{i:05}")));
        keys.push("p/big/\u{10ffff}x".to_owned());
        keys.push("p/big0".to_owned());
        keys.push("p/z/last".to_owned());
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let names = members(&keys, "p/").await;
        assert_eq!(names.len(), 2 * PAGE + 4);
        assert_eq!(names[..3], ["big/", "big0", "c00000"]);
        assert_eq!(names.last().map(String::as_str), Some("z/"));
        let once: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(once.len(), names.len());
    }
}
