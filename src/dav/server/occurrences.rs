//! The times of recurring events, remembered by content: a calendar is asked about week after week, and following every
//! series anew each time would cost more than all the rest.
//!
//! An entry is found by the ETag, which is the digest of the object, so a changed object has another entry and nothing is
//! ever out of date.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use moka::sync::Cache;

use super::expander::instant;
use super::filter::overlaps;
use crate::dav::xml::TimeRange;
use crate::ical::recur::{self, Bounds};
use crate::ical::{CalendarObject, Component};
use crate::store::ObjectMeta;

/// Octets that all entries take together.
const MOST: u64 = 4 << 20;
/// Occurrences of one entry; longer series are remembered for a shorter time.
const MOST_OCCURRENCES: usize = 2048;

/// Remembers the times of recurring events. Clones share what they know.
#[derive(Clone)]
pub(super) struct OccurrenceCache(Cache<(String, Tz), Arc<Times>>);

/// When a recurring event takes place.
#[derive(Debug, Default)]
struct Times {
    /// The times between `from` and `until` are all known.
    from: i64,
    until: i64,
    /// Starts and ends as unix timestamps, by start.
    times: Vec<(i64, i64)>,
}

impl OccurrenceCache {
    pub(super) fn new() -> Self {
        let weigher = |(etag, _): &(String, Tz), times: &Arc<Times>| {
            u32::try_from(etag.len() + 128 + times.times.len() * size_of::<(i64, i64)>()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MOST).weigher(weigher).build())
    }

    /// Whether an occurrence of an event lies in the range; `None` when its times are not known that far.
    pub(super) fn overlaps(
        &self,
        meta: &ObjectMeta,
        data: &str,
        range: TimeRange,
        zone: Tz,
        now: DateTime<Utc>,
    ) -> Option<bool> {
        let known =
            self.0.entry((meta.etag.clone(), zone)).or_insert_with(|| Arc::new(Times::of(meta, data, zone, now)));
        known.value().overlap(range)
    }
}

impl Times {
    fn of(meta: &ObjectMeta, data: &str, zone: Tz, now: DateTime<Utc>) -> Self {
        let Ok(object) = CalendarObject::parse(data) else { return Self::default() };
        let years = |n: i64| TimeDelta::days(366 * n);
        let is_finite = meta.last_occurrence.is_some();
        let beginning = i64::MIN;
        let near = (now - years(1)).timestamp()..(now + years(2)).timestamp();
        // The whole series, else from its beginning to some years from now, else the time around now.
        let whole = is_finite.then(|| Self::between(object.root(), beginning, i64::MAX, zone)).flatten();
        let whole = whole.or_else(|| Self::between(object.root(), beginning, (now + years(3)).timestamp(), zone));
        whole.or_else(|| Self::between(object.root(), near.start, near.end, zone)).unwrap_or_default()
    }

    fn between(calendar: &Component, from: i64, until: i64, zone: Tz) -> Option<Self> {
        // A birthday may have begun long ago; the number of occurrences is what bounds the work.
        let max_span = TimeDelta::days(366 * 10_000);
        let bounds = Bounds { max_occurrences: MOST_OCCURRENCES, max_span, ..Bounds::default() };
        let found = recur::occurrences(calendar, instant(from)..instant(until), zone, bounds).ok()?;
        let times = found.iter().map(|o| (o.start.timestamp(), o.end.timestamp())).collect();
        Some(Self { from, until, times })
    }

    fn overlap(&self, range: TimeRange) -> Option<bool> {
        let (start, end) = range.bounds();
        let is_known = start >= self.from && end <= self.until;
        // Times are ordered by start; whatever starts at or after the end of the range is out.
        let before_end = self.times.partition_point(|(first, _)| *first < end);
        is_known.then(|| self.times[..before_end].iter().rev().any(|time| overlaps(*time, range)))
    }
}
