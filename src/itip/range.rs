//! `RANGE=THISANDFUTURE` (RFC 5545 §3.2.13): one occurrence stands for all that follow it.

use chrono::{Duration, NaiveTime};
use chrono_tz::Tz;

use super::moment::{Moment, occurrence, read};
use crate::ical::{Component, Item, When, Zones};

/// Whether the component stands for the later occurrences too.
pub(super) fn is_this_and_future(component: &Component) -> bool {
    let range = component.get("RECURRENCE-ID").and_then(|p| p.get_param("RANGE"));
    range.is_some_and(|r| r.eq_ignore_ascii_case("THISANDFUTURE"))
}

/// What is left of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It has occurrences before.
    Something,
    /// It began at that time or later.
    Nothing,
    /// It has no occurrence at that time.
    Unknown,
}

/// Ends a series before one of its occurrences: its rules end there, and so do its single dates.
pub(super) fn end_before(master: &mut Component, zones: &Zones, from: &When) -> Left {
    let Some(start) = master.get("DTSTART").and_then(|p| read(p, zones).ok()) else { return Left::Unknown };
    let from = from.in_form_of(&start, Tz::UTC);
    if Moment::from(&from) <= Moment::from(&start) {
        return Left::Nothing;
    }
    if occurrence(master, zones, &from).is_none() {
        return Left::Unknown;
    }
    let until = until(&from);
    for rule in master.all_mut("RRULE") {
        // The rule reaches the occurrence, or did not before it: its own end, if earlier, stays.
        let ends_earlier = rule.value().split(';').any(|part| {
            let value = part.trim().to_ascii_uppercase();
            value.strip_prefix("UNTIL=").is_some_and(|own| own < until.as_str())
        });
        if !ends_earlier {
            let parts = rule.value().split(';').filter(|part| {
                let part = part.trim().to_ascii_uppercase();
                !part.is_empty() && !part.starts_with("UNTIL=") && !part.starts_with("COUNT=")
            });
            let value = parts.chain([format!("UNTIL={until}").as_str()]).collect::<Vec<_>>().join(";");
            rule.set_value(value);
        }
    }
    drop_dates(master, zones, Moment::from(&from));
    Left::Something
}

/// The last moment before an occurrence, as UNTIL wants it: a date, a floating time, or UTC (RFC 5545 §3.3.10).
fn until(from: &When) -> String {
    match from {
        When::Date(date) => When::Date(date.pred_opt().unwrap_or(*date)).value(),
        When::Floating(local) => When::Floating(*local - Duration::seconds(1)).value(),
        When::Utc(_) | When::Zoned { .. } => When::Utc(from.instant(Tz::UTC) - Duration::seconds(1)).value(),
    }
}

/// Removes the values of RDATE from that moment on.
fn drop_dates(master: &mut Component, zones: &Zones, from: Moment) {
    master.items.retain_mut(|item| {
        let Item::Property(line) = item else { return true };
        if !line.is("RDATE") {
            return true;
        }
        let tzid = line.get_param("TZID");
        let stays = |value: &&str| {
            let start = value.split('/').next().unwrap_or(value);
            When::parse(start, tzid, zones).map_or(true, |when| as_of(&when, from) < from)
        };
        let kept: Vec<&str> = line.value().split(',').filter(stays).collect();
        let (left, value) = (!kept.is_empty(), kept.join(","));
        line.set_value(value);
        left
    });
}

/// A date among times counts from its first moment.
fn as_of(when: &When, like: Moment) -> Moment {
    match (Moment::from(when), like) {
        (Moment::Date(date), Moment::Floating(_)) => Moment::Floating(date.and_time(NaiveTime::MIN)),
        (Moment::Date(date), Moment::Instant(_)) => Moment::Instant(date.and_time(NaiveTime::MIN).and_utc()),
        (moment, _) => moment,
    }
}
