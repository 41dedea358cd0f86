//! The search index is filled from the calendars: by CalDAV, whatever the server and whatever the index.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::config::{Impersonation, Limits};
use convoke::dav::{Actor, Body, Upstream};
use convoke::ids::{CalendarPath, Uid};
use convoke::indexing::reindex::{Counts, Options, Reindex, ReindexError};
use convoke::search::fts::Fts;
use convoke::search::{EventDocument, EventQuery, SharedEventIndex};
use http::{Request, Response, StatusCode};
use tower::{ServiceExt as _, service_fn};

use crate::contracts::search::{document, found, object};
use crate::dav::{ALICE, CALENDAR, World, calendar, event};
use crate::opensearch_support::{OpenSearchHarness, Refreshing};
use crate::services;

const BOBS: &str = "/calendars/65aa00000000000000000002/65aa00000000000000000002/";

/// When the reindexing happens: an hour after the world's clock stopped.
fn env() -> Env {
    Env::new(ManualClock::at("2026-11-21T07:20:15Z".parse().unwrap()), CountingEntropy::default())
}

/// A version of a message that was published at this time.
fn version(published: &str) -> i64 {
    published.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_millis() * 2 + 1
}

struct Embedded {
    index: SharedEventIndex,
    _data: tempfile::TempDir,
}

fn fts() -> Embedded {
    let data = tempfile::tempdir().unwrap();
    let fts = Fts::open(&data.path().join("search.db"), env()).unwrap();
    Embedded { index: Arc::new(fts), _data: data }
}

fn reindex(world: &World, index: &SharedEventIndex, upstream: Upstream) -> Reindex {
    Reindex::new(Arc::new(world.sqlite.clone()), index.clone(), upstream, &Limits::default(), env())
}

/// Runs it; the counts in the order indexed, failed, without an event, removed, users, users failed.
async fn run(world: &World, index: &SharedEventIndex, upstream: Upstream, options: Options) -> [u64; 6] {
    let counts = Counts::default();
    reindex(world, index, upstream).run(&options, &counts).await.unwrap();
    let Counts { users, users_failed, indexed, failed, without_event, removed } = &counts;
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(counts.is_clean(), value(failed) + value(users_failed) == 0);
    [indexed, failed, without_event, removed, users, users_failed].map(value)
}

fn of(path: &str) -> CalendarPath {
    path.trim_end_matches('/').parse().unwrap()
}

fn all_of(path: &str) -> EventQuery {
    EventQuery { calendars: vec![of(path)], limit: 256, ..EventQuery::default() }
}

fn titled(uid: &str, title: &str) -> String {
    event(uid, "20300601T090000Z").replace("SUMMARY:Lunch", &format!("SUMMARY:{title}"))
}

fn series(uid: &str) -> String {
    let master = calendar("VEVENT", uid, &["DTSTART:20300601T090000Z", "RRULE:FREQ=DAILY;COUNT=5", "SUMMARY:Stand-up"]);
    let moved = calendar(
        "VEVENT",
        uid,
        &["RECURRENCE-ID:20300602T090000Z", "DTSTART:20300602T100000Z", "SUMMARY:Retrospective"],
    );
    let inner = moved.split_once("BEGIN:VEVENT").unwrap().1;
    master.replace("END:VCALENDAR\r\n", &format!("BEGIN:VEVENT{inner}"))
}

async fn filled() -> World {
    let world = World::new().await;
    let alice = world.alice();
    alice.put(&format!("{CALENDAR}lunch.ics"), &titled("lunch", "Lunch &amp; learn <é>")).await.expect(201);
    alice.put(&format!("{CALENDAR}series.ics"), &series("series")).await.expect(201);
    alice.put(&format!("{CALENDAR}task.ics"), &calendar("VTODO", "task", &["SUMMARY:Task"])).await.expect(201);
    let more = format!("/calendars/{ALICE}/more%20work/");
    alice.send("MKCALENDAR", &more, &[], "").await.expect(201);
    alice.put(&format!("{more}trip%20to%20%C5%81%C3%B3d%C5%BA.ics"), &titled("trip", "Trip")).await.expect(201);
    world.bob().put(&format!("{BOBS}bobs.ics"), &titled("bobs", "Dentist")).await.expect(201);
    world
}

