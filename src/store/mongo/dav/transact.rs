//! A batch in one transaction, messages included.

use async_trait::async_trait;
use mongodb::ClientSession;
use mongodb::bson::{Document, doc};

use super::load::load;
use super::place::Place;
use super::plan::{Count, Plan, Source, Step, plan};
use super::value;
use super::via::Via;
use crate::mongo::{Failure, Interrupt, Mongo, Timed, Work, outgoing};
use crate::store::{Batch, WriteError};

/// Applies a batch, in each attempt anew.
pub(super) struct Applying<'b> {
    pub(super) mongo: &'b Mongo,
    pub(super) batch: &'b Batch,
    /// The collections that it writes to.
    pub(super) places: Vec<Place>,
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        Self::Store(failure.into())
    }
}

#[async_trait]
impl Work for Applying<'_> {
    type Done = Plan;
    type Refusal = WriteError;

    async fn attempt(&mut self, session: &mut ClientSession) -> Result<Plan, Interrupt<WriteError>> {
        let mongo = self.mongo;
        // First of all, so that whoever else writes there waits from now on: a transaction that reads first and writes in the
        // end would never get through beside a busy esn-sabre.
        for place in &self.places {
            let heads = mongo.dav().collection::<Document>(place.shelf.heads());
            let turn = doc! { "$set": { "convoke.turn": mongo.new_id() } };
            mongo.timed(heads.update_one(doc! { "_id": place.id }, turn).session(&mut *session)).await?;
        }
        let loaded = load(mongo, &mut Via::transaction(mongo, session), self.batch).await?;
        let now = mongodb::bson::DateTime::from_millis(mongo.env().now().timestamp_millis());
        let source = Source { new_id: &|| mongo.new_id(), now };
        let mut planned = plan(&loaded, self.batch, &source).map_err(Interrupt::Refused)?;
        let mut writing = Writing { mongo, session };
        for step in planned.steps.drain(..) {
            writing.step(step).await?;
        }
        for count in &planned.counts {
            writing.count(count).await?;
        }
        writing.insert(std::mem::take(&mut planned.rows)).await?;
        let messages = mongo.outgoing_rows(&self.batch.publish, true);
        writing.insert(messages.into_iter().map(|row| (outgoing::COLLECTION, row)).collect()).await?;
        Ok(planned)
    }
}

struct Writing<'w> {
    mongo: &'w Mongo,
    session: &'w mut ClientSession,
}

impl Writing<'_> {
    async fn step(&mut self, step: Step) -> Result<(), Timed> {
        let Self { mongo, session } = self;
        let rows = |collection: &str| mongo.dav().collection::<Document>(collection);
        match step {
            Step::Update { collection, filter, update, upsert } => {
                let collection = rows(&collection);
                let update = collection.update_many(filter, update).upsert(upsert);
                mongo.timed(update.session(&mut **session)).await.map(drop)
            }
            Step::Delete { collection, filter } => {
                mongo.timed(rows(&collection).delete_many(filter).session(&mut **session)).await.map(drop)
            }
            Step::Insert { collection, row } => {
                mongo.timed(rows(&collection).insert_one(row).session(&mut **session)).await.map(drop)
            }
        }
    }

    /// Moves a token, and writes down what it counted. Whoever moves it at the same time is in conflict with this
    /// transaction, and one of both begins anew.
    async fn count(&mut self, count: &Count) -> Result<(), Timed> {
        let Count { place, stored_token, from, changes, .. } = count;
        let heads = self.mongo.dav().collection::<Document>(place.shelf.heads());
        let filter = doc! { "_id": place.id, "synctoken": stored_token.clone() };
        let mut update = doc! { "$set": { "synctoken": value::count(from + changes.len() as u64) } };
        if let Some(grows) = count.grows() {
            update.insert("$inc", grows);
        }
        self.mongo.timed(heads.update_one(filter, update).session(&mut *self.session)).await?;
        let rows = changes.iter().zip(*from..).map(|(change, before)| change.row(place, before));
        self.insert(rows.map(|row| (place.shelf.changes(), row)).collect()).await
    }

    /// New rows, each collection in one go.
    async fn insert(&mut self, rows: Vec<(&'static str, Document)>) -> Result<(), Timed> {
        let mut rows = rows.into_iter().peekable();
        while let Some((collection, row)) = rows.next() {
            let mut together = vec![row];
            while let Some((_, row)) = rows.next_if(|(next, _)| *next == collection) {
                together.push(row);
            }
            let collection = self.mongo.dav().collection::<Document>(collection);
            self.mongo.timed(collection.insert_many(together).session(&mut *self.session)).await?;
        }
        Ok(())
    }
}
