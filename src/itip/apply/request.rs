//! REQUEST reaches an attendee (RFC 5546 §3.2.2).

use std::collections::HashMap;

use super::super::VEVENT;
use super::super::address::Address;
use super::super::alarms;
use super::super::error::ItipError;
use super::super::moment::{InstanceId, include};
use super::super::object::partstat_of;
use super::fresh::Stamp;
use super::{Applied, Delivery, Outcome, Reason, events};
use crate::ical::{Component, Item, Zones};

/// What an attendee decides for their own copy (mail-itip-alarms §5.8); VALARM too, which has rules of its own.
const OWN: [&str; 2] = ["TRANSP", "CLASS"];

pub(super) fn create(delivery: &Delivery) -> Result<Applied, ItipError> {
    let mine = |event: &Component| {
        let line = event.all("ATTENDEE").find(|a| Address::read(a.value()).is_one_of(delivery.recipient));
        line.map(partstat_of)
    };
    let master = delivery.events().find(|e| e.get("RECURRENCE-ID").is_none());
    if master.and_then(mine).as_deref() == Some("DECLINED") {
        // Deleted by the recipient, which the organizer heard as a refusal. It must not come back with the next update.
        return Ok(Applied::ignored(Reason::AlreadyDeclined));
    }
    let organizer = delivery.events().find_map(|e| e.value("ORGANIZER"));
    if organizer.is_some_and(|o| Address::read(o).is_one_of(delivery.recipient)) {
        return Ok(Applied::ignored(Reason::OwnEvent));
    }
    let mut copy = Component::clone(&delivery.message.calendar);
    copy.remove("METHOD");
    Ok(Applied { result: Some(copy), outcome: Outcome::Created })
}

pub(super) fn update(copy: &Component, delivery: &Delivery) -> Result<Applied, ItipError> {
    if let Some(reason) = delivery.refused_by(copy) {
        return Ok(Applied::ignored(reason));
    }
    let zones = Zones::of(copy);
    let (held, news) = (Events::of(events(copy), &zones)?, Events::of(delivery.events(), &delivery.zones)?);
    let series = held.get(InstanceId::Master);
    let merged = match news.get(InstanceId::Master) {
        Some(master) => whole(&held, &news, Stamp::of(master), delivery),
        None => occurrences(&held, &news, delivery),
    };
    let Some(mut merged) = merged else { return Ok(Applied::ignored(Reason::Stale)) };
    for part in merged.iter_mut().filter(|p| p.is_news) {
        if let Some(own) = held.get(part.id).or(series) {
            keep_own(&mut part.event, own);
        }
    }
    put_back(&mut merged, &zones);
    Ok(Applied::replaced(copy, assemble(copy, &delivery.message.calendar, merged)))
}

/// VEVENTs in the order written, each instance once.
struct Events<'a> {
    in_order: Vec<(InstanceId, &'a Component)>,
    by_id: HashMap<InstanceId, &'a Component>,
}

impl<'a> Events<'a> {
    fn of(events: impl Iterator<Item = &'a Component>, zones: &Zones) -> Result<Self, ItipError> {
        let (mut in_order, mut by_id) = (Vec::new(), HashMap::new());
        for event in events {
            let id = InstanceId::of(event, zones)?;
            if by_id.insert(id, event).is_none() {
                in_order.push((id, event));
            }
        }
        Ok(Self { in_order, by_id })
    }

    fn get(&self, id: InstanceId) -> Option<&'a Component> {
        self.by_id.get(&id).copied()
    }

    /// Each instance once, in the order in which it was first written, with what is written last.
    fn iter(&self) -> impl Iterator<Item = (InstanceId, &'a Component)> + '_ {
        self.in_order.iter().map(|(id, event)| (*id, self.get(*id).unwrap_or(event)))
    }
}

/// One VEVENT of the copy to be.
struct Part {
    id: InstanceId,
    event: Component,
    /// It is from the message, not from the copy.
    is_news: bool,
}

impl Part {
    fn news(id: InstanceId, event: &Component) -> Self {
        Self { id, event: event.clone(), is_news: true }
    }

