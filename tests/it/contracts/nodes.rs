//! The contract of `Leases` and `Ledger`: what nodes agree upon.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convoke::clock::Env;
use convoke::config::Durability;
use convoke::nodes::{Begin, NodeId, SharedLeases, SharedLedger};
use convoke::sqlite::Sqlite;
use futures_util::future::join_all;

use super::{optional_suite, suite};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(60);
/// Over before anybody looks.
const SHORT: Duration = Duration::from_millis(30);

/// Opens the ports as one node would; every call is another node on the same data.
#[async_trait]
trait Harness: Send + Sync {
    async fn node(&self) -> (SharedLeases, SharedLedger);
}

fn named(name: &str) -> NodeId {
    NodeId(name.to_owned())
}

/// Waits until the lease is to be had.
async fn taken_at_last(leases: &SharedLeases, name: &str, holder: &NodeId) {
    while !leases.take(name, holder, LONG).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn begun_at_last(ledger: &SharedLedger, work: &str, holder: &NodeId) {
    while ledger.begin(work, holder, LONG).await.unwrap() != Begin::Yours {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_lease_has_one_holder(nodes: &dyn Harness) {
    let ((one, _), (two, _)) = (nodes.node().await, nodes.node().await);
    let (a, b) = (named("a"), named("b"));
    assert!(one.take("alarms", &a, LONG).await.unwrap());
    assert!(!two.take("alarms", &b, LONG).await.unwrap());
    assert!(two.take("tasks", &b, LONG).await.unwrap(), "another lease is another matter");
    assert!(one.take("alarms", &a, LONG).await.unwrap(), "renewed");
    assert!(!two.take("alarms", &b, LONG).await.unwrap());
}

async fn a_lease_whose_holder_died_ends_by_itself(nodes: &dyn Harness) {
    let ((one, _), (two, _)) = (nodes.node().await, nodes.node().await);
    assert!(one.take("alarms", &named("a"), SHORT).await.unwrap());
    taken_at_last(&two, "alarms", &named("b")).await;
    assert!(!one.take("alarms", &named("a"), LONG).await.unwrap(), "it came too late");
}

async fn renewing_moves_the_end(nodes: &dyn Harness) {
    let ((one, _), (two, _)) = (nodes.node().await, nodes.node().await);
    assert!(one.take("alarms", &named("a"), SHORT).await.unwrap());
    if !one.take("alarms", &named("a"), LONG).await.unwrap() {
        panic!("nobody else asked");
    }
    tokio::time::sleep(SHORT * 2).await;
    assert!(!two.take("alarms", &named("b"), LONG).await.unwrap(), "the end that counts is the later one");
    assert!(one.take("alarms", &named("a"), SHORT).await.unwrap());
    taken_at_last(&two, "alarms", &named("b")).await;
}

async fn a_lease_given_back_is_free_at_once(nodes: &dyn Harness) {
    let ((one, _), (two, _)) = (nodes.node().await, nodes.node().await);
    let (a, b) = (named("a"), named("b"));
    assert!(one.take("alarms", &a, LONG).await.unwrap());
    two.give_back("alarms", &b).await.unwrap();
    assert!(!two.take("alarms", &b, LONG).await.unwrap(), "it was not b's to give");
    one.give_back("alarms", &a).await.unwrap();
    assert!(two.take("alarms", &b, LONG).await.unwrap());
    one.give_back("alarms", &a).await.unwrap();
    assert!(!one.take("alarms", &a, LONG).await.unwrap(), "it was b's by then");
}

async fn of_fifty_takers_exactly_one_wins(nodes: &dyn Harness) {
    let both = [nodes.node().await.0, nodes.node().await.0];
    for round in 0..4 {
        // The first time nobody had it; later it has just ended, or was given back.
        let takers = (0..50).map(|n| {
            let leases = Arc::clone(&both[n % 2]);
            tokio::spawn(async move { leases.take("alarms", &named(&format!("{round} {n}")), LONG).await.unwrap() })
        });
        let won: Vec<bool> = join_all(takers).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}");
        let winner = named(&format!("{round} {}", won.iter().position(|won| *won).unwrap()));
        if round % 2 == 0 {
            both[0].give_back("alarms", &winner).await.unwrap();
        } else {
            assert!(both[0].take("alarms", &winner, Duration::ZERO).await.unwrap());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn work_that_was_finished_is_done_for_everyone(nodes: &dyn Harness) {
    let ((_, one), (_, two)) = (nodes.node().await, nodes.node().await);
    let (a, b) = (named("a"), named("b"));
    assert_eq!(one.begin("mail 1", &a, LONG).await.unwrap(), Begin::Yours);
    assert_eq!(two.begin("mail 1", &b, LONG).await.unwrap(), Begin::Busy);
    assert_eq!(one.begin("mail 1", &a, LONG).await.unwrap(), Begin::Yours, "renewed");
    assert_eq!(two.begin("mail 2", &b, LONG).await.unwrap(), Begin::Yours, "other work is another matter");
    one.finish("mail 1", LONG).await.unwrap();
    for (ledger, node) in [(&one, &a), (&two, &b)] {
        assert_eq!(ledger.begin("mail 1", node, LONG).await.unwrap(), Begin::Done);
    }
    one.finish("mail 3", LONG).await.unwrap();
    assert_eq!(two.begin("mail 3", &b, LONG).await.unwrap(), Begin::Done, "also what nobody is known to have begun");
}

async fn work_is_remembered_for_as_long_as_was_asked(nodes: &dyn Harness) {
    let (_, ledger) = nodes.node().await;
    let a = named("a");
    assert_eq!(ledger.begin("mail", &a, LONG).await.unwrap(), Begin::Yours);
    ledger.finish("mail", SHORT).await.unwrap();
    begun_at_last(&ledger, "mail", &a).await;
    ledger.finish("mail", LONG).await.unwrap();
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(ledger.begin("mail", &a, LONG).await.unwrap(), Begin::Done);
}

async fn work_whose_doer_died_is_free_after_a_while(nodes: &dyn Harness) {
    let ((_, one), (_, two)) = (nodes.node().await, nodes.node().await);
    let (a, b) = (named("a"), named("b"));
    assert_eq!(one.begin("mail", &a, SHORT).await.unwrap(), Begin::Yours);
    begun_at_last(&two, "mail", &b).await;
    assert_eq!(one.begin("mail", &a, LONG).await.unwrap(), Begin::Busy);
    one.abandon("mail", &a).await.unwrap();
    assert_eq!(one.begin("mail", &a, LONG).await.unwrap(), Begin::Busy, "it was b's by then");
}

async fn abandoned_work_is_free_at_once(nodes: &dyn Harness) {
    let ((_, one), (_, two)) = (nodes.node().await, nodes.node().await);
    let (a, b) = (named("a"), named("b"));
    assert_eq!(one.begin("mail", &a, LONG).await.unwrap(), Begin::Yours);
    two.abandon("mail", &b).await.unwrap();
    assert_eq!(two.begin("mail", &b, LONG).await.unwrap(), Begin::Busy, "it was not b's to abandon");
    one.abandon("mail", &a).await.unwrap();
    assert_eq!(two.begin("mail", &b, LONG).await.unwrap(), Begin::Yours);
    two.finish("mail", LONG).await.unwrap();
    two.abandon("mail", &b).await.unwrap();
    assert_eq!(one.begin("mail", &a, LONG).await.unwrap(), Begin::Done, "what is done stays done");
}

async fn of_fifty_who_begin_exactly_one_does_it(nodes: &dyn Harness) {
    let both = [nodes.node().await.1, nodes.node().await.1];
    for round in 0..3 {
        let begun = (0..50).map(|n| {
            let ledger = Arc::clone(&both[n % 2]);
            tokio::spawn(async move { ledger.begin("mail", &named(&format!("{round} {n}")), LONG).await.unwrap() })
        });
        let begun: Vec<Begin> = join_all(begun).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(begun.iter().filter(|b| **b == Begin::Yours).count(), 1, "round {round}");
        assert_eq!(begun.iter().filter(|b| **b == Begin::Busy).count(), 49);
        let winner = begun.iter().position(|b| *b == Begin::Yours).unwrap();
        both[0].abandon("mail", &named(&format!("{round} {winner}"))).await.unwrap();
    }
}

async fn any_text_is_a_name(nodes: &dyn Harness) {
    let (leases, ledger) = nodes.node().await;
    for name in ["", "$holder", "$$NOW", "a.b", "tcalendar:itip:localDelivery <1@example.org>", "ü\u{0}"] {
        let node = named(name);
        assert!(leases.take(name, &node, LONG).await.unwrap(), "{name:?}");
        assert!(leases.take(name, &node, LONG).await.unwrap(), "{name:?}");
        assert!(!leases.take(name, &named("somebody else"), LONG).await.unwrap(), "{name:?}");
        assert_eq!(ledger.begin(name, &node, LONG).await.unwrap(), Begin::Yours, "{name:?}");
        assert_eq!(ledger.begin(name, &node, LONG).await.unwrap(), Begin::Yours, "{name:?}");
        assert_eq!(ledger.begin(name, &named("somebody else"), LONG).await.unwrap(), Begin::Busy, "{name:?}");
    }
}

async fn what_was_agreed_outlives_the_process(nodes: &dyn Harness) {
    {
        let (leases, ledger) = nodes.node().await;
        assert!(leases.take("alarms", &named("a"), LONG).await.unwrap());
        ledger.begin("mail", &named("a"), LONG).await.unwrap();
        ledger.finish("mail", LONG).await.unwrap();
    }
    let (leases, ledger) = nodes.node().await;
    assert!(!leases.take("alarms", &named("b"), LONG).await.unwrap());
    assert_eq!(ledger.begin("mail", &named("b"), LONG).await.unwrap(), Begin::Done);
}

struct SqliteNodes(tempfile::TempDir);

#[async_trait]
impl Harness for SqliteNodes {
    async fn node(&self) -> (SharedLeases, SharedLedger) {
        let path = self.0.path().join("convoke.db");
        let sqlite = Sqlite::open(&path, Durability::Normal, Env::system()).unwrap();
        (Arc::new(sqlite.clone()), Arc::new(sqlite))
    }
}

#[async_trait]
impl Harness for TestMongo {
    async fn node(&self) -> (SharedLeases, SharedLedger) {
        let mongo = self.connect().await;
        (Arc::new(mongo.clone()), Arc::new(mongo))
    }
}

suite!(
    sqlite,
    super::SqliteNodes(tempfile::tempdir().unwrap()),
    [
        a_lease_has_one_holder,
        a_lease_whose_holder_died_ends_by_itself,
        renewing_moves_the_end,
        a_lease_given_back_is_free_at_once,
        of_fifty_takers_exactly_one_wins,
        work_that_was_finished_is_done_for_everyone,
        work_is_remembered_for_as_long_as_was_asked,
        work_whose_doer_died_is_free_after_a_while,
        abandoned_work_is_free_at_once,
        of_fifty_who_begin_exactly_one_does_it,
        any_text_is_a_name,
        what_was_agreed_outlives_the_process,
    ]
);

optional_suite!(
    mongodb,
    super::TestMongo::on(super::REPLICA_SET),
    [
        a_lease_has_one_holder,
        a_lease_whose_holder_died_ends_by_itself,
        renewing_moves_the_end,
        a_lease_given_back_is_free_at_once,
        of_fifty_takers_exactly_one_wins,
        work_that_was_finished_is_done_for_everyone,
        work_is_remembered_for_as_long_as_was_asked,
        work_whose_doer_died_is_free_after_a_while,
        abandoned_work_is_free_at_once,
        of_fifty_who_begin_exactly_one_does_it,
        any_text_is_a_name,
        what_was_agreed_outlives_the_process,
    ]
);

optional_suite!(
    mongodb_without_transactions,
    super::TestMongo::on(super::STANDALONE),
    [
        a_lease_has_one_holder,
        a_lease_whose_holder_died_ends_by_itself,
        renewing_moves_the_end,
        a_lease_given_back_is_free_at_once,
        of_fifty_takers_exactly_one_wins,
        work_that_was_finished_is_done_for_everyone,
        work_is_remembered_for_as_long_as_was_asked,
        work_whose_doer_died_is_free_after_a_while,
        abandoned_work_is_free_at_once,
        of_fifty_who_begin_exactly_one_does_it,
        any_text_is_a_name,
        what_was_agreed_outlives_the_process,
    ]
);
