//! A process that is killed in the middle of its writes loses nothing it acknowledged, and does nothing by halves.
//!
//! The process is this test binary, started again for the one test that writes; it tells every acknowledgement on its
//! standard output, and the other test kills it and counts.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use convoke::clock::Env;
use convoke::config::Durability;
use convoke::events::Topic;
use convoke::queue::{ConsumerSpec, Queue as _, Settlement};
use convoke::store::sqlite::Sqlite;
use convoke::store::{Batch, Collection, CollectionKind, DavStore as _, Expect, Op};

use crate::contracts::samples::{calendar, event, message, put};

const FOLDER: &str = "CONVOKE_TEST_KILL_FOLDER";
const WRITERS: u32 = 8;
const HOME: &str = "6650c0ffee0123456789abcd";

fn consumer(name: &'static str) -> ConsumerSpec {
    let retry = convoke::config::RetryPolicy { attempts: 1000, first_ms: 1, most_ms: 1 };
    ConsumerSpec { name, topics: vec![Topic::EventCreated], concurrency: 16, retry }
}

/// Nothing takes its messages while the process lives.
fn audit() -> ConsumerSpec {
    consumer("test:audit")
}

/// Its messages are settled as they come.
fn worker() -> ConsumerSpec {
    consumer("test:worker")
}

fn open(folder: &Path) -> Sqlite {
    let visibility = std::time::Duration::from_millis(200);
    Sqlite::open(&folder.join("convoke.db"), Durability::Full, Env::system()).unwrap().with_visibility(visibility)
}

fn tell(what: &str, n: u64) {
    let mut out = std::io::stdout().lock();
    // One write, so that a kill cannot cut a line that was told.
    out.write_all(format!("\nacknowledged {what} {n}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Writes until it is killed; only where the other test asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let db = Arc::new(open(&folder));
    let home = HOME.parse().unwrap();
    let work = match db.collection(home, CollectionKind::Calendar, "work").await.unwrap() {
        Some(work) => work,
        None => {
            let work = calendar(home, "work");
            db.write(Batch { ops: vec![Op::CreateCollection(work.clone())], publish: vec![] }).await.unwrap();
            work
        }
    };
    db.bind(&audit()).await.unwrap();
    db.bind(&worker()).await.unwrap();
    let next = numbers_of(&db, &work).await.last().map_or(0, |n| u32::try_from(*n).unwrap() + 1);
    let next = Arc::new(AtomicU32::new(next));
    for _ in 0..WRITERS {
        let (db, work, next) = (db.clone(), work.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                let object = event(&format!("{n}.ics"), i64::from(n));
                let publish = vec![message(Topic::EventCreated, &n.to_string(), n)];
                db.write(Batch { ops: vec![put(&work, object, Expect::Absent)], publish }).await.unwrap();
                tell("put", n.into());
            }
        });
    }
    loop {
        for delivery in db.receive(&worker(), 16).await.unwrap() {
            db.settle(&worker(), delivery.id, Settlement::Done).await.unwrap();
            tell("settled", delivery.message.payload["n"].as_u64().unwrap());
        }
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (mut put, mut settled) = (BTreeSet::new(), BTreeSet::new());
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::the_process_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut hear = |line: String| {
            let mut words = line.split_whitespace();
            if words.next() == Some("acknowledged") {
                let set = if words.next() == Some("put") { &mut put } else { &mut settled };
                set.insert(words.next().unwrap().parse::<u64>().unwrap());
            }
        };
        // Blank lines included: two for each acknowledgement.
        lines.by_ref().take(200 * round + 31).for_each(&mut hear);
        child.kill().unwrap();
        lines.for_each(&mut hear);
        assert!(!child.wait().unwrap().success(), "it was killed and did not end by itself");

        let db = open(folder.path());
        let work = db.collection(HOME.parse().unwrap(), CollectionKind::Calendar, "work").await.unwrap().unwrap();
        let stored = numbers_of(&db, &work).await;
        assert!(put.is_subset(&stored), "lost: {:?}", put.difference(&stored));
        assert!(put.len() > 50, "the process had begun to write");
        let audited = all_waiting(&db, &audit()).await;
        assert_eq!(audited, stored, "an object without its message, or the other way round");
        let waiting = all_waiting(&db, &worker()).await;
        assert!(waiting.is_disjoint(&settled), "came back: {:?}", waiting.intersection(&settled));
        let lost: Vec<_> = stored.iter().filter(|n| !waiting.contains(n) && !settled.contains(n)).collect();
        // One settlement may be durable whose acknowledgement was not told any more.
        assert!(lost.len() <= 16, "neither settled nor waiting: {lost:?}");
        db.close().await;
    }
}

/// The numbers of all objects stored.
async fn numbers_of(db: &Sqlite, work: &Collection) -> BTreeSet<u64> {
    let all = db.list(work.id, None, usize::MAX).await.unwrap();
    all.into_iter().map(|m| m.name.trim_end_matches(".ics").parse().unwrap()).collect()
}

/// The numbers of all messages that wait for a consumer, which keep waiting.
async fn all_waiting(db: &Sqlite, spec: &ConsumerSpec) -> BTreeSet<u64> {
    let waiting = db.depths().await.unwrap().into_iter().find(|d| d.consumer == spec.name).unwrap().waiting;
    let mut seen = BTreeSet::new();
    let mut claims = Vec::new();
    while (seen.len() as u64) < waiting {
        for delivery in db.receive(spec, 1000).await.unwrap() {
            seen.insert(delivery.message.payload["n"].as_u64().unwrap());
            claims.push(delivery.id);
        }
    }
    for claim in claims {
        let how = Settlement::Retry { after: std::time::Duration::ZERO, error: String::new() };
        db.settle(spec, claim, how).await.unwrap();
    }
    seen
}
