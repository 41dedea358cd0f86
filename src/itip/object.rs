//! A calendar object as scheduling sees it: its organizer, its occurrences, and who is invited to which of them.

use std::collections::{HashMap, HashSet};

use super::address::Address;
use super::alarms::EmailAlarms;
use super::error::ItipError;
use super::is_schedulable;
use super::moment::{InstanceId, Occurrences, read};
use crate::ical::{Component, Property, When, Zones};

/// One component of the object.
pub(super) struct Instance<'a> {
    pub id: InstanceId,
    pub component: &'a Component,
    pub cancelled: bool,
    /// VALARMs that send mail, by whom they go to: they are looked up for every recipient.
    pub email_alarms: EmailAlarms<'a>,
}

/// One VEVENT that somebody is invited to.
pub(super) struct Seat<'a> {
    /// Index into [`Object::instances`].
    pub instance: usize,
    /// The ATTENDEE line.
    pub attendee: &'a Property,
}

/// Somebody who is invited, to the whole series or to some of its occurrences.
pub(super) struct Invitee<'a> {
    pub address: Address,
    pub seats: Vec<Seat<'a>>,
}

impl<'a> Invitee<'a> {
    /// What they are invited to by this component of the object.
    pub fn seat_in(&self, instance: usize) -> Option<&Seat<'a>> {
        let at = self.seats.binary_search_by_key(&instance, |s| s.instance).ok()?;
        self.seats.get(at)
    }

    pub fn name(&self) -> Option<&str> {
        self.seats.iter().find_map(|s| s.attendee.get_param("CN"))
    }

    /// `SCHEDULE-FORCE-SEND=REQUEST` (RFC 6638 §7.2).
    pub fn is_forced(&self) -> bool {
        self.seats.iter().any(|s| has_param(s.attendee, "SCHEDULE-FORCE-SEND", "REQUEST"))
    }
}

/// A calendar object resource with VEVENTs, or VTODOs, of one UID (RFC 4791 §4.1).
pub(super) struct Object<'a> {
    pub calendar: &'a Component,
    pub zones: Zones,
    pub uid: &'a str,
    /// The first ORGANIZER property; all are the same.
    pub organizer: Option<&'a Property>,
    /// SEQUENCE of the first VEVENT that has one.
    pub sequence: Option<i64>,
    /// The server raised SEQUENCE: a change of it alone is nothing to tell.
    pub is_raised: bool,
    pub instances: Vec<Instance<'a>>,
    /// In the order in which they are first named, without those whom a client or nobody schedules (`SCHEDULE-AGENT`).
    pub invitees: Vec<Invitee<'a>>,
    by_address: HashMap<Address, usize>,
    by_id: HashMap<InstanceId, usize>,
    occurrences: Option<Occurrences<'a>>,
}

impl<'a> Object<'a> {
    /// Reads an object; `None` when it holds no VEVENT and no VTODO, so that there is nothing to schedule.
    pub fn read(calendar: &'a Component) -> Result<Option<Self>, ItipError> {
        if !calendar.is("VCALENDAR") {
            return Err(ItipError::NotACalendar(calendar.name().to_owned()));
        }
        let mut object = Self {
            calendar,
            zones: Zones::of(calendar),
            uid: "",
            organizer: None,
            sequence: None,
            is_raised: false,
            instances: Vec::new(),
            invitees: Vec::new(),
            by_address: HashMap::new(),
            by_id: HashMap::new(),
            occurrences: None,
        };
        let mut uid = None;
        for event in calendar.components().filter(|c| is_schedulable(c)) {
            match (uid, event.value("UID")) {
                (None, found) => uid = found,
                (Some(first), Some(other)) if first != other => {
                    return Err(ItipError::SeveralUids(first.to_owned(), other.to_owned()));
                }
                _ => {}
            }
            object.add(event)?;
        }
        if object.instances.is_empty() {
            return Ok(None);
        }
        object.occurrences = object.master().and_then(|m| Occurrences::of(m.component, &object.zones));
        match (uid, object.organizer) {
            (Some(uid), _) if !uid.is_empty() => object.uid = uid,
            (_, Some(_)) => return Err(ItipError::MissingUid),
            _ => {}
        }
        if object.organizer.is_some() {
            // A task may have no time at all (RFC 5545 §3.6.2).
            let timeless = |i: &Instance<'_>| i.component.is("VEVENT") && i.component.get("DTSTART").is_none();
            if object.instances.iter().any(timeless) {
                return Err(ItipError::MissingDtstart(object.uid.to_owned()));
            }
        }
        Ok(Some(object))
    }

    /// The same object, whose SEQUENCE the server has raised.
    pub fn raised(mut self) -> Self {
        self.is_raised = true;
        self
    }