async fn everything_is_found(index: &SharedEventIndex) {
    let world = filled().await;
    let more = CalendarPath { home: ALICE.parse().unwrap(), calendar: "more work".to_owned() };
    // Gone from the calendars, or never there.
    let old = version("2026-11-20T00:00:00Z");
    for (calendar, uid) in [(of(CALENDAR), "gone"), (more.clone(), "gone too")] {
        index.put(&object(old, &[document(&calendar, uid, "Gone")])).await.unwrap();
    }
    index.put(&object(old, &[document(&of(CALENDAR), "lunch", "Old title")])).await.unwrap();

    let counts = run(&world, index, world.upstream.clone(), Options::default()).await;
    assert_eq!(counts[..2], [4, 0]);
    assert_eq!(counts[3..], [2, 4, 0]);
    assert_eq!(found(index, &all_of(CALENDAR)).await, ["lunch", "series"]);
    assert_eq!(found(index, &EventQuery { text: "retrospective".to_owned(), ..all_of(CALENDAR) }).await, ["series"]);
    assert!(found(index, &EventQuery { text: "old".to_owned(), ..all_of(CALENDAR) }).await.is_empty());
    assert_eq!(found(index, &all_of(BOBS)).await, ["bobs"]);
    let trip = index.search(&EventQuery { calendars: vec![more], ..all_of(CALENDAR) }).await.unwrap();
    assert_eq!(trip.len(), 1);
    assert_eq!(trip[0].resource_name, "trip to Łódź.ics");
    // Again: nothing changes.
    let counts = run(&world, index, world.upstream.clone(), Options::default()).await;
    assert_eq!(counts[3], 0);
    assert_eq!(found(index, &all_of(CALENDAR)).await, ["lunch", "series"]);
}

#[tokio::test]
async fn an_embedded_index_is_filled_from_the_calendars() {
    everything_is_found(&fts().index).await;
}

#[tokio::test]
async fn an_opensearch_index_is_filled_from_the_calendars() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let index: SharedEventIndex = Arc::new(Refreshing(harness.engine()));
    everything_is_found(&index).await;
}

#[tokio::test]
async fn one_user_can_be_done_alone() {
    let (world, embedded) = (filled().await, fts());
    let only = |email: &str| Options { user: Some(email.parse().unwrap()), ..Options::default() };
    let counts = run(&world, &embedded.index, world.upstream.clone(), only("bob@example.org")).await;
    assert_eq!((counts[0], counts[4]), (1, 1));
    assert!(found(&embedded.index, &all_of(CALENDAR)).await.is_empty());
    assert_eq!(found(&embedded.index, &all_of(BOBS)).await, ["bobs"]);
    let reindex = reindex(&world, &embedded.index, world.upstream.clone());
    assert_eq!(reindex.count_users(&only("bob@example.org")).await.unwrap(), 1);
    assert_eq!(reindex.count_users(&Options::default()).await.unwrap(), 4);
    let nobody = reindex.run(&only("nobody@example.org"), &Counts::default()).await;
    assert!(matches!(nobody, Err(ReindexError::Unknown(_))));
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let (world, embedded) = (filled().await, fts());
    let old = object(5, &[document(&of(CALENDAR), "gone", "Gone")]);
    embedded.index.put(&old).await.unwrap();
    let options = Options { dry_run: true, ..Options::default() };
    let counts = run(&world, &embedded.index, world.upstream.clone(), options).await;
    assert_eq!((counts[0], counts[3]), (4, 0));
    assert_eq!(found(&embedded.index, &all_of(CALENDAR)).await, ["gone"]);
}

#[tokio::test]
async fn a_change_that_is_made_meanwhile_wins() {
    let (world, embedded) = (filled().await, fts());
    let index = &embedded.index;
    let newer = version("2026-11-21T07:20:15.500Z");
    index.put(&object(newer, &[document(&of(CALENDAR), "lunch", "Changed meanwhile")])).await.unwrap();
    index.put(&object(newer, &[document(&of(CALENDAR), "new", "Made meanwhile")])).await.unwrap();
    index.delete(&of(CALENDAR), &Uid("series".to_owned()), newer).await.unwrap();
    let counts = run(&world, index, world.upstream.clone(), Options::default()).await;
    assert_eq!(counts[3], 0);
    assert_eq!(found(index, &EventQuery { text: "meanwhile".to_owned(), ..all_of(CALENDAR) }).await, ["lunch", "new"]);
    assert_eq!(found(index, &all_of(CALENDAR)).await, ["lunch", "new"]);
}

