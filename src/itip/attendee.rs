//! An attendee wrote: what they answer the organizer (RFC 6638 §3.2.2, mail-itip-alarms §5.5, §5.7).

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::address::Address;
use super::edit::{self, common_name};
use super::is_schedulable;
use super::message::{ItipMessage, Method};
use super::moment::{InstanceId, Moment};
use super::object::{Invitee, Object, Seat, has_param, is_scheduled_by_server, partstat_of};
use super::request::{envelope, metadata, occurrence_sequence};
use super::said::{PROGRESS, Said};
use crate::ical::edit::exdates;
use crate::ical::{Component, Property, When};
use crate::ids::{Email, Uid};

const DECLINED: &str = "DECLINED";
const NEEDS_ACTION: &str = "NEEDS-ACTION";

/// An answer about one occurrence, or about the whole series.
struct Answer {
    id: InstanceId,
    said: Said,
    /// What the organizer knew until now.
    before: Option<Said>,
    /// The occurrence as EXDATE or RECURRENCE-ID wrote it.
    occurrence: Option<When>,
}

/// The REPLY that tells the organizer of every answer that changed: one message, however many occurrences, of each of the
/// writer's addresses that is invited.
pub(super) fn replies(
    before: Option<&Object>,
    after: Option<&Object>,
    actor: &[Email],
    now: DateTime<Utc>,
) -> Vec<ItipMessage> {
    let Some(current) = after.or(before) else { return Vec::new() };
    let Some(organizer) = current.organizer else { return Vec::new() };
    let reachable = Address::read(organizer.value()).is_deliverable();
    if !reachable || !is_scheduled_by_server(organizer) || current.is_cancelled() {
        return Vec::new();
    }
    let mine = current.invitees.iter().filter(|i| i.address.is_one_of(actor));
    mine.filter_map(|me| reply(before, after, organizer, me, now)).collect()
}

fn reply(
    before: Option<&Object>,
    after: Option<&Object>,
    organizer: &Property,
    me: &Invitee,
    now: DateTime<Utc>,
) -> Option<ItipMessage> {
    let current = after.or(before)?;
    let forced = after.is_some() && has_param(organizer, "SCHEDULE-FORCE-SEND", "REPLY");
    let mut answers = match after {
        Some(after) => changed_answers(before, after, me),
        None => all_declined(current, me),
    };
    answers.retain(|answer| {
        let cancelled = current.instance(answer.id).is_some_and(|i| i.cancelled);
        let same = answer.before.as_ref() == Some(&answer.said);
        !cancelled && (!same || forced || after.is_none())
    });
    if before.is_none() && !forced && answers.iter().all(|a| a.said.partstat == NEEDS_ACTION) {
        // Somebody put an invitation into their calendar and has not answered yet.
        return None;
    }
    let mut message = envelope(current, Method::Reply);
    for answer in &answers {
        message.push_component(answer_event(current, me, answer, now));
    }
    // An override that repeats the answer to the series tells the organizer nothing (mail-itip-alarms §0.2).
    let series = before.and_then(|o| said_in(o, &me.address, InstanceId::Master));
    let significant = forced || answers.iter().any(|a| a.before.as_ref().or(series.as_ref()) != Some(&a.said));
    (!answers.is_empty()).then(|| ItipMessage {
        uid: Uid(current.uid.to_owned()),
        component: current.component(),
        method: Method::Reply,
        sequence: current.sequence.unwrap_or(0),
        sender: me.address.as_str().to_owned(),
        sender_name: common_name(me.name()),
        recipient: Address::read(organizer.value()).into(),
        recipient_name: common_name(organizer.get_param("CN")),
        significant_change: significant,
        has_change: true,
        is_forced: forced,
        calendar: Arc::new(message),
    })
}

fn said_in(object: &Object, who: &Address, id: InstanceId) -> Option<Said> {
    let seat = object.invitee(who)?.seat_in(object.index(id)?)?;
    Some(said_at(object, seat))
}