    fn add(&mut self, event: &'a Component) -> Result<(), ItipError> {
        if let Some(organizer) = event.get("ORGANIZER") {
            match self.organizer {
                Some(first) if Address::read(first.value()) != Address::read(organizer.value()) => {
                    return Err(ItipError::DifferentOrganizers(first.value().to_owned(), organizer.value().to_owned()));
                }
                Some(_) => {}
                None => self.organizer = Some(organizer),
            }
        }
        self.sequence = self.sequence.or_else(|| sequence_of(event));
        let index = self.instances.len();
        let id = InstanceId::of(event, &self.zones)?;
        self.by_id.entry(id).or_insert(index);
        let email_alarms = EmailAlarms::of(event);
        self.instances.push(Instance { id, component: event, cancelled: is_cancelled(event), email_alarms });
        for attendee in event.all("ATTENDEE").filter(|a| is_scheduled_by_server(a)) {
            let address = Address::read(attendee.value());
            let seat = Seat { instance: index, attendee };
            match self.by_address.get(&address) {
                // Named twice in one VEVENT: the first line counts.
                Some(&at) if self.invitees[at].seats.last().is_some_and(|s| s.instance == index) => {}
                Some(&at) => self.invitees[at].seats.push(seat),
                None => {
                    self.by_address.insert(address.clone(), self.invitees.len());
                    self.invitees.push(Invitee { address, seats: vec![seat] });
                }
            }
        }
        Ok(())
    }

    /// What it consists of: `VEVENT` or `VTODO`.
    pub fn component(&self) -> String {
        self.instances.first().map_or_else(String::new, |i| i.component.name().to_ascii_uppercase())
    }

    pub fn invitee(&self, address: &Address) -> Option<&Invitee<'a>> {
        self.by_address.get(address).map(|&at| &self.invitees[at])
    }

    pub fn organizer_address(&self) -> Option<Address> {
        self.organizer.map(|o| Address::read(o.value()))
    }

    pub fn master(&self) -> Option<&Instance<'a>> {
        self.instance(InstanceId::Master)
    }

    pub fn instance(&self, id: InstanceId) -> Option<&Instance<'a>> {
        self.index(id).map(|at| &self.instances[at])
    }

    /// Where in [`Object::instances`] an occurrence is; the first place where it is written twice.
    pub fn index(&self, id: InstanceId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// The series, or the single event, is off.
    pub fn is_cancelled(&self) -> bool {
        self.master().is_some_and(|m| m.cancelled)
    }

    /// More than one event: a recurrence rule, or occurrences of one.
    pub fn is_recurring(&self) -> bool {
        self.instances.iter().any(|i| {
            i.id != InstanceId::Master || i.component.get("RRULE").is_some() || i.component.get("RDATE").is_some()
        })
    }

    /// Whether the series has an occurrence at this time, or none is said.
    pub fn has_occurrence(&self, at: Option<When>) -> bool {
        at.is_none_or(|at| self.occurrence(&at).is_some())
    }

    /// The occurrence of the series at this time, as an override that says nothing of its own.
    pub fn occurrence(&self, at: &When) -> Option<Component> {
        self.occurrences.as_ref()?.at(&self.zones, at)
    }

    /// The recurrence id of an occurrence that is written out.
    pub fn recurrence_id(&self, index: usize) -> Option<When> {
        let property = self.instances[index].component.get("RECURRENCE-ID")?;
        read(property, &self.zones).ok()
    }

    pub fn timezones(&self) -> impl Iterator<Item = &'a Component> {
        self.calendar.components().filter(|c| c.is("VTIMEZONE"))
    }
}

/// How many different people these states of an object invite, but for those whom a client or nobody schedules.
pub fn guests<'a>(states: impl IntoIterator<Item = &'a Component>) -> usize {
    let events = states.into_iter().flat_map(Component::components).filter(|c| is_schedulable(c));
    let lines = events.flat_map(|event| event.all("ATTENDEE")).filter(|line| is_scheduled_by_server(line));
    lines.map(|line| Address::read(line.value())).collect::<HashSet<_>>().len()
}

/// SEQUENCE of a component; an unreadable one counts as missing.
pub(super) fn sequence_of(component: &Component) -> Option<i64> {
    component.value("SEQUENCE")?.trim().parse().ok()
}

/// `STATUS:CANCELLED`. Of several STATUS lines (Yahoo sends two) the first counts.
pub(super) fn is_cancelled(component: &Component) -> bool {
    component.value("STATUS").is_some_and(|s| s.trim().eq_ignore_ascii_case("CANCELLED"))
}

/// `PARTSTAT` of an ATTENDEE line, upper-cased; the default is NEEDS-ACTION (RFC 5545 §3.2.12).
pub(super) fn partstat_of(attendee: &Property) -> String {
    match attendee.get_param("PARTSTAT") {
        Some(p) if !p.is_empty() => p.to_ascii_uppercase(),
        _ => "NEEDS-ACTION".to_owned(),
    }
}

/// `SCHEDULE-AGENT` is SERVER, which is the default; CLIENT and NONE both take the server out (RFC 6638 §7.1).
pub(super) fn is_scheduled_by_server(property: &Property) -> bool {
    !has_param(property, "SCHEDULE-AGENT", "CLIENT") && !has_param(property, "SCHEDULE-AGENT", "NONE")
}

pub(super) fn has_param(property: &Property, name: &str, value: &str) -> bool {
    property.get_param(name).is_some_and(|v| v.eq_ignore_ascii_case(value))
}
