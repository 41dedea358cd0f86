//! Messages that wait in MongoDB for a queue of another engine.

use std::time::Duration;

use convoke::events::Topic;
use convoke::mongo::Mongo;
use convoke::queue::mongo::MongoOutgoing;
use convoke::queue::{Outgoing, OutgoingStore};
use convoke::store::mongo::MongoDav;
use convoke::store::{Batch, DavStore};
use mongodb::bson::doc;

use crate::contracts::samples::message;
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

const CLAIM: Duration = Duration::from_millis(600);

async fn publish(store: &MongoDav, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let publish = vec![message(Topic::EventCreated, "key", n).once(format!("once {n}"))];
        store.write(Batch { ops: Vec::new(), publish }).await.unwrap();
    }
}

fn numbers(taken: &[Outgoing]) -> Vec<u64> {
    taken.iter().map(|outgoing| outgoing.message.payload["n"].as_u64().unwrap()).collect()
}

fn ids(taken: &[Outgoing]) -> Vec<String> {
    taken.iter().map(|outgoing| outgoing.id.clone()).collect()
}

struct Node {
    mongo: Mongo,
    store: MongoDav,
    outgoing: MongoOutgoing,
}

impl Node {
    async fn on(databases: &TestMongo) -> Self {
        let mongo = databases.connect().await;
        let store = MongoDav::open(mongo.clone()).await.unwrap();
        let outgoing = MongoOutgoing::new(mongo.clone()).with_claim(CLAIM);
        Self { mongo, store, outgoing }
    }
}

#[tokio::test]
async fn messages_come_in_the_order_in_which_they_were_written_and_once() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(databases) = TestMongo::on(variable) else { return };
        let node = Node::on(&databases).await;
        publish(&node.store, 0..5).await;
        assert_eq!(node.outgoing.waiting().await.unwrap().0, 5);
        let first = node.outgoing.take(3).await.unwrap();
        assert_eq!(numbers(&first), [0, 1, 2]);
        assert_eq!(first[0].message, message(Topic::EventCreated, "key", 0).once("once 0"));
        let rest = node.outgoing.take(10).await.unwrap();
        assert_eq!(numbers(&rest), [3, 4], "what is under way is not given out again");
        node.outgoing.sent(&ids(&first)).await.unwrap();
        assert_eq!(node.outgoing.waiting().await.unwrap().0, 2);
        // The others were not sent: they come back after a while.
        assert_eq!(numbers(&node.outgoing.take(10).await.unwrap()), [3, 4]);
    }
}

#[tokio::test]
async fn a_commit_wakes_whoever_waits() {
    let Some(databases) = TestMongo::on(REPLICA_SET) else { return };
    let mongo = databases.connect().await;
    let store = MongoDav::open(mongo.clone()).await.unwrap();
    // Without the bell it would look again after a long time only.
    let outgoing = std::sync::Arc::new(MongoOutgoing::new(mongo).with_claim(Duration::from_secs(3000)));
    let waiting = tokio::spawn({
        let outgoing = outgoing.clone();
        async move { outgoing.take(10).await.unwrap() }
    });
    tokio::task::yield_now().await;
    publish(&store, 7..8).await;
    let taken = tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it was rung").unwrap();
    assert_eq!(numbers(&taken), [7]);
}

#[tokio::test]
async fn what_a_dead_node_left_behind_is_sent_by_another() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(databases) = TestMongo::on(variable) else { return };
        let (dead, alive) = (Node::on(&databases).await, Node::on(&databases).await);
        publish(&dead.store, 0..3).await;
        let seen = dead.outgoing.take(1).await.unwrap();
        assert_eq!(numbers(&seen), [0]);
        drop(dead);
        let mut adopted = Vec::new();
        while adopted.len() < 3 {
            adopted.extend(alive.outgoing.take(10).await.unwrap());
        }
        assert_eq!(numbers(&adopted), [0, 1, 2], "in the order of the one who wrote them");
        alive.outgoing.sent(&ids(&adopted)).await.unwrap();
        assert_eq!(alive.outgoing.waiting().await.unwrap(), (0, 0));
    }
}

#[tokio::test]
async fn what_a_living_node_has_to_send_is_left_to_it() {
    let Some(databases) = TestMongo::on(REPLICA_SET) else { return };
    let (busy, other) = (Node::on(&databases).await, Node::on(&databases).await);
    publish(&busy.store, 0..2).await;
    let end = tokio::time::Instant::now() + 3 * CLAIM;
    // It says that it lives whenever it asks for messages, though none of them can be sent.
    while tokio::time::Instant::now() < end {
        busy.outgoing.take(2).await.unwrap();
        let theirs = tokio::time::timeout(CLAIM / 4, other.outgoing.take(10)).await;
        assert!(theirs.is_err(), "{theirs:?}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_holds_up_nobody() {
    let Some(databases) = TestMongo::on(REPLICA_SET) else { return };
    let node = Node::on(&databases).await;
    publish(&node.store, 0..2).await;
    let broken = doc! { "$set": { "topic": "of:a:later:version" } };
    node.mongo.outgoing().update_one(doc! { "once": "once 0" }, broken).await.unwrap();
    assert_eq!(numbers(&node.outgoing.take(10).await.unwrap()), [1]);
    assert_eq!(node.mongo.outgoing().count_documents(doc! { "ready": "unreadable" }).await.unwrap(), 1);
}
