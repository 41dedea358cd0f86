//! The built-in DAV server with 10,000 events in one calendar, called in process: what a client's request costs from its
//! head to the last octet of the answer. `cargo bench --bench dav`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use convoke::clock::Env;
use convoke::config::Durability;
use convoke::dav::server::{Server, Settings};
use convoke::dav::{Actor, Body, Upstream};
use convoke::ids::{DomainId, UserId};
use convoke::store::sqlite::Sqlite;
use convoke::store::{DirectoryStore as _, Domain, User};
use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

const EVENTS: u32 = 10_000;
/// Calendars that others share with the person who asks.
const SHARED: u32 = 50;

/// A calendar of about nine events a day over three years, every seventh of them a weekly series with an exception.
struct Scene {
    runtime: Runtime,
    upstream: Upstream,
    actor: Actor,
    calendar: String,
    home: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let env = Env::system();
        let sqlite = Sqlite::open(&folder.path().join("convoke.db"), Durability::Full, env.clone()).unwrap();
        let (id, domain) = (UserId(env.object_id()), DomainId(env.object_id()));
        let colleague = UserId(env.object_id());
        let email: convoke::ids::Email = "alice@example.org".parse().unwrap();
        let user = User { id, domain, emails: vec![email.clone()], firstname: String::new(), lastname: String::new() };
        runtime.block_on(async {
            sqlite.add_domain(&Domain { id: domain, name: "example.org".parse().unwrap() }).await.unwrap();
            sqlite.add_user(&user).await.unwrap();
            let emails = vec!["bob@example.org".parse().unwrap()];
            sqlite.add_user(&User { id: colleague, emails, ..user.clone() }).await.unwrap();
        });
        let upstream =
            Server::new(Arc::new(sqlite.clone()), Arc::new(sqlite), env, Settings::default()).into_upstream();
        let home = format!("/calendars/{id}/");
        let scene = Self {
            runtime,
            upstream,
            actor: Actor::User(email),
            calendar: format!("{home}{id}/"),
            home,
            _folder: folder,
        };
        for n in 0..EVENTS {
            scene.send("PUT", &scene.object(n), &event(n, 0));
        }
        let bob = Actor::User("bob@example.org".parse().unwrap());
        for n in 0..SHARED {
            let made = format!("{{\"id\":\"shared-{n}\",\"dav:name\":\"Shared {n}\",\"apple:color\":\"#00aa00\"}}");
            scene.answer_to(&bob, "POST", &format!("/calendars/{colleague}.json"), &made);
            let share = "{\"share\":{\"set\":[{\"dav:href\":\"mailto:alice@example.org\",\"dav:read-write\":true}]}}";
            scene.answer_to(&bob, "POST", &format!("/calendars/{colleague}/shared-{n}.json"), share);
        }
        scene
    }

    fn object(&self, n: u32) -> String {
        format!("{}e{n}.ics", self.calendar)
    }

    /// The sync token of the calendar.
    fn token(&self) -> String {
        let body = "<d:propfind xmlns:d=\"DAV:\"><d:prop><d:sync-token/></d:prop></d:propfind>";
        let answer = self.answer("PROPFIND", &self.home, body);
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        let token = answer.split("<d:sync-token>").nth(1).and_then(|rest| rest.split('<').next());
        token.unwrap().to_owned()
    }

    /// Sends a request, reads the answer to its end, and gives its length.
    fn send(&self, method: &str, path: &str, body: &str) -> usize {
        self.answer(method, path, body).len()
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> bytes::Bytes {
        self.answer_to(&self.actor, method, path, body)
    }

    fn answer_to(&self, actor: &Actor, method: &str, path: &str, body: &str) -> bytes::Bytes {
        let mut request = Request::builder().method(method).uri(path).header("depth", "1");
        request = request.extension(actor.clone());
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.runtime.block_on(async {
            let response = self.upstream.clone().oneshot(request).await.unwrap();
            assert!(response.status().is_success(), "{method} {path}: {}", response.status());
            response.into_body().collect().await.unwrap().to_bytes()
        })
    }
}

