//! The moment of a signature, as `20150830T123600Z`.
//!
//! Owns the form and its conversion to a [`SystemTime`]. It must not judge whether the moment is right.

use std::time::{Duration, SystemTime};

/// A moment in UTC, to the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp {
    text: [u8; 16],
    time: SystemTime,
}

impl Timestamp {
    /// Reads `YYYYMMDD'T'HHMMSS'Z'`. `None` for any other form and for days that no calendar has.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().try_fold(0_u64, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
            })
        };
        let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
        let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
        let is_real = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !is_real {
            return None;
        }
        let seconds = ((days_before(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Some(Self { text: bytes, time })
    }

    /// The moment of an HTTP `Date`, which S3 takes where there is no `x-amz-date`.
    #[must_use]
    pub fn from_http_date(text: &str) -> Option<Self> {
        let time = httpdate::parse_http_date(text).ok()?;
        let spelled = httpdate::fmt_http_date(time);
        let mut words = spelled.split(' ').skip(1);
        let (day, month, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let month = MONTHS.iter().position(|name| *name == month)? + 1;
        Self::parse(&format!("{year}{month:02}{day}T{}Z", clock.replace(':', "")))
    }

    /// `20150830T123600Z`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// `20150830`.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.as_str()[..8]
    }

    /// The moment as a time.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// True when `now` lies at most `tolerance` away, to either side.
    #[must_use]
    pub fn is_near(&self, now: SystemTime, tolerance: Duration) -> bool {
        let distance = now.duration_since(self.time).unwrap_or_else(|before| before.duration());
        distance <= tolerance
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let leap_years_before = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let years = 365 * (year - 1970) + leap_years_before(year) - leap_years_before(1970);
    years + (1..month).map(|month| days_in(year, month)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_exact_and_the_day_must_exist() {
        let timestamp = Timestamp::parse("20150830T123600Z").unwrap();
        assert_eq!(timestamp.time(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160));
        assert_eq!((timestamp.as_str(), timestamp.date()), ("20150830T123600Z", "20150830"));
        for (text, http_date) in [
            ("19700101T000000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("20000301T000000Z", "Wed, 01 Mar 2000 00:00:00 GMT"),
            ("20160229T235959Z", "Mon, 29 Feb 2016 23:59:59 GMT"),
            ("21000301T000000Z", "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            let time = Timestamp::parse(text).unwrap().time();
            assert_eq!(time, httpdate::parse_http_date(http_date).unwrap(), "{text}");
        }
        for bad in [
            "",
            "20150830",
            "20150830T123600",
            "20150830T123600ZZ",
            "20150830 123600Z",
            "2015083XT123600Z",
            "20150231T000000Z",
            "20150229T000000Z",
            "20151330T000000Z",
            "20150830T246000Z",
            "00000000T000000Z",
            "+0150830T123600Z",
        ] {
            assert!(Timestamp::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_http_date_is_the_same_moment() {
        let timestamp = Timestamp::from_http_date("Sun, 30 Aug 2015 12:36:00 GMT");
        assert_eq!(timestamp, Timestamp::parse("20150830T123600Z"));
        assert_eq!(Timestamp::from_http_date("yesterday"), None);
    }

    #[test]
    fn nearness_looks_both_ways() {
        let timestamp = Timestamp::parse("20150830T123600Z").unwrap();
        let tolerance = Duration::from_secs(900);
        for (offset, near) in [(0, true), (900, true), (901, false)] {
            let offset = Duration::from_secs(offset);
            assert_eq!(timestamp.is_near(timestamp.time() + offset, tolerance), near);
            assert_eq!(timestamp.is_near(timestamp.time() - offset, tolerance), near);
        }
    }
}