/// An upstream that does something else first.
fn with<F, O>(upstream: Upstream, intercept: F) -> Upstream
where
    F: Fn(&Request<Body>) -> O + Clone + Send + Sync + 'static,
    O: Into<Option<Response<Body>>>,
{
    Upstream::new(service_fn(move |request: Request<Body>| {
        let (instead, upstream) = (intercept(&request).into(), upstream.clone());
        async move {
            match instead {
                Some(response) => Ok(response),
                None => upstream.oneshot(request).await,
            }
        }
    }))
}

fn answer(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}

fn is_bobs(request: &Request<Body>) -> bool {
    request.extensions().get::<Actor>() == Some(&Actor::User("bob@example.org".parse().unwrap()))
}

#[tokio::test]
async fn what_cannot_be_read_to_its_end_removes_nothing() {
    let world = filled().await;
    type Break = fn(&Request<Body>) -> Option<Response<Body>>;
    let breaks: [Break; 4] = [
        |request| is_bobs(request).then(|| answer(StatusCode::INTERNAL_SERVER_ERROR, "")),
        |request| (is_bobs(request) && request.method() == "REPORT").then(|| answer(StatusCode::NOT_FOUND, "")),
        // It breaks off behind the first object.
        |request| {
            let begin = "<d:multistatus xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><d:response><d:href>/x/y.ics\
                         </d:href></d:response>";
            (is_bobs(request) && request.method() == "REPORT").then(|| answer(StatusCode::MULTI_STATUS, begin))
        },
        |request| (is_bobs(request) && request.method() == "REPORT").then(|| answer(StatusCode::MULTI_STATUS, "{}")),
    ];
    for broken in breaks {
        let embedded = fts();
        for (path, uid) in [(CALENDAR, "gone"), (BOBS, "kept")] {
            embedded.index.put(&object(5, &[document(&of(path), uid, "Old")])).await.unwrap();
        }
        let counts = run(&world, &embedded.index, with(world.upstream.clone(), broken), Options::default()).await;
        assert_eq!(counts[4..], [4, 1], "the others are done");
        assert_eq!(found(&embedded.index, &all_of(CALENDAR)).await, ["lunch", "series"]);
        assert!(found(&embedded.index, &all_of(BOBS)).await.contains(&"kept".to_owned()));
    }
}

#[tokio::test]
async fn an_object_that_makes_no_sense_is_counted_and_the_rest_is_indexed() {
    let (world, embedded) = (filled().await, fts());
    let broken = with(world.upstream.clone(), |request| {
        let object = |name: &str, data: &str| {
            format!(
                "<d:response><d:href>{BOBS}{name}</d:href><d:propstat><d:prop><c:calendar-data>{}</c:calendar-data></d:prop>\
                 <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>",
                data.replace('&', "&amp;").replace('<', "&lt;")
            )
        };
        let all =
            [object("bad.ics", "BEGIN:VCALENDAR\r\nEND:VEVENT"), object("good.ics", &titled("good", "Good"))].concat();
        let body = format!(
            "<?xml version=\"1.0\"?><d:multistatus xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\">{all}</d:multistatus>"
        );
        (is_bobs(request) && request.method() == "REPORT").then(|| answer(StatusCode::MULTI_STATUS, body))
    });
    let counts = run(&world, &embedded.index, broken, Options::default()).await;
    assert_eq!((counts[1], counts[5]), (1, 0));
    assert_eq!(found(&embedded.index, &all_of(BOBS)).await, ["good"]);
}

