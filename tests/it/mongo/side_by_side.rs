//! An esn-sabre that writes the same calendars at the same time: it reads the token, writes the row of the change, and moves
//! the token, in three steps and without asking anybody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use convoke::mongo::oid;
use convoke::store::mongo::MongoDav;
use convoke::store::{Change, Collection, DavStore, Expect, Op};
use mongodb::bson::{Document, doc};

use crate::contracts::samples::{calendar, home, put, with_data, write};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// What a client knows that synchronises all the time.
#[derive(Default)]
struct Client {
    known: BTreeMap<String, String>,
    token: u64,
}

impl Client {
    async fn sync(&mut self, store: &MongoDav, work: &Collection) {
        let changes = store.changes(work.id, self.token, 1000).await.unwrap().unwrap();
        for change in changes.changes {
            match change {
                Change::Written(meta) => drop(self.known.insert(meta.name, meta.etag)),
                Change::Deleted(name) => drop(self.known.remove(&name)),
            }
        }
        assert!(changes.token >= self.token, "tokens go up");
        self.token = changes.token;
    }
}

/// Writes objects the way esn-sabre does.
async fn esn_sabre(store: MongoDav, work: Collection, writer: u32, objects: u32) {
    let dav = store.mongo().dav().clone();
    let rows = |name: &str| dav.collection::<Document>(name);
    for n in 0..objects {
        // Every third time an object of ours.
        let name = if n % 3 == 0 { format!("ours-{}.ics", n % 20) } else { format!("theirs-{writer}-{n}.ics") };
        let object = with_data(&name, &format!("written by {writer}, {n}"), Some(0), Some(1));
        let set = doc! {
            "calendardata": &object.data, "etag": &object.meta.etag, "size": object.data.len() as i32,
            "lastmodified": 1_780_000_000, "componenttype": "VEVENT", "firstoccurence": 0, "lastoccurence": 1,
            "uid": name.trim_end_matches(".ics"),
        };
        let key = doc! { "calendarid": work.id.to_string(), "uri": &name };
        rows("calendarobjects").update_one(key, doc! { "$set": set }).upsert(n % 3 != 0).await.unwrap();
        let head = doc! { "_id": oid(work.id.0) };
        let token = rows("calendars").find_one(head.clone()).await.unwrap().unwrap().get("synctoken").cloned();
        let change = doc! { "calendarid": oid(work.id.0), "uri": &name, "synctoken": token, "operation": 2 };
        rows("calendarchanges").insert_one(change).await.unwrap();
        rows("calendars").update_one(head, doc! { "$inc": { "synctoken": 1 } }).await.unwrap();
    }
}

async fn every_client_ends_with_what_is_stored(variable: &str) {
    let Some(databases) = TestMongo::on(variable) else { return };
    let store = MongoDav::open(databases.connect().await).await.unwrap();
    let second = MongoDav::open(databases.connect().await).await.unwrap();
    let work = calendar(home(), "work");
    write(&store, vec![Op::CreateCollection(work.clone())]).await.unwrap();
    for n in 0..20 {
        let object = with_data(&format!("ours-{n}.ics"), "new", Some(0), Some(1));
        write(&store, vec![put(&work, object, Expect::Absent)]).await.unwrap();
    }

    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (store, work, over) = (store.clone(), work.clone(), over.clone());
            tokio::spawn(async move {
                let mut client = Client::default();
                while !over.load(Ordering::SeqCst) {
                    client.sync(&store, &work).await;
                    tokio::task::yield_now().await;
                }
                client.sync(&store, &work).await;
                client
            })
        })
        .collect();
    let theirs = (0..2).map(|writer| tokio::spawn(esn_sabre(store.clone(), work.clone(), writer, 60)));
    let theirs: Vec<_> = theirs.collect();
    let ours: Vec<_> = [store.clone(), second.clone()]
        .into_iter()
        .enumerate()
        .map(|(node, store)| {
            let work = work.clone();
            tokio::spawn(async move {
                for n in 0..60 {
                    let data = format!("node {node} wrote {n}");
                    let object = with_data(&format!("ours-{}.ics", n % 20), &data, Some(0), Some(1));
                    write(&store, vec![put(&work, object, Expect::Present)]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in theirs.into_iter().chain(ours) {
        writer.await.unwrap();
    }
    over.store(true, Ordering::SeqCst);

    let stored: BTreeMap<String, String> =
        store.list(work.id, None, 1000).await.unwrap().into_iter().map(|m| (m.name, m.etag)).collect();
    assert_eq!(stored.len(), 20 + 2 * 40);
    for client in clients {
        assert_eq!(client.await.unwrap().known, stored);
    }
    let head = store.mongo().dav().collection::<Document>("calendars").find_one(doc! {}).await.unwrap().unwrap();
    assert!(head.get_i32("synctoken").unwrap() >= 1 + 20 + 2 * 60 + 2 * 60, "nobody's change was swallowed: {head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_transactions_every_client_ends_with_what_is_stored() {
    every_client_ends_with_what_is_stored(REPLICA_SET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_transactions_every_client_ends_with_what_is_stored() {
    every_client_ends_with_what_is_stored(STANDALONE).await;
}

/// Two nodes that change one object by its ETag: of two who saw the same, one wins, and no change is lost.
async fn no_update_is_lost_between_nodes(variable: &str) {
    let Some(databases) = TestMongo::on(variable) else { return };
    let nodes = [databases.connect().await, databases.connect().await];
    let nodes = [MongoDav::open(nodes[0].clone()).await.unwrap(), MongoDav::open(nodes[1].clone()).await.unwrap()];
    let work = calendar(home(), "work");
    write(&nodes[0], vec![Op::CreateCollection(work.clone())]).await.unwrap();
    write(&nodes[0], vec![put(&work, with_data("n.ics", "", None, None), Expect::Absent)]).await.unwrap();
    let counting = nodes.clone().map(|store| {
        let work = work.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while done < 30 {
                let seen = store.object(work.id, "n.ics").await.unwrap().unwrap();
                let next = with_data("n.ics", &format!("{}x", seen.data), None, None);
                if write(&store, vec![put(&work, next, Expect::Etag(seen.meta.etag))]).await.is_ok() {
                    done += 1;
                }
            }
        })
    });
    for node in counting {
        node.await.unwrap();
    }
    assert_eq!(nodes[0].object(work.id, "n.ics").await.unwrap().unwrap().data, "x".repeat(60));
    let found = nodes[1].collection(work.home, work.kind, "work").await.unwrap().unwrap();
    assert_eq!(found.sync_token, 62);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_transactions_no_update_is_lost_between_nodes() {
    no_update_is_lost_between_nodes(REPLICA_SET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_transactions_no_update_is_lost_between_nodes() {
    no_update_is_lost_between_nodes(STANDALONE).await;
}
