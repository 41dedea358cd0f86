//! The consumers on their way from an iTIP message to a mail that was handed over: what is retried, what is given up, and
//! that nothing is said twice.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use convoke::config::{self, RetryPolicy};
use convoke::dav::UpstreamError;
use convoke::events::{Message, Notification, Topic};
use convoke::mail::folder::OutboxFolder;
use convoke::mail::render::Renderer;
use convoke::mail::{Archive, OutgoingMail, SendError, Transport};
use convoke::notify::{Composer, Invitations, ItipDelivery, Outbox};
use convoke::queue::{self, Failure};
use http::StatusCode;
use serde_json::{Value, json};

use crate::notify_support::{Neighbours, World, first, id};

fn now() -> DateTime<Utc> {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

/// The message of a case of `tests/notify`.
fn message(case: &str) -> Value {
    let dir = Path::new("tests/notify").join(case);
    let mut case: Value = serde_json::from_str(&std::fs::read_to_string(dir.join("case.json")).unwrap()).unwrap();
    for (key, file) in [("message", "message.ics"), ("oldMessage", "old.ics")] {
        if let Ok(text) = std::fs::read_to_string(dir.join(file)) {
            case["delivery"][key] = text.into();
        }
    }
    case["delivery"].take()
}

async fn deliver(world: &World, payload: Value) -> Result<(), Failure> {
    world.delivery().handle(first(Topic::ItipLocalDelivery, payload, now())).await
}

fn invitations(world: &World, mail: &config::Mail) -> Invitations {
    let spa = config::Spa { calendar_url: "https://calendar.example.org".to_owned() };
    let composer = Composer::new(Renderer::new(), world.env.clone(), &spa);
    Invitations::new(Arc::clone(&world.queue), Arc::new(Neighbours), composer, mail)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dav_server_that_is_away_is_asked_again_and_nobody_is_told_before() {
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        let world = World::answering(now(), Arc::new(move |_| Ok((status, json!("busy"))))).await;
        let failed = deliver(&world, message("a-new-event-is-an-invitation")).await;
        assert!(matches!(&failed, Err(Failure::Retry(why)) if why.contains("busy")), "{failed:?}");
        assert_eq!(world.published().await, []);
    }
    let timed_out = |_: &_| Err(UpstreamError::TimedOut(Duration::from_secs(30)));
    let world = World::answering(now(), Arc::new(timed_out)).await;
    assert!(matches!(deliver(&world, message("a-new-event-is-an-invitation")).await, Err(Failure::Retry(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dav_server_that_refuses_is_believed() {
    let world = World::answering(now(), Arc::new(|_| Ok((StatusCode::FORBIDDEN, json!("not yours"))))).await;
    let failed = deliver(&world, message("a-new-event-is-an-invitation")).await;
    assert!(
        matches!(&failed, Err(Failure::Dead(why)) if why.contains("403") && why.contains("not yours")),
        "{failed:?}"
    );
    assert_eq!(world.published().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn someone_the_dav_server_does_not_know_still_gets_the_mail() {
    let world = World::answering(now(), Arc::new(|_| Ok((StatusCode::BAD_REQUEST, Value::Null)))).await;
    deliver(&world, message("a-new-event-is-an-invitation")).await.unwrap();
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_path_is_where_the_event_was_moved_to() {
    let moved = format!("/calendars/{}/work/moved.ics", id(2));
    let found = json!({"_embedded": {"dav:item": [{"_links": {"self": {"href": moved}}}]}});
    let answer = move |asked: &crate::notify_support::Asked| {
        Ok(if asked.path == "/itip" { (StatusCode::NO_CONTENT, Value::Null) } else { (StatusCode::OK, found.clone()) })
    };
    let world = World::answering(now(), Arc::new(answer)).await;
    deliver(&world, message("a-new-event-is-an-invitation")).await.unwrap();
    assert_eq!(world.published().await[0].payload["eventPath"], format!("/calendars/{}/work/moved.ics", id(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_makes_no_sense_is_given_up() {
    let world = World::at(now()).await;
    let good = message("a-new-event-is-an-invitation");
    let with = |key: &str, value: Value| {
        let mut bad = good.clone();
        bad[key] = value;
        bad
    };
    for bad in [
        json!("text"),
        with("recipients", json!([])),
        with("message", json!("BEGIN:VCARD\r\nEND:VCARD\r\n")),
        with("message", json!("no calendar")),
        with("oldMessage", json!("no calendar")),
        with("sender", json!("nobody")),
    ] {
        assert!(matches!(deliver(&world, bad.clone()).await, Err(Failure::Dead(_))), "{bad}");
    }
    assert_eq!(world.asked.lock().unwrap().len(), 0, "nothing reached the DAV server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_that_comes_twice_is_one_mail() {
    let world = World::at(now()).await;
    deliver(&world, message("a-new-event-is-an-invitation")).await.unwrap();
    let notification = world.published().await.remove(0);
    let invitations = invitations(&world, &config::Mail::default());
    for _ in 0..2 {
        invitations.handle(first(Topic::NotificationEmail, notification.payload.clone(), now())).await.unwrap();
    }
    let mails = world.published().await;
    assert_eq!(mails.len(), 1);
    let mail: OutgoingMail = serde_json::from_value(mails[0].payload.clone()).unwrap();
    assert_eq!(mail.to.as_str(), "bob@example.org");
    assert!(mail.mime.contains("Content-Language: fr"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_nothing_for_the_reader_is_no_mail() {
    let world = World::at(now()).await;
    deliver(&world, message("a-new-override-without-a-visible-change-says-nothing-of-changes")).await.unwrap();
    let notification = world.published().await.remove(0);
    let invitations = invitations(&world, &config::Mail::default());
    invitations.handle(first(Topic::NotificationEmail, notification.payload, now())).await.unwrap();
    assert_eq!(world.published().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_who_may_be_mailed_to_are() {
    let world = World::at(now()).await;
    deliver(&world, message("a-new-event-is-an-invitation")).await.unwrap();
    let notification = world.published().await.remove(0);
    let allowed = |email: &str| config::Mail { recipients: vec![email.parse().unwrap()], ..config::Mail::default() };
    for (email, mails) in [("carol@example.org", 0), ("bob@example.org", 1)] {
        let invitations = invitations(&world, &allowed(email));
        invitations.handle(first(Topic::NotificationEmail, notification.payload.clone(), now())).await.unwrap();
        let published = world.published().await;
        assert_eq!(published.len(), mails, "{email}");
        for mail in published {
            let transport = Arc::new(Scripted::default());
            let outbox = Outbox::new(transport.clone(), &allowed("carol@example.org"));
            outbox.handle(first(Topic::MailOutgoing, mail.payload, now())).await.unwrap();
            assert_eq!(transport.sent.lock().unwrap().len(), 0, "not past the sender either");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_that_makes_no_sense_is_given_up() {
    let world = World::at(now()).await;
    let invitations = invitations(&world, &config::Mail::default());
    let good = json!({
        "senderEmail": "alice@example.org", "recipientEmail": "bob@example.org", "method": "REQUEST", "isNewEvent": true,
        "event": "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        "calendarURI": "", "eventPath": "",
    });
    for (key, value) in [
        ("recipientEmail", json!("bob\r\nBcc: carol@example.org")),
        ("event", json!("nothing")),
        ("event", json!("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")),
        ("method", json!("PUBLISH")),
        ("method", json!("REPLY")),
    ] {
        let mut bad = good.clone();
        bad[key] = value.clone();
        let failed = invitations.handle(first(Topic::NotificationEmail, bad, now())).await;
        assert!(matches!(failed, Err(Failure::Dead(_))), "{key} {value}: {failed:?}");
    }
    let _: Notification = serde_json::from_value(good).unwrap();
    assert_eq!(world.published().await, []);
}

/// A transport that answers as told, then takes everything.
#[derive(Default)]
struct Scripted {
    answers: Mutex<Vec<SendError>>,
    sent: Mutex<Vec<OutgoingMail>>,
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, mail: &OutgoingMail) -> Result<(), SendError> {
        if let Some(error) = self.answers.lock().unwrap().pop() {
            return Err(error);
        }
        self.sent.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

fn outgoing() -> Value {
    json!({"message_id": "1@example.org", "from": "alice@example.org", "to": "bob@example.org", "mime": "Subject: x\r\n\r\n"})
}

#[tokio::test]
async fn the_outbox_tells_a_mail_to_retry_from_one_to_give_up_with_the_servers_words() {
    let transport = Arc::new(Scripted::default());
    let outbox = Outbox::new(transport.clone(), &config::Mail::default());
    let attempt = || outbox.handle(first(Topic::MailOutgoing, outgoing(), now()));

    transport.answers.lock().unwrap().push(SendError::Transient("RCPT TO: 451 try again later".to_owned()));
    let failed = attempt().await;
    assert!(matches!(&failed, Err(Failure::Retry(why)) if why.contains("bob@example.org") && why.contains("451")));

    transport.answers.lock().unwrap().push(SendError::Permanent("RCPT TO: 550 no such mailbox".to_owned()));
    let failed = attempt().await;
    assert!(matches!(&failed, Err(Failure::Dead(why)) if why.contains("550 no such mailbox")), "{failed:?}");

    attempt().await.unwrap();
    assert_eq!(transport.sent.lock().unwrap().len(), 1);
}

/// The whole way by the real loops: an iTIP message is published, the transport refuses twice, one mail is in the folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_finds_its_way_through_a_transport_that_hesitates() {
    let world = World::at(now()).await;
    let data = tempfile::tempdir().unwrap();
    let folder = OutboxFolder::open(data.path(), world.env.clone()).unwrap();
    let hesitant = Arc::new(Hesitant { folder: folder.clone(), refusals: Mutex::new(2) });

    let retry = RetryPolicy { attempts: 5, first_ms: 0, most_ms: 0 };
    let config = config::Queue { retry, mail_retry: retry, ..config::Queue::default() };
    let delivery = world.delivery();
    let invitations = invitations(&world, &config::Mail::default());
    let outbox = Outbox::new(hesitant.clone(), &config::Mail::default());
    let queue = || Arc::clone(&world.queue);
    let specs = [ItipDelivery::spec(&config), Invitations::spec(&config), Outbox::spec(&config)];
    for spec in &specs {
        world.queue.bind(spec).await.unwrap();
    }
    let [one, two, three] = specs;
    let consumers = [
        tokio::spawn(queue::run(
            queue(),
            one,
            move |d| {
                let c = delivery.clone();
                async move { c.handle(d).await }
            },
            std::future::pending(),
        )),
        tokio::spawn(queue::run(
            queue(),
            two,
            move |d| {
                let c = invitations.clone();
                async move { c.handle(d).await }
            },
            std::future::pending(),
        )),
        tokio::spawn(queue::run(
            queue(),
            three,
            move |d| {
                let c = outbox.clone();
                async move { c.handle(d).await }
            },
            std::future::pending(),
        )),
    ];
    let payload = message("a-new-event-is-an-invitation");
    world.queue.publish(&[Message::new(Topic::ItipLocalDelivery, "u-1", &payload)]).await.unwrap();

    let arrived = async {
        loop {
            let page = folder.list(0, 10).await.unwrap();
            if page.total > 0 {
                break page;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let page = tokio::time::timeout(Duration::from_secs(20), arrived).await.expect("a mail in the folder");
    let mail = String::from_utf8(folder.read(&page.names[0]).await.unwrap().unwrap()).unwrap();
    assert!(mail.contains("To: \"Bob Dupont\" <bob@example.org>"), "{mail}");
    assert_eq!(*hesitant.refusals.lock().unwrap(), 0);
    assert_eq!(page.total, 1);
    consumers.iter().for_each(tokio::task::JoinHandle::abort);
}

struct Hesitant {
    folder: OutboxFolder,
    refusals: Mutex<u32>,
}

#[async_trait]
impl Transport for Hesitant {
    async fn send(&self, mail: &OutgoingMail) -> Result<(), SendError> {
        let refuses = {
            let mut refusals = self.refusals.lock().unwrap();
            let refuses = *refusals > 0;
            *refusals = refusals.saturating_sub(1);
            refuses
        };
        if refuses {
            return Err(SendError::Transient("451 try again later".to_owned()));
        }
        self.folder.send(mail).await
    }
}
