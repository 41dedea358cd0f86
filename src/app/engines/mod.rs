//! Which engine is behind each port.

mod documents;
mod examine;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::documents::Documents;
pub use self::examine::examinations;
use crate::cache::memory::{MemoryBus, MemoryTokenCache};
use crate::cache::redis::Redis;
use crate::cache::{SharedBus, SharedTokenCache};
use crate::clock::Env;
use crate::config::{CacheEngine, Config, MailTransport, QueueEngine, SearchEngine};
use crate::health::HealthCheck;
use crate::mail::SharedTransport;
use crate::mail::folder::OutboxFolder;
use crate::mail::smtp::Smtp;
use crate::mongo::Mongo;
use crate::nodes::{NodeId, SharedLeases, SharedLedger};
use crate::queue::rabbitmq::RabbitMq;
use crate::queue::sqlite::outgoing::SqliteOutgoing;
use crate::queue::{OutgoingStore, SharedQueue};
use crate::search::fts::Fts;
use crate::search::opensearch::OpenSearch;
use crate::search::{SharedContactIndex, SharedEventIndex};
use crate::sqlite::Sqlite;
use crate::store::files::SharedFileStore;
use crate::store::{SharedDavStore, SharedDirectory, SharedTickets};
use crate::webadmin::{DeadLettersAbsent, QueueAnswers, SearchAnswers};

/// Name of the embedded search index in the data folder.
const SEARCH: &str = "search.db";
/// Time to wait for Redis at the start; without it everything works, only less well.
const REDIS_PATIENCE: Duration = Duration::from_secs(3);

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("data.dir: cannot make {path}: {error}")]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// An engine cannot be opened.
    #[error("{engine}: {reason}")]
    Engine {
        /// Which, with its place.
        engine: String,
        /// Why.
        reason: String,
    },
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {address}: {error}")]
    Listen {
        /// Key of the configuration.
        key: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The demo's passwords are public: it is for this machine only.
    #[error("{key}: {address} is not a loopback address, and the demo's passwords are public")]
    NotLoopback {
        /// Option of the command line.
        key: &'static str,
        /// The address.
        address: std::net::SocketAddr,
    },
    /// An accounts file cannot be applied.
    #[error("{0}")]
    Accounts(String),
}

impl StartError {
    pub(super) fn engine(engine: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self::Engine { engine: engine.into(), reason: error.to_string() }
    }
}

/// The engines behind the ports.
#[derive(Clone)]
pub struct Engines {
    /// Calendars and address books.
    pub dav: SharedDavStore,
    /// Plain files.
    pub files: SharedFileStore,
    /// People and domains.
    pub directory: SharedDirectory,
    /// Tickets that open a WebSocket.
    pub tickets: SharedTickets,
    /// Who does what only one node may do.
    pub leases: SharedLeases,
    /// What was done already.
    pub ledger: SharedLedger,
    /// Messages between the parts.
    pub queue: SharedQueue,
    /// Full-text search.
    pub index: SharedEventIndex,
    /// Contacts to complete, where there is an index of them.
    pub contacts: Option<SharedContactIndex>,
    /// Tokens that were vouched for.
    pub tokens: SharedTokenCache,
    /// What is told to whoever listens.
    pub bus: SharedBus,
    /// Mail out.
    pub transport: SharedTransport,
    /// This process among the nodes.
    pub node: NodeId,
    pub(super) outgoing: Option<Arc<dyn OutgoingStore>>,
    pub(super) health: Vec<Arc<dyn HealthCheck>>,
    opened: Opened,
}

/// What is to be closed in the end.
#[derive(Clone, Default)]
struct Opened {
    sqlite: Option<Sqlite>,
    mongo: Option<Mongo>,
    fts: Option<Fts>,
    rabbitmq: Option<RabbitMq>,
    redis: Option<Redis>,
}

impl Engines {
    /// Opens the engines that the configuration names. Waits for `engine.startup_patience_s` for those that nothing goes
    /// without; search and cache may come later.
    ///
    /// # Errors
    /// [`StartError`] with the key, the file or the engine that is at fault.
    pub async fn open(config: &Config, env: &Env) -> Result<Self, StartError> {
        crate::net::use_ring();
        let dir = &config.data.dir;
        std::fs::create_dir_all(dir).map_err(|error| StartError::DataDir { path: dir.clone(), error })?;
        let node = NodeId(env.uuid().to_string());
        let documents = Documents::open(config, env).await?;
        let mut opened = Opened { sqlite: documents.sqlite, mongo: documents.mongo, ..Opened::default() };
        let mut health = vec![documents.health];
        let queue = opened.queue(config, &node, &documents.ledger, &mut health, env).await?;
        let (index, contacts) = opened.search(config, &mut health, env).await?;
        let (tokens, bus) = opened.cache(config, &mut health, env).await?;
        Ok(Self {
            dav: documents.dav,
            files: documents.files,
            directory: documents.directory,
            tickets: documents.tickets,
            leases: documents.leases,
            ledger: documents.ledger,
            queue,
            index,
            contacts,
            tokens,
            bus,
            transport: transport(config, env)?,
            node,
            outgoing: documents.outgoing,
            health,
            opened,
        })
    }

    /// To be called once all consumers are bound: what waited for a queue of another engine, which the configuration named
    /// before, goes to them.
    ///
    /// # Errors
    /// [`StartError`] of the database.
    pub(super) async fn consumers_are_bound(&self) -> Result<(), StartError> {
        match &self.opened.sqlite {
            Some(sqlite) if self.opened.rabbitmq.is_none() => {
                SqliteOutgoing::leave(sqlite).await.map_err(|e| StartError::engine("queue", e))
            }
            _ => Ok(()),
        }
    }

