//! REPLY reaches the organizer (RFC 5546 §3.2.3).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::super::address::Address;
use super::super::edit::REPLY_DTSTAMP;
use super::super::error::ItipError;
use super::super::is_schedulable;
use super::super::moment::{InstanceId, Moment, Occurrences, read};
use super::super::object::{partstat_of, sequence_of};
use super::super::range::is_this_and_future;
use super::super::said::PROGRESS;
use super::super::view::is_rescheduled;
use super::fresh::Stamp;
use super::{Applied, Delivery, Reason, events};
use crate::ical::recur::{Bounds, Series};
use crate::ical::{Component, Event, Item, Property, When, Zones};

/// Delivered and acted on (RFC 6638 §3.2.9).
const SUCCESS: &str = "2.0";

/// Writes the answers of the message into the organizer's object. The series and its occurrences are independent: an
/// answer about the one says nothing about the others.
pub(super) fn reply(object: &Component, delivery: &Delivery) -> Result<Applied, ItipError> {
    let is_mine = |p: &Property| Address::read(p.value()).is_one_of(delivery.recipient);
    let organized = events(object).filter_map(|e| e.get("ORGANIZER")).any(is_mine);
    if !organized && events(object).flat_map(|e| e.all("ATTENDEE")).any(is_mine) {
        return Ok(Applied::ignored(Reason::NotOrganizer));
    }
    let sender = Address::read(&delivery.message.sender);
    let mut held = Held::of(object);
    let (mut done, mut reason) = (false, Reason::NoAnswer);
    for event in delivery.events() {
        let Some(answer) = Answer::read(event, &sender, delivery) else { continue };
        match held.record(&answer)? {
            None => done = true,
            Some(why) => reason = why,
        }
        if is_this_and_future(event) {
            held.record_later(&answer)?;
        }
    }
    Ok(if done { Applied::replaced(object, held.object) } else { Applied::ignored(reason) })
}

/// People that one attendee may delegate to.
const MOST_DELEGATES: usize = 5;

/// What one VEVENT of the message says.
struct Answer<'a> {
    event: &'a Component,
    /// Who answers: the address of the ATTENDEE line, which somebody who writes under an alias is invited by.
    attendee: Address,
    /// The sender's ATTENDEE line.
    line: &'a Property,
    partstat: String,
    /// First part of REQUEST-STATUS (RFC 5545 §3.8.8.3).
    status: String,
    dtstamp: Option<DateTime<Utc>>,
    zones: &'a Zones,
}

impl<'a> Answer<'a> {
    fn read(event: &'a Component, sender: &Address, delivery: &'a Delivery) -> Option<Self> {
        let lines = || event.all("ATTENDEE");
        let own = lines().find(|a| Address::read(a.value()) == *sender);
        // Who writes under an alias is the only one on the message.
        let line = own.or_else(|| lines().next().filter(|_| lines().count() == 1))?;
        let status = event.value("REQUEST-STATUS").and_then(|s| s.split(';').next()).map(str::trim);
        Some(Self {
            event,
            attendee: Address::read(line.value()),
            line,
            partstat: partstat_of(line),
            status: status.filter(|s| !s.is_empty()).unwrap_or(SUCCESS).to_owned(),
            // A time in the future would shut out every later answer.
            dtstamp: Stamp::of(event).dtstamp.filter(|d| *d <= delivery.now),
            zones: &delivery.zones,
        })
    }

    /// Whether the object knows better: a later answer of the same person came before, or the answer is to a revision
    /// that took place at another time (RFC 5546 §2.1.5).
    fn is_stale(&self, held: &Component, zones: &Zones) -> bool {
        let recorded =
            find_line(held, &self.attendee).and_then(|l| l.get_param(REPLY_DTSTAMP)).and_then(
                |stamp| match When::parse(stamp, None, zones) {
                    Ok(When::Utc(instant)) => Some(instant),
                    _ => None,
                },
            );
        if self.dtstamp.zip(recorded).is_some_and(|(mine, recorded)| mine < recorded) {
            return true;
        }
        let start = |e, zones| Event::new(e, zones).start().map(|w| Moment::from(&w));
        let moved = start(self.event, self.zones).zip(start(held, zones)).is_some_and(|(a, b)| a != b);
        moved && sequence_of(self.event).unwrap_or(0) < sequence_of(held).unwrap_or(0)
    }

    /// Whether the line holds this very answer already, from an earlier delivery of the same message.
    fn is_in(&self, line: &Property) -> bool {
        let stamp = self.dtstamp.map(|d| When::Utc(d).value());
        partstat_of(line) == self.partstat
            && line.get_param("PARTSTAT").is_some()
            && line.get_param(REPLY_DTSTAMP) == stamp.as_deref()
    }

    /// Writes the answer into an ATTENDEE line.
    fn write_to(&self, line: &mut Property) {
        line.set_param("PARTSTAT", &self.partstat);
        for name in ["DELEGATED-TO", "DELEGATED-FROM"] {
            if let Some(param) = self.line.params().iter().find(|p| p.is(name)) {
                line.remove_param(name);
                line.push_param(param.clone());
            }
        }
        match self.dtstamp {
            Some(dtstamp) => line.set_param(REPLY_DTSTAMP, &When::Utc(dtstamp).value()),
            None => {
                line.remove_param(REPLY_DTSTAMP);
            }
        }
    }

