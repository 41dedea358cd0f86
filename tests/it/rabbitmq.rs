//! RabbitMQ beyond the contract of the queue: the topology that esn-sabre and the reference know, their messages, health and
//! the doctor. Retries and faults are in `rabbitmq_faults`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use convoke::config::{self, QueueType};
use convoke::events::{Message, Topic};
use convoke::health::{Examine as _, Health, HealthCheck, Verdict};
use convoke::queue::rabbitmq::{RabbitMq, dead_letter_queue, retry_queue};
use convoke::queue::{Failure, Queue as _, Settlement};
use serde_json::json;

use crate::rabbitmq_support::{
    Log, PATIENT, Vhost, consume, created, depth, number, receive, spec, until, until_empty,
};

const SEARCH: &str = "tcalendar:event:created:search";

// --- topology ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn exchanges_queues_and_bindings_are_those_of_the_reference() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    for topic in Topic::ALL {
        let exchange = vhost.see("exchanges", topic.name());
        assert_eq!((&exchange["type"], &exchange["durable"]), (&json!("fanout"), &json!(true)), "{topic}");
        assert_eq!(exchange["auto_delete"], json!(false));
    }
    let created = [Topic::EventCreated];
    for name in [SEARCH, "tcalendar:itip:localDelivery", "resource:tcalendar:event:created"] {
        queue.bind(&spec(name, &created)).await.unwrap();
        let dead = dead_letter_queue(name);
        let main = vhost.see("queues", name);
        assert_eq!(main["arguments"], json!({"x-queue-version": 2, "x-dead-letter-exchange": dead}));
        assert_eq!((&main["durable"], &main["exclusive"]), (&json!(true), &json!(false)));
        assert_eq!(vhost.see("queues", &dead)["arguments"], json!({"x-queue-version": 2}));
        assert_eq!(vhost.see("exchanges", &dead)["type"], json!("fanout"));
        let bindings = |queue: &str| {
            let listed = vhost.see("queues", &format!("{queue}/bindings"));
            let of = |b: &serde_json::Value| {
                (b["source"].as_str()?.to_owned(), b["routing_key"].as_str()?.to_owned()).into()
            };
            let listed: BTreeSet<(String, String)> = listed.as_array().unwrap().iter().filter_map(of).collect();
            listed.into_iter().filter(|(source, _)| !source.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(bindings(name), [("calendar:event:created".to_owned(), String::new())]);
        assert_eq!(bindings(&dead), [(dead.clone(), String::new())]);
    }
    // Once more changes nothing, and a second node finds it all there.
    queue.bind(&spec(SEARCH, &created)).await.unwrap();
    let second = vhost.connect(&vhost.config(), PATIENT).await;
    second.bind(&spec(SEARCH, &created)).await.unwrap();
}

#[tokio::test]
async fn other_kinds_of_queue_are_declared_when_asked_for() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    for (name, kind, expected) in [
        ("test:old", QueueType::ClassicV1, json!({"x-dead-letter-exchange": "test:old:dead-letter"})),
        (
            "test:quorum",
            QueueType::Quorum,
            json!({"x-dead-letter-exchange": "test:quorum:dead-letter", "x-queue-type": "quorum",
                   "x-quorum-initial-group-size": 1, "x-delivery-limit": 12}),
        ),
    ] {
        let config = config::RabbitMq { queue_type: kind, quorum_delivery_limit: Some(12), held: 0, ..vhost.config() };
        let queue = vhost.connect(&config, PATIENT).await;
        let one = spec(name, &[Topic::EventCreated]);
        queue.bind(&one).await.unwrap();
        assert_eq!(vhost.see("queues", name)["arguments"], expected);
        // It works: done, retried by way of the retry queue, given up, redelivered.
        let config = config::RabbitMq { retry_round_ms: 100, ..config };
        let queue = vhost.connect(&config, PATIENT).await;
        queue.bind(&one).await.unwrap();
        queue.publish(&[created("a", 1), created("b", 2), created("c", 3)]).await.unwrap();
        let log = Log::default();
        let (stop, running) = consume(&queue, &one, &log, |n, attempt| async move {
            match (n, attempt) {
                (1, 1) => Err(Failure::Retry("later".into())),
                (2, _) => Err(Failure::Dead("never".into())),
                _ => Ok(()),
            }
        });
        until_empty(&queue, name).await;
        let dead = queue.dead_letters(None, None, 10).await.unwrap();
        assert_eq!((dead.len(), dead[0].error.as_str(), dead[0].attempts), (1, "never", 1));
        // To look does not wear them out, not even where the broker counts deliveries.
        for _ in 0..15 {
            assert_eq!(queue.dead_letters(Some(name), None, 10).await.unwrap(), dead);
        }
        assert!(queue.redeliver(dead[0].id).await.unwrap());
        until("it is back", async || log.lock().unwrap().iter().filter(|(n, _)| *n == 2).count() == 2).await;
        drop(stop);
        running.await.unwrap();
        let mut handled = log.lock().unwrap().clone();
        handled.sort_unstable();
        assert_eq!(handled, [(1, 1), (1, 2), (2, 1), (2, 1), (3, 1)]);
    }
}

