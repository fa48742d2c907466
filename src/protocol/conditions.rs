//! Conditional requests (RFC 9110, 13): `If-Match`, `If-None-Match`, the dates, and `If-Range`.
//!
//! Owns the comparison of validators and their precedence. It must not touch the cache: callers bring the
//! object's properties and carry out the outcome.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use crate::object::{ObjectInfo, Precondition};

/// What the conditions of a GET or HEAD ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadOutcome {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// A condition does not hold: 412.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed;

/// True when a request has any condition that concerns writes.
#[must_use]
pub fn concern_writes(headers: &HeaderMap) -> bool {
    [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE].iter().any(|name| headers.contains_key(name))
}

/// True when a request has a range, or any condition: hardly a read has. To look at the names of the few headers that it has is less
/// than to look five up.
#[must_use]
pub fn concern_reads(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| *name == RANGE || name.as_str().starts_with("if-"))
}

/// Weighs the conditions of a read of an object that is there, in the order of RFC 9110, 13.2.2.
#[must_use]
pub fn for_read(headers: &HeaderMap, info: &ObjectInfo) -> ReadOutcome {
    let may_proceed = match matches(headers, &IF_MATCH, Some(info), Comparison::Strong) {
        Some(matched) => matched,
        None => date(headers, &IF_UNMODIFIED_SINCE).is_none_or(|since| info.modified() <= since),
    };
    if !may_proceed {
        return ReadOutcome::Failed;
    }
    let is_known = match matches(headers, &IF_NONE_MATCH, Some(info), Comparison::Weak) {
        Some(matched) => matched,
        None => date(headers, &IF_MODIFIED_SINCE).is_some_and(|since| info.modified() <= since),
    };
    if is_known { ReadOutcome::NotModified } else { ReadOutcome::Proceed }
}

/// Weighs the conditions of a write or a delete against what is there now, and says what must still hold
/// when it takes effect.
///
/// # Errors
/// [`Failed`] when they do not hold already.
pub fn for_write(headers: &HeaderMap, current: Option<&ObjectInfo>) -> Result<Precondition, Failed> {
    let may_proceed = match matches(headers, &IF_MATCH, current, Comparison::Strong) {
        Some(matched) => matched,
        // A date says nothing about an object that is not there.
        None => match (date(headers, &IF_UNMODIFIED_SINCE), current) {
            (Some(since), Some(info)) => info.modified() <= since,
            (Some(_) | None, _) => true,
        },
    };
    let is_barred = matches(headers, &IF_NONE_MATCH, current, Comparison::Weak) == Some(true);
    if !may_proceed || is_barred {
        return Err(Failed);
    }
    Ok(current.map_or(Precondition::Absent, |info| Precondition::Unchanged(info.sequence)))
}

/// True when a `Range` may be honoured: there is no `If-Range`, or it names this very version.
#[must_use]
pub fn range_applies(headers: &HeaderMap, info: &ObjectInfo) -> bool {
    let Some(value) = headers.get(IF_RANGE) else {
        return true;
    };
    let Ok(text) = value.to_str() else {
        return false;
    };
    if text.contains('"') {
        return text.trim() == info.etag.to_string();
    }
    httpdate::parse_http_date(text).is_ok_and(|date| date == info.modified())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Weak tags never match.
    Strong,
    Weak,
}

/// Whether a list of tags, or `*`, names the current version. `None` when the header is not there.
fn matches(
    headers: &HeaderMap,
    name: &HeaderName,
    current: Option<&ObjectInfo>,
    comparison: Comparison,
) -> Option<bool> {
    if !headers.contains_key(name) {
        return None;
    }
    let Some(own) = current.map(|info| info.etag.to_string()) else {
        return Some(false);
    };
    let is_own = |tag: &str| match tag.trim() {
        "*" => true,
        tag => match tag.strip_prefix("W/") {
            Some(weak) => comparison == Comparison::Weak && weak == own,
            // Some clients drop the quotes.
            None => tag == own || tag == own.trim_matches('"'),
        },
    };
    // The own tag has no comma, so splitting inside a foreign tag's quotes can do no harm.
    Some(
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|list| list.split(',').any(is_own)),
    )
}

/// A date of whole seconds; a malformed one is ignored (RFC 9110, 13.1.3).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ETag;

    const OWN: &str = "\"xxh3-0000000000000000000000000000002a\"";
    const STORED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn info() -> ObjectInfo {
        ObjectInfo { length: 3, etag: ETag(42), created_ms: 784_111_777_900, cost_ms: 0, sequence: 7 }
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn reads() {
        use ReadOutcome::{Failed, NotModified, Proceed};
        let listed = format!("\"other\", W/{OWN}");
        for (list, outcome) in [
            (&[][..], Proceed),
            (&[("if-none-match", OWN)], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", &listed)], NotModified),
            (&[("if-none-match", "\"other\"")], Proceed),
            (&[("if-match", OWN)], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", "xxh3-0000000000000000000000000000002a")], Proceed),
            (&[("if-match", &listed)], Failed),
            (&[("if-match", "\"other\"")], Failed),
            (&[("if-match", "\"other\""), ("if-none-match", OWN)], Failed),
            (&[("if-modified-since", STORED)], NotModified),
            (&[("if-modified-since", AFTER)], NotModified),
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-modified-since", "yesterday")], Proceed),
            (&[("if-none-match", "\"other\""), ("if-modified-since", AFTER)], Proceed),
            (&[("if-unmodified-since", STORED)], Proceed),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-match", OWN), ("if-unmodified-since", BEFORE)], Proceed),
        ] {
            assert_eq!(for_read(&headers(list), &info()), outcome, "{list:?}");
        }
    }

    #[test]
    fn writes() {
        let (here, there) = (Ok(Precondition::Unchanged(7)), Ok(Precondition::Absent));
        for (list, present, absent) in [
            (&[("if-none-match", "*")][..], Err(Failed), there),
            (&[("if-none-match", OWN)], Err(Failed), there),
            (&[("if-none-match", "\"other\"")], here, there),
            (&[("if-match", "*")], here, Err(Failed)),
            (&[("if-match", OWN)], here, Err(Failed)),
            (&[("if-match", "\"other\"")], Err(Failed), Err(Failed)),
            (&[("if-unmodified-since", BEFORE)], Err(Failed), there),
            (&[("if-unmodified-since", STORED)], here, there),
        ] {
            assert!(concern_writes(&headers(list)));
            assert_eq!(for_write(&headers(list), Some(&info())), present, "{list:?}");
            assert_eq!(for_write(&headers(list), None), absent, "{list:?}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_not_served() {
        for (value, applies) in
            [(OWN, true), ("\"other\"", false), (STORED, true), (AFTER, false), ("nonsense", false)]
        {
            assert_eq!(range_applies(&headers(&[("if-range", value)]), &info()), applies, "{value}");
        }
        let weak = format!("W/{OWN}");
        assert!(!range_applies(&headers(&[("if-range", &weak)]), &info()));
        assert!(range_applies(&headers(&[]), &info()));
    }
}
