//! The headers that describe an object: `ETag`, `Last-Modified`, and dates in the forms that HTTP and XML want.
//!
//! Shared by the protocols. It must not know which request they answer.

use std::time::SystemTime;

use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};
use time::OffsetDateTime;

use crate::object::ObjectInfo;

/// The last second that HTTP's four-digit years can name.
const LAST_SECOND: u64 = 253_402_300_799;

/// Sets `ETag` and `Last-Modified`.
pub(super) fn set(headers: &mut HeaderMap, info: &ObjectInfo) {
    // Both texts are ASCII; were one not, a response without it is still right.
    if let Ok(etag) = HeaderValue::from_bytes(&info.etag.to_ascii()) {
        headers.insert(ETAG, etag);
    }
    if let Ok(date) = HeaderValue::from_bytes(&ascii_date(info.modified())) {
        headers.insert(LAST_MODIFIED, date);
    }
}

/// A date as HTTP and RFC 2822 write it: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub(super) fn http_date(time: SystemTime) -> String {
    ascii_date(time).iter().copied().map(char::from).collect()
}

/// A date as RFC 3339 writes it: `1994-11-06T08:49:37Z`, for WebDAV's `creationdate`.
#[must_use]
pub(super) fn rfc3339(time: SystemTime) -> String {
    let date = date_of(time);
    let (year, month, day) = date.to_calendar_date();
    let (hour, minute, second) = date.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

fn ascii_date(time: SystemTime) -> [u8; 29] {
    // By hand, as the entity tag: it is in every answer.
    let mut ascii = *b"Sun, 00 Jan 0000 00:00:00 GMT";
    let date = date_of(time);
    let (year, month, day) = date.to_calendar_date();
    let (hour, minute, second) = date.to_hms();
    ascii[..3].copy_from_slice(WEEKDAYS[usize::from(date.weekday().number_days_from_sunday())]);
    ascii[8..11].copy_from_slice(MONTHS[usize::from(u8::from(month)) - 1]);
    let two_digits = |number| u8::try_from(number).unwrap_or_default();
    let numbers = [day, two_digits(year / 100), two_digits(year % 100), hour, minute, second];
    for (at, number) in [5, 12, 14, 17, 20, 23].into_iter().zip(numbers) {
        ascii[at] = b'0' + number / 10;
        ascii[at + 1] = b'0' + number % 10;
    }
    ascii
}

/// A date that HTTP can write.
fn date_of(time: SystemTime) -> OffsetDateTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST_SECOND);
    // Never fails: `LAST_SECOND` is the last that it takes, too.
    i64::try_from(since)
        .ok()
        .and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

const WEEKDAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_date_is_as_the_library_writes_it() {
        // A prime number of seconds, so that all days, months and hours come by.
        for second in (0..LAST_SECOND).step_by(86_028_157).chain([951_782_400, LAST_SECOND]) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            assert_eq!(http_date(time), httpdate::fmt_http_date(time), "{second}");
        }
    }

    #[test]
    fn dates_have_the_forms_that_clients_parse() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(http_date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(time), "1994-11-06T08:49:37Z");
        let absurd = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1000);
        assert_eq!(rfc3339(absurd), "9999-12-31T23:59:59Z");
    }
}
