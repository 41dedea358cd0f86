//! When a person can be had at all (RFC 7953): VAVAILABILITY components, turned into the times at which they cannot.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::free_busy::{Busy, Kind};
use crate::ical::recur::{self, Bounds};
use crate::ical::{Component, Event, Property, Zones};

/// What holds from each moment on, until the next; nothing where the person can be had.
struct Timeline {
    range: Range<DateTime<Utc>>,
    changes: BTreeMap<DateTime<Utc>, Option<Kind>>,
}

impl Timeline {
    fn new(range: Range<DateTime<Utc>>) -> Self {
        Self { changes: BTreeMap::from([(range.start, None)]), range }
    }

    /// Whatever held in `time`, now this does.
    fn paint(&mut self, time: &Range<DateTime<Utc>>, kind: Option<Kind>) {
        let time = time.start.max(self.range.start)..time.end.min(self.range.end);
        if time.start >= time.end {
            return;
        }
        let afterwards = self.changes.range(..=time.end).next_back().and_then(|(_, kind)| *kind);
        let within: Vec<_> = self.changes.range(time.clone()).map(|(at, _)| *at).collect();
        for at in within {
            self.changes.remove(&at);
        }
        self.changes.insert(time.start, kind);
        self.changes.insert(time.end, afterwards);
    }

    /// The times at which something holds.
    fn taken(&self) -> Busy {
        let ends = self.changes.keys().skip(1).copied().chain([self.range.end]);
        let times = self.changes.iter().zip(ends).filter(|((from, _), to)| *from < to);
        times.filter_map(|((from, kind), to)| Some(((*kind)?, *from..to))).collect()
    }
}

/// The times in the range at which a person cannot be had, by the VAVAILABILITYs of these calendars together: what has the
/// higher priority decides (RFC 7953 §4). `None` when they hold more than `most` statements, parts and times together.
pub(super) fn unavailable(
    calendars: &[Component],
    range: &Range<DateTime<Utc>>,
    zone: Tz,
    bounds: Bounds,
    most: usize,
) -> Option<Busy> {
    let mut left = most;
    let mut statements: Vec<(&Component, &Component)> =
        calendars.iter().flat_map(|c| c.components().filter(|a| a.is("VAVAILABILITY")).map(move |a| (c, a))).collect();
    // 1 is the highest, 9 the lowest; none, or 0, is lower still (RFC 7953 §3.1).
    statements.sort_by_key(|(_, a)| {
        let priority = a.value("PRIORITY").and_then(|p| p.trim().parse::<i64>().ok()).filter(|p| (1..=9).contains(p));
        std::cmp::Reverse(priority.unwrap_or(10))
    });
    let mut timeline = Timeline::new(range.clone());
    for (calendar, statement) in statements {
        left = left.checked_sub(1 + statement.components().count())?;
        let zones = Zones::of(calendar);
        let event = Event::new(statement, &zones);
        let start = event.start();
        let end = event.when("DTEND").or_else(|| Some(start.as_ref()?.plus(event.duration()?)));
        let whole = start.map_or(range.start, |w| w.instant(zone))..end.map_or(range.end, |w| w.instant(zone));
        timeline.paint(&whole, kind_of(statement));
        let available = available(calendar, statement, range, zone, bounds);
        left = left.checked_sub(available.len())?;
        for available in available {
            timeline.paint(&(available.start.max(whole.start)..available.end.min(whole.end)), None);
        }
    }
    Some(timeline.taken())
}

/// BUSYTYPE (RFC 7953 §3.2).
fn kind_of(statement: &Component) -> Option<Kind> {
    Some(match statement.value("BUSYTYPE").map(|v| v.trim().to_ascii_uppercase()).as_deref() {
        Some("BUSY") => Kind::Busy,
        Some("BUSY-TENTATIVE") => Kind::Tentative,
        _ => Kind::Unavailable,
    })
}

/// The occurrences of the AVAILABLE parts. They recur as events do, so they are read as events.
fn available(
    calendar: &Component,
    statement: &Component,
    range: &Range<DateTime<Utc>>,
    zone: Tz,
    bounds: Bounds,
) -> Vec<Range<DateTime<Utc>>> {
    let mut events = Component::new("VCALENDAR");
    for definition in calendar.components().filter(|c| c.is("VTIMEZONE")) {
        events.push_component(definition.clone());
    }
    for (index, part) in statement.components().filter(|c| c.is("AVAILABLE")).enumerate() {
        let mut event = Component::new("VEVENT");
        event.items.clone_from(&part.items);
        if event.value("UID").is_none_or(|uid| uid.trim().is_empty()) {
            event.set(Property::new("UID", index.to_string()));
        }
        events.push_component(event);
    }
    match recur::occurrences(&events, range.clone(), zone, bounds) {
        Ok(found) => found.iter().map(|o| o.start..o.end).collect(),
        Err(error) => {
            tracing::debug!(%error, "the available times of a VAVAILABILITY are not followed");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2030-01-{text}:00Z").parse().unwrap()
    }

    fn statement(lines: &[&str]) -> Component {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VAVAILABILITY\r\nUID:a\r\n{}\r\nEND:VAVAILABILITY\r\n\
             END:VCALENDAR\r\n",
            lines.join("\r\n")
        );
        Component::parse(&text).unwrap()
    }

    const OFFICE_HOURS: [&str; 6] = [
        "BEGIN:AVAILABLE",
        "UID:b",
        "DTSTART:20300107T090000Z",
        "DTEND:20300107T170000Z",
        "RRULE:FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR",
        "END:AVAILABLE",
    ];

    #[test]
    fn outside_of_office_hours_nobody_is_there() {
        let range = at("11T00:00")..at("14T12:00");
        let found = unavailable(&[statement(&OFFICE_HOURS)], &range, Tz::UTC, Bounds::default(), 10).unwrap();
        let expected = vec![
            (Kind::Unavailable, at("11T00:00")..at("11T09:00")),
            (Kind::Unavailable, at("11T17:00")..at("14T09:00")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn more_than_somebody_can_mean_is_not_followed() {
        let range = at("01T00:00")..at("31T00:00");
        let found = |most| unavailable(&[statement(&OFFICE_HOURS)], &range, Tz::UTC, Bounds::default(), most);
        assert!(found(2 + 18).is_some());
        assert_eq!(found(2 + 17), None);
    }

    #[test]
    fn the_higher_priority_decides() {
        let mut usual = vec!["PRIORITY:9"];
        usual.extend(OFFICE_HOURS);
        let away = ["PRIORITY:1", "BUSYTYPE:BUSY", "DTSTART:20300108T000000Z", "DURATION:P1D"];
        let range = at("07T12:00")..at("09T12:00");
        for order in [[statement(&usual), statement(&away)], [statement(&away), statement(&usual)]] {
            let expected = vec![
                (Kind::Unavailable, at("07T17:00")..at("08T00:00")),
                (Kind::Busy, at("08T00:00")..at("09T00:00")),
                (Kind::Unavailable, at("09T00:00")..at("09T09:00")),
            ];
            assert_eq!(unavailable(&order, &range, Tz::UTC, Bounds::default(), 100), Some(expected));
        }
    }
}
