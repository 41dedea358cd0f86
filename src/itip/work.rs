//! How the work grows: with the lines of an object, not with their square. Counted, not timed: addresses and recurrence ids
//! that are read are what a rule spends its time on.

use std::cell::Cell;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{ItipMessage, Knowledge, apply, diff, forbidden_attendee_changes, keep_answers, keep_organizers};
use crate::ical::Component;
use crate::ids::Email;

thread_local! {
    static READ: Cell<usize> = const { Cell::new(0) };
}

/// Counts one address or recurrence id that was read.
pub(super) fn count() {
    READ.with(|read| read.set(read.get() + 1));
}

fn now() -> DateTime<Utc> {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

fn people(address: &str) -> Vec<Email> {
    vec![address.parse().unwrap()]
}

/// A daily series of alice's with so many guests, and with so many overrides with all of them.
fn series(guests: usize, overrides: usize, line: &str, params: &str) -> Component {
    let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n");
    for at in 0..=overrides {
        let day = chrono::NaiveDate::from_ymd_opt(2031, 1, 1).unwrap() + chrono::Days::new(at as u64);
        let start = day.format("%Y%m%dT090000Z");
        let kind = match at {
            0 => "RRULE:FREQ=DAILY".to_owned(),
            _ => format!("RECURRENCE-ID:{start}\r\n{line}"),
        };
        write!(
            text,
            "BEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\nSEQUENCE:0\r\nDTSTART:{start}\r\nDURATION:PT1H\r\n{kind}\r\n\
             SUMMARY:x\r\nORGANIZER:mailto:alice@example.org\r\n"
        )
        .unwrap();
        for guest in 0..guests {
            write!(text, "ATTENDEE;PARTSTAT=ACCEPTED{params}:mailto:guest{guest}@example.org\r\n").unwrap();
        }
        text.push_str("END:VEVENT\r\n");
    }
    text.push_str("END:VCALENDAR\r\n");
    Component::parse(&text).unwrap()
}

/// What twice as many guests at twice as many overrides cost beside what they cost before: four times as many lines.
fn growth(work: impl Fn(usize)) -> f64 {
    let cost = |size| {
        let before = READ.with(Cell::get);
        work(size);
        (READ.with(Cell::get) - before) as f64
    };
    let (small, large) = (cost(20), cost(40));
    assert!(small > 0.0);
    large / small
}

fn is_linear(what: &str, work: impl Fn(usize)) {
    let growth = growth(work);
    assert!(growth < 4.5, "{what}: four times as many lines cost {growth:.1} times as much");
}

const REPLIED: &str = ";X-CALENDARSERVER-DTSTAMP=20260101T000000Z";

#[test]
fn what_a_late_client_must_not_undo_is_kept_in_linear_work() {
    is_linear("overrides that are written", |n| {
        let (stored, mut new) = (series(n, n, "X-A:1", REPLIED), series(n, n, "X-A:1", ""));
        keep_answers(&stored, &mut new, &people("alice@example.org"), Knowledge::Unknown);
    });
    is_linear("overrides that are missing", |n| {
        let (stored, mut new) = (series(n, n, "X-A:1", REPLIED), series(n, 0, "X-A:1", ""));
        keep_answers(&stored, &mut new, &people("alice@example.org"), Knowledge::Unknown);
        assert_eq!(new.components().count(), n + 1);
    });
}

#[test]
fn attendees_are_guarded_in_linear_work() {
    is_linear("the guard", |n| {
        let (stored, mut new) = (series(n, n, "X-A:1", ""), series(n, n, "STATUS:CANCELLED", ";X-B=1"));
        assert!(forbidden_attendee_changes(&stored, &new, &people("guest1@example.org")).is_empty());
        keep_organizers(&stored, &mut new, &people("guest1@example.org"));
    });
}

#[test]
fn everybody_is_told_in_linear_work() {
    is_linear("occurrences that are cancelled", |n| {
        let (old, new) = (series(n, n, "X-A:1", ""), series(n, n, "STATUS:CANCELLED", ""));
        let told = diff(Some(&old), Some(&new), &people("alice@example.org"), now()).unwrap().messages;
        assert_eq!(told.len(), n);
    });
    is_linear("occurrences that are cancelled and were none of their own", |n| {
        let (old, new) = (series(n, 0, "X-A:1", ""), series(n, n, "STATUS:CANCELLED", ""));
        let told = diff(Some(&old), Some(&new), &people("alice@example.org"), now()).unwrap().messages;
        assert_eq!(told.len(), n);
    });
}

#[test]
fn messages_are_merged_in_linear_work() {
    is_linear("an update", |n| {
        let (held, new) = (series(n, n, "X-A:1", ""), series(n, n, "X-A:2", ""));
        let guest = people("guest1@example.org");
        let told = diff(None, Some(&new), &people("alice@example.org"), now()).unwrap().messages;
        apply(Some(&held), &told[1], &guest, now()).unwrap().result.unwrap();
    });
    is_linear("cancelled occurrences", |n| {
        let (held, off) = (series(n, n, "X-A:1", ""), series(n, n, "STATUS:CANCELLED", ""));
        let told = diff(Some(&held), Some(&off), &people("alice@example.org"), now()).unwrap().messages;
        apply(Some(&held), &told[1], &people("guest1@example.org"), now()).unwrap().result.unwrap();
    });
    is_linear("answers to every occurrence", |n| {
        let object = series(n, n, "X-A:1", "");
        let mut copy = series(1, n, "X-A:1", "");
        for line in copy.components_mut().flat_map(|c| c.all_mut("ATTENDEE")) {
            line.set_param("PARTSTAT", "DECLINED");
        }
        let was = series(1, n, "X-A:1", "");
        let reply: ItipMessage =
            diff(Some(&was), Some(&copy), &people("guest0@example.org"), now()).unwrap().messages.remove(0);
        apply(Some(&object), &reply, &people("alice@example.org"), now()).unwrap().result.unwrap();
    });
}