#[tokio::test]
async fn a_queue_that_is_declared_otherwise_is_named_with_the_key_to_change() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let body =
        r#"{"durable":true,"arguments":{"x-dead-letter-exchange":"tcalendar:event:created:search-dead-letter"}}"#;
    vhost.management.must("PUT", &format!("/api/queues/{}/{}", vhost.name, SEARCH.replace(':', "%3A")), body);
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let error = queue.bind(&spec(SEARCH, &[Topic::EventCreated])).await.unwrap_err().to_string();
    for expected in [SEARCH, "rabbitmq.queue_type", "x-queue-version"] {
        assert!(error.contains(expected), "{error}");
    }
    // Nobody else is held up by it.
    let other = spec("test:other", &[Topic::EventCreated]);
    queue.bind(&other).await.unwrap();
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &other).await), 1);
}

#[tokio::test]
async fn an_exchange_that_is_declared_otherwise_is_left_and_used() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let path = format!("/api/exchanges/{}/calendar%3Aevent%3Acreated", vhost.name);
    vhost.management.must("PUT", &path, r#"{"type":"fanout","durable":false}"#);
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    assert_eq!(vhost.see("exchanges", "calendar:event:updated")["durable"], json!(true), "the others are declared");
    let one = spec(SEARCH, &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 1);
    assert_eq!(vhost.see("exchanges", "calendar:event:created")["durable"], json!(false));
}

#[tokio::test]
async fn a_queue_that_vanishes_fails_what_is_published_and_is_made_again() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec(SEARCH, &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 1);
    vhost.management.must("DELETE", &format!("/api/queues/{}/{}", vhost.name, SEARCH.replace(':', "%3A")), "");
    let error = queue.publish(&[created("b", 2)]).await.unwrap_err().to_string();
    assert!(error.contains("no queue takes"), "{error}");
    queue.publish(&[created("b", 2)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 2);
    // A topic that nobody wants is no error.
    queue.publish(&[Message::new(Topic::ContactCreated, "k", &json!({}))]).await.unwrap();
}

// --- messages of others -----------------------------------------------------------------------------------------------

/// As esn-sabre publishes: no properties at all.
fn publish_as_esn_sabre(vhost: &Vhost, topic: Topic, body: &serde_json::Value) {
    let path = format!("/api/exchanges/{}/{}/publish", vhost.name, topic.name().replace(':', "%3A"));
    let publication =
        json!({"properties": {}, "routing_key": "", "payload": body.to_string(), "payload_encoding": "string"});
    let routed = vhost.management.must("POST", &path, &publication.to_string());
    assert_eq!(routed["routed"], json!(true));
}

#[tokio::test]
async fn messages_without_properties_get_key_topic_and_time() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let topics = [Topic::ResourceAccepted, Topic::ItipLocalDelivery];
    let one = spec("test:one", &topics);
    queue.bind(&one).await.unwrap();
    let resource = json!({"resourceId": "65bb00000000000000000001", "eventId": "u-1", "ics": "x", "connectedUser": null,
        "eventPath": "//calendars/65bb00000000000000000001/65bb00000000000000000001/u-1.ics"});
    publish_as_esn_sabre(&vhost, Topic::ResourceAccepted, &resource);
    let taken = receive(&queue, &one).await;
    assert_eq!(taken.message.key, "/calendars/65bb00000000000000000001/65bb00000000000000000001/u-1.ics");
    assert_eq!((taken.message.topic, taken.message.once, taken.attempt), (Topic::ResourceAccepted, None, 1));
    assert_eq!(taken.message.payload, resource);

    // Given up and redelivered, it is still of that topic, although it comes straight to the queue.
    queue.settle(&one, taken.id, Settlement::Dead { error: "no".into() }).await.unwrap();
    let dead = queue.dead_letters(None, None, 5).await.unwrap().remove(0);
    assert_eq!((dead.topic.as_str(), dead.error.as_str()), ("resource:calendar:event:accepted", "no"));
    assert!(queue.redeliver(dead.id).await.unwrap());
    assert_eq!(receive(&queue, &one).await.message.topic, Topic::ResourceAccepted);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_dead_letter_and_holds_up_nobody() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    let path = format!("/api/exchanges/{}/calendar%3Aevent%3Acreated/publish", vhost.name);
    let broken =
        json!({"properties": {}, "routing_key": "", "payload": "{\"eventPath\":", "payload_encoding": "string"});
    vhost.management.must("POST", &path, &broken.to_string());
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 1);
    let dead = queue.dead_letters(Some("test:one"), None, 5).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].error.contains("not JSON"), "{dead:?}");
    assert_eq!(dead[0].payload, json!("{\"eventPath\":"), "shown as it came");
    assert!(queue.discard(dead[0].id).await.unwrap());
    assert!(queue.dead_letters(None, None, 5).await.unwrap().is_empty());
}

