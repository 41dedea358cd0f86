//! What a client that knew an older state must not undo: answers that arrived meanwhile (RFC 6638 §3.2.10).

use std::collections::{HashMap, HashSet};

use super::address::Address;
use super::edit::REPLY_DTSTAMP;
use super::is_schedulable;
use super::moment::{InstanceId, Moment, Occurrences, read};
use super::object::partstat_of;
use super::said::PROGRESS;
use super::view::is_rescheduled;
use crate::ical::{Component, Event, Property, Zones};
use crate::ids::Email;

/// How much of what is stored the writer is known to have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// All of it: the write depends on the ETag.
    Whole,
    /// All but what answers changed: the write depends on the Schedule-Tag, and the server shall merge.
    UpToTag,
    /// Nobody can tell.
    Unknown,
}

/// What comes with an answer on an ATTENDEE line.
const ANSWER: [&str; 5] = ["PARTSTAT", "SCHEDULE-STATUS", "DELEGATED-TO", "DELEGATED-FROM", REPLY_DTSTAMP];

/// Puts the answers that the writer has not seen back into the object that is written by `owner`.
///
/// Whoever read an answer has the time of it on the line (`REPLY_DTSTAMP`): a line with another one, or none, is from
/// before. An event that is written with another time asks for new answers, and keeps none. In an attendee's copy it is the
/// answers of the others that stay, where the client leaves merging to the server.
pub fn keep_answers(stored: &Component, new: &mut Component, owner: &[Email], knowledge: Knowledge) {
    let zones = (Zones::of(stored), Zones::of(new));
    let organizer = events(stored).find_map(|e| e.value("ORGANIZER")).map(Address::read);
    let Some(organizer) = organizer else { return };
    let organizes = organizer.is_one_of(owner);
    if !organizes && knowledge != Knowledge::UpToTag {
        return;
    }
    let held = by_id(stored, &zones.0);
    for event in new.components_mut().filter(|c| is_schedulable(c)) {
        let Ok(id) = InstanceId::of(event, &zones.1) else { continue };
        let Some(held) = held.get(&id).copied() else { continue };
        let start = |e, zones| Event::new(e, zones).start().map(|w| Moment::from(&w));
        if start(held, &zones.0) != start(event, &zones.1) {
            continue;
        }
        let answers = lines_of(held);
        for line in event.all_mut("ATTENDEE") {
            let who = Address::read(line.value());
            if let Some(answer) = answers.get(&who).filter(|_| !who.is_one_of(owner)) {
                keep_answer(answer, line, organizes, knowledge);
            }
        }
    }
    if organizes && knowledge != Knowledge::Whole {
        keep_answered_occurrences(stored, new, &zones);
    }
}

fn keep_answer(stored: &Property, line: &mut Property, organizes: bool, knowledge: Knowledge) {
    if !organizes {
        line.set_param("PARTSTAT", &partstat_of(stored));
        return;
    }
    let Some(stamp) = stored.get_param(REPLY_DTSTAMP) else { return };
    if line.get_param(REPLY_DTSTAMP) == Some(stamp) {
        return;
    }
    if knowledge == Knowledge::Whole {
        // Seen, but the client does not keep what it does not know.
        if partstat_of(line) == partstat_of(stored) {
            line.set_param(REPLY_DTSTAMP, stamp);
        }
        return;
    }
    for name in ANSWER {
        line.remove_param(name);
        if let Some(param) = stored.params().iter().find(|p| p.is(name)) {
            line.push_param(param.clone());
        }
    }
    if stored.get_param("RSVP").is_none() {
        line.remove_param("RSVP");
    }
}

