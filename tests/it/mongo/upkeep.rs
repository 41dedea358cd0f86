//! What is particular to MongoDB about trash, counters, logs and the journal: an esn-sabre on the same database, and a server
//! that refuses.

use std::time::Duration;

use chrono::TimeDelta;
use convoke::clock::Env;
use convoke::config::MongoDb;
use convoke::health::{Examine as _, Verdict};
use convoke::mongo::{Mongo, REFUSED_STEPS, oid};
use convoke::store::mongo::MongoDav;
use convoke::store::{Change, Collection, DavStore, Expect, LogKept, Op, Upkeep, Usage};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::server::Server;
use crate::contracts::samples::{calendar, collection, delete, event, home, put, stored_calendar, write};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

async fn used(store: &MongoDav, c: &Collection) -> Usage {
    store.usage(c.home).await.unwrap().into_iter().find(|(id, _)| *id == c.id).unwrap().1
}

#[tokio::test]
async fn a_calendar_of_esn_sabre_is_counted_once_somebody_wants_to_know() {
    let Some(databases) = TestMongo::on(REPLICA_SET) else { return };
    let store = MongoDav::open(databases.connect().await).await.unwrap();
    let work = stored_calendar(&store, "work").await;
    write(&store, vec![put(&work, event("a.ics", 0), Expect::Any)]).await.unwrap();
    let size = event("a.ics", 0).meta.size;
    let heads = store.mongo().dav().collection::<Document>("calendars");
    let objects = store.mongo().dav().collection::<Document>("calendarobjects");
    // As esn-sabre leaves them: no counters, and here an object without its size.
    let bare = doc! { "$unset": { "convoke.octets": "", "convoke.objects": "" } };
    heads.update_one(doc! { "_id": oid(work.id.0) }, bare).await.unwrap();
    objects.update_many(doc! {}, doc! { "$unset": { "size": "" } }).await.unwrap();
    write(&store, vec![put(&work, event("b.ics", 0), Expect::Any)]).await.unwrap();
    assert_eq!(store.recount(work.id, true).await.unwrap(), None, "what nobody counts is not counted wrongly");
    assert_eq!(used(&store, &work).await, Usage { octets: 2 * size, objects: 2 });
    write(&store, vec![put(&work, event("c.ics", 0), Expect::Any)]).await.unwrap();
    assert_eq!(used(&store, &work).await, Usage { octets: 3 * size, objects: 3 }, "from now on it is counted");

    // esn-sabre removes one: a check finds out.
    objects.delete_one(doc! { "uri": "c.ics" }).await.unwrap();
    let found = store.recount(work.id, true).await.unwrap();
    let usage = |n| Usage { octets: n * size, objects: n };
    assert_eq!(found, Some((usage(3), usage(2))));
    assert_eq!(used(&store, &work).await, usage(2));
}

