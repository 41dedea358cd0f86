//! When somebody is busy (RFC 4791 §7.10): the busy times of calendars in a range, as a VFREEBUSY.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::access::Relation;
use super::availability::unavailable;
use super::calendar_query::check_range;
use super::call::Call;
use super::expander::{instant, instants, zone_of};
use super::filter::{Matcher, happens_once_at_a_fixed_time};
use super::occurrences::Asked;
use super::put::PRODID;
use super::report::unsupported;
use super::rights::Need;
use super::{Inner, Server};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::dav::xml::{Element, TimeRange, XmlLimits, parse};
use crate::ical::{Component, Period, Property, When, Zones, recur};
use crate::ids::Email;
use crate::itip::Address;
use crate::store::{Collection, CollectionKind, Holder, Object, ObjectFilter};

/// Objects that are read at once.
const PAGE: usize = 200;
/// Objects that are looked into before others get their turn.
const TURN: usize = 64;
/// Name of the property of an inbox that says when its owner can be had (RFC 7953 §7.2.4).
const AVAILABILITY: &str = "{urn:ietf:params:xml:ns:caldav}calendar-availability";

/// How a time is taken (RFC 5545 §3.2.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Busy,
    Tentative,
    Unavailable,
}

/// Times that are taken, in order, of each kind without overlap.
pub(super) type Busy = Vec<(Kind, Range<DateTime<Utc>>)>;