/// Occurrences that exist by themselves only because somebody answered to them: a client that does not write them has not
/// seen them.
fn keep_answered_occurrences(stored: &Component, new: &mut Component, zones: &(Zones, Zones)) {
    let master_of = |c: &Component| events(c).find(|e| e.get("RECURRENCE-ID").is_none()).cloned();
    let (Some(old_master), Some(master)) = (master_of(stored), master_of(new)) else { return };
    if is_rescheduled((&old_master, &zones.0), (&master, &zones.1)) {
        return;
    }
    let written: HashSet<InstanceId> = events(new).filter_map(|e| InstanceId::of(e, &zones.1).ok()).collect();
    let occurrences = (Occurrences::of(&old_master, &zones.0), Occurrences::of(&master, &zones.1));
    for held in events(stored).filter(|e| e.all("ATTENDEE").any(|a| a.get_param(REPLY_DTSTAMP).is_some())) {
        let Ok(id @ InstanceId::At(_)) = InstanceId::of(held, &zones.0) else { continue };
        let at = held.get("RECURRENCE-ID").and_then(|p| read(p, &zones.0).ok());
        let Some(at) = at.filter(|_| !written.contains(&id)) else { continue };
        let was = occurrences.0.as_ref().and_then(|o| o.at(&zones.0, &at));
        let is_own = was.is_none_or(|was| is_rescheduled((&was, &zones.0), (held, &zones.0)));
        // Moved or called off by the organizer: they had seen it, and chose to drop it.
        if is_own || super::object::is_cancelled(held) {
            continue;
        }
        let Some(mut event) = occurrences.1.as_ref().and_then(|o| o.at(&zones.1, &at)) else { continue };
        let answers = lines_of(held);
        for line in event.all_mut("ATTENDEE") {
            if let Some(answer) = answers.get(&Address::read(line.value())) {
                keep_answer(answer, line, true, Knowledge::Unknown);
            }
        }
        new.push_component(event);
    }
}

/// Whether two states of an object differ only in what concerns nobody's client: how far others have answered, and when
/// (RFC 6638 §3.2.10). `person` is whose object it is; their own answer does concern them.
pub fn is_inconsequential(before: &Component, after: &Component, person: &[Email]) -> bool {
    let quiet = |calendar: &Component| {
        let mut calendar = calendar.clone();
        for event in calendar.components_mut().filter(|c| is_schedulable(c)) {
            for name in ["DTSTAMP", "LAST-MODIFIED", "SEQUENCE"] {
                event.remove(name);
            }
            let is_others = |line: &&mut Property| !Address::read(line.value()).is_one_of(person);
            for line in event.all_mut("ATTENDEE").filter(is_others) {
                ANSWER.into_iter().chain(["RSVP"]).for_each(|name| {
                    line.remove_param(name);
                });
            }
        }
        calendar
    };
    quiet(before) == quiet(after)
}

/// Whether a reply changed nothing but answers: nobody was added, and no task got on.
pub fn is_mere_answer(before: &Component, after: &Component) -> bool {
    let people = |calendar: &Component| -> HashSet<Address> {
        events(calendar).flat_map(|e| e.all("ATTENDEE")).map(|a| Address::read(a.value())).collect()
    };
    let progress = |calendar: &Component| -> Vec<[Option<String>; 3]> {
        let tasks = events(calendar).filter(|e| e.is("VTODO"));
        tasks.map(|task| PROGRESS.map(|name| task.value(name).map(str::to_owned))).collect()
    };
    people(before) == people(after) && progress(before) == progress(after)
}

/// The components by the occurrence that they are; the first where one is written twice.
pub(super) fn by_id<'a>(calendar: &'a Component, zones: &Zones) -> HashMap<InstanceId, &'a Component> {
    let mut found = HashMap::new();
    for event in events(calendar) {
        if let Ok(id) = InstanceId::of(event, zones) {
            found.entry(id).or_insert(event);
        }
    }
    found
}

/// The ATTENDEE lines by whom they name; the first where somebody is named twice.
pub(super) fn lines_of(event: &Component) -> HashMap<Address, &Property> {
    let mut lines = HashMap::new();
    for line in event.properties().filter(|p| p.is("ATTENDEE")) {
        lines.entry(Address::read(line.value())).or_insert(line);
    }
    lines
}

fn events(calendar: &Component) -> impl Iterator<Item = &Component> {
    calendar.components().filter(|c| is_schedulable(c))
}
