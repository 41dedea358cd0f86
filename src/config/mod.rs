//! Configuration: one TOML file, every key with a default, each overridable from the environment
//! (`CONVOKE__SECTION__KEY`). `conf/convoke.toml` documents every key; a test compares it with the types here.

mod auth;
mod dav;
mod engine;
mod files;
pub mod import;
mod load;
mod mongodb;
mod opensearch;
mod push;
mod rabbitmq;
mod redis;
mod rules;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use auth::{Auth, Oidc, Programs};
pub use dav::{Dav, Impersonation, InlineAttachments, Limits, Proxy, Upstream};
pub use engine::{CacheEngine, Engine, QueueEngine, SearchEngine, StoreEngine};
pub use files::Files;
pub use load::{ConfigError, ENV_PREFIX, Mistake, choose_file};
pub use mongodb::MongoDb;
pub use opensearch::{ContactsIndex, EventsIndex, OpenSearch};
pub use push::Push;
pub use rabbitmq::{QueueType, RabbitMq};
pub use redis::{Redis, RedisTopology};

use crate::ids::Email;

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The public port.
    pub server: Server,
    /// The administration port.
    pub webadmin: WebAdmin,
    /// Which engine is behind each port.
    pub engine: Engine,
    /// Where embedded engines keep their files.
    pub data: Data,
    /// MongoDB, for `engine.store = "mongodb"`.
    pub mongodb: MongoDb,
    /// RabbitMQ, for `engine.queue = "rabbitmq"`.
    pub rabbitmq: RabbitMq,
    /// OpenSearch, for `engine.search = "opensearch"`.
    pub opensearch: OpenSearch,
    /// Redis, for `engine.cache = "redis"`.
    pub redis: Redis,
    /// The DAV server behind the proxy.
    pub upstream: Upstream,
    /// The built-in DAV server.
    pub dav: Dav,
    /// Plain files of the built-in DAV server.
    pub files: Files,
    /// `/dav/**`.
    pub proxy: Proxy,
    /// Who may come in.
    pub auth: Auth,
    /// Mail out.
    pub mail: Mail,
    /// Languages and zones.
    pub i18n: I18n,
    /// The pages that mails link to.
    pub spa: Spa,
    /// What a calendar object may cost.
    pub limits: Limits,
    /// Messages between the parts of the program.
    pub queue: Queue,
    /// Live updates over WebSocket.
    pub push: Push,
    /// Logs.
    pub log: Log,
}

impl Config {
    /// Replaces every secret by `***`, so that the rest may be shown.
    pub fn hide_secrets(&mut self) {
        let hide = |secret: &mut Option<String>| {
            if secret.is_some() {
                *secret = Some("***".to_owned());
            }
        };
        hide(&mut self.webadmin.password);
        hide(&mut self.auth.programs.password);
        hide(&mut self.mail.smtp.password);
        hide(&mut self.opensearch.password);
        hide(&mut self.redis.password);
        hide(&mut self.redis.sentinel_password);
        hide_in_url(&mut self.mongodb.url);
        hide_in_url(&mut self.rabbitmq.url);
        self.redis.urls.iter_mut().for_each(hide_in_url);
        self.opensearch.urls.iter_mut().for_each(hide_in_url);
        self.auth.oidc.iter_mut().for_each(|p| hide(&mut p.client_secret));
        if !self.upstream.admin_password.is_empty() {
            self.upstream.admin_password = "***".to_owned();
        }
    }
}

/// Replaces the password in `scheme://user:password@host`, and options that may hold one. Rather too much than too little: a
/// password that is not encoded as it should be may hold any character.
fn hide_in_url(url: &mut String) {
    let Some(start) = url.find("://").map(|i| i + 3) else { return };
    if let Some(at) = url[start..].rfind('@').map(|i| start + i)
        && let Some(colon) = url[start..at].find(':').map(|i| start + i)
    {
        url.replace_range(colon + 1..at, "***");
    }
    if let Some(query) = url.find('?')
        && ["password", "token", "secret"].iter().any(|word| url[query..].to_ascii_lowercase().contains(word))
    {
        url.replace_range(query + 1.., "***");
    }
}

/// The public port: REST, `/dav/**`, and DAV at the root for CalDAV clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// How people reach this port, without a trailing `/`.
    pub public_url: String,
    /// Time for a request's head, in seconds.
    pub head_timeout_s: u64,
    /// Octets of a request's head.
    pub head_bytes: usize,
    /// Fields of a request's head.
    pub head_fields: usize,
    /// Time in which a client must take at least one octet of an answer, in seconds.
    pub stall_timeout_s: u64,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Time to finish what is under way at shutdown, in seconds.
    pub shutdown_grace_s: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: "http://127.0.0.1:8080".to_owned(),
            head_timeout_s: 15,
            head_bytes: 32 << 10,
            head_fields: 100,
            stall_timeout_s: 60,
            connections: 10_000,
            shutdown_grace_s: 20,
        }
    }
}

