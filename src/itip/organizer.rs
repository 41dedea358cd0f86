//! The organizer wrote: who gets a REQUEST, who a CANCEL (RFC 6638 §3.2.1, mail-itip-alarms §5.4).

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::address::Address;
use super::edit::common_name;
use super::message::{ItipMessage, Method};
use super::moment::{InstanceId, Moment};
use super::object::{Invitee, Object};
use super::request::{Cancelled, cancel, occurrence_sequence, request};
use super::view::{Change, compare, live_seats};
use crate::ical::{Component, Property};
use crate::ids::{Email, Uid};

/// One message per attendee of the old and the new object and per method; never one to the organizer, under whichever of
/// the `owner`'s addresses, nor to an address that nobody can be reached under.
///
/// Attendees who see the same part of the object share the comparison and the message, so that the work grows with the
/// number of attendees and not with its square.
pub(super) fn messages(
    before: Option<&Object>,
    after: Option<&Object>,
    owner: &[Email],
    now: DateTime<Utc>,
) -> Vec<ItipMessage> {
    let Some(organizer) = after.or(before).and_then(|o| o.organizer) else { return Vec::new() };
    let sender = Address::read(organizer.value());
    let invitees = |o| Option::map_or(o, &[][..], |o: &Object| &o.invitees[..]);
    let added = invitees(after).iter().filter(|i| before.is_none_or(|b| b.invitee(&i.address).is_none()));
    let is_told = |i: &&Invitee| i.address != sender && !i.address.is_one_of(owner) && i.address.is_deliverable();
    let recipients = invitees(before).iter().chain(added).filter(is_told);
    let mut round = Round {
        before,
        after,
        organizer,
        sender: &sender,
        now,
        called_off: called_off(before, after),
        changes: HashMap::new(),
        requests: HashMap::new(),
    };
    let mut messages = Vec::new();
    for recipient in recipients {
        round.tell(&recipient.address, &mut messages);
    }
    messages
}

type Seats = Vec<usize>;

/// An occurrence that the new object calls off.
struct CalledOff {
    at: Moment,
    /// Where it is in the new object,
    instance: usize,
    /// and where it was in the old one, if it was written there.
    was: Option<usize>,
    /// It was an occurrence of the series. One that was moved had none at the new time: nothing is taken from anybody.
    was_of_series: bool,
}

/// What the new object calls off, found once and not for each attendee.
fn called_off(before: Option<&Object>, after: Option<&Object>) -> Vec<CalledOff> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let off = after.instances.iter().enumerate().filter(|(_, instance)| instance.cancelled);
    let called_off = off.filter_map(|(instance, off)| {
        let was = before.index(off.id);
        let was_of_series = was.is_none() && before.has_occurrence(after.recurrence_id(instance));
        Some(CalledOff { at: off.id.moment()?, instance, was, was_of_series })
    });
    called_off.collect()
}

/// One write, seen from each attendee in turn.
struct Round<'a> {
    before: Option<&'a Object<'a>>,
    after: Option<&'a Object<'a>>,
    organizer: &'a Property,
    sender: &'a Address,
    now: DateTime<Utc>,
    called_off: Vec<CalledOff>,
    /// What changed for those who saw the one set of VEVENTs and see the other now.
    changes: HashMap<(Seats, Seats, BTreeSet<Moment>), Change>,
    /// Messages already written, by the VEVENTs in them and the recipient where they are personal.
    requests: HashMap<(Seats, Option<Address>), Arc<Component>>,
}

