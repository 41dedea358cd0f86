//! What a database needs before it is used: collections and indexes (storage §2.2). Part of every start of the program.

use mongodb::bson::doc;

use super::Mongo;
use crate::mongo::schema::{self, Lack, MissingIndex, Place, platform};
use crate::mongo::{Failure, Timed};

/// The program cannot start on this database.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// A collection cannot be made, or the server cannot be asked what there is.
    #[error("collection {name} cannot be made: {source}")]
    Collection {
        /// Which.
        name: String,
        /// What the server said.
        source: Failure,
    },
    /// The server cannot be asked which indexes there are.
    #[error("the indexes cannot be listed: {0}")]
    Unknown(Failure),
    /// An index cannot be made.
    #[error("{index} cannot be made: {source}. {}", advice(.source))]
    Index {
        /// Which.
        index: String,
        /// What the server said.
        source: Failure,
    },
    /// There is an index of that name, or over those fields, that does something else.
    #[error(
        "{index} is there, but {difference}. Without the right one {why}: drop it, then start again or run \
         `convoke migrate mongodb`"
    )]
    Different {
        /// Which.
        index: String,
        /// What differs.
        difference: String,
        /// What it is for.
        why: &'static str,
    },
}

impl BootstrapError {
    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Collection { source, .. } | Self::Unknown(source) | Self::Index { source, .. } => {
                matches!(source, Failure::Unavailable(_))
            }
            Self::Different { .. } => false,
        }
    }
}

fn advice(failure: &Failure) -> &'static str {
    match failure {
        Failure::Duplicate { .. } => "Two documents have the same key: `convoke migrate mongodb --dry-run` names them",
        Failure::Unavailable(_) => "The server is away",
        Failure::Broken(_) => "Does the user of mongodb.url have the role readWrite on both databases?",
    }
}

/// Makes the collections and indexes that are missing, and corrects after which time documents vanish. Doing it again, or on
/// two nodes at once, changes nothing.
///
/// # Errors
/// The first [`BootstrapError`]; an index over `accounts.emails` that OpenPaaS declared otherwise is none.
pub async fn bootstrap(mongo: &Mongo) -> Result<(), BootstrapError> {
    for name in missing_collections(mongo).await? {
        make_collection(mongo, name).await?;
    }
    let missing = schema::missing_indexes(mongo).await.map_err(BootstrapError::Unknown)?;
    for missing in missing.iter().filter(|m| m.index.place == Place::Platform) {
        make_index(mongo, missing).await?;
    }
    // Those of calendars and address books are esn-sabre's, too: what differs there is a warning.
    schema::ensure(mongo).await.map_err(BootstrapError::Unknown)?;
    Ok(())
}

/// The collections that are still to be made, in order.
pub(super) async fn missing_collections(mongo: &Mongo) -> Result<Vec<&'static str>, BootstrapError> {
    let present = mongo.timed(async { mongo.platform().list_collection_names().await }).await;
    let present = present.map_err(|e| BootstrapError::Unknown(e.into()))?;
    Ok(platform::COLLECTIONS.into_iter().filter(|name| !present.iter().any(|p| p == name)).collect())
}

pub(super) async fn make_collection(mongo: &Mongo, name: &str) -> Result<(), BootstrapError> {
    const EXISTS: i32 = 48;
    match mongo.timed(async { mongo.platform().run_command(doc! { "create": name }).await }).await {
        Ok(_) => {
            tracing::info!(collection = name, "collection made");
            Ok(())
        }
        // Another node was quicker.
        Err(Timed::Driver(error)) if crate::mongo::code(&error) == Some(EXISTS) => Ok(()),
        Err(error) => Err(BootstrapError::Collection { name: name.to_owned(), source: error.into() }),
    }
}

async fn make_index(mongo: &Mongo, missing: &MissingIndex) -> Result<(), BootstrapError> {
    let index = missing.index;
    let done = match &missing.lack {
        Lack::Absent => schema::create(mongo, missing).await,
        Lack::Expiry { .. } => schema::set_expiry(mongo, missing).await,
        // Logged where all that differs is.
        Lack::Different(_) if is_tolerated(missing) => return Ok(()),
        Lack::Different(difference) => {
            return Err(BootstrapError::Different {
                index: index.to_string(),
                difference: difference.clone(),
                why: index.why,
            });
        }
    };
    match done {
        Ok(()) => {
            tracing::info!(%index, "index made");
            Ok(())
        }
        Err(error @ Failure::Broken(_)) if is_tolerated(missing) => {
            tracing::warn!(%index, %error, "index cannot be made; OpenPaaS may have its own");
            Ok(())
        }
        Err(source) => Err(BootstrapError::Index { index: index.to_string(), source }),
    }
}

/// Whether the index may be somebody else's.
pub(super) fn is_tolerated(missing: &MissingIndex) -> bool {
    (missing.index.collection, missing.index.name) == platform::TOLERATED
}
