//! The contract of `TicketStore`.

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use convoke::clock::Env;
use convoke::config::Durability;
use convoke::sqlite::Sqlite;
use convoke::store::{SharedTickets, Ticket};
use std::sync::Arc;

use super::{optional_suite, suite};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// Opens tickets on data of its own, fresh the first time.
#[async_trait]
trait Harness: Sync {
    async fn open(&self) -> SharedTickets;
}

struct SqliteHarness(tempfile::TempDir);

#[async_trait]
impl Harness for SqliteHarness {
    async fn open(&self) -> SharedTickets {
        let path = self.0.path().join("convoke.db");
        Arc::new(Sqlite::open(&path, Durability::Normal, Env::system()).unwrap())
    }
}

#[async_trait]
impl Harness for TestMongo {
    async fn open(&self) -> SharedTickets {
        let mongo = self.connect().await;
        convoke::store::mongo::bootstrap::bootstrap(&mongo).await.unwrap();
        Arc::new(mongo)
    }
}

fn now() -> DateTime<Utc> {
    Env::system().now().trunc_subsecs(3)
}

fn ticket(valid_from: DateTime<Utc>) -> Ticket {
    Ticket {
        value: Env::system().uuid(),
        user: "bob@example.org".parse().unwrap(),
        client_address: "2001:db8::7".to_owned(),
        generated: valid_from,
        valid_until: valid_from + TimeDelta::minutes(1),
    }
}

async fn a_ticket_is_kept_as_it_was(harness: &dyn Harness) {
    let tickets = harness.open().await;
    let (one, two) = (ticket(now()), Ticket { user: "alice@example.org".parse().unwrap(), ..ticket(now()) });
    tickets.put_ticket(&one).await.unwrap();
    tickets.put_ticket(&two).await.unwrap();
    assert_eq!(tickets.ticket(one.value).await.unwrap(), Some(one.clone()));
    assert_eq!(tickets.ticket(one.value).await.unwrap(), Some(one), "looking does not use it up");
    assert_eq!(tickets.ticket(two.value).await.unwrap(), Some(two));
    assert_eq!(tickets.ticket(Env::system().uuid()).await.unwrap(), None);
}

async fn a_ticket_is_taken_once(harness: &dyn Harness) {
    let tickets = harness.open().await;
    let (one, other) = (ticket(now()), ticket(now()));
    tickets.put_ticket(&one).await.unwrap();
    tickets.put_ticket(&other).await.unwrap();
    assert_eq!(tickets.take_ticket(one.value).await.unwrap(), Some(one.clone()));
    assert_eq!(tickets.take_ticket(one.value).await.unwrap(), None);
    assert_eq!(tickets.ticket(one.value).await.unwrap(), None);
    assert_eq!(tickets.take_ticket(Env::system().uuid()).await.unwrap(), None);
    assert_eq!(tickets.ticket(other.value).await.unwrap(), Some(other), "others stay");
}

async fn of_many_who_take_a_ticket_one_gets_it(harness: &dyn Harness) {
    let tickets = harness.open().await;
    for _ in 0..20 {
        let one = ticket(now());
        tickets.put_ticket(&one).await.unwrap();
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let (tickets, value) = (tickets.clone(), one.value);
                tokio::spawn(async move { tickets.take_ticket(value).await.unwrap() })
            })
            .collect();
        let mut winners = 0;
        for taker in takers {
            winners += usize::from(taker.await.unwrap().is_some());
        }
        assert_eq!(winners, 1);
    }
}

async fn another_connection_sees_the_ticket(harness: &dyn Harness) {
    let (here, there) = (harness.open().await, harness.open().await);
    let one = ticket(now());
    here.put_ticket(&one).await.unwrap();
    assert_eq!(there.take_ticket(one.value).await.unwrap(), Some(one.clone()));
    assert_eq!(here.take_ticket(one.value).await.unwrap(), None);
}

async fn tickets_that_ended_are_removed_in_time(harness: &dyn Harness) {
    let tickets = harness.open().await;
    let ended: Vec<Ticket> = (0..20).map(|_| ticket(now() - TimeDelta::hours(1))).collect();
    for old in &ended {
        tickets.put_ticket(old).await.unwrap();
    }
    let removed = async {
        // Whatever the engine does it with, new tickets or a timer of its own.
        loop {
            let fresh = ticket(now());
            tickets.put_ticket(&fresh).await.unwrap();
            let mut left = 0;
            for old in &ended {
                left += usize::from(tickets.ticket(old.value).await.unwrap().is_some());
            }
            assert_eq!(tickets.ticket(fresh.value).await.unwrap(), Some(fresh), "what is valid stays");
            if left == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(90), removed).await.expect("they are removed");
}

suite!(
    sqlite,
    super::SqliteHarness(tempfile::tempdir().unwrap()),
    [
        a_ticket_is_kept_as_it_was,
        a_ticket_is_taken_once,
        of_many_who_take_a_ticket_one_gets_it,
        another_connection_sees_the_ticket,
        tickets_that_ended_are_removed_in_time,
    ]
);

optional_suite!(
    mongodb,
    super::TestMongo::on(super::REPLICA_SET),
    [
        a_ticket_is_kept_as_it_was,
        a_ticket_is_taken_once,
        of_many_who_take_a_ticket_one_gets_it,
        another_connection_sees_the_ticket,
        tickets_that_ended_are_removed_in_time,
    ]
);

optional_suite!(
    mongodb_without_transactions,
    super::TestMongo::on(super::STANDALONE),
    [
        a_ticket_is_kept_as_it_was,
        a_ticket_is_taken_once,
        of_many_who_take_a_ticket_one_gets_it,
        another_connection_sees_the_ticket,
        tickets_that_ended_are_removed_in_time,
    ]
);