    /// Writes everything to its place, says goodbye to the servers and closes the files.
    pub async fn close(self) {
        let Opened { sqlite, mongo, fts, rabbitmq, redis } = self.opened;
        if let Some(rabbitmq) = rabbitmq {
            rabbitmq.close().await;
        }
        if let Some(redis) = redis {
            redis.close().await;
        }
        if let Some(fts) = fts {
            fts.close().await;
        }
        if let Some(mongo) = mongo {
            mongo.close().await;
        }
        if let Some(sqlite) = sqlite {
            sqlite.close().await;
        }
    }
}

impl Opened {
    async fn queue(
        &mut self,
        config: &Config,
        node: &NodeId,
        ledger: &SharedLedger,
        health: &mut Vec<Arc<dyn HealthCheck>>,
        env: &Env,
    ) -> Result<SharedQueue, StartError> {
        if let (QueueEngine::Sqlite, Some(sqlite)) = (config.engine.queue, &self.sqlite) {
            let queue: SharedQueue = Arc::new(sqlite.clone());
            health.push(Arc::new(QueueAnswers { engine: "Queue", queue: queue.clone() }));
            health.push(Arc::new(DeadLettersAbsent(queue.clone())));
            return Ok(queue);
        }
        let visibility = Duration::from_secs(config.queue.visibility_s);
        let rabbitmq = patiently("RabbitMQ", config, async || {
            RabbitMq::connect(&config.rabbitmq, node.clone(), ledger.clone(), visibility, env.clone()).await
        })
        .await?;
        health.extend(rabbitmq.health_checks());
        self.rabbitmq = Some(rabbitmq.clone());
        Ok(Arc::new(rabbitmq))
    }

    async fn search(
        &mut self,
        config: &Config,
        health: &mut Vec<Arc<dyn HealthCheck>>,
        env: &Env,
    ) -> Result<(SharedEventIndex, Option<SharedContactIndex>), StartError> {
        if config.engine.search == SearchEngine::OpenSearch {
            let engine = OpenSearch::new(&config.opensearch, env.clone());
            let engine = engine.map_err(|e| StartError::engine("opensearch", e))?;
            // Made by the first write otherwise.
            if let Err(error) = engine.ensure_indices().await {
                tracing::warn!(%error, "search is away; everything else works");
            }
            let engine = Arc::new(engine);
            health.push(engine.clone());
            return Ok((engine.clone(), Some(engine)));
        }
        let path = config.data.dir.join(SEARCH);
        let fts = Fts::open(&path, env.clone()).map_err(|e| StartError::engine(path.display().to_string(), e))?;
        let index: SharedEventIndex = Arc::new(fts.clone());
        health.push(Arc::new(SearchAnswers { engine: "Search", index: index.clone() }));
        self.fts = Some(fts);
        Ok((index, None))
    }

    async fn cache(
        &mut self,
        config: &Config,
        health: &mut Vec<Arc<dyn HealthCheck>>,
        env: &Env,
    ) -> Result<(SharedTokenCache, SharedBus), StartError> {
        let (keep, size) = (Duration::from_secs(config.auth.token_cache_s), config.auth.token_cache_size);
        if config.engine.cache == CacheEngine::Memory {
            return Ok((Arc::new(MemoryTokenCache::new(keep, size, env.clone())), Arc::new(MemoryBus::default())));
        }
        let redis = Redis::open(&config.redis, keep, size, env.clone());
        let redis = redis.map_err(|e| StartError::engine("redis", e))?;
        if !redis.ready(REDIS_PATIENCE).await {
            tracing::warn!("Redis is away; tokens are remembered by this node alone");
        }
        health.push(Arc::new(redis.clone()));
        self.redis = Some(redis.clone());
        Ok((Arc::new(redis.clone()), Arc::new(redis)))
    }
}

/// Calls until the engine answers, with growing pauses, for as long as `engine.startup_patience_s` says.
async fn patiently<T, E: std::fmt::Display>(
    engine: &str,
    config: &Config,
    connect: impl AsyncFn() -> Result<T, E>,
) -> Result<T, StartError> {
    let (begun, patience) = (Instant::now(), Duration::from_secs(config.engine.startup_patience_s));
    let mut pause = Duration::from_millis(100);
    loop {
        match connect().await {
            Ok(connected) => return Ok(connected),
            Err(error) if begun.elapsed() + pause < patience => {
                tracing::warn!(engine, %error, "not there yet, trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(error) => return Err(StartError::engine(engine, error)),
        }
    }
}

fn transport(config: &Config, env: &Env) -> Result<SharedTransport, StartError> {
    match config.mail.transport {
        MailTransport::Folder => {
            // An absolute folder replaces the data folder.
            let folder = outbox_folder(config);
            let engine = OutboxFolder::open(&folder, env.clone());
            Ok(Arc::new(engine.map_err(|e| StartError::engine(format!("mail.folder {}", folder.display()), e))?))
        }
        MailTransport::Smtp => {
            Ok(Arc::new(Smtp::new(&config.mail.smtp).map_err(|e| StartError::engine("mail.smtp", e))?))
        }
    }
}

/// Where `transport = "folder"` puts mails.
pub(super) fn outbox_folder(config: &Config) -> PathBuf {
    config.data.dir.join(&config.mail.folder)
}
