//! The indexes of both databases in one table, with their names as esn-sabre and OpenPaaS have them, so that two programs
//! on one database never fight over them. [`missing_indexes`] compares the table with the server, [`create`] makes one.
//!
//! An index on the same keys under another name, or under the same name with other options, is somebody else's: it is
//! reported as [`Lack::Different`] and left alone.

mod dav;
pub mod platform;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};

use super::{Failure, Mongo};

/// Which of the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// People, domains and what convoke keeps itself.
    Platform,
    /// Calendars and address books.
    Dav,
}

/// An index that the program wants.
#[derive(Debug)]
pub struct Index {
    /// Its database.
    pub place: Place,
    /// Its collection.
    pub collection: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Fields in order, 1 for ascending and -1 for descending.
    pub keys: &'static [(&'static str, i32)],
    /// Two documents cannot have the same keys.
    pub unique: bool,
    /// Only documents that match are in it.
    pub partial: Option<fn() -> Document>,
    /// Documents vanish so many seconds after the instant in the (only) field.
    pub expire_after_s: Option<u64>,
    /// What is slow or wrong without it.
    pub why: &'static str,
}

impl Index {
    /// An index that finds documents, and no more than that. The starting point of every row of the table.
    pub const fn new(
        place: Place,
        collection: &'static str,
        name: &'static str,
        keys: &'static [(&'static str, i32)],
        why: &'static str,
    ) -> Self {
        Self { place, collection, name, keys, unique: false, partial: None, expire_after_s: None, why }
    }

    /// The same, with every key once.
    pub const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// The same, for documents that match only.
    pub const fn partial(mut self, filter: fn() -> Document) -> Self {
        self.partial = Some(filter);
        self
    }

    /// The same, and documents vanish so many seconds after the instant in the field.
    pub const fn expire_after_s(mut self, seconds: u64) -> Self {
        self.expire_after_s = Some(seconds);
        self
    }

    fn keys(&self) -> Document {
        self.keys.iter().map(|(field, direction)| ((*field).to_owned(), Bson::Int32(*direction))).collect()
    }

    fn model(&self) -> IndexModel {
        let mut options = IndexOptions::default();
        options.name = Some(self.name.to_owned());
        options.unique = self.unique.then_some(true);
        options.partial_filter_expression = self.partial.map(|filter| filter());
        options.expire_after = self.expire_after_s.map(Duration::from_secs);
        IndexModel::builder().keys(self.keys()).options(options).build()
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} of {}", self.name, self.collection)
    }
}

/// Every index of both databases.
pub fn indexes() -> impl Iterator<Item = &'static Index> {
    platform::INDEXES.iter().chain(dav::INDEXES)
}

/// What is not as it should be about an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// There is none.
    Absent,
    /// Documents vanish after another time than they should; nothing else differs.
    Expiry {
        /// The name it has there.
        name: String,
        /// After so many seconds.
        found_s: u64,
    },
    /// There is another with its keys or its name; what differs.
    Different(String),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is none"),
            Self::Expiry { found_s, .. } => write!(f, "it keeps documents {found_s} s"),
            Self::Different(difference) => f.write_str(difference),
        }
    }
}

/// An index that is not there as the table says.
#[derive(Debug, Clone)]
pub struct MissingIndex {
    /// Which.
    pub index: &'static Index,
    /// What about it.
    pub lack: Lack,
}

/// The indexes that are not there as the table says, in the order of the table.
///
/// # Errors
/// [`Failure`] when the server cannot be asked.
pub async fn missing_indexes(mongo: &Mongo) -> Result<Vec<MissingIndex>, Failure> {
    let mut present: BTreeMap<(Place, &str), Vec<IndexModel>> = BTreeMap::new();
    let mut missing = Vec::new();
    for index in indexes() {
        let models = match present.entry((index.place, index.collection)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(indexes_of(mongo, index.place, index.collection).await?),
        };
        if let Some(lack) = lack(index, models) {
            missing.push(MissingIndex { index, lack });
        }
    }
    Ok(missing)
}

/// Makes an index that is absent. One that is there with other options is left alone.
///
/// # Errors
/// [`Failure`] when the server cannot or will not make it.
pub async fn create(mongo: &Mongo, missing: &MissingIndex) -> Result<(), Failure> {
    if missing.lack == Lack::Absent {
        let collection = database(mongo, missing.index.place).collection::<Document>(missing.index.collection);
        // Takes as long as there are documents; the server goes on when the connection ends.
        collection.create_index(missing.index.model()).await?;
    }
    Ok(())
}

/// Changes after which time documents vanish, where that is all that differs; anything else is left alone. Only for indexes
/// whose time is ours to say.
///
/// # Errors
/// [`Failure`] when the server cannot or will not change it.
pub async fn set_expiry(mongo: &Mongo, missing: &MissingIndex) -> Result<(), Failure> {
    let (Lack::Expiry { name, .. }, Some(wanted)) = (&missing.lack, missing.index.expire_after_s) else {
        return Ok(());
    };
    let seconds = i64::try_from(wanted).unwrap_or(i64::MAX);
    let change = doc! {
        "collMod": missing.index.collection,
        "index": { "name": name, "expireAfterSeconds": seconds },
    };
    let database = database(mongo, missing.index.place);
    mongo.timed(async { database.run_command(change).await }).await?;
    Ok(())
}