fn event(n: u32, sequence: u32) -> String {
    let (year, month, day) = (2026 + n % 3, 1 + n / 3 % 12, 1 + n / 36 % 28);
    let date = format!("{year}{month:02}{day:02}T");
    let hour = 8 + n % 9;
    let series = match n % 7 {
        0 => format!("RRULE:FREQ=WEEKLY;COUNT=12\r\nEXDATE;TZID=Europe/Paris:{date}{hour:02}0000\r\n"),
        _ => String::new(),
    };
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//EN\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Paris\r\n\
         BEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nTZOFFSETFROM:+0200\r\n\
         TZOFFSETTO:+0100\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:19700329T020000\r\n\
         RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nEND:DAYLIGHT\r\n\
         END:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:e{n}\r\nDTSTAMP:20260101T000000Z\r\nSEQUENCE:{sequence}\r\n\
         SUMMARY:Meeting number {n}\r\nDESCRIPTION:{}\r\nDTSTART;TZID=Europe/Paris:{date}{hour:02}0000\r\n\
         DTEND;TZID=Europe/Paris:{date}{hour:02}4500\r\n{series}END:VEVENT\r\nEND:VCALENDAR\r\n",
        "Agenda and minutes are on the page. ".repeat(4)
    )
}

fn report(name: &str, inner: &str) -> String {
    format!("<{name} xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\">{inner}</{name}>")
}

fn requests(criterion: &mut Criterion) {
    let scene = Scene::new();
    let mut group = criterion.benchmark_group("dav 10k");
    group.measurement_time(Duration::from_secs(5)).sample_size(50);
    let mut n = 0;
    group.bench_function("put", |b| {
        b.iter(|| {
            n += 1;
            scene.send("PUT", &scene.object(n % EVENTS), &event(n % EVENTS, n))
        });
    });
    group.bench_function("get", |b| {
        b.iter(|| {
            n += 1;
            black_box(scene.send("GET", &scene.object(n * 7919 % EVENTS), ""))
        });
    });
    let hrefs: String = (0..100).map(|n| format!("<d:href>{}</d:href>", scene.object(n * 97))).collect();
    let multiget = report("c:calendar-multiget", &format!("<d:prop><d:getetag/><c:calendar-data/></d:prop>{hrefs}"));
    group.bench_function("multiget of 100", |b| b.iter(|| black_box(scene.send("REPORT", &scene.calendar, &multiget))));
    let week = "<c:time-range start=\"20270607T000000Z\" end=\"20270614T000000Z\"/>";
    let query = report(
        "c:calendar-query",
        &format!(
            "<d:prop><d:getetag/><c:calendar-data/></d:prop><c:filter><c:comp-filter name=\"VCALENDAR\">\
             <c:comp-filter name=\"VEVENT\">{week}</c:comp-filter></c:comp-filter></c:filter>"
        ),
    );
    group.bench_function("query of a week", |b| b.iter(|| black_box(scene.send("REPORT", &scene.calendar, &query))));
    let busy = report("c:free-busy-query", week);
    group.bench_function("free-busy of a week", |b| b.iter(|| black_box(scene.send("REPORT", &scene.calendar, &busy))));
    let month = "{\"match\":{\"start\":\"20270601T000000\",\"end\":\"20270701T000000\"}}";
    let as_json = format!("{}.json", scene.calendar.trim_end_matches('/'));
    group.bench_function("JSON of a month", |b| b.iter(|| black_box(scene.send("REPORT", &as_json, month))));
    let parameters = "personal=true&sharedDelegationStatus=accepted&sharedPublicSubscription=true&withRights=true";
    let list = format!("{}.json?{parameters}", scene.home.trim_end_matches('/'));
    group.bench_function("JSON list with 50 shared calendars", |b| b.iter(|| black_box(scene.send("GET", &list, ""))));
    let home =
        "<d:propfind xmlns:d=\"DAV:\"><d:prop><d:resourcetype/><d:displayname/><d:sync-token/></d:prop></d:propfind>";
    group.bench_function("propfind of the home", |b| b.iter(|| black_box(scene.send("PROPFIND", &scene.home, home))));
    let etags = "<d:propfind xmlns:d=\"DAV:\"><d:prop><d:getetag/></d:prop></d:propfind>";
    group.bench_function("propfind of the calendar", |b| {
        b.iter(|| black_box(scene.send("PROPFIND", &scene.calendar, etags)));
    });
    let sync = |token: &str| {
        let props = "<d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop>";
        report("d:sync-collection", &format!("<d:sync-token>{token}</d:sync-token>{props}"))
    };
    group.bench_function("first sync", |b| b.iter(|| black_box(scene.send("REPORT", &scene.calendar, &sync("")))));
    let token = scene.token();
    for n in 0..10 {
        scene.send("PUT", &scene.object(n), &event(n, 1_000_000));
    }
    let recent = sync(&token);
    group.bench_function("sync of ten changes", |b| {
        b.iter(|| black_box(scene.send("REPORT", &scene.calendar, &recent)));
    });
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
