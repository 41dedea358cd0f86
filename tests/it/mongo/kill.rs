//! A process that is killed in the middle of its batches leaves nothing by halves, and loses nothing it acknowledged.
//!
//! As in `crate::kill`, the process is this test binary, started again.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use convoke::clock::Env;
use convoke::config::MongoDb;
use convoke::events::Topic;
use convoke::mongo::Mongo;
use convoke::store::mongo::MongoDav;
use convoke::store::{Batch, Collection, CollectionKind, DavStore, Expect, Op};

use super::faults::messages;
use crate::contracts::samples::{calendar, event, home, message, put, write};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

const DATABASES: &str = "CONVOKE_TEST_KILL_MONGODB";
const HOME: &str = "6650c0ffee0123456789abcd";
const CALENDARS: [&str; 3] = ["one", "two", "three"];

async fn store(config: &MongoDb) -> MongoDav {
    MongoDav::open(Mongo::connect(config, Env::system()).await.unwrap()).await.unwrap()
}

async fn calendars(store: &MongoDav) -> Vec<Collection> {
    let mut found = Vec::new();
    for uri in CALENDARS {
        found.extend(store.collection(HOME.parse().unwrap(), CollectionKind::Calendar, uri).await.unwrap());
    }
    found
}

/// Writes until it is killed; only where the other test asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Ok(config) = std::env::var(DATABASES) else { return };
    let store = store(&serde_json::from_str(&config).unwrap()).await;
    let calendars = calendars(&store).await;
    let next = numbers(&store, &calendars[0]).await.last().map_or(0, |n| n + 1);
    let next = Arc::new(AtomicU32::new(next));
    for _ in 0..8 {
        let (store, calendars, next) = (store.clone(), calendars.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                let object = event(&format!("{n}.ics"), i64::from(n));
                let ops = calendars.iter().map(|c| put(c, object.clone(), Expect::Absent)).collect();
                let publish = vec![message(Topic::EventCreated, &n.to_string(), n)];
                // What the process before this one was at may be locked for a while.
                if store.write(Batch { ops, publish }).await.is_err() {
                    continue;
                }
                let mut out = std::io::stdout().lock();
                // One write, so that a kill cannot cut a line that was told.
                out.write_all(format!("\nacknowledged {n}\n").as_bytes()).unwrap();
                out.flush().unwrap();
            }
        });
    }
    std::future::pending::<()>().await;
}

async fn a_killed_process_loses_nothing_it_acknowledged(variable: &str) {
    let Some(databases) = TestMongo::on(variable) else { return };
    let first = store(&databases.config).await;
    let made = CALENDARS.map(|uri| Op::CreateCollection(calendar(HOME.parse().unwrap(), uri)));
    write(&first, made.to_vec()).await.unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 1..=4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "mongo::kill::the_process_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(DATABASES, serde_json::to_string(&databases.config).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut hear = |line: String| {
            if let Some(n) = line.strip_prefix("acknowledged ") {
                acknowledged.insert(n.parse::<u32>().unwrap());
            }
        };
        // Blank lines included: two for each acknowledgement.
        lines.by_ref().take(60 * round + 17).for_each(&mut hear);
        child.kill().unwrap();
        lines.for_each(&mut hear);
        assert!(!child.wait().unwrap().success(), "it was killed and did not end by itself");

        // Another node writes: it takes over what the dead one left behind.
        let node = store(&databases.config).await;
        write(&node, vec![Op::CreateCollection(calendar(home(), "taken-over"))]).await.unwrap();
        let calendars = calendars(&node).await;
        let stored = numbers(&node, &calendars[0]).await;
        for other in &calendars[1..] {
            assert_eq!(numbers(&node, other).await, stored, "a batch by halves");
        }
        assert!(acknowledged.is_subset(&stored), "lost: {:?}", acknowledged.difference(&stored));
        assert!(acknowledged.len() > 20, "the process had begun to write");
        let told = messages(node.mongo()).await;
        assert_eq!(told.len(), stored.len(), "a message too many or too few");
        assert_eq!(BTreeSet::from_iter(told), stored, "an object without its message, or the other way round");
        let changes = node.changes(calendars[2].id, 1, usize::MAX).await.unwrap().unwrap();
        assert_eq!(changes.changes.len(), stored.len(), "every object has its change");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_transactions_a_killed_process_loses_nothing_it_acknowledged() {
    a_killed_process_loses_nothing_it_acknowledged(REPLICA_SET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_transactions_a_killed_process_loses_nothing_it_acknowledged() {
    a_killed_process_loses_nothing_it_acknowledged(STANDALONE).await;
}

/// The numbers of all objects stored.
async fn numbers(store: &MongoDav, calendar: &Collection) -> BTreeSet<u32> {
    let all = store.list(calendar.id, None, usize::MAX).await.unwrap();
    all.into_iter().map(|m| m.name.trim_end_matches(".ics").parse().unwrap()).collect()
}
