//! Property changes that clients ask for, applied to what the store keeps of a collection.

use std::collections::BTreeMap;

use http::StatusCode;

use super::{properties, timezones};
use crate::dav::error::Condition;
use crate::dav::xml::{APPLE, CALDAV, CARDDAV, DAV, Element, PropChange, Writer};
use crate::ical::object::COMPONENT_TYPES;
use crate::store::{CollectionKind, CollectionProps};

/// Why a property was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) condition: Option<Condition>,
}

impl Refused {
    pub(super) fn because(condition: &'static str) -> Self {
        Self { status: StatusCode::FORBIDDEN, condition: Some(Condition::Empty(condition)) }
    }

    pub(super) fn protected() -> Self {
        Self::because("d:cannot-modify-protected-property")
    }
}

/// Whether the collection is being made, when some properties can be set that are protected later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Creation,
    Later,
}

/// Applies one change. `room` is the number of octets that dead properties may take in all.
pub(super) fn apply(
    props: &mut CollectionProps,
    kind: CollectionKind,
    change: &PropChange,
    moment: Moment,
    room: usize,
) -> Result<(), Refused> {
    let name = change.name();
    let (calendar, book) = (kind == CollectionKind::Calendar, kind == CollectionKind::AddressBook);
    match (name.ns.as_ref(), name.local.as_ref()) {
        (DAV, "displayname") if calendar || book => props.displayname = text(change).filter(|t| !t.is_empty()),
        (CALDAV, "calendar-description") if calendar => props.description = text(change),
        (CARDDAV, "addressbook-description") if book => props.description = text(change),
        (CALDAV, "calendar-timezone") if calendar => props.timezone = zone(change)?,
        (CALDAV, "calendar-timezone-id") if calendar => props.timezone = zone_by_id(change)?,
        (CALDAV, "calendar-availability") if kind == CollectionKind::Inbox => {
            check_availability(change)?;
            change_dead(&mut props.dead, change, room)?;
        }
        (APPLE, "calendar-color") if calendar => props.color = text(change),
        (APPLE, "calendar-order") if calendar => props.order = order(change)?,
        (CALDAV, "schedule-calendar-transp") if calendar => props.transparent = transparent(change),
        (CALDAV, "supported-calendar-component-set") if calendar && moment == Moment::Creation => {
            props.components = components(change)?;
        }
        // Decided by the method and the place.
        (DAV, "resourcetype") if moment == Moment::Creation => {}
        _ if properties::find(name).is_some() => return Err(Refused::protected()),
        _ => change_dead(&mut props.dead, change, room)?,
    }
    Ok(())
}

fn text(change: &PropChange) -> Option<String> {
    match change {
        PropChange::Set(element) => Some(element.text()),
        PropChange::Remove(_) => None,
    }
}

fn order(change: &PropChange) -> Result<Option<i64>, Refused> {
    let Some(text) = text(change) else { return Ok(None) };
    // Apple's clients send whole numbers, some others an empty element.
    match text.trim() {
        "" => Ok(None),
        number => match number.parse() {
            Ok(order) => Ok(Some(order)),
            Err(_) => Err(Refused { status: StatusCode::CONFLICT, condition: None }),
        },
    }
}

fn zone(change: &PropChange) -> Result<Option<String>, Refused> {
    match text(change) {
        // RFC 4791 §5.2.2: the value must be an iCalendar object with one VTIMEZONE.
        Some(text) if definitions(&text) != Some(1) => Err(Refused::because("cal:valid-calendar-data")),
        other => Ok(other),
    }
}

/// How many zones a calendar defines, IANA ones or of somebody's own making.
fn definitions(text: &str) -> Option<usize> {
    let calendar = crate::ical::Component::parse(text).ok().filter(|c| c.is("VCALENDAR"))?;
    let named = |c: &&crate::ical::Component| c.is("VTIMEZONE") && c.value("TZID").is_some();
    Some(calendar.components().filter(named).count())
}

/// RFC 7809 §5.2: the zone by its IANA name; kept as the definition that other clients read.
fn zone_by_id(change: &PropChange) -> Result<Option<String>, Refused> {
    let Some(id) = text(change) else { return Ok(None) };
    let zone = timezones::named(id.trim()).ok_or_else(|| Refused::because("cal:valid-timezone"))?;
    Ok(Some(timezones::calendar_of(zone)))
}

/// RFC 7953 §7.2.4: a calendar with one VAVAILABILITY, the zones it names, and nothing else.
fn check_availability(change: &PropChange) -> Result<(), Refused> {
    let Some(text) = text(change) else { return Ok(()) };
    let is_valid = crate::ical::Component::parse(&text).is_ok_and(|calendar| {
        let is_statement = |c: &crate::ical::Component| c.is("VAVAILABILITY");
        calendar.is("VCALENDAR")
            && calendar.components().filter(|c| is_statement(c)).count() == 1
            && calendar.components().all(|c| is_statement(c) || c.is("VTIMEZONE"))
    });
    if is_valid { Ok(()) } else { Err(Refused::because("cal:valid-calendar-data")) }
}

fn transparent(change: &PropChange) -> bool {
    matches!(change, PropChange::Set(element) if element.child(CALDAV, "transparent").is_some())
}

fn components(change: &PropChange) -> Result<Vec<String>, Refused> {
    let PropChange::Set(element) = change else { return Ok(Vec::new()) };
    let named = |e: &Element| e.attribute("name").map(str::to_ascii_uppercase);
    let components: Vec<_> = element.children(CALDAV, "comp").filter_map(named).collect();
    let known = |name: &String| COMPONENT_TYPES.contains(&name.as_str());
    if components.is_empty() || !components.iter().all(known) {
        return Err(Refused::because("cal:supported-calendar-component"));
    }
    Ok(components)
}

/// Applies one change of a dead property. `room` is the number of octets that they may take in all.
pub(super) fn change_dead(
    dead: &mut BTreeMap<String, String>,
    change: &PropChange,
    room: usize,
) -> Result<(), Refused> {
    let name = change.name().to_string();
    match change {
        PropChange::Remove(_) => {
            dead.remove(&name);
        }
        PropChange::Set(element) => {
            let mut w = Writer::default();
            w.tree(element);
            let xml = w.take();
            let others = dead.iter().filter(|(other, _)| **other != name);
            let used: usize = others.map(|(name, xml)| name.len() + xml.len()).sum();
            if used + name.len() + xml.len() <= room {
                dead.insert(name, xml);
            } else {
                return Err(Refused { status: StatusCode::INSUFFICIENT_STORAGE, condition: None });
            }
        }
    }
    Ok(())
}
