//! A plan as it is written into the journal, and back.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::collections::OURS;
use super::place::{Place, Shelf};
use super::plan::{Change, Count, Operation, Plan, Step};
use super::value;
use crate::mongo::outgoing;

/// A batch as it is written down.
pub(super) struct Recorded {
    /// Rows that nobody sees yet.
    pub(super) rows: Vec<(&'static str, Document)>,
    /// What is to be done when it is decided, in order.
    pub(super) steps: Vec<Document>,
}

/// Something to do for a decided batch.
#[derive(Debug, PartialEq)]
pub(super) enum Task {
    Rows(Step),
    Count(Count),
}

/// Turns a plan into rows that can wait and steps that can be repeated.
pub(super) fn record(plan: &mut Plan, messages: Vec<Document>, batch: ObjectId) -> Recorded {
    let mut recorded = Recorded { rows: Vec::new(), steps: Vec::new() };
    let is_vacated = !plan.gone.is_empty();
    let mut steps = std::mem::take(&mut plan.steps);
    for (collection, row) in plan.rows.drain(..) {
        let is_path = Shelf::ALL.iter().any(|shelf| shelf.heads() == collection || shelf.faces() == collection);
        let shelf = Shelf::ALL.into_iter().find(|shelf| shelf.objects() == collection);
        match shelf {
            Some(shelf) => steps.push(recorded.object_waits(shelf, row, batch)),
            // Its path may be one that this batch makes free: it cannot be taken before.
            None if is_path && !is_vacated => steps.push(recorded.collection_waits(collection, row, batch)),
            None => steps.push(Step::Insert { collection: collection.to_owned(), row }),
        }
    }
    let ids: Vec<Bson> = messages.iter().filter_map(|row| row.get("_id").cloned()).collect();
    recorded.rows.extend(messages.into_iter().map(|row| (outgoing::COLLECTION, row)));
    if !ids.is_empty() {
        steps.push(Step::Update {
            collection: outgoing::COLLECTION.to_owned(),
            filter: doc! { "_id": { "$in": ids }, "ready": false },
            update: doc! { "$set": { "ready": true } },
            upsert: false,
        });
    }
    recorded.steps.extend(steps.iter().map(step_document));
    recorded.steps.extend(plan.counts.iter().map(count_document));
    // What tells of a change comes out when the change can be seen.
    if !recorded.rows.is_empty() {
        let is_message = |step: &Document| step.get_str("collection").is_ok_and(|c| c == outgoing::COLLECTION);
        recorded.steps.sort_by_key(is_message);
    }
    recorded
}

impl Recorded {
    /// An object waits outside of every collection.
    fn object_waits(&mut self, shelf: Shelf, mut row: Document, batch: ObjectId) -> Step {
        let waiting = Bson::String(waiting_place(batch));
        let parent = row.insert(shelf.parent(), waiting).unwrap_or(Bson::Null);
        let step = appear(shelf.objects(), &row, batch, doc! { shelf.parent(): parent });
        self.rows.push((shelf.objects(), pending(row, batch)));
        step
    }

