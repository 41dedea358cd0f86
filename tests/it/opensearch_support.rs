//! The real OpenSearch, for the tests of the engine: indices of a test's own, removed afterwards, and the cluster asked
//! behind the engine's back.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use convoke::clock::Env;
use convoke::config;
use convoke::ids::{CalendarPath, HomeId, Uid};
use convoke::net::{Client, ClientLimits};
use convoke::search::opensearch::OpenSearch;
use convoke::search::{EventDocument, EventIndex, EventQuery, IndexedObject, SearchError, SharedEventIndex};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::contracts::search::Harness;
use crate::services;

/// Indices of a test's own on the shared cluster, or on the one at a URL.
pub struct OpenSearchHarness {
    pub url: String,
    prefix: String,
}

impl OpenSearchHarness {
    /// `None`, with a loud word, when OpenSearch was not started.
    pub async fn new() -> Option<Self> {
        let harness = Self::at(&services::need("CONVOKE_TEST_OPENSEARCH_URL")?);
        // Made here, so that every test finds them.
        harness.engine().ensure_indices().await.unwrap();
        Some(harness)
    }

    /// Names on the cluster at a URL, without a word to it.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), prefix: format!("t{}", Env::system().object_id()) }
    }

    /// The name of an index or alias of this test.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    pub fn config(&self) -> config::OpenSearch {
        config::OpenSearch {
            urls: vec![self.url.clone()],
            shards: 1,
            replicas: 0,
            retry_wait_ms: 50,
            retries: 5,
            events: config::EventsIndex {
                index: self.name("events"),
                read_alias: self.name("events-read"),
                write_alias: self.name("events-write"),
                ..config::EventsIndex::default()
            },
            contacts: config::ContactsIndex {
                user_index: self.name("users"),
                user_read_alias: self.name("users-read"),
                user_write_alias: self.name("users-write"),
                domain_index: self.name("domains"),
                domain_read_alias: self.name("domains-read"),
                domain_write_alias: self.name("domains-write"),
                ..config::ContactsIndex::default()
            },
            ..config::OpenSearch::default()
        }
    }

    pub fn engine(&self) -> OpenSearch {
        OpenSearch::new(&self.config(), Env::system()).unwrap()
    }

    /// Asks the cluster itself.
    pub async fn ask(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        ask(&self.url, method, path, body).await
    }

    /// All documents of the index of events, with id, version and source, visible to searches or not.
    pub async fn documents(&self) -> Vec<Value> {
        let index = self.name("events");
        self.ask("POST", &format!("/{index}/_refresh"), &Value::Null).await;
        let all = json!({"size": 1000, "version": true, "query": {"match_all": {}}});
        let (status, mut answer) = self.ask("POST", &format!("/{index}/_search"), &all).await;
        assert_eq!(status, 200, "{answer}");
        let Value::Array(mut hits) = answer["hits"]["hits"].take() else { panic!("no hits in {answer}") };
        hits.sort_by_key(|hit| hit["_id"].as_str().unwrap_or_default().to_owned());
        hits
    }
}

impl Drop for OpenSearchHarness {
    fn drop(&mut self) {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let Ok(mut connection) = std::net::TcpStream::connect(address) else { return };
        let names = ["events", "users", "domains"].map(|name| self.name(name)).join(",");
        let request =
            format!("DELETE /{names}?ignore_unavailable=true HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let _ = connection.write_all(request.as_bytes());
        let _ = connection.read_to_end(&mut Vec::new());
    }
}

/// Asks a cluster; `Value::Null` for no body.
pub async fn ask(url: &str, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let client = Client::new(ClientLimits { body: 64 << 20, ..ClientLimits::default() }).unwrap();
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", url.trim_end_matches('/')))
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let (parts, body) = client.fetch(request).await.unwrap().into_parts();
    (parts.status, serde_json::from_slice(&body).unwrap_or_default())
}

/// An engine whose searches see all that was written before them.
pub struct Refreshing(pub OpenSearch);

#[async_trait]
impl EventIndex for Refreshing {
    async fn put(&self, object: &IndexedObject) -> Result<(), SearchError> {
        self.0.put(object).await
    }

    async fn put_many(&self, objects: &[IndexedObject]) -> Vec<Result<(), SearchError>> {
        self.0.put_many(objects).await
    }

    async fn delete(&self, calendar: &CalendarPath, uid: &Uid, version: i64) -> Result<(), SearchError> {
        self.0.delete(calendar, uid, version).await
    }

    async fn delete_home(&self, home: HomeId) -> Result<(), SearchError> {
        self.0.delete_home(home).await
    }

    async fn prune(&self, home: HomeId, version: i64) -> Result<u64, SearchError> {
        self.0.prune(home, version).await
    }

    async fn search(&self, query: &EventQuery) -> Result<Vec<EventDocument>, SearchError> {
        self.0.refresh().await?;
        self.0.search(query).await
    }
}

#[async_trait]
impl Harness for OpenSearchHarness {
    async fn open(&self) -> SharedEventIndex {
        Arc::new(Refreshing(self.engine()))
    }

    async fn close(&self) {}
}
