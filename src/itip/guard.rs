//! What an attendee may change of somebody else's event (RFC 6638 §3.2.2.1, mail-itip-alarms §5.6).
//!
//! - Refused: when and how often it takes place, what it is called, where it is, and who organizes it.
//! - Kept from the organizer's version, whatever the client writes: the answers of others and who else is invited, STATUS,
//!   SEQUENCE and DTSTAMP, which say how new the copy is, and what this family of programs notes about a booking or a team.
//! - The attendee's own: their answer, whom they delegate to, how far they are with a task, alarms, EXDATE, new overrides,
//!   TRANSP, CLASS, categories, colours, comments, X- properties; and, until the organizer's next message, everything else.
//!
//! Properties are compared by what they mean: clients write times in other zones, durations as ends, lines without the
//! parameters that they do not know.

use std::collections::{BTreeSet, HashSet};

use super::address::Address;
use super::booking::METADATA;
use super::edit::TEAM_CALENDAR;
use super::is_schedulable;
use super::keep::{by_id, lines_of};
use super::moment::{InstanceId, Moment};
use super::object::{is_cancelled, partstat_of, sequence_of};
use super::view::rule;
use crate::ical::{Component, Duration, Event, Item, Property, When, Zones};
use crate::ids::Email;

/// Which properties of somebody else's event this write changes although only the organizer may, each name once.
///
/// Empty when `actor` organizes the event or is not invited to it; new overrides are free (mail-itip-alarms §5.6). A name
/// in the answer means HTTP 403 with `CALDAV:allowed-attendee-scheduling-object-change`.
pub fn forbidden_attendee_changes(old: &Component, new: &Component, actor: &[Email]) -> Vec<String> {
    if !is_guest(old, actor) {
        return Vec::new();
    }
    let (old_zones, new_zones) = (Zones::of(old), Zones::of(new));
    let held = by_id(old, &old_zones);
    let mut changed = BTreeSet::new();
    for event in events(new) {
        let Ok(id) = InstanceId::of(event, &new_zones) else { continue };
        if let Some(held) = held.get(&id) {
            changes((held, &old_zones), (event, &new_zones), &mut changed);
        }
    }
    changed.into_iter().map(|change| change.name().to_owned()).collect()
}

/// Puts back what is the organizer's in an attendee's copy. Does nothing where `actor` is no guest.
pub fn keep_organizers(old: &Component, new: &mut Component, actor: &[Email]) {
    if !is_guest(old, actor) {
        return;
    }
    let (old_zones, new_zones) = (Zones::of(old), Zones::of(new));
    let held = by_id(old, &old_zones);
    for event in new.components_mut().filter(|c| is_schedulable(c)) {
        let Ok(id) = InstanceId::of(event, &new_zones) else { continue };
        match (held.get(&id), held.get(&InstanceId::Master)) {
            (Some(held), _) => {
                keep_revision(held, event);
                keep_status(held, event);
                keep_notes(held, event);
                keep_people(held, event, actor);
            }
            // An override that the attendee makes is of the series as they know it.
            (None, Some(master)) => keep_revision(master, event),
            (None, None) => {}
        }
    }
}

fn is_guest(old: &Component, actor: &[Email]) -> bool {
    let organizer = events(old).find_map(|e| e.value("ORGANIZER"));
    organizer.is_some_and(|o| !Address::read(o).is_one_of(actor))
        && events(old).flat_map(|e| e.all("ATTENDEE")).any(|a| Address::read(a.value()).is_one_of(actor))
}

/// What only the organizer changes, in the order in which a refusal names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Summary,
    Location,
    Start,
    End,
    Duration,
    Due,
    Rule,
    Date,
    ExceptionRule,
    Organizer,
}

