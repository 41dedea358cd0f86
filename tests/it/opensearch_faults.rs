//! OpenSearch goes away, comes back, is too busy, is red: nothing that was accepted is lost, and the engine recovers by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use convoke::clock::Env;
use convoke::config;
use convoke::health::{Health, HealthCheck};
use convoke::net::{Client, ClientLimits};
use convoke::search::opensearch::OpenSearch;
use convoke::search::{EventIndex, IndexedObject, SearchError, SharedEventIndex};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::contracts::search::{document, found, object, query, work};
use crate::instance::Instance;
use crate::opensearch_support::{OpenSearchHarness, Refreshing, ask};

/// A wire to a server that can be cut.
struct Wire {
    url: String,
    cut: watch::Sender<bool>,
}

impl Wire {
    async fn to(url: &str) -> Self {
        let target = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cut = watch::Sender::new(false);
        let watched = cut.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (target, mut watched) = (target.clone(), watched.clone());
                tokio::spawn(async move {
                    let through = async {
                        let mut far = TcpStream::connect(&target).await?;
                        tokio::io::copy_bidirectional(&mut near, &mut far).await
                    };
                    tokio::select! {
                        _ = watched.wait_for(|cut| *cut) => {}
                        _ = through => {}
                    }
                });
            }
        });
        Self { url, cut }
    }
}

/// The same names on the cluster, asked over another address.
fn through(harness: &OpenSearchHarness, url: &str) -> OpenSearch {
    let config = config::OpenSearch { urls: vec![url.to_owned()], request_timeout_ms: 5_000, ..harness.config() };
    OpenSearch::new(&config, Env::system()).unwrap()
}