    /// Writes the answer into the attendee's line of a VEVENT and gives that line, or adds one and gives none.
    fn record_in<'e>(&self, event: &'e mut Component) -> Option<&'e mut Property> {
        if find_line(event, &self.attendee).is_none() {
            event.push(self.new_line());
            return None;
        }
        let line = event.properties_mut().find(|p| p.is("ATTENDEE") && Address::read(p.value()) == self.attendee)?;
        self.write_to(line);
        Some(line)
    }

    /// Writes what else the answer holds: whom the attendee delegated to (RFC 5546 §3.2.2.3), and how far they are with a
    /// task that is theirs alone.
    fn record_rest(&self, held: &mut Component, was_invited: bool) {
        // Whoever was not invited cannot have others invited.
        if self.partstat == "DELEGATED" && was_invited {
            let named = self.line.params().iter().filter(|p| p.is("DELEGATED-TO")).flat_map(|p| &p.values);
            let named = named.map(|value| Address::read(value));
            for delegate in named.filter(|d| d.is_deliverable() && *d != self.attendee).take(MOST_DELEGATES) {
                if find_line(held, &delegate).is_none() {
                    held.push(self.delegate_line(&delegate));
                }
            }
        }
        let organizer = held.value("ORGANIZER").map(Address::read);
        let is_other = |a: &Address| *a != self.attendee && Some(a) != organizer.as_ref();
        let alone = !held.all("ATTENDEE").any(|a| is_other(&Address::read(a.value())));
        let is_theirs = alone && held.is("VTODO");
        for name in PROGRESS.into_iter().filter(|_| is_theirs) {
            if let Some(property) = self.event.get(name) {
                held.set(property.clone());
            }
        }
    }

    /// The line of somebody whom an attendee delegated to, who has not answered yet.
    fn delegate_line(&self, delegate: &Address) -> Property {
        let told = find_line(self.event, delegate);
        let mut line = Property::new("ATTENDEE", delegate.as_str());
        for param in told.iter().flat_map(|l| l.params()).filter(|p| ["CN", "CUTYPE", "ROLE"].iter().any(|n| p.is(n))) {
            line.push_param(param.clone());
        }
        line.set_param("PARTSTAT", "NEEDS-ACTION");
        line.set_param("RSVP", "TRUE");
        line.set_param("DELEGATED-FROM", self.attendee.as_str());
        line
    }

    /// As [`Answer::record_in`], with what became of the message (RFC 6638 §3.2.9); nobody waits for an answer any more.
    fn record_and_note(&self, event: &mut Component) {
        if let Some(line) = self.record_in(event) {
            line.set_param("SCHEDULE-STATUS", &self.status);
            line.remove_param("RSVP");
        }
    }

    /// The line of somebody who was not invited, known as a party crasher (RFC 5546 §3.2.3).
    fn new_line(&self) -> Property {
        let mut line = Property::new("ATTENDEE", self.line.value()).param("PARTSTAT", &self.partstat);
        for param in self.line.params().iter().filter(|p| ["CN", "CUTYPE"].iter().any(|n| p.is(n))) {
            line.push_param(param.clone());
        }
        self.write_to(&mut line);
        line
    }
}

fn find_line<'a>(event: &'a Component, who: &Address) -> Option<&'a Property> {
    event.all("ATTENDEE").find(|a| Address::read(a.value()) == *who)
}

/// The organizer's object while answers are written into it: each component is found at once, however many there are.
struct Held<'a> {
    object: Component,
    zones: Zones,
    /// Where among the items each occurrence is.
    places: HashMap<InstanceId, usize>,
    /// Where the overrides are that begin at a time.
    starts: HashMap<Moment, usize>,
    master: Option<&'a Component>,
    occurrences: Option<Occurrences<'a>>,
}

impl<'a> Held<'a> {
    fn of(object: &'a Component) -> Self {
        let zones = Zones::of(object);
        let (mut places, mut starts) = (HashMap::new(), HashMap::new());
        for (at, item) in object.items.iter().enumerate() {
            let Item::Component(event) = item else { continue };
            let Some(id) = InstanceId::of(event, &zones).ok().filter(|_| is_schedulable(event)) else { continue };
            places.entry(id).or_insert(at);
            if let (InstanceId::At(_), Some(start)) = (id, Event::new(event, &zones).start()) {
                starts.entry(Moment::from(&start)).or_insert(at);
            }
        }
        let master = events(object).find(|e| e.get("RECURRENCE-ID").is_none());
        let occurrences = master.and_then(|m| Occurrences::of(m, &zones));
        Self { object: object.clone(), zones, places, starts, master, occurrences }
    }

    fn component(&mut self, at: usize) -> Option<&mut Component> {
        match self.object.items.get_mut(at) {
            Some(Item::Component(component)) => Some(component),
            _ => None,
        }
    }

