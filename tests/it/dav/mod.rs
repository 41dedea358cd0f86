//! The built-in DAV server, asked as clients ask it, over a store of its own.

mod access_matrix;
mod agenda;
mod agenda_in_browser;
mod attachments;
mod availability;
mod bad_input;
mod book_messages;
mod book_queries;
mod bookings;
mod books;
mod calendar_queries;
mod cards;
mod clients;
mod collections;
mod conferences;
mod creation;
mod discovery;
mod files;
mod files_over_http;
mod groups_and_photos;
mod json_books;
mod json_calendars;
mod json_reports;
mod large_objects;
mod limits;
mod locks;
mod meanwhile;
mod meddling;
mod members;
mod mobile;
mod object_preconditions;
mod objects;
mod preconditions;
mod preferences;
mod principals;
mod proxies;
mod queries;
mod quota;
mod relocation;
mod replay;
mod representations;
mod resources;
mod rights_races;
mod scheduling;
mod scheduling_guard;
mod scheduling_here;
mod scheduling_limits;
mod scheduling_rules;
mod scheduling_tags;
mod sharing;
mod sharing_books;
mod sharing_matrix;
mod sync;
mod sync_paths;
mod teams;
mod tenants;
mod topics;
mod trash;
mod trash_collection;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::config::{Durability, RetryPolicy};
use convoke::dav::server::{Server, Settings};
use convoke::dav::{Actor, Body, Upstream};
use convoke::events::{Message, Topic};
use convoke::queue::{ConsumerSpec, Queue, Settlement};
use convoke::store::sqlite::Sqlite;
use convoke::store::{DirectoryStore, Domain, SharedDavStore, User};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

pub const ALICE: &str = "65aa00000000000000000001";
pub const BOB: &str = "65aa00000000000000000002";
pub const CAROL: &str = "65aa00000000000000000003";
/// A user of another domain.
pub const EVE: &str = "65aa0000000000000000000f";
const DOMAIN: &str = "65dd00000000000000000001";
const OTHER_DOMAIN: &str = "65dd00000000000000000002";

/// The default calendar of alice.
pub const CALENDAR: &str = "/calendars/65aa00000000000000000001/65aa00000000000000000001/";
pub const PROLOG: &str = convoke::dav::xml::PROLOG;

/// Everything that was ever published, as a consumer of all topics sees it.
const WITNESS: ConsumerSpec = ConsumerSpec {
    name: "test:witness",
    topics: Vec::new(),
    concurrency: 1,
    retry: RetryPolicy { attempts: 1, first_ms: 1, most_ms: 1 },
};

/// A server with three people in one domain, and a fourth in another.
pub struct World {
    pub upstream: Upstream,
    pub sqlite: Sqlite,
    pub dav: SharedDavStore,
    witness: ConsumerSpec,
    _dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        Self::over(settings, None).await
    }

    /// The same with calendars in another store.
    pub async fn over(settings: Settings, dav: Option<SharedDavStore>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now: DateTime<Utc> = "2026-11-21T06:20:15Z".parse().unwrap();
        let env = Env::new(ManualClock::at(now), CountingEntropy::default());
        let sqlite = Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, env.clone()).unwrap();
        for (id, name) in [(DOMAIN, "example.org"), (OTHER_DOMAIN, "other.example")] {
            sqlite.add_domain(&Domain { id: id.parse().unwrap(), name: name.parse().unwrap() }).await.unwrap();
        }
        for (id, domain, emails, first, last) in [
            (ALICE, DOMAIN, "alice@example.org,a.martin@example.org", "Alice", "Martin"),
            (BOB, DOMAIN, "bob@example.org", "Bob", "Durand"),
            (CAROL, DOMAIN, "carol@example.org", "Carol", ""),
            (EVE, OTHER_DOMAIN, "eve@other.example", "Eve", ""),
        ] {
            let user = User {
                id: id.parse().unwrap(),
                domain: domain.parse().unwrap(),
                emails: emails.split(',').map(|e| e.parse().unwrap()).collect(),
                firstname: first.to_owned(),
                lastname: last.to_owned(),
            };
            sqlite.add_user(&user).await.unwrap();
        }
        let witness = ConsumerSpec { topics: Topic::ALL.to_vec(), ..WITNESS };
        sqlite.bind(&witness).await.unwrap();
        let dav = dav.unwrap_or_else(|| Arc::new(sqlite.clone()));
        let server =
            Server::new(dav.clone(), Arc::new(sqlite.clone()), env, settings).with_files(Arc::new(sqlite.clone()));
        Self { upstream: server.into_upstream(), sqlite, dav, witness, _dir: dir }
    }

    /// The client of a person.
    pub fn as_user(&self, email: &str) -> Client<'_> {
        Client { world: self, actor: Some(Actor::User(email.parse().unwrap())) }
    }

    pub fn alice(&self) -> Client<'_> {
        self.as_user("alice@example.org")
    }

    pub fn bob(&self) -> Client<'_> {
        self.as_user("bob@example.org")
    }

    /// What was published since the last call, in order, but for the homes that were made by the way.
    pub async fn published(&self) -> Vec<Message> {
        let mut messages = self.published_with_homes().await;
        messages.retain(|m| m.topic != Topic::CalendarCreated || !m.payload["connectedUser"].is_null());
        messages
    }

    /// What was published since the last call, in order.
    pub async fn published_with_homes(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        while self.waiting().await > 0 {
            for delivery in self.sqlite.receive(&self.witness, 100).await.unwrap() {
                self.sqlite.settle(&self.witness, delivery.id, Settlement::Done).await.unwrap();
                messages.push((delivery.id, delivery.message));
            }
        }
        messages.sort_by_key(|(id, _)| *id);
        messages.into_iter().map(|(_, message)| message).collect()
    }

    /// Messages that nobody has looked at yet.
    async fn waiting(&self) -> u64 {
        let depths = self.sqlite.depths().await.unwrap();
        depths.iter().find(|depth| depth.consumer == self.witness.name).map_or(0, |depth| depth.waiting)
    }

    /// The names of what was published since the last call, in order.
    pub async fn topics(&self) -> Vec<&'static str> {
        self.published().await.iter().map(|m| m.topic.name()).collect()
    }
}

