//! What a VTIMEZONE says, as a table of offset changes.

use std::sync::{OnceLock, PoisonError, RwLock};

use chrono::{FixedOffset, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

#[cfg(test)]
use super::iana_to_utc;
use crate::ical::recur::dates::Dates;
use crate::ical::recur::rule::{Rule, Until};
use crate::ical::tree::Component;
use crate::ical::when::parse_date_time;

/// Yearly rules are unrolled between these years. After that the last offset stays.
const YEARS: (i32, i32) = (1900, 2200);
/// No more changes than this of one observance, and ten times as many of a zone.
const MAX_CHANGES: usize = 2000;
/// Answers of [`Definition::agrees_with`] that are kept.
const MAX_AGREEMENTS: usize = 100;
/// Rules of one observance that count.
const MAX_RULES: usize = 4;

/// The observances of one VTIMEZONE.
#[derive(Debug)]
pub(super) struct Definition {
    observances: Vec<Observance>,
    changes: OnceLock<Vec<Change>>,
    /// Whether it agrees with an IANA zone around a year, where that was asked before.
    agreements: RwLock<Vec<(Tz, i32, bool)>>,
}

/// STANDARD or DAYLIGHT.
#[derive(Debug)]
struct Observance {
    onset: NaiveDateTime,
    before: FixedOffset,
    after: FixedOffset,
    rules: Vec<Rule>,
    dates: Vec<NaiveDateTime>,
}

/// A change of offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    at: NaiveDateTime,
    before: FixedOffset,
    after: FixedOffset,
}

impl Change {
    /// Wall time from which on the new offset holds: after a gap the end of the gap, in an overlap the end of its first
    /// pass (RFC 5545 §3.3.5).
    fn wall(&self) -> NaiveDateTime {
        self.at + self.before.max_by_offset(self.after)
    }
}

trait MaxByOffset {
    fn max_by_offset(self, other: Self) -> Self;
}

impl MaxByOffset for FixedOffset {
    fn max_by_offset(self, other: Self) -> Self {
        if self.local_minus_utc() >= other.local_minus_utc() { self } else { other }
    }
}

impl Definition {
    pub(super) fn read(vtimezone: &Component) -> Self {
        let observances = vtimezone
            .components()
            .filter(|c| c.is("STANDARD") || c.is("DAYLIGHT"))
            .filter_map(Observance::read)
            .collect();
        Self { observances, changes: OnceLock::new(), agreements: RwLock::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.observances.is_empty()
    }

    /// Offset at an instant (UTC). Before the first change it is what that one changes from.
    pub(super) fn offset_at(&self, utc: NaiveDateTime) -> FixedOffset {
        self.look_up(|c| c.at <= utc)
    }

    /// Offset that a wall time is read with.
    pub(super) fn offset_of_local(&self, local: NaiveDateTime) -> FixedOffset {
        self.look_up(|c| c.wall() <= local)
    }

    fn look_up(&self, passed: impl Fn(&Change) -> bool) -> FixedOffset {
        let changes = self.changes.get_or_init(|| self.unroll(YEARS.0, YEARS.1));
        match changes.partition_point(|c| passed(c)) {
            0 => changes
                .first()
                .map_or_else(|| Tz::UTC.offset_from_utc_datetime(&NaiveDateTime::MIN).fix(), |c| c.before),
            n => changes[n - 1].after,
        }
    }

    fn unroll(&self, first: i32, last: i32) -> Vec<Change> {
        let mut changes: Vec<Change> =
            self.observances.iter().flat_map(|o| o.changes(first, last)).take(10 * MAX_CHANGES).collect();
        changes.sort_by_key(|c| c.at);
        changes.dedup_by_key(|c| c.at);
        changes
    }

    /// Whether the IANA zone has the same offsets in the year and the one after, as far as the definition covers them:
    /// many writers define only the years they care about.
    pub(super) fn agrees_with(&self, tz: Tz, year: i32) -> bool {
        let kept = self.agreements.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, agrees)) = kept.iter().find(|(t, y, _)| (*t, *y) == (tz, year)) {
            return *agrees;
        }
        drop(kept);
        let agrees = self.compare(tz, year);
        let mut kept = self.agreements.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_AGREEMENTS {
            kept.push((tz, year, agrees));
        }
        agrees
    }

    fn compare(&self, tz: Tz, year: i32) -> bool {
        let Some(first) = self.observances.iter().map(|o| o.onset).min() else { return true };
        let open_ended = self.observances.len() == 1 || self.observances.iter().any(Observance::is_open_ended);
        let changes = self.unroll(year - 1, year + 2);
        let covered = if open_ended { None } else { changes.last().map(|c| c.at + TimeDelta::days(120)) };
        let offset = |utc: NaiveDateTime| match changes.partition_point(|c| c.at <= utc) {
            0 => changes.first().map(|c| c.before),
            n => Some(changes[n - 1].after),
        };
        let samples = (year..=year + 1).flat_map(|y| (1..=12).flat_map(move |m| [1, 15].map(|d| (y, m, d))));
        samples
            .filter_map(|(y, m, d)| NaiveDate::from_ymd_opt(y, m, d)?.and_hms_opt(12, 0, 0))
            .filter(|t| *t >= first && covered.is_none_or(|end| *t < end))
            .all(|t| offset(t).is_none_or(|o| o == tz.offset_from_utc_datetime(&t).fix()))
    }
}

