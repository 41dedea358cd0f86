//! CANCEL reaches an attendee (RFC 5546 §3.2.5).

use super::super::error::ItipError;
use super::super::is_schedulable;
use super::super::moment::{InstanceId, Moment, exclude, read};
use super::super::object::is_cancelled;
use super::super::range::{Left, end_before, is_this_and_future};
use super::fresh::Stamp;
use super::{Applied, Delivery, Reason, events};
use crate::ical::{Component, Item, Property, When, Zones};

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

/// Cancels the series and every occurrence, except those that a later message invited to again.
fn cancel_all(copy: &Component, message: Stamp, delivery: &Delivery) -> Applied {
    // Occurrences count their SEQUENCE apart from the series that is cancelled.
    let is_older = |event: &Component| match event.get("RECURRENCE-ID") {
        None => message.is_older_than(Stamp::of(event), delivery.now),
        Some(_) => message.is_older_than_series(Stamp::of(event), delivery.now),
    };
    if events(copy).all(is_older) {
        return Applied::ignored(Reason::Stale);
    }
    let mut result = copy.clone();
    for event in result.components_mut().filter(|c| is_schedulable(c) && !is_older(c)) {
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
        let Some(recurrence_id) = event.get("RECURRENCE-ID") else { continue };
        let place = |id| events(&result).position(|e| InstanceId::of(e, &zones).is_ok_and(|i| i == id));
        // A series that is cancelled itself has no occurrences to take out.
        let is_off = |at: &usize| events(&result).nth(*at).is_some_and(is_cancelled);
        let (override_at, master_at) = (place(id), place(InstanceId::Master).filter(|at| !is_off(at)));
        let held = |at: Option<usize>| at.and_then(|at| events(&result).nth(at)).map(Stamp::of);
        let stale = match (held(override_at), held(master_at)) {
            (Some(over), _) => message.is_older_than(over, delivery.now),
            (None, Some(series)) => message.is_older_than_series(series, delivery.now),
            (None, None) => false,
        };
        if stale {
            reason = Reason::Stale;
            continue;
        }
        let recurrence_id = read(recurrence_id, &delivery.zones)?;
        if is_this_and_future(event) {
            match cancel_from(&mut result, &recurrence_id, message, &zones, delivery) {
                true => done = true,
                false => reason = Reason::UnknownOccurrence,
            }
            continue;
        }
        let at = master_at.or(override_at);
        let Some(held) = at.and_then(|at| result.components_mut().filter(|c| is_schedulable(c)).nth(at)) else {
            continue;
        };
        done = true;
        if master_at.is_some() {
            exclude(held, &zones, &[recurrence_id]);
            note_dtstamp(held, message);
            remove(&mut result, id, &zones);
        } else {
            mark_cancelled(held, message);
        }
    }
    Ok(if done { Applied::replaced(copy, result) } else { Applied::ignored(reason) })
}

/// Cancels an occurrence and all that follow: the series ends before it. True when there was something to cancel.
fn cancel_from(result: &mut Component, from: &When, message: Stamp, zones: &Zones, delivery: &Delivery) -> bool {
    let is_later = |c: &Component| {
        InstanceId::of(c, zones).ok().and_then(InstanceId::moment).is_some_and(|at| at >= Moment::from(from))
    };
    let is_master = |c: &Component| is_schedulable(c) && c.get("RECURRENCE-ID").is_none();
    let left = match result.components_mut().find(|c| is_master(c)) {
        Some(master) if is_cancelled(master) => return false,
        Some(master) => {
            let left = end_before(master, zones, from);
            if left == Left::Something {
                note_dtstamp(master, message);
            }
            Some(left)
        }
        None => None,
    };
    let is_newer = |c: &Component| message.is_older_than_series(Stamp::of(c), delivery.now);
    match left {
        Some(Left::Unknown) => false,
        Some(Left::Something) => {
            result
                .items
                .retain(|item| !matches!(item, Item::Component(c) if is_schedulable(c) && is_later(c) && !is_newer(c)));
            true
        }
        Some(Left::Nothing) => {
            result.components_mut().filter(|c| is_schedulable(c)).for_each(|c| mark_cancelled(c, message));
            true
        }
        None => {
            let mut any = false;
            for event in result.components_mut().filter(|c| is_schedulable(c) && is_later(c) && !is_newer(c)) {
                mark_cancelled(event, message);
                any = true;
            }
            any
        }
    }
}

fn remove(calendar: &mut Component, occurrence: InstanceId, zones: &Zones) {
    calendar.items.retain(|item| match item {
        Item::Component(c) if is_schedulable(c) => !InstanceId::of(c, zones).is_ok_and(|id| id == occurrence),
        _ => true,
    });
}
