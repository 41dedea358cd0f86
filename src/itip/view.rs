//! What one attendee sees of an object: the occurrences they are invited to, and what changed about them.

use std::collections::{BTreeSet, HashMap};

use super::edit::strip_scheduling;
use super::moment::{InstanceId, Moment, exclude};
use super::object::{Invitee, Object};
use crate::ical::edit::exdates;
use crate::ical::{Component, Event, Property, When, Zones};

/// Changes of these must be told (RFC 6638 §3.2.8, plus what people read: mail-itip-alarms §5.4).
const SIGNIFICANT: [&str; 10] =
    ["DTSTART", "DTEND", "DURATION", "DUE", "RDATE", "RECURRENCE-ID", "STATUS", "SUMMARY", "LOCATION", "DESCRIPTION"];

/// Changes of these are worth a word, but are not significant.
const NOTEWORTHY: [&str; 2] = ["X-OPENPAAS-VIDEOCONFERENCE", "X-OPENPAAS-BOOKING-LINK"];

/// What may differ between two messages that say the same: when they were made, and what stays the recipient's own.
const IMMATERIAL: [&str; 5] = ["DTSTAMP", "LAST-MODIFIED", "CREATED", "TRANSP", "CLASS"];

/// The VEVENTs somebody is invited to and that take place, as indices into [`Object::instances`].
pub(super) fn live_seats(object: &Object, invitee: Option<&Invitee>) -> Vec<usize> {
    match invitee {
        Some(invitee) if !object.is_cancelled() => {
            invitee.seats.iter().map(|s| s.instance).filter(|&i| !object.instances[i].cancelled).collect()
        }
        _ => Vec::new(),
    }
}

/// The VEVENTs of `seats` as their attendee gets them: without what is between client and server, and with the
/// occurrences they are not invited to, or that are cancelled, taken out of the series.
pub(super) fn project(object: &Object, seats: &[usize]) -> Vec<(InstanceId, Component)> {
    let elsewhere = || {
        let unseated = (0..object.instances.len()).filter(|i| seats.binary_search(i).is_err());
        unseated.filter_map(|i| object.recurrence_id(i)).collect::<Vec<_>>()
    };
    let mut events = Vec::with_capacity(seats.len());
    for &seat in seats {
        let instance = &object.instances[seat];
        let mut event = instance.component.clone();
        strip_scheduling(&mut event);
        if instance.id == InstanceId::Master {
            for attendee in event.all_mut("ATTENDEE").filter(|a| a.get_param("PARTSTAT").is_none()) {
                attendee.set_param("PARTSTAT", "NEEDS-ACTION");
            }
            exclude(&mut event, &object.zones, &elsewhere());
        } else {
            event.remove("RRULE");
        }
        events.push((instance.id, event));
    }
    events
}

/// What changed between two views of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// Must be told.
    pub significant: bool,
    /// Significant, or a new meeting link.
    pub noteworthy: bool,
    /// A message would say exactly what the last one said.
    pub none: bool,
    /// As `none`, once the cancelled occurrences are told in a message of their own.
    pub none_but_cancelled: bool,
}

impl Change {
    /// Somebody hears of the event for the first time.
    pub const NEW: Self = Self { significant: true, noteworthy: true, none: false, none_but_cancelled: false };
}

/// Compares what somebody saw with what they see now; `cancelled` are occurrences that were just cancelled.
pub(super) fn compare(before: (&Object, &[usize]), after: (&Object, &[usize]), cancelled: &BTreeSet<Moment>) -> Change {
    let old = project(before.0, before.1);
    let new = project(after.0, after.1);
    let mut by_id = HashMap::new();
    for (id, event) in &old {
        by_id.entry(*id).or_insert(event);
    }
    let find = |id: InstanceId| by_id.get(&id).copied();
    let zones = (&before.0.zones, &after.0.zones);

    let same_instances = old.len() == new.len() && new.iter().all(|(id, _)| find(*id).is_some());
    let pairs = || new.iter().filter_map(|(id, event)| Some((find(*id)?, event)));
    let significant = !same_instances || pairs().any(|(a, b)| is_significant((a, zones.0), (b, zones.1)));
    let noteworthy = significant
        || pairs().any(|(a, b)| lines(a, |p| is_any(p, &NOTEWORTHY)) != lines(b, |p| is_any(p, &NOTEWORTHY)));

    let counts = |p: &Property| !(after.0.is_raised && p.is("SEQUENCE"));
    let material = |p: &Property| !is_any(p, &IMMATERIAL) && !p.is("EXDATE") && counts(p);
    let same_dates = |a: &Component, b: &Component, more: &BTreeSet<Moment>| {
        let mut was = excluded(a, zones.0);
        was.extend(more);
        was == excluded(b, zones.1)
    };
    let nothing_more = BTreeSet::new();
    let none = same_instances
        && pairs().all(|(a, b)| lines(a, material) == lines(b, material) && same_dates(a, b, &nothing_more));

    let quiet = |p: &Property| material(p) && !p.is("SEQUENCE");
    let still_there = old.iter().filter(|(id, _)| id.moment().is_none_or(|m| !cancelled.contains(&m))).count();
    let none_but_cancelled = !cancelled.is_empty()
        && still_there == new.len()
        && new.iter().all(|(id, _)| find(*id).is_some())
        && pairs().all(|(a, b)| {
            let more = if a.get("RECURRENCE-ID").is_none() { cancelled } else { &nothing_more };
            lines(a, quiet) == lines(b, quiet) && same_dates(a, b, more)
        });
    Change { significant, noteworthy, none, none_but_cancelled }
}

