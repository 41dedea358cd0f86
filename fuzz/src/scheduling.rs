//! Scheduling: two objects, taken for a change by organizer and attendee, and for a copy and a message that meets it.

use chrono::{DateTime, Utc};
use convoke::ical::{Component, Property};
use convoke::ids::Email;
use convoke::itip::{self, ItipMessage, Knowledge};

/// Messages of one change at most: one per method and person, and a person is a line of the object.
const MOST_MESSAGES: usize = 4_000;

pub fn check(data: &[u8]) {
    let Some(parts) = super::parts(data) else { return };
    let mut objects = parts.iter().filter_map(|text| Component::parse_within(text, super::LIMITS).ok());
    let (Some(one), other) = (objects.next(), objects.next()) else { return };
    let now: DateTime<Utc> = DateTime::from_timestamp(1_893_456_000, 0).unwrap_or_default();
    let people =
        ["alice@example.org", "bob@example.org"].map(|email| email.parse::<Email>().into_iter().collect::<Vec<_>>());
    for person in &people {
        changed(None, Some(&one), person, now);
        changed(Some(&one), other.as_ref(), person, now);
        if other.iter().chain([&one]).all(|object| uid(object).is_some() && uid(object) == uid(&one)) {
            met(&one, other.as_ref().filter(|other| zones_agree(&one, other)), person, now);
        }
    }
}

/// The one UID of all that is scheduled in an object.
fn uid(object: &Component) -> Option<&str> {
    let mut uids =
        object.components().filter(|c| !c.is("VTIMEZONE")).map(|c| c.value("UID").filter(|uid| !uid.is_empty()));
    let first = uids.next()??;
    uids.all(|uid| uid == Some(first)).then_some(first)
}

fn changed(old: Option<&Component>, new: Option<&Component>, person: &[Email], now: DateTime<Utc>) {
    if let Ok(diff) = itip::diff(old, new, person, now) {
        assert!(diff.messages.len() <= MOST_MESSAGES, "{} messages", diff.messages.len());
        for message in &diff.messages {
            let text = message.to_ics();
            let read = Component::parse(&text).unwrap_or_else(|error| panic!("{error} in a message:\n{text}"));
            assert_eq!(read.value("METHOD"), Some(message.method.as_str()));
            for name in ["SCHEDULE-AGENT", "SCHEDULE-STATUS", "SCHEDULE-FORCE-SEND"] {
                let is_person = |p: &Property| p.is("ATTENDEE") || p.is("ORGANIZER");
                let told = |c: &Component| c.properties().any(|p| is_person(p) && p.get_param(name).is_some());
                assert!(!read.components().any(told), "{name} is told:\n{text}");
            }
        }
        if let Some(stored) = &diff.stored {
            let text = stored.to_wire();
            assert!(Component::parse(&text).is_ok(), "what is stored cannot be read:\n{text}");
        }
    }
    if let (Some(old), Some(new)) = (old, new) {
        let _ = itip::forbidden_attendee_changes(old, new, person);
        let _ = (itip::is_inconsequential(old, new, person), itip::is_mere_answer(old, new));
        let mut synced = new.clone();
        itip::sync_participation(old, &mut synced, person);
        let mut kept = new.clone();
        itip::keep_answers(old, &mut kept, person, Knowledge::Unknown);
        for changed in [synced, kept] {
            let text = changed.to_wire();
            assert!(Component::parse(&text).is_ok(), "cannot be read any more:\n{text}");
        }
    }
}

/// Whether no zone means one thing here and another there: a message that defines a zone anew moves what the copy keeps.
fn zones_agree(one: &Component, other: &Component) -> bool {
    let zones = |c: &Component| c.components().filter(|c| c.is("VTIMEZONE")).cloned().collect::<Vec<_>>();
    zones(one) == zones(other)
}

/// A message applied twice changes nothing the second time.
fn met(message: &Component, copy: Option<&Component>, person: &[Email], now: DateTime<Utc>) {
    let Ok(message) = ItipMessage::read(message.clone()) else { return };
    let Ok(applied) = itip::apply(copy, &message, person, now) else { return };
    let Some(result) = applied.result else { return };
    let (method, text) = (message.method, result.to_wire());
    assert!(Component::parse(&text).is_ok(), "the copy cannot be read any more:\n{text}");
    let again = itip::apply(Some(&result), &message, person, now);
    let again = again.unwrap_or_else(|error| panic!("{error}: {method} cannot be applied twice:\n{text}"));
    assert!(again.result.is_none_or(|twice| twice == result), "{method} applied twice:\n{text}");
}
