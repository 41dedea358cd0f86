//! Several nodes on the same engines: real processes of `convoke serve`, real servers, real kills.

mod disk;
mod faults;
mod nodes;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use convoke::clock::Env;
use convoke::net::{Client, ClientLimits};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::services::need;

pub const ALICE: Person = Person { mail: "alice@example.org", id: "6650c0ffee0123456789a11c" };
pub const BOB: Person = Person { mail: "bob@example.org", id: "6650c0ffee0123456789b0b0" };
pub const PASSWORD: &str = "correct horse";
/// A wait that a test never sits out unless something is broken.
pub const LONG: Duration = Duration::from_secs(60);

/// Somebody with an account.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    pub mail: &'static str,
    pub id: &'static str,
}

impl Person {
    pub fn calendar(&self) -> String {
        format!("/calendars/{0}/{0}/", self.id)
    }
}

/// Where the engines are, each with a place of its own for this test.
#[derive(Debug, Clone)]
pub struct Places {
    pub mongodb: String,
    pub rabbitmq: String,
    pub rabbitmq_management: String,
    /// `user:password` of an administrator of the broker.
    pub rabbitmq_credentials: String,
    pub opensearch: String,
    pub redis: String,
    pub redis_password: Option<String>,
}

impl Places {
    /// The shared test servers; `None` where one is missing, which is a failure in CI.
    pub fn shared() -> Option<Self> {
        Some(Self {
            mongodb: need("CONVOKE_TEST_MONGODB_URL")?,
            rabbitmq: need("CONVOKE_TEST_RABBITMQ_URL")?,
            rabbitmq_management: need("CONVOKE_TEST_RABBITMQ_MANAGEMENT_URL")?,
            rabbitmq_credentials: format!(
                "{}:{}",
                need("CONVOKE_TEST_RABBITMQ_USER")?,
                need("CONVOKE_TEST_RABBITMQ_PASSWORD")?
            ),
            opensearch: need("CONVOKE_TEST_OPENSEARCH_URL")?,
            redis: need("CONVOKE_TEST_REDIS_URL")?,
            redis_password: std::env::var("CONVOKE_TEST_REDIS_PASSWORD").ok(),
        })
    }
}

/// An installation: engines, accounts, and the nodes that were started on them.
pub struct Installation {
    pub name: String,
    places: Option<Places>,
    pub http: Client,
    folder: tempfile::TempDir,
}

impl Installation {
    /// Prepares databases, a vhost, indexes and channels of its own, and the accounts of alice and bob.
    pub async fn prepare(places: Places) -> Self {
        Self::new(Some(places)).await
    }

    /// Everything embedded: one node only.
    pub async fn embedded() -> Self {
        Self::new(None).await
    }

