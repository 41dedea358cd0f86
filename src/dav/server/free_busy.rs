//! When somebody is busy (RFC 4791 §7.10): the busy times of calendars in a range, as a VFREEBUSY.

use std::ops::Range;

use chrono::{DateTime, Utc};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::Server;
use super::call::Call;
use super::expander::{instants, zone_of};
use super::filter::Matcher;
use super::propfind::Target;
use super::put::PRODID;
use super::report::unsupported;
use crate::dav::error::DavError;
use crate::dav::upstream::Body;
use crate::dav::xml::{Element, TimeRange};
use crate::ical::{Component, Property, When, recur};
use crate::ids::Email;
use crate::itip::Address;
use crate::store::{Collection, CollectionKind};

/// Objects that are read at once.
const PAGE: usize = 200;

/// How a time is taken (RFC 5545 §3.2.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Busy,
    Tentative,
}

/// Times that are taken, in order, of each kind without overlap.
pub(super) type Busy = Vec<(Kind, Range<DateTime<Utc>>)>;

impl Call {
    /// Answers with the busy times of one calendar.
    pub(super) async fn free_busy_query(self, root: &Element) -> Result<Response<Body>, DavError> {
        let range = instants(TimeRange::read_free_busy(root)?);
        let (Target::Collection(calendar), _) = self.target().await? else {
            return Err(unsupported("{urn:ietf:params:xml:ns:caldav}free-busy-query"));
        };
        if calendar.kind != CollectionKind::Calendar {
            return Err(unsupported("{urn:ietf:params:xml:ns:caldav}free-busy-query"));
        }
        let owner = self.owner_of(&calendar).await?;
        let busy = self.server.busy(&[calendar], &range, &owner.emails).await?;
        let component = as_component(&busy, &range, self.inner().env.now());
        let mut response = Response::new(Body::from(as_calendar(component, None).to_wire()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8"));
        Ok(response)
    }
}

impl Server {
    /// The busy times of a person with these addresses, from these calendars.
    pub(super) async fn busy(
        &self,
        calendars: &[Collection],
        range: &Range<DateTime<Utc>>,
        person: &[Email],
    ) -> Result<Busy, DavError> {
        let mut taken = Vec::new();
        for calendar in calendars {
            let zone = zone_of(calendar);
            let matcher = Matcher::of_events(range, zone, &self.0);
            let filter = matcher.prefilter();
            let mut after: Option<String> = None;
            loop {
                let page = self.0.store.query(calendar.id, &filter, after.as_deref(), PAGE).await?;
                for object in page.iter().filter(|o| matcher.passes(&o.meta, &o.data)) {
                    let Ok(calendar) = Component::parse(&object.data) else { continue };
                    // Bounds keep one strange rule from hiding everything else.
                    let Ok(found) = recur::occurrences(&calendar, range.clone(), zone, self.0.bounds()) else {
                        continue;
                    };
                    let times = found.iter().filter(|o| o.component.is("VEVENT")).filter_map(|o| {
                        let clipped = o.start.max(range.start)..o.end.min(range.end);
                        Some((kind_of(o.component, person)?, clipped)).filter(|(_, r)| r.start < r.end)
                    });
                    taken.extend(times);
                }
                let is_last = page.len() < PAGE;
                after = page.into_iter().next_back().map(|o| o.meta.name);
                if is_last {
                    break;
                }
            }
        }
        Ok(merged(taken))
    }
}

/// How an event takes a person's time; `None` when it does not.
fn kind_of(event: &Component, person: &[Email]) -> Option<Kind> {
    let is = |name: &str, word: &str| event.value(name).is_some_and(|v| v.trim().eq_ignore_ascii_case(word));
    if is("TRANSP", "TRANSPARENT") || is("STATUS", "CANCELLED") {
        return None;
    }
    let own = event.all("ATTENDEE").find(|a| Address::read(a.value()).is_one_of(person));
    let answer = own.and_then(|a| a.get_param("PARTSTAT")).map(str::to_ascii_uppercase);
    match answer.as_deref() {
        Some("DECLINED" | "DELEGATED") => None,
        Some("TENTATIVE" | "NEEDS-ACTION") => Some(Kind::Tentative),
        _ if is("STATUS", "TENTATIVE") => Some(Kind::Tentative),
        _ => Some(Kind::Busy),
    }
}

/// Joins times of one kind that touch.
fn merged(mut taken: Busy) -> Busy {
    taken.sort_by_key(|(kind, range)| (*kind, range.start, range.end));
    let mut busy: Busy = Vec::new();
    for (kind, range) in taken {
        match busy.last_mut() {
            Some((last, before)) if *last == kind && range.start <= before.end => {
                before.end = before.end.max(range.end)
            }
            _ => busy.push((kind, range)),
        }
    }
    busy.sort_by_key(|(_, range)| range.start);
    busy
}

/// The times as a VFREEBUSY.
pub(super) fn as_component(busy: &Busy, range: &Range<DateTime<Utc>>, now: DateTime<Utc>) -> Component {
    let mut component = Component::new("VFREEBUSY");
    for (name, instant) in [("DTSTART", range.start), ("DTEND", range.end), ("DTSTAMP", now)] {
        component.push(When::Utc(instant).to_property(name));
    }
    for (kind, time) in busy {
        let value = format!("{}/{}", When::Utc(time.start).value(), When::Utc(time.end).value());
        let property = Property::new("FREEBUSY", value);
        component.push(match kind {
            Kind::Busy => property,
            Kind::Tentative => property.param("FBTYPE", "BUSY-TENTATIVE"),
        });
    }
    component
}

/// A VCALENDAR around a component.
pub(super) fn as_calendar(component: Component, method: Option<&str>) -> Component {
    let mut calendar = Component::new("VCALENDAR");
    calendar.push(Property::new("VERSION", "2.0"));
    calendar.push(Property::new("PRODID", PRODID));
    calendar.push(Property::new("CALSCALE", "GREGORIAN"));
    if let Some(method) = method {
        calendar.push(Property::new("METHOD", method));
    }
    calendar.push_component(component);
    calendar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3600, 0).unwrap()
    }

    #[test]
    fn times_that_touch_are_one_and_kinds_stay_apart() {
        let times = vec![
            (Kind::Busy, at(3)..at(4)),
            (Kind::Tentative, at(2)..at(5)),
            (Kind::Busy, at(1)..at(3)),
            (Kind::Busy, at(6)..at(7)),
        ];
        let expected = vec![(Kind::Busy, at(1)..at(4)), (Kind::Tentative, at(2)..at(5)), (Kind::Busy, at(6)..at(7))];
        assert_eq!(merged(times), expected);
    }
}