#[tokio::test]
async fn dead_letters_that_others_made_are_listed_and_redelivered() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated, Topic::EventUpdated]);
    queue.bind(&one).await.unwrap();
    let path = "/calendars/65aa00000000000000000001/65aa00000000000000000001/a.ics";
    // Two of the same content, as the reference rejects them.
    for _ in 0..2 {
        publish_as_esn_sabre(&vhost, Topic::EventUpdated, &json!({"eventPath": path}));
    }
    let get = json!({"count": 2, "ackmode": "reject_requeue_false", "encoding": "auto"}).to_string();
    vhost.management.must("POST", &format!("/api/queues/{}/test%3Aone/get", vhost.name), &get);
    until("both are dead", async || depth(&queue, "test:one").await.is_some_and(|d| d.dead == 2)).await;
    let dead = queue.dead_letters(None, None, 5).await.unwrap();
    assert_eq!(dead.len(), 2);
    assert_ne!(dead[0].id, dead[1].id);
    for letter in &dead {
        assert_eq!((letter.topic.as_str(), letter.consumer.as_str()), ("calendar:event:updated", "test:one"));
        assert!(letter.error.contains("rejected"), "{}", letter.error);
    }
    assert_eq!(queue.dead_letters(None, None, 5).await.unwrap(), dead, "looked at again, they are the same");
    assert_eq!(queue.dead_letters(None, Some(dead[0].id), 5).await.unwrap(), dead[1..]);
    assert!(queue.redeliver(dead[0].id).await.unwrap());
    let again = receive(&queue, &one).await;
    assert_eq!((again.message.topic, again.message.key.as_str()), (Topic::EventUpdated, path));
    assert_eq!(depth(&queue, "test:one").await.unwrap().dead, 1);
}

// --- health, doctor, TLS ----------------------------------------------------------------------------------------------

