//! The engine of the event search, and of the contacts, on OpenSearch: index, aliases, mapping and documents are those of
//! existing installations (storage §4, §5), so that the reference can read what we write and the other way round.
//!
//! In come documents and questions of the ports; out go requests to the cluster of the configuration and nowhere else. What
//! is missing there is made, at the start or when the cluster is back; what exists is never altered, and documents of
//! contacts are never written. Writes are visible to searches within a second, not at once.

mod bulk;
mod client;
mod contacts;
mod documents;
mod examine;
mod schema;
mod search;
mod sweep;
mod write;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use client::SetupError;
use client::{Client, Fault};
use write::Change;

use super::{EventDocument, EventIndex, EventQuery, IndexedObject, SearchError};
use crate::clock::Env;
use crate::config;
use crate::ids::{CalendarPath, HomeId, Uid};

/// A connection to the cluster; the engine of both search ports. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OpenSearch(Arc<Inner>);

/// What the clones share.
#[derive(Debug)]
pub struct Inner {
    client: Client,
    config: config::OpenSearch,
    names: config::EventsIndex,
    env: Env,
    /// The indices were there when it was last looked.
    ready: AtomicBool,
    making: tokio::sync::Mutex<()>,
    stones_looked_for: std::sync::Mutex<Option<DateTime<Utc>>>,
}

impl std::ops::Deref for OpenSearch {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl OpenSearch {
    /// Gets ready to talk to the cluster, without talking to it.
    ///
    /// # Errors
    /// [`SetupError`] with the key of the configuration that is at fault.
    pub fn new(config: &config::OpenSearch, env: Env) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(Inner {
            client: Client::new(config)?,
            config: config.clone(),
            names: config.events.clone(),
            env,
            ready: AtomicBool::new(false),
            making: tokio::sync::Mutex::default(),
            stones_looked_for: std::sync::Mutex::default(),
        })))
    }

    /// Makes the indices and aliases that are missing. Need not be called: the first request does it, and the first one
    /// after they were gone.
    ///
    /// # Errors
    /// [`SearchError`] when the cluster is away or refuses.
    pub async fn ensure_indices(&self) -> Result<(), SearchError> {
        Ok(self.ensure().await?)
    }

    /// Makes everything that was written visible to searches. They see it within a second by themselves; this is for who
    /// cannot wait, and costs the cluster more than it looks.
    ///
    /// # Errors
    /// [`SearchError`] when the cluster is away or refuses.
    pub async fn refresh(&self) -> Result<(), SearchError> {
        self.ensure().await?;
        Ok(self.refresh_now().await?)
    }

    async fn ensure(&self) -> Result<(), Fault> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one_at_a_time = self.making.lock().await;
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let timeout = self.limits().timeout;
        let indices = [schema::events(&self.config)].into_iter().chain(schema::contacts(&self.config));
        for index in indices {
            index.ensure(&self.client, self.config.wait_for_active_shards, timeout).await?;
        }
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    fn limits(&self) -> bulk::Limits {
        bulk::Limits {
            // A change is two writes.
            writes: self.config.bulk_documents.saturating_mul(2),
            octets: self.config.bulk_bytes,
            timeout: Duration::from_millis(self.config.request_timeout_ms),
        }
    }

    fn search_timeout(&self) -> Duration {
        Duration::from_millis(self.config.search_timeout_ms)
    }

    /// Carries out changes, and once more when the index was gone and had to be made.
    async fn change(&self, changes: &[Change<'_>]) -> Vec<Result<(), SearchError>> {
        if let Err(fault) = self.ensure().await {
            return changes.iter().map(|_| Err(fault.clone().into())).collect();
        }
        let mut outcomes = self.apply(changes).await;
        if outcomes.iter().any(|outcome| matches!(outcome, Err(Fault::NoIndex(_)))) {
            self.ready.store(false, Ordering::Release);
            if self.ensure().await.is_ok() {
                outcomes = self.apply(changes).await;
            }
        }
        outcomes.into_iter().map(|outcome| outcome.map_err(SearchError::from)).collect()
    }

    async fn change_one(&self, change: Change<'_>) -> Result<(), SearchError> {
        self.change(&[change]).await.pop().unwrap_or(Ok(()))
    }

    /// How many of these go together: they are different objects, and not too large.
    fn fitting(&self, objects: &[IndexedObject]) -> usize {
        let mut seen = HashSet::new();
        let (mut documents, mut octets) = (0, 0);
        let fits = |object: &&IndexedObject| {
            documents += object.documents.len().max(1);
            octets += object.documents.iter().map(octets_of).sum::<usize>();
            documents <= self.config.bulk_documents
                && octets <= self.config.bulk_bytes
                && seen.insert((object.calendar.clone(), object.uid.clone()))
        };
        objects.iter().take_while(fits).count().max(1)
    }
}

/// Octets of a document in a request, nearly.
fn octets_of(document: &EventDocument) -> usize {
    let texts = [&document.summary, &document.location, &document.description];
    let people = document.attendees.len() + document.resources.len();
    800 + texts.into_iter().flatten().map(String::len).sum::<usize>() + people * 60
}

#[async_trait]
impl EventIndex for OpenSearch {
    async fn put(&self, object: &IndexedObject) -> Result<(), SearchError> {
        self.change_one(Change::from(object)).await
    }

    async fn put_many(&self, objects: &[IndexedObject]) -> Vec<Result<(), SearchError>> {
        let mut outcomes = Vec::with_capacity(objects.len());
        let mut rest = objects;
        while !rest.is_empty() {
            let (some, after) = rest.split_at(self.fitting(rest));
            outcomes.extend(self.change(&some.iter().map(Change::from).collect::<Vec<_>>()).await);
            rest = after;
        }
        outcomes
    }

    async fn delete(&self, calendar: &CalendarPath, uid: &Uid, version: i64) -> Result<(), SearchError> {
        self.change_one(Change { calendar, uid, version, documents: &[] }).await?;
        if let Err(fault) = self.forget().await {
            tracing::debug!(%fault, "what was deleted long ago is not forgotten yet");
        }
        Ok(())
    }

    async fn delete_home(&self, home: HomeId) -> Result<(), SearchError> {
        self.ensure().await?;
        Ok(self.remove_home(home).await?)
    }

    async fn prune(&self, home: HomeId, version: i64) -> Result<u64, SearchError> {
        self.ensure().await?;
        Ok(self.prune_home(home, version).await?)
    }

    async fn search(&self, query: &EventQuery) -> Result<Vec<EventDocument>, SearchError> {
        if (query.calendars.is_empty() && query.of_others.is_empty()) || query.limit == 0 {
            return Ok(Vec::new());
        }
        Ok(self.find(query).await?)
    }
}
