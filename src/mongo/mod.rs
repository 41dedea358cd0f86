//! MongoDB: the connection, and what every engine on it needs. [`Mongo`] is the handle; the port engines in `store`, `queue`
//! and `nodes` implement their traits on it. No type of the driver leaves the engines.
//!
//! Two databases (storage §2, dav §14): people, domains and what convoke keeps itself in one, calendars and address books
//! in the other. Both are shared with esn-sabre and OpenPaaS: fields that convoke does not know are never dropped.
//!
//! Every call ends: finding a server and each operation have their time, after which the call fails as
//! [`Failure::Unavailable`] and the driver goes on looking for the server by itself.

mod error;
mod examine;
mod metrics;
pub mod outgoing;
pub mod schema;
mod transaction;
mod watch;

use std::future::IntoFuture;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId as Oid;
use mongodb::options::{
    Acknowledgment, ClientOptions, ReadPreference, SelectionCriteria, Tls, TlsOptions, WriteConcern,
};
use mongodb::{Client, Database};

pub use error::{Failure, MongoError, code};
pub use examine::REFUSED_STEPS;
pub use transaction::{Interrupt, Work};

use crate::clock::Env;
use crate::config::MongoDb;
use crate::ids::ObjectId;

/// A connection to the databases. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mongo {
    client: Client,
    platform: Database,
    dav: Database,
    transactions: bool,
    sharded: bool,
    operation: Duration,
    env: Env,
    shared: Arc<Shared>,
}

/// What the clones of a handle have in common.
#[derive(Debug)]
struct Shared {
    /// The hosts, for people; without secrets.
    hosts: String,
    /// Whether the connection is encrypted.
    tls: bool,
    /// Tells this process from every other.
    node: String,
    /// Five bytes of the ids made here, which no other process has.
    random: [u8; 5],
    counter: AtomicU64,
    order: AtomicU64,
    bell: tokio::sync::Notify,
}

impl Mongo {
    /// Connects, and finds out whether the server has transactions.
    ///
    /// # Errors
    /// [`MongoError`] when the URL is wrong or no server answers in time.
    pub async fn connect(config: &MongoDb, env: Env) -> Result<Self, MongoError> {
        let selection = Duration::from_millis(config.server_selection_ms);
        let options = tokio::time::timeout(selection, ClientOptions::parse(&config.url))
            .await
            .map_err(|_| MongoError("mongodb.url: the name servers do not answer".to_owned()))?
            .map_err(|e| MongoError(bad_url(&config.url, &e)))?;
        if let Some(Tls::Enabled(tls)) = &options.tls
            && tls.allow_invalid_certificates == Some(true)
        {
            return Err(MongoError(
                "mongodb.url: found tlsInsecure or tlsAllowInvalidCertificates, expected neither: certificates are always \
                 checked; name the authority in mongodb.ca_file"
                    .to_owned(),
            ));
        }
        let options = with_limits(options, config, selection);
        let hosts = options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let tls = matches!(options.tls, Some(Tls::Enabled(_)));
        let client = Client::with_options(options).map_err(|e| MongoError(format!("mongodb: {e}")))?;
        let hello = tokio::time::timeout(selection, client.database("admin").run_command(doc! { "hello": 1 })).await;
        let hello = hello
            .map_err(|_| MongoError(format!("mongodb: no answer from {hosts} in time")))?
            .map_err(|e| MongoError(format!("mongodb: {hosts}: {}", Failure::from(e))))?;
        let sharded = hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
        let mut random = [0; 5];
        env.fill(&mut random);
        Ok(Self {
            platform: client.database(&config.database),
            dav: client.database(&config.dav_database),
            client,
            // Since version 4.0, of which this is the number.
            transactions: (sharded || hello.contains_key("setName"))
                && hello.get_i32("maxWireVersion").is_ok_and(|version| version >= 7),
            sharded,
            operation: Duration::from_millis(config.operation_ms),
            shared: Arc::new(Shared {
                hosts,
                tls,
                node: env.token(96),
                random,
                counter: AtomicU64::new(0),
                order: AtomicU64::new(0),
                bell: tokio::sync::Notify::new(),
            }),
            env,
        })
    }

    /// The database of people, domains and what convoke keeps itself.
    pub fn platform(&self) -> &Database {
        &self.platform
    }

