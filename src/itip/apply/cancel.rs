//! CANCEL reaches an attendee (RFC 5546 §3.2.5).

use std::collections::{HashMap, HashSet};

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
        Some(event) if !is_cancelled(event) && events(copy).any(|held| delivery.stays_in(held)) => {
            Ok(take_off(copy, stamp(event, delivery), delivery))
        }
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

/// One of several addresses of the recipient is taken off: what they attend under another one stays.
fn take_off(copy: &Component, message: Stamp, delivery: &Delivery) -> Applied {
    if events(copy).all(|held| message.is_older_than_series(Stamp::of(held), delivery.now)) {
        return Applied::ignored(Reason::Stale);
    }
    let mut result = copy.clone();
    result.items.retain_mut(|item| match item {
        Item::Component(event) if is_schedulable(event) => {
            let stays = delivery.stays_in(event);
            delivery.take_off(event);
            stays
        }
        _ => true,
    });
    Applied::replaced(copy, result)
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
    let mut held = Held::of(copy.clone(), Zones::of(copy));
    let mut reason = Reason::UnknownOccurrence;
    let mut done = false;
    for event in delivery.events() {
        let (id, message) = (InstanceId::of(event, &delivery.zones)?, stamp(event, delivery));
        let Some(recurrence_id) = event.get("RECURRENCE-ID") else { continue };
        // A series that is cancelled itself has no occurrences to take out.
        let master = held.component(InstanceId::Master).filter(|master| !is_cancelled(master));
        let stale = match (held.component(id), master) {
            (Some(over), _) => message.is_older_than(Stamp::of(over), delivery.now),
            (None, Some(series)) => message.is_older_than_series(Stamp::of(series), delivery.now),
            (None, None) => false,
        };
        if stale {
            reason = Reason::Stale;
            continue;
        }
        let is_in_series = master.is_some();
        let recurrence_id = read(recurrence_id, &delivery.zones)?;
        if is_this_and_future(event) {
            held = held.settled();
            match cancel_from(&mut held.object, &recurrence_id, message, &held.zones, delivery) {
                true => done = true,
                false => reason = Reason::UnknownOccurrence,
            }
            held = Held::of(held.object, held.zones);
            continue;
        }
        if !is_cancelled(event)
            && let Some(over) = held.component_mut(id).filter(|over| delivery.stays_in(over))
        {
            delivery.take_off(over);
            done = true;
        } else if is_in_series {
            held.take_out(id, recurrence_id, message);
            done = true;
        } else if let Some(over) = held.component_mut(id) {
            mark_cancelled(over, message);
            done = true;
        }
    }
    let result = held.settled().object;
    Ok(if done { Applied::replaced(copy, result) } else { Applied::ignored(reason) })
}

/// The copy while occurrences are taken out of it: each is found at once, however many there are.
struct Held {
    object: Component,
    zones: Zones,
    /// Where among the items each occurrence is.
    places: HashMap<InstanceId, usize>,
    /// Those that are still to be taken out of the series.
    taken_out: Vec<When>,
    gone: HashSet<InstanceId>,
}

impl Held {
    fn of(object: Component, zones: Zones) -> Self {
        let mut places = HashMap::new();
        for (at, item) in object.items.iter().enumerate() {
            let Item::Component(event) = item else { continue };
            if let Some(id) = InstanceId::of(event, &zones).ok().filter(|_| is_schedulable(event)) {
                places.entry(id).or_insert(at);
            }
        }
        Self { object, zones, places, taken_out: Vec::new(), gone: HashSet::new() }
    }

    fn component(&self, id: InstanceId) -> Option<&Component> {
        match self.object.items.get(*self.places.get(&id)?)? {
            Item::Component(component) if !self.gone.contains(&id) => Some(component),
            _ => None,
        }
    }

    fn component_mut(&mut self, id: InstanceId) -> Option<&mut Component> {
        match self.object.items.get_mut(*self.places.get(&id)?)? {
            Item::Component(component) if !self.gone.contains(&id) => Some(component),
            _ => None,
        }
    }

    fn take_out(&mut self, id: InstanceId, occurrence: When, message: Stamp) {
        if let Some(master) = self.component_mut(InstanceId::Master) {
            note_dtstamp(master, message);
        }
        self.taken_out.push(occurrence);
        self.gone.insert(id);
    }

    /// With nothing left to be taken out.
    fn settled(mut self) -> Self {
        let (zones, taken_out) = (self.zones.clone(), std::mem::take(&mut self.taken_out));
        if let Some(master) = self.component_mut(InstanceId::Master).filter(|_| !taken_out.is_empty()) {
            exclude(master, &zones, &taken_out);
        }
        let gone = std::mem::take(&mut self.gone);
        let is_gone = |c: &Component| InstanceId::of(c, &zones).is_ok_and(|id| gone.contains(&id));
        if !gone.is_empty() {
            self.object.items.retain(|item| !matches!(item, Item::Component(c) if is_schedulable(c) && is_gone(c)));
        }
        Self::of(self.object, zones)
    }
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