    async fn new(places: Option<Places>) -> Self {
        let name = format!("convoke-{}", Env::system().object_id());
        let http = Client::new(ClientLimits::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let this = Self { name, places, http, folder };
        if let Some(places) = &this.places {
            this.make_vhost(places).await;
        }
        let accounts = this.folder.path().join("accounts.toml");
        let people = [ALICE, BOB].map(|p| {
            format!("[[account]]\nmail = \"{}\"\nname = \"\"\npassword = \"{PASSWORD}\"\nid = \"{}\"\n", p.mail, p.id)
        });
        std::fs::write(&accounts, people.concat()).unwrap();
        let config = this.config("one");
        let done = Command::new(env!("CARGO_BIN_EXE_convoke"))
            .args(["--config".as_ref(), config.as_os_str(), "user".as_ref(), "apply".as_ref(), accounts.as_os_str()])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        this
    }

    async fn make_vhost(&self, places: &Places) {
        let url = format!("{}/api/vhosts/{}", places.rabbitmq_management.trim_end_matches('/'), self.name);
        let request = Request::put(url)
            .header("content-type", "application/json")
            .header("authorization", basic(&places.rabbitmq_credentials));
        let answer = self.http.fetch(request.body(Bytes::from_static(b"{}")).unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// Writes the configuration of a node.
    fn config(&self, node: &str) -> PathBuf {
        let data = self.folder.path().join(node);
        std::fs::create_dir_all(&data).unwrap();
        let mut config = json!({
            "server": { "listen": "127.0.0.1:0" },
            "webadmin": { "listen": "127.0.0.1:0" },
            "data": { "dir": data },
            "queue": { "retry": { "attempts": 100, "first_ms": 50, "most_ms": 1000 }, "visibility_s": 5 },
            "mail": { "transport": "folder", "folder": "outbox", "sender": "calendar@example.org" },
            "log": { "format": "json", "filter": "info" },
        });
        if let Some(places) = &self.places {
            self.name_engines(places, &mut config);
        }
        let file = self.folder.path().join(format!("{node}.toml"));
        std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
        file
    }

    fn name_engines(&self, places: &Places, config: &mut Value) {
        let database = self.name.replace('-', "_");
        config["engine"] = json!({ "store": "mongodb", "queue": "rabbitmq", "search": "opensearch", "cache": "redis" });
        config["mongodb"] = json!({
            "url": places.mongodb, "database": database, "dav_database": format!("{database}_dav"), "server_selection_ms": 2000,
        });
        let mut broker = url::Url::parse(&places.rabbitmq).unwrap();
        broker.set_path(&self.name);
        config["rabbitmq"] = json!({ "url": broker.as_str() });
        config["opensearch"] = json!({
            "urls": [places.opensearch], "shards": 1, "replicas": 0,
            "events": {
                "index": self.name,
                "read_alias": format!("{}-read", self.name), "write_alias": format!("{}-write", self.name),
            },
        });
        config["redis"] = json!({ "urls": [places.redis], "bus_name": self.name });
        if let Some(password) = &places.redis_password {
            config["redis"]["password"] = json!(password);
        }
    }

    /// Starts a node and waits until it is ready.
    pub async fn start(&self, node: &str) -> Node {
        self.start_with(node, Command::new(env!("CARGO_BIN_EXE_convoke"))).await
    }

    /// The same through a program that ends by running convoke with the arguments it is given.
    pub async fn start_with(&self, node: &str, mut program: Command) -> Node {
        let config = self.config(node);
        let log = self.folder.path().join(format!("{node}.log"));
        let already = std::fs::read_to_string(&log).map_or(0, |l| l.lines().count());
        let child = program
            .args(["--config".as_ref(), config.as_os_str(), "serve".as_ref()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let mut node = Node {
            child,
            public: ([0, 0, 0, 0], 0).into(),
            admin: ([0, 0, 0, 0], 0).into(),
            log,
            http: self.http.clone(),
        };
        node.await_ready(already).await;
        node
    }

    /// The Message-IDs of the mails that left, over all nodes that ever ran, by (recipient, UID). A mail that left twice, because a
    /// node died between sending it and saying so, has the same Message-ID both times.
    pub fn mails(&self) -> BTreeMap<(String, String), Vec<String>> {
        let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap().flatten() {
            for file in files(&entry.path().join("outbox")) {
                // One that is being written is seen the next time.
                let Ok(raw) = std::fs::read(file) else { continue };
                let Ok(mail) = convoke::cli::play::Mail::read(&raw) else { continue };
                let uid =
                    mail.calendar.lines().find_map(|l| l.strip_prefix("UID:")).unwrap_or_default().trim().to_owned();
                let text = String::from_utf8_lossy(&raw);
                let id = text.lines().find_map(|l| l.strip_prefix("Message-ID:")).unwrap_or_default().trim().to_owned();
                found.entry((mail.to, uid)).or_default().push(id);
            }
        }
        found
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for entry in std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|e| e == "log") {
                    let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    let tail: Vec<&str> =
                        log.lines().rev().filter(|l| !l.contains("\"target\":\"access\"")).take(30).collect();
                    eprintln!("--- {}", entry.path().display());
                    tail.iter().rev().for_each(|line| eprintln!("{}", line.chars().take(400).collect::<String>()));
                }
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "eml")).collect()
}

/// A process of `convoke serve`.
pub struct Node {
    child: Child,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    log: PathBuf,
    http: Client,
}

impl Node {
    /// Looks only at what is logged after the lines that were there already.
    async fn await_ready(&mut self, already: usize) {
        let begun = Instant::now();
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let ready = log
                .lines()
                .skip(already)
                .filter_map(|l| serde_json::from_str::<Value>(l).ok())
                .find(|l| l["message"] == "ready");
            if let Some(line) = ready {
                self.public = line["public"].as_str().unwrap().parse().unwrap();
                self.admin = line["admin"].as_str().unwrap().parse().unwrap();
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the node ended with {status}:\n{log}");
            }
            assert!(begun.elapsed() < LONG, "the node is not ready:\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn ask(
        &self,
        who: Person,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Bytes> {
        self.try_ask(who, method, path, headers, body).await.unwrap()
    }

    pub async fn try_ask(
        &self,
        who: Person,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Response<Bytes>, convoke::net::ClientError> {
        let url = format!("http://{}{path}", self.public);
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", basic(&format!("{}:{PASSWORD}", who.mail)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.http.fetch(request.body(Bytes::from(body.to_owned())).unwrap()).await
    }

    pub async fn put(&self, who: Person, name: &str, data: &str) -> StatusCode {
        let path = format!("{}{name}", who.calendar());
        self.ask(who, "PUT", &path, &[("content-type", "text/calendar; charset=utf-8")], data).await.status()
    }

    /// The text of every object of the person's default calendar that names the UID.
    pub async fn find(&self, who: Person, uid: &str) -> Option<String> {
        let body = format!(
            r#"<c:calendar-query xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><c:calendar-data/></d:prop><c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"><c:prop-filter name="UID"><c:text-match collation="i;octet">{uid}</c:text-match></c:prop-filter></c:comp-filter></c:comp-filter></c:filter></c:calendar-query>"#
        );
        let answer = self.ask(who, "REPORT", &who.calendar(), &[("depth", "1")], &body).await;
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        text.contains(uid).then_some(text)
    }

    /// UIDs that the search of the REST API finds.
    pub async fn search(&self, who: Person, words: &str) -> Vec<String> {
        let body = json!({ "query": words, "calendars": [{ "userId": who.id, "calendarId": who.id }] }).to_string();
        let answer =
            self.ask(who, "POST", "/calendar/api/events/search", &[("content-type", "application/json")], &body).await;
        if answer.status() != 200 {
            return Vec::new();
        }
        let found: Value = serde_json::from_slice(answer.body()).unwrap();
        let events = found["_embedded"]["events"].as_array().cloned().unwrap_or_default();
        events.iter().filter_map(|e| e["data"]["uid"].as_str().map(str::to_owned)).collect()
    }

    /// Status and components of `/healthcheck`.
    pub async fn health(&self) -> (String, BTreeMap<String, String>) {
        let url = format!("http://{}/healthcheck", self.admin);
        let answer = self.http.fetch(Request::get(url).body(Bytes::new()).unwrap()).await.unwrap();
        let report: Value = serde_json::from_slice(answer.body()).unwrap();
        let checks = report["checks"].as_array().unwrap().iter().map(|c| {
            let text = |key: &str| c[key].as_str().unwrap_or_default().to_owned();
            (text("componentName"), text("status"))
        });
        (report["status"].as_str().unwrap().to_owned(), checks.collect())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `ask` gives something.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(begun.elapsed() < LONG, "it never came to pass: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An event of alice with guests.
pub fn invitation(uid: &str, summary: &str, guests: &[&str]) -> String {
    let mut attendees = String::new();
    for guest in guests {
        attendees.push_str(&format!("ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{guest}\r\n"));
    }
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example.org//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\nDTSTART:20900107T090000Z\r\nDTEND:20900107T100000Z\r\nSUMMARY:{summary}\r\n\
         ORGANIZER:mailto:{}\r\n{attendees}END:VEVENT\r\nEND:VCALENDAR\r\n",
        ALICE.mail
    )
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
}
