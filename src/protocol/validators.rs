//! The headers that describe an object: `ETag`, `Last-Modified`, and dates in the forms that HTTP and XML want.
//!
//! Shared by the protocols. It must not know which request they answer.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};
use httpdate::HttpDate;

use crate::object::ObjectInfo;

/// The last second that HTTP's four-digit years can name.
const LAST_SECOND: u64 = 253_402_300_799;
/// Length of a date as HTTP writes it.
const DATE_BYTES: usize = 29;

/// Sets `ETag` and `Last-Modified`.
pub(super) fn set(headers: &mut HeaderMap, info: &ObjectInfo) {
    // Both texts are ASCII; were one not, a response without it is still right.
    if let Ok(etag) = HeaderValue::from_bytes(&info.etag.to_ascii()) {
        headers.insert(ETAG, etag);
    }
    // Into an array and not into a String: it is in every answer.
    let mut date = [0; DATE_BYTES];
    if write!(&mut date[..], "{}", date_of(info.modified())).is_ok()
        && let Ok(date) = HeaderValue::from_bytes(&date)
    {
        headers.insert(LAST_MODIFIED, date);
    }
}

/// A date that HTTP can write.
fn date_of(time: SystemTime) -> HttpDate {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST_SECOND);
    HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(since))
}

/// A date as HTTP and RFC 2822 write it: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub(super) fn http_date(time: SystemTime) -> String {
    date_of(time).to_string()
}

/// A date as RFC 3339 writes it: `1994-11-06T08:49:37Z`, for WebDAV's `creationdate`.
#[must_use]
pub(super) fn rfc3339(time: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = http_date(time);
    let mut words = text.split(' ').skip(1);
    let mut word = || words.next().unwrap_or_default();
    let (day, month, year, clock) = (word(), word(), word(), word());
    let month = MONTHS.iter().position(|name| *name == month).map_or(1, |index| index + 1);
    format!("{year}-{month:02}-{day}T{clock}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_forms_that_clients_parse() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(http_date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(time), "1994-11-06T08:49:37Z");
        let absurd = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1000);
        assert_eq!(rfc3339(absurd), "9999-12-31T23:59:59Z");
    }
}
