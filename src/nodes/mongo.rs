//! The engine on MongoDB: `convoke_leases` and `convoke_ledger` in the platform database.
//!
//! Every instant is the server's (`$$NOW`) and every decision is one update of one document, so nodes whose clocks differ
//! agree. TTL indexes clear away what is past its time; they are lazy, so the updates look at the time, too.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{Acknowledgment, CollectionOptions, ReturnDocument, WriteConcern};

use super::{Begin, Leases, Ledger, NodeId, NodesError};
use crate::mongo::{Failure, Mongo};

/// Leases: `_id` name, `holder`, `until`.
pub const LEASES: &str = "convoke_leases";
/// Work: `_id` name, `holder`, `done`, `until`.
pub const LEDGER: &str = "convoke_ledger";

/// Two nodes that insert the same name at once: one of them finds it taken and must look again, and again when the first
/// gave it back meanwhile.
const ATTEMPTS: u32 = 4;
/// A century in milliseconds: dates have an end.
const FOREVER: i64 = 3_155_760_000_000;

#[async_trait]
impl Leases for Mongo {
    async fn take(&self, name: &str, holder: &NodeId, ttl: Duration) -> Result<bool, NodesError> {
        let may = doc! { "$or": [{ "$eq": ["$holder", literal(&holder.0)] }, past()] };
        let change = doc! {
            "holder": { "$cond": [may.clone(), literal(&holder.0), "$holder"] },
            "until": { "$cond": [may, in_a(ttl), "$until"] },
        };
        let lease = change_one(self, LEASES, name, change).await?;
        Ok(lease.get_str("holder").is_ok_and(|now| now == holder.0))
    }

    async fn give_back(&self, name: &str, holder: &NodeId) -> Result<(), NodesError> {
        remove(self, LEASES, doc! { "_id": name, "holder": &holder.0 }).await
    }
}

#[async_trait]
impl Ledger for Mongo {
    async fn begin(&self, work: &str, holder: &NodeId, ttl: Duration) -> Result<Begin, NodesError> {
        let own = doc! { "$and": [{ "$eq": ["$holder", literal(&holder.0)] }, { "$ne": ["$done", true] }] };
        let may = doc! { "$or": [own, past()] };
        let change = doc! {
            "holder": { "$cond": [may.clone(), literal(&holder.0), "$holder"] },
            "done": { "$cond": [may.clone(), false, "$done"] },
            "until": { "$cond": [may, in_a(ttl), "$until"] },
        };
        let entry = change_one(self, LEDGER, work, change).await?;
        Ok(match (entry.get_bool("done"), entry.get_str("holder")) {
            (Ok(true), _) => Begin::Done,
            (_, Ok(now)) if now == holder.0 => Begin::Yours,
            _ => Begin::Busy,
        })
    }

    async fn finish(&self, work: &str, keep: Duration) -> Result<(), NodesError> {
        let change = doc! { "holder": literal(""), "done": true, "until": in_a(keep) };
        change_one(self, LEDGER, work, change).await.map(drop)
    }

    async fn abandon(&self, work: &str, holder: &NodeId) -> Result<(), NodesError> {
        remove(self, LEDGER, doc! { "_id": work, "holder": &holder.0, "done": false }).await
    }
}

/// Changes the document of that name, which is made where there is none; how it is afterwards.
async fn change_one(mongo: &Mongo, collection: &str, name: &str, change: Document) -> Result<Document, NodesError> {
    let collection = agreed(mongo, collection);
    let mut taken = None;
    for _ in 0..ATTEMPTS {
        let update = collection
            .find_one_and_update(doc! { "_id": name }, vec![doc! { "$set": change.clone() }])
            .upsert(true)
            .return_document(ReturnDocument::After);
        match mongo.timed(update).await.map_err(Failure::from) {
            Ok(Some(document)) => return Ok(document),
            Ok(None) => return Err(NodesError("the server answered without the document".to_owned())),
            Err(error @ Failure::Duplicate { .. }) => taken = Some(error),
            Err(error) => return Err(NodesError(error.to_string())),
        }
    }
    Err(NodesError(taken.map_or_else(String::new, |error| error.to_string())))
}

async fn remove(mongo: &Mongo, collection: &str, filter: Document) -> Result<(), NodesError> {
    let removed = mongo.timed(agreed(mongo, collection).delete_one(filter)).await;
    removed.map(drop).map_err(|error| NodesError(Failure::from(error).to_string()))
}

/// A collection whose changes survive the loss of a server: two nodes must not both be told that they may.
fn agreed(mongo: &Mongo, name: &str) -> Collection<Document> {
    let majority = WriteConcern::builder().w(Acknowledgment::Majority).build();
    let options = CollectionOptions::builder().write_concern(majority).build();
    mongo.platform().collection_with_options(name, options)
}

/// The time of the document is over, or it was made a moment ago and has none yet.
fn past() -> Document {
    doc! { "$lte": [{ "$ifNull": ["$until", Bson::Null] }, "$$NOW"] }
}

/// So long from now.
fn in_a(span: Duration) -> Document {
    doc! { "$add": ["$$NOW", i64::try_from(span.as_millis()).unwrap_or(FOREVER).min(FOREVER)] }
}

/// A text as it is: in an update by pipeline `$…` would name a field.
fn literal(text: &str) -> Document {
    doc! { "$literal": text }
}
