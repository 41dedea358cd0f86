//! The administration port over HTTP, on the embedded engines.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use convoke::accounts::Accounts;
use convoke::clock::Env;
use convoke::config::{self, Durability};
use convoke::events::{Message, Topic};
use convoke::health::{Health, HealthCheck};
use convoke::queue::{ConsumerSpec, Queue as _, RetryPolicy, Settlement, SharedQueue};
use convoke::store::sqlite::Sqlite;
use convoke::store::{DavStore as _, DirectoryStore as _};
use convoke::webadmin::{DeadLettersAbsent, Metrics, QueueAnswers, Started, StoreAnswers, WebAdmin};
use http::Response;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::proxy_support::{Served, client, limits, text};

struct Office {
    served: Served,
    sqlite: Arc<Sqlite>,
    started: Arc<Started>,
    _dir: TempDir,
}

struct Sick;

#[async_trait]
impl HealthCheck for Sick {
    fn component(&self) -> &str {
        "LDAP User Server"
    }

    async fn check(&self) -> Health {
        Health::Unhealthy("no connection".to_owned())
    }
}

async fn office_with(password: Option<&str>, more: Vec<Arc<dyn HealthCheck>>) -> Office {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::system();
    let sqlite = Arc::new(Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, env.clone()).unwrap());
    let started = Arc::new(Started::default());
    started.set(true);
    let queue: SharedQueue = sqlite.clone();
    let mut checks: Vec<Arc<dyn HealthCheck>> = vec![
        started.clone(),
        Arc::new(StoreAnswers { engine: "SQLite", directory: sqlite.clone() }),
        Arc::new(QueueAnswers { engine: "Queue", queue: queue.clone() }),
        Arc::new(DeadLettersAbsent(queue.clone())),
    ];
    checks.extend(more);
    let admin = WebAdmin {
        directory: sqlite.clone(),
        accounts: Accounts::new(sqlite.clone(), Some(sqlite.clone()), config::I18n::default(), env.clone()),
        queue,
        checks,
        metrics: Metrics::install().unwrap(),
        env,
    };
    let config = config::WebAdmin { password: password.map(str::to_owned), ..config::WebAdmin::default() };
    let served = Served::router(admin.router(&config), limits()).await;
    Office { served, sqlite, started, _dir: dir }
}

async fn office() -> Office {
    office_with(None, Vec::new()).await
}

impl Office {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Body> {
        let mut request = http::Request::builder().method(method).uri(self.served.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        client().send(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
    }

    async fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let response = self.ask(method, path, &[], body).await;
        let status = response.status().as_u16();
        let body = text(response).await;
        (status, if body.is_empty() { Value::Null } else { serde_json::from_str(&body).expect(&body) })
    }

