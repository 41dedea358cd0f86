//! How long it takes to find out whom to tell what: an event with few and with many guests, and its messages as text.
#![allow(missing_docs, reason = "criterion_group makes an undocumented function")]

use std::hint::black_box;

use chrono::{DateTime, Utc};
use convoke::ical::{Component, Property};
use convoke::ids::Email;
use convoke::itip::{ItipMessage, Knowledge, apply, diff, forbidden_attendee_changes, keep_answers};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn event(guests: usize, title: &str, sequence: u32) -> Component {
    let mut text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:bench\r\nDTSTAMP:20260101T000000Z\r\nSEQUENCE:{sequence}\r\n\
         DTSTART:20310101T100000Z\r\nDTEND:20310101T110000Z\r\nRRULE:FREQ=WEEKLY\r\nSUMMARY:{title}\r\n\
         ORGANIZER;CN=Alice:mailto:alice@example.org\r\n"
    );
    for guest in 0..guests {
        text +=
            &format!("ATTENDEE;CN=Guest {guest};PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:guest{guest}@example.org\r\n");
    }
    text += "END:VEVENT\r\nEND:VCALENDAR\r\n";
    Component::parse(&text).unwrap()
}

fn scheduling(c: &mut Criterion) {
    let now: DateTime<Utc> = "2026-11-21T06:00:00Z".parse().unwrap();
    let actor: Vec<Email> = vec!["alice@example.org".parse().unwrap()];
    let mut group = c.benchmark_group("itip");
    for guests in [10, 1_000, 10_000] {
        let (old, new) = (event(guests, "Weekly", 0), event(guests, "Weekly sync", 1));
        group.throughput(Throughput::Elements(guests as u64));
        group.bench_with_input(BenchmarkId::new("diff", guests), &guests, |b, _| {
            b.iter(|| diff(Some(black_box(&old)), Some(black_box(&new)), &actor, now).unwrap());
        });
        let message = diff(Some(&old), Some(&new), &actor, now).unwrap().messages.swap_remove(0);
        group.bench_with_input(BenchmarkId::new("apply_request", guests), &guests, |b, _| {
            b.iter(|| apply(Some(black_box(&old)), black_box(&message), &[], now).unwrap());
        });
    }
    let (old, new) = (event(10, "Weekly", 0), event(10, "Weekly sync", 1));
    group.throughput(Throughput::Elements(1));
    group.bench_function("diff_10_to_text", |b| {
        b.iter(|| {
            let messages = diff(Some(black_box(&old)), Some(black_box(&new)), &actor, now).unwrap().messages;
            messages.iter().map(ItipMessage::to_ics).collect::<Vec<_>>()
        });
    });
    group.finish();
    large_series(c, now, &actor);
}

/// A series with many guests and many overrides, each with all of them.
fn large(guests: usize, overrides: usize, line: &str) -> Component {
    let mut calendar = event(guests, "Weekly", 0);
    let master = calendar.components().next().unwrap().clone();
    let first = chrono::NaiveDate::from_ymd_opt(2031, 1, 1).unwrap();
    for week in 0..overrides {
        let start = (first + chrono::Days::new(7 * week as u64)).format("%Y%m%dT100000Z").to_string();
        let mut event = master.clone();
        event.remove("RRULE");
        event.remove("DTEND");
        event.set(Property::new("DTSTART", start.clone()));
        event.push(Property::new("DURATION", "PT1H"));
        event.push(Property::new("RECURRENCE-ID", start));
        event.push(Property::new("STATUS", line));
        calendar.push_component(event);
    }
    calendar
}

fn large_series(c: &mut Criterion, now: DateTime<Utc>, organizer: &[Email]) {
    let mut group = c.benchmark_group("itip_1000_guests_500_overrides");
    group.sample_size(10);
    let (old, new) = (large(1_000, 500, "CONFIRMED"), large(1_000, 500, "CANCELLED"));
    let guest: Vec<Email> = vec!["guest1@example.org".parse().unwrap()];
    group.bench_function("keep_answers", |b| {
        b.iter_batched_ref(
            || new.clone(),
            |new| keep_answers(black_box(&old), new, organizer, Knowledge::Unknown),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("cancel_every_occurrence", |b| {
        b.iter(|| diff(Some(black_box(&old)), Some(black_box(&new)), organizer, now).unwrap());
    });
    group.bench_function("guard", |b| {
        b.iter(|| forbidden_attendee_changes(black_box(&old), black_box(&new), &guest));
    });
    group.finish();
}

criterion_group!(benches, scheduling);
criterion_main!(benches);
