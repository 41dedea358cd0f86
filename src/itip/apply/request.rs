//! REQUEST reaches an attendee (RFC 5546 §3.2.2).

use std::collections::{HashMap, HashSet};

use super::super::address::Address;
use super::super::alarms;
use super::super::edit;
use super::super::error::ItipError;
use super::super::is_schedulable;
use super::super::moment::{InstanceId, Moment, exclude, include};
use super::super::object::{is_cancelled, partstat_of};
use super::super::range::is_this_and_future;
use super::super::said::PROGRESS;
use super::super::view::is_rescheduled;
use super::fresh::Stamp;
use super::{Applied, Delivery, Outcome, Reason, events};
use crate::ical::edit::exdates;
use crate::ical::{Component, Item, Property, When, Zones};

/// What an attendee decides for their own copy (mail-itip-alarms §5.8); VALARM too, which has rules of its own.
const OWN: [&str; 2] = ["TRANSP", "CLASS"];

pub(super) fn create(delivery: &Delivery) -> Result<Applied, ItipError> {
    let master = delivery.events().find(|e| e.get("RECURRENCE-ID").is_none());
    let lines = master.into_iter().flat_map(|master| master.all("ATTENDEE"));
    let mut mine = lines.filter(|a| Address::read(a.value()).is_one_of(delivery.recipient)).peekable();
    if mine.peek().is_some() && mine.all(|line| partstat_of(line) == "DECLINED") {
        // Deleted by the recipient, which the organizer heard as a refusal. It must not come back with the next update.
        return Ok(Applied::ignored(Reason::AlreadyDeclined));
    }
    let organizer = delivery.events().find_map(|e| e.value("ORGANIZER"));
    if organizer.is_some_and(|o| Address::read(o).is_one_of(delivery.recipient)) {
        return Ok(Applied::ignored(Reason::OwnEvent));
    }
    let mut copy = Component::clone(&delivery.message.calendar);
    copy.remove("METHOD");
    // As the next update would write it.
    let news = Events::of(delivery.events(), &delivery.zones)?;
    let parts = news.iter().map(|(id, event)| Part::news(id, event)).collect();
    let copy = assemble(&copy, &delivery.message.calendar, parts);
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
            keep_own(&mut part.event, own, delivery);
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
    /// What a later message writes anew is there once from the beginning, however often the organizer wrote it.
    fn news(id: InstanceId, event: &Component) -> Self {
        let mut event = event.clone();
        edit::leave_the_first(&mut event, &OWN);
        edit::leave_the_first(&mut event, &["DTSTAMP"]);
        if event.is("VTODO") {
            edit::leave_the_first(&mut event, &PROGRESS);
        }
        Self { id, event, is_news: true }
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
    let off = TakenOut::of(held, &delivery.zones_of_copy);
    let told = news.iter().filter_map(|(id, event)| match held.get(id) {
        Some(kept) if older(Stamp::of(event), kept) => Some(Part::kept(id, kept)),
        _ if off.knows_better(id, Stamp::of(event), delivery) => None,
        _ => Some(Part::news(id, event)),
    });
    // An override counts its SEQUENCE apart from the series; a higher one alone does not make it the later word.
    let later = |kept: &Component| message.is_older_than_series(Stamp::of(kept), delivery.now);
    // What somebody attends under another address is told to that address.
    let others = |id: InstanceId, kept: &Component| id != InstanceId::Master && delivery.is_of_another_address(kept);
    let untold = held.iter().filter(|(id, kept)| news.get(*id).is_none() && (later(kept) || others(*id, kept)));
    let mut parts: Vec<Part> = told.chain(untold.map(|(id, kept)| Part::kept(id, kept))).collect();
    let attended =
        parts.iter().filter(|p| !p.is_news && others(p.id, &p.event)).filter_map(|p| p.id.moment()).collect();
    if let Some(master) = parts.iter_mut().find(|p| p.id == InstanceId::Master && p.is_news) {
        off.keep_out(&mut master.event, message, delivery);
        include(&mut master.event, &delivery.zones, &attended);
    }
    Some(parts)
}

/// A message about some occurrences leaves the others alone.
fn occurrences(held: &Events, news: &Events, delivery: &Delivery) -> Option<Vec<Part>> {
    let series = held.get(InstanceId::Master).map(Stamp::of);
    let off = TakenOut::of(held, &delivery.zones_of_copy);
    let fresh = |id: InstanceId| {
        let event = news.get(id)?;
        let stamp = Stamp::of(event);
        let is_old = match held.get(id) {
            Some(kept) => stamp.is_older_than(Stamp::of(kept), delivery.now),
            None => {
                series.is_some_and(|s| stamp.is_older_than_series(s, delivery.now))
                    || off.knows_better(id, stamp, delivery)
            }
        };
        (!is_old).then_some(event)
    };
    // What one occurrence says of all that follow replaces what was said of those before.
    let ruling = news.iter().filter(|(id, e)| is_this_and_future(e) && fresh(*id).is_some());
    let ruling: Vec<_> = ruling.filter_map(|(id, e)| Some((id.moment()?, Stamp::of(e)))).collect();
    let is_replaced = |id: InstanceId, kept: &Component| {
        let older = |s: Stamp| Stamp::of(kept).is_older_than_series(s, delivery.now);
        id.moment().is_some_and(|at| ruling.iter().any(|(from, s)| *from < at && older(*s)))
    };
    let held_still = held.iter().filter(|(id, c)| news.get(*id).is_some() || !is_replaced(*id, c));
    let kept = held_still.map(|(id, c)| fresh(id).map_or_else(|| Part::kept(id, c), |e| Part::news(id, e)));
    let added = news.iter().filter(|(id, _)| held.get(*id).is_none());
    let added = added.filter_map(|(id, _)| Some(Part::news(id, fresh(id)?)));
    let parts: Vec<Part> = kept.chain(added).collect();
    parts.iter().any(|p| p.is_news).then_some(parts)
}

/// Occurrences that the copy has taken out of the series, and how late that was said at the earliest.
struct TakenOut {
    occurrences: Vec<When>,
    moments: HashSet<Moment>,
    stamp: Option<Stamp>,
}

impl TakenOut {
    fn of(held: &Events, zones: &Zones) -> Self {
        let master = held.get(InstanceId::Master);
        let occurrences: Vec<When> = master.map_or_else(Vec::new, |m| exdates(m, zones).collect());
        Self { moments: occurrences.iter().map(Moment::from).collect(), occurrences, stamp: master.map(Stamp::of) }
    }

    /// Whether a CANCEL that was sent after this message took the occurrence out. DTSTAMP alone tells: the occurrence
    /// counts its SEQUENCE apart, and what it counted to went with it.
    fn knows_better(&self, id: InstanceId, message: Stamp, delivery: &Delivery) -> bool {
        let is_out = || id.moment().is_some_and(|at| self.moments.contains(&at));
        self.is_later_than(message, delivery) && is_out()
    }

    fn is_later_than(&self, message: Stamp, delivery: &Delivery) -> bool {
        self.stamp.is_some_and(|held| message.was_made_before(held, delivery.now))
    }

    /// Takes them out of the series of a message that was sent before they were.
    fn keep_out(&self, master: &mut Component, message: Stamp, delivery: &Delivery) {
        if !self.is_later_than(message, delivery) {
            return;
        }
        exclude(master, &delivery.zones, &self.occurrences);
        if let Some(dtstamp) = self.stamp.and_then(|s| s.dtstamp) {
            master.set(edit::dtstamp(dtstamp));
        }
    }
}

/// Occurrences that a message brings back are no longer taken out of the series.
fn put_back(parts: &mut [Part], zones: &Zones) {
    let brought: HashSet<_> = parts.iter().filter(|p| p.is_news).filter_map(|p| p.id.moment()).collect();
    for part in parts.iter_mut().filter(|p| p.id == InstanceId::Master && !p.is_news) {
        include(&mut part.event, zones, &brought);
    }
}

/// What the recipient decides for themselves stays as it is in their copy; what is absent there stays absent.
fn keep_own(event: &mut Component, own: &Component, delivery: &Delivery) {
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
    keep_answer(event, own, delivery);
    for property in own.properties().filter(|p| is_private(p)) {
        if event.get(property.name()).is_none() {
            event.push(property.clone());
        }
    }
    if event.is("VTODO") && !is_cancelled(event) {
        for name in PROGRESS {
            if let Some(property) = own.get(name).filter(|_| !is_cancelled(own)) {
                event.set(property.clone());
            }
        }
    }
}

/// An answer that the organizer has not heard yet stays, unless the event takes place at another time.
fn keep_answer(event: &mut Component, own: &Component, delivery: &Delivery) {
    if is_rescheduled((own, &delivery.zones_of_copy), (event, &delivery.zones)) || is_cancelled(own) {
        return;
    }
    let is_mine = |p: &Property| Address::read(p.value()).is_one_of(delivery.recipient);
    let given: Vec<&Property> = own.all("ATTENDEE").filter(|a| is_mine(a)).collect();
    let is_alone = given.len() == 1 && event.all("ATTENDEE").filter(|a| is_mine(a)).count() == 1;
    for line in event.all_mut("ATTENDEE").filter(|line| is_mine(line)) {
        let who = Address::read(line.value());
        // Somebody who is in under several addresses answered for each; one who is written to under an alias, once.
        let same = given.iter().find(|g| Address::read(g.value()) == who);
        let Some(given) = same.or(given.first().filter(|_| is_alone)) else { continue };
        if partstat_of(line) == "NEEDS-ACTION" && partstat_of(given) != "NEEDS-ACTION" {
            line.set_param("PARTSTAT", &partstat_of(given));
            for name in ["DELEGATED-TO", "DELEGATED-FROM"] {
                if let Some(param) = given.params().iter().find(|p| p.is(name)) {
                    line.remove_param(name);
                    line.push_param(param.clone());
                }
            }
        }
    }
}

/// What attendees note for themselves and organizers do not send (RFC 6638 §3.2.2.1): their comment and colour, and what
/// their client remembers. What this family of programs writes for everybody is the organizer's.
fn is_private(property: &Property) -> bool {
    let name = property.name().to_ascii_uppercase();
    let is_ours = ["X-OPENPAAS-", "X-PUBLICLY-"].iter().any(|prefix| name.starts_with(prefix));
    name == "COMMENT" || name == "COLOR" || (name.starts_with("X-") && !is_ours)
}

/// The copy with these VEVENTs, and with the other components of the message in place of its own.
fn assemble(copy: &Component, message: &Component, parts: Vec<Part>) -> Component {
    let mut result = copy.clone();
    result.items.retain(|i| !matches!(i, Item::Component(_)));
    let others = |c: &Component| -> Vec<Component> { c.components().filter(|c| !is_schedulable(c)).cloned().collect() };
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
