//! Somebody else is faster: what they do happens between what a request reads and what it writes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::config::Durability;
use convoke::dav::server::{Server, Settings};
use convoke::dav::{Actor, Body, Upstream};
use convoke::store::sqlite::Sqlite;
use convoke::store::{Batch, Op, SharedDavStore};
use http::Request;
use tower::ServiceExt as _;

use super::World;
use crate::meddling::Meddling;

/// Somebody who writes into the store itself.
#[derive(Default)]
pub struct Rival {
    next: Mutex<Option<Vec<Op>>>,
    looked_for: AtomicU64,
}

impl Rival {
    /// A world with one.
    pub async fn world(settings: Settings) -> (World, Arc<Self>) {
        let dir = tempfile::tempdir().unwrap();
        let now: DateTime<Utc> = "2026-11-21T06:20:15Z".parse().unwrap();
        let env = Env::new(ManualClock::at(now), CountingEntropy::default());
        let path = dir.path().join("calendars.db");
        let store: SharedDavStore = Arc::new(Sqlite::open(&path, Durability::Normal, env).unwrap());
        let rival = Arc::new(Self::default());
        let (looks, writes) = (Arc::clone(&rival), Arc::clone(&rival));
        let inner = Arc::clone(&store);
        let look = move || {
            // The folder is there for as long as the store is.
            let _ = &dir;
            looks.looked_for.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {}) as _
        };
        let store = Meddling::with_looks(store, look, move |_| {
            let ops = writes.next.lock().unwrap().take();
            let inner = Arc::clone(&inner);
            Box::pin(async move {
                if let Some(ops) = ops {
                    inner.write(Batch { ops, publish: Vec::new() }).await.unwrap();
                }
                Ok(())
            })
        });
        (World::over(settings, Some(store)).await, rival)
    }

    /// They do this just before anything is written again.
    pub fn before_next_write(&self, ops: Vec<Op>) {
        *self.next.lock().unwrap() = Some(ops);
    }

    /// How often a collection was looked for.
    pub fn looked_for(&self) -> u64 {
        self.looked_for.load(Ordering::SeqCst)
    }

    /// Whether they have done it.
    pub fn has_happened(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }
}

/// Before what of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It looks at a collection.
    Look,
    /// It writes.
    Write,
}

/// What alice does meanwhile.
#[derive(Clone)]
pub struct Deed {
    pub when: When,
    pub method: &'static str,
    pub path: String,
    pub body: String,
}

impl Deed {
    /// She puts an object right before a write.
    pub fn put(path: &str, body: &str) -> Self {
        Self { when: When::Write, method: "PUT", path: path.to_owned(), body: body.to_owned() }
    }

    async fn happen(self, upstream: Upstream) {
        let mut request = Request::builder().method(self.method).uri(&self.path).body(Body::from(self.body)).unwrap();
        request.extensions_mut().insert(Actor::User("alice@example.org".parse().unwrap()));
        let answer = upstream.oneshot(request).await.unwrap();
        assert!(answer.status().is_success(), "{} {}: {}", self.method, self.path, answer.status());
    }
}

/// Deeds, one after the other.
struct Deeds {
    upstream: Upstream,
    left: Mutex<VecDeque<Deed>>,
}

impl Deeds {
    /// The next of them, if this is its time.
    fn next(&self, when: When) -> Option<Deed> {
        let mut left = self.left.lock().unwrap();
        left.pop_front_if(|deed| deed.when == when)
    }
}

impl World {
    /// A server over the same store, in whose way alice gets with these deeds.
    pub fn meddled(&self, deeds: Vec<Deed>) -> Self {
        let deeds = Arc::new(Deeds { upstream: self.upstream.clone(), left: Mutex::new(deeds.into()) });
        let act = move |when| {
            let (deed, upstream) = (deeds.next(when), deeds.upstream.clone());
            async move {
                if let Some(deed) = deed {
                    deed.happen(upstream).await;
                }
            }
        };
        let look = act.clone();
        let store = Meddling::with_looks(
            self.dav.clone(),
            move || Box::pin(look(When::Look)),
            move |_| {
                let done = act(When::Write);
                Box::pin(async {
                    done.await;
                    Ok(())
                })
            },
        );
        let server = Server::new(store, Arc::new(self.sqlite.clone()), Env::system(), Settings::default());
        Self {
            upstream: server.into_upstream(),
            sqlite: self.sqlite.clone(),
            dav: self.dav.clone(),
            witness: self.witness.clone(),
            _dir: tempfile::tempdir().unwrap(),
        }
    }
}