/// Whether two states of one VEVENT differ in what must be told.
pub(super) fn is_significant(before: (&Component, &Zones), after: (&Component, &Zones)) -> bool {
    significance(before.0, before.1) != significance(after.0, after.1)
}

/// Whether two states of one VEVENT take place at different times, so that SEQUENCE must tell (RFC 5546 §2.1.4). STATUS is
/// left out: an organizer that calls an event off by STATUS keeps its SEQUENCE (dav §18.16).
pub(super) fn is_rescheduled(before: (&Component, &Zones), after: (&Component, &Zones)) -> bool {
    let times = |(component, zones): (&Component, &Zones)| {
        let event = Event::new(component, zones);
        let moment = |when: Option<When>| when.map(|w| Moment::from(&w));
        let mut rules: Vec<Vec<String>> = component.all("RRULE").map(|p| rule(p.value())).collect();
        rules.sort();
        let mut dates = lines(component, |p| p.is("RDATE"));
        dates.sort();
        (moment(event.start()), moment(event.end()), rules, dates, excluded(component, zones))
    };
    times(before) != times(after)
}

fn is_any(property: &Property, names: &[&str]) -> bool {
    names.iter().any(|n| property.is(n))
}

fn excluded(event: &Component, zones: &Zones) -> BTreeSet<Moment> {
    exdates(event, zones).map(|w| (&w).into()).collect()
}

/// The significant content of a VEVENT in a form that does not depend on how it is written.
#[derive(PartialEq)]
struct Significance {
    values: Vec<(&'static str, String)>,
    rules: Vec<Vec<String>>,
    excluded: BTreeSet<Moment>,
}

fn significance(event: &Component, zones: &Zones) -> Significance {
    let mut values = Vec::new();
    for name in SIGNIFICANT {
        // Yahoo writes STATUS twice; the first counts.
        let many = if name == "STATUS" { 1 } else { usize::MAX };
        let mut lines: Vec<String> = event
            .all(name)
            .take(many)
            .filter(|p| !p.value().is_empty())
            .map(|p| format!("{}:{}", p.get_param("TZID").unwrap_or(""), p.value()))
            .collect();
        lines.sort();
        values.extend(lines.into_iter().map(|l| (name, l)));
    }
    let mut rules: Vec<Vec<String>> = event.all("RRULE").map(|p| rule(p.value())).collect();
    rules.sort();
    Significance { values, rules, excluded: excluded(event, zones) }
}

/// The parts of a recurrence rule, whatever their order; `INTERVAL=1` says nothing (RFC 5545 §3.3.10).
pub(super) fn rule(value: &str) -> Vec<String> {
    let parts = value.split(';').map(|p| p.trim().to_ascii_uppercase());
    let mut parts: Vec<String> = parts.filter(|p| !p.is_empty() && p != "INTERVAL=1").collect();
    parts.sort();
    parts
}

/// The chosen properties, sorted, each in one spelling.
fn lines(event: &Component, chosen: impl Fn(&Property) -> bool) -> Vec<String> {
    let mut lines: Vec<String> = event.properties().filter(|p| chosen(p)).map(line).collect();
    lines.sort();
    lines
}

fn line(property: &Property) -> String {
    let mut params: Vec<String> =
        property.params().iter().map(|p| format!(";{}={}", p.name.to_ascii_uppercase(), p.values.join(","))).collect();
    params.sort();
    let value = if property.is("RRULE") { rule(property.value()).join(";") } else { property.value().to_owned() };
    format!("{}{}:{value}", property.name().to_ascii_uppercase(), params.concat())
}
