//! Bringing an existing database forward: what is missing, and what is done about it. Nothing is ever removed.

use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, Document, doc};

use super::bootstrap::{BootstrapError, make_collection, missing_collections};
use super::{Mongo, people};
use crate::mongo::schema::{self, Lack, MissingIndex, Place};
use crate::mongo::{Failure, Timed};

/// The database cannot be looked at or written.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Collections or indexes.
    #[error(transparent)]
    Schema(#[from] BootstrapError),
    /// Documents.
    #[error("users cannot be read: {0}")]
    Users(Failure),
}

/// What is missing.
#[derive(Debug)]
pub struct Plan {
    /// Collections to be made.
    pub collections: Vec<&'static str>,
    /// Indexes to be made, in order.
    pub indexes: Vec<MissingIndex>,
    /// Indexes that are somebody else's, and stay.
    pub differing: Vec<MissingIndex>,
    /// Keys that several documents have, for each unique index to be made: it cannot be made as long as they do.
    pub duplicates: Vec<(&'static schema::Index, Vec<String>)>,
    /// Users that lack `email` or `firstnames`.
    pub incomplete_users: u64,
}

impl Plan {
    /// Whether the database is as it should be.
    pub fn is_empty(&self) -> bool {
        self.collections.is_empty() && self.indexes.is_empty() && self.incomplete_users == 0
    }
}

/// What became of the users that lacked fields (storage §2.3 `addMissingFields`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filled {
    /// Rows looked at.
    pub processed: u64,
    /// Rows changed.
    pub upgraded: u64,
    /// Rows that could not be changed; each is in the log.
    pub errors: u64,
}

/// Keys named for an index that cannot be made.
const DUPLICATES_NAMED: i64 = 10;

/// Looks at the database and changes nothing.
///
/// # Errors
/// [`MigrateError`] when it cannot be read.
pub async fn plan(mongo: &Mongo) -> Result<Plan, MigrateError> {
    let collections = missing_collections(mongo).await?;
    let missing = schema::missing_indexes(mongo).await.map_err(BootstrapError::Unknown)?;
    let (indexes, differing): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_ours_to_mend);
    let mut duplicates = Vec::new();
    for missing in indexes.iter().filter(|m| m.index.unique) {
        let keys = duplicates_of(mongo, missing.index).await.map_err(MigrateError::Users)?;
        if !keys.is_empty() {
            duplicates.push((missing.index, keys));
        }
    }
    let users = mongo.platform().collection::<Document>("users");
    let incomplete = mongo.timed(async { users.count_documents(incomplete()).await }).await;
    let incomplete_users = incomplete.map_err(|e| MigrateError::Users(e.into()))?;
    Ok(Plan { collections, indexes, differing, duplicates, incomplete_users })
}

fn is_ours_to_mend(missing: &MissingIndex) -> bool {
    match missing.lack {
        Lack::Absent => true,
        // How long esn-sabre keeps things is its own to say.
        Lack::Expiry { .. } => missing.index.place == Place::Platform,
        Lack::Different(_) => false,
    }
}

/// Makes a collection of the plan.
///
/// # Errors
/// [`MigrateError::Schema`].
pub async fn make(mongo: &Mongo, collection: &str) -> Result<(), MigrateError> {
    Ok(make_collection(mongo, collection).await?)
}

/// Makes an index of the plan, or corrects after which time documents vanish.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn mend(mongo: &Mongo, missing: &MissingIndex) -> Result<(), Failure> {
    match missing.lack {
        Lack::Expiry { .. } => schema::set_expiry(mongo, missing).await,
        Lack::Absent | Lack::Different(_) => schema::create(mongo, missing).await,
    }
}

fn incomplete() -> Document {
    doc! { "$or": [{ "email": { "$exists": false } }, { "firstnames": { "$exists": false } }] }
}