/// Makes every index that is absent, at start-up. What cannot be made and is not needed for correctness is a warning;
/// returns what still differs.
///
/// # Errors
/// [`Failure`] when the server is away.
pub async fn ensure(mongo: &Mongo) -> Result<Vec<MissingIndex>, Failure> {
    let mut left = Vec::new();
    for missing in missing_indexes(mongo).await? {
        match create(mongo, &missing).await {
            Ok(()) if missing.lack == Lack::Absent => tracing::info!(index = %missing.index, "index made"),
            Ok(()) => {
                tracing::warn!(index = %missing.index, difference = %missing.lack, "index of somebody else is left as it is");
                left.push(missing);
            }
            Err(error @ Failure::Unavailable(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(index = %missing.index, %error, without = missing.index.why, "index cannot be made");
                left.push(missing);
            }
        }
    }
    Ok(left)
}

fn database(mongo: &Mongo, place: Place) -> &Database {
    match place {
        Place::Platform => mongo.platform(),
        Place::Dav => mongo.dav(),
    }
}

/// The indexes that a collection has; none when there is no such collection.
async fn indexes_of(mongo: &Mongo, place: Place, collection: &str) -> Result<Vec<IndexModel>, Failure> {
    use futures_util::TryStreamExt as _;
    const NO_COLLECTION: i32 = 26;
    let listed = mongo
        .timed(async {
            database(mongo, place).collection::<Document>(collection).list_indexes().await?.try_collect().await
        })
        .await;
    match listed {
        Ok(models) => Ok(models),
        Err(super::Timed::Driver(error)) if super::error::code(&error) == Some(NO_COLLECTION) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Compares an index with those that are there.
fn lack(index: &Index, present: &[IndexModel]) -> Option<Lack> {
    let keys = index.keys();
    let name_of = |model: &IndexModel| model.options.as_ref().and_then(|o| o.name.clone()).unwrap_or_default();
    let same_keys = present.iter().find(|model| same_keys(&model.keys, &keys));
    let same_name = present.iter().find(|model| name_of(model) == index.name);
    let Some(found) = same_keys.or(same_name) else { return Some(Lack::Absent) };
    let options = found.options.clone().unwrap_or_default();
    let mut differences = Vec::new();
    if same_keys.is_none() {
        differences.push(format!("its keys are {}", found.keys));
    }
    if index.unique && options.unique != Some(true) {
        differences.push("it is not unique".to_owned());
    }
    if !index.unique && options.unique == Some(true) {
        differences.push("it is unique".to_owned());
    }
    let found_s = options.expire_after.map(|d| d.as_secs());
    if let (Some(wanted), Some(found_s)) = (index.expire_after_s, found_s)
        && wanted != found_s
        && differences.is_empty()
        && options.partial_filter_expression == index.partial.map(|filter| filter())
    {
        return Some(Lack::Expiry { name: name_of(found), found_s });
    }
    if index.expire_after_s != found_s {
        let kept = found_s.map_or("for ever".to_owned(), |s| format!("{s} s"));
        differences.push(format!("it keeps documents {kept}"));
    }
    if options.partial_filter_expression != index.partial.map(|filter| filter()) {
        differences.push("it covers other documents".to_owned());
    }
    // Another name is all the same to everyone.
    (!differences.is_empty()).then(|| Lack::Different(differences.join(", ")))
}

/// Field by field and in order; directions may be any kind of number.
fn same_keys(found: &Document, wanted: &Document) -> bool {
    let direction = |value: &Bson| match value {
        Bson::Int32(n) => Some(f64::from(*n)),
        #[expect(clippy::cast_precision_loss, reason = "1 or -1")]
        Bson::Int64(n) => Some(*n as f64),
        Bson::Double(n) => Some(*n),
        _ => None,
    };
    found.len() == wanted.len()
        && found.iter().zip(wanted).all(|((f, d), (g, e))| f == g && direction(d) == direction(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Index = Index::new(Place::Dav, "things", "a_1_b_-1", &[("a", 1), ("b", -1)], "nothing");
    static PLAIN: Index = WANTED;
    static UNIQUE: Index = WANTED.unique();

    fn model(keys: Document, name: &str, unique: Option<bool>) -> IndexModel {
        let options = IndexOptions::builder().name(name.to_owned()).unique(unique).build();
        IndexModel::builder().keys(keys).options(options).build()
    }

    #[test]
    fn an_index_by_another_name_or_with_other_numbers_is_the_same() {
        let present = [model(doc! { "_id": 1 }, "_id_", None), model(doc! { "a": 1.0, "b": -1_i64 }, "mine", None)];
        assert_eq!(lack(&PLAIN, &present), None);
        assert_eq!(lack(&PLAIN, &present[..1]), Some(Lack::Absent));
    }

    #[test]
    fn other_options_and_other_keys_of_the_same_name_are_told() {
        let plain = [model(doc! { "a": 1, "b": -1 }, "a_1_b_-1", None)];
        assert_eq!(lack(&UNIQUE, &plain), Some(Lack::Different("it is not unique".to_owned())));
        let turned = [model(doc! { "b": -1, "a": 1 }, "a_1_b_-1", None)];
        assert!(matches!(lack(&PLAIN, &turned), Some(Lack::Different(d)) if d.starts_with("its keys are")));
    }

    #[test]
    fn names_are_unique_within_a_collection() {
        let mut seen = std::collections::BTreeSet::new();
        for index in indexes() {
            assert!(seen.insert((index.place, index.collection, index.name)), "{index}");
            assert!(index.expire_after_s.is_none() || index.keys.len() == 1, "{index}");
        }
    }
}