    /// The database of calendars and address books.
    pub fn dav(&self) -> &Database {
        &self.dav
    }

    /// The driver's client, for sessions.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the server has transactions: a replica set or a sharded cluster.
    pub fn has_transactions(&self) -> bool {
        self.transactions
    }

    /// Waits for an operation as long as an operation may take: the driver itself waits for an answer for ever.
    ///
    /// # Errors
    /// [`Timed`]; a [`Failure`] is made of it by `?`.
    pub async fn timed<T>(
        &self,
        operation: impl IntoFuture<Output = mongodb::error::Result<T>> + Send,
    ) -> Result<T, Timed> {
        match tokio::time::timeout(self.operation, operation).await {
            Ok(done) => done.map_err(Timed::Driver),
            Err(_) => Err(Timed::Late),
        }
    }

    /// Time for one operation.
    pub fn operation_time(&self) -> Duration {
        self.operation
    }

    /// The clock and the generator.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Names this process among those on the same databases.
    pub fn node(&self) -> &str {
        &self.shared.node
    }

    /// A new id. Those that one process makes in a second come in the order in which they are made.
    pub fn new_id(&self) -> Oid {
        let seconds = u32::try_from(self.env.now().timestamp()).unwrap_or(0).to_be_bytes();
        let [.., a, b, c] = self.shared.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let [r0, r1, r2, r3, r4] = self.shared.random;
        let [s0, s1, s2, s3] = seconds;
        Oid::from_bytes([s0, s1, s2, s3, r0, r1, r2, r3, r4, a, b, c])
    }

    /// Ends all connections; every later call fails as unavailable.
    pub async fn close(self) {
        self.client.shutdown().immediate(true).await;
    }
}

/// What is wrong with a URL, without its secrets.
fn bad_url(url: &str, error: &mongodb::error::Error) -> String {
    if url.contains('@') {
        // The driver may quote a piece of the password.
        return "mongodb.url: not understood; in user name and password, write : / ? # [ ] @ as %3A and so on"
            .to_owned();
    }
    format!("mongodb.url: {error}")
}

/// What the configuration says, on top of what the URL says.
fn with_limits(mut options: ClientOptions, config: &MongoDb, selection: Duration) -> ClientOptions {
    options.app_name.get_or_insert_with(|| "convoke".to_owned());
    options.server_selection_timeout = Some(selection);
    options.connect_timeout = Some(Duration::from_millis(config.connect_ms));
    options.max_pool_size = Some(config.pool);
    // What is read decides what is written: never from a secondary, which may be behind.
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.retry_reads.get_or_insert(true);
    options.retry_writes.get_or_insert(true);
    // What is acknowledged survives the loss of the primary, and of power.
    options.write_concern.get_or_insert_with(|| {
        let mut durable = WriteConcern::default();
        durable.w = Some(Acknowledgment::Majority);
        durable.journal = Some(true);
        durable
    });
    if let Some(ca) = &config.ca_file {
        trust(&mut options, ca.clone());
    }
    options.command_event_handler = Some(metrics::handler());
    options.sdam_event_handler = Some(watch::handler());
    options
}

/// TLS with an authority of one's own.
fn trust(options: &mut ClientOptions, ca: PathBuf) {
    let mut tls = match options.tls.take() {
        Some(Tls::Enabled(tls)) => tls,
        _ => TlsOptions::default(),
    };
    tls.ca_file_path = Some(ca);
    options.tls = Some(Tls::Enabled(tls));
}

/// Why an operation did not succeed in its time.
#[derive(Debug, thiserror::Error)]
pub enum Timed {
    /// The driver or the server said so.
    #[error(transparent)]
    Driver(#[from] mongodb::error::Error),
    /// There was no answer in time.
    #[error("no answer in time")]
    Late,
}

impl From<Timed> for Failure {
    fn from(error: Timed) -> Self {
        match error {
            Timed::Driver(error) => error.into(),
            Timed::Late => Self::timed_out(),
        }
    }
}

/// Our id as the driver's.
pub fn oid(id: ObjectId) -> Oid {
    Oid::from_bytes(*id.bytes())
}

/// The driver's id as ours.
pub fn id(oid: Oid) -> ObjectId {
    ObjectId::from_bytes(oid.bytes())
}
