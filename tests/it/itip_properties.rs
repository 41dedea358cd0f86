//! What must hold for scheduling whatever people do: an organizer edits a series step by step, the messages travel, and
//! every attendee's copy stays in step.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use convoke::ical::recur::{Bounds, occurrences};
use convoke::ical::{Component, Property};
use convoke::ids::Email;
use convoke::itip::{self, ItipMessage, Method, Outcome};
use proptest::prelude::*;

const GUESTS: [&str; 3] = ["bob@example.org", "carol@example.org", "guest@elsewhere.example"];
const OCCURRENCES: u32 = 5;
const FIRST_DAY: u32 = 28; // of March 2031: the clocks change on the 30th.

/// The organizer's event, as little of it as the rules care for.
#[derive(Debug, Clone)]
struct Series {
    sequence: i64,
    hour: u32,
    title: u32,
    guests: BTreeSet<usize>,
    overrides: BTreeMap<u32, Override>,
    excluded: BTreeSet<u32>,
    cancelled: bool,
}

#[derive(Debug, Clone)]
struct Override {
    hour: u32,
    title: u32,
    guests: BTreeSet<usize>,
    cancelled: bool,
}

#[derive(Debug, Clone)]
enum Edit {
    Nothing,
    Hour(u32),
    Title(u32),
    Guests(BTreeSet<usize>),
    Override(u32, Override),
    DropOverride(u32),
    Exclude(u32),
    Include(u32),
    Cancelled(bool),
}

impl Series {
    fn new(guests: BTreeSet<usize>) -> Self {
        Self {
            sequence: 0,
            hour: 9,
            title: 0,
            guests,
            overrides: BTreeMap::new(),
            excluded: BTreeSet::new(),
            cancelled: false,
        }
    }

    fn edit(&mut self, edit: &Edit, bump: bool) {
        match edit.clone() {
            Edit::Nothing => {}
            Edit::Hour(hour) => {
                // Another time is another set of recurrence ids; clients drop the overrides then.
                if hour != self.hour {
                    self.overrides.clear();
                }
                self.hour = hour;
            }
            Edit::Title(title) => self.title = title,
            Edit::Guests(guests) => self.guests = guests,
            Edit::Override(at, o) => {
                self.excluded.remove(&at);
                self.overrides.insert(at, o);
            }
            Edit::DropOverride(at) => {
                self.overrides.remove(&at);
            }
            Edit::Exclude(at) => {
                self.overrides.remove(&at);
                self.excluded.insert(at);
            }
            Edit::Include(at) => {
                self.excluded.remove(&at);
            }
            Edit::Cancelled(cancelled) => self.cancelled = cancelled,
        }
        self.sequence += i64::from(bump);
    }

    fn render(&self, dtstamp: DateTime<Utc>) -> Component {
        let mut calendar = Component::new("VCALENDAR");
        calendar.push(Property::new("VERSION", "2.0"));
        let mut master = self.event(dtstamp, self.title, &self.guests, self.cancelled);
        times(&mut master, 0, self.hour);
        master.push(Property::new("RRULE", format!("FREQ=DAILY;COUNT={OCCURRENCES}")));
        for at in &self.excluded {
            master.push(zoned("EXDATE", *at, self.hour, 0));
        }
        calendar.push_component(master);
        for (at, o) in &self.overrides {
            let mut event = self.event(dtstamp, o.title, &o.guests, o.cancelled);
            times(&mut event, *at, o.hour);
            event.push(zoned("RECURRENCE-ID", *at, self.hour, 0));
            calendar.push_component(event);
        }
        calendar
    }

    fn event(&self, dtstamp: DateTime<Utc>, title: u32, guests: &BTreeSet<usize>, cancelled: bool) -> Component {
        let mut event = Component::new("VEVENT");
        event.push(Property::new("UID", "series"));
        event.push(Property::new("DTSTAMP", dtstamp.format("%Y%m%dT%H%M%SZ").to_string()));
        event.push(Property::new("SEQUENCE", self.sequence.to_string()));
        event.push(Property::new("SUMMARY", format!("title {title}")));
        event.push(Property::new("ORGANIZER", "mailto:alice@example.org"));
        event.push(Property::new("ATTENDEE", "mailto:alice@example.org").param("PARTSTAT", "ACCEPTED"));
        for guest in guests {
            event.push(Property::new("ATTENDEE", format!("mailto:{}", GUESTS[*guest])));
        }
        if cancelled {
            event.push(Property::new("STATUS", "CANCELLED"));
        }
        event
    }
}

fn zoned(name: &str, day: u32, hour: u32, minute: u32) -> Property {
    // FIRST_DAY + 4 is the first of April.
    let (month, day) = if FIRST_DAY + day > 31 { (4, FIRST_DAY + day - 31) } else { (3, FIRST_DAY + day) };
    Property::new(name, format!("2031{month:02}{day:02}T{hour:02}{minute:02}00")).param("TZID", "Europe/Paris")
}

