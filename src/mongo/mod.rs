//! MongoDB: the connection, and what every engine on it needs. [`Mongo`] is the handle; the port engines in `store` and
//! `nodes` implement their traits on it. No type of the driver leaves the engines.
//!
//! Two databases (storage §2, dav §14): people, domains and what convoke keeps itself in one, calendars and address books
//! in the other. Both are shared with esn-sabre and OpenPaaS: fields that convoke does not know are never dropped.

mod error;
pub mod schema;

use std::future::Future;
use std::time::Duration;

use mongodb::bson::doc;
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};

pub use error::{Failure, MongoError, code};

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
    operation: Duration,
    env: Env,
}

impl Mongo {
    /// Connects, and finds out whether the server has transactions.
    ///
    /// # Errors
    /// [`MongoError`] when the URL is wrong or no server answers in time.
    pub async fn connect(config: &MongoDb, env: Env) -> Result<Self, MongoError> {
        let mut options =
            ClientOptions::parse(&config.url).await.map_err(|e| MongoError(format!("mongodb.url: {e}")))?;
        options.app_name.get_or_insert_with(|| "convoke".to_owned());
        options.server_selection_timeout = Some(Duration::from_millis(config.server_selection_ms));
        options.max_pool_size = Some(config.pool);
        let client = Client::with_options(options).map_err(|e| MongoError(format!("mongodb: {e}")))?;
        let hello = client.database("admin").run_command(doc! { "hello": 1 }).await;
        let hello = hello.map_err(|e| MongoError(format!("mongodb: {e}")))?;
        let transactions = hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
        Ok(Self {
            platform: client.database(&config.database),
            dav: client.database(&config.dav_database),
            client,
            transactions,
            operation: Duration::from_millis(config.operation_ms),
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
    pub async fn timed<T>(&self, operation: impl Future<Output = mongodb::error::Result<T>>) -> Result<T, Timed> {
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
pub fn oid(id: ObjectId) -> mongodb::bson::oid::ObjectId {
    mongodb::bson::oid::ObjectId::from_bytes(*id.bytes())
}

/// The driver's id as ours.
pub fn id(oid: mongodb::bson::oid::ObjectId) -> ObjectId {
    ObjectId::from_bytes(oid.bytes())
}