/// A person's client.
#[derive(Clone)]
pub struct Client<'w> {
    pub world: &'w World,
    pub actor: Option<Actor>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// The body, which must be a multistatus: what is between its root tags.
    #[track_caller]
    pub fn responses(self) -> String {
        let body = self.expect(207).body;
        let inner = body.strip_prefix(PROLOG).unwrap_or_else(|| panic!("{body}"));
        inner.strip_suffix("</d:multistatus>").unwrap_or_else(|| panic!("{inner}")).to_owned()
    }

    /// The hrefs of a multistatus, in order.
    #[track_caller]
    pub fn hrefs(self) -> Vec<String> {
        let responses = self.responses();
        let hrefs = responses.split("<d:response><d:href>").skip(1);
        hrefs.map(|r| r.split("</d:href>").next().unwrap().to_owned()).collect()
    }
}

impl Client<'_> {
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        if let Some(actor) = &self.actor {
            request.extensions_mut().insert(actor.clone());
        }
        let response = self.world.upstream.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, &[("content-type", "text/calendar; charset=utf-8")], body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    /// A PROPFIND for these properties, written with the prefixes of answers.
    pub async fn propfind(&self, path: &str, depth: &str, props: &str) -> Answer {
        let body = match props {
            "" => String::new(),
            props => format!("{}<d:prop>{props}</d:prop></d:propfind>", root("d:propfind")),
        };
        self.send("PROPFIND", path, &[("depth", depth)], &body).await
    }

    pub async fn report(&self, path: &str, name: &str, body: &str) -> Answer {
        let body = format!("{}{body}</{name}>", root(name));
        self.send("REPORT", path, &[("depth", "1")], &body).await
    }

    /// The names of a calendar's objects and their texts.
    pub async fn contents(&self, calendar: &str) -> Vec<(String, String)> {
        let mut contents = Vec::new();
        for href in self.propfind(calendar, "1", "<d:getetag/>").await.hrefs().into_iter().skip(1) {
            let body = self.get(&href).await.expect(200).body;
            contents.push((href.strip_prefix(calendar).unwrap().to_owned(), body));
        }
        contents
    }
}

/// The start tag of a request body, with every prefix that answers use, and `a` for Apple's.
pub fn root(name: &str) -> String {
    format!(
        "<{name} xmlns:d=\"DAV:\" xmlns:cal=\"urn:ietf:params:xml:ns:caldav\" xmlns:cs=\"http://calendarserver.org/ns/\" \
         xmlns:card=\"urn:ietf:params:xml:ns:carddav\" xmlns:s=\"http://sabredav.org/ns\" \
         xmlns:a=\"http://apple.com/ns/ical/\">"
    )
}

/// A calendar object around the lines of one component.
pub fn calendar(component: &str, uid: &str, lines: &[&str]) -> String {
    let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example Corp//Client 1.0//EN\r\n");
    text.push_str(&format!("BEGIN:{component}\r\nUID:{uid}\r\nDTSTAMP:20300101T080000Z\r\n"));
    for line in lines {
        text.push_str(&format!("{line}\r\n"));
    }
    text.push_str(&format!("END:{component}\r\nEND:VCALENDAR\r\n"));
    text
}

/// An event of one hour.
pub fn event(uid: &str, start: &str) -> String {
    calendar("VEVENT", uid, &[&format!("DTSTART:{start}"), "DURATION:PT1H", "SUMMARY:Lunch"])
}

/// The payload of a message.
pub fn payload(message: &Message) -> &Value {
    &message.payload
}
