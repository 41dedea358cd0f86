//! The REST API over HTTP: event search, the profile, and what is said to those who ask wrongly.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use chrono::{TimeZone as _, Utc};
use convoke::api::{Api, OwnCalendars};
use convoke::auth::Surface;
use convoke::clock::Env;
use convoke::config::{Config, Durability};
use convoke::ids::{CalendarPath, CollectionId, DomainId, HomeId, Uid, UserId};
use convoke::search::{EventDocument, EventIndex, EventQuery, IndexedObject, IndexedPerson, Occurrence, SearchError};
use convoke::store::sqlite::Sqlite;
use convoke::store::{
    Access, Batch, Collection, CollectionKind, CollectionProps, DavStore as _, Delegation, DirectoryStore as _, Domain,
    Instance, InviteStatus, Op, PublicRight, ResourceStore as _, Settings, TeamCalendar, Tie, User,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::proxy_support::{Served, ask, limits, require_user, text};

const ALICE: &str = "6650c0ffee0123456789a11c";
const BOB: &str = "6650c0ffee01234567890b0b";
const DOMAIN: &str = "6650c0ffee0123456789aaaa";
const SEARCH: &str = "/calendar/api/events/search";

/// An index that answers what the test says and remembers what it was asked.
#[derive(Default)]
struct Oracle {
    answer: Vec<EventDocument>,
    away: bool,
    asked: Mutex<Vec<EventQuery>>,
}

#[async_trait]
impl EventIndex for Oracle {
    async fn put(&self, _: &IndexedObject) -> Result<(), SearchError> {
        Ok(())
    }

    async fn put_many(&self, objects: &[IndexedObject]) -> Vec<Result<(), SearchError>> {
        objects.iter().map(|_| Ok(())).collect()
    }

    async fn delete(&self, _: &CalendarPath, _: &Uid, _: i64) -> Result<(), SearchError> {
        Ok(())
    }

    async fn prune(&self, _: HomeId, _: i64) -> Result<u64, SearchError> {
        unreachable!()
    }

    async fn delete_home(&self, _: HomeId) -> Result<(), SearchError> {
        Ok(())
    }

    async fn search(&self, query: &EventQuery) -> Result<Vec<EventDocument>, SearchError> {
        self.asked.lock().unwrap().push(query.clone());
        if self.away {
            Err(SearchError::Unavailable("node 10.0.0.7 refused the connection".to_owned()))
        } else {
            Ok(self.answer.clone())
        }
    }
}

struct House {
    served: Served,
    sqlite: Arc<Sqlite>,
    index: Arc<Oracle>,
    _dir: TempDir,
}

async fn house_with(index: Oracle) -> House {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::system();
    let sqlite = Arc::new(Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, env.clone()).unwrap());
    let domain = DomainId(DOMAIN.parse().unwrap());
    sqlite.add_domain(&Domain { id: domain, name: "example.org".parse().unwrap() }).await.unwrap();
    for (id, name) in [(ALICE, "alice"), (BOB, "bob")] {
        let user = User {
            id: UserId(id.parse().unwrap()),
            domain,
            emails: vec![format!("{name}@example.org").parse().unwrap()],
            firstname: name.to_owned(),
            lastname: "Martin".to_owned(),
        };
        sqlite.add_user(&user).await.unwrap();
        for uri in [id, "work"] {
            let collection = Collection {
                id: CollectionId(env.object_id()),
                home: user.id.into(),
                kind: CollectionKind::Calendar,
                uri: uri.to_owned(),
                props: CollectionProps::default(),
                sync_token: 1,
                public_right: None,
            };
            let batch = Batch { ops: vec![Op::CreateCollection(collection)], publish: Vec::new() };
            sqlite.write(batch).await.unwrap();
        }
    }
    let index = Arc::new(index);
    let api = Api {
        directory: sqlite.clone(),
        calendars: Arc::new(OwnCalendars { dav: sqlite.clone(), directory: sqlite.clone() }),
        index: index.clone(),
        config: Config::default(),
    };
    let served = Served::router(Router::new().merge(api.router(&require_user(Surface::Rest))), limits()).await;
    House { served, sqlite, index, _dir: dir }
}

