//! Work that one node at a time does: handed over when a node stops, dies or loses the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convoke::clock::Env;
use convoke::config::Durability;
use convoke::nodes::{Leases as _, NodeId, SharedLeases, Stop, alone};
use convoke::sqlite::Sqlite;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// So long that nothing happens because of it.
const NEVER: Duration = Duration::from_secs(600);

fn leases(folder: &tempfile::TempDir) -> Sqlite {
    Sqlite::open(&folder.path().join("convoke.db"), Durability::Normal, Env::system()).unwrap()
}

fn named(name: &str) -> NodeId {
    NodeId(name.to_owned())
}

/// Counts who is at work.
#[derive(Clone, Default)]
struct Bench {
    at_work: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
    returned: Arc<AtomicUsize>,
    /// How often somebody came who should have waited.
    crowded: Arc<AtomicUsize>,
}

/// One seat, taken as long as it lives.
struct Seat(Bench);

impl Bench {
    fn sit(&self) -> Seat {
        self.crowded.fetch_add(self.at_work.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        Seat(self.clone())
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let patience = Instant::now();
        while !what(self) {
            assert!(patience.elapsed() < Duration::from_secs(30), "it never happened");
            assert_eq!(self.crowded.load(Ordering::SeqCst), 0, "two were at it");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn at_work(&self) -> usize {
        self.at_work.load(Ordering::SeqCst)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A node whose work lasts until it is told to stop.
fn node(name: &str, ttl: Duration, leases: &Sqlite, bench: &Bench) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let (leases, bench, name): (SharedLeases, _, _) = (Arc::new(leases.clone()), bench.clone(), named(name));
    let running = tokio::spawn(async move {
        let shutdown = async move { drop(stopped.await) };
        alone(leases, "alarms", name, ttl, shutdown, move |stop: Stop| {
            let bench = bench.clone();
            async move {
                let seat = bench.sit();
                stop.requested().await;
                bench.returned.fetch_add(1, Ordering::SeqCst);
                drop(seat);
            }
        })
        .await;
    });
    (stop, running)
}

#[tokio::test]
async fn a_node_that_stops_hands_over_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (db, bench) = (leases(&folder), Bench::default());
    let ttl = Duration::from_secs(4);
    let (stop_one, one) = node("one", ttl, &db, &bench);
    bench.until(|b| b.begun() == 1).await;
    let (stop_two, two) = node("two", ttl, &db, &bench);
    stop_one.send(()).unwrap();
    one.await.unwrap();
    assert_eq!(bench.returned.load(Ordering::SeqCst), 1, "the work heard of it and returned");
    bench.until(|b| b.begun() == 2).await;
    stop_two.send(()).unwrap();
    two.await.unwrap();
    assert!(db.take("alarms", &named("three"), ttl).await.unwrap(), "it was given back");
}

#[tokio::test]
async fn a_node_that_dies_is_followed_by_another_within_the_time_to_live() {
    let folder = tempfile::tempdir().unwrap();
    let (db, bench) = (leases(&folder), Bench::default());
    let ttl = Duration::from_millis(400);
    let (_stop_one, one) = node("one", ttl, &db, &bench);
    bench.until(|b| b.begun() == 1).await;
    let (_stop_two, two) = node("two", ttl, &db, &bench);
    // Several times the time to live: renewed all along.
    tokio::time::sleep(ttl * 3).await;
    assert_eq!(bench.begun(), 1);
    one.abort();
    bench.until(|b| b.begun() == 2).await;
    two.abort();
}

#[tokio::test]
async fn work_stops_when_the_lease_is_lost_and_goes_on_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (db, bench) = (leases(&folder), Bench::default());
    let (_stop, one) = node("one", Duration::from_millis(200), &db, &bench);
    bench.until(|b| b.begun() == 1).await;
    // Somebody else has it from now on.
    db.give_back("alarms", &named("one")).await.unwrap();
    if !db.take("alarms", &named("thief"), NEVER).await.unwrap() {
        // It was renewed in between.
        db.give_back("alarms", &named("one")).await.unwrap();
        assert!(db.take("alarms", &named("thief"), NEVER).await.unwrap());
    }
    bench.until(|b| b.at_work() == 0).await;
    assert_eq!(bench.returned.load(Ordering::SeqCst), 0, "it was dropped");
    db.give_back("alarms", &named("thief")).await.unwrap();
    bench.until(|b| b.begun() == 2).await;
    one.abort();
}

#[tokio::test]
async fn a_node_that_cannot_renew_stops_before_another_begins() {
    let folder = tempfile::tempdir().unwrap();
    let (db, bench) = (leases(&folder), Bench::default());
    let ttl = Duration::from_millis(400);
    let (_stop_one, one) = node("one", ttl, &db, &bench);
    bench.until(|b| b.begun() == 1).await;
    let (_stop_two, two) = node("two", ttl, &leases(&folder), &bench);
    db.close().await;
    bench.until(|b| b.begun() == 2).await;
    assert_eq!(bench.at_work(), 1);
    assert_eq!(bench.returned.load(Ordering::SeqCst), 0, "it was dropped");
    one.abort();
    two.abort();
}

#[tokio::test]
async fn work_that_panics_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let (db, bench) = (leases(&folder), Bench::default());
    let counted = bench.clone();
    let running = tokio::spawn(async move {
        let ttl = Duration::from_millis(100);
        alone(Arc::new(db), "alarms", named("one"), ttl, std::future::pending(), move |_| {
            let seat = counted.sit();
            async move {
                let _seat = seat;
                panic!("on purpose");
            }
        })
        .await;
    });
    bench.until(|b| b.begun() >= 3).await;
    running.abort();
}

#[tokio::test]
async fn work_that_does_not_listen_is_dropped_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (db, bench) = (leases(&folder), Bench::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let seats = bench.clone();
    let ttl = Duration::from_millis(100);
    let shutdown = async move { drop(stopped.await) };
    let running = tokio::spawn(alone(Arc::new(db), "alarms", named("one"), ttl, shutdown, move |_| {
        let seat = seats.sit();
        async move {
            let _seat = seat;
            std::future::pending::<()>().await;
        }
    }));
    bench.until(|b| b.begun() == 1).await;
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(bench.at_work(), 0);
}
