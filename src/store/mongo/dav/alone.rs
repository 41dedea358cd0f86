//! What is no batch, on a server without transactions: a step in a turn of its own, and the question whether a turn is under
//! way. For what is counted, which must not be of a batch by halves.

use mongodb::bson::{Bson, doc};
use tokio::sync::Mutex;

use super::journal::{DECIDED, Intent, Journal, WRITER, turn};
use super::place::Place;
use super::plan::Step;
use super::steps::{self, Recorded};
use crate::mongo::{Failure, Mongo};

/// Does one step in a turn of its own, so that no batch of ours is by halves meanwhile; false when the token of the place is
/// not the one that was seen.
pub(super) async fn do_alone(
    mongo: &Mongo,
    lock: &Mutex<()>,
    (place, seen): (&Place, &Bson),
    step: &Step,
) -> Result<bool, Failure> {
    let turn = tokio::time::timeout(mongo.operation_time(), lock.lock()).await;
    let _turn = turn.map_err(|_| Failure::timed_out())?;
    let journal = Journal { mongo };
    let id = mongo.new_id();
    journal.begin(id).await?;
    let prepared = async {
        let heads = journal.rows(place.shelf.heads());
        let head = mongo.timed(heads.find_one(doc! { "_id": place.id })).await?;
        let is_as_seen = head.is_some_and(|head| head.get("synctoken").unwrap_or(&Bson::Null) == seen);
        if is_as_seen {
            let recorded = Recorded { rows: Vec::new(), steps: vec![steps::step_document(step)] };
            journal.write_down(id, recorded, &Intent::new()).await?;
        }
        Ok::<_, Failure>(is_as_seen)
    };
    let is_decided = match prepared.await {
        Ok(true) => journal.decide(id).await?,
        Ok(false) => false,
        Err(error) => {
            journal.give_up(id, &Intent::new()).await;
            return Err(error);
        }
    };
    if !is_decided {
        journal.forget(id, &Intent::new()).await?;
        return Ok(false);
    }
    match journal.finish_patiently(id).await?.refused {
        Some(why) => Err(Failure::Broken(why)),
        None => Ok(true),
    }
}

/// Whether a batch is decided and perhaps not done.
pub(super) async fn is_under_way(mongo: &Mongo) -> Result<bool, Failure> {
    if mongo.has_transactions() {
        return Ok(false);
    }
    let writer = Journal { mongo }.writer();
    let writer = mongo.timed(writer.find_one(doc! { "_id": WRITER })).await?;
    Ok(writer.as_ref().and_then(turn).is_some_and(|(_, state)| state == DECIDED))
}