impl Call {
    /// Answers with the busy times of one calendar, or of all calendars of a home that count.
    pub(super) async fn free_busy_query(self, root: &Element) -> Result<Response<Body>, DavError> {
        const NAME: &str = "{urn:ietf:params:xml:ns:caldav}free-busy-query";
        let range = TimeRange::read_free_busy(root)?;
        check_range(range, &self.inner().settings.limits)?;
        let range = instants(range);
        // Whoever may not read a calendar may still be told when its owner is busy (RFC 4791 §6.1.1): colleagues may.
        let (calendars, home) = match &self.location {
            Location::Collection { space: Space::Calendars, .. } => {
                let sight = self.server.see(&self.who, &self.location, Need::FreeBusy).await?;
                let home = sight.source().home;
                // Whose time it is, in the zone of who looks.
                (vec![sight.shown().clone()], home)
            }
            Location::Home(Space::Calendars, home) => {
                let relation = self.server.relation(&self.who, Space::Calendars, *home).await?;
                if relation != Relation::Owner {
                    return Err(self.server.needs(&self.location, Need::FreeBusy.privilege()));
                }
                let mut calendars = self.server.collections(Space::Calendars, *home).await?;
                calendars.retain(counts);
                (calendars, *home)
            }
            _ => {
                self.target().await?;
                return Err(unsupported(NAME));
            }
        };
        if calendars.iter().any(|c| c.kind != CollectionKind::Calendar) {
            return Err(unsupported(NAME));
        }
        let owner = self.inner().tenants.holder(home).await?;
        let owner = owner.ok_or_else(|| DavError::no_node(&self.path))?;
        let busy = self.server.busy(&calendars, &range, &owner.emails).await?;
        let component = as_component(&busy, &range, self.inner().env.now());
        let mut response = Response::new(Body::from(as_calendar(component, None).to_wire()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8"));
        Ok(response)
    }
}

/// Whether what is in a collection takes its owner's time (RFC 6638 §9.1).
fn counts(collection: &Collection) -> bool {
    collection.kind == CollectionKind::Calendar && !collection.props.transparent
}

impl Server {
    /// The busy times of whoever has a home: those of all calendars that count, and when their inbox says that they cannot be had
    /// (RFC 6638 §5, RFC 7953 §7.2.4).
    pub(super) async fn busy_of(&self, holder: &Holder, range: &Range<DateTime<Utc>>) -> Result<Busy, DavError> {
        let mut collections = self.0.store.collections(holder.home).await?;
        let inbox = collections.iter().find(|c| c.kind == CollectionKind::Inbox);
        let zone = collections.iter().find(|c| c.is_default()).map_or(chrono_tz::Tz::UTC, zone_of);
        let statement = inbox.and_then(|inbox| availability_of(inbox, self.0.settings.limits.availability_bytes));
        collections.retain(counts);
        let mut busy = self.busy(&collections, range, &holder.emails).await?;
        if let Some(calendar) = statement {
            busy.extend(self.unavailable(&[calendar], range, zone)?);
        }
        Ok(merged(busy))
    }

    /// The busy times of a person with these addresses, from these calendars: their events, the VFREEBUSYs in them, and
    /// what their VAVAILABILITYs leave (RFC 4791 §7.10, RFC 7953 §4).
    ///
    /// # Errors
    /// 403 for a range that is too long, or that holds too much (`number-of-matches-within-limits`).
    pub(super) async fn busy(
        &self,
        calendars: &[Collection],
        range: &Range<DateTime<Utc>>,
        person: &[Email],
    ) -> Result<Busy, DavError> {
        let limits = &self.0.settings.limits;
        if range.end.signed_duration_since(range.start)
            > TimeDelta::try_days(limits.busy_days).unwrap_or(TimeDelta::MAX)
        {
            return Err(too_much(format!("Free and busy times are told for at most {} days", limits.busy_days)));
        }
        let mut taken = Vec::new();
        for calendar in calendars {
            let zone = zone_of(calendar);
            let mut statements = Vec::new();
            for component in ["VEVENT", "VFREEBUSY", "VAVAILABILITY"] {
                let held = &calendar.props.components;
                if !held.is_empty() && !held.iter().any(|c| c == component) {
                    continue;
                }
                let gathered = Gathered { kind: component, zone, range, person };
                self.gather(calendar, &gathered, &mut taken, &mut statements).await?;
            }
            taken.extend(self.unavailable(&statements, range, zone)?);
        }
        Ok(merged(taken))
    }

    /// When somebody cannot be had, by what they said of it.
    fn unavailable(
        &self,
        statements: &[Component],
        range: &Range<DateTime<Utc>>,
        zone: chrono_tz::Tz,
    ) -> Result<Busy, DavError> {
        let most = self.0.settings.limits.busy_times;
        let found = unavailable(statements, range, zone, self.0.bounds(), most);
        found.ok_or_else(|| too_much(format!("There are more than {most} available times in this range")))
    }

    /// Adds the times that components of one type take, and the VAVAILABILITYs themselves.
    async fn gather(
        &self,
        calendar: &Collection,
        wanted: &Gathered<'_>,
        taken: &mut Busy,
        statements: &mut Vec<Component>,
    ) -> Result<(), DavError> {
        let matcher = Matcher::of_events(wanted.range, wanted.zone, &self.0);
        let filter = match wanted.kind {
            "VEVENT" => matcher.prefilter(),
            other => ObjectFilter {
                component: Some(other.to_owned()),
                start: Some(wanted.range.start.timestamp()),
                end: Some(wanted.range.end.timestamp()),
                ..ObjectFilter::default()
            },
        };
        let most = self.0.settings.limits.busy_times;
        let mut octets = self.0.settings.limits.availability_bytes;
        let mut after: Option<String> = None;
        loop {
            let page = self.0.store.query(calendar.id, &filter, after.as_deref(), PAGE).await?;
            for (index, object) in page.objects.iter().enumerate() {
                if index % TURN == TURN - 1 {
                    tokio::task::yield_now().await;
                }
                match wanted.kind {
                    "VEVENT" => wanted.add_event(object, &self.0, taken),
                    kind => {
                        let Ok(parsed) = Component::parse(&object.data) else { continue };
                        if kind == "VFREEBUSY" {
                            wanted.add_busy_times(&parsed, taken);
                        } else {
                            // All of them are needed at once: the one that counts most may come last.
                            octets = octets.checked_sub(object.data.len()).ok_or_else(|| {
                                too_much("There are more VAVAILABILITYs in this range than are looked at".to_owned())
                            })?;
                            statements.push(parsed);
                        }
                    }
                }
                if taken.len() > most {
                    return Err(too_much(format!("There are more than {most} busy times in this range")));
                }
            }
            after = page.next();
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// What is gathered from one calendar.
struct Gathered<'a> {
    kind: &'static str,
    zone: chrono_tz::Tz,
    range: &'a Range<DateTime<Utc>>,
    person: &'a [Email],
}

impl Gathered<'_> {
    /// The part of a time that lies in the range.
    fn clipped(&self, time: Range<DateTime<Utc>>) -> Option<Range<DateTime<Utc>>> {
        Some(time.start.max(self.range.start)..time.end.min(self.range.end)).filter(|r| r.start < r.end)
    }

    /// Adds an event that happens once and says nothing of how it takes time, from what the index knows; false where the
    /// event must be read. Most are like that, and reading them would be nearly all the work.
    fn add_at_a_glance(&self, object: &Object, taken: &mut Busy) -> bool {
        let (Some(first), Some(last)) = (object.meta.first_occurrence, object.meta.last_occurrence) else {
            return false;
        };
        let event = object.data.find("BEGIN:VEVENT").map_or("", |at| &object.data[at..]);
        let says_more = ["TRANSP", "STATUS", "ATTENDEE"].iter().any(|word| event.contains(word));
        if says_more || !happens_once_at_a_fixed_time(&object.data, self.zone) {
            return false;
        }
        taken.extend(self.clipped(instant(first)..instant(last)).map(|time| (Kind::Busy, time)));
        true
    }

    fn add_event(&self, object: &Object, server: &Inner, taken: &mut Busy) {
        if self.add_at_a_glance(object, taken) {
            return;
        }
        let asked = Asked { meta: &object.meta, data: &object.data, zone: self.zone, now: server.env.now() };
        let range = (self.range.start.timestamp(), self.range.end.timestamp());
        let remembered = server.occurrences.taken(&asked, range, self.person, |kind, time| {
            taken.extend(self.clipped(instant(time.start)..instant(time.end)).map(|time| (kind, time)));
        });
        if remembered.is_none()
            && let Ok(calendar) = Component::parse(&object.data)
        {
            self.add_occurrences(&calendar, server.bounds(), taken);
        }
    }

    fn add_occurrences(&self, calendar: &Component, bounds: recur::Bounds, taken: &mut Busy) {
        // Bounds keep one strange rule from hiding everything else.
        let Ok(found) = recur::occurrences(calendar, self.range.clone(), self.zone, bounds) else { return };
        let events = found.iter().filter(|o| o.component.is("VEVENT"));
        taken.extend(events.filter_map(|o| Some((kind_of(o.component, self.person)?, self.clipped(o.start..o.end)?))));
    }

    fn add_busy_times(&self, calendar: &Component, taken: &mut Busy) {
        let zones = Zones::of(calendar);
        let properties = calendar.components().filter(|c| c.is("VFREEBUSY")).flat_map(|c| c.all("FREEBUSY"));
        for property in properties {
            let kind = match property.get_param("FBTYPE").map(str::to_ascii_uppercase).as_deref() {
                Some("FREE") => continue,
                Some("BUSY-TENTATIVE") => Kind::Tentative,
                Some("BUSY-UNAVAILABLE") => Kind::Unavailable,
                _ => Kind::Busy,
            };
            let periods = Period::list(property, &zones).filter_map(Result::ok);
            let times = periods.filter_map(|p| Some(p.start.instant(self.zone)..p.end()?.instant(self.zone)));
            taken.extend(times.filter_map(|time| Some((kind, self.clipped(time)?))));
        }
    }
}

fn too_much(message: String) -> DavError {
    DavError::forbidden(message).because(Condition::Empty("d:number-of-matches-within-limits"))
}

/// The calendar with VAVAILABILITYs that an inbox has as its property; one that is too long says nothing.
fn availability_of(inbox: &Collection, most: usize) -> Option<Component> {
    let xml = inbox.props.dead.get(AVAILABILITY).filter(|xml| xml.len() <= most)?;
    // As it was written, its names may have prefixes that only answers declare.
    let document = format!("<cal:a xmlns:cal=\"urn:ietf:params:xml:ns:caldav\" xmlns:d=\"DAV:\">{xml}</cal:a>");
    let limits = XmlLimits { bytes: document.len(), depth: 4 };
    let root = parse(document.as_bytes(), limits).ok()??;
    let text = root.elements().next()?.text();
    Component::parse(&text).ok()
}

/// How an event takes a person's time; `None` when it does not.
pub(super) fn kind_of(event: &Component, person: &[Email]) -> Option<Kind> {
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
            Kind::Unavailable => property.param("FBTYPE", "BUSY-UNAVAILABLE"),
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
