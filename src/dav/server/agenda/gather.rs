//! What takes place in a time: the events and tasks of calendars, series unrolled, in the wall time of the reader.

use std::ops::Range;

use chrono::{DateTime, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;

use super::super::Server;
use super::super::expander::instants;
use super::super::filter::Matcher;
use super::super::rights::Sight;
use super::details::Details;
use crate::dav::error::DavError;
use crate::dav::precondition::etag_of;
use crate::dav::xml::TimeRange;
use crate::ical::recur::{Occurrence, Series};
use crate::ical::words::{Class, Status};
use crate::ical::zone::Zone;
use crate::ical::{Component, Event, When, Zones};
use crate::store::{Object, ObjectFilter};
use crate::wording::plain;

/// Objects that are read at once.
const PAGE: usize = 100;
/// Objects that are looked into before others get their turn.
const TURN: usize = 16;
/// Characters of a title that are shown.
const TITLE: usize = 200;
/// Characters of a place that stand beside a title.
const PLACE: usize = 120;

/// What is wanted of calendars.
pub(super) struct Wanted {
    /// From the first instant that is shown to the first one that is not any more.
    pub(super) range: Range<DateTime<Utc>>,
    /// The zone of the reader.
    pub(super) zone: Tz,
    /// Whether details are wanted.
    pub(super) with_details: bool,
    /// Events at most.
    pub(super) most: usize,
}

/// One time at which an event takes place, or a task is due.
#[derive(Debug, Clone, Default)]
pub(super) struct Happening {
    /// Names it within the page, and again when the page is asked for anew.
    pub(super) key: String,
    /// Which of the calendars it is in.
    pub(super) calendar: usize,
    /// Wall times of the reader; the end is the first moment after it. Midnights where it takes whole days.
    pub(super) start: NaiveDateTime,
    pub(super) end: NaiveDateTime,
    pub(super) all_day: bool,
    /// On one line; `None` where it has none.
    pub(super) title: Option<String>,
    pub(super) location: Option<String>,
    pub(super) is_task: bool,
    pub(super) is_done: bool,
    pub(super) is_cancelled: bool,
    pub(super) is_tentative: bool,
    pub(super) is_private: bool,
    pub(super) repeats: bool,
    /// Whether the reader is told no more than when it is.
    pub(super) is_veiled: bool,
    pub(super) details: Option<Details>,
}

impl Server {
    /// What takes place, by start; and whether there would have been more.
    pub(super) async fn happenings(
        &self,
        calendars: &[Sight],
        wanted: &Wanted,
    ) -> Result<(Vec<Happening>, bool), DavError> {
        let mut found = Vec::new();
        let mut is_complete = true;
        for (index, calendar) in calendars.iter().enumerate() {
            let held = &calendar.props.components;
            for kind in ["VEVENT", "VTODO"] {
                if held.is_empty() || held.iter().any(|c| c == kind) {
                    is_complete &= self.gather_kind(calendar, index, kind, wanted, &mut found).await?;
                }
            }
        }
        found.sort_by(|a, b| {
            (a.start, !a.all_day, b.end, &a.title, &a.key).cmp(&(b.start, !b.all_day, a.end, &b.title, &b.key))
        });
        Ok((found, !is_complete))
    }

    /// Adds what one calendar holds of one kind; false when it was too much.
    async fn gather_kind(
        &self,
        calendar: &Sight,
        index: usize,
        kind: &str,
        wanted: &Wanted,
        found: &mut Vec<Happening>,
    ) -> Result<bool, DavError> {
        let matcher = Matcher::of_events(&wanted.range, wanted.zone, &self.0);
        let filter = ObjectFilter { component: Some(kind.to_owned()), ..matcher.prefilter() };
        let mut after: Option<String> = None;
        loop {
            let page = self.0.store.query(calendar.id, &filter, after.as_deref(), PAGE).await?;
            after = page.next();
            for (n, object) in page.objects.into_iter().enumerate() {
                // What the reader may see of it.
                let Some(object) = calendar.show(object) else { continue };
                if n % TURN == TURN - 1 {
                    tokio::task::yield_now().await;
                }
                // A task without a time has no place on an agenda.
                let may_be = match kind {
                    "VEVENT" => matcher.passes(&object.meta, &object.data),
                    _ => object.meta.first_occurrence.is_some(),
                };
                if may_be && !self.add_object(calendar, index, &object, wanted, found) {
                    return Ok(false);
                }
            }
            if after.is_none() {
                return Ok(true);
            }
        }
    }

    /// Adds the times of one object; false when there are too many. One that cannot be read or followed hides no other.
    fn add_object(
        &self,
        calendar: &Sight,
        index: usize,
        object: &Object,
        wanted: &Wanted,
        found: &mut Vec<Happening>,
    ) -> bool {
        let Ok(parsed) = Component::parse(&object.data) else { return true };
        let sees_private = calendar.sees_private();
        let zones = Zones::of(&parsed);
        for series in Series::all(&parsed, wanted.zone) {
            let repeats = series.is_recurring();
            for occurrence in series.occurrences(wanted.range.clone(), self.0.bounds()) {
                let Ok(occurrence) = occurrence else { break };
                if occurrence.component.is("VJOURNAL") {
                    continue;
                }
                if found.len() >= wanted.most {
                    return false;
                }
                let place = format!("{}/{}/{}", calendar.uri, object.meta.name, occurrence.recurrence_id.value());
                let key = format!("e{}", &etag_of(&place)[..12]);
                let happening = Happening {
                    key,
                    calendar: index,
                    repeats,
                    ..Happening::of(&occurrence, &zones, wanted, sees_private)
                };
                found.push(happening);
            }
        }
        true
    }
}

impl Happening {
    fn of(occurrence: &Occurrence<'_>, zones: &Zones, wanted: &Wanted, sees_private: bool) -> Self {
        let event = Event::new(occurrence.component, zones);
        let status = event.status();
        let class = event.class();
        let is_veiled = !sees_private && class != Class::Public;
        let (start, end, all_day) = times(occurrence, wanted.zone);
        let mut happening = Self {
            start,
            end,
            all_day,
            is_task: occurrence.component.is("VTODO"),
            is_done: status == Some(Status::Completed),
            is_cancelled: status == Some(Status::Cancelled),
            is_tentative: status == Some(Status::Tentative),
            is_private: class != Class::Public,
            is_veiled,
            ..Self::default()
        };
        if !is_veiled {
            let line = |text: Option<String>, most| {
                let line = plain::clip(plain::single_line(&text?), most);
                (!line.is_empty()).then_some(line)
            };
            happening.title = line(event.summary(), TITLE);
            happening.location = line(event.location(), PLACE);
            happening.details = wanted.with_details.then(|| Details::of(&event));
        }
        happening
    }
}

/// From when to when in the wall time of the reader, and whether that is whole days.
fn times(occurrence: &Occurrence<'_>, zone: Tz) -> (NaiveDateTime, NaiveDateTime, bool) {
    let due = occurrence.end_when.as_ref().filter(|_| occurrence.component.is("VTODO"));
    let start = due.unwrap_or(&occurrence.start_when);
    if let When::Date(first) = start {
        let first = first.and_time(NaiveTime::MIN);
        let next = super::question::later(first.date(), 1).and_time(NaiveTime::MIN);
        let end = occurrence
            .end_when
            .as_ref()
            .filter(|_| due.is_none())
            .map_or(next, |end| end.date().and_time(NaiveTime::MIN));
        return (first, end.max(next), true);
    }
    let local = |instant| Zone::from(zone).to_local(instant);
    match due {
        Some(due) => (local(due.instant(zone)), local(due.instant(zone)), false),
        None => {
            let start = local(occurrence.start);
            // An hour that is repeated in autumn may end before it begins, by the clock on the wall.
            (start, local(occurrence.end).max(start), false)
        }
    }
}

/// The instants between two midnights of the reader.
pub(super) fn between(first: chrono::NaiveDate, after: chrono::NaiveDate, zone: Tz) -> Range<DateTime<Utc>> {
    let midnight = |day: chrono::NaiveDate| Zone::from(zone).to_utc(day.and_time(NaiveTime::MIN)).timestamp();
    instants(TimeRange { start: Some(midnight(first)), end: Some(midnight(after)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::Bounds;

    /// What a reader in a zone sees of an event with these lines.
    fn seen(lines: &str, zone: Tz, sees_private: bool) -> Vec<Happening> {
        let text = format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:e\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
        let parsed = Component::parse(&text).unwrap();
        let day = |text: &str| text.parse::<chrono::NaiveDate>().unwrap();
        let range = between(day("2026-10-01"), day("2026-12-01"), zone);
        let wanted = Wanted { range: range.clone(), zone, with_details: true, most: 100 };
        let zones = Zones::of(&parsed);
        let all = Series::all(&parsed, zone);
        let found = all.iter().flat_map(|series| series.occurrences(range.clone(), Bounds::default()));
        found.map(|occurrence| Happening::of(&occurrence.unwrap(), &zones, &wanted, sees_private)).collect()
    }

    #[test]
    fn what_is_private_is_only_busy_for_others() {
        for class in ["PRIVATE", "CONFIDENTIAL", "X-SECRET"] {
            let lines = format!(
                "DTSTART:20261118T090000Z\r\nDURATION:PT1H\r\nSUMMARY:Doctor\r\nLOCATION:Clinic\r\nCLASS:{class}"
            );
            let [other] = &seen(&lines, Tz::UTC, false)[..] else { panic!("one event") };
            assert!(other.is_veiled && other.title.is_none() && other.location.is_none() && other.details.is_none());
            let [own] = &seen(&lines, Tz::UTC, true)[..] else { panic!("one event") };
            assert_eq!((own.title.as_deref(), own.is_private, own.is_veiled), (Some("Doctor"), true, false));
        }
        let public = "DTSTART:20261118T090000Z\r\nSUMMARY:Lunch\r\nCLASS:PUBLIC";
        assert_eq!(seen(public, Tz::UTC, false)[0].title.as_deref(), Some("Lunch"));
    }

    #[test]
    fn an_event_in_the_hour_that_comes_twice_does_not_end_before_it_begins() {
        // 02:30 to 02:15 by the clock, in the night in which summer ends.
        let lines = "DTSTART:20261025T003000Z\r\nDTEND:20261025T011500Z";
        let [event] = &seen(lines, Tz::Europe__Paris, true)[..] else { panic!("one event") };
        assert_eq!(event.start, "2026-10-25T02:30:00".parse().unwrap());
        assert_eq!(event.end, event.start);
    }

    #[test]
    fn days_are_days_and_floating_times_are_those_of_the_reader() {
        for zone in [Tz::Pacific__Honolulu, Tz::Pacific__Kiritimati] {
            let [day] = &seen("DTSTART;VALUE=DATE:20261118", zone, true)[..] else { panic!("one event") };
            assert_eq!(
                (day.start, day.end),
                ("2026-11-18T00:00:00".parse().unwrap(), "2026-11-19T00:00:00".parse().unwrap())
            );
            let [floating] = &seen("DTSTART:20261118T090000\r\nDURATION:PT1H", zone, true)[..] else {
                panic!("one event")
            };
            assert_eq!(floating.start, "2026-11-18T09:00:00".parse().unwrap());
        }
    }
}