async fn house() -> House {
    house_with(Oracle::default()).await
}

impl House {
    async fn post(&self, path: &str, body: impl Into<String>) -> (u16, Value) {
        // The web client sends its JSON so.
        let headers = [("content-type", "text/plain;charset=UTF-8")];
        let response = ask("POST", &self.served.url(path), &headers, body.into()).await;
        let status = response.status().as_u16();
        (status, serde_json::from_str(&text(response).await).unwrap())
    }

    fn asked(&self) -> Vec<EventQuery> {
        self.index.asked.lock().unwrap().clone()
    }
}

fn calendar(home: &str, id: &str) -> Value {
    json!({"userId": home, "calendarId": id})
}

fn path(home: &str, id: &str) -> CalendarPath {
    format!("/calendars/{home}/{id}").parse().unwrap()
}

fn person(name: &str) -> IndexedPerson {
    IndexedPerson { cn: name.to_owned(), email: format!("{}@example.org", name.to_lowercase()) }
}

fn stand_up() -> EventDocument {
    EventDocument {
        calendar: path(ALICE, ALICE),
        resource_name: "7c1e.ics".to_owned(),
        uid: Uid("7c1e@example.org".to_owned()),
        occurrence: Occurrence::Single,
        sequence: Some(1),
        summary: Some("Stand-up".to_owned()),
        location: None,
        description: None,
        class: Some("PUBLIC".to_owned()),
        start: Some(Utc.with_ymd_and_hms(2026, 3, 2, 8, 0, 0).unwrap()),
        end: Some(Utc.with_ymd_and_hms(2026, 3, 2, 8, 15, 0).unwrap()),
        dtstamp: Some(Utc.timestamp_millis_opt(1_772_186_400_250).unwrap()),
        all_day: false,
        organizer: Some(person("Alice")),
        attendees: vec![person("Bob")],
        resources: vec![IndexedPerson { cn: "Room 12".to_owned(), email: "65aa@example.org".to_owned() }],
        videoconference: Some("https://visio.example.org/abc-defg-hij".to_owned()),
        booking_link: None,
    }
}

fn bare_holiday() -> EventDocument {
    EventDocument {
        calendar: path(ALICE, "work"),
        resource_name: String::new(),
        uid: Uid("a b/c".to_owned()),
        occurrence: Occurrence::Override("20260302".to_owned()),
        sequence: None,
        summary: None,
        class: None,
        start: Some(Utc.with_ymd_and_hms(2026, 3, 2, 0, 0, 0).unwrap()),
        end: Some(Utc.with_ymd_and_hms(2026, 3, 5, 0, 0, 0).unwrap()),
        dtstamp: None,
        all_day: true,
        organizer: None,
        attendees: Vec::new(),
        resources: Vec::new(),
        videoconference: None,
        ..stand_up()
    }
}

