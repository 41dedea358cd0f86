//! The embedded store with 10,000 events in one calendar: what a PUT, a multiget, a week's query and a synchronisation
//! cost below HTTP and XML. `cargo bench --bench store`.

use std::hint::black_box;
use std::time::Duration;

use chrono::DateTime;
use convoke::clock::Env;
use convoke::config::Durability;
use convoke::events::{Message, Topic};
use convoke::ids::{CollectionId, HomeId, Uid};
use convoke::queue::{ConsumerSpec, Queue as _, RetryPolicy, Settlement};
use convoke::store::sqlite::Sqlite;
use convoke::store::{
    Batch, Collection, CollectionKind, CollectionProps, DavStore as _, Expect, Object, ObjectFilter, ObjectMeta, Op,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use md5::{Digest as _, Md5};
use tokio::runtime::Runtime;

const EVENTS: i64 = 10_000;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// 2026-06-01T00:00:00Z, a Monday.
const MONDAY: i64 = 1_780_272_000;

/// A calendar of about 27 events a day, every twentieth of them a series without end.
struct Scene {
    runtime: Runtime,
    db: Sqlite,
    calendar: CollectionId,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(durability: Durability) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let env = Env::system();
        let calendar = CollectionId(env.object_id());
        let home = HomeId(env.object_id());
        let db = Sqlite::open(&folder.path().join("convoke.db"), durability, env).unwrap();
        let create = Op::CreateCollection(Collection {
            id: calendar,
            home,
            kind: CollectionKind::Calendar,
            uri: home.to_string(),
            props: CollectionProps::default(),
            sync_token: 1,
            public_right: None,
        });
        runtime.block_on(async {
            db.write(Batch { ops: vec![create], publish: Vec::new() }).await.unwrap();
            for chunk in (0..EVENTS).collect::<Vec<_>>().chunks(500) {
                let ops = chunk.iter().map(|n| put(calendar, event(*n, 0))).collect();
                db.write(Batch { ops, publish: Vec::new() }).await.unwrap();
            }
        });
        Self { runtime, db, calendar, _folder: folder }
    }

    fn write(&self, ops: Vec<Op>, publish: Vec<Message>) {
        self.runtime.block_on(self.db.write(Batch { ops, publish })).unwrap();
    }
}

fn event(n: i64, version: i64) -> Object {
    let start = MONDAY - 180 * DAY + n * 2_000_003 % (365 * DAY);
    let series = n % 20 == 0;
    let data = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//convoke//bench//EN\r\nBEGIN:VEVENT\r\nUID:{n:08}-{:08x}\r\n\
         SUMMARY:Planning of item {n}\r\nSEQUENCE:{version}\r\nDTSTART:{start}\r\nDURATION:PT1H\r\n{}\
         DESCRIPTION:{}\r\nORGANIZER;CN=Alice:mailto:alice@example.org\r\n\
         ATTENDEE;CN=Bob;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        n * 2_654_435_761 % 4_294_967_296,
        if series { "RRULE:FREQ=WEEKLY\r\n" } else { "" },
        "Bring the figures of last week. ".repeat(10),
    );
    Object {
        meta: ObjectMeta {
            name: name(n),
            etag: hex::encode(Md5::digest(&data)),
            size: data.len() as u64,
            modified: DateTime::from_timestamp(MONDAY, 0).unwrap(),
            component: "VEVENT".to_owned(),
            uid: Uid(format!("{n:08}")),
            first_occurrence: Some(start),
            last_occurrence: (!series).then_some(start + HOUR),
            schedule_tag: None,
        },
        data,
    }
}

/// Names in no order that the numbers have.
fn name(n: i64) -> String {
    format!("{:08x}-{n}.ics", n * 2_654_435_761 % 4_294_967_296)
}

fn put(collection: CollectionId, object: Object) -> Op {
    Op::PutObject { collection, object, expect: Expect::Any }
}