    /// A collection waits at its path, so that nobody else takes it.
    fn collection_waits(&mut self, collection: &'static str, row: Document, batch: ObjectId) -> Step {
        let step = appear(collection, &row, batch, Document::new());
        self.rows.push((collection, pending(row, batch)));
        step
    }
}

/// Where the objects of a batch wait, in the order of the batches.
pub(super) fn waiting_place(batch: ObjectId) -> String {
    format!("convoke:{batch}")
}

fn pending(mut row: Document, batch: ObjectId) -> Document {
    match row.get_document_mut(OURS) {
        Ok(ours) => drop(ours.insert("pending", batch)),
        Err(_) => drop(row.insert(OURS, doc! { "pending": batch })),
    }
    row
}

fn appear(collection: &str, row: &Document, batch: ObjectId, set: Document) -> Step {
    let mut update = doc! { "$unset": { "convoke.pending": "" } };
    if !set.is_empty() {
        update.insert("$set", set);
    }
    Step::Update {
        collection: collection.to_owned(),
        filter: doc! { "_id": row.get("_id").cloned(), "convoke.pending": batch },
        update,
        upsert: false,
    }
}

pub(super) fn step_document(step: &Step) -> Document {
    match step {
        Step::Update { collection, filter, update, upsert } => {
            doc! { "collection": collection, "filter": filter.clone(), "update": update.clone(), "upsert": *upsert }
        }
        Step::Delete { collection, filter } => doc! { "collection": collection, "delete": filter.clone() },
        Step::Insert { collection, row } => doc! { "collection": collection, "insert": row.clone() },
    }
}

fn count_document(count: &Count) -> Document {
    let change = |change: &Change| doc! { "_id": change.id, "uri": &change.uri, "operation": change.operation as i32 };
    let mut step = doc! {
        "count": count.place.shelf.heads(),
        "id": count.place.id,
        "from": value::count(count.from),
        "changes": count.changes.iter().map(change).collect::<Vec<_>>(),
    };
    if let Some((octets, objects)) = count.grown {
        step.insert("grown", doc! { "octets": octets, "objects": objects });
    }
    step
}

/// What a step says; `None` for an intent, and for what a later version may have written.
pub(super) fn read(step: &Document) -> Option<Task> {
    if let Ok(heads) = step.get_str("count") {
        let shelf = Shelf::ALL.into_iter().find(|shelf| shelf.heads() == heads)?;
        let id = step.get_object_id("id").ok()?;
        let changes = step.get_array("changes").ok()?.iter().filter_map(Bson::as_document).map(read_change);
        return Some(Task::Count(Count {
            // Only the rows of the collection itself and of its changes are looked at.
            place: Place { shelf, id, parent: Bson::Null },
            stored_token: Bson::Null,
            from: u64::try_from(value::number(step.get("from"))?).ok()?,
            changes: changes.collect::<Option<_>>()?,
            grown: value::inner(step, "grown")
                .and_then(|grown| Some((grown.get_i64("octets").ok()?, grown.get_i64("objects").ok()?))),
        }));
    }
    let collection = step.get_str("collection").ok()?.to_owned();
    let document = |field| step.get_document(field).ok().cloned();
    Some(Task::Rows(if let Some(filter) = document("delete") {
        Step::Delete { collection, filter }
    } else if let Some(row) = document("insert") {
        Step::Insert { collection, row }
    } else {
        let upsert = step.get_bool("upsert").unwrap_or(false);
        Step::Update { collection, filter: document("filter")?, update: document("update")?, upsert }
    }))
}

fn read_change(change: &Document) -> Option<Change> {
    let operation = match change.get_i32("operation").ok()? {
        1 => Operation::Added,
        2 => Operation::Modified,
        3 => Operation::Deleted,
        _ => return None,
    };
    Some(Change { id: change.get_object_id("_id").ok()?, uri: change.get_str("uri").ok()?.to_owned(), operation })
}

/// The rows that a batch is about to write.
pub(super) fn intent(rows: &[(&'static str, ObjectId)]) -> Document {
    let rows = rows.iter().map(|(collection, id)| doc! { "collection": *collection, "_id": *id });
    doc! { "intent": rows.collect::<Vec<_>>() }
}

/// Back from [`intent`].
pub(super) fn read_intent(step: &Document) -> Vec<(&'static str, ObjectId)> {
    let known = Shelf::ALL.iter().flat_map(|shelf| [shelf.heads(), shelf.faces(), shelf.objects()]);
    let known: Vec<&'static str> = known.chain([outgoing::COLLECTION]).collect();
    let row = |row: &Document| {
        let collection = row.get_str("collection").ok()?;
        Some((*known.iter().find(|name| **name == collection)?, row.get_object_id("_id").ok()?))
    };
    let rows = step.get_array("intent").map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter_map(Bson::as_document).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again() {
        let id = ObjectId::from_bytes(*b"abcdefghijkl");
        let place = Place { shelf: Shelf::Books, id, parent: Bson::Null };
        let changes = vec![Change { id, uri: "a.vcf".to_owned(), operation: Operation::Modified }];
        let count = Count { place, stored_token: Bson::Null, from: 7, changes, grown: Some((-5, 1)) };
        assert_eq!(read(&count_document(&count)), Some(Task::Count(count)));
        let collection = "cards".to_owned();
        for step in [
            Step::Update {
                collection: collection.clone(),
                filter: doc! { "_id": 1 },
                update: doc! { "$set": { "a.b": 1 } },
                upsert: true,
            },
            Step::Delete { collection: collection.clone(), filter: doc! { "_id": { "$in": [1] } } },
            Step::Insert { collection, row: doc! { "_id": 1 } },
        ] {
            assert_eq!(read(&step_document(&step)), Some(Task::Rows(step)));
        }
        assert_eq!(read_intent(&intent(&[("cards", id)])), [("cards", id)]);
        assert_eq!(read(&intent(&[("cards", id)])), None);
    }
}