    /// An occurrence of the series as it would be by itself, with what somebody answered to the series just before. When
    /// people answered to the series says nothing about when they answered to this occurrence.
    fn occurrence(&self, at: &When, who: &Address) -> Option<Component> {
        let mut new = self.occurrences.as_ref()?.at(&self.zones, at)?;
        let series = self.places.get(&InstanceId::Master).and_then(|at| self.object.items.get(*at));
        let answer = match series {
            Some(Item::Component(series)) => find_line(series, who),
            _ => None,
        };
        let line = new.properties_mut().find(|p| p.is("ATTENDEE") && Address::read(p.value()) == *who);
        match (line, answer) {
            (Some(line), Some(answer)) => *line = answer.clone(),
            (None, Some(answer)) => new.push(answer.clone()),
            (_, None) => {}
        }
        new.all_mut("ATTENDEE").for_each(|line| {
            line.remove_param(REPLY_DTSTAMP);
        });
        Some(new)
    }

    fn add(&mut self, id: InstanceId, event: Component) {
        self.places.insert(id, self.object.items.len());
        self.object.push_component(event);
    }

    /// Writes one answer into the object; the reason when it does not apply.
    fn record(&mut self, answer: &Answer) -> Result<Option<Reason>, ItipError> {
        let id = InstanceId::of(answer.event, answer.zones)?;
        // Some clients take the time an occurrence was moved to for its recurrence id.
        let moved = || id.moment().and_then(|moment| self.starts.get(&moment));
        if let Some(at) = self.places.get(&id).or_else(moved).copied() {
            let zones = self.zones.clone();
            let Some(held) = self.component(at) else { return Ok(Some(Reason::UnknownOccurrence)) };
            if answer.is_stale(held, &zones) {
                return Ok(Some(Reason::Stale));
            }
            let line = find_line(held, &answer.attendee);
            if line.is_some_and(|line| answer.is_in(line)) {
                return Ok(None);
            }
            let was_invited = line.is_some();
            answer.record_and_note(held);
            answer.record_rest(held, was_invited);
            return Ok(None);
        }
        let Some(recurrence_id) = answer.event.get("RECURRENCE-ID").filter(|_| self.master.is_some()) else {
            return Ok(Some(Reason::UnknownOccurrence));
        };
        let Some(mut new) = self.occurrence(&read(recurrence_id, answer.zones)?, &answer.attendee) else {
            return Ok(Some(Reason::UnknownOccurrence));
        };
        if answer.is_stale(&new, &self.zones) {
            return Ok(Some(Reason::Stale));
        }
        let was_invited = find_line(&new, &answer.attendee).is_some();
        answer.record_in(&mut new);
        answer.record_rest(&mut new, was_invited);
        self.add(id, new);
        Ok(None)
    }

    /// Writes an answer to an occurrence and all that follow into those that follow: the ones that are written out, and the
    /// first of the others, which then stands for the rest (RFC 5545 §3.2.13).
    fn record_later(&mut self, answer: &Answer) -> Result<(), ItipError> {
        let Some(from) = answer.event.get("RECURRENCE-ID") else { return Ok(()) };
        let from = read(from, answer.zones)?;
        let moment = Moment::from(&from);
        let is_later = |id: &InstanceId| id.moment().is_some_and(|at| at > moment);
        let later: Vec<usize> = self.places.iter().filter(|(id, _)| is_later(id)).map(|(_, at)| *at).collect();
        let zones = self.zones.clone();
        for at in later {
            let is_news = |event: &Component| {
                let is_in = find_line(event, &answer.attendee).is_some_and(|line| answer.is_in(line));
                !is_in && !answer.is_stale(event, &zones)
            };
            if let Some(event) = self.component(at).filter(|event| is_news(event)) {
                answer.record_and_note(event);
            }
        }
        let Some(master) = self.master else { return Ok(()) };
        // The answered occurrence itself stands for the rest where nothing but answers tells it from the series.
        let series = Series::of(&[master], &zones, Tz::UTC);
        let mut next = Some(from);
        while let Some(at) = next {
            let made = self.occurrence(&at, &answer.attendee);
            let id = InstanceId::At(Moment::from(&at));
            match self.places.get(&id).copied().and_then(|place| self.component(place)) {
                Some(held) => {
                    if made.is_some_and(|made| !is_rescheduled((&made, &zones), (held, &zones))) {
                        stand_for_the_rest(held);
                        return Ok(());
                    }
                }
                None => {
                    let Some(mut new) = made else { return Ok(()) };
                    stand_for_the_rest(&mut new);
                    answer.record_and_note(&mut new);
                    self.add(id, new);
                    return Ok(());
                }
            }
            let found = series.next_after(at.instant(Tz::UTC), Bounds::default()).ok().flatten();
            next = found.map(|o| o.recurrence_id);
        }
        Ok(())
    }
}

fn stand_for_the_rest(event: &mut Component) {
    if let Some(id) = event.get_mut("RECURRENCE-ID") {
        id.set_param("RANGE", "THISANDFUTURE");
    }
}
