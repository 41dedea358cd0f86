//! A house with several nodes: one store and one bus, a DAV server that can be told to fail, and clients that listen.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use convoke::auth::Surface;
use convoke::cache::memory::MemoryBus;
use convoke::cache::{Bus, BusError, Heard, Subscription};
use convoke::config::Config;
use convoke::dav::server::{Server, Settings};
use convoke::dav::{Actor, Body, Upstream, UpstreamError};
use convoke::ids::Email;
use convoke::push::{Ports, Push};
use convoke::queue::{SharedQueue, run};
use convoke::store::DirectoryStore as _;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, broadcast};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tower::{ServiceExt as _, service_fn};

use crate::auth_support::Home;
use crate::proxy_support::{Served, ask, limits, require_user, text};

/// Longer than anything takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A bus that tells how many listen, and fails when told to.
#[derive(Clone)]
pub struct WatchedBus {
    inner: MemoryBus,
    pub away: Arc<AtomicBool>,
    pub listening: Arc<AtomicUsize>,
    missed: broadcast::Sender<()>,
}

impl WatchedBus {
    fn new() -> Self {
        let (missed, _) = broadcast::channel(4);
        Self { inner: MemoryBus::default(), away: Arc::default(), listening: Arc::default(), missed }
    }

    /// Every subscriber hears that it missed something.
    pub fn miss(&self) {
        let _ = self.missed.send(());
    }

    fn check(&self) -> Result<(), BusError> {
        if self.away.load(Ordering::SeqCst) { Err(BusError("away".to_owned())) } else { Ok(()) }
    }
}

/// Counts down when a subscription is dropped.
struct Listening(Arc<AtomicUsize>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Bus for WatchedBus {
    async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError> {
        self.check()?;
        self.inner.publish(topic, body).await
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription, BusError> {
        self.check()?;
        let heard = self.inner.subscribe(topic).await?;
        self.listening.fetch_add(1, Ordering::SeqCst);
        let counted = Listening(self.listening.clone());
        let missed = stream::unfold(self.missed.subscribe(), |mut missed| async move {
            missed.recv().await.ok().map(|()| (Heard::Missed, missed))
        });
        let both = stream::select(heard, Box::pin(missed));
        Ok(both
            .map(move |heard| {
                let _ = &counted;
                heard
            })
            .boxed())
    }
}

/// How the DAV server is made to behave.
#[derive(Default)]
pub struct Faults {
    /// Status of each PROPFIND below a path.
    answers: Mutex<HashMap<String, StatusCode>>,
    /// Paths whose answers wait.
    held: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Paths that were asked for with PROPFIND, with who asked.
    asked: Mutex<Vec<(String, Email)>>,
}

impl Faults {
    /// From now on a PROPFIND of the path is answered like this; `None` for the truth.
    pub fn answer(&self, path: &str, status: Option<u16>) {
        let mut answers = self.answers.lock().unwrap();
        match status {
            Some(status) => answers.insert(path.to_owned(), StatusCode::from_u16(status).unwrap()),
            None => answers.remove(path),
        };
    }

    /// Keeps back the answer to PROPFINDs of the path until this is closed.
    pub fn hold(&self, path: &str) -> Arc<Semaphore> {
        let held = Arc::new(Semaphore::new(0));
        self.held.lock().unwrap().insert(path.to_owned(), held.clone());
        held
    }

    /// How often somebody asked for the path.
    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == path).count()
    }

    pub fn all_asked(&self) -> Vec<(String, Email)> {
        self.asked.lock().unwrap().clone()
    }
}

fn watched(server: Upstream, faults: Arc<Faults>) -> Upstream {
    Upstream::new(service_fn(move |request: Request<Body>| {
        let (server, faults) = (server.clone(), faults.clone());
        async move {
            if request.method().as_str() == "PROPFIND" {
                let path = request.uri().path().trim_end_matches('/').to_owned();
                let Some(Actor::User(user)) = request.extensions().get::<Actor>().cloned() else {
                    return Err(UpstreamError::NoActor);
                };
                faults.asked.lock().unwrap().push((path.clone(), user));
                let held = faults.held.lock().unwrap().get(&path).cloned();
                if let Some(held) = held {
                    // An error says that it was closed.
                    let _ = held.acquire().await;
                }
                if let Some(status) = faults.answers.lock().unwrap().get(&path) {
                    return Ok(Response::builder().status(*status).body(Body::empty()).unwrap());
                }
            }
            server.oneshot(request).await
        }
    }))
}

/// alice, bob and carol, their calendars, and a bus.
pub struct House {
    pub home: Home,
    pub bus: WatchedBus,
    pub faults: Arc<Faults>,
    pub upstream: Upstream,
    pub config: Config,
    consumers: JoinSet<()>,
}

/// A node of the house.
pub struct Node {
    pub push: Push,
    pub served: Served,
}