fn times(event: &mut Component, day: u32, hour: u32) {
    event.push(zoned("DTSTART", day, hour, 0));
    event.push(zoned("DTEND", day, hour, 45));
}

fn email(address: &str) -> Email {
    address.parse().unwrap()
}

fn alice() -> Vec<Email> {
    vec![email("alice@example.org")]
}

fn at_step(step: usize) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::minutes(i64::try_from(step).unwrap())
}

fn attends(event: &Component, guest: &str) -> bool {
    event.all("ATTENDEE").any(|a| a.value() == format!("mailto:{guest}"))
}

/// When somebody is to be where, by this object: start and title of every occurrence that takes place with them.
fn agenda(object: &Component, guest: &str, whole: bool) -> Vec<(DateTime<Utc>, String)> {
    let is_off = |c: &Component| c.value("STATUS") == Some("CANCELLED");
    let series_off = object.components().any(|c| is_off(c) && c.get("RECURRENCE-ID").is_none());
    if whole && series_off {
        return Vec::new();
    }
    let range = at_step(0)..at_step(0) + TimeDelta::days(3650);
    let all = occurrences(object, range, Tz::UTC, Bounds::default()).unwrap();
    let mine = all.iter().filter(|o| !is_off(o.component) && attends(o.component, guest));
    let mut agenda: Vec<_> = mine.map(|o| (o.start, o.component.text("SUMMARY").unwrap_or_default())).collect();
    agenda.sort();
    agenda
}

fn guests() -> impl Strategy<Value = BTreeSet<usize>> {
    proptest::collection::btree_set(0..GUESTS.len(), 0..=GUESTS.len())
}

fn edit() -> impl Strategy<Value = Edit> {
    let over = (8_u32..16, 0_u32..4, guests(), proptest::bool::weighted(0.25))
        .prop_map(|(hour, title, guests, cancelled)| Override { hour, title, guests, cancelled });
    prop_oneof![
        1 => Just(Edit::Nothing),
        1 => (8_u32..16).prop_map(Edit::Hour),
        2 => (0_u32..4).prop_map(Edit::Title),
        4 => guests().prop_map(Edit::Guests),
        6 => (0..OCCURRENCES, over).prop_map(|(at, o)| Edit::Override(at, o)),
        2 => (0..OCCURRENCES).prop_map(Edit::DropOverride),
        2 => (0..OCCURRENCES).prop_map(Edit::Exclude),
        1 => (0..OCCURRENCES).prop_map(Edit::Include),
        1 => any::<bool>().prop_map(Edit::Cancelled),
    ]
}

/// The copies of all guests, and what they received so far.
#[derive(Default)]
struct Guests {
    copies: BTreeMap<&'static str, Component>,
    received: Vec<ItipMessage>,
}