#[tokio::test]
async fn the_list_of_esn_sabre_names_the_calendars_that_are_ones_own() {
    let (world, embedded) = (filled().await, fts());
    let listed = with(world.upstream.clone(), |request| {
        let is_list = request.method() == "GET" && request.uri().query() == Some("personal=true");
        let list = format!(
            r#"{{"_links":{{}},"_embedded":{{"dav:calendar":[{{"_links":{{"self":{{"href":"{}.json"}}}}}}]}}}}"#,
            CALENDAR.trim_end_matches('/')
        );
        let is_alices = request.uri().path().contains(ALICE);
        is_list.then(|| if is_alices { answer(StatusCode::OK, list) } else { answer(StatusCode::NOT_FOUND, "") })
    });
    let counts = run(&world, &embedded.index, listed, Options::default()).await;
    assert_eq!((counts[0], counts[5]), (3, 0), "alice's other calendar is not in her list");
}

#[tokio::test]
async fn a_large_calendar_goes_in_batches() {
    let (world, embedded) = (World::new().await, fts());
    for n in 0..230 {
        world.alice().put(&format!("{CALENDAR}{n}.ics"), &titled(&format!("u{n}"), "Many")).await.expect(201);
    }
    let options = Options { batch: 50, homes: 1, ..Options::default() };
    let counts = run(&world, &embedded.index, world.upstream.clone(), options).await;
    assert_eq!(counts[0], 230);
    assert_eq!(found(&embedded.index, &all_of(CALENDAR)).await.len(), 230);
}

#[tokio::test]
async fn a_plain_caldav_server_is_read_too() {
    let Some(url) = services::need("CONVOKE_TEST_RADICALE_PROXIED_URL") else { return };
    let config = convoke::config::Upstream {
        url,
        impersonation: Impersonation::Header,
        script_name: Some("/dav".to_owned()),
        ..convoke::config::Upstream::default()
    };
    let upstream = convoke::dav::client::remote(&config, Duration::from_secs(30), None).unwrap();
    let (world, embedded) = (World::new().await, fts());
    let name = Env::system().uuid().to_string();
    let send = async |method: &str, path: String, body: String| {
        let mut request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        request.extensions_mut().insert(Actor::User("alice@example.org".parse().unwrap()));
        upstream.clone().oneshot(request).await.unwrap().status()
    };
    let home = format!("/alice@example.org/{name}");
    assert_eq!(send("MKCALENDAR", format!("{home}/"), String::new()).await, StatusCode::CREATED);
    assert_eq!(send("PUT", format!("{home}/a.ics"), titled("plain", "Plain & simple")).await, StatusCode::CREATED);
    let only = Options { user: Some("alice@example.org".parse().unwrap()), ..Options::default() };
    let counts = run(&world, &embedded.index, upstream.clone(), only).await;
    assert_eq!(counts[5], 0);
    let calendar = CalendarPath { home: ALICE.parse().unwrap(), calendar: name.clone() };
    let hits: Vec<EventDocument> =
        embedded.index.search(&EventQuery { calendars: vec![calendar], ..all_of(CALENDAR) }).await.unwrap();
    assert_eq!(hits.iter().map(|hit| hit.summary.as_deref()).collect::<Vec<_>>(), [Some("Plain & simple")]);
    send("DELETE", format!("{home}/"), String::new()).await;
}

#[test]
fn the_command_tells_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("convoke.toml");
    std::fs::write(&config, format!("[data]\ndir = {:?}\n", folder.path().join("data"))).unwrap();
    let convoke = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
        command.arg("--config").arg(&config).args(arguments).stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$J4moa2MM0/6uf3HbY2Tf5Fux8JIBTwIhmhxGRbsY14c";
    let (code, _, error) = convoke(&["user", "add", "alice@example.org", "--password-hash", hash]);
    assert_eq!(code, Some(0), "{error}");
    let (code, said, error) = convoke(&["reindex"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(said, "1 users: 0 events indexed, 0 removed, 0 without an event, 0 failed; 0 users failed\n");
    let (code, said, _) = convoke(&["reindex", "--dry-run", "--user", "alice@example.org"]);
    assert_eq!((code, said.contains("0 events to index")), (Some(0), true), "{said}");
    let (code, _, error) = convoke(&["reindex", "--user", "nobody@example.org"]);
    assert_eq!((code, error.contains("nobody@example.org is unknown")), (Some(1), true), "{error}");
}
