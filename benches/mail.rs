//! What an invitation costs: composed, rendered, put into MIME, and queued.
//!
//! `cargo bench --bench mail`. The budget: 10,000 invitations rendered and queued in 2 s.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convoke::clock::Env;
use convoke::config::{self, Durability};
use convoke::events::{Message, Notification, Topic};
use convoke::ids::Email;
use convoke::mail::render::Renderer;
use convoke::notify::{Composer, Invitations, Outbox, People, Preferences};
use convoke::queue::{Delivery, SharedQueue};
use convoke::sqlite::Sqlite;
use convoke::store::StoreError;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tokio::task::JoinSet;

const MANY: u64 = 10_000;
/// Deliveries under way at once, as configured by default.
const AT_ONCE: usize = 16;

struct Strangers;

#[async_trait]
impl People for Strangers {
    async fn preferences(&self, _: &Email, _: &Email) -> Result<Preferences, StoreError> {
        Ok(preferences())
    }
}

fn preferences() -> Preferences {
    Preferences { language: "fr".to_owned(), zone: chrono_tz::Tz::Europe__Paris, display_name: None }
}

fn invitation(number: u64) -> Notification {
    let event = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example Corp//Client 1.0//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n\
         UID:{number}\r\nDTSTAMP:20300101T080000Z\r\nSEQUENCE:0\r\nDTSTART;TZID=Europe/Paris:20300305T140000\r\n\
         DTEND;TZID=Europe/Paris:20300305T153000\r\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20\r\nSUMMARY:Planning\r\n\
         LOCATION:Blue room\r\nDESCRIPTION:Agenda\\n- budget\\n- hiring\r\n\
         X-OPENPAAS-VIDEOCONFERENCE:https://meet.example.org/abc-defg-hij\r\nORGANIZER;CN=Alice:mailto:alice@example.org\r\n\
         ATTENDEE;CN=Alice;PARTSTAT=ACCEPTED:mailto:alice@example.org\r\n\
         ATTENDEE;CN=Guest;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:guest{number}@elsewhere.example\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    Notification {
        sender_email: "alice@example.org".parse().unwrap(),
        recipient_email: format!("guest{number}@elsewhere.example").parse().unwrap(),
        method: "REQUEST".to_owned(),
        event,
        calendar_uri: String::new(),
        event_path: String::new(),
        old_event: None,
        is_new_event: true,
        changes: None,
        repetition_changed: false,
        status_before: None,
    }
}

fn composer() -> Composer {
    Composer::new(Renderer::new(), Env::system(), &config::Spa::default())
}

fn compose(c: &mut Criterion) {
    let (composer, notification, people) = (composer(), invitation(1), preferences());
    let mut group = c.benchmark_group("mail");
    group.throughput(Throughput::Elements(1));
    group.bench_function("compose an invitation", |b| {
        b.iter(|| composer.compose(&notification, &people, &people).unwrap().unwrap());
    });
    group.finish();
}

fn queue(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let deliveries = || -> Vec<Delivery> {
        let message = |n: u64| Message::new(Topic::NotificationEmail, n.to_string(), &invitation(n));
        (0..MANY).map(|n| Delivery { id: n, message: message(n), attempt: 1, published: Env::system().now() }).collect()
    };
    let mut group = c.benchmark_group("mail");
    group.throughput(Throughput::Elements(MANY)).sample_size(10).measurement_time(Duration::from_secs(20));
    group.bench_function("render and queue 10,000 invitations", |b| {
        let fresh = || {
            let data = tempfile::tempdir().unwrap();
            let sqlite = Sqlite::open(&data.path().join("convoke.db"), Durability::Full, Env::system()).unwrap();
            let queue: SharedQueue = Arc::new(sqlite);
            runtime.block_on(queue.bind(&Outbox::spec(&config::Queue::default()))).unwrap();
            let invitations = Invitations::new(queue, Arc::new(Strangers), composer(), &config::Mail::default());
            (data, invitations, deliveries())
        };
        b.iter_batched(
            fresh,
            |(data, invitations, deliveries)| {
                runtime.block_on(async {
                    let mut under_way = JoinSet::new();
                    for delivery in deliveries {
                        if under_way.len() >= AT_ONCE {
                            under_way.join_next().await.unwrap().unwrap();
                        }
                        let invitations = invitations.clone();
                        under_way.spawn(async move { invitations.handle(delivery).await.unwrap() });
                    }
                    under_way.join_all().await;
                });
                data
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, compose, queue);
criterion_main!(benches);
