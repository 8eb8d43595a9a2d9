//! How long an API asks us to pause.
use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

/// Nobody means a longer pause than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Seconds, or a date (RFC 9110, section 10.2.3). A date is told by the API's own clock, which the answer shows; `now` is ours, where it
/// does not.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = |text| chrono::DateTime::parse_from_rfc2822(text).ok().map(SystemTime::from);
    let after = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_PAUSE));
    }
    let now = text(header::DATE).and_then(date).unwrap_or(now);
    Some(date(after)?.duration_since(now).unwrap_or_default().min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_as_seconds_and_as_a_date() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers, SystemTime::UNIX_EPOCH), None);
        headers.insert("retry-after", "7".parse().unwrap());
        assert_eq!(retry_after(&headers, SystemTime::UNIX_EPOCH), Some(Duration::from_secs(7)));
        headers.insert("retry-after", "Thu, 01 Jan 1970 00:01:30 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers, SystemTime::UNIX_EPOCH), Some(Duration::from_secs(90)));
        headers.insert("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers, SystemTime::now()), Some(Duration::ZERO));
    }

    #[test]
    fn a_date_is_told_by_the_clock_of_the_api() {
        let mut headers = HeaderMap::new();
        headers.insert("date", "Thu, 01 Jan 1970 01:00:00 GMT".parse().unwrap());
        headers.insert("retry-after", "Thu, 01 Jan 1970 01:00:07 GMT".parse().unwrap());
        for ours in [SystemTime::UNIX_EPOCH, SystemTime::now()] {
            assert_eq!(retry_after(&headers, ours), Some(Duration::from_secs(7)));
        }
    }
}