fn writes(c: &mut Criterion) {
    for (durability, label) in [(Durability::Normal, "without waiting for the disk"), (Durability::Full, "durable")] {
        let scene = Scene::new(durability);
        let mut next = EVENTS;
        c.bench_function(&format!("put a new event, {label}"), |b| {
            b.iter_batched(
                || {
                    next += 1;
                    put(scene.calendar, event(next, 0))
                },
                |op| scene.write(vec![op], Vec::new()),
                BatchSize::SmallInput,
            );
        });
        let mut version = 0;
        c.bench_function(&format!("overwrite an event, {label}"), |b| {
            b.iter_batched(
                || {
                    version += 1;
                    put(scene.calendar, event(version * 7919 % EVENTS, version))
                },
                |op| scene.write(vec![op], Vec::new()),
                BatchSize::SmallInput,
            );
        });
        let mut group = c.benchmark_group("together");
        group.throughput(Throughput::Elements(64));
        group.bench_function(format!("64 events put at once by 64 clients, {label}"), |b| {
            b.iter_batched(
                || {
                    next += 64;
                    (next - 64..next).map(|n| put(scene.calendar, event(n, 0))).collect::<Vec<_>>()
                },
                |ops| {
                    scene.runtime.block_on(async {
                        let write = |op| scene.db.write(Batch { ops: vec![op], publish: Vec::new() });
                        futures_util::future::try_join_all(ops.into_iter().map(write)).await.unwrap()
                    })
                },
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

fn reads(c: &mut Criterion) {
    let scene = Scene::new(Durability::Normal);
    let (db, calendar) = (&scene.db, scene.calendar);
    let run = &scene.runtime;
    c.bench_function("get an event", |b| {
        let mut n = 0;
        b.iter(|| {
            n = (n + 7919) % EVENTS;
            run.block_on(db.object(calendar, &name(n))).unwrap().unwrap()
        });
    });
    c.bench_function("multiget of 100", |b| {
        let mut n = 0;
        b.iter(|| {
            n += 1;
            let names: Vec<String> = (0..100).map(|k| name((n + k * 97) % EVENTS)).collect();
            run.block_on(db.objects(calendar, &names)).unwrap()
        });
    });
    c.bench_function("query of a week", |b| {
        let filter = ObjectFilter {
            component: Some("VEVENT".to_owned()),
            start: Some(MONDAY),
            end: Some(MONDAY + 7 * DAY),
            uid: None,
        };
        b.iter(|| run.block_on(db.query(calendar, &filter, None, 1_000)).unwrap());
    });
    c.bench_function("list all 10,000", |b| {
        b.iter(|| {
            let mut after: Option<String> = None;
            loop {
                let page = run.block_on(db.list(calendar, after.as_deref(), 1_000)).unwrap();
                match page.last() {
                    Some(last) => after = Some(last.name.clone()),
                    None => break,
                }
                black_box(page);
            }
        });
    });
    let token = run.block_on(db.changes(calendar, 0, 1)).unwrap().unwrap().token + EVENTS as u64 - 1;
    scene.write((0..10).map(|n| put(calendar, event(n * 991, 1))).collect(), Vec::new());
    c.bench_function("sync with 10 changes", |b| {
        b.iter(|| {
            let changes = run.block_on(db.changes(calendar, token, 1_000)).unwrap().unwrap();
            assert_eq!(changes.changes.len(), 10);
            changes
        });
    });
}

/// A change with its message, taken and settled by three consumers.
fn queue(c: &mut Criterion) {
    let scene = Scene::new(Durability::Normal);
    let retry = RetryPolicy { attempts: 3, first_ms: 1, most_ms: 1 };
    let consumers: Vec<ConsumerSpec> = ["bench:one", "bench:two", "bench:three"]
        .into_iter()
        .map(|name| ConsumerSpec { name, topics: vec![Topic::EventUpdated], concurrency: 16, retry })
        .collect();
    for consumer in &consumers {
        scene.runtime.block_on(scene.db.bind(consumer)).unwrap();
    }
    let payload = serde_json::json!({ "event": "x".repeat(2_000), "old_event": "y".repeat(2_000) });
    let mut n = 0;
    c.bench_function("put with a message for three consumers, taken and settled", |b| {
        b.iter(|| {
            n += 1;
            let message = Message::new(Topic::EventUpdated, format!("key {n}"), &payload);
            scene.write(vec![put(scene.calendar, event(n * 7919 % EVENTS, n))], vec![message]);
            scene.runtime.block_on(async {
                for consumer in &consumers {
                    for delivery in scene.db.receive(consumer, 16).await.unwrap() {
                        scene.db.settle(consumer, delivery.id, Settlement::Done).await.unwrap();
                    }
                }
            });
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = reads, writes, queue
}
criterion_main!(benches);