#[tokio::test]
async fn hits_have_the_shape_that_the_web_client_reads() {
    let house = house_with(Oracle { answer: vec![stand_up(), bare_holiday()], ..Oracle::default() }).await;
    let body = json!({"query": "stand", "calendars": [calendar(ALICE, ALICE)]}).to_string();
    let (status, answer) = house.post(&format!("{SEARCH}?limit=10&offset=0"), body).await;
    assert_eq!(status, 200);
    let expected = json!({
        "_links": {"self": {"href": format!("{SEARCH}?limit=10&offset=0?limit=10&offset=0")}},
        "_total_hits": 2,
        "_embedded": {"events": [
            {
                "_links": {"self": {"href": format!("/calendars/{ALICE}/{ALICE}/7c1e.ics")}},
                "data": {
                    "uid": "7c1e@example.org", "summary": "Stand-up", "location": null, "description": null,
                    "start": "2026-03-02T08:00:00Z", "end": "2026-03-02T08:15:00Z",
                    "class": "PUBLIC", "allDay": false, "hasResources": true, "durationInDays": 0,
                    "isRecurrentMaster": null,
                    "attendees": [{"email": "bob@example.org", "cn": "Bob"}],
                    "organizer": {"email": "alice@example.org", "cn": "Alice"},
                    "resources": [{"email": "65aa@example.org", "cn": "Room 12"}],
                    "x-openpaas-videoconference": "https://visio.example.org/abc-defg-hij",
                    "x-openpaas-booking-link": null,
                    "userId": ALICE, "calendarId": ALICE,
                    "dtstamp": "2026-02-27T10:00:00.250Z"
                }
            },
            {
                "_links": {"self": {"href": format!("/calendars/{ALICE}/work/a%20b%2Fc.ics")}},
                "data": {
                    "uid": "a b/c", "summary": null, "location": null, "description": null,
                    "start": "2026-03-02T00:00:00Z", "end": "2026-03-05T00:00:00Z",
                    "class": null, "allDay": true, "hasResources": false, "durationInDays": 3,
                    "isRecurrentMaster": false,
                    "attendees": [], "organizer": {"email": null, "cn": null}, "resources": [],
                    "x-openpaas-videoconference": null, "x-openpaas-booking-link": null,
                    "userId": ALICE, "calendarId": "work", "dtstamp": null
                }
            }
        ]}
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_search_reaches_own_calendars_and_no_others() {
    let house = house().await;
    let link = "0d1f8b8a-2f3b-4c7e-9d0a-1b2c3d4e5f60";
    let body = json!({
        "query": "stand up",
        "calendars": [
            calendar(ALICE, ALICE), calendar(BOB, BOB), calendar(BOB, "work"), calendar(ALICE, "work"),
            calendar(ALICE, "work"), calendar(ALICE, "none"), calendar("no-id", "work"), calendar(ALICE, "../x"),
        ],
        "organizers": ["Alice@Example.org"],
        "attendees": ["bob@example.org", "carol@example.org"],
        "bookingLink": link.to_uppercase(),
        "somethingNew": true,
    });
    let (status, _) = house.post(&format!("{SEARCH}?limit=&offset=20"), body.to_string()).await;
    assert_eq!(status, 200);
    let expected = EventQuery {
        text: "stand up".to_owned(),
        calendars: vec![path(ALICE, ALICE), path(ALICE, "work")],
        of_others: Vec::new(),
        organizers: vec!["alice@example.org".parse().unwrap()],
        attendees: vec!["bob@example.org".parse().unwrap(), "carol@example.org".parse().unwrap()],
        booking_link: Some(link.to_owned()),
        offset: 20,
        limit: 30,
    };
    assert_eq!(house.asked(), [expected]);
}

#[tokio::test]
async fn a_search_without_a_readable_calendar_finds_nothing() {
    let house = house_with(Oracle { answer: vec![stand_up()], ..Oracle::default() }).await;
    for body in [
        json!({}),
        json!({"calendars": null, "query": "x"}),
        json!({"calendars": []}),
        json!({"calendars": [calendar(BOB, BOB)]}),
    ] {
        let (status, answer) = house.post(SEARCH, body.to_string()).await;
        assert_eq!((status, &answer["_total_hits"], &answer["_embedded"]), (200, &json!(0), &json!({"events": []})));
    }
    assert!(house.asked().is_empty(), "the index is not even asked");
}

#[tokio::test]
async fn wrong_questions_are_explained() {
    let house = house().await;
    let mine = calendar(ALICE, ALICE);
    let fine = json!({"calendars": [mine]}).to_string();
    let many: Vec<Value> = (0..70_000).map(|_| mine.clone()).collect();
    for (query, body, status) in [
        ("", String::new(), 400),
        ("", "{".to_owned(), 400),
        ("", "[1]".to_owned(), 400),
        ("", json!({"calendars": [{"userId": ALICE}]}).to_string(), 400),
        ("", json!({"calendars": [calendar(" ", "x")]}).to_string(), 400),
        ("", json!({"calendars": [mine], "organizers": ["nobody"]}).to_string(), 400),
        ("", json!({"calendars": [mine], "attendees": ["a@b@c"]}).to_string(), 400),
        ("", json!({"calendars": [mine], "bookingLink": "no uuid"}).to_string(), 400),
        ("?limit=0", fine.clone(), 400),
        ("?limit=257", fine.clone(), 400),
        ("?limit=-1", fine.clone(), 400),
        ("?limit=x", fine.clone(), 400),
        ("?offset=-1", fine.clone(), 400),
        ("?offset=1.5", fine.clone(), 400),
        ("", json!({"calendars": many}).to_string(), 413),
    ] {
        let (got, answer) = house.post(&format!("{SEARCH}{query}"), body).await;
        assert_eq!((got, &answer["error"]["code"]), (status, &json!(status)), "{query}: {answer}");
        assert!(answer["error"]["details"].as_str().is_some_and(|d| !d.is_empty()));
    }
    assert!(house.asked().is_empty());
    assert_eq!(house.post(&format!("{SEARCH}?limit=256"), fine).await.0, 200);
}

#[tokio::test]
async fn an_index_that_is_away_is_unavailable_and_not_described() {
    let house = house_with(Oracle { away: true, ..Oracle::default() }).await;
    let (status, answer) = house.post(SEARCH, json!({"calendars": [calendar(ALICE, ALICE)]}).to_string()).await;
    let error = json!({"error": {"code": 503, "type": "ServiceUnavailable", "message": "Service Unavailable",
        "details": "temporarily unavailable"}});
    assert_eq!((status, answer), (503, error));
}

#[tokio::test]
async fn only_people_we_know_are_answered_and_only_on_routes_we_have() {
    let house = house().await;
    let unknown = [("authorization", "Bearer mallory")];
    let response = ask("POST", &house.served.url(SEARCH), &unknown, "{}").await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    for (method, path) in [("GET", SEARCH), ("PUT", "/api/user"), ("GET", "/api/nothing"), ("PROPFIND", "/")] {
        let response = ask(method, &house.served.url(path), &[], Body::empty()).await;
        assert_eq!(response.status(), 404, "{method} {path}");
        assert!(!response.headers().contains_key("allow"), "{method} {path}");
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(body["error"]["type"], "NotFound", "{method} {path}");
    }
    let preflight = [("origin", "https://calendar.example.org"), ("access-control-request-method", "POST")];
    let response = ask("OPTIONS", &house.served.url(SEARCH), &preflight, Body::empty()).await;
    assert_eq!(response.status(), 204);
    let page = [("origin", "https://calendar.example.org"), ("authorization", "Bearer mallory")];
    let response = ask("POST", &house.served.url(SEARCH), &page, "{}").await;
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn the_profile_has_names_and_settings() {
    let house = house().await;
    let mut settings = Settings::default();
    settings.set("core", "language", json!("fr"));
    settings.set("someone.elses", "key", json!(1));
    house.sqlite.put_settings(UserId(ALICE.parse().unwrap()), &settings).await.unwrap();
    let response = ask("GET", &house.served.url("/api/user"), &[], Body::empty()).await;
    assert_eq!(response.status(), 200);
    let user: Value = serde_json::from_str(&text(response).await).unwrap();
    for (key, value) in [
        ("id", json!(ALICE)),
        ("_id", json!(ALICE)),
        ("preferredEmail", json!("alice@example.org")),
        ("emails", json!(["alice@example.org"])),
        ("firstname", json!("alice")),
        ("domains", json!([{"domain_id": DOMAIN, "joined_at": "1970-01-01T00:00:00.000Z"}])),
        ("isPlatformAdmin", json!(false)),
    ] {
        assert_eq!(user[key], value, "{key}");
    }
    let modules = user["configurations"]["modules"].as_array().unwrap();
    let value = |module: &str, name: &str| {
        let module = modules.iter().find(|m| m["name"] == module)?;
        let settings = module["configurations"].as_array()?;
        Some(settings.iter().find(|s| s["name"] == name)?["value"].clone())
    };
    assert_eq!(value("core", "language"), Some(json!("fr")));
    assert_eq!(value("core", "datetime"), Some(json!({"timeZone": "Europe/Paris", "use24hourFormat": true})));
    assert_eq!(value("calendar", "alarmEmails"), Some(json!(true)));
    assert_eq!(value("linagora.esn.calendar", "workingDays"), Some(Value::Null));
    assert_eq!(value("someone.elses", "key"), None);
}

/// Another calendar of bob in the home of alice, at `bobs`.
fn in_the_home_of_alice(of: &Collection, tie: Tie) -> Instance {
    let (id, home) = (Env::system().object_id(), HomeId(ALICE.parse().unwrap()));
    Instance { id, of: of.id, kind: of.kind, home, uri: "bobs".to_owned(), props: CollectionProps::default(), tie }
}

fn given(access: Access) -> Delegation {
    let href = "mailto:alice@example.org".to_owned();
    Delegation { access, status: InviteStatus::Accepted, href, name: None, hidden: false }
}

impl House {
    async fn put(&self, instance: &Instance) {
        let ops = vec![Op::PutInstance(instance.clone())];
        self.sqlite.write(Batch { ops, publish: Vec::new() }).await.unwrap();
    }

    /// Which calendars are looked into when alice asks for a calendar and an own one: those seen whole, and the others.
    async fn looked_into(&self, home: &str, id: &str) -> (Vec<CalendarPath>, Vec<CalendarPath>) {
        let body = json!({"query": "stand", "calendars": [calendar(ALICE, "work"), calendar(home, id)]}).to_string();
        assert_eq!(self.post(SEARCH, body).await.0, 200);
        let asked = self.asked().pop().unwrap();
        (asked.calendars, asked.of_others)
    }
}

#[tokio::test]
async fn what_others_share_is_looked_into_for_what_is_public_in_it() {
    let house = house().await;
    let own = || vec![path(ALICE, "work")];
    let bob = HomeId(BOB.parse().unwrap());
    let work = house.sqlite.collection(bob, CollectionKind::Calendar, "work").await.unwrap().unwrap();
    assert_eq!(house.looked_into(BOB, "work").await, (own(), Vec::new()), "it is not shared yet");
    let mut instance = in_the_home_of_alice(&work, Tie::Delegation(given(Access::Administration)));
    house.put(&instance).await;
    for (home, id) in [(ALICE, "bobs"), (BOB, "work")] {
        assert_eq!(house.looked_into(home, id).await, (own(), vec![path(BOB, "work")]));
    }
    for less in [given(Access::FreeBusy), Delegation { hidden: true, ..given(Access::Read) }] {
        instance.tie = Tie::Delegation(less);
        house.put(&instance).await;
        assert_eq!(house.looked_into(ALICE, "bobs").await, (own(), Vec::new()));
    }
}

#[tokio::test]
async fn what_became_of_another_domain_is_looked_into_no_longer() {
    let house = house().await;
    let bob = HomeId(BOB.parse().unwrap());
    let work = house.sqlite.collection(bob, CollectionKind::Calendar, "work").await.unwrap().unwrap();
    house.put(&in_the_home_of_alice(&work, Tie::Delegation(given(Access::Read)))).await;
    let (elsewhere, eve) = (DomainId("6650c0ffee0123456789bbbb".parse().unwrap()), "6650c0ffee01234567890eee");
    house.sqlite.add_domain(&Domain { id: elsewhere, name: "other.example".parse().unwrap() }).await.unwrap();
    let user = User {
        id: UserId(eve.parse().unwrap()),
        domain: elsewhere,
        emails: vec!["eve@other.example".parse().unwrap()],
        firstname: "Eve".to_owned(),
        lastname: String::new(),
    };
    house.sqlite.add_user(&user).await.unwrap();
    let mut theirs = work.clone();
    (theirs.id, theirs.home) = (CollectionId(Env::system().object_id()), user.id.into());
    theirs.public_right = Some(PublicRight::Read);
    // Nobody has that home any more.
    let mut nobodys = theirs.clone();
    nobodys.id = CollectionId(Env::system().object_id());
    nobodys.home = HomeId(Env::system().object_id());
    let ops = vec![Op::CreateCollection(theirs.clone()), Op::CreateCollection(nobodys.clone())];
    house.sqlite.write(Batch { ops, publish: Vec::new() }).await.unwrap();
    for (at, of) in [("given", &theirs), ("nobodys", &nobodys)] {
        let tie = Tie::Delegation(given(Access::ReadWrite));
        house.put(&Instance { uri: at.to_owned(), ..in_the_home_of_alice(of, tie) }).await;
        assert_eq!(house.looked_into(ALICE, at).await, (vec![path(ALICE, "work")], Vec::new()));
    }
    let follows = in_the_home_of_alice(&theirs, Tie::Subscription { writes: false });
    house.put(&Instance { uri: "followed".to_owned(), ..follows }).await;
    assert_eq!(house.looked_into(ALICE, "followed").await, (vec![path(ALICE, "work")], Vec::new()));
    assert_eq!(house.looked_into(eve, "work").await, (vec![path(ALICE, "work")], Vec::new()));
    assert_eq!(house.looked_into(ALICE, "bobs").await.1, [path(BOB, "work")], "of the own domain it is");
}

#[tokio::test]
async fn the_calendar_of_a_team_is_seen_whole_by_its_members() {
    let house = house().await;
    let id = "6650c0ffee0123456789eeee";
    let team = TeamCalendar {
        id: id.parse().unwrap(),
        domain: DomainId(DOMAIN.parse().unwrap()),
        name: "support".to_owned(),
        display_name: "Support".to_owned(),
        email: None,
        created: Utc.with_ymd_and_hms(2026, 3, 1, 9, 0, 0).unwrap(),
        updated: Utc.with_ymd_and_hms(2026, 3, 1, 9, 0, 0).unwrap(),
    };
    house.sqlite.add_team_calendar(&team).await.unwrap();
    let bob = HomeId(BOB.parse().unwrap());
    let mut source = house.sqlite.collection(bob, CollectionKind::Calendar, "work").await.unwrap().unwrap();
    (source.id, source.home, source.uri) = (CollectionId(Env::system().object_id()), team.id.into(), id.to_owned());
    source.public_right = Some(PublicRight::Read);
    let ops = vec![Op::CreateCollection(source.clone())];
    house.sqlite.write(Batch { ops, publish: Vec::new() }).await.unwrap();
    let follows = in_the_home_of_alice(&source, Tie::Subscription { writes: false });
    house.put(&Instance { uri: "followed".to_owned(), ..follows }).await;
    assert_eq!(house.looked_into(ALICE, "followed").await, (vec![path(ALICE, "work")], vec![path(id, id)]));
    house.put(&in_the_home_of_alice(&source, Tie::Delegation(given(Access::Read)))).await;
    for (home, at) in [(ALICE, "bobs"), (ALICE, "followed"), (id, id)] {
        assert_eq!(house.looked_into(home, at).await, (vec![path(ALICE, "work"), path(id, id)], Vec::new()));
    }
}