fn check(queue: &RabbitMq, component: &str) -> Arc<dyn HealthCheck> {
    queue.health_checks().into_iter().find(|c| c.component() == component).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_tells_of_idle_queues_and_dead_letters() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    assert_eq!(check(&queue, "RabbitMQ backend").check().await, Health::Healthy);
    let consumers = check(&queue, "CalendarQueueConsumers");
    assert_eq!(consumers.check().await, Health::Degraded("nobody consumes test:one".into()));
    let (stop, running) = consume(&queue, &one, &Log::default(), |_, _| async { Err(Failure::Dead("no".into())) });
    until("it is consumed", async || consumers.check().await == Health::Healthy).await;
    let empty = check(&queue, "RabbitMQDeadLetterQueueEmptiness");
    assert_eq!(empty.check().await, Health::Healthy);
    queue.publish(&[created("a", 1)]).await.unwrap();
    let expected = Health::Degraded("dead letters in test:one:dead-letter (1)".into());
    until("the dead letter is seen", async || empty.check().await == expected).await;
    drop(stop);
    running.await.unwrap();
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let queue = vhost.connect(&vhost.config(), PATIENT).await;
    queue.bind(&spec(SEARCH, &[Topic::EventCreated])).await.unwrap();
    let verdicts = async || {
        let found = queue.examine().await;
        found.into_iter().map(|f| (f.subject, f.verdict)).collect::<BTreeMap<_, _>>()
    };
    let found = verdicts().await;
    assert!(found.values().all(|v| matches!(v, Verdict::Good(_))), "{found:#?}");
    assert!(matches!(&found["version"], Verdict::Good(v) if v.starts_with("RabbitMQ 3.")), "{found:#?}");
    assert!(
        found.contains_key("exchange sabre:contact:update") && found.contains_key(&format!("queue {SEARCH}:retry"))
    );
    assert!(!format!("{found:?} {}", queue.engine()).contains("guest"), "no secrets");

    let path = |kind: &str, name: &str| format!("/api/{kind}/{}/{}", vhost.name, name.replace(':', "%3A"));
    let management = &vhost.management;
    management.must("DELETE", &path("exchanges", "sabre:contact:update"), "");
    management.must("PUT", &path("queues", "tcalendar:event:cancel:search"), r#"{"durable":true}"#);
    management.must("DELETE", &path("queues", &retry_queue(SEARCH)), "");
    management.must("PUT", &path("queues", &retry_queue(SEARCH)), r#"{"durable":true}"#);
    let found = verdicts().await;
    assert!(matches!(found["exchange sabre:contact:update"], Verdict::Doubtful { .. }), "{found:#?}");
    assert!(matches!(found["queue tcalendar:event:cancel:search"], Verdict::Doubtful { .. }));
    assert!(matches!(found[&format!("queue {SEARCH}:retry")], Verdict::Bad { .. }));

    let none = r#"{"configure":"","write":".*","read":".*"}"#;
    management.must("PUT", &format!("/api/permissions/{}/guest", vhost.name), none);
    until("the permissions are missed", async || {
        matches!(&verdicts().await[&format!("queue {SEARCH}")], Verdict::Bad { advice, .. } if advice.contains("permissions"))
    })
    .await;
}

#[tokio::test]
async fn tls_needs_the_authority_and_the_certificate() {
    use crate::services::need;
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let Some(url) = need("CONVOKE_TEST_RABBITMQ_TLS_URL") else { return };
    let (Some(ca), Some(client)) = (need("CONVOKE_TEST_RABBITMQ_CA"), need("CONVOKE_TEST_RABBITMQ_CLIENT")) else {
        return;
    };
    let plain = config::RabbitMq { url: format!("{url}/{}", vhost.name), ..config::RabbitMq::default() };
    let trusting = config::RabbitMq { ca_file: Some(ca.into()), ..plain.clone() };
    let whole = config::RabbitMq { client_certificate_file: Some(client.into()), ..trusting.clone() };
    let node = || convoke::nodes::NodeId("n".into());
    let connect = async |config: &config::RabbitMq| {
        RabbitMq::connect(config, node(), vhost.ledger.clone(), PATIENT, convoke::clock::Env::system()).await
    };
    for wrong in [&plain, &trusting] {
        assert!(connect(wrong).await.is_err());
    }
    let queue = connect(&whole).await.unwrap();
    let one = spec("test:one", &[Topic::EventCreated]);
    queue.bind(&one).await.unwrap();
    queue.publish(&[created("a", 1)]).await.unwrap();
    assert_eq!(number(&receive(&queue, &one).await), 1);
    let findings = queue.examine().await;
    let certificate = findings.iter().find(|f| f.subject == "certificate").expect("its end is told");
    assert!(matches!(&certificate.verdict, Verdict::Good(v) if v.starts_with("valid until 20")), "{certificate:?}");
}

#[tokio::test]
async fn a_wrong_password_or_a_missing_file_is_told_by_its_key() {
    let Some(vhost) = Vhost::of_a_test().await else { return };
    let connect = async |config: &config::RabbitMq| {
        let node = convoke::nodes::NodeId("n".into());
        let connected =
            RabbitMq::connect(config, node, vhost.ledger.clone(), PATIENT, convoke::clock::Env::system()).await;
        connected.unwrap_err().to_string()
    };
    let wrong = config::RabbitMq { url: vhost.config().url.replace("guest:guest", "guest:wrong"), ..vhost.config() };
    let error = connect(&wrong).await;
    assert!(error.contains("ACCESS_REFUSED") && !error.contains("wrong"), "{error}");
    let missing = config::RabbitMq { ca_file: Some("/nonexistent/ca.pem".into()), ..vhost.config() };
    let error = connect(&missing).await;
    assert!(error.starts_with("rabbitmq.ca_file: ") && error.contains("/nonexistent/ca.pem"), "{error}");
    let nowhere = config::RabbitMq { url: "http://127.0.0.1".into(), ..vhost.config() };
    assert!(connect(&nowhere).await.starts_with("rabbitmq.url: "));
}
