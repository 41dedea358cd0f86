//! Reads on their own or within a transaction, so that what a write looks at is found by one piece of code in both.

use futures_util::TryStreamExt as _;
use mongodb::bson::Document;
use mongodb::{ClientSession, Database};

use crate::mongo::{Mongo, Timed};

/// How the database is read.
pub(super) struct Via<'s> {
    mongo: &'s Mongo,
    session: Option<&'s mut ClientSession>,
}

impl<'s> Via<'s> {
    /// Each read sees what is there when it is made.
    pub(super) fn plain(mongo: &'s Mongo) -> Self {
        Self { mongo, session: None }
    }

    /// All reads see one state of the data.
    pub(super) fn transaction(mongo: &'s Mongo, session: &'s mut ClientSession) -> Self {
        Self { mongo, session: Some(session) }
    }

    /// Rows of a collection of the database of calendars.
    pub(super) async fn find(
        &mut self,
        collection: &str,
        filter: Document,
        projection: Document,
    ) -> Result<Vec<Document>, Timed> {
        self.find_in(self.mongo.dav(), collection, filter, projection).await
    }

    /// Rows of a collection of any database.
    pub(super) async fn find_in(
        &mut self,
        database: &Database,
        collection: &str,
        filter: Document,
        projection: Document,
    ) -> Result<Vec<Document>, Timed> {
        let collection = database.collection::<Document>(collection);
        let find = collection.find(filter).projection(projection);
        match &mut self.session {
            None => self.mongo.timed(async { find.await?.try_collect().await }).await,
            Some(session) => {
                self.mongo
                    .timed(async {
                        let mut cursor = find.session(&mut **session).await?;
                        cursor.stream(session).try_collect().await
                    })
                    .await
            }
        }
    }
}