fn many(calendar: &convoke::ids::CalendarPath, count: usize) -> Vec<IndexedObject> {
    (0..count).map(|n| object(5, &[document(calendar, &format!("u{n}"), "many")])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_away_at_the_start_is_found_when_it_is_back() {
    let Some(shared) = OpenSearchHarness::new().await else { return };
    let wire = Wire::to(&shared.url).await;
    wire.cut.send_replace(true);
    let harness = OpenSearchHarness::at(&shared.url);
    let engine = through(&harness, &wire.url);
    let work = work();
    let event = object(1, &[document(&work, "u", "sync")]);
    assert!(matches!(engine.put(&event).await, Err(SearchError::Unavailable(_))));
    assert!(matches!(engine.search(&query(&work, "sync")).await, Err(SearchError::Unavailable(_))));
    assert!(matches!(engine.check().await, Health::Unhealthy(_)));
    wire.cut.send_replace(false);
    engine.put(&event).await.unwrap();
    let index: SharedEventIndex = Arc::new(Refreshing(engine.clone()));
    assert_eq!(found(&index, &query(&work, "syn")).await, ["u"], "with our mapping");
    assert_eq!(engine.check().await, Health::Healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_in_the_middle_of_many_writes_loses_none() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let wire = Wire::to(&harness.url).await;
    let config =
        config::OpenSearch { urls: vec![wire.url.clone()], bulk_documents: 50, retries: 12, ..harness.config() };
    let engine = OpenSearch::new(&config, Env::system()).unwrap();
    let work = work();
    let writing = {
        let (engine, objects) = (engine.clone(), many(&work, 1_000));
        tokio::spawn(async move { engine.put_many(&objects).await })
    };
    let index: SharedEventIndex = Arc::new(Refreshing(harness.engine()));
    let all = convoke::search::EventQuery { limit: 2_000, ..query(&work, "") };
    while found(&index, &all).await.is_empty() {}
    wire.cut.send_replace(true);
    assert!(matches!(engine.check().await, Health::Unhealthy(_)));
    wire.cut.send_replace(false);
    assert!(writing.await.unwrap().iter().all(Result::is_ok));
    assert_eq!(found(&index, &all).await.len(), 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_is_asked_when_one_does_not_answer() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let config = config::OpenSearch {
        urls: vec!["http://127.0.0.1:9".to_owned(), harness.url.clone()],
        retries: 0,
        ..harness.config()
    };
    let engine = OpenSearch::new(&config, Env::system()).unwrap();
    let work = work();
    engine.put(&object(1, &[document(&work, "u", "sync")])).await.unwrap();
    assert_eq!(engine.check().await, Health::Healthy);
}

/// A cluster that has too much to do: it takes every second write of a bulk request, and refuses whole requests, too.
struct Busy {
    url: String,
    /// Bulk requests of which only some writes are taken.
    some: AtomicUsize,
    /// Requests that are refused as a whole.
    none: AtomicUsize,
    always: AtomicBool,
    http: Client,
}

impl Busy {
    fn takes_less(counter: &AtomicUsize) -> bool {
        counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    async fn before(harness: &OpenSearchHarness) -> (Arc<Self>, String) {
        let http = Client::new(ClientLimits { body: 64 << 20, ..ClientLimits::default() }).unwrap();
        let busy = Arc::new(Self {
            url: harness.url.trim_end_matches('/').to_owned(),
            some: AtomicUsize::new(0),
            none: AtomicUsize::new(0),
            always: AtomicBool::new(false),
            http,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(serve).with_state(busy.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (busy, url)
    }

    async fn forward(&self, parts: &http::request::Parts, body: Bytes) -> Response {
        let mut request = http::Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = format!("{}{}", self.url, parts.uri).parse().unwrap();
        request.headers_mut().insert("content-type", parts.headers["content-type"].clone());
        self.http.fetch(request).await.unwrap().map(Body::from)
    }
}

fn answer(status: u16, body: &Value) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

async fn serve(State(busy): State<Arc<Busy>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    let rejected =
        json!({"type": "rejected_execution_exception", "reason": "rejected execution of coordinating operation"});
    let is_bulk = parts.uri.path().ends_with("/_bulk");
    if is_bulk && (busy.always.load(Ordering::SeqCst) || Busy::takes_less(&busy.none)) {
        return answer(429, &json!({"error": rejected, "status": 429}));
    }
    if !is_bulk || !Busy::takes_less(&busy.some) {
        return busy.forward(&parts, body).await;
    }
    let (mut taken, mut kinds) = (String::new(), Vec::new());
    let text = String::from_utf8(body.to_vec()).unwrap();
    let mut lines = text.lines();
    while let Some(action) = lines.next() {
        let kind = if action.starts_with("{\"index\"") { "index" } else { "delete" };
        let source = if kind == "index" { lines.next() } else { None };
        if kinds.len() % 2 == 0 {
            taken.extend([action, "\n"]);
            taken.extend(source.into_iter().flat_map(|source| [source, "\n"]));
        }
        kinds.push(kind);
    }
    let done =
        axum::body::to_bytes(busy.forward(&parts, Bytes::from(taken)).await.into_body(), 64 << 20).await.unwrap();
    let mut done: Value = serde_json::from_slice(&done).unwrap();
    let mut done = done["items"].as_array_mut().unwrap().drain(..);
    let items: Vec<Value> = kinds
        .iter()
        .enumerate()
        .map(|(n, kind)| match n % 2 {
            0 => done.next().unwrap(),
            _ => json!({*kind: {"status": 429, "error": rejected}}),
        })
        .collect();
    answer(200, &json!({ "items": items }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_busy_cluster_does_not_take_is_sent_again() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let (busy, url) = Busy::before(&harness).await;
    let config = config::OpenSearch { urls: vec![url], retry_wait_ms: 5, retries: 8, ..harness.config() };
    let engine = OpenSearch::new(&config, Env::system()).unwrap();
    busy.some.store(4, Ordering::SeqCst);
    busy.none.store(2, Ordering::SeqCst);
    let work = work();
    let outcomes = engine.put_many(&many(&work, 60)).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!((busy.some.load(Ordering::SeqCst), busy.none.load(Ordering::SeqCst)), (0, 0));
    let index: SharedEventIndex = Arc::new(Refreshing(harness.engine()));
    assert_eq!(found(&index, &query(&work, "many")).await.len(), 60);
    // One that stays busy is told, and changed nothing.
    busy.always.store(true, Ordering::SeqCst);
    let late = engine.put(&object(9, &[document(&work, "late", "late")])).await;
    assert!(matches!(&late, Err(SearchError::Unavailable(reason)) if reason.contains("busy")), "{late:?}");
    assert!(found(&index, &query(&work, "late")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_dies_and_comes_back_goes_on_where_it_was() {
    let Some(own) = Instance::start("opensearch").await else { return };
    let harness = OpenSearchHarness::at(own.env("CONVOKE_TEST_OPENSEARCH_URL"));
    let config = config::OpenSearch { retries: 60, retry_wait_ms: 100, ..harness.config() };
    let engine = OpenSearch::new(&config, Env::system()).unwrap();
    let index: SharedEventIndex = Arc::new(Refreshing(engine.clone()));
    let work = work();
    for outcome in engine.put_many(&many(&work, 200)).await {
        outcome.unwrap();
    }
    own.kill().await;
    assert!(matches!(engine.check().await, Health::Unhealthy(_)));
    // A write that is made meanwhile waits for it.
    let waiting = {
        let (engine, event) = (engine.clone(), object(7, &[document(&work, "u0", "after")]));
        tokio::spawn(async move { engine.put(&event).await })
    };
    own.revive().await;
    waiting.await.unwrap().unwrap();
    assert_eq!(engine.check().await, Health::Healthy);
    let all = convoke::search::EventQuery { limit: 300, ..query(&work, "") };
    assert_eq!(found(&index, &all).await.len(), 200, "what was acknowledged is there");
    assert_eq!(found(&index, &query(&work, "after")).await, ["u0"]);

    // An index without a place to be makes the cluster red, and nothing else worse.
    let nowhere = json!({"settings": {
        "number_of_shards": 1, "number_of_replicas": 0, "index.routing.allocation.require._name": "nowhere",
    }});
    ask(&harness.url, "PUT", "/homeless?wait_for_active_shards=0&timeout=1s", &nowhere).await;
    let red = engine.check().await;
    assert!(matches!(&red, Health::Unhealthy(why) if why.contains("red")), "{red:?}");
    engine.put(&object(8, &[document(&work, "u0", "in red")])).await.unwrap();
    ask(&harness.url, "DELETE", "/homeless", &Value::Null).await;
    assert_eq!(engine.check().await, Health::Healthy);

    // A cluster that is connected and silent.
    let impatient = config::OpenSearch { search_timeout_ms: 300, ..config };
    let impatient = OpenSearch::new(&impatient, Env::system()).unwrap();
    impatient.ensure_indices().await.unwrap();
    own.pause().await;
    let began = std::time::Instant::now();
    assert!(matches!(impatient.search(&query(&work, "")).await, Err(SearchError::Unavailable(_))));
    assert!(began.elapsed() < Duration::from_secs(5), "a search does not wait for ever");
    own.resume().await;
    assert!(impatient.search(&query(&work, "")).await.is_ok());
}