impl Change {
    const fn name(self) -> &'static str {
        match self {
            Self::Summary => "SUMMARY",
            Self::Location => "LOCATION",
            Self::Start => "DTSTART",
            Self::End => "DTEND",
            Self::Duration => "DURATION",
            Self::Due => "DUE",
            Self::Rule => "RRULE",
            Self::Date => "RDATE",
            Self::ExceptionRule => "EXRULE",
            Self::Organizer => "ORGANIZER",
        }
    }
}

fn changes(old: (&Component, &Zones), new: (&Component, &Zones), changed: &mut BTreeSet<Change>) {
    let (held, event) = (old.0, new.0);
    let text = |c: &Component, name: &str| c.text(name).unwrap_or_default().replace("\r\n", "\n").trim().to_owned();
    let organizer = |c: &Component| c.value("ORGANIZER").map(Address::read);
    let start = |(c, zones): (&Component, &Zones)| Event::new(c, zones).start();
    let recurs = ["RRULE", "RDATE"].iter().any(|name| held.get(name).is_some());
    let is_changed = [
        (Change::Summary, text(held, "SUMMARY") != text(event, "SUMMARY")),
        (Change::Location, text(held, "LOCATION") != text(event, "LOCATION")),
        (Change::Start, !same_time(start(old), start(new), recurs)),
        (ending(held, event), ends_otherwise(old, new)),
        (Change::Rule, rules(held, "RRULE") != rules(event, "RRULE")),
        (Change::Date, dates(old) != dates(new)),
        (Change::ExceptionRule, rules(held, "EXRULE") != rules(event, "EXRULE")),
        (Change::Organizer, organizer(held) != organizer(event)),
    ];
    changed.extend(is_changed.into_iter().filter(|(_, is)| *is).map(|(change, _)| change));
}

/// The same moment; of a series in zones that keep it the same half a year later, too.
fn same_time(old: Option<When>, new: Option<When>, recurs: bool) -> bool {
    let later = |when: &When| Moment::from(&when.plus(Duration { days: 182, seconds: 0 }));
    match (old, new) {
        (Some(old), Some(new)) => Moment::from(&old) == Moment::from(&new) && (!recurs || later(&old) == later(&new)),
        (old, new) => old.is_none() && new.is_none(),
    }
}

fn ends_otherwise(old: (&Component, &Zones), new: (&Component, &Zones)) -> bool {
    let is_same_line = |name: &str| match (old.0.get(name), new.0.get(name)) {
        (None, None) => true,
        (Some(a), Some(b)) => a.value() == b.value() && a.get_param("TZID") == b.get_param("TZID"),
        _ => false,
    };
    let end = |(c, zones): (&Component, &Zones)| Event::new(c, zones).end();
    !["DTEND", "DUE", "DURATION"].into_iter().all(is_same_line) && !same_time(end(old), end(new), false)
}

/// The property that says when it ends.
fn ending(held: &Component, event: &Component) -> Change {
    let has = |name: &str| held.get(name).is_some() || event.get(name).is_some();
    match () {
        () if has("DUE") => Change::Due,
        () if has("DURATION") && !has("DTEND") => Change::Duration,
        () => Change::End,
    }
}

/// Recurrence rules as far as clients agree how to write them: without the week's start where it decides nothing, and with
/// the day of UNTIL, which some write as a time and some as a date.
fn rules(component: &Component, name: &str) -> BTreeSet<Vec<String>> {
    let normal = |value: &str| {
        let mut parts = rule(value);
        let decides = parts.iter().any(|p| p.starts_with("INTERVAL=") || p.starts_with("BYWEEKNO="));
        parts.retain(|p| p != "WKST=MO" && (decides || !p.starts_with("WKST=")));
        for part in &mut parts {
            if let Some(until) = part.strip_prefix("UNTIL=") {
                *part = format!("UNTIL={}", until.split('T').next().unwrap_or(until));
            } else if let Some((name, list)) = part.split_once('=') {
                let mut list: Vec<&str> = list.split(',').collect();
                list.sort_unstable();
                *part = format!("{name}={}", list.join(","));
            }
        }
        parts
    };
    component.all(name).map(|p| normal(p.value())).collect()
}

