//! Configuration: one TOML file, every key with a default, each overridable from the environment
//! (`CONVOKE__SECTION__KEY`). `conf/convoke.toml` documents every key; a test compares it with the types here.

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

pub use engine::{CacheEngine, Engine, QueueEngine, SearchEngine, StoreEngine};
pub use files::Files;
pub use load::{ConfigError, ENV_PREFIX, Mistake, choose_file};
pub use mongodb::MongoDb;
pub use opensearch::{ContactsIndex, EventsIndex, OpenSearch};
pub use push::Push;
pub use rabbitmq::{QueueType, RabbitMq};
pub use redis::{Redis, RedisTopology};

use crate::ids::{DomainName, Email};

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

/// The DAV server behind the proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// `builtin`, or the root URL of a server.
    pub url: String,
    /// How a remote server is told who acts.
    pub impersonation: Impersonation,
    /// Administrator for `impersonation = "admin"` (auth §10).
    pub admin_user: String,
    /// The administrator's password.
    pub admin_password: String,
    /// Header for `impersonation = "header"`.
    pub user_header: String,
    /// Path prefix that the server should put before its hrefs, sent as `X-Script-Name` (Radicale).
    pub script_name: Option<String>,
    /// Time to connect, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time until the answer begins, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            url: "builtin".to_owned(),
            impersonation: Impersonation::Admin,
            admin_user: "admin".to_owned(),
            admin_password: String::new(),
            user_header: "X-Remote-User".to_owned(),
            script_name: None,
            connect_timeout_ms: 2_000,
            timeout_ms: 30_000,
        }
    }
}

/// The built-in DAV server (dav §17).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dav {
    /// Attendees may not change what only the organizer may: times, place, title (`SABRE_ENFORCE_RFC_6638`).
    pub guard_attendee_changes: bool,
    /// Listings and searches of principals show people nobody but themselves (`PRINCIPAL_PRIVACY`).
    pub principal_privacy: bool,
    /// A reply is passed on to the other attendees of events with fewer attendees than this; 0 for always
    /// (`TW_CAL_REPLY_PROPAGATION_THRESHOLD`).
    pub reply_propagation: usize,
    /// Everybody finds the people of their domain in an address book that nobody can write to.
    pub members_book: bool,
    /// A new organizer must be the owner of the calendar or who writes (`CALDAV_ORGANIZER_VALIDATION`).
    pub organizer_validation: bool,
    /// Invitations, answers and cancellations of one write that reach local people together with it; those beyond, and 0
    /// for all, are delivered by the queue.
    pub immediate_deliveries: usize,
}

impl Default for Dav {
    fn default() -> Self {
        Self {
            guard_attendee_changes: true,
            principal_privacy: true,
            reply_propagation: 200,
            organizer_validation: false,
            immediate_deliveries: 200,
            members_book: true,
        }
    }
}

/// How a remote DAV server is told on whose behalf a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impersonation {
    /// Basic `admin&user` with the administrator's password (esn-sabre).
    Admin,
    /// A header with the user's address (Radicale's `http_x_remote_user`).
    Header,
}

/// `/dav/**`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Octets of a request body.
    pub body_bytes: u64,
    /// Time without a byte of a body in either direction, in seconds.
    pub idle_timeout_s: u64,
    /// Origins that browsers may call from; `*` for any.
    pub cors_origins: Vec<String>,
    /// Serve DAV at the root too (`/calendars`, `/principals`, `/addressbooks`), for CalDAV clients.
    pub at_root: bool,
}

impl Default for Proxy {
    fn default() -> Self {
        Self { body_bytes: 10 << 20, idle_timeout_s: 60, cors_origins: vec!["*".to_owned()], at_root: true }
    }
}

/// Who may come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Accept Basic credentials of accounts that convoke keeps itself.
    pub basic: bool,
    /// Failed Basic attempts per account and minute before answers are delayed.
    pub basic_failures_per_minute: u32,
    /// Take a password that was right without checking it again for this long, in seconds; 0 checks every time. A
    /// password that is changed by another process ends within this time.
    pub basic_cache_s: u64,
    /// Passwords checked at once; each check takes a processor and some 20 MiB for some 20 ms.
    pub password_checks: usize,
    /// OpenID providers.
    pub oidc: Vec<Oidc>,
    /// Remember a token for this long, in seconds.
    pub token_cache_s: u64,
    /// Tokens to remember.
    pub token_cache_size: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            basic: true,
            basic_failures_per_minute: 10,
            basic_cache_s: 60,
            password_checks: 2,
            oidc: Vec::new(),
            token_cache_s: 300,
            token_cache_size: 10_000,
        }
    }
}

