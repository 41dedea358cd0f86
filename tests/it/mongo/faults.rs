//! Commands that fail, connections that break, servers that die: a batch happens as a whole or not at all, and what was
//! acknowledged is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use convoke::clock::Env;
use convoke::config::MongoDb;
use convoke::events::Topic;
use convoke::mongo::{Mongo, outgoing};
use convoke::store::mongo::MongoDav;
use convoke::store::{Batch, Collection, CollectionKind, DavStore, Expect, Op, StoreError, WriteError};
use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};

use super::server::Server;
use crate::contracts::samples::{calendar, event, home, message, put, write};

/// A batch that puts an object into each of two calendars, and a message.
fn batch(calendars: &[Collection; 2], n: u32) -> Batch {
    let object = event(&format!("{n}.ics"), i64::from(n));
    let ops = calendars.iter().map(|c| put(c, object.clone(), Expect::Absent)).collect();
    Batch { ops, publish: vec![message(Topic::EventCreated, &n.to_string(), n)] }
}

async fn two_calendars(store: &MongoDav) -> [Collection; 2] {
    let home = home();
    let two = [calendar(home, "one"), calendar(home, "two")];
    write(store, two.iter().cloned().map(Op::CreateCollection).collect()).await.unwrap();
    two
}

/// The numbers of the objects in a calendar.
async fn numbers(store: &MongoDav, calendar: &Collection) -> BTreeSet<u32> {
    let listed = store.list(calendar.id, None, usize::MAX).await.unwrap();
    listed.iter().map(|meta| meta.name.trim_end_matches(".ics").parse().unwrap()).collect()
}

/// The numbers of the messages that may be taken.
pub(super) async fn messages(mongo: &Mongo) -> Vec<u32> {
    let waiting = mongo.outgoing();
    let find = waiting.find(doc! { "ready": true }).sort(doc! { "order": 1 });
    let rows: Vec<Document> = find.await.unwrap().try_collect().await.unwrap();
    let number = |row: &Document| outgoing::message(row).unwrap().payload["n"].as_u64().unwrap();
    rows.iter().map(|row| u32::try_from(number(row)).unwrap()).collect()
}

/// Both calendars hold the same, each object has its message, and nothing is left lying about.
async fn is_whole(store: &MongoDav, calendars: &[Collection; 2], context: &str) -> BTreeSet<u32> {
    let stored = numbers(store, &calendars[0]).await;
    assert_eq!(numbers(store, &calendars[1]).await, stored, "{context}: a batch by halves");
    let told: Vec<u32> = messages(store.mongo()).await;
    assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), stored, "{context}: messages");
    assert_eq!(told.len(), stored.len(), "{context}: a message twice");
    for calendar in calendars {
        let changes = store.changes(calendar.id, 1, usize::MAX).await.unwrap().unwrap();
        assert_eq!(changes.changes.len(), stored.len(), "{context}: changes");
        assert!(changes.token > stored.len() as u64);
    }
    stored
}

#[tokio::test]
async fn a_conflict_that_passes_is_not_seen() {
    let Some(server) = Server::start(true).await else { return };
    let store = MongoDav::open(server.connect().await).await.unwrap();
    let calendars = two_calendars(&store).await;
    let conflict = doc! { "errorCode": 112, "errorLabels": ["TransientTransactionError"] };
    server.fail(&["insert", "update"], doc! { "times": 3 }, conflict).await;
    let written = store.write(batch(&calendars, 1)).await.unwrap();
    assert_eq!(written.sync_tokens, [2, 2]);
    is_whole(&store, &calendars, "after three conflicts").await;
}

#[tokio::test]
async fn a_commit_that_nobody_heard_of_is_asked_for_again() {
    let Some(server) = Server::start(true).await else { return };
    let store = MongoDav::open(server.connect().await).await.unwrap();
    let calendars = two_calendars(&store).await;
    // The connection breaks; the driver's own second attempt, too.
    server.fail(&["commitTransaction"], doc! { "times": 3 }, doc! { "closeConnection": true }).await;
    store.write(batch(&calendars, 1)).await.unwrap();
    // It was done, but a majority has not said so in time.
    let unconfirmed = doc! { "writeConcernError": { "code": 64, "codeName": "WriteConcernFailed", "errmsg": "late" } };
    server.fail(&["commitTransaction"], doc! { "times": 2 }, unconfirmed).await;
    store.write(batch(&calendars, 2)).await.unwrap();
    assert_eq!(is_whole(&store, &calendars, "after unknown commits").await, BTreeSet::from([1, 2]));
    // For good: the caller is told that it may have happened.
    server.fail(&["commitTransaction"], "alwaysOn", doc! { "closeConnection": true }).await;
    let error = store.write(batch(&calendars, 3)).await.unwrap_err();
    assert!(matches!(error, WriteError::Store(StoreError::Unavailable(_))), "{error}");
    server.heal().await;
    is_whole(&store, &calendars, "after a commit that failed").await;
}