fn dates((component, zones): (&Component, &Zones)) -> BTreeSet<Moment> {
    let dates = component.properties().filter(|p| p.is("RDATE"));
    dates.flat_map(|p| When::list(p, zones)).filter_map(Result::ok).map(|when| Moment::from(&when)).collect()
}

/// SEQUENCE and DTSTAMP tell which of the organizer's messages the copy is made of: with those of a client, the next
/// message would seem older than what it is to change.
fn keep_revision(held: &Component, event: &mut Component) {
    if sequence_of(held).unwrap_or(0) != sequence_of(event).unwrap_or(0) {
        keep(held, event, "SEQUENCE");
    }
    if held.get("DTSTAMP").is_some() && held.value("DTSTAMP") != event.value("DTSTAMP") {
        keep(held, event, "DTSTAMP");
    }
}

/// Whether an event takes place is the organizer's to say; of a task, only whether it is called off.
fn keep_status(held: &Component, event: &mut Component) {
    // Some clients write CONFIRMED where there was nothing.
    let status = |c: &Component| match c.value("STATUS").map(|s| s.trim().to_ascii_uppercase()) {
        Some(status) if !status.is_empty() => status,
        _ => "CONFIRMED".to_owned(),
    };
    let is_theirs = !event.is("VTODO") || is_cancelled(held) || is_cancelled(event);
    if is_theirs && status(held) != status(event) {
        keep(held, event, "STATUS");
    }
}

/// What answers are led by: the team calendar, the booking.
fn keep_notes(held: &Component, event: &mut Component) {
    for name in METADATA.into_iter().chain([TEAM_CALENDAR]) {
        if held.get(name).is_some() && held.value(name) != event.value(name) {
            keep(held, event, name);
        }
    }
}

fn keep(held: &Component, event: &mut Component, name: &str) {
    match held.get(name) {
        Some(property) => event.set(property.clone()),
        None => {
            event.remove(name);
        }
    }
}

/// The lines of all others as they were, apart from those whom the attendee delegates to.
fn keep_people(held: &Component, event: &mut Component, actor: &[Email]) {
    let lines = lines_of(held);
    let named = |line: &Property, name: &str| -> Vec<Address> {
        let params = line.params().iter().filter(|p| p.is(name)).flat_map(|p| &p.values);
        params.map(|value| Address::read(value)).collect()
    };
    let mine = event.all("ATTENDEE").filter(|line| Address::read(line.value()).is_one_of(actor));
    let delegates: HashSet<Address> = mine.flat_map(|line| named(line, "DELEGATED-TO")).collect();
    let mut seen = HashSet::new();
    let mut am_there = false;
    event.items.retain_mut(|item| {
        let Item::Property(line) = item else { return true };
        if !line.is("ATTENDEE") {
            return true;
        }
        let who = Address::read(line.value());
        if who.is_one_of(actor) {
            am_there = true;
            seen.insert(who);
            return true;
        }
        let Some(held) = lines.get(&who) else {
            return delegates.contains(&who) || named(line, "DELEGATED-FROM").iter().any(|by| by.is_one_of(actor));
        };
        let same = |name| named(held, name) == named(line, name);
        if partstat_of(held) != partstat_of(line) || !same("DELEGATED-TO") || !same("DELEGATED-FROM") {
            *line = (*held).clone();
        }
        seen.insert(who);
        true
    });
    for line in held.all("ATTENDEE") {
        let who = Address::read(line.value());
        let is_missing = if who.is_one_of(actor) { !am_there } else { !seen.contains(&who) };
        if is_missing {
            event.push(line.clone());
            seen.insert(who);
        }
    }
}

fn events(calendar: &Component) -> impl Iterator<Item = &Component> {
    calendar.components().filter(|c| is_schedulable(c))
}
