//! `[engine]`: which engine is behind each port.

use serde::{Deserialize, Serialize};

/// Which engine is behind each port. Embedded ones by default: one process on one machine, nothing else installed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Documents: people, domains, calendars.
    pub store: StoreEngine,
    /// Messages between the parts of the program and from esn-sabre.
    pub queue: QueueEngine,
    /// Full-text search.
    pub search: SearchEngine,
    /// Remembered tokens, and the bus between nodes.
    pub cache: CacheEngine,
    /// How long to wait at the start for engines that do not answer yet, in seconds.
    pub startup_patience_s: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            store: StoreEngine::Sqlite,
            queue: QueueEngine::Sqlite,
            search: SearchEngine::Sqlite,
            cache: CacheEngine::Memory,
            startup_patience_s: 60,
        }
    }
}

/// Keeps documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreEngine {
    /// A file in `data.dir`.
    Sqlite,
    /// MongoDB, `[mongodb]`.
    #[serde(rename = "mongodb")]
    MongoDb,
}

/// Carries messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueEngine {
    /// Tables of the file in `data.dir`.
    Sqlite,
    /// RabbitMQ, `[rabbitmq]`.
    #[serde(rename = "rabbitmq")]
    RabbitMq,
}

/// Finds events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchEngine {
    /// A file in `data.dir` (FTS5).
    Sqlite,
    /// OpenSearch, `[opensearch]`.
    #[serde(rename = "opensearch")]
    OpenSearch,
}

/// Remembers tokens and connects nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheEngine {
    /// This process.
    Memory,
    /// Redis, `[redis]`.
    Redis,
}