/// The administration port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebAdmin {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Password of the `Password` header; required unless `listen` is a loopback address.
    pub password: Option<String>,
}

impl Default for WebAdmin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8000)), password: None }
    }
}

/// Where embedded engines keep their files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Folder; made when missing.
    pub dir: PathBuf,
    /// Survive a power cut (`full`), or only a crash of the program (`normal`).
    pub durability: Durability,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("convoke-data"), durability: Durability::Full }
    }
}

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// A power cut.
    Full,
    /// A crash of the program.
    Normal,
}

/// Mail out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// Where mails go.
    pub transport: MailTransport,
    /// Who mails of the program itself are from.
    pub sender: Email,
    /// Folder of `transport = "folder"`, below `data.dir` unless absolute.
    pub folder: PathBuf,
    /// Addresses that may be mailed to; empty for anyone.
    pub recipients: Vec<Email>,
    /// The server of `transport = "smtp"`.
    pub smtp: Smtp,
}

impl Default for Mail {
    #[expect(clippy::expect_used, reason = "a constant address")]
    fn default() -> Self {
        Self {
            transport: MailTransport::Folder,
            sender: "no-reply@localhost".parse().expect("a valid address"),
            folder: PathBuf::from("outbox"),
            recipients: Vec::new(),
            smtp: Smtp::default(),
        }
    }
}

/// Where mails go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTransport {
    /// A folder of `.eml` files.
    Folder,
    /// An SMTP server.
    Smtp,
}

/// An SMTP server (mail-itip-alarms §3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smtp {
    /// Host name; also the name its certificate must have.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// Name to greet the server with; our address in brackets when there is none.
    pub helo: Option<String>,
    /// User name, where the server asks for one.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// PEM file of a further certificate authority to trust.
    pub ca_file: Option<PathBuf>,
    /// Time for one command, in seconds.
    pub timeout_s: u64,
    /// Connections kept open at most.
    pub pool: u32,
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 25,
            security: SmtpSecurity::Starttls,
            helo: None,
            username: None,
            password: None,
            ca_file: None,
            timeout_s: 30,
            pool: 4,
        }
    }
}

/// How an SMTP connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmtpSecurity {
    /// TLS from the first byte (port 465).
    Tls,
    /// STARTTLS, or no mail.
    Starttls,
    /// STARTTLS where the server offers it.
    Opportunistic,
    /// Plain text.
    None,
}

/// Languages and zones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct I18n {
    /// Language of people who chose none and of people we do not know.
    pub default_language: String,
    /// IANA zone of people who chose none and of people we do not know.
    pub default_timezone: String,
}

impl Default for I18n {
    fn default() -> Self {
        Self { default_language: "en".to_owned(), default_timezone: "Europe/Paris".to_owned() }
    }
}

/// The pages that mails link to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spa {
    /// The calendar, without a trailing `/`.
    pub calendar_url: String,
}

impl Default for Spa {
    fn default() -> Self {
        Self { calendar_url: "http://127.0.0.1:8080".to_owned() }
    }
}

/// Messages between the parts of the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Deliveries under way at once, per consumer.
    pub concurrency: usize,
    /// Time after which a delivery comes back that nobody works at any more, e.g. after a crash, in seconds.
    pub visibility_s: u64,
    /// How failures are retried.
    pub retry: RetryPolicy,
    /// How mails that were not taken are retried.
    pub mail_retry: RetryPolicy,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            concurrency: 16,
            visibility_s: 60,
            retry: RetryPolicy::default(),
            mail_retry: RetryPolicy { attempts: 12, first_ms: 5_000, most_ms: 3_600_000 },
        }
    }
}

/// When a failed delivery comes back, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in all before a delivery becomes a dead letter.
    pub attempts: u32,
    /// Wait before the second attempt, in milliseconds; doubled each time.
    pub first_ms: u64,
    /// Longest wait, in milliseconds.
    pub most_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 8, first_ms: 500, most_ms: 300_000 }
    }
}

impl RetryPolicy {
    /// The wait after the given number of failed attempts, or `None` when it is time to give up.
    pub fn wait_after(&self, failed: u32) -> Option<Duration> {
        let doublings = failed.saturating_sub(1).min(32);
        let wait = self.first_ms.saturating_mul(1 << doublings).min(self.most_ms);
        (failed < self.attempts).then(|| Duration::from_millis(wait))
    }
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A `tracing` filter, e.g. `info,convoke=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}
