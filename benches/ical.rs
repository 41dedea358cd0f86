//! What iCalendar costs: reading and writing an event of 20 KB, and expanding series. Run with `cargo bench --bench ical`.

use std::hint::black_box;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use convoke::ical::recur::{Bounds, expand, next_occurrence_after, occurrences, span};
use convoke::ical::{CalendarObject, Component, Zones, jcal};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// A meeting of 150 people with a VTIMEZONE and a long description: about 20 KB.
fn big_event() -> String {
    let mut lines = vec![
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//Example Corp//Client 1.0//EN".to_owned(),
        paris(),
        "BEGIN:VEVENT".to_owned(),
        "UID:5d2a4f0e-6f0c-4f7b-8d45-6b7c1fd2f1aa".to_owned(),
        "DTSTAMP:20260102T080000Z".to_owned(),
        "DTSTART;TZID=Europe/Paris:20260302T100000".to_owned(),
        "DTEND;TZID=Europe/Paris:20260302T110000".to_owned(),
        "RRULE:FREQ=WEEKLY;BYDAY=MO,WE".to_owned(),
        "SUMMARY:Quarterly review".to_owned(),
        "ORGANIZER;CN=Alice:mailto:alice@example.org".to_owned(),
    ];
    for i in 0..150 {
        lines.push(format!("ATTENDEE;CN=\"Person, Number {i}\";PARTSTAT=NEEDS-ACTION;ROLE=REQ-PARTICIPANT;RSVP=TRU"));
        lines.push(format!(" E;CUTYPE=INDIVIDUAL:mailto:person.{i}@example.org"));
    }
    lines.extend(["END:VEVENT".to_owned(), "END:VCALENDAR".to_owned(), String::new()]);
    lines.join("\r\n")
}

fn paris() -> String {
    let zone =
        convoke::ical::zone::vtimezone(Tz::Europe__Paris, at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    zone.to_wire().trim_end().to_owned()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn series(rule: &str) -> Component {
    let text = format!(
        "BEGIN:VCALENDAR\r\n{}\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTART;TZID=Europe/Paris:19900101T090000\r\nDURATION:PT1H\r\n\
         RRULE:{rule}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        paris()
    );
    Component::parse(&text).expect("a calendar")
}

fn text(c: &mut Criterion) {
    let text = big_event();
    let mut group = c.benchmark_group("text of 20 KB");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse", |b| b.iter(|| Component::parse(black_box(&text)).expect("a calendar")));
    group.bench_function("parse, check and write", |b| {
        b.iter(|| CalendarObject::parse(black_box(&text)).expect("an object").root().to_text());
    });
    let tree = Component::parse(&text).expect("a calendar");
    group.bench_function("to jCal", |b| b.iter(|| jcal::to_jcal(black_box(&tree)).to_string()));
    group.finish();
}

fn recurrence(c: &mut Criterion) {
    let bounds = Bounds::default();
    let week = at("2040-03-01T00:00:00Z")..at("2040-03-08T00:00:00Z");
    let daily = series("FREQ=DAILY");
    let counted = series("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=1000");
    c.bench_function("a week of 2040 of a daily series of 1990", |b| {
        b.iter(|| occurrences(black_box(&daily), week.clone(), Tz::UTC, bounds).expect("occurrences").len());
    });
    c.bench_function("a week of 2040 of a counted series of 1990", |b| {
        b.iter(|| occurrences(black_box(&counted), week.clone(), Tz::UTC, bounds).expect("occurrences").len());
    });
    let year = at("2026-01-01T00:00:00Z")..at("2027-01-01T00:00:00Z");
    c.bench_function("expand a year of a daily series", |b| {
        b.iter(|| expand(black_box(&daily), year.clone(), Tz::UTC, bounds).expect("a calendar"));
    });
    c.bench_function("span of an endless series", |b| b.iter(|| span(black_box(&daily), Tz::UTC)));
    c.bench_function("next occurrence", |b| {
        b.iter(|| next_occurrence_after(black_box(&daily), year.start, Tz::UTC, bounds).expect("found").is_some());
    });
    c.bench_function("zone of an event with its VTIMEZONE", |b| {
        b.iter(|| Zones::of(black_box(&daily)).get("Europe/Paris").is_some());
    });
}

criterion_group!(benches, text, recurrence);
criterion_main!(benches);