fn said_at(object: &Object, seat: &Seat) -> Said {
    Said::of(seat.attendee, object.instances[seat.instance].component)
}

/// Every answer of the new copy beside what it was, with the occurrences that were taken out of it as declined.
fn changed_answers(before: Option<&Object>, after: &Object, me: &Invitee) -> Vec<Answer> {
    let was = |id| before.and_then(|o| said_in(o, &me.address, id));
    let answer = |seat: &Seat| {
        let id = after.instances[seat.instance].id;
        Answer { id, said: said_at(after, seat), before: was(id), occurrence: after.recurrence_id(seat.instance) }
    };
    let mut answers: Vec<Answer> = me.seats.iter().map(answer).collect();
    let series = answers.iter().find(|a| a.id == InstanceId::Master).map(|a| a.said.partstat.clone());
    let taken_out = new_exdates(before, after);
    let excluded: HashSet<InstanceId> = taken_out.iter().map(|w| InstanceId::At(w.into())).collect();
    if series.as_deref().is_some_and(|s| s != DECLINED) {
        answers.retain(|a| !excluded.contains(&a.id));
        answers.extend(taken_out.into_iter().map(|when| {
            let id = InstanceId::At((&when).into());
            Answer { id, said: Said::plain(DECLINED), before: was(id), occurrence: Some(when) }
        }));
    }
    // Overrides that are gone without EXDATE follow the series again; without a series they are gone for good.
    let is_told = |id: InstanceId| series.is_some() && excluded.contains(&id);
    for (before, index) in before.iter().flat_map(|o| (0..o.instances.len()).map(move |i| (o, i))) {
        let id = before.instances[index].id;
        if id == InstanceId::Master || after.instance(id).is_some() || is_told(id) {
            continue;
        }
        let Some(old) = said_in(before, &me.address, id) else { continue };
        let said = Said::plain(series.as_deref().unwrap_or(DECLINED));
        answers.push(Answer { id, said, before: Some(old), occurrence: before.recurrence_id(index) });
    }
    answers
}

/// EXDATE of the new copy that were not in the old one, each once, in the order written.
fn new_exdates(before: Option<&Object>, after: &Object) -> Vec<When> {
    let of = |o: &Object| o.master().map_or_else(Vec::new, |m| exdates(m.component, &o.zones).collect());
    let mut known: HashSet<Moment> = before.map_or_else(Vec::new, of).iter().map(Moment::from).collect();
    of(after).into_iter().filter(|when| known.insert(when.into())).collect()
}

/// The copy is deleted: the series is declined, and so is every occurrence that was answered by itself.
fn all_declined(copy: &Object, me: &Invitee) -> Vec<Answer> {
    let answer = |s: &Seat| {
        let (id, said) = (copy.instances[s.instance].id, Said::plain(DECLINED));
        Answer { id, said, before: Some(said_at(copy, s)), occurrence: copy.recurrence_id(s.instance) }
    };
    me.seats.iter().map(answer).collect()
}

/// One VEVENT of a REPLY (RFC 5546 §3.2.3).
fn answer_event(copy: &Object, me: &Invitee, answer: &Answer, now: DateTime<Utc>) -> Component {
    let id = answer.id;
    let mut event = Component::new(&copy.component());
    event.push(Property::new("UID", copy.uid));
    event.push(edit::dtstamp(now));
    let source = copy.instance(id).map(|i| i.component);
    let fallback = copy.master().or(copy.instances.first()).map(|i| i.component);
    let sequence = source.or(fallback).map_or(0, |c| occurrence_sequence(copy, c));
    event.push(Property::new("SEQUENCE", sequence.to_string()));
    match (source, &answer.occurrence) {
        (Some(source), _) => {
            edit::copy(source, &mut event, &["DTSTART", "DTEND", "DURATION", "DUE"]);
        }
        (None, Some(occurrence)) => event.push(occurrence.to_property("DTSTART")),
        (None, None) => {}
    }
    if let Some(summary) = [source, fallback].into_iter().flatten().find_map(|c| c.get("SUMMARY")) {
        event.push(summary.clone());
    }
    if let (InstanceId::At(_), Some(occurrence)) = (id, &answer.occurrence) {
        event.push(occurrence.to_property("RECURRENCE-ID"));
    }
    if let Some(organizer) = copy.organizer {
        event.push(edit::party("ORGANIZER", organizer, Address::read(organizer.value()).as_str()));
    }
    event.push(my_line(copy, me, id, &answer.said.partstat));
    for delegate in delegates(copy, me, id) {
        event.push(delegate);
    }
    if let Some(source) = source.filter(|s| s.is("VTODO")) {
        edit::copy(source, &mut event, &PROGRESS);
    }
    if let Some(from) = source.or(fallback) {
        edit::copy(from, &mut event, &[edit::TEAM_CALENDAR]);
        metadata(copy, from, &mut event);
    }
    event
}