    fn kept(id: InstanceId, event: &Component) -> Self {
        Self { id, event: event.clone(), is_news: false }
    }
}

/// A message with the series in it says everything: what it does not mention is gone, unless a later message brought it.
fn whole(held: &Events, news: &Events, message: Stamp, delivery: &Delivery) -> Option<Vec<Part>> {
    let older = |m: Stamp, c: &Component| m.is_older_than(Stamp::of(c), delivery.now);
    if held.get(InstanceId::Master).is_some_and(|c| older(message, c)) {
        return None;
    }
    let told = news.iter().map(|(id, event)| match held.get(id) {
        Some(kept) if older(Stamp::of(event), kept) => Part::kept(id, kept),
        _ => Part::news(id, event),
    });
    // An override counts its SEQUENCE apart from the series; a higher one alone does not make it the later word.
    let later = |kept: &Component| message.is_older_than_series(Stamp::of(kept), delivery.now);
    let untold = held.iter().filter(|(id, kept)| news.get(*id).is_none() && later(kept));
    Some(told.chain(untold.map(|(id, kept)| Part::kept(id, kept))).collect())
}

/// A message about some occurrences leaves the others alone.
fn occurrences(held: &Events, news: &Events, delivery: &Delivery) -> Option<Vec<Part>> {
    let series = held.get(InstanceId::Master).map(Stamp::of);
    let fresh = |id: InstanceId| {
        let event = news.get(id)?;
        let stamp = Stamp::of(event);
        let is_old = match held.get(id) {
            Some(kept) => stamp.is_older_than(Stamp::of(kept), delivery.now),
            None => series.is_some_and(|s| stamp.is_older_than_series(s, delivery.now)),
        };
        (!is_old).then_some(event)
    };
    let kept = held.iter().map(|(id, c)| fresh(id).map_or_else(|| Part::kept(id, c), |e| Part::news(id, e)));
    let added = news.iter().filter(|(id, _)| held.get(*id).is_none());
    let added = added.filter_map(|(id, _)| Some(Part::news(id, fresh(id)?)));
    let parts: Vec<Part> = kept.chain(added).collect();
    parts.iter().any(|p| p.is_news).then_some(parts)
}

/// Occurrences that a message brings back are no longer taken out of the series.
fn put_back(parts: &mut [Part], zones: &Zones) {
    let brought: Vec<_> = parts.iter().filter(|p| p.is_news).filter_map(|p| p.id.moment()).collect();
    for part in parts.iter_mut().filter(|p| p.id == InstanceId::Master && !p.is_news) {
        for moment in &brought {
            include(&mut part.event, zones, *moment);
        }
    }
}

/// What the recipient decides for themselves stays as it is in their copy; what is absent there stays absent.
fn keep_own(event: &mut Component, own: &Component) {
    for name in OWN {
        match own.get(name) {
            Some(property) => event.set(property.clone()),
            None => {
                event.remove(name);
            }
        }
    }
    // Outlook and Yahoo leave ORGANIZER out; without it no answer would find its way (dav §11.3).
    if event.get("ORGANIZER").is_none()
        && let Some(organizer) = own.get("ORGANIZER")
    {
        event.push(organizer.clone());
    }
    alarms::merge(event, own);
}

/// The copy with these VEVENTs, and with the other components of the message in place of its own.
fn assemble(copy: &Component, message: &Component, parts: Vec<Part>) -> Component {
    let mut result = copy.clone();
    result.items.retain(|i| !matches!(i, Item::Component(_)));
    let others = |c: &Component| -> Vec<Component> { c.components().filter(|c| !c.is(VEVENT)).cloned().collect() };
    let new = others(message);
    if parts.iter().any(|p| !p.is_news) {
        // What stays may be written in zones that the message does not know.
        let defined = |tz: &Component| new.iter().any(|n| n.is(tz.name()) && n.value("TZID") == tz.value("TZID"));
        let old = others(copy).into_iter().filter(|c| !defined(c)).collect::<Vec<_>>();
        old.into_iter().for_each(|c| result.push_component(c));
    }
    new.into_iter().for_each(|c| result.push_component(c));
    parts.into_iter().for_each(|p| result.push_component(p.event));
    result
}
