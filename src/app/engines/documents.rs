//! The store, and what nodes agree upon.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Env;
use crate::config::{Config, QueueEngine, StoreEngine};
use crate::health::HealthCheck;
use crate::mongo::Mongo;
use crate::nodes::{SharedLeases, SharedLedger};
use crate::queue::OutgoingStore;
use crate::queue::mongo::MongoOutgoing;
use crate::queue::sqlite::outgoing::SqliteOutgoing;
use crate::sqlite::Sqlite;
use crate::store::files::SharedFileStore;
use crate::store::mongo::MongoDav;
use crate::store::mongo::bootstrap::{BootstrapError, bootstrap};
use crate::store::{SharedDavStore, SharedDirectory, SharedTickets};
use crate::webadmin::StoreAnswers;

use super::{StartError, patiently};

/// Name of the embedded database in the data folder.
const DATABASE: &str = "convoke.db";

/// The engines of documents, opened.
pub(super) struct Documents {
    pub(super) dav: SharedDavStore,
    pub(super) files: SharedFileStore,
    pub(super) directory: SharedDirectory,
    pub(super) tickets: SharedTickets,
    pub(super) leases: SharedLeases,
    pub(super) ledger: SharedLedger,
    /// Messages that wait in the store for a queue of another engine.
    pub(super) outgoing: Option<Arc<dyn OutgoingStore>>,
    pub(super) health: Arc<dyn HealthCheck>,
    /// Opened, too, when only the queue is embedded.
    pub(super) sqlite: Option<Sqlite>,
    pub(super) mongo: Option<Mongo>,
}

impl Documents {
    pub(super) async fn open(config: &Config, env: &Env) -> Result<Self, StartError> {
        let needs_sqlite = config.engine.store == StoreEngine::Sqlite || config.engine.queue == QueueEngine::Sqlite;
        let sqlite = if needs_sqlite { Some(open_sqlite(config, env)?) } else { None };
        match (config.engine.store, sqlite) {
            (StoreEngine::Sqlite, Some(sqlite)) => Self::on_sqlite(sqlite, config.engine.queue).await,
            (_, sqlite) => {
                let mongo = connect_mongo(config, env).await?;
                let dav = MongoDav::open(mongo.clone()).await.map_err(|e| StartError::engine("MongoDB", e))?;
                Ok(Self::on_mongo(mongo, dav, sqlite))
            }
        }
    }

    async fn on_sqlite(sqlite: Sqlite, queue: QueueEngine) -> Result<Self, StartError> {
        let failed = |e: crate::queue::QueueError| StartError::engine("outgoing messages", e);
        let outgoing: Option<Arc<dyn OutgoingStore>> = match queue {
            QueueEngine::RabbitMq => Some(Arc::new(SqliteOutgoing::enter(sqlite.clone()).await.map_err(failed)?)),
            QueueEngine::Sqlite => None,
        };
        let directory: SharedDirectory = Arc::new(sqlite.clone());
        Ok(Self {
            dav: Arc::new(sqlite.clone()),
            files: Arc::new(sqlite.clone()),
            health: Arc::new(StoreAnswers { engine: "SQLite", directory: directory.clone() }),
            directory,
            tickets: Arc::new(sqlite.clone()),
            leases: Arc::new(sqlite.clone()),
            ledger: Arc::new(sqlite.clone()),
            outgoing,
            sqlite: Some(sqlite),
            mongo: None,
        })
    }

    fn on_mongo(mongo: Mongo, dav: MongoDav, sqlite: Option<Sqlite>) -> Self {
        Self {
            dav: Arc::new(dav),
            files: Arc::new(mongo.clone()),
            directory: Arc::new(mongo.clone()),
            tickets: Arc::new(mongo.clone()),
            leases: Arc::new(mongo.clone()),
            ledger: Arc::new(mongo.clone()),
            outgoing: Some(Arc::new(MongoOutgoing::new(mongo.clone()))),
            health: Arc::new(mongo.clone()),
            sqlite,
            mongo: Some(mongo),
        }
    }
}

/// Where the embedded database is.
pub(crate) fn database(config: &Config) -> PathBuf {
    config.data.dir.join(DATABASE)
}

fn open_sqlite(config: &Config, env: &Env) -> Result<Sqlite, StartError> {
    let path = database(config);
    let sqlite = Sqlite::open(&path, config.data.durability, env.clone())
        .map_err(|e| StartError::engine(path.display().to_string(), e))?;
    Ok(sqlite.with_visibility(Duration::from_secs(config.queue.visibility_s)))
}

async fn connect_mongo(config: &Config, env: &Env) -> Result<Mongo, StartError> {
    let mongo = patiently("MongoDB", config, async || Mongo::connect(&config.mongodb, env.clone()).await).await?;
    let mut attempts = 0;
    loop {
        match bootstrap(&mongo).await {
            Ok(()) => return Ok(mongo),
            Err(error) if error.is_passing() && attempts < 5 => {
                attempts += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(refused(error)),
        }
    }
}

fn refused(error: BootstrapError) -> StartError {
    StartError::engine("MongoDB", error)
}