impl Round<'_> {
    fn tell(&mut self, recipient: &Address, messages: &mut Vec<ItipMessage>) {
        let old = self.before.and_then(|o| o.invitee(recipient));
        let new = self.after.and_then(|o| o.invitee(recipient));
        let saw = self.before.map_or_else(Vec::new, |o| live_seats(o, old));
        let (Some(after), Some(invitee)) = (self.after, new) else {
            // Deleted, or taken off everything.
            messages.extend(self.cancel_all(recipient, &saw, self.after.is_none()));
            return;
        };
        if after.is_cancelled() {
            messages.extend(self.cancel_all(recipient, &saw, true));
            return;
        }
        let sees = live_seats(after, new);
        let cancelled = self.cancelled_occurrences(invitee, &saw);
        let lost_series = self.sees_series(self.before, &saw) && !self.sees_series(self.after, &sees);
        if lost_series {
            messages.extend(self.cancel_all(recipient, &saw, false));
        } else {
            messages.extend(self.cancel_occurrences(invitee, &saw, &sees, &cancelled));
        }
        if sees.is_empty() {
            return;
        }
        let change = self.change(&saw, &sees, &cancelled);
        // Somebody who is in one occurrence of a series is not bothered by every write to the others.
        let unchanged = change.none && sees.len() == 1 && self.before.is_some_and(Object::is_recurring);
        let nothing_new = (unchanged || change.none_but_cancelled) && !self.alarms_changed(recipient, &saw, &sees);
        if !nothing_new || invitee.is_forced() {
            messages.push(self.request(after, invitee, sees, change));
        }
    }

    /// Whether the attendee is invited to the series and not just to some of its occurrences.
    fn sees_series(&self, object: Option<&Object>, seats: &[usize]) -> bool {
        object.is_some_and(|o| o.index(InstanceId::Master).is_some_and(|at| seats.binary_search(&at).is_ok()))
    }

    /// Occurrences whose override says `STATUS:CANCELLED` and that the attendee knew as taking place.
    fn cancelled_occurrences(&self, invitee: &Invitee, saw: &[usize]) -> BTreeSet<Moment> {
        let saw_series = self.sees_series(self.before, saw);
        let knew = |off: &&CalledOff| match off.was {
            Some(at) => saw.binary_search(&at).is_ok(),
            None => saw_series && off.was_of_series,
        };
        let theirs = self.called_off.iter().filter(|off| invitee.seat_in(off.instance).is_some());
        theirs.filter(knew).map(|off| off.at).collect()
    }

    /// CANCEL with RECURRENCE-ID: for occurrences that were cancelled, and for those that somebody who is not in the
    /// series is no longer invited to. Those who are in the series see the latter as EXDATE of their REQUEST.
    fn cancel_occurrences(
        &self,
        invitee: &Invitee,
        saw: &[usize],
        sees: &[usize],
        cancelled: &BTreeSet<Moment>,
    ) -> Option<ItipMessage> {
        let (before, after) = (self.before?, self.after?);
        let mut gone = Vec::new();
        for off in self.called_off.iter().filter(|off| cancelled.contains(&off.at)) {
            let instance = &after.instances[off.instance];
            gone.push(Cancelled {
                event: instance.component,
                object: after,
                occurrence: true,
                for_everybody: true,
                sequence: occurrence_sequence(after, instance.component),
            });
        }
        if !self.sees_series(Some(before), saw) && !self.sees_series(Some(after), sees) {
            let is_still_invited = |id| after.index(id).is_some_and(|at| invitee.seat_in(at).is_some());
            let lost = saw.iter().map(|&s| &before.instances[s]).filter(|i| !is_still_invited(i.id));
            for instance in lost {
                let now = after.instance(instance.id);
                let sequence = match now {
                    Some(i) => occurrence_sequence(after, i.component),
                    None => occurrence_sequence(before, instance.component).max(after.sequence.unwrap_or(0)),
                };
                gone.push(Cancelled {
                    event: instance.component,
                    object: before,
                    occurrence: true,
                    for_everybody: now.is_none(),
                    sequence,
                });
            }
        }
        let attendee = invitee.seats.first()?.attendee;
        let calendar = cancel(&gone, self.organizer, attendee, self.now)?;
        let sequence = gone.iter().map(|g| g.sequence).max().unwrap_or(0);
        Some(self.message(Method::Cancel, &invitee.address, invitee.name(), sequence, Change::NEW, Arc::new(calendar)))
    }

    /// CANCEL of everything the attendee was invited to.
    fn cancel_all(&self, recipient: &Address, saw: &[usize], for_everybody: bool) -> Option<ItipMessage> {
        let before = self.before?;
        let old = before.invitee(recipient)?;
        // Who saw nothing, because it was cancelled before, needs no CANCEL; but deleting the object always says so.
        let first = match (saw.first(), self.after) {
            (Some(&first), _) => first,
            (None, None) => old.seats.first()?.instance,
            (None, Some(_)) => return None,
        };
        let id = before.instances[first].id;
        let now = self.after.filter(|a| a.invitee(recipient).is_some()).and_then(|a| Some((a, a.instance(id)?)));
        let (object, event) = match now {
            Some((after, instance)) => (after, instance.component),
            None => (before, before.instances[first].component),
        };
        // What the attendee holds of single occurrences may be of a later revision than the series.
        let known = old.seats.iter().map(|s| occurrence_sequence(before, before.instances[s.instance].component)).max();
        let known = known.max(before.sequence).unwrap_or(0);
        let sequence = match self.after {
            // A client that drops SEQUENCE together with the attendees must not make the message look old.
            Some(after) => after.sequence.unwrap_or(0).max(known),
            None => known + 1,
        };
        let cancelled = Cancelled { event, object, occurrence: false, for_everybody, sequence };
        let calendar = cancel(&[cancelled], self.organizer, old.seats.first()?.attendee, self.now)?;
        Some(self.message(Method::Cancel, recipient, old.name(), sequence, Change::NEW, Arc::new(calendar)))
    }

    fn change(&mut self, saw: &[usize], sees: &[usize], cancelled: &BTreeSet<Moment>) -> Change {
        let (Some(before), Some(after)) = (self.before, self.after) else { return Change::NEW };
        if saw.is_empty() {
            return Change::NEW;
        }
        match self.changes.entry((saw.to_vec(), sees.to_vec(), cancelled.clone())) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(entry) => *entry.insert(compare((before, saw), (after, sees), cancelled)),
        }
    }

    /// Whether the e-mail alarms of this recipient differ, which no comparison of the events tells.
    fn alarms_changed(&self, recipient: &Address, saw: &[usize], sees: &[usize]) -> bool {
        let of = |object: Option<&Object>, seats: &[usize]| {
            object.map_or_else(Vec::new, |o| email_alarms(o, seats, recipient).collect::<Vec<_>>())
        };
        of(self.before, saw) != of(self.after, sees)
    }

    fn request(&mut self, after: &Object, invitee: &Invitee, sees: Seats, change: Change) -> ItipMessage {
        let forced = invitee.is_forced();
        let change =
            Change { significant: change.significant || forced, noteworthy: change.noteworthy || forced, ..change };
        let is_personal = email_alarms(after, &sees, &invitee.address).next().is_some();
        let personal = is_personal.then(|| invitee.address.clone());
        let calendar = match self.requests.entry((sees, personal)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(entry) => {
                let (seats, personal) = entry.key();
                let message = Arc::new(request(after, seats, personal.as_ref(), self.now));
                entry.insert(message).clone()
            }
        };
        let sequence = after.sequence.unwrap_or(0);
        let told = self.message(Method::Request, &invitee.address, invitee.name(), sequence, change, calendar);
        ItipMessage { is_forced: forced, ..told }
    }

    fn message(
        &self,
        method: Method,
        recipient: &Address,
        name: Option<&str>,
        sequence: i64,
        change: Change,
        calendar: Arc<Component>,
    ) -> ItipMessage {
        let object = self.after.or(self.before);
        ItipMessage {
            uid: Uid(object.map_or_else(String::new, |o| o.uid.to_owned())),
            component: object.map_or_else(String::new, Object::component),
            method,
            sequence,
            sender: self.sender.as_str().to_owned(),
            sender_name: common_name(self.organizer.get_param("CN")),
            recipient: recipient.as_str().to_owned(),
            recipient_name: common_name(name),
            significant_change: change.significant,
            has_change: change.noteworthy,
            is_forced: false,
            calendar,
        }
    }
}

/// The e-mail alarms of these VEVENTs that go to this person.
fn email_alarms<'a>(object: &'a Object, seats: &'a [usize], recipient: &'a Address) -> impl Iterator<Item = Component> {
    seats.iter().flat_map(|&s| object.instances[s].email_alarms.to(recipient))
}
