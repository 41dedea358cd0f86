//! The built-in server on a socket, over one of the stores, with the people of the captures.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use chrono::{DateTime, Utc};
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::config::{Durability, InlineAttachments};
use convoke::dav::error::DavError;
use convoke::dav::server::{Server, Settings};
use convoke::dav::{Actor, Upstream};
use convoke::events::{Message, Topic};
use convoke::net::{Client, ClientLimits};
use convoke::queue::mongo::MongoOutgoing;
use convoke::queue::{ConsumerSpec, OutgoingStore as _, Queue as _, Settlement};
use convoke::store::mongo::{Mongo, MongoDav};
use convoke::store::sqlite::Sqlite;
use convoke::store::{Domain, Resource, SharedDavStore, SharedDirectory, TeamCalendar, User};
use http::{HeaderMap, Request as HttpRequest};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::{ServiceExt as _, service_fn};

use super::bindings::Bindings;
use super::captures::{Action, Exchange, Request, Run, Step};
use crate::mongo_support::{REPLICA_SET, TestMongo};
use crate::proxy_support::{Served, limits};

const DOMAIN: &str = "65dd00000000000000000001";
const OTHER_DOMAIN: &str = "65dd00000000000000000002";

/// Which store is behind the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Mongo,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// Where messages are seen.
enum Witness {
    Queue(Sqlite, ConsumerSpec),
    Rows(MongoOutgoing),
}

pub struct House {
    served: Served,
    client: Client,
    pub store: SharedDavStore,
    witness: Witness,
    _databases: Option<TestMongo>,
    _dir: tempfile::TempDir,
}

impl House {
    /// A house on fresh data; `None` where the engine was not started.
    pub async fn build(engine: Engine, run: Run) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let now = "2026-11-21T06:19:00Z".parse().unwrap();
        let env = Env::new(ManualClock::at(now), CountingEntropy::default());
        let (store, directory, witness, databases): (SharedDavStore, SharedDirectory, _, _) = match engine {
            Engine::Sqlite => {
                let sqlite = Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, env.clone()).unwrap();
                let spec = ConsumerSpec {
                    name: "test:replay",
                    topics: Topic::ALL.to_vec(),
                    concurrency: 1,
                    retry: Default::default(),
                };
                sqlite.bind(&spec).await.unwrap();
                let witness = Witness::Queue(sqlite.clone(), spec);
                (Arc::new(sqlite.clone()), Arc::new(sqlite), witness, None)
            }
            Engine::Mongo => {
                let databases = TestMongo::on(REPLICA_SET)?;
                let mongo: Mongo = databases.connect().await;
                convoke::store::mongo::bootstrap::bootstrap(&mongo).await.unwrap();
                let dav = MongoDav::open(mongo.clone()).await.unwrap();
                let witness = Witness::Rows(MongoOutgoing::new(mongo.clone()));
                (Arc::new(dav), Arc::new(mongo), witness, Some(databases))
            }
        };
        people(&directory).await;
        others(&directory).await;
        let strict = run == Run::Strict;
        let settings = Settings {
            principal_privacy: strict,
            organizer_validation: strict,
            inline_attachments: InlineAttachments::Drop,
            // As in the reference, all messages are delivered by whoever reads the queue.
            immediate_deliveries: 0,
            ..Settings::default()
        };
        let server = Server::new(store.clone(), directory, env, settings).into_upstream();
        let served = Served::router(front(server), limits()).await;
        let client = Client::new(ClientLimits::default()).unwrap();
        Some(Self { served, client, store, witness, _databases: databases, _dir: dir })
    }

    /// Sends a request, and reads the answer.
    pub async fn send(&self, request: &Request) -> Answer {
        let url = self.served.url(&request.path);
        let mut built = HttpRequest::builder().method(request.method.as_str()).uri(url);
        for (name, value) in &request.headers {
            built = built.header(name, value);
        }
        let response = self.client.send(built.body(Body::from(request.text())).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let octets = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&octets).into_owned();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Does what happened between two exchanges.
    pub async fn prepare(&self, step: &Step, exchanges: &[Exchange], bindings: &mut Bindings) {
        match &step.action {
            Action::Request { who, method, path, body } => {
                let request = made(who, method, path, body.clone());
                bindings.find_objects(path, self, exchanges).await;
                self.send(&bindings.rewritten(&request)).await;
            }
            Action::Deliver { deliver } => {
                let exchange = exchanges.iter().find(|e| e.name == *deliver).unwrap();
                self.deliver(&exchange.messages).await;
                self.published().await;
            }
            Action::DeliverPublished { .. } => {
                let published = self.published().await;
                self.deliver(&published).await;
                self.published().await;
            }
        }
    }

    /// Gives iTIP messages to their recipients, as the side service does.
    async fn deliver(&self, messages: &[(String, Value)]) {
        for (topic, body) in messages {
            if topic != "calendar:itip:localDelivery" {
                continue;
            }
            let bare = |value: &Value| value.as_str().unwrap().trim_start_matches("mailto:").to_owned();
            let recipient = bare(&body["recipients"][0]);
            let envelope = json!({
                "uid": body["uid"], "sender": bare(&body["sender"]), "recipient": recipient,
                "ical": body["message"], "method": body["method"],
            });
            self.send(&made(&recipient, "POST", "/itip", envelope)).await;
        }
    }

    /// What was published since the last call, in order: topic and body.
    pub async fn published(&self) -> Vec<(String, Value)> {
        let messages = match &self.witness {
            Witness::Queue(sqlite, spec) => from_queue(sqlite, spec).await,
            Witness::Rows(rows) => from_rows(rows).await,
        };
        messages.into_iter().map(|m| (m.topic.name().to_owned(), m.payload)).collect()
    }
}

