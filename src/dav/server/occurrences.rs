//! The times of recurring events, remembered by content: a calendar is asked about week after week, and following every
//! series anew each time would cost more than all the rest.
//!
//! An entry is found by the ETag, which is the digest of the object, so a changed object has another entry and nothing is
//! ever out of date.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use moka::sync::Cache;

use super::expander::instant;
use super::filter::overlaps;
use super::free_busy::{Kind, kind_of};
use crate::dav::xml::TimeRange;
use crate::ical::recur::{self, Bounds};
use crate::ical::{CalendarObject, Component};
use crate::ids::Email;
use crate::store::ObjectMeta;

/// Octets that all entries take together.
const MOST: u64 = 4 << 20;
/// Occurrences of one entry; longer series are remembered for a shorter time.
const MOST_OCCURRENCES: usize = 2048;

/// Remembers the times of events. Clones share what they know.
#[derive(Clone)]
pub(super) struct OccurrenceCache(Cache<Key, Arc<Times>>);

/// An event as it stands in the calendars of some zone, seen by somebody.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    etag: String,
    zone: Tz,
    /// Digest of the addresses of the person whose time is taken, for their answer decides how; none where all that is asked
    /// is when it takes place. That is the same for whoever sees of a private event only when it is, and how it takes time
    /// cannot be read from what they see.
    person: Option<u64>,
}

/// When an event takes place.
#[derive(Debug, Default)]
struct Times {
    /// The times between `from` and `until` are all known.
    from: i64,
    until: i64,
    /// By start.
    times: Vec<Time>,
}

/// One occurrence.
#[derive(Debug, Clone, Copy)]
struct Time {
    /// Unix timestamp.
    start: i64,
    /// Unix timestamp.
    end: i64,
    /// How it takes the person's time; `None` when it does not.
    kind: Option<Kind>,
}

/// The event to be looked at.
pub(super) struct Asked<'a> {
    pub(super) meta: &'a ObjectMeta,
    pub(super) data: &'a str,
    /// The zone of dates and floating times.
    pub(super) zone: Tz,
    pub(super) now: DateTime<Utc>,
}

impl OccurrenceCache {
    pub(super) fn new() -> Self {
        let weigher = |key: &Key, times: &Arc<Times>| {
            u32::try_from(key.etag.len() + 128 + times.times.len() * size_of::<Time>()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MOST).weigher(weigher).build())
    }

    /// Whether an occurrence of an event lies in the range; `None` when its times are not known that far.
    pub(super) fn overlaps(&self, asked: &Asked<'_>, range: TimeRange) -> Option<bool> {
        let times = self.times(asked, None);
        let within = times.within(range.bounds())?;
        Some(within.iter().rev().any(|time| overlaps((time.start, time.end), range)))
    }

    /// Calls `tell` with the times in the range that an event, as it is stored, takes of a person with these addresses, in
    /// unix seconds; `None` when its times are not known that far.
    pub(super) fn taken(
        &self,
        asked: &Asked<'_>,
        range: (i64, i64),
        person: &[Email],
        mut tell: impl FnMut(Kind, Range<i64>),
    ) -> Option<()> {
        let times = self.times(asked, Some(person));
        for time in times.within(range)?.iter().filter(|time| time.end > range.0) {
            if let Some(kind) = time.kind {
                tell(kind, time.start..time.end);
            }
        }
        Some(())
    }

    fn times(&self, asked: &Asked<'_>, person: Option<&[Email]>) -> Arc<Times> {
        let digest = |person: &[Email]| {
            let mut hasher = DefaultHasher::new();
            person.hash(&mut hasher);
            hasher.finish()
        };
        let key = Key { etag: asked.meta.etag.clone(), zone: asked.zone, person: person.map(digest) };
        let person = person.unwrap_or_default();
        self.0.entry(key).or_insert_with(|| Arc::new(Times::of(asked, person))).into_value()
    }
}

impl Times {
    fn of(asked: &Asked<'_>, person: &[Email]) -> Self {
        let Ok(object) = CalendarObject::parse(asked.data) else { return Self::default() };
        let years = |n: i64| (asked.now + TimeDelta::days(366 * n)).timestamp();
        let between = |from, until| Self::between(object.root(), from, until, asked.zone, person);
        // The whole series, else from its beginning to some years from now, else the time around now.
        let whole = asked.meta.last_occurrence.and_then(|_| between(i64::MIN, i64::MAX));
        let whole = whole.or_else(|| between(i64::MIN, years(3)));
        whole.or_else(|| between(years(-1), years(2))).unwrap_or_default()
    }

    fn between(calendar: &Component, from: i64, until: i64, zone: Tz, person: &[Email]) -> Option<Self> {
        // A birthday may have begun long ago; the number of occurrences is what bounds the work.
        let max_span = TimeDelta::days(366 * 10_000);
        let bounds = Bounds { max_occurrences: MOST_OCCURRENCES, max_span, ..Bounds::default() };
        let found = recur::occurrences(calendar, instant(from)..instant(until), zone, bounds).ok()?;
        let times = found.iter().map(|o| Time {
            start: o.start.timestamp(),
            end: o.end.timestamp(),
            kind: kind_of(o.component, person).filter(|_| o.component.is("VEVENT")),
        });
        Some(Self { from, until, times: times.collect() })
    }

    /// The times that begin before the end of a range, among them all that lie in it; `None` when they are not all known.
    fn within(&self, (start, end): (i64, i64)) -> Option<&[Time]> {
        let is_known = start >= self.from && end <= self.until;
        is_known.then(|| &self.times[..self.times.partition_point(|time| time.start < end)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::server::put::object_of;

    #[test]
    fn how_a_time_is_taken_is_not_learnt_from_what_others_see() {
        let now = "2030-01-01T00:00:00Z".parse().unwrap();
        let event = |more: &str| {
            format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTAMP:20300101T000000Z\r\n\
                 DTSTART:20300102T090000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=3\r\n{more}END:VEVENT\r\nEND:VCALENDAR\r\n"
            )
        };
        let stored = event("CLASS:PRIVATE\r\nTRANSP:TRANSPARENT\r\n");
        let parsed = Component::parse(&stored).unwrap();
        let meta = object_of("a.ics", stored.clone(), &parsed, "VEVENT", now).meta;
        let asked = |data| Asked { meta: &meta, data, zone: Tz::UTC, now };
        let day = (1_893_542_400, 1_893_628_800);
        let cache = OccurrenceCache::new();
        let seen = event("SUMMARY:Busy\r\nCLASS:PRIVATE\r\n");
        let range = TimeRange { start: Some(day.0), end: Some(day.1) };
        assert_eq!(cache.overlaps(&asked(&seen), range), Some(true));
        let mut told = Vec::new();
        cache.taken(&asked(&stored), day, &[], |_, time| told.push(time)).unwrap();
        assert_eq!(told, [], "its owner counts it as free");
        assert_eq!(cache.overlaps(&asked(&stored), range), Some(true));
    }
}
