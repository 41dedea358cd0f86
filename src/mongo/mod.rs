//! MongoDB: the connection, and what every engine on it needs. [`Mongo`] is the handle; the port engines in `store` and
//! `nodes` implement their traits on it. No type of the driver leaves the engines.
//!
//! Two databases (storage §2, dav §14): people, domains and what convoke keeps itself in one, calendars and address books
//! in the other. Both are shared with esn-sabre and OpenPaaS: fields that convoke does not know are never dropped.

use std::time::Duration;

use mongodb::bson::doc;
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};

use crate::clock::Env;
use crate::config::MongoDb;
use crate::ids::ObjectId;

/// MongoDB cannot be used. The message says which key of the configuration is at fault, or what the server said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MongoError(pub String);

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

    /// Time for one operation.
    pub fn operation_time(&self) -> Duration {
        self.operation
    }

    /// The clock and the generator.
    pub fn env(&self) -> &Env {
        &self.env
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