    async fn status(&self, method: &str, path: &str) -> u16 {
        self.ask(method, path, &[], "").await.status().as_u16()
    }
}

fn error(status: u16, kind: &str, message: &str, details: Value) -> (u16, Value) {
    (status, json!({"statusCode": status, "type": kind, "message": message, "details": details}))
}

#[tokio::test]
async fn everything_but_health_and_metrics_needs_the_password() {
    let office = office_with(Some("s3cret"), Vec::new()).await;
    for open in ["/healthcheck", "/healthcheck/checks", "/healthcheck/checks/SQLite", "/metrics"] {
        assert_eq!(office.status("GET", open).await, 200, "{open}");
    }
    for (headers, status, body) in [
        (&[][..], 401, "No Password in header."),
        (&[("password", "wrong")], 401, "Wrong password."),
        (&[("password", "s3cret")], 200, "[]"),
        (&[("authorization", "Bearer s3cret")], 200, "[]"),
    ] {
        let response = office.ask("GET", "/domains", headers, "").await;
        assert_eq!(response.status(), status);
        assert_eq!(text(response).await, body);
    }
    for hidden in ["/registeredUsers", "/deadLetters", "/nothing"] {
        assert_eq!(office.status("GET", hidden).await, 401, "{hidden}");
    }
    assert_eq!(office.status("PUT", "/domains/example.org").await, 401);
    assert!(office.sqlite.domains().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_password_pages_are_kept_out() {
    let office = office().await;
    assert_eq!(office.status("GET", "/domains").await, 200);
    for headers in [[("origin", "https://elsewhere.example")], [("host", "rebound.example")]] {
        assert_eq!(office.ask("PUT", "/domains/example.org", &headers, "").await.status(), 403, "{headers:?}");
    }
}

#[tokio::test]
async fn domains_are_added_and_found() {
    let office = office().await;
    let unknown = error(404, "InvalidArgument", "The domain list does not contain: example.org", Value::Null);
    assert_eq!(office.json("GET", "/domains/example.org", "").await, unknown);
    for again in ["example.org", "Example.ORG"] {
        assert_eq!(office.status("PUT", &format!("/domains/{again}")).await, 204);
    }
    assert_eq!(office.json("GET", "/domains", "").await, (200, json!(["example.org"])));
    assert_eq!(office.status("GET", "/domains/example.org").await, 204);
    assert_eq!(office.status("HEAD", "/domains/EXAMPLE.org").await, 204);
    assert_eq!(office.status("HEAD", "/domains/other.example").await, 404);
    let invalid = error(400, "InvalidArgument", "Invalid request for domain creation a b", Value::Null);
    assert_eq!(office.json("PUT", "/domains/a%20b", "").await, invalid);
    let absent = error(404, "notFound", "DELETE /domains/example.org can not be found", Value::Null);
    assert_eq!(office.json("DELETE", "/domains/example.org", "").await, absent);
    let absent = error(404, "notFound", "GET /nothing can not be found", Value::Null);
    assert_eq!(office.json("GET", "/nothing", "").await, absent);
}

#[tokio::test]
async fn a_user_is_added_with_a_home() {
    let office = office().await;
    let alice = r#"{"email":"Alice@example.org","firstname":"Alice","lastname":"Martin"}"#;
    let no_domain = error(404, "InvalidArgument", "example.org does not exist", Value::Null);
    assert_eq!(office.json("POST", "/registeredUsers", alice).await, no_domain);
    office.status("PUT", "/domains/example.org").await;
    assert_eq!(office.json("POST", "/registeredUsers", alice).await, (201, Value::Null));
    let taken = error(409, "InvalidArgument", "alice@example.org already exists", Value::Null);
    assert_eq!(office.json("POST", "/registeredUsers", alice).await, taken);

    let (status, all) = office.json("GET", "/registeredUsers", "").await;
    assert_eq!((status, all.as_array().unwrap().len()), (200, 1));
    let (status, one) = office.json("GET", "/registeredUsers?email=ALICE@example.org", "").await;
    assert_eq!((status, &one), (200, &all[0]));
    let id = one["id"].as_str().unwrap();
    assert_eq!(one, json!({"email": "alice@example.org", "firstname": "Alice", "lastname": "Martin", "id": id}));
    let home = office.sqlite.collections(id.parse().unwrap()).await.unwrap();
    assert!(home.iter().any(|c| c.is_default()), "{home:?}");

    assert_eq!(office.status("HEAD", &format!("/registeredUsers?id={id}")).await, 200);
    assert_eq!(office.status("HEAD", "/registeredUsers?email=bob@example.org").await, 404);
    assert_eq!(office.status("HEAD", "/registeredUsers").await, 400);
    assert_eq!(office.status("HEAD", &format!("/registeredUsers?id={id}&email=alice@example.org")).await, 400);
    let none = error(404, "notFound", "User does not exist", Value::Null);
    assert_eq!(office.json("GET", "/registeredUsers?email=bob@example.org", "").await, none);
}

#[tokio::test]
async fn a_wrong_body_is_explained_and_adds_nobody() {
    let office = office().await;
    office.status("PUT", "/domains/example.org").await;
    for (body, message) in [
        ("", "JSON payload of the request is not valid"),
        ("{", "JSON payload of the request is not valid"),
        (r#"{"firstname":"A","lastname":"B"}"#, "JSON payload of the request is not valid"),
        (r#"{"email":"nobody","firstname":"A","lastname":"B"}"#, "JSON payload of the request is not valid"),
        (
            r#"{"email":"a@example.org","firstname":"A","lastname":"B","x":1}"#,
            "JSON payload of the request is not valid",
        ),
        (r#"{"email":"a@example.org","lastname":"B"}"#, "Invalid arguments supplied in the user request"),
        (
            r#"{"email":"a@example.org","firstname":"A","lastname":" "}"#,
            "Invalid arguments supplied in the user request",
        ),
    ] {
        let (status, answer) = office.json("POST", "/registeredUsers", body).await;
        assert_eq!((status, answer["message"].as_str()), (400, Some(message)), "{body}");
        assert!(answer["details"].is_string(), "{answer}");
    }
    assert_eq!(office.json("GET", "/registeredUsers", "").await, (200, json!([])));
}

#[tokio::test]
async fn health_is_told_of_each_and_of_the_whole() {
    let office = office_with(None, vec![Arc::new(Sick)]).await;
    let component = |name: &str, escaped: &str, status: &str, cause: Value| json!({"componentName": name, "escapedComponentName": escaped, "status": status, "cause": cause});
    let (status, report) = office.json("GET", "/healthcheck", "").await;
    assert_eq!((status, report["status"].as_str()), (503, Some("unhealthy")));
    assert_eq!(report["checks"].as_array().unwrap().len(), 5);
    let lifecycle = component("Guice application lifecycle", "Guice%20application%20lifecycle", "healthy", Value::Null);
    assert_eq!(report["checks"][0], lifecycle);
    let sick = component("LDAP User Server", "LDAP%20User%20Server", "unhealthy", json!("no connection"));
    assert_eq!(report["checks"][4], sick);

    let (status, report) = office.json("GET", "/healthcheck?check=SQLite&check=Queue", "").await;
    let healthy = |name: &str| component(name, name, "healthy", Value::Null);
    assert_eq!((status, report), (200, json!({"status": "healthy", "checks": [healthy("SQLite"), healthy("Queue")]})));

    let (status, one) = office.json("GET", "/healthcheck/checks/LDAP%20User%20Server", "").await;
    assert_eq!((status, one), (503, sick));
    let (_, names) = office.json("GET", "/healthcheck/checks", "").await;
    assert_eq!(names[1], json!({"componentName": "SQLite", "escapedComponentName": "SQLite"}));
    for unknown in ["/healthcheck?check=MongoDB", "/healthcheck/checks/MongoDB"] {
        assert_eq!(office.status("GET", unknown).await, 404);
    }

    office.started.set(false);
    assert_eq!(office.status("GET", "/healthcheck/checks/Guice%20application%20lifecycle").await, 503);
}

const CONSUMER: &str = "tcalendar:event:created:search";

/// Publishes messages and gives each up.
async fn bury(office: &Office, count: usize) {
    let consumer = ConsumerSpec {
        name: CONSUMER,
        topics: vec![Topic::EventCreated],
        concurrency: 16,
        retry: RetryPolicy::default(),
    };
    office.sqlite.bind(&consumer).await.unwrap();
    let messages: Vec<_> =
        (0..count).map(|n| Message::new(Topic::EventCreated, format!("key {n}"), &json!({"n": n}))).collect();
    office.sqlite.publish(&messages).await.unwrap();
    for _ in 0..count {
        let delivery = office.sqlite.receive(&consumer, 1).await.unwrap().remove(0);
        let dead = Settlement::Dead { error: "cannot be read".to_owned() };
        office.sqlite.settle(&consumer, delivery.id, dead).await.unwrap();
    }
}

#[tokio::test]
async fn dead_letters_are_seen_redelivered_and_discarded() {
    let office = office().await;
    bury(&office, 4).await;
    let (status, report) = office.json("GET", "/healthcheck", "").await;
    assert_eq!((status, report["status"].as_str()), (200, Some("degraded")));
    assert_eq!(office.status("GET", "/healthcheck?strict").await, 503);
    let cause = format!("dead letters: 4 of {CONSUMER}");
    assert_eq!(report["checks"][3]["cause"], cause);

    let (_, all) = office.json("GET", "/deadLetters", "").await;
    let ids: Vec<u64> = all.as_array().unwrap().iter().map(|l| l["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first: {ids:?}");
    assert_eq!(all[0]["error"], "cannot be read");
    assert_eq!(all[0]["consumer"], CONSUMER);
    assert!(all[0].get("payload").is_none());
    let (_, page) = office.json("GET", &format!("/deadLetters?before={}&limit=2", ids[0]), "").await;
    assert_eq!(page.as_array().unwrap().iter().map(|l| l["id"].as_u64().unwrap()).collect::<Vec<_>>(), ids[1..3]);
    assert_eq!(office.json("GET", "/deadLetters?consumer=other", "").await, (200, json!([])));
    for wrong in ["limit=0", "limit=501", "limit=x", "before=-1"] {
        assert_eq!(office.status("GET", &format!("/deadLetters?{wrong}")).await, 400, "{wrong}");
    }

    let (_, letter) = office.json("GET", &format!("/deadLetters/{}", ids[0]), "").await;
    assert_eq!(letter["payload"], json!({"n": 3}));
    assert_eq!(office.status("DELETE", &format!("/deadLetters/{}", ids[0])).await, 204);
    assert_eq!(office.status("POST", &format!("/deadLetters/{}/redelivery", ids[1])).await, 204);
    for gone in &ids[..2] {
        assert_eq!(office.status("GET", &format!("/deadLetters/{gone}")).await, 404);
        assert_eq!(office.status("DELETE", &format!("/deadLetters/{gone}")).await, 404);
        assert_eq!(office.status("POST", &format!("/deadLetters/{gone}/redelivery")).await, 404);
    }
    assert_eq!(office.status("GET", "/deadLetters/x").await, 400);

    let (status, answer) = office.json("POST", "/deadLetters/redelivery?consumer=other", "").await;
    assert_eq!((status, answer), (200, json!({"redelivered": 0})));
    let (status, answer) = office.json("POST", "/deadLetters/redelivery", "").await;
    assert_eq!((status, answer), (200, json!({"redelivered": 2})));
    assert_eq!(office.json("GET", "/deadLetters", "").await, (200, json!([])));
    let waiting: u64 = office.sqlite.depths().await.unwrap().iter().map(|d| d.waiting).sum();
    assert_eq!(waiting, 3);
    assert_eq!(office.json("GET", "/healthcheck", "").await.1["status"], "healthy");
}

#[tokio::test]
async fn metrics_tell_of_surfaces_queues_and_the_process() {
    let office = office().await;
    bury(&office, 2).await;
    office.status("GET", "/domains").await;
    let response = office.ask("GET", "/metrics", &[], "").await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let all = text(response).await;
    let dead = format!("queue_dead_letters{{consumer=\"{CONSUMER}\"}} 2");
    for line in [
        "http_requests_total{surface=\"test\",status=\"2xx\"} ",
        "http_request_duration_seconds{surface=\"test\",quantile=\"0.999\"} ",
        "http_request_duration_seconds_count{surface=\"test\"} ",
        "process_resident_memory_bytes ",
        &dead,
    ] {
        assert!(all.lines().any(|l| l.starts_with(line)), "{line} is not in\n{all}");
    }
    let one = text(office.ask("GET", "/metrics?name[]=queue_dead_letters&name[]=absent", &[], "").await).await;
    assert!(one.lines().all(|l| l.is_empty() || l.contains("queue_dead_letters")), "{one}");
    assert!(one.contains(&dead));
}
