//! Which engine is behind each port.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::memory::{MemoryBus, MemoryTokenCache};
use crate::cache::{SharedBus, SharedTokenCache};
use crate::clock::Env;
use crate::config::{Config, MailTransport};
use crate::mail::SharedTransport;
use crate::mail::folder::OutboxFolder;
use crate::mail::smtp::Smtp;
use crate::queue::SharedQueue;
use crate::search::SharedEventIndex;
use crate::search::fts::Fts;
use crate::sqlite::Sqlite;
use crate::store::{SharedDavStore, SharedDirectory, SharedTickets};

/// Name of the embedded database in the data folder.
const DATABASE: &str = "convoke.db";
/// Name of the embedded search index in the data folder.
const SEARCH: &str = "search.db";

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
    /// People and domains.
    pub directory: SharedDirectory,
    /// Messages between the parts.
    pub queue: SharedQueue,
    /// Full-text search.
    pub index: SharedEventIndex,
    /// Tokens that were vouched for.
    pub tokens: SharedTokenCache,
    /// Tickets that open a WebSocket.
    pub tickets: SharedTickets,
    /// What is told to whoever listens.
    pub bus: SharedBus,
    /// Mail out.
    pub transport: SharedTransport,
    sqlite: Sqlite,
    fts: Fts,
}

impl Engines {
    /// Opens the engines that the configuration names.
    ///
    /// # Errors
    /// [`StartError`] with the key or the file that is at fault.
    pub fn open(config: &Config, env: &Env) -> Result<Self, StartError> {
        let dir = &config.data.dir;
        std::fs::create_dir_all(dir).map_err(|error| StartError::DataDir { path: dir.clone(), error })?;
        let database = dir.join(DATABASE);
        let sqlite = Sqlite::open(&database, config.data.durability, env.clone())
            .map_err(|e| StartError::engine(database.display().to_string(), e))?
            .with_visibility(Duration::from_secs(config.queue.visibility_s));
        let search = dir.join(SEARCH);
        let fts = Fts::open(&search, env.clone()).map_err(|e| StartError::engine(search.display().to_string(), e))?;
        Ok(Self {
            dav: Arc::new(sqlite.clone()),
            directory: Arc::new(sqlite.clone()),
            queue: Arc::new(sqlite.clone()),
            index: Arc::new(fts.clone()),
            tokens: Arc::new(MemoryTokenCache::new(
                Duration::from_secs(config.auth.token_cache_s),
                config.auth.token_cache_size,
                env.clone(),
            )),
            tickets: Arc::new(sqlite.clone()),
            bus: Arc::new(MemoryBus::default()),
            transport: transport(config, env)?,
            sqlite,
            fts,
        })
    }

    /// Writes everything to its place and closes the files.
    pub async fn close(self) {
        self.fts.close().await;
        self.sqlite.close().await;
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
