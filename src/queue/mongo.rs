//! The messages that wait in MongoDB: [`OutgoingStore`] on the rows that the store writes together with its changes.
//!
//! A node takes its own messages, in the order in which it wrote them, as soon as they are committed. As long as it lives it
//! says so in `convoke_outgoing_nodes`; the messages of one that has not been heard of for a while become another's, who sends
//! them in their order. Times are compared on the server, so clocks need not agree.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use tokio::time::Instant;

use super::{Outgoing, OutgoingStore, QueueError};
use crate::mongo::{Failure, Mongo, Timed, outgoing};

/// Who lives, and until when at least.
const NODES: &str = "convoke_outgoing_nodes";
/// Time after which what was taken comes back, and a node that was not heard of is given up.
const CLAIM: Duration = Duration::from_secs(30);

/// The messages that wait in MongoDB.
#[derive(Debug)]
pub struct MongoOutgoing {
    mongo: Mongo,
    claim: Duration,
    /// What was taken and is not sent yet, and since when.
    taken: Mutex<HashMap<ObjectId, Instant>>,
    /// When this node last said that it lives.
    said: tokio::sync::Mutex<Option<Instant>>,
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}

impl From<Timed> for QueueError {
    fn from(error: Timed) -> Self {
        Failure::from(error).into()
    }
}

impl MongoOutgoing {
    /// The messages on a connection, which must be the one that the store writes with: messages belong to it.
    pub fn new(mongo: Mongo) -> Self {
        Self { mongo, claim: CLAIM, taken: Mutex::default(), said: tokio::sync::Mutex::default() }
    }

    /// With another time after which what was taken comes back, and a silent node is given up.
    #[must_use]
    pub fn with_claim(mut self, claim: Duration) -> Self {
        self.claim = claim;
        self
    }

    fn nodes(&self) -> Collection<Document> {
        self.mongo.dav().collection(NODES)
    }

    /// Time between two signs of life.
    fn beat(&self) -> Duration {
        self.claim / 3
    }

    /// Says that this node lives, and takes over what dead ones left behind; now and then.
    async fn live(&self) -> Result<(), QueueError> {
        let mut said = self.said.lock().await;
        if said.is_some_and(|at| at.elapsed() < self.beat()) {
            return Ok(());
        }
        let claim = i64::try_from(self.claim.as_millis()).unwrap_or(i64::MAX);
        let until = vec![doc! { "$set": { "until": { "$add": ["$$NOW", claim] } } }];
        let mine = doc! { "_id": self.mongo.node() };
        self.mongo.timed(self.nodes().update_one(mine, until).upsert(true)).await?;
        self.adopt(claim).await?;
        *said = Some(Instant::now());
        Ok(())
    }

    async fn adopt(&self, claim: i64) -> Result<(), QueueError> {
        let rows = self.mongo.outgoing();
        let writers = self.mongo.timed(rows.distinct("node", doc! {})).await?;
        let writers: Vec<&str> = writers.iter().filter_map(Bson::as_str).filter(|n| *n != self.mongo.node()).collect();
        if writers.is_empty() {
            return Ok(());
        }
        let nodes = self.nodes();
        let alive = nodes.find(doc! { "$expr": { "$gt": ["$until", "$$NOW"] } });
        let alive: Vec<Document> = self.mongo.timed(async { alive.await?.try_collect().await }).await?;
        let is_alive = |node: &str| alive.iter().any(|row| row.get_str("_id").is_ok_and(|id| id == node));
        for dead in writers.into_iter().filter(|node| !is_alive(node)) {
            // One that has just begun may not have said that it lives.
            let old = doc! { "$lt": ["$written", { "$subtract": ["$$NOW", claim] }] };
            let theirs = doc! { "node": dead, "$expr": old };
            let mine = doc! { "$set": { "node": self.mongo.node() } };
            let adopted = self.mongo.timed(rows.update_many(theirs, mine)).await?;
            if adopted.modified_count > 0 {
                tracing::info!(messages = adopted.modified_count, "messages of a node that is gone are sent from here");
            }
            let forgotten = doc! { "_id": dead, "$expr": { "$lt": ["$until", "$$NOW"] } };
            self.mongo.timed(nodes.delete_one(forgotten)).await?;
        }
        Ok(())
    }

    /// The first messages of this node that are not taken.
    async fn ready(&self, most: usize) -> Result<Vec<Outgoing>, QueueError> {
        let taken: Vec<ObjectId> = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.retain(|_, since| since.elapsed() < self.claim);
            taken.keys().copied().collect()
        };
        let filter = doc! { "node": self.mongo.node(), "ready": true, "_id": { "$nin": taken } };
        let rows = self.mongo.outgoing();
        let find = rows.find(filter).sort(doc! { "order": 1 }).limit(i64::try_from(most).unwrap_or(i64::MAX));
        let found: Vec<Document> = self.mongo.timed(async { find.await?.try_collect().await }).await?;
        let mut messages = Vec::with_capacity(found.len());
        for row in found {
            let Ok(id) = row.get_object_id("_id") else { continue };
            match outgoing::message(&row) {
                Some(message) => messages.push(Outgoing { id: id.to_hex(), message }),
                None => self.set_aside(id).await?,
            }
        }
        let now = Instant::now();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(messages.iter().filter_map(|m| Some((ObjectId::parse_str(&m.id).ok()?, now))));
        Ok(messages)
    }

    /// A row that this program cannot have written must not hold up the others.
    async fn set_aside(&self, id: ObjectId) -> Result<(), QueueError> {
        tracing::error!(row = %id, collection = outgoing::COLLECTION, "an outgoing message cannot be read; it is left where it is");
        let unreadable = doc! { "$set": { "ready": "unreadable" } };
        Ok(self.mongo.timed(self.mongo.outgoing().update_one(doc! { "_id": id }, unreadable)).await.map(drop)?)
    }
}

#[async_trait]
impl OutgoingStore for MongoOutgoing {
    async fn take(&self, most: usize) -> Result<Vec<Outgoing>, QueueError> {
        loop {
            let mut rung = pin!(self.mongo.rung());
            rung.as_mut().enable();
            self.live().await?;
            let messages = self.ready(most.max(1)).await?;
            if !messages.is_empty() {
                return Ok(messages);
            }
            // What was taken comes back, and what dead nodes wrote, without a bell.
            let _ = tokio::time::timeout(self.beat(), rung).await;
        }
    }

    async fn sent(&self, ids: &[String]) -> Result<(), QueueError> {
        let ids: Vec<ObjectId> = ids.iter().filter_map(|id| ObjectId::parse_str(id).ok()).collect();
        let rows = self.mongo.outgoing();
        self.mongo.timed(rows.delete_many(doc! { "_id": { "$in": ids.clone() } })).await?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            taken.remove(&id);
        }
        Ok(())
    }

    async fn waiting(&self) -> Result<(u64, u64), QueueError> {
        self.live().await?;
        let rows = self.mongo.outgoing();
        let count = self.mongo.timed(rows.count_documents(doc! { "ready": true })).await?;
        // Ids begin with the time.
        let oldest = self.mongo.timed(rows.find_one(doc! { "ready": true }).sort(doc! { "_id": 1 })).await?;
        let written = oldest.and_then(|row| row.get_datetime("written").ok().map(|at| at.timestamp_millis()));
        let age = written.map_or(0, |written| self.mongo.env().now().timestamp_millis().saturating_sub(written));
        Ok((count, u64::try_from(age).unwrap_or(0) / 1000))
    }
}
