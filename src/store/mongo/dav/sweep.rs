//! What processes that died left in the journal is finished or cleared away.

use std::time::Duration;

use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use tokio::time::Instant;

use super::journal::{DECIDED, Journal, STEPS, WRITER, Watch, turn};
use super::place::Shelf;
use super::steps;
use crate::mongo::{Failure, Mongo, outgoing};
use crate::store::StoreError;

/// How often a node looks for work that others left behind.
const SWEEP: Duration = Duration::from_secs(5);
/// Age after which pending rows belong to nobody.
const ABANDONED_S: i64 = 3600;
/// How often a node clears away what was abandoned.
const CLEAR: Duration = Duration::from_secs(3600);

impl Journal<'_> {
    /// What writers left behind that slept for longer than any writer lives: it would keep paths taken.
    async fn clear_away(&self) -> Result<(), Failure> {
        let writer = self.mongo.timed(self.writer().find_one(doc! { "_id": WRITER })).await?;
        if writer.as_ref().and_then(turn).is_some_and(|(_, state)| state == DECIDED) {
            // What it wrote is not abandoned, however long it takes.
            return Ok(());
        }
        let before = (self.mongo.env().now().timestamp() - ABANDONED_S).clamp(0, i64::from(u32::MAX));
        let mut old = [0; 12];
        old[..4].copy_from_slice(&u32::try_from(before).unwrap_or(0).to_be_bytes());
        let old = ObjectId::from_bytes(old);
        let mut abandoned = vec![(STEPS, doc! { "batch": { "$lt": old } })];
        for shelf in Shelf::ALL {
            for collection in [shelf.heads(), shelf.faces()] {
                abandoned.push((collection, doc! { "convoke.pending": { "$lt": old } }));
            }
            let waiting =
                doc! { "$gte": steps::waiting_place(ObjectId::from_bytes([0; 12])), "$lt": steps::waiting_place(old) };
            abandoned.push((shelf.objects(), doc! { shelf.parent(): waiting }));
        }
        abandoned.push((outgoing::COLLECTION, doc! { "ready": false, "_id": { "$lt": old } }));
        for (collection, rows) in abandoned {
            self.mongo.timed(self.rows(collection).delete_many(rows)).await?;
        }
        Ok(())
    }
}

/// Finishes what processes that died left in the journal, for as long as the store is open.
#[derive(Debug, Default)]
pub(super) struct Sweeper(Option<tokio::task::JoinHandle<()>>);

impl Sweeper {
    /// Finishes what is decided at once, and looks again from time to time.
    pub(super) async fn start(mongo: &Mongo) -> Result<Self, StoreError> {
        let journal = Journal { mongo };
        let writer = mongo.timed(journal.writer().find_one(doc! { "_id": WRITER })).await?;
        // Also on a server that has transactions now and had none.
        if let Some((id, state)) = writer.as_ref().and_then(turn)
            && state == DECIDED
        {
            tracing::info!("finishing a write that was decided before the start");
            journal.finish(id).await?;
        }
        if mongo.has_transactions() {
            return Ok(Self(None));
        }
        journal.clear_away().await?;
        let mongo = mongo.clone();
        let sweeping = tokio::spawn(async move {
            let journal = Journal { mongo: &mongo };
            let mut watch = Watch::default();
            let mut cleared = Instant::now();
            loop {
                tokio::time::sleep(SWEEP).await;
                let mut swept = journal.attend(&mut watch).await.map(drop);
                if cleared.elapsed() > CLEAR && swept.is_ok() {
                    swept = journal.clear_away().await;
                    cleared = Instant::now();
                }
                if let Err(error) = swept {
                    tracing::debug!(%error, "the journal cannot be looked at");
                }
            }
        });
        Ok(Self(Some(sweeping)))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(sweeping) = &self.0 {
            sweeping.abort();
        }
    }
}