/// The ATTENDEE line of the answer; who delegated says to whom (RFC 5546 §3.2.2.3).
fn my_line(copy: &Object, me: &Invitee, id: InstanceId, partstat: &str) -> Property {
    let mut line = Property::new("ATTENDEE", me.address.as_str()).param("PARTSTAT", partstat);
    if let Some(name) = me.name().filter(|n| !n.trim().is_empty()) {
        line.set_param("CN", name.trim());
    }
    let seat = copy.index(id).and_then(|at| me.seat_in(at)).or(me.seats.first());
    for param in seat.iter().flat_map(|s| s.attendee.params()) {
        if param.is("DELEGATED-TO") || param.is("DELEGATED-FROM") {
            line.push_param(param.clone());
        }
    }
    line
}

/// The lines of those whom the attendee delegated to, for the organizer to invite (RFC 5546 §3.2.2.3).
fn delegates(copy: &Object, me: &Invitee, id: InstanceId) -> Vec<Property> {
    let seat = copy.index(id).and_then(|at| me.seat_in(at));
    let Some(seat) = seat.filter(|s| partstat_of(s.attendee) == "DELEGATED") else { return Vec::new() };
    let named = seat.attendee.params().iter().filter(|p| p.is("DELEGATED-TO")).flat_map(|p| &p.values);
    let lines = named.filter_map(|value| {
        let delegate = Address::read(value);
        let event = copy.instances[seat.instance].component;
        let written = event.all("ATTENDEE").find(|a| Address::read(a.value()) == delegate);
        if !delegate.is_deliverable() || delegate == me.address {
            return None;
        }
        let mut line = written.cloned().unwrap_or_else(|| Property::new("ATTENDEE", delegate.as_str()));
        edit::strip_line(&mut line);
        line.set_param("DELEGATED-FROM", me.address.as_str());
        Some(line)
    });
    lines.collect()
}

/// Writes the answer that `actor` just gave to the series into their line of every override, when the answer to the
/// series changed (mail-itip-alarms §5.7).
pub fn sync_participation(old: &Component, new: &mut Component, actor: &[Email]) {
    let answers = |object: &Component| -> Vec<(Address, String)> {
        let master = object.components().find(|c| is_schedulable(c) && c.get("RECURRENCE-ID").is_none());
        let lines = master.into_iter().flat_map(|m| m.all("ATTENDEE"));
        let answers = lines.map(|line| (Address::read(line.value()), partstat_of(line)));
        answers.filter(|(who, _)| who.is_one_of(actor)).collect()
    };
    let was = answers(old);
    let changed = |(who, given): &(Address, String)| was.iter().any(|(w, before)| w == who && before != given);
    let Some((_, given)) = answers(new).into_iter().find(changed) else { return };
    for event in new.components_mut().filter(|c| is_schedulable(c) && c.get("RECURRENCE-ID").is_some()) {
        for line in event.all_mut("ATTENDEE").filter(|a| Address::read(a.value()).is_one_of(actor)) {
            line.set_param("PARTSTAT", &given);
        }
    }
}
