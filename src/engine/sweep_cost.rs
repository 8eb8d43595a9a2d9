//! What a sweep may cost. Pure.
use std::time::Duration;

/// Every so many sweeps a collection that was huge is listed again. A stretched interval becomes shorter after as many that cost less.
const EVERY: u32 = 10;
/// Listings of so many pages are read whatever the number of our objects in them.
const FEW_PAGES: u32 = 5;
/// A listing with more pages than this for each of our objects is huge.
const PAGES_PER_OBJECT: usize = 2;
/// A sweep comes at least so often, whatever it costs.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How a collection is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// All pages.
    Whole,
    /// So many pages; where there are more, our objects are read one by one after all.
    UpTo(u32),
    /// One GET for each of our objects.
    OneByOne,
}

/// A collection that is far larger than what is ours in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Huge {
    /// How many pages it had at least.
    pub pages: u32,
    /// How many sweeps ago that was.
    pub since: u32,
}

/// How to look at a collection that holds so many of our objects. `marked`: only a complete listing shows duplicates, which are worth one
/// every now and then. `whole`: something can be seen nowhere else, now. `before`: what was seen when it was last listed, if it was huge.
#[must_use]
pub fn how(owned: usize, marked: bool, whole: bool, before: Option<Huge>) -> How {
    let most = most_pages(owned);
    match before {
        _ if whole => How::Whole,
        Some(huge) if huge.since + 1 < EVERY && huge.pages > most => How::OneByOne,
        _ if marked => How::Whole,
        _ => How::UpTo(most),
    }
}

/// How many pages a listing may have before it costs far more than one GET for each of our objects in it.
#[must_use]
pub fn most_pages(owned: usize) -> u32 {
    u32::try_from(owned.saturating_mul(PAGES_PER_OBJECT)).unwrap_or(u32::MAX).max(FEW_PAGES)
}

/// The interval in which so many reads keep within so many a second; none where the one that was asked for is long enough. It is the
/// interval asked for, doubled as often as needed, so that a few objects more or less change nothing.
#[must_use]
pub fn needed(reads: u32, per_second: f64, asked: Duration) -> Option<Duration> {
    let least = Duration::try_from_secs_f64(f64::from(reads) / per_second).unwrap_or(LONGEST).min(LONGEST);
    if least <= asked {
        return None;
    }
    let mut interval = asked.max(Duration::from_secs(1));
    while interval < least {
        interval = interval.saturating_mul(2);
    }
    let whole = Duration::from_secs(interval.as_secs() + u64::from(interval.subsec_nanos() > 0));
    Some(whole.min(LONGEST))
}

/// How far sweeps are apart that cost more than they may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    interval: Option<Duration>,
    /// How many sweeps in a row needed less, and the most that they needed.
    calm: u32,
    most: Option<Duration>,
}

impl Pace {
    /// The interval; none where the one that the spec asks for holds.
    #[must_use]
    pub fn interval(self) -> Option<Duration> {
        self.interval
    }

    /// After a sweep that needs this interval. Longer at once; shorter only after some sweeps, since every now and then one costs more.
    #[must_use]
    pub fn after(self, needed: Option<Duration>) -> Self {
        if needed >= self.interval {
            return Self { interval: needed, ..Self::default() };
        }
        let (calm, most) = (self.calm + 1, self.most.max(needed));
        if calm < EVERY { Self { calm, most, ..self } } else { Self { interval: most, ..Self::default() } }
    }
}

/// An interval as people write it.
#[must_use]
pub fn text(interval: Duration) -> String {
    match interval.as_secs() {
        seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(since: u32) -> Huge {
        Huge { pages: 6, since }
    }

    #[test]
    fn a_huge_collection_is_left_alone_for_nine_sweeps_and_listed_with_the_tenth() {
        assert_eq!(how(1, false, false, None), How::UpTo(5));
        assert_eq!(how(100, false, false, None), How::UpTo(200));
        assert_eq!(how(1, false, false, Some(after(0))), How::OneByOne);
        assert_eq!(how(1, false, false, Some(after(8))), How::OneByOne);
        assert_eq!(how(1, false, false, Some(after(9))), How::UpTo(5));
        assert_eq!(how(100, false, false, Some(after(0))), How::UpTo(200), "more of it is ours by now");
    }

    #[test]
    fn what_only_a_complete_listing_shows_is_looked_for_in_one() {
        assert_eq!(how(1, true, false, None), How::Whole, "duplicates");
        assert_eq!(how(1, true, false, Some(after(3))), How::OneByOne, "not every time");
        assert_eq!(how(1, true, false, Some(after(9))), How::Whole, "but again and again");
        assert_eq!(how(1, false, true, Some(after(3))), How::Whole, "what could be late, every time");
    }

    #[test]
    fn the_interval_is_stretched_as_far_as_the_reads_need() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(needed(1_200, 2.0, minutes(10)), None);
        assert_eq!(needed(1_201, 2.0, minutes(10)), Some(minutes(20)));
        assert_eq!(needed(2_400, 2.0, minutes(10)), Some(minutes(20)));
        assert_eq!(needed(2_500, 2.0, minutes(10)), Some(minutes(40)));
        assert_eq!(needed(u32::MAX, 0.0, minutes(10)), Some(LONGEST));
        assert_eq!(needed(10, 1.0, Duration::from_millis(1500)), Some(Duration::from_secs(12)));
        assert_eq!([minutes(20), minutes(120), Duration::from_secs(90)].map(text), ["20m", "2h", "90s"]);
    }

    #[test]
    fn a_stretched_interval_does_not_come_and_go() {
        let (long, short) = (Some(Duration::from_secs(40)), Some(Duration::from_secs(20)));
        let mut pace = Pace::default().after(long);
        // Every tenth sweep lists what the others leave alone.
        for sweep in 1..=50 {
            pace = pace.after(if sweep % 10 == 0 { long } else { None });
            assert_eq!(pace.interval(), long, "after {sweep} sweeps");
        }
        for _ in 0..9 {
            pace = pace.after(short);
        }
        assert_eq!(pace.interval(), long);
        assert_eq!(pace.after(None).interval(), short);
    }
}