/// Adds the fields that rows of `users` lack. A row that fails does not stop the others.
///
/// # Errors
/// [`MigrateError::Users`] when the rows cannot be read.
pub async fn fill_users(mongo: &Mongo, each: impl Fn()) -> Result<Filled, MigrateError> {
    let users = mongo.platform().collection::<Document>("users");
    let failed = |e: mongodb::error::Error| MigrateError::Users(e.into());
    let mut filled = Filled::default();
    let mut rows = users.find(incomplete()).await.map_err(failed)?;
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        filled.processed += 1;
        match fill(mongo, &row).await {
            Ok(true) => filled.upgraded += 1,
            Ok(false) => {}
            Err(error) => {
                filled.errors += 1;
                let error = Failure::from(error);
                tracing::warn!(id = %row.get("_id").unwrap_or(&Bson::Null), %error, "a user cannot be completed");
            }
        }
        each();
    }
    Ok(filled)
}

async fn fill(mongo: &Mongo, row: &Document) -> Result<bool, Timed> {
    let mut set = people::missing_fields(row);
    if set.is_empty() {
        return Ok(false);
    }
    // Only what is missing still, should somebody else be at it.
    let mut own = doc! { "_id": row.get("_id") };
    own.extend(set.keys().map(|field| (field.clone(), doc! { "$exists": false }.into())));
    let users = mongo.platform().collection::<Document>("users");
    let set = doc! { "$set": std::mem::take(&mut set) };
    Ok(mongo.timed(async { users.update_one(own, set).await }).await?.modified_count == 1)
}

/// Some keys that more than one document has.
async fn duplicates_of(mongo: &Mongo, index: &schema::Index) -> Result<Vec<String>, Failure> {
    let key: Document =
        index.keys.iter().enumerate().map(|(n, (f, _))| (n.to_string(), format!("${f}").into())).collect();
    let database = match index.place {
        Place::Platform => mongo.platform(),
        Place::Dav => mongo.dav(),
    };
    let mut steps = Vec::new();
    steps.extend(index.partial.map(|filter| doc! { "$match": filter() }));
    steps.push(doc! { "$group": { "_id": key, "count": { "$sum": 1 } } });
    steps.push(doc! { "$match": { "count": { "$gt": 1 } } });
    steps.push(doc! { "$limit": DUPLICATES_NAMED });
    let collection = database.collection::<Document>(index.collection);
    // As long as it takes: it reads the whole collection.
    let found: Vec<Document> = collection.aggregate(steps).allow_disk_use(true).await?.try_collect().await?;
    Ok(found.iter().map(|d| name_key(index, d)).collect())
}

/// `email "alice@example.org" (2 documents)`.
fn name_key(index: &schema::Index, found: &Document) -> String {
    let none = Document::new();
    let key = found.get_document("_id").unwrap_or(&none);
    let values = index
        .keys
        .iter()
        .enumerate()
        .map(|(n, (field, _))| format!("{field} {}", key.get(n.to_string()).unwrap_or(&Bson::Null)));
    let count = found.get_i32("count").unwrap_or_default();
    format!("{} ({count} documents)", values.collect::<Vec<_>>().join(", "))
}

/// What another program keeps and no port of this program knows.
struct Foreign {
    place: Place,
    collection: &'static str,
    what: &'static str,
    filter: fn() -> Document,
}

const fn foreign(place: Place, collection: &'static str, what: &'static str, filter: fn() -> Document) -> Foreign {
    Foreign { place, collection, what, filter }
}

const FOREIGN: [Foreign; 4] = [
    foreign(Place::Platform, "secretlinks", "secret links", Document::new),
    foreign(Place::Platform, "booking_links", "booking links", Document::new),
    foreign(Place::Platform, "domain_settings", "settings of domains", Document::new),
    foreign(
        Place::Platform,
        "domains",
        "domains with administrators",
        || doc! { "administrators.0": { "$exists": true } },
    ),
];

/// What a copy to another engine leaves behind: how many of what, in words.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn left_behind(mongo: &Mongo) -> Result<Vec<(&'static str, u64)>, Failure> {
    let mut left = Vec::new();
    for foreign in FOREIGN {
        let database = match foreign.place {
            Place::Platform => mongo.platform(),
            Place::Dav => mongo.dav(),
        };
        let collection = database.collection::<Document>(foreign.collection);
        let count = mongo.timed(collection.count_documents((foreign.filter)())).await?;
        left.extend((count > 0).then_some((foreign.what, count)));
    }
    Ok(left)
}