impl House {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let home = Home::new().await;
        let (store, env) = (Arc::new(home.store.clone()), home.env.clone());
        let server = Server::new(store.clone(), store, env, Settings::default()).into_upstream();
        let faults = Arc::new(Faults::default());
        let mut config = Config::default();
        config.push.pause_ms = 50;
        configure(&mut config);
        Self {
            upstream: watched(server, faults.clone()),
            home,
            bus: WatchedBus::new(),
            faults,
            config,
            consumers: JoinSet::new(),
        }
    }

    /// One more node.
    pub async fn node(&self) -> Node {
        let store = Arc::new(self.home.store.clone());
        let ports = Ports {
            tickets: store.clone(),
            directory: store,
            upstream: self.upstream.clone(),
            bus: Arc::new(self.bus.clone()),
        };
        let push = Push::new(ports, &self.config, self.home.env.clone());
        let served = Served::router(push.router(&require_user(Surface::Tickets)), limits()).await;
        Node { push, served }
    }

    /// The node consumes what the calendars publish.
    pub async fn consume(&mut self, node: &Node) {
        let queue: SharedQueue = Arc::new(self.home.store.clone());
        for spec in Push::specs(&self.config.queue) {
            queue.bind(&spec).await.unwrap();
            let push = node.push.clone();
            let handler = move |delivery| {
                let push = push.clone();
                async move { push.handle(delivery).await }
            };
            self.consumers.spawn(run(queue.clone(), spec, handler, std::future::pending()));
        }
    }

    /// Id of somebody's home.
    pub async fn id(&self, name: &str) -> String {
        let user = self.home.store.user_by_email(&email(name)).await.unwrap().unwrap();
        user.id.to_string()
    }

    /// Path of somebody's default calendar.
    pub async fn calendar(&self, name: &str) -> String {
        let id = self.id(name).await;
        format!("/calendars/{id}/{id}")
    }

    /// A request to the DAV server.
    pub async fn dav(&self, name: &str, method: &str, path: &str, body: &str) -> (StatusCode, String) {
        let mut request = Request::new(Body::from(body.to_owned()));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert("depth", "0".parse().unwrap());
        request.extensions_mut().insert(Actor::User(email(name)));
        let response = self.upstream.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Writes an event into a calendar.
    pub async fn put(&self, name: &str, calendar: &str, uid: &str) {
        let (status, body) = self.dav(name, "PUT", &format!("{calendar}/{uid}.ics"), &crate::journey::event(uid)).await;
        assert!(status.is_success(), "{status} {body}");
    }

    /// Makes a calendar.
    pub async fn make_calendar(&self, name: &str, calendar: &str) {
        let (status, body) = self.dav(name, "MKCALENDAR", calendar, "").await;
        assert!(status.is_success(), "{status} {body}");
    }

    /// The token of a calendar, as its owner sees it.
    pub async fn token(&self, name: &str, path: &str) -> String {
        let ask = r#"<d:propfind xmlns:d="DAV:" xmlns:cs="http://calendarserver.org/ns/"><d:prop><cs:getctag/></d:prop></d:propfind>"#;
        let (_, body) = self.dav(name, "PROPFIND", path, ask).await;
        let start = body.find("<cs:getctag>").unwrap() + "<cs:getctag>".len();
        body[start..].split('<').next().unwrap().to_owned()
    }
}

pub fn email(name: &str) -> Email {
    format!("{name}@example.org").parse().unwrap()
}

impl Node {
    /// A new ticket.
    pub async fn ticket(&self, name: &str) -> String {
        let bearer = format!("Bearer {name}");
        let answer = ask("POST", &self.served.url("/ws/ticket"), &[("authorization", &bearer)], "").await;
        assert_eq!(answer.status(), 200);
        let body: Value = serde_json::from_str(&text(answer).await).unwrap();
        body["value"].as_str().unwrap().to_owned()
    }

    /// A connection that has heard the first frame.
    pub async fn open(&self, name: &str) -> Live {
        let ticket = self.ticket(name).await;
        let mut live = self.enter(&ticket).await.unwrap();
        assert_eq!(live.hear().await, json!({ "calendarListRegistered": true }));
        live
    }

    /// Opens a connection with a ticket; the status where it is refused.
    pub async fn enter(&self, ticket: &str) -> Result<Live, StatusCode> {
        Live::connect(&format!("ws://{}/ws?ticket={ticket}", self.served.addr)).await
    }
}

/// A client's side of a connection.
pub struct Live(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Live {
    pub async fn connect(url: &str) -> Result<Self, StatusCode> {
        match connect_async(url).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::Error::Http(response)) => {
                assert!(response.body().as_ref().is_none_or(Vec::is_empty), "a refusal has no body");
                Err(response.status())
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn say(&mut self, frame: impl ToString) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame.
    pub async fn hear(&mut self) -> Value {
        match self.next().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected a frame, got {other:?}"),
        }
    }

    /// The next message that is neither ping nor pong; `None` at the end.
    pub async fn next(&mut self) -> Option<Message> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(message)) => return Some(message),
                    Some(Err(_)) | None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("something comes")
    }

    /// Says something and hears the next frame.
    pub async fn ask(&mut self, frame: impl ToString) -> Value {
        self.say(frame).await;
        self.hear().await
    }

    /// Wants to hear of places.
    pub async fn register(&mut self, places: &[&str]) {
        let answer = self.ask(json!({ "register": places })).await;
        assert_eq!(answer, json!({ "registered": places }));
    }

    /// The code with which the server ends the connection; frames before it are skipped.
    pub async fn end(&mut self) -> Option<u16> {
        loop {
            match self.next().await? {
                Message::Close(frame) => return frame.map(|frame| u16::from(frame.code)),
                _ => continue,
            }
        }
    }

    /// Closes in order; the code that the server echoes.
    pub async fn leave(mut self) -> Option<u16> {
        let frame = tungstenite::protocol::CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.0.send(Message::Close(Some(frame))).await.unwrap();
        self.end().await
    }
}

/// `{"/calendars/a/b":{"syncToken":"…"}}`.
pub fn pushed(path: &str, token: &str) -> Value {
    json!({ (path): { "syncToken": token } })
}

/// Waits until the condition holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("never: {what}"));
}
