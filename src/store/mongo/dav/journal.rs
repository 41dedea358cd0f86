//! Batches on a server without transactions.
//!
//! One row of `convoke_journal`, `writer`, says whose turn it is in the whole installation, and whether that batch is
//! decided. A batch goes like this:
//!
//! 1. It takes its turn: `batch` goes from null to its id; or it stands in `queue` until whoever ends a turn hands it over.
//! 2. It reads what it builds on and is planned. What it must not do is refused here, and nothing has happened.
//! 3. New rows are written where nobody sees them (`convoke.pending`), everything else becomes steps in
//!    `convoke_journal_steps`.
//! 4. It is decided: `state` goes from `open` to `decided`, durably, if it is still its turn. Before this it has not happened,
//!    after this it has.
//! 5. The steps are done, each of which does no harm when it is done again; the tokens move last.
//! 6. The steps are forgotten, the turn ends. A step that the server refuses for good (a validator, a document that became too
//!    large) is moved to `convoke_journal_refused` first, with what the server said: the others are done all the same, the
//!    writer is told that it failed, and nobody else waits for it. What clients then see is what there is.
//!
//! Whoever waits for its turn and sees a decided batch that does not get on does its steps itself. One that is not decided in
//! [`PATIENCE`] is `dropped`, and when its writer wakes up, deciding fails; what it wrote is cleared away before the turn
//! ends. So nobody needs to know who is alive, and no clocks are
//! compared. A writer that slept through all this and goes on at step 5 finds that its steps do not match any more: an update
//! names the revision of the row that it was planned on, a new row is no longer pending.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};
use mongodb::options::{Acknowledgment, CollectionOptions, WriteConcern};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::collections;
use super::load::load;
use super::place::collection_id;
use super::plan::{Count, Plan, Source, Step, plan};
use super::steps::{self, Recorded};
use super::value;
use super::via::Via;
use crate::ids::CollectionId;
use crate::mongo::{Failure, Mongo, REFUSED_STEPS, Timed};
use crate::store::{Batch, WriteError};

/// Says whose turn it is.
const JOURNAL: &str = "convoke_journal";
/// What a batch has still to do.
pub(super) const STEPS: &str = "convoke_journal_steps";
/// The one row of [`JOURNAL`].
pub(super) const WRITER: &str = "writer";
/// A batch is being prepared.
const OPEN: &str = "open";
/// It happens, whatever happens.
pub(super) const DECIDED: &str = "decided";
/// It does not happen any more.
const DROPPED: &str = "dropped";

/// How long a batch may take to be decided while others wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a decided batch may stand still before others do its steps.
const HELP: Duration = Duration::from_millis(100);
/// How often one who waits looks whether it is its turn, at most.
const POLL: Duration = Duration::from_millis(20);
/// Turns taken for one batch: more than one only where this process slept.
const TURNS: usize = 3;

/// Applies a batch.
pub(super) async fn apply(mongo: &Mongo, lock: &Mutex<()>, batch: &Batch) -> Result<Plan, WriteError> {
    let turn = tokio::time::timeout(mongo.operation_time(), lock.lock()).await;
    let _turn = turn.map_err(|_| Failure::timed_out())?;
    let journal = Journal { mongo };
    for _ in 0..TURNS {
        let id = mongo.new_id();
        journal.begin(id).await?;
        let (planned, intent) = match journal.prepare(id, batch).await {
            Ok(prepared) => prepared,
            Err((error, intent)) => {
                journal.give_up(id, &intent).await;
                return Err(error);
            }
        };
        if journal.decide(id).await? {
            let Finished { bases, refused } = journal.finish_patiently(id).await?;
            if let Some(why) = refused {
                let why = format!("a step of a decided write was refused and set aside: {why}");
                return Err(Failure::Broken(why).into());
            }
            return Ok(with_tokens(planned, &bases));
        }
        journal.forget(id, &intent).await?;
    }
    Err(Failure::Unavailable("others took the turn again and again".to_owned()).into())
}

/// The answer with the tokens as they are: somebody who keeps no turns may have moved one meanwhile.
fn with_tokens(mut planned: Plan, bases: &HashMap<CollectionId, u64>) -> Plan {
    for count in &planned.counts {
        let id = collection_id(count.place.id);
        let Some(moved) = bases.get(&id).and_then(|base| base.checked_sub(count.from)) else { continue };
        for (token, of) in planned.written.sync_tokens.iter_mut().zip(&planned.tokens_of) {
            if *of == Some(id) {
                *token += moved;
            }
        }
    }
    planned
}