#[tokio::test]
async fn the_log_that_esn_sabre_reads_is_cut_only_where_it_is_said() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(databases) = TestMongo::on(variable) else { return };
        let store = MongoDav::open(databases.connect().await).await.unwrap();
        let work = stored_calendar(&store, "work").await;
        let inbox = collection(work.home, convoke::store::CollectionKind::Inbox, "inbox");
        write(&store, vec![Op::CreateCollection(inbox.clone())]).await.unwrap();
        for c in [&work, &inbox] {
            write(&store, vec![put(c, event("a.ics", 0), Expect::Any)]).await.unwrap();
            write(&store, vec![put(c, event("a.ics", 1), Expect::Any)]).await.unwrap();
            write(&store, vec![put(c, event("b.ics", 1), Expect::Any)]).await.unwrap();
            write(&store, vec![delete(c, "b.ics", Expect::Any)]).await.unwrap();
        }
        let mut kept = LogKept { since: Env::system().now() + TimeDelta::days(1), names: u64::MAX, shared: false };
        let rows = store.mongo().dav().collection::<Document>("calendarchanges");
        assert_eq!(store.trim_log(None, &kept, 100).await.unwrap().rows, 3, "that of the inbox");
        assert_eq!(rows.count_documents(doc! {}).await.unwrap(), 4);
        assert!(store.changes(work.id, 2, 9).await.unwrap().is_some());
        kept.shared = true;
        assert_eq!(store.trim_log(None, &kept, 100).await.unwrap().rows, 3);
        let left: Document = rows.find_one(doc! {}).await.unwrap().unwrap();
        assert_eq!(left.get_str("uri").unwrap(), "a.ics", "the last change of what there is stays");
        assert!(store.changes(work.id, 2, 9).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_step_that_the_server_refuses_for_good_stops_nobody() {
    let Some(databases) = TestMongo::on(STANDALONE) else { return };
    let mongo = databases.connect().await;
    let store = MongoDav::open(mongo.clone()).await.unwrap();
    let work = stored_calendar(&store, "work").await;
    write(&store, vec![put(&work, event("a.ics", 0), Expect::Any)]).await.unwrap();
    // Some administrator's idea, which meets a change of what is there: only that is done after the decision.
    let validator = doc! { "collMod": "calendarobjects", "validator": { "$or": [
        { "uri": { "$ne": "a.ics" } }, { "firstoccurence": { "$ne": 7 } },
    ] } };
    mongo.dav().run_command(validator).await.unwrap();
    let broken = vec![put(&work, event("a.ics", 7), Expect::Any), put(&work, event("b.ics", 0), Expect::Any)];
    let error = write(&store, broken).await.unwrap_err().to_string();
    assert!(error.contains("set aside"), "{error}");

    // Everybody else goes on, here and on other nodes.
    let other = MongoDav::open(databases.connect().await).await.unwrap();
    let begun = std::time::Instant::now();
    write(&other, vec![Op::CreateCollection(calendar(home(), "other"))]).await.unwrap();
    write(&store, vec![put(&work, event("c.ics", 0), Expect::Any)]).await.unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    let told = store.changes(work.id, 2, 9).await.unwrap().unwrap();
    assert_eq!(told.changes.len(), 3, "clients hear of what there is: {told:?}");
    let names: Vec<String> = store.list(work.id, None, 9).await.unwrap().into_iter().map(|m| m.name).collect();
    assert_eq!(names, ["a.ics", "b.ics", "c.ics"]);

    // Nor is one stopped that a dead process left behind: whoever comes next goes on.
    let begun = doc! { "_id": "writer" };
    let left = mongodb::bson::oid::ObjectId::new();
    let step = doc! { "collection": "calendarobjects", "filter": { "uri": "a.ics" }, "update": { "$set": { "firstoccurence": 7 } }, "upsert": false };
    let what = mongodb::bson::Binary {
        subtype: mongodb::bson::spec::BinarySubtype::Generic,
        bytes: mongodb::bson::serialize_to_vec(&step).unwrap(),
    };
    let steps = mongo.dav().collection::<Document>("convoke_journal_steps");
    steps.insert_one(doc! { "batch": left, "step": 1_i64, "what": what }).await.unwrap();
    let decided = doc! { "$set": { "batch": left, "state": "decided" } };
    mongo.dav().collection::<Document>("convoke_journal").update_one(begun, decided).await.unwrap();
    let third = MongoDav::open(databases.connect().await).await.unwrap();
    write(&third, vec![put(&work, event("d.ics", 0), Expect::Any)]).await.unwrap();

    let aside = mongo.dav().collection::<Document>(REFUSED_STEPS);
    assert_eq!(aside.count_documents(doc! {}).await.unwrap(), 2);
    let findings = mongo.examine().await;
    let finding = findings.iter().find(|f| f.subject == "steps of writes").expect("doctor tells");
    assert!(matches!(finding.verdict, Verdict::Bad { .. }), "{finding:?}");
}

/// Follows the pages of a first synchronisation to their end; the names.
async fn everything(store: &MongoDav, c: &Collection, limit: usize) -> Vec<String> {
    let (mut names, mut token) = (Vec::new(), 0);
    loop {
        let page = store.changes(c.id, token, limit).await.unwrap().expect("its own token");
        assert!(!page.truncated || !page.changes.is_empty(), "a page leads on");
        names.extend(page.changes.iter().map(|change| match change {
            Change::Written(meta) => meta.name.clone(),
            Change::Deleted(name) => panic!("{name} was not told before"),
        }));
        token = page.token;
        if !page.truncated {
            names.sort();
            return names;
        }
    }
}

#[tokio::test]
async fn everything_is_told_in_pages_after_a_cut_also_what_nobody_logged() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(databases) = TestMongo::on(variable) else { return };
        let store = MongoDav::open(databases.connect().await).await.unwrap();
        let work = stored_calendar(&store, "work").await;
        let mut names: Vec<String> = (0..40).map(|n| format!("{n}.ics")).collect();
        for name in &names {
            write(&store, vec![put(&work, event(name, 0), Expect::Any)]).await.unwrap();
        }
        for _ in 0..9 {
            write(&store, vec![put(&work, event("gone.ics", 0), Expect::Any)]).await.unwrap();
            write(&store, vec![delete(&work, "gone.ics", Expect::Any)]).await.unwrap();
        }
        let kept = LogKept { since: Env::system().now() + TimeDelta::days(1), names: u64::MAX, shared: true };
        assert!(store.trim_log(None, &kept, 100).await.unwrap().rows > 0);
        // The log of some of them was lost before.
        let rows = store.mongo().dav().collection::<Document>("calendarchanges");
        let lost: Vec<&str> = names[30..37].iter().map(String::as_str).collect();
        rows.delete_many(doc! { "uri": { "$in": lost } }).await.unwrap();
        names.sort();
        for limit in [8, 9, 10, 11, 16, 33, 39, 40, 100] {
            assert_eq!(everything(&store, &work, limit).await, names, "{limit} at once");
        }
    }
}

