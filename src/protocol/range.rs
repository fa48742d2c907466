//! The header `Range` (RFC 9110, 14.2) against a body of known length.
//!
//! Knows one range in bytes; several ranges are ignored, as the RFC allows, because no cache client asks for
//! them. It must not know `If-Range`.

use std::ops::Range;

/// What a `Range` header asks of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// All of it: the header is malformed, of another unit, or names several ranges.
    Whole,
    /// These bytes, never none.
    Part(Range<u64>),
    /// Bytes that are not there: 416.
    Unsatisfiable,
}

/// Reads the header's text for a body of `length` bytes.
#[must_use]
pub fn wanted(header: &str, length: u64) -> Wanted {
    match parse(header) {
        None => Wanted::Whole,
        Some(Spec::Suffix(0)) => Wanted::Unsatisfiable,
        Some(Spec::Suffix(_)) if length == 0 => Wanted::Unsatisfiable,
        Some(Spec::Suffix(last)) => Wanted::Part(length.saturating_sub(last)..length),
        Some(Spec::From(first, _)) if first >= length => Wanted::Unsatisfiable,
        Some(Spec::From(first, last)) => {
            let end = last.map_or(length, |last| last.saturating_add(1).min(length));
            Wanted::Part(first..end)
        }
    }
}

enum Spec {
    From(u64, Option<u64>),
    Suffix(u64),
}

fn parse(header: &str) -> Option<Spec> {
    let (unit, ranges) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return None;
    }
    let (first, last) = ranges.trim().split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => number(last).map(Spec::Suffix),
        (first, "") => Some(Spec::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// Digits only: `str::parse` would also take a sign. A number too large for 64 bits lies behind every end.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn single_ranges_are_cut_to_the_body() {
        for (header, length, range) in [
            ("bytes=0-0", 10, 0..1),
            ("bytes=0-9", 10, 0..10),
            ("bytes=2-5", 10, 2..6),
            ("bytes=2-", 10, 2..10),
            ("bytes=2-99", 10, 2..10),
            ("bytes=-3", 10, 7..10),
            ("bytes=-99", 10, 0..10),
            ("Bytes = 2 - 5 ", 10, 2..6),
            ("bytes=0-99999999999999999999999", 10, 0..10),
        ] {
            assert_eq!(wanted(header, length), Wanted::Part(range), "{header}");
        }
    }

    #[test]
    fn ranges_behind_the_end_are_unsatisfiable() {
        for (header, length) in [
            ("bytes=10-", 10),
            ("bytes=10-20", 10),
            ("bytes=-0", 10),
            ("bytes=0-", 0),
            ("bytes=-5", 0),
            ("bytes=99999999999999999999999-", 10),
        ] {
            assert_eq!(wanted(header, length), Wanted::Unsatisfiable, "{header}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=+1-2",
            "items=0-1",
            "bytes=0-1,3-4",
        ] {
            assert_eq!(wanted(header, 10), Wanted::Whole, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_always_lies_within_the_body(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", length: u64) {
            if let Wanted::Part(range) = wanted(&header, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
