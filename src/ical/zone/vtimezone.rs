//! A VTIMEZONE for an IANA zone, for the objects we make (RFC 5545 §3.6.5).

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{OffsetComponents, OffsetName, Tz};

use crate::ical::tree::{Component, Property};

/// Zones do not change twice within this time; the shortest pair known is Morocco's pause during Ramadan.
const STEP: TimeDelta = TimeDelta::days(10);
/// A yearly pattern is written as a rule when it held for this many years.
const YEARS_FOR_A_RULE: usize = 3;

/// What holds from a change of offset on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    /// Wall time of the change, by the offset before it.
    onset: NaiveDateTime,
    /// Seconds east of UTC.
    before: i32,
    after: i32,
    daylight: bool,
    abbreviation: String,
}

impl Change {
    fn at(tz: Tz, instant: NaiveDateTime) -> Self {
        let before = tz.offset_from_utc_datetime(&(instant - TimeDelta::seconds(1)));
        let after = tz.offset_from_utc_datetime(&instant);
        Self {
            onset: instant + before.fix(),
            before: before.fix().local_minus_utc(),
            after: after.fix().local_minus_utc(),
            daylight: after.dst_offset() != TimeDelta::zero(),
            abbreviation: after.abbreviation().unwrap_or_default().to_owned(),
        }
    }

    /// Whether `next` is the same change a year later, by the same weekday of the month.
    fn recurs_as(&self, next: &Self, by: Pick) -> bool {
        next.onset.year() == self.onset.year() + 1
            && next.onset.month() == self.onset.month()
            && next.onset.time() == self.onset.time()
            && by.holds(next.onset.date())
            && (next.before, next.after, next.daylight, &next.abbreviation)
                == (self.before, self.after, self.daylight, &self.abbreviation)
    }
}

/// A day of a month, as a rule names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pick {
    weekday: chrono::Weekday,
    /// 1 to 4, or -1.
    nth: i32,
}

impl Pick {
    /// The ways to name a day: by its last weekday, if it is that, and by its ordinal.
    fn of(day: NaiveDate) -> impl Iterator<Item = Self> {
        let weekday = day.weekday();
        let last = (day + Days::new(7)).month() != day.month();
        let nth = i32::try_from((day.day() - 1) / 7 + 1).unwrap_or(1);
        let picks = [last.then_some(-1), (nth <= 4).then_some(nth)];
        picks.into_iter().flatten().map(move |nth| Self { weekday, nth })
    }

    fn holds(self, day: NaiveDate) -> bool {
        Self::of(day).any(|p| p == self)
    }
}

/// The VTIMEZONE of an IANA zone, right between `from` and `to`; patterns that still hold at `to` go on for ever.
pub fn vtimezone(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Component {
    let mut component = Component::new("VTIMEZONE");
    component.push(Property::new("TZID", zone.name()));
    // Two years more show whether a pattern goes on; one year less shows what holds at the start.
    let first = from.naive_utc() - TimeDelta::days(366);
    let last = to.max(from).naive_utc() + TimeDelta::days(2 * 366);
    let mut changes = changes(zone, first, last);
    if changes.first().is_none_or(|c| c.onset.and_utc() > from) {
        changes.insert(0, Change { before: offset(zone, first), ..Change::at(zone, first) });
    }
    let horizon = to.naive_utc() + TimeDelta::days(366);
    while let Some(start) = (!changes.is_empty()).then(|| changes.remove(0)) {
        if start.onset > horizon {
            continue;
        }
        let run = take_run(&start, &mut changes);
        component.push_component(observance(&start, &run, horizon));
    }
    component
}

fn offset(zone: Tz, utc: NaiveDateTime) -> i32 {
    zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()
}

/// Every change of offset between two instants.
fn changes(zone: Tz, from: NaiveDateTime, to: NaiveDateTime) -> Vec<Change> {
    let mut found = Vec::new();
    let mut low = from;
    while low < to {
        let high = low + STEP;
        if offset(zone, low) != offset(zone, high) {
            let (mut before, mut after) = (low, high);
            while after - before > TimeDelta::seconds(1) {
                let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
                if offset(zone, middle) == offset(zone, low) { before = middle } else { after = middle }
            }
            found.push(Change::at(zone, after));
        }
        low = high;
    }
    found
}

/// The later changes that repeat `start` every year, taken out of `changes`, with the day they fall on.
fn take_run(start: &Change, changes: &mut Vec<Change>) -> Option<(Pick, Vec<Change>)> {
    let run = |by: Pick| {
        let mut run = vec![start.clone()];
        for change in changes.iter() {
            if run.last().is_some_and(|newest| newest.recurs_as(change, by)) {
                run.push(change.clone());
            }
        }
        (by, run)
    };
    let best = Pick::of(start.onset.date()).map(run).max_by_key(|(_, run)| run.len())?;
    if best.1.len() < YEARS_FOR_A_RULE {
        return None;
    }
    changes.retain(|c| !best.1.contains(c));
    Some(best)
}

fn observance(start: &Change, run: &Option<(Pick, Vec<Change>)>, horizon: NaiveDateTime) -> Component {
    let mut component = Component::new(if start.daylight { "DAYLIGHT" } else { "STANDARD" });
    component.push(Property::new("TZOFFSETFROM", utc_offset(start.before)));
    component.push(Property::new("TZOFFSETTO", utc_offset(start.after)));
    if !start.abbreviation.is_empty() {
        component.push(Property::with_text("TZNAME", &start.abbreviation));
    }
    component.push(Property::new("DTSTART", start.onset.format("%Y%m%dT%H%M%S").to_string()));
    if let Some((pick, run)) = run {
        let weekday = format!("{:?}", pick.weekday).to_uppercase();
        let mut rule = format!("FREQ=YEARLY;BYMONTH={};BYDAY={}{}", start.onset.month(), pick.nth, &weekday[..2]);
        if let Some(last) = run.last().filter(|c| c.onset < horizon) {
            let until = last.onset - TimeDelta::seconds(i64::from(last.before));
            rule.push_str(&until.format(";UNTIL=%Y%m%dT%H%M%SZ").to_string());
        }
        component.push(Property::new("RRULE", rule));
    }
    component
}

fn utc_offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (h, m, s) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    if s == 0 { format!("{sign}{h:02}{m:02}") } else { format!("{sign}{h:02}{m:02}{s:02}") }
}