/// How the end of a decided batch went.
#[derive(Default)]
pub(super) struct Finished {
    /// For each collection, the token that its changes were counted from.
    bases: HashMap<CollectionId, u64>,
    /// Why a step of it was set aside. That is its writer's concern, and nobody's who merely helps.
    pub(super) refused: Option<String>,
}

/// New rows of a batch that is not decided: collection and id.
pub(super) type Intent = Vec<(&'static str, ObjectId)>;

pub(super) struct Journal<'m> {
    pub(super) mongo: &'m Mongo,
}

impl Journal<'_> {
    pub(super) fn writer(&self) -> Collection<Document> {
        self.rows(JOURNAL)
    }

    fn steps(&self) -> Collection<Document> {
        self.rows(STEPS)
    }

    /// A collection whose every write waits for the disk. The server may die between two steps and be back before anybody
    /// notices: what it acknowledged must be there, or the steps that follow would build on nothing.
    pub(super) fn rows(&self, collection: &str) -> Collection<Document> {
        let mut durable = WriteConcern::default();
        durable.w = Some(Acknowledgment::Nodes(1));
        durable.journal = Some(true);
        let options = CollectionOptions::builder().write_concern(durable).build();
        self.mongo.dav().collection_with_options(collection, options)
    }

    /// Waits for the turn, and takes it. Those who wait stand in a queue.
    pub(super) async fn begin(&self, id: ObjectId) -> Result<(), Failure> {
        let until = Instant::now() + self.mongo.operation_time();
        let mut watch = Watch::default();
        let mut attempt = 0;
        loop {
            if self.take_turn(id).await? {
                return Ok(());
            }
            let seen = self.attend(&mut watch).await?;
            if seen == Some(id) {
                return Ok(());
            }
            if Instant::now() > until {
                self.leave_queue(id).await?;
                return Err(Failure::Unavailable("other nodes do not end their turns".to_owned()));
            }
            attempt += 1;
            tokio::time::sleep(self.mongo.pause(attempt).min(POLL)).await;
        }
    }

    /// Takes the turn where it is nobody's, else stands in the queue.
    async fn take_turn(&self, id: ObjectId) -> Result<bool, Failure> {
        let queued = doc! { "_id": WRITER, "batch": { "$nin": [null, id] } };
        let stand = doc! { "$addToSet": { "queue": id } };
        if self.mongo.timed(self.writer().update_one(queued, stand)).await?.matched_count == 1 {
            return Ok(false);
        }
        let free = doc! { "_id": WRITER, "batch": null };
        let mine = doc! { "$set": { "batch": id, "state": OPEN }, "$pull": { "queue": id } };
        match self.mongo.timed(self.writer().update_one(free, mine).upsert(true)).await.map_err(Failure::from) {
            Ok(_) => Ok(true),
            // The row is there, and it is somebody's turn; perhaps this one's.
            Err(Failure::Duplicate { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits no longer. The turn may just have come.
    async fn leave_queue(&self, id: ObjectId) -> Result<(), Failure> {
        let leave = doc! { "$pull": { "queue": id } };
        self.mongo.timed(self.writer().update_one(doc! { "_id": WRITER }, leave)).await?;
        self.end_turn(id).await
    }

    /// Hands the turn to the first in the queue.
    async fn end_turn(&self, id: ObjectId) -> Result<(), Failure> {
        let queue = doc! { "$ifNull": ["$queue", []] };
        let first = doc! { "$ifNull": [{ "$arrayElemAt": [queue.clone(), 0] }, null] };
        let size = doc! { "$size": queue.clone() };
        let rest = doc! { "$cond": [{ "$gt": [size.clone(), 1] }, { "$slice": [queue, 1, size] }, []] };
        let next = vec![doc! { "$set": { "batch": first, "state": OPEN, "queue": rest } }];
        let mine = doc! { "_id": WRITER, "batch": id };
        Ok(self.mongo.timed(self.writer().update_one(mine, next)).await.map(drop)?)
    }

    /// Looks whose turn it is, and ends one that has stood still for too long.
    pub(super) async fn attend(&self, watch: &mut Watch) -> Result<Option<ObjectId>, Failure> {
        let writer = self.mongo.timed(self.writer().find_one(doc! { "_id": WRITER })).await?;
        let Some((id, state)) = writer.as_ref().and_then(turn) else { return Ok(None) };
        let still = watch.stands_still(id, &state);
        match state.as_str() {
            // Well within the time that one who waits has.
            OPEN if still >= PATIENCE.min(self.mongo.operation_time() / 3) => {
                let open = doc! { "_id": WRITER, "batch": id, "state": OPEN };
                let dropped = doc! { "$set": { "state": DROPPED } };
                let dropped = self.mongo.timed(self.writer().update_one(open, dropped)).await?;
                if dropped.matched_count == 1 {
                    tracing::warn!("a writer did not decide in time and lost its turn");
                    self.clean(id).await?;
                }
            }
            DROPPED if still >= HELP => self.clean(id).await?,
            DECIDED if still >= HELP => drop(self.finish(id).await?),
            _ => {}
        }
        Ok(Some(id))
    }

    /// Plans the batch and writes down what is to be done.
    async fn prepare(&self, id: ObjectId, batch: &Batch) -> Result<(Plan, Intent), (WriteError, Intent)> {
        let nothing = |error: WriteError| (error, Intent::new());
        let loaded = load(self.mongo, &mut Via::plain(self.mongo), batch).await;
        let loaded = loaded.map_err(|error| nothing(Failure::from(error).into()))?;
        let now = mongodb::bson::DateTime::from_millis(self.mongo.env().now().timestamp_millis());
        let source = Source { new_id: &|| self.mongo.new_id(), now };
        let mut planned = plan(&loaded, batch, &source).map_err(nothing)?;
        let messages = self.mongo.outgoing_rows(&batch.publish, false);
        let recorded = steps::record(&mut planned, messages, id);
        let intent: Intent =
            recorded.rows.iter().filter_map(|(c, row)| Some((*c, row.get_object_id("_id").ok()?))).collect();
        match self.write_down(id, recorded, &intent).await {
            Ok(()) => Ok((planned, intent)),
            Err(error) => Err((error.into(), intent)),
        }
    }

    pub(super) async fn write_down(&self, id: ObjectId, recorded: Recorded, intent: &Intent) -> Result<(), Failure> {
        let mut steps = vec![self.step_row(id, 0, steps::intent(intent))];
        steps.extend(recorded.steps.iter().zip(1..).map(|(step, n)| self.step_row(id, n, step.clone())));
        self.mongo.timed(self.steps().insert_many(steps)).await?;
        let mut rows = recorded.rows.into_iter().peekable();
        while let Some((collection, row)) = rows.next() {
            let mut together = vec![row];
            while let Some((_, row)) = rows.next_if(|(next, _)| *next == collection) {
                together.push(row);
            }
            self.mongo.timed(self.rows(collection).insert_many(together)).await?;
        }
        Ok(())
    }

    /// Octets, for what is in a step (`$set`, dots) may not be a field's name on every server.
    fn step_row(&self, batch: ObjectId, step: i64, what: Document) -> Document {
        let octets = mongodb::bson::serialize_to_vec(&what).unwrap_or_default();
        let what = Binary { subtype: BinarySubtype::Generic, bytes: octets };
        doc! { "_id": self.mongo.new_id(), "batch": batch, "step": step, "what": what }
    }

    /// Decides; false when it is no longer this batch's turn.
    pub(super) async fn decide(&self, id: ObjectId) -> Result<bool, Failure> {
        let writer = self.writer();
        let mut attempt = 0;
        loop {
            let open = doc! { "_id": WRITER, "batch": id, "state": OPEN };
            let decision = writer.update_one(open, doc! { "$set": { "state": DECIDED } });
            let error = match self.mongo.timed(decision).await {
                Ok(done) if done.matched_count == 1 => return Ok(true),
                Ok(_) if attempt == 0 => return Ok(false),
                // An attempt before this one may have decided it.
                Ok(_) => Failure::Unavailable("nobody knows whether the write was decided".to_owned()),
                Err(error) => Failure::from(error),
            };
            attempt += 1;
            if attempt > 3 || !matches!(error, Failure::Unavailable(_)) {
                return Err(error);
            }
            // Nobody knows whether it was done.
            tokio::time::sleep(self.mongo.pause(attempt)).await;
            let seen = self.mongo.timed(writer.find_one(doc! { "_id": WRITER })).await;
            match seen.map(|row| row.as_ref().and_then(turn)) {
                Ok(Some((turn, state))) if turn == id && state == DECIDED => return Ok(true),
                Ok(Some((turn, state))) if turn == id && state == OPEN => {}
                Err(_) => {}
                // It was decided and done by somebody else, or it was not decided.
                Ok(_) => return Err(error),
            }
        }
    }

    /// As [`Journal::finish`], more than once where the server is away: who is told that it failed would write it again.
    pub(super) async fn finish_patiently(&self, id: ObjectId) -> Result<Finished, Failure> {
        let until = Instant::now() + self.mongo.operation_time();
        let mut attempt = 0;
        loop {
            match self.finish(id).await {
                Err(Failure::Unavailable(_)) if Instant::now() < until => {}
                done => return done,
            }
            attempt += 1;
            tokio::time::sleep(self.mongo.pause(attempt)).await;
        }
    }

    /// Does what a decided batch has still to do, and ends its turn.
    pub(super) async fn finish(&self, id: ObjectId) -> Result<Finished, Failure> {
        let mut finished = Finished::default();
        let steps = self.steps();
        let find = steps.find(doc! { "batch": id }).sort(doc! { "step": 1 });
        let rows: Vec<Document> = self.mongo.timed(async { find.await?.try_collect().await }).await?;
        for row in &rows {
            match self.step(id, row).await {
                Ok(base) => finished.bases.extend(base),
                // It would be refused for ever, and all who write would wait for it.
                Err(Failure::Broken(why)) => {
                    self.set_aside(row, &why).await?;
                    finished.refused.get_or_insert(why);
                }
                Err(error) => return Err(error),
            }
        }
        self.mongo.timed(steps.delete_many(doc! { "batch": id })).await?;
        self.end_turn(id).await?;
        if !rows.is_empty() {
            self.mongo.ring();
        }
        Ok(finished)
    }

    /// Does one step; for a count, the collection and the token it was counted from.
    async fn step(&self, id: ObjectId, row: &Document) -> Result<Option<(CollectionId, u64)>, Failure> {
        let Some(what) = row.get_binary_generic("what").ok().map(Vec::as_slice) else { return Ok(None) };
        let what: Document = mongodb::bson::deserialize_from_slice(what)
            .map_err(|e| Failure::Broken(format!("a step in the journal cannot be read: {e}")))?;
        match steps::read(&what) {
            Some(steps::Task::Rows(step)) => self.run(step).await.map(|()| None),
            Some(steps::Task::Count(count)) => {
                let base = self.count(id, &count).await?;
                Ok(base.map(|base| (collection_id(count.place.id), base)))
            }
            None => Ok(None),
        }
    }

    /// Keeps a step that the server will never take where an administrator finds it (`convoke doctor`), so that the rest of
    /// the batch, and all later ones, go on.
    async fn set_aside(&self, step: &Document, why: &str) -> Result<(), Failure> {
        tracing::error!(%why, collection = REFUSED_STEPS, "a step of a decided write is refused for good and set aside");
        let mut row = step.clone();
        row.insert("why", why);
        let id = doc! { "_id": row.remove("_id") };
        self.mongo.timed(self.rows(REFUSED_STEPS).update_one(id, doc! { "$set": row }).upsert(true)).await?;
        Ok(())
    }

    async fn run(&self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Update { collection, filter, update, upsert } => {
                let done = self.mongo.timed(self.rows(&collection).update_many(filter, update).upsert(upsert)).await;
                unless_there(done.map(drop))
            }
            Step::Delete { collection, filter } => {
                Ok(self.mongo.timed(self.rows(&collection).delete_many(filter)).await.map(drop)?)
            }
            Step::Insert { collection, row } => {
                unless_there(self.mongo.timed(self.rows(&collection).insert_one(row)).await.map(drop))
            }
        }
    }

    /// Writes the rows of changes and moves the token, once; `None` when the collection is gone.
    async fn count(&self, batch: ObjectId, count: &Count) -> Result<Option<u64>, Failure> {
        let Count { place, from, changes, .. } = count;
        let (heads, rows) = (self.rows(place.shelf.heads()), self.rows(place.shelf.changes()));
        let mut written = *from;
        let mut is_written = false;
        loop {
            let Some(head) = self.mongo.timed(heads.find_one(doc! { "_id": place.id })).await? else { return Ok(None) };
            let stored = collections::token(&head);
            let ours = value::inner(&head, collections::OURS);
            if ours.and_then(|ours| ours.get_object_id("batch").ok()) == Some(batch) {
                return Ok(stored.checked_sub(changes.len() as u64));
            }
            // Somebody moved the token since this was planned. Where others have done this batch, and the next of this
            // collection as well, nothing is left to do; until they have, the turn is this batch's. The row of the
            // collection was read before: what is done after that moves its token, and what follows matches nothing.
            if stored > *from && !self.has_turn(batch).await? {
                return Ok(None);
            }
            // A batch may jump ahead.
            let base = stored.max(*from);
            if !is_written {
                let new = changes.iter().zip(*from..).map(|(change, before)| change.row(place, before));
                unless_there(self.mongo.timed(rows.insert_many(new).ordered(false)).await.map(drop))?;
                is_written = true;
            }
            if base > written {
                // Somebody moved the token. Numbers only go up, so that one who sleeps here does no harm afterwards.
                for (change, before) in changes.iter().zip(base..) {
                    let up = doc! { "$max": { "synctoken": value::count(before) } };
                    self.mongo.timed(rows.update_one(doc! { "_id": change.id }, up)).await?;
                }
                written = base;
            }
            let as_seen = doc! {
                "_id": place.id,
                "synctoken": head.get("synctoken").cloned().unwrap_or(Bson::Null),
                "convoke.batch": { "$ne": batch },
            };
            let moved = doc! { "synctoken": value::count(base + changes.len() as u64), "convoke.batch": batch };
            let mut update = doc! { "$set": moved };
            if let Some(grows) = count.grows() {
                update.insert("$inc", grows);
            }
            let done = self.mongo.timed(heads.update_one(as_seen, update)).await?;
            if done.matched_count == 1 {
                return Ok(Some(base));
            }
        }
    }

    async fn has_turn(&self, batch: ObjectId) -> Result<bool, Failure> {
        let writer = self.mongo.timed(self.writer().find_one(doc! { "_id": WRITER })).await?;
        Ok(writer.as_ref().and_then(turn).is_some_and(|(id, _)| id == batch))
    }

    /// Ends the turn of a batch that is not to be decided.
    pub(super) async fn give_up(&self, id: ObjectId, intent: &Intent) {
        if let Err(error) = self.forget(id, intent).await {
            // The next one to write does it, after a while.
            tracing::debug!(%error, "a refused batch could not be cleared away");
        }
    }

    /// Removes what a batch that is not decided has written, then ends its turn.
    pub(super) async fn forget(&self, id: ObjectId, intent: &Intent) -> Result<(), Failure> {
        for (collection, row) in intent {
            let pending = doc! { "_id": row, "$or": [{ "convoke.pending": id }, { "ready": false }] };
            self.mongo.timed(self.rows(collection).delete_one(pending)).await?;
        }
        self.mongo.timed(self.steps().delete_many(doc! { "batch": id })).await?;
        self.end_turn(id).await
    }

    /// The same for a batch of a process that is gone: it wrote down first what it was about to write.
    async fn clean(&self, id: ObjectId) -> Result<(), Failure> {
        let first = self.mongo.timed(self.steps().find_one(doc! { "batch": id, "step": 0 })).await?;
        let what = first.as_ref().and_then(|row| row.get_binary_generic("what").ok());
        let intent = what.and_then(|what| mongodb::bson::deserialize_from_slice::<Document>(what).ok());
        let intent = intent.as_ref().map(steps::read_intent).unwrap_or_default();
        self.forget(id, &intent).await
    }
}

/// Done already is as good as done.
fn unless_there(done: Result<(), Timed>) -> Result<(), Failure> {
    match done.map_err(Failure::from) {
        Err(Failure::Duplicate { .. }) => Ok(()),
        done => done,
    }
}

/// Whose turn it is and how far that batch is.
pub(super) fn turn(writer: &Document) -> Option<(ObjectId, String)> {
    Some((writer.get_object_id("batch").ok()?, writer.get_str("state").ok()?.to_owned()))
}

/// For how long the same turn was seen.
#[derive(Debug, Default)]
pub(super) struct Watch(Option<(ObjectId, String, Instant)>);

impl Watch {
    fn stands_still(&mut self, id: ObjectId, state: &str) -> Duration {
        match &self.0 {
            Some((seen, was, since)) if *seen == id && was == state => since.elapsed(),
            _ => {
                self.0 = Some((id, state.to_owned(), Instant::now()));
                Duration::ZERO
            }
        }
    }
}