/// Breaks every connection from the n-th command on, for every n until a batch gets through.
async fn whatever_step_breaks_a_batch_is_whole(has_transactions: bool) {
    let Some(server) = Server::start(has_transactions).await else { return };
    let impatient = MongoDb { operation_ms: 600, ..server.config() };
    let store = MongoDav::open(Mongo::connect(&impatient, Env::system()).await.unwrap()).await.unwrap();
    let calendars = two_calendars(&store).await;
    let commands = ["find", "insert", "update", "delete", "findAndModify", "commitTransaction", "getMore"];
    for n in 0..200 {
        server.fail(&commands, doc! { "skip": n }, doc! { "closeConnection": true }).await;
        let done = store.write(batch(&calendars, n)).await;
        server.heal().await;
        // Whoever writes next finishes what was decided, and clears away what was not.
        let next = 1000 + n;
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while let Err(error) = store.write(batch(&calendars, next)).await {
            assert!(matches!(error, WriteError::Store(StoreError::Unavailable(_))), "{n}: {error}");
            assert!(std::time::Instant::now() < end, "{n}: {error}");
        }
        let stored = is_whole(&store, &calendars, &format!("command {n} failed")).await;
        assert!(stored.contains(&next));
        let steps = store.mongo().dav().collection::<Document>("convoke_journal_steps");
        assert_eq!(steps.count_documents(doc! {}).await.unwrap(), 0, "the journal is empty");
        if done.is_ok() {
            assert!(stored.contains(&n), "what was acknowledged is there");
            assert!(n > 5, "commands failed before");
            return;
        }
    }
    panic!("a batch takes no 200 commands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_transactions_whatever_step_breaks_a_batch_is_whole() {
    whatever_step_breaks_a_batch_is_whole(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_transactions_whatever_step_breaks_a_batch_is_whole() {
    whatever_step_breaks_a_batch_is_whole(false).await;
}

async fn a_server_that_dies_under_writes_loses_nothing_acknowledged(has_transactions: bool) {
    let Some(mut server) = Server::start(has_transactions).await else { return };
    let store = MongoDav::open(server.connect().await).await.unwrap();
    let calendars = two_calendars(&store).await;
    let (over, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (store, calendars) = (store.clone(), calendars.clone());
            let (over, next, acknowledged) = (over.clone(), next.clone(), acknowledged.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    match store.write(batch(&calendars, n)).await {
                        Ok(_) => drop(acknowledged.lock().unwrap().insert(n)),
                        Err(WriteError::Store(StoreError::Unavailable(_))) => {}
                        Err(error) => panic!("{n}: {error}"),
                    }
                }
            })
        })
        .collect();
    let until_more = async |than: usize| {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while acknowledged.lock().unwrap().len() <= than {
            assert!(std::time::Instant::now() < end, "nothing is written any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    for round in 1..=2 {
        let before = acknowledged.lock().unwrap().len();
        until_more(before + 20 * round).await;
        server.kill();
        assert!(matches!(store.list(calendars[0].id, None, 1).await, Err(StoreError::Unavailable(_))), "it is away");
        server.revive().await;
        let before = acknowledged.lock().unwrap().len();
        until_more(before + 20).await;
    }
    over.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    // What was under way when the writers stopped is finished by the next.
    write(&store, vec![Op::CreateCollection(calendar(home(), "next"))]).await.unwrap();
    let stored = is_whole(&store, &calendars, "after two deaths").await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.is_subset(&stored), "lost: {:?}", acknowledged.difference(&stored));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_transactions_a_server_that_dies_under_writes_loses_nothing_acknowledged() {
    a_server_that_dies_under_writes_loses_nothing_acknowledged(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_transactions_a_server_that_dies_under_writes_loses_nothing_acknowledged() {
    a_server_that_dies_under_writes_loses_nothing_acknowledged(false).await;
}

/// A refusal leaves nothing behind, and the next writer need not wait for anything.
#[tokio::test]
async fn a_refused_batch_ends_its_turn() {
    let Some(server) = Server::start(false).await else { return };
    let store = MongoDav::open(server.connect().await).await.unwrap();
    let calendars = two_calendars(&store).await;
    store.write(batch(&calendars, 1)).await.unwrap();
    for _ in 0..5 {
        assert!(matches!(store.write(batch(&calendars, 1)).await, Err(WriteError::Precondition(0))));
    }
    let dav = store.mongo().dav();
    let writer = dav.collection::<Document>("convoke_journal").find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(writer.get("batch"), Some(&mongodb::bson::Bson::Null));
    is_whole(&store, &calendars, "after refusals").await;
    assert!(store.collection(calendars[0].home, CollectionKind::Calendar, "one").await.unwrap().is_some());
}
