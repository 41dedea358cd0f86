//! Events indexed in a second by bulk, and the time of questions: on the embedded engine, and on OpenSearch beside a bare
//! `_bulk` of the same documents in the same run.
//!
//!     eval "$(scripts/services env)"; cargo bench --bench search -- [EVENTS]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use convoke::clock::Env;
use convoke::config;
use convoke::ids::{CalendarPath, HomeId, Uid};
use convoke::net::{Client, ClientLimits};
use convoke::search::fts::Fts;
use convoke::search::opensearch::OpenSearch;
use convoke::search::{EventDocument, EventQuery, IndexedObject, IndexedPerson, Occurrence, SharedEventIndex};
use serde_json::{Value, json};

const BATCH: usize = 1_000;
const QUESTIONS: usize = 200;
const WORDS: [&str; 24] = [
    "weekly",
    "sync",
    "planning",
    "review",
    "budget",
    "réunion",
    "équipe",
    "projet",
    "client",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "omega",
    "sales",
    "market",
    "Paris",
    "Tokyo",
    "Berlin",
    "roadmap",
    "release",
    "incident",
    "interview",
    "demo",
];

fn main() {
    let number = |text: String| text.parse::<usize>().ok();
    let events = std::env::args().skip(1).find_map(number).unwrap_or(20_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let objects = objects(events);
        embedded(&objects).await;
        match std::env::var("CONVOKE_TEST_OPENSEARCH_URL") {
            Ok(url) => opensearch(&url, &objects).await,
            Err(_) => eprintln!("SKIPPED: OpenSearch, for CONVOKE_TEST_OPENSEARCH_URL is not set (scripts/services)"),
        }
    });
}

/// The same in every run.
fn objects(count: usize) -> Vec<IndexedObject> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap_or(0)
    };
    let env = Env::system();
    let calendars: Vec<CalendarPath> =
        (0..count.div_ceil(2_000).max(1)).map(|_| CalendarPath::default_of(HomeId(env.object_id()))).collect();
    let mut text = move |words: usize| (0..words).map(|_| WORDS[next(WORDS.len())]).collect::<Vec<_>>().join(" ");
    (0..count)
        .map(|n| {
            let calendar = calendars[n / 2_000].clone();
            let person = |cn: &str, email: String| IndexedPerson { cn: cn.to_owned(), email };
            let uid = Uid(format!("{n}-7c1e@example.org"));
            let start = "2026-06-01T09:00:00Z".parse().ok().map(|start: chrono::DateTime<chrono::Utc>| {
                start + chrono::TimeDelta::hours(i64::try_from(n % 9_000).unwrap_or(0))
            });
            let document = EventDocument {
                calendar: calendar.clone(),
                resource_name: format!("{n}.ics"),
                uid: uid.clone(),
                occurrence: Occurrence::Single,
                sequence: Some(1),
                summary: Some(text(4)),
                location: Some(text(2)),
                description: Some(text(30)),
                class: Some("PUBLIC".to_owned()),
                start,
                end: start,
                dtstamp: start,
                all_day: false,
                organizer: Some(person("Alice Martin", "alice@example.org".to_owned())),
                attendees: vec![
                    person("Bob Dubois", "bob@example.org".to_owned()),
                    person("Carol Stone", "carol@example.org".to_owned()),
                    person("", format!("p{}@example.org", n % 500)),
                ],
                resources: Vec::new(),
                videoconference: None,
                booking_link: None,
            };
            IndexedObject { calendar, uid, version: 1, documents: vec![document] }
        })
        .collect()
}

async fn embedded(objects: &[IndexedObject]) {
    let dir = tempfile::tempdir().expect("a folder");
    let fts = Fts::open(&dir.path().join("search.db"), Env::system()).expect("an index");
    let index: SharedEventIndex = Arc::new(fts.clone());
    rate("FTS5, put_many", objects.len(), fill(&index, objects).await);
    questions("FTS5", &index, objects).await;
    fts.close().await;
}

async fn fill(index: &SharedEventIndex, objects: &[IndexedObject]) -> Duration {
    let began = Instant::now();
    for some in objects.chunks(BATCH) {
        assert!(index.put_many(some).await.iter().all(Result::is_ok), "every event is taken");
    }
    began.elapsed()
}

async fn questions(engine: &str, index: &SharedEventIndex, objects: &[IndexedObject]) {
    let calendars: Vec<CalendarPath> = objects.iter().step_by(2_000).map(|o| o.calendar.clone()).take(256).collect();
    for (name, text) in
        [("a word", "budget"), ("a beginning", "pla"), ("operators", "\"weekly sync\" -demo"), ("blank", "")]
    {
        let query =
            EventQuery { text: text.to_owned(), calendars: calendars.clone(), limit: 30, ..EventQuery::default() };
        let mut times = Vec::with_capacity(QUESTIONS);
        for _ in 0..QUESTIONS {
            let began = Instant::now();
            assert!(index.search(&query).await.is_ok(), "a question is answered");
            times.push(began.elapsed());
        }
        times.sort();
        println!(
            "{engine}, {name}: {:.2?} median, {:.2?} of 99 in 100",
            times[QUESTIONS / 2],
            times[QUESTIONS * 99 / 100]
        );
    }
}

