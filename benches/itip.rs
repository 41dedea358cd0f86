//! How long it takes to find out whom to tell what: an event with few and with many guests, and its messages as text.
#![allow(missing_docs, reason = "criterion_group makes an undocumented function")]

use std::hint::black_box;

use chrono::{DateTime, Utc};
use convoke::ical::Component;
use convoke::ids::Email;
use convoke::itip::{ItipMessage, apply, diff};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

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
}

criterion_group!(benches, scheduling);
criterion_main!(benches);
