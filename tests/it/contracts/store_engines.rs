//! The engines of the store, each with what it publishes: SQLite into its own queue, MongoDB into rows that wait for a queue
//! of another engine.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use convoke::events::{Message, Topic};
use convoke::mongo::Mongo;
use convoke::queue::mongo::MongoOutgoing;
use convoke::queue::{ConsumerSpec, OutgoingStore, SharedQueue};
use convoke::store::SharedDavStore;
use convoke::store::mongo::MongoDav;

use super::engines::{Harness as _, SqliteHarness};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// What a store has published.
#[async_trait]
pub trait Published: Send + Sync {
    /// Up to `most` messages that were not given out before; waits until there is one.
    async fn next(&self, most: usize) -> Vec<Message>;
}

/// A store and what it publishes.
pub struct StorePorts {
    pub dav: SharedDavStore,
    pub published: Arc<dyn Published>,
}

/// Opens an engine on its data, which is fresh the first time and kept until the harness is dropped.
#[async_trait]
pub trait StoreHarness: Send + Sync {
    async fn open(&self) -> StorePorts;
    /// Stops the engine that was opened last, so that it can be opened again.
    async fn close(&self);
}

/// SQLite in a temporary folder.
pub struct SqliteStore(SqliteHarness);

impl SqliteStore {
    pub fn new() -> Self {
        Self(SqliteHarness::new())
    }
}

#[async_trait]
impl StoreHarness for SqliteStore {
    async fn open(&self) -> StorePorts {
        let ports = self.0.open().await;
        ports.queue.bind(&Bound::spec()).await.unwrap();
        StorePorts { dav: ports.dav, published: Arc::new(Bound(ports.queue)) }
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// A consumer of the queue.
struct Bound(SharedQueue);

impl Bound {
    fn spec() -> ConsumerSpec {
        ConsumerSpec {
            name: "test:published",
            topics: vec![Topic::EventCreated],
            concurrency: 1,
            retry: Default::default(),
        }
    }
}

#[async_trait]
impl Published for Bound {
    async fn next(&self, most: usize) -> Vec<Message> {
        let delivered = self.0.receive(&Self::spec(), most).await.unwrap();
        delivered.into_iter().map(|delivery| delivery.message).collect()
    }
}

/// MongoDB, in databases of its own.
pub struct MongoHarness {
    databases: TestMongo,
    opened: Mutex<Option<Mongo>>,
}

impl MongoHarness {
    /// With transactions.
    pub fn replica_set() -> Option<Self> {
        TestMongo::on(REPLICA_SET).map(|databases| Self { databases, opened: Mutex::default() })
    }

    /// Without.
    pub fn standalone() -> Option<Self> {
        TestMongo::on(STANDALONE).map(|databases| Self { databases, opened: Mutex::default() })
    }
}

#[async_trait]
impl StoreHarness for MongoHarness {
    async fn open(&self) -> StorePorts {
        let mongo = self.databases.connect().await;
        *self.opened.lock().unwrap() = Some(mongo.clone());
        let dav = MongoDav::open(mongo.clone()).await.unwrap();
        StorePorts { dav: Arc::new(dav), published: Arc::new(Waiting(MongoOutgoing::new(mongo))) }
    }

    async fn close(&self) {
        let opened = self.opened.lock().unwrap().take();
        if let Some(mongo) = opened {
            mongo.close().await;
        }
    }
}

/// The rows that wait.
struct Waiting(MongoOutgoing);

#[async_trait]
impl Published for Waiting {
    async fn next(&self, most: usize) -> Vec<Message> {
        self.0.take(most).await.unwrap().into_iter().map(|outgoing| outgoing.message).collect()
    }
}