fn rate(what: &str, count: usize, took: Duration) -> f64 {
    let rate = count as f64 / took.as_secs_f64();
    println!("{what}: {count} events in {took:.2?}, {rate:.0}/s");
    rate
}

async fn opensearch(url: &str, objects: &[IndexedObject]) {
    let client =
        Client::new(ClientLimits { body: 64 << 20, answer: Duration::from_secs(120), ..ClientLimits::default() });
    let cluster = Cluster { client: client.expect("a client"), url: url.trim_end_matches('/').to_owned() };
    let prefix = format!("bench-{}", Env::system().object_id());
    let name = |n: usize, what: &str| format!("{prefix}-{n}-{what}");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut index: Option<SharedEventIndex> = None;
    // The first round warms the cluster up.
    for round in 0..3 {
        let config = config::OpenSearch {
            urls: vec![url.to_owned()],
            shards: 1,
            replicas: 0,
            events: config::EventsIndex {
                index: name(round, "events"),
                read_alias: name(round, "read"),
                write_alias: name(round, "write"),
                ..config::EventsIndex::default()
            },
            ..config::OpenSearch::default()
        };
        let engine = OpenSearch::new(&config, Env::system()).expect("an engine");
        engine.ensure_indices().await.expect("an index");
        let filled: SharedEventIndex = Arc::new(engine.clone());
        ours.push(rate("OpenSearch, put_many", objects.len(), fill(&filled, objects).await));
        engine.refresh().await.expect("a refresh");
        index = Some(filled);
        // The documents as they were written, into an index of the same mapping.
        let documents = cluster.documents(&name(round, "events"), objects.len()).await;
        let twin = name(round, "twin");
        cluster.twin(&name(round, "events"), &twin).await;
        let bodies: Vec<Bytes> = documents.chunks(BATCH).map(|some| Bytes::from(some.concat())).collect();
        let began = Instant::now();
        for body in bodies {
            let answer = cluster.ask("POST", &format!("/{twin}/_bulk"), body).await;
            assert_eq!(answer["errors"], false, "every document is taken");
        }
        bare.push(rate("OpenSearch, bare _bulk", objects.len(), began.elapsed()));
        println!("ratio: {:.2}", ours[round] / bare[round]);
    }
    if let Some(index) = index {
        questions("OpenSearch", &index, objects).await;
    }
    cluster.ask("DELETE", &format!("/{prefix}-*"), Bytes::new()).await;
}

struct Cluster {
    client: Client,
    url: String,
}

impl Cluster {
    async fn ask(&self, method: &str, path: &str, body: Bytes) -> Value {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body)
            .expect("a request");
        let answer = self.client.fetch(request).await.expect("an answer");
        serde_json::from_slice(answer.body()).unwrap_or_default()
    }

    /// Lines of a bulk request for each document of an index.
    async fn documents(&self, index: &str, count: usize) -> Vec<String> {
        let ask =
            |path: String, body: Value| async move { self.ask("POST", &path, Bytes::from(body.to_string())).await };
        let mut page = ask(format!("/{index}/_search?scroll=1m"), json!({"size": 5_000, "sort": ["_doc"]})).await;
        let mut lines = Vec::with_capacity(count);
        while let Some(hits) = page["hits"]["hits"].as_array().filter(|hits| !hits.is_empty()) {
            lines.extend(hits.iter().map(|hit| {
                let action = json!({"index": {"_id": hit["_id"], "routing": hit["_routing"]}});
                format!("{action}\n{}\n", hit["_source"])
            }));
            page = ask("/_search/scroll".to_owned(), json!({"scroll": "1m", "scroll_id": page["_scroll_id"]})).await;
        }
        assert_eq!(lines.len(), count, "every document is there");
        lines
    }

    /// Makes an empty index with the settings and the mapping of another.
    async fn twin(&self, of: &str, name: &str) {
        let made = self.ask("GET", &format!("/{of}"), Bytes::new()).await;
        let settings = &made[of]["settings"]["index"];
        let body = json!({
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, "index": {"max_ngram_diff": settings["max_ngram_diff"]},
                "analysis": settings["analysis"]},
            "mappings": made[of]["mappings"],
        });
        let answer = self.ask("PUT", &format!("/{name}"), Bytes::from(body.to_string())).await;
        assert_eq!(answer["acknowledged"], true, "{answer}");
    }
}