/// One OpenID provider (auth §4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Issuer, exactly as the provider writes it; discovery starts there. Required; checked with everything else.
    #[serde(default)]
    pub issuer: String,
    /// Audiences of which a token must name one. Required.
    #[serde(default)]
    pub audience: Vec<String>,
    /// Client for introspection.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Its secret.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Claim that holds the user name.
    #[serde(default = "Oidc::default_claim")]
    pub claim: String,
    /// Domains whose users this provider vouches for; empty for any.
    #[serde(default)]
    pub domains: Vec<DomainName>,
    /// Refuse users whose address the provider did not verify: `email_verified` is there and anything but true.
    #[serde(default)]
    pub require_verified_email: bool,
    /// Where introspection names no audience, take the client that the token was issued to for one.
    #[serde(default)]
    pub audience_from_client_id: bool,
    /// Clock skew to tolerate, in seconds.
    #[serde(default = "Oidc::default_skew")]
    pub clock_skew_s: u64,
    /// Fetch the provider's metadata and keys again after this long, in seconds.
    #[serde(default = "Oidc::default_keys_max_age")]
    pub keys_max_age_s: u64,
    /// Fetch them at most this often when a token names a key that is not known, or after a failure, in seconds.
    #[serde(default = "Oidc::default_keys_min_age")]
    pub keys_min_age_s: u64,
}

impl Oidc {
    fn default_claim() -> String {
        "email".to_owned()
    }

    fn default_skew() -> u64 {
        30
    }

    fn default_keys_max_age() -> u64 {
        3_600
    }

    fn default_keys_min_age() -> u64 {
        10
    }

    /// A provider of which only the issuer and the audiences are known; everything else as in a file that leaves it out.
    pub fn new(issuer: impl Into<String>, audience: Vec<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience,
            client_id: None,
            client_secret: None,
            claim: Self::default_claim(),
            domains: Vec::new(),
            require_verified_email: false,
            audience_from_client_id: false,
            clock_skew_s: Self::default_skew(),
            keys_max_age_s: Self::default_keys_max_age(),
            keys_min_age_s: Self::default_keys_min_age(),
        }
    }
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

/// What a calendar object may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Octets of one calendar object.
    pub object_bytes: usize,
    /// Nested components.
    pub object_depth: usize,
    /// Content lines of one object.
    pub object_lines: usize,
    /// Occurrences that one expansion gives at most.
    pub occurrences: usize,
    /// Octets that the occurrences of one expanded object have at most; an object that would have more is answered as
    /// it is stored.
    pub expansion_bytes: usize,
    /// Octets of an XML request body.
    pub xml_bytes: usize,
    /// Octets of the objects that one COPY or MOVE of a calendar or address book takes along.
    pub copied_bytes: u64,
    /// Nested XML elements.
    pub xml_depth: usize,
    /// Octets of a JSON request body of the REST API.
    pub json_bytes: usize,
    /// Attendees that one event invites at most.
    pub attendees: usize,
    /// Instances that a series that ends has at most; 0 for any number.
    pub instances: usize,
    /// First year in which anything in a calendar takes place.
    pub first_year: i32,
    /// Last year in which anything in a calendar takes place.
    pub last_year: i32,
    /// Objects that one calendar-query finds at most.
    pub query_results: usize,
    /// Days that one question for free and busy times is about at most.
    pub busy_days: i64,
    /// Busy times that one answer gathers at most.
    pub busy_times: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object_bytes: 10 << 20,
            object_depth: 16,
            object_lines: 200_000,
            occurrences: 10_000,
            expansion_bytes: 20 << 20,
            xml_bytes: 2 << 20,
            copied_bytes: 64 << 20,
            xml_depth: 64,
            json_bytes: 1 << 20,
            attendees: 1_000,
            instances: 0,
            first_year: 1,
            last_year: 9_999,
            query_results: 1_000_000,
            busy_days: 3_660,
            busy_times: 100_000,
        }
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