impl Guests {
    fn deliver(&mut self, message: &ItipMessage, now: DateTime<Utc>) -> Outcome {
        let guest = GUESTS.into_iter().find(|g| message.recipient == format!("mailto:{g}")).unwrap();
        let applied = itip::apply(self.copies.get(guest), message, &[email(guest)], now).unwrap();
        if let Some(copy) = applied.result {
            self.copies.insert(guest, copy);
        }
        applied.outcome
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_copy_stays_in_step_with_the_organizer(
        first in guests(),
        edits in proptest::collection::vec((edit(), any::<bool>()), 1..10),
    ) {
        let mut series = Series::new(first);
        let mut stored: Option<Component> = None;
        let mut guests = Guests::default();
        let steps = std::iter::once((Edit::Nothing, false)).chain(edits);
        for (step, (edit, bump)) in steps.enumerate() {
            let now = at_step(step);
            series.edit(&edit, bump);
            let new = series.render(now);
            let diff = itip::diff(stored.as_ref(), Some(&new), &alice(), now).unwrap();
            let messages = diff.messages;
            for message in &messages {
                guests.deliver(message, now);
                let again = guests.deliver(message, now);
                prop_assert!(
                    !matches!(again, Outcome::Updated | Outcome::Created),
                    "twice is not once: {again:?}\n{}", message.to_ics()
                );
            }
            for guest in GUESTS {
                let sees = guests.copies.get(guest).map_or_else(Vec::new, |c| agenda(c, guest, false));
                let should_see = agenda(&new, guest, true);
                prop_assert_eq!(
                    &sees, &should_see, "{} after {:?}\norganizer:\n{}\ncopy:\n{}", guest, edit, new.to_wire(),
                    guests.copies.get(guest).map_or_else(String::new, Component::to_wire)
                );
            }
            // Everything that was ever received arrives once more, late.
            let before = guests.copies.clone();
            let late = guests.received.clone();
            for message in &late {
                guests.deliver(message, now);
            }
            for (guest, copy) in &guests.copies {
                prop_assert_eq!(before.get(guest).map(Component::to_wire), Some(copy.to_wire()), "late changes for {}", guest);
            }
            // Messages of this very second say what is true now; only older ones are late.
            guests.received.extend(messages);
            // The next write is compared with what the server kept of this one.
            stored = diff.stored;
        }
    }

    #[test]
    fn the_same_object_again_has_nothing_significant_to_say(
        first in guests(),
        edits in proptest::collection::vec(edit(), 0..8),
    ) {
        let mut series = Series::new(first);
        edits.iter().for_each(|e| series.edit(e, true));
        let object = series.render(at_step(0));
        let again = series.render(at_step(1));
        let diff = itip::diff(Some(&object), Some(&again), &alice(), at_step(1)).unwrap();
        prop_assert!(diff.messages.iter().all(|m| !m.significant_change && m.method == Method::Request));
        prop_assert_eq!(diff.stored, Some(again));
    }

    #[test]
    fn a_deleted_object_leaves_nobody_an_appointment(
        first in guests(),
        edits in proptest::collection::vec(edit(), 0..8),
    ) {
        let mut series = Series::new(first);
        let mut guests = Guests::default();
        edits.iter().for_each(|e| series.edit(e, true));
        let object = series.render(at_step(0));
        for message in itip::diff(None, Some(&object), &alice(), at_step(0)).unwrap().messages {
            guests.deliver(&message, at_step(0));
        }
        for message in itip::diff(Some(&object), None, &alice(), at_step(1)).unwrap().messages {
            prop_assert_eq!(message.method, Method::Cancel);
            guests.deliver(&message, at_step(1));
        }
        for (guest, copy) in &guests.copies {
            prop_assert_eq!(agenda(copy, guest, false), Vec::new());
        }
    }

    #[test]
    fn answers_reach_the_organizer_in_whatever_order_they_arrive(
        answers in proptest::collection::vec((proptest::option::of(0..OCCURRENCES), 0_usize..3), 1..6),
        order in any::<prop::sample::Index>(),
    ) {
        let bob = GUESTS[0];
        let object = Series::new(BTreeSet::from([0, 1])).render(at_step(0));
        let invitation = itip::diff(None, Some(&object), &alice(), at_step(0)).unwrap().messages;
        let mut copy = itip::apply(None, &invitation[0], &[email(bob)], at_step(0)).unwrap().result.unwrap();
        let mut replies = Vec::new();
        for (step, (occurrence, answer)) in answers.iter().enumerate() {
            let partstat = ["ACCEPTED", "DECLINED", "TENTATIVE"][*answer];
            let old = copy.clone();
            answer_in(&mut copy, *occurrence, partstat);
            let diff = itip::diff(Some(&old), Some(&copy), &[email(bob)], at_step(step + 1)).unwrap();
            prop_assert!(diff.messages.len() <= 1);
            replies.extend(diff.messages);
        }
        // Any rotation of the replies leads to the same answers.
        let turn = if replies.is_empty() { 0 } else { order.index(replies.len()) };
        replies.rotate_left(turn);
        let mut organizer = object;
        for reply in &replies {
            prop_assert_eq!(reply.method, Method::Reply);
            let applied = itip::apply(Some(&organizer), reply, &alice(), at_step(99)).unwrap();
            organizer = applied.result.unwrap_or(organizer);
        }
        prop_assert_eq!(answers_of(&organizer, bob), answers_of(&copy, bob));
    }
}

/// Bob answers the series, or one occurrence of it, in his copy.
fn answer_in(copy: &mut Component, occurrence: Option<u32>, partstat: &str) {
    let id = occurrence.map(|o| zoned("RECURRENCE-ID", o, 9, 0));
    let is_it = |e: &Component| e.get("RECURRENCE-ID") == id.as_ref();
    let exists = copy.components().any(is_it);
    if let (Some(at), false) = (occurrence, exists) {
        let mut event = copy.components().find(|e| e.get("RECURRENCE-ID").is_none()).unwrap().clone();
        event.remove("RRULE");
        event.remove("DTSTART");
        event.remove("DTEND");
        times(&mut event, at, 9);
        event.push(id.clone().unwrap());
        copy.push_component(event);
    }
    let event = copy.components_mut().find(|e| is_it(e)).unwrap();
    event.all_mut("ATTENDEE").find(|a| a.value().contains("bob")).unwrap().set_param("PARTSTAT", partstat);
}

/// What somebody answered, by recurrence id.
fn answers_of(object: &Component, guest: &str) -> BTreeMap<String, String> {
    let answer = |e: &Component| {
        let line = e.all("ATTENDEE").find(|a| a.value().ends_with(guest))?;
        let id = e.value("RECURRENCE-ID").unwrap_or_default().to_owned();
        Some((id, line.get_param("PARTSTAT").unwrap_or("NEEDS-ACTION").to_owned()))
    };
    object.components().filter_map(answer).collect()
}
