//! CANCEL reaches an attendee (RFC 5546 §3.2.5).

use std::collections::BTreeSet;

use super::super::VEVENT;
use super::super::error::ItipError;
use super::super::moment::{InstanceId, exclude, read};
use super::fresh::Stamp;
use super::{Applied, Delivery, Reason, events};
use crate::ical::{Component, Item, Property, Zones};

/// The copy stays, marked as cancelled, so that its owner sees what became of it; an occurrence of a series that goes
/// on is taken out of it.
pub(super) fn cancel(copy: &Component, delivery: &Delivery) -> Result<Applied, ItipError> {
    if let Some(reason) = delivery.refused_by(copy) {
        return Ok(Applied::ignored(reason));
    }
    match delivery.events().find(|e| e.get("RECURRENCE-ID").is_none()) {
        Some(event) => Ok(cancel_all(copy, stamp(event, delivery), delivery)),
        None => cancel_occurrences(copy, delivery),
    }
}

/// Revision of a CANCEL; its SEQUENCE may be known from outside the iCalendar text only (dav §11.1).
fn stamp(event: &Component, delivery: &Delivery) -> Stamp {
    let stamp = Stamp::of(event);
    match event.get("SEQUENCE") {
        Some(_) => stamp,
        None => Stamp { sequence: delivery.message.sequence, ..stamp },
    }
}

fn cancel_all(copy: &Component, message: Stamp, delivery: &Delivery) -> Applied {
    let main = events(copy).find(|e| e.get("RECURRENCE-ID").is_none()).or(events(copy).next());
    if main.is_some_and(|e| message.is_older_than(Stamp::of(e), delivery.now)) {
        return Applied::ignored(Reason::Stale);
    }
    let mut result = copy.clone();
    for event in result.components_mut().filter(|c| c.is(VEVENT)) {
        mark_cancelled(event, message);
    }
    Applied::replaced(copy, result)
}

fn mark_cancelled(event: &mut Component, message: Stamp) {
    event.set(Property::new("STATUS", "CANCELLED"));
    let sequence = message.sequence.max(Stamp::of(event).sequence);
    event.set(Property::new("SEQUENCE", sequence.to_string()));
    note_dtstamp(event, message);
}

/// A message that was sent before the CANCEL and arrives after it must not bring back what is cancelled.
fn note_dtstamp(event: &mut Component, message: Stamp) {
    if message.dtstamp > Stamp::of(event).dtstamp
        && let Some(dtstamp) = message.dtstamp
    {
        event.set(super::super::edit::dtstamp(dtstamp));
    }
}

fn cancel_occurrences(copy: &Component, delivery: &Delivery) -> Result<Applied, ItipError> {
    let zones = Zones::of(copy);
    let mut result = copy.clone();
    let mut reason = Reason::UnknownOccurrence;
    let mut done = false;
    for event in delivery.events() {
        let (id, message) = (InstanceId::of(event, &delivery.zones)?, stamp(event, delivery));
        let find = |e: &&mut Component| e.is(VEVENT) && InstanceId::of(e, &zones).is_ok_and(|i| i == id);
        let over = result.components_mut().find(find);
        if over.as_ref().is_some_and(|o| message.is_older_than(Stamp::of(o), delivery.now)) {
            reason = Reason::Stale;
            continue;
        }
        let in_copy = over.is_some();
        let is_master = |e: &&mut Component| e.is(VEVENT) && e.get("RECURRENCE-ID").is_none();
        match (result.components_mut().find(is_master), event.get("RECURRENCE-ID")) {
            (Some(master), Some(recurrence_id)) => {
                if !in_copy && message.is_older_than_series(Stamp::of(master), delivery.now) {
                    reason = Reason::Stale;
                    continue;
                }
                exclude(master, &zones, &[read(recurrence_id, &delivery.zones)?]);
                note_dtstamp(master, message);
                remove(&mut result, &BTreeSet::from([id]), &zones);
                done = true;
            }
            _ => {
                for over in result.components_mut().filter(|e| find(&e)) {
                    mark_cancelled(over, message);
                    done = true;
                }
            }
        }
    }
    Ok(if done { Applied::replaced(copy, result) } else { Applied::ignored(reason) })
}

fn remove(calendar: &mut Component, ids: &BTreeSet<InstanceId>, zones: &Zones) {
    calendar.items.retain(|item| match item {
        Item::Component(c) if c.is(VEVENT) => !InstanceId::of(c, zones).is_ok_and(|id| ids.contains(&id)),
        _ => true,
    });
}