/// Leaves a decided batch behind, none of whose steps is done but the writing of its object.
async fn decided(store: &MongoDav, work: &Collection, name: &str, grown: Option<Document>) -> ObjectId {
    let dav = store.mongo().dav();
    let head = dav.collection::<Document>("calendars").find_one(doc! { "_id": oid(work.id.0) }).await.unwrap().unwrap();
    let rows = dav.collection::<Document>("calendarobjects");
    let mut row = rows.find_one(doc! { "uri": "a.ics" }).await.unwrap().unwrap();
    row.insert("_id", ObjectId::new());
    row.insert("uri", name);
    row.insert("uid", name);
    rows.insert_one(row).await.unwrap();
    let mut step = doc! {
        "count": "calendars",
        "id": oid(work.id.0),
        "from": head.get("synctoken").cloned().unwrap(),
        "changes": [{ "_id": ObjectId::new(), "uri": name, "operation": 1 }],
    };
    if let Some(grown) = grown {
        step.insert("grown", grown);
    }
    let what = mongodb::bson::Binary {
        subtype: mongodb::bson::spec::BinarySubtype::Generic,
        bytes: mongodb::bson::serialize_to_vec(&step).unwrap(),
    };
    let batch = ObjectId::new();
    let steps = dav.collection::<Document>("convoke_journal_steps");
    steps.insert_one(doc! { "batch": batch, "step": 1_i64, "what": what }).await.unwrap();
    let decided = doc! { "$set": { "batch": batch, "state": "decided" } };
    let writer = dav.collection::<Document>("convoke_journal");
    writer.update_one(doc! { "_id": "writer" }, decided).await.unwrap();
    batch
}

#[tokio::test]
async fn what_a_write_under_way_brings_is_counted_once() {
    let size = i64::try_from(event("a.ics", 0).meta.size).unwrap();
    let grown = doc! { "octets": size, "objects": 1_i64 };
    for (is_counted, grown) in [(true, Some(grown)), (false, None)] {
        let Some(databases) = TestMongo::on(STANDALONE) else { return };
        let store = MongoDav::open(databases.connect().await).await.unwrap();
        let work = stored_calendar(&store, "work").await;
        write(&store, vec![put(&work, event("a.ics", 0), Expect::Any)]).await.unwrap();
        let heads = store.mongo().dav().collection::<Document>("calendars");
        let wrong = match is_counted {
            true => doc! { "$set": { "convoke.octets": 7_i64 } },
            false => doc! { "$unset": { "convoke.octets": "", "convoke.objects": "" } },
        };
        heads.update_one(doc! { "_id": oid(work.id.0) }, wrong).await.unwrap();
        decided(&store, &work, "b.ics", grown).await;
        let size = u64::try_from(size).unwrap();
        if is_counted {
            store.recount(work.id, true).await.unwrap().expect("it was counted wrongly");
        } else {
            assert_eq!(used(&store, &work).await, Usage { octets: 2 * size, objects: 2 });
        }
        // Whatever was left to do is done by now.
        write(&store, vec![put(&work, event("c.ics", 0), Expect::Any)]).await.unwrap();
        assert_eq!(used(&store, &work).await, Usage { octets: 3 * size, objects: 3 });
        assert_eq!(store.recount(work.id, false).await.unwrap(), None);
    }
}

/// A writer stands still when it is about to move a token; others finish its batch, and the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_slept_counts_nothing_again() {
    let Some(server) = Server::start(false).await else { return };
    let opened =
        async |config: &MongoDb| MongoDav::open(Mongo::connect(config, Env::system()).await.unwrap()).await.unwrap();
    let config_of = |name: &str| {
        let url = format!("{}&appName={name}", server.config().url);
        MongoDb { url, operation_ms: 20_000, ..server.config() }
    };
    let other = opened(&config_of("other")).await;
    let work = stored_calendar(&other, "work").await;
    write(&other, vec![put(&work, event("a.ics", 0), Expect::Any)]).await.unwrap();
    decided(&other, &work, "b.ics", Some(doc! { "octets": 1000_i64, "objects": 1_i64 })).await;
    // Who opens the store finishes what is decided. The rows of changes are written just before the token moves.
    let stalled = server.stall("sleeper", "insert", Duration::from_secs(3)).await;
    let config = config_of("sleeper");
    let sleeper = tokio::spawn(async move { opened(&config).await });
    stalled.await;
    write(&other, vec![put(&work, event("c.ics", 0), Expect::Any)]).await.unwrap();
    sleeper.await.unwrap();
    let size = event("a.ics", 0).meta.size;
    assert_eq!(used(&other, &work).await, Usage { octets: 1000 + 2 * size, objects: 3 });
    let token = other.collection(work.home, work.kind, "work").await.unwrap().unwrap().sync_token;
    assert_eq!(token, 4, "each write counted once");
}