impl Observance {
    fn read(component: &Component) -> Option<Self> {
        let local = |value: &str| parse_date_time(value.split('/').next().unwrap_or(value)).ok().map(|(t, _)| t);
        Some(Self {
            onset: local(component.value("DTSTART")?)?,
            before: parse_offset(component.value("TZOFFSETFROM").or_else(|| component.value("TZOFFSETTO"))?)?,
            after: parse_offset(component.value("TZOFFSETTO")?)?,
            rules: component.all("RRULE").filter_map(|p| Rule::read_leniently(p.value())).take(MAX_RULES).collect(),
            dates: component.all("RDATE").flat_map(|p| p.value().split(',').filter_map(local)).collect(),
        })
    }

    fn is_open_ended(&self) -> bool {
        self.rules.iter().any(|r| r.count.is_none() && r.until.is_none())
    }

    /// Changes from the last one before `first` on, to the end of the year `last`. One year of slack before `first`, so
    /// that its beginning has an offset.
    fn changes(&self, first: i32, last: i32) -> Vec<Change> {
        let year = |y: i32| {
            NaiveDate::from_ymd_opt(y, 1, 1).map_or(NaiveDateTime::MIN, |d| d.and_time(chrono::NaiveTime::MIN))
        };
        let (from, end) = (year(first - 1), year(last + 1));
        let mut onsets = vec![self.onset];
        for rule in &self.rules {
            let until = match rule.until {
                Some(Until::Utc(t)) => Some(t.naive_utc() + self.before),
                Some(Until::Floating(t)) => Some(t),
                Some(Until::Date(d)) => d.and_hms_opt(23, 59, 59),
                None => None,
            };
            let end = until.map_or(end, |u| u.min(end));
            onsets.extend(Dates::new(rule, self.onset, from, end, MAX_CHANGES).take(MAX_CHANGES));
            // The last one before `from` sets the offset there, where the rule ended early.
            if rule.count.is_none() {
                onsets.extend(crate::ical::recur::dates::last_before(rule, self.onset, end.min(from), 4));
            }
        }
        onsets.extend(self.dates.iter().copied());
        onsets
            .into_iter()
            .filter(|t| *t < end)
            .map(|t| Change { at: t - self.before, before: self.before, after: self.after })
            .collect()
    }
}

/// Reads a UTC-OFFSET such as `+0100` or `-033000`; colons are tolerated.
pub(super) fn parse_offset(value: &str) -> Option<FixedOffset> {
    let value = value.trim();
    let (sign, digits) = match value.as_bytes().first()? {
        b'-' => (-1, &value[1..]),
        b'+' => (1, &value[1..]),
        _ => (1, value),
    };
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 4 | 6) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).and_then(|d| d.parse::<i32>().ok()).unwrap_or(0);
    FixedOffset::east_opt(sign * (part(0) * 3600 + part(2) * 60 + part(4)))
}

/// Kept here so that the table and the IANA zones read wall times by the same rule.
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn iana_and_table_agree_on_gaps_and_overlaps() {
        let definition = Definition::read(&super::super::vtimezone::vtimezone(
            Tz::Europe__Paris,
            "2020-01-01T00:00:00Z".parse().unwrap(),
            "2030-01-01T00:00:00Z".parse().unwrap(),
        ));
        proptest!(|(minutes in 0i64..(9 * 365 * 1440))| {
            let local = NaiveDate::from_ymd_opt(2020, 2, 1).unwrap().and_hms_opt(0, 0, 0).unwrap()
                + TimeDelta::minutes(minutes);
            let utc = local - definition.offset_of_local(local);
            prop_assert_eq!(utc.and_utc(), iana_to_utc(Tz::Europe__Paris, local));
            let back = utc + definition.offset_at(utc);
            let tz = utc.and_utc().with_timezone(&Tz::Europe__Paris).naive_local();
            prop_assert_eq!(back, tz);
        });
    }
}