async fn from_queue(sqlite: &Sqlite, spec: &ConsumerSpec) -> Vec<Message> {
    let waiting = || async {
        let depths = sqlite.depths().await.unwrap();
        depths.iter().find(|depth| depth.consumer == spec.name).map_or(0, |depth| depth.waiting)
    };
    let mut messages = Vec::new();
    while waiting().await > 0 {
        for delivery in sqlite.receive(spec, 100).await.unwrap() {
            sqlite.settle(spec, delivery.id, Settlement::Done).await.unwrap();
            messages.push((delivery.id, delivery.message));
        }
    }
    messages.sort_by_key(|(id, _)| *id);
    messages.into_iter().map(|(_, message)| message).collect()
}

async fn from_rows(rows: &MongoOutgoing) -> Vec<Message> {
    let mut messages = Vec::new();
    while rows.waiting().await.unwrap().0 > 0 {
        let taken = rows.take(100).await.unwrap();
        rows.sent(&taken.iter().map(|o| o.id.clone()).collect::<Vec<_>>()).await.unwrap();
        messages.extend(taken.into_iter().map(|o| o.message));
    }
    messages
}

/// A request as the captures hold them.
fn made(who: &str, method: &str, path: &str, body: Value) -> Request {
    let identity = match who {
        "technical" => ("TwakeCalendarToken".to_owned(), "tok-example".to_owned()),
        email => ("Authorization".to_owned(), format!("Basic admin&{email}:secret")),
    };
    let mut headers = std::collections::BTreeMap::from([identity]);
    if !body.is_null() && !body.is_string() {
        headers.insert("Content-Type".to_owned(), "application/json".to_owned());
        headers.insert("Accept".to_owned(), "application/json, text/plain, */*".to_owned());
    }
    Request { method: method.to_owned(), path: path.to_owned(), headers, body }
}

async fn people(directory: &SharedDirectory) {
    for (id, name) in [(DOMAIN, "example.org"), (OTHER_DOMAIN, "other.example")] {
        directory.add_domain(&Domain { id: id.parse().unwrap(), name: name.parse().unwrap() }).await.unwrap();
    }
    for (id, domain, email, first, last) in [
        ("65aa00000000000000000001", DOMAIN, "alice@example.org", "Alice", "Martin"),
        ("65aa00000000000000000002", DOMAIN, "bob@example.org", "Bob", "Durand"),
        ("65aa00000000000000000003", DOMAIN, "cedric@example.org", "Cedric", "Petit"),
        ("65aa00000000000000000004", DOMAIN, "dave@example.org", "Dave", "Moreau"),
        ("65aa0000000000000000000f", OTHER_DOMAIN, "john@other.example", "John", "Other"),
    ] {
        let user = User {
            id: id.parse().unwrap(),
            domain: domain.parse().unwrap(),
            emails: vec![email.parse().unwrap()],
            firstname: first.to_owned(),
            lastname: last.to_owned(),
        };
        directory.add_user(&user).await.unwrap();
    }
}

/// The rooms and the team of the captures, and what another domain has.
async fn others(directory: &SharedDirectory) {
    let made: DateTime<Utc> = "2026-11-21T06:00:00Z".parse().unwrap();
    for (id, domain, name) in [
        ("65bb00000000000000000001", DOMAIN, "Room Blue"),
        ("65bb00000000000000000002", DOMAIN, "Room Red"),
        ("65bb0000000000000000000f", OTHER_DOMAIN, "Foreign room"),
    ] {
        let resource = Resource {
            id: id.parse().unwrap(),
            domain: domain.parse().unwrap(),
            name: name.to_owned(),
            description: String::new(),
            icon: String::new(),
            is_room: true,
            creator: None,
            administrators: Vec::new(),
            deleted: false,
            created: made,
            updated: made,
        };
        directory.add_resource(&resource).await.unwrap();
    }
    let team = TeamCalendar {
        id: "65ee00000000000000000001".parse().unwrap(),
        domain: DOMAIN.parse().unwrap(),
        name: "marketing".to_owned(),
        display_name: "Marketing".to_owned(),
        email: None,
        created: made,
        updated: made,
    };
    directory.add_team_calendar(&team).await.unwrap();
}

/// What stands before the server and knows people by the credentials of the captures: the administrator's log-in on their
/// behalf, a token of the platform, and tokens of programs.
fn front(server: Upstream) -> Router {
    Router::new().fallback_service(service_fn(move |mut request: HttpRequest<Body>| {
        let server = server.clone();
        async move {
            match (actor(request.headers()), request.method().as_str()) {
                (Some(actor), _) => {
                    request.extensions_mut().insert(actor);
                }
                (None, "OPTIONS") => {}
                (None, _) if request.uri().path().starts_with("/.well-known") => {}
                (None, _) => {
                    return Ok::<_, Infallible>(DavError::not_authenticated().into_response());
                }
            }
            Ok(server.oneshot(request).await.unwrap())
        }
    }))
}

fn actor(headers: &HeaderMap) -> Option<Actor> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(token) = header("twakecalendartoken") {
        return match token {
            "tok-example" => Some(Actor::Technical(DOMAIN.parse().unwrap())),
            "tok-other" => Some(Actor::Technical(OTHER_DOMAIN.parse().unwrap())),
            _ => None,
        };
    }
    let credentials = header("authorization")?;
    if let Some(login) = credentials.strip_prefix("Basic admin&") {
        let (email, password) = login.rsplit_once(':')?;
        return (password == "secret").then(|| Actor::User(email.parse().unwrap()));
    }
    // Tokens were left out of the captures; they say whose they were.
    let (_, email) = credentials.strip_prefix("Bearer ")?.split_once("sub=")?;
    email.trim_end_matches('>').parse().ok().map(Actor::User)
}
