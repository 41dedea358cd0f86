//! Changes on their way to clients: from the calendars over queue and bus to every node, as each client may see them.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use convoke::cache::Bus as _;
use convoke::cli::play::Caldav;
use convoke::events::Topic;
use convoke::queue::Failure;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio_tungstenite::{MaybeTlsStream, client_async};

use crate::notify_support::first;
use crate::push_support::{House, Live, Node, pushed, until};
use crate::world::{ALICE, World};

/// A connection that has hardly any room for what it does not read.
async fn open_slowly(node: &Node, name: &str) -> Live {
    let ticket = node.ticket(name).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(node.served.addr).await.unwrap();
    let url = format!("ws://{}/ws?ticket={ticket}", node.served.addr);
    let (slow, _) = client_async(url, MaybeTlsStream::Plain(stream)).await.unwrap();
    let mut slow = Live(slow);
    assert_eq!(slow.hear().await, json!({ "calendarListRegistered": true }));
    slow
}

/// An event of the bus that becomes a frame of 64 KiB.
fn big_news(n: usize) -> String {
    let event = json!({
        "type": "CalendarEventSerializer$ImportEventDTO", "eventId": "x",
        "importId": format!("{n}-{}", "x".repeat(64 << 10)),
        "importURI": "/calendars/a/b", "importType": "ICS", "status": "failed",
    });
    event.to_string()
}

/// A message of the queue, handed to a node.
async fn tell(house: &House, node: &Node, topic: Topic, payload: Value) -> Result<(), Failure> {
    node.push.handle(first(topic, payload, house.home.env.now())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_one_program_reaches_the_page_in_another() {
    let world = World::start().await;
    let (public, session) = (world.public(), world.sign_in(ALICE).await);
    let caldav = Caldav::new(&world.http, &public, &session.access_token);
    let home = caldav.discover_home().await.unwrap().pop().unwrap();
    let calendar = caldav.calendars(&home).await.unwrap().remove(0);
    let path = calendar.trim_end_matches('/').trim_start_matches("/dav").to_owned();

    let answer = caldav.request("POST", "/ws/ticket", &[], "").await.unwrap();
    let ticket: Value = serde_json::from_slice(answer.body()).unwrap();
    let url = format!("{}/ws?ticket={}", public.replacen("http", "ws", 1), ticket["value"].as_str().unwrap());
    let mut live = Live::connect(&url).await.unwrap();
    assert_eq!(live.hear().await, json!({ "calendarListRegistered": true }));
    live.register(&[&path]).await;

    let token = async || {
        let ask = r#"<d:propfind xmlns:d="DAV:" xmlns:cs="http://calendarserver.org/ns/"><d:prop><cs:getctag/></d:prop></d:propfind>"#;
        let answer = caldav.request("PROPFIND", &calendar, &[("Depth", "0")], ask).await.unwrap();
        let body = String::from_utf8(answer.body().to_vec()).unwrap();
        body.split("<cs:getctag>").nth(1).unwrap().split('<').next().unwrap().to_owned()
    };
    let object = format!("{calendar}pushed.ics");
    caldav.put(&object, &crate::journey::event("pushed"), ("If-None-Match", "*")).await.unwrap();
    let created = live.hear().await;
    assert_eq!(created, pushed(&path, &token().await));
    caldav.delete(&object).await.unwrap();
    let deleted = live.hear().await;
    assert_eq!(deleted, pushed(&path, &token().await));
    assert_ne!(created, deleted);

    let made = format!("{home}pushed/");
    assert!(caldav.request("MKCALENDAR", &made, &[], "").await.unwrap().status().is_success());
    let made_path = made.trim_end_matches('/').trim_start_matches("/dav").to_owned();
    assert_eq!(live.hear().await, json!({ "calendarList": { "created": [made_path] } }));
    let rename = r#"<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><d:displayname>New</d:displayname></d:prop></d:set></d:propertyupdate>"#;
    assert!(caldav.request("PROPPATCH", &made, &[], rename).await.unwrap().status().is_success());
    assert_eq!(live.hear().await, json!({ "calendarList": { "updated": [made_path] } }));
    caldav.delete(&made).await.unwrap();
    assert_eq!(live.hear().await, json!({ "calendarList": { "deleted": [made_path] } }));

    let metrics = http::Request::get(format!("{}/metrics", world.admin())).body(bytes::Bytes::new()).unwrap();
    let metrics = world.http.fetch(metrics).await.unwrap();
    let metrics = String::from_utf8(metrics.body().to_vec()).unwrap();
    for family in [
        "convoke_push_connections",
        "convoke_push_subscriptions",
        "convoke_push_frames_total",
        "convoke_push_lag_seconds",
    ] {
        assert!(metrics.contains(family), "{family} is missing in\n{metrics}");
    }
    world.demo.stop().await;
    assert_eq!(live.end().await, Some(1012), "the client shall come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_tells_its_own_clients() {
    let mut house = House::new().await;
    let (here, there) = (house.node().await, house.node().await);
    house.consume(&here).await;
    let calendar = house.calendar("alice").await;
    let (mut near, mut far) = (here.open("alice").await, there.open("alice").await);
    near.register(&[&calendar]).await;
    far.register(&[&calendar]).await;
    house.put("alice", &calendar, "one").await;
    let expected = pushed(&calendar, &house.token("alice", &calendar).await);
    assert_eq!(near.hear().await, expected);
    assert_eq!(far.hear().await, expected);
    far.ask(json!({ "unregister": [calendar] })).await;
    house.put("alice", &calendar, "two").await;
    assert_ne!(near.hear().await, expected);
    assert_eq!(far.ask("{}").await, json!({}), "who does not want to hear does not");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_kind_are_told() {
    let house = House::new().await;
    let node = house.node().await;
    let (calendar, id) = (house.calendar("alice").await, house.id("alice").await);
    let book = format!("/addressbooks/{id}/contacts");
    let mut live = node.open("alice").await;
    live.register(&[&calendar, &book]).await;
    let (token, book_token) = (house.token("alice", &calendar).await, house.token("alice", &book).await);
    assert!(token.starts_with("http://sabre.io/ns/sync/") && book_token.parse::<u64>().is_ok(), "{token} {book_token}");

    let event = json!({ "eventPath": format!("{calendar}/x.ics"), "event": [], "unknown": 1 });
    for topic in [
        Topic::EventCreated,
        Topic::EventUpdated,
        Topic::EventDeleted,
        Topic::EventRequest,
        Topic::EventReply,
        Topic::EventCancel,
    ] {
        tell(&house, &node, topic, event.clone()).await.unwrap();
        assert_eq!(live.hear().await, pushed(&calendar, &token), "{topic}");
    }
    for topic in [Topic::ContactCreated, Topic::ContactUpdated, Topic::ContactDeleted] {
        // The second message of a deletion has nothing but the path (messaging §1.10).
        let card = json!({ "path": format!("addressbooks/{id}/contacts/c.vcf") });
        tell(&house, &node, topic, card).await.unwrap();
        assert_eq!(live.hear().await, pushed(&book, &book_token), "{topic}");
    }
    let instance = format!("/calendars/{id}/7c0e");
    let subscription = json!({ "calendarPath": instance, "calendarSourcePath": null, "connectedUser": null });
    let access = |access: &str| json!({ "calendarPath": instance, "calendarProps": { "access": access } });
    let named = json!({ "calendarPath": instance, "calendarProps": { "{DAV:}displayname": "Work" } });
    let gone = json!({ "calendarPath": instance, "calendarProps": null });
    for (topic, payload, kind) in [
        (Topic::SubscriptionCreated, subscription.clone(), "subscribed"),
        (Topic::SubscriptionUpdated, subscription.clone(), "updated"),
        (Topic::SubscriptionDeleted, subscription, "deleted"),
        (Topic::CalendarCreated, named.clone(), "created"),
        (Topic::CalendarCreated, json!({ "calendarPath": instance, "calendarProps": [] }), "created"),
        (Topic::CalendarCreated, access("dav:read"), "delegated"),
        (Topic::CalendarCreated, access("dav:read-write"), "delegated"),
        (Topic::CalendarCreated, access("dav:administration"), "delegated"),
        (Topic::CalendarCreated, access("dav:freebusy"), "created"),
        (Topic::CalendarUpdated, access("dav:read"), "updated"),
        (
            Topic::CalendarUpdated,
            json!({ "calendarPath": instance, "calendarProps": { "delegation_updated": true } }),
            "updated",
        ),
        (Topic::CalendarUpdated, named, "updated"),
        (Topic::CalendarDeleted, gone, "deleted"),
    ] {
        tell(&house, &node, topic, payload).await.unwrap();
        assert_eq!(live.hear().await, json!({ "calendarList": { (kind): [instance] } }), "{topic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_says_whether_it_may_be_later() {
    let house = House::new().await;
    let node = house.node().await;
    let calendar = house.calendar("alice").await;
    for (topic, payload) in [
        (Topic::EventCreated, json!({})),
        (Topic::EventCreated, json!({ "eventPath": null })),
        (Topic::EventCreated, json!({ "eventPath": "/addressbooks/a/b/c.vcf" })),
        (Topic::EventCreated, json!([])),
        (Topic::ContactDeleted, json!({ "path": "" })),
        (Topic::ContactDeleted, json!({ "path": "addressbooks/a" })),
        (Topic::CalendarUpdated, json!({ "calendarPath": "/calendars/a" })),
        (Topic::CalendarUpdated, json!({ "calendarPath": "/calendars/nobody/x" })),
        (Topic::AlarmCreated, json!({ "eventPath": format!("{calendar}/x.ics") })),
        (Topic::MailOutgoing, json!({})),
        (Topic::AddressBookCreated, json!({ "path": "addressbooks/a/b" })),
    ] {
        let failed = tell(&house, &node, topic, payload.clone()).await;
        assert!(matches!(failed, Err(Failure::Dead(_))), "{topic} {payload}: {failed:?}");
    }
    // The home of a room or a team: nobody looks at its list.
    let elsewhere = json!({ "calendarPath": "/calendars/65bb00000000000000000001/x", "calendarProps": null });
    assert_eq!(tell(&house, &node, Topic::CalendarDeleted, elsewhere).await, Ok(()));
    house.bus.away.store(true, Ordering::SeqCst);
    let event = json!({ "eventPath": format!("{calendar}/x.ics") });
    let failed = tell(&house, &node, Topic::EventCreated, event).await;
    assert!(matches!(failed, Err(Failure::Retry(_))), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_other_rooms_pass_through() {
    let house = House::new().await;
    let node = house.node().await;
    let calendar = house.calendar("alice").await;
    let mut live = node.open("alice").await;
    live.register(&[&calendar]).await;
    let user = "username:alice@example.org";
    let publish = async |topic: &str, event: Value| {
        house.bus.publish(topic, event.to_string().into()).await.unwrap();
    };
    let alarm = json!({
        "type": "CalendarEventSerializer$AlarmEventDTO", "eventId": "x", "username": "alice@example.org",
        "eventSummary": "Lunch", "eventURL": "/calendars/a/b/x.ics", "eventStartTime": "2030-01-02T11:00:00Z",
    });
    let booking = json!({
        "type": "CalendarEventSerializer$BookingLinkStateChangedDTO", "eventId": "x", "username": "alice@example.org",
    });
    publish(user, alarm.clone()).await;
    publish(user, booking.clone()).await;
    assert_eq!(live.hear().await, json!({ "bookingLinkStateChanged": true }), "alarms were not asked for");
    let on = live.ask(json!({ "enableDisplayNotification": true })).await;
    assert_eq!(on, json!({ "displayNotificationEnabled": true }));
    publish(user, alarm.clone()).await;
    let shown = json!({ "eventSummary": "Lunch", "eventURL": "/calendars/a/b/x.ics", "eventStartTime": "2030-01-02T11:00:00Z" });
    assert_eq!(live.hear().await, json!({ "alarms": [shown] }));
    let off = live.ask(json!({ "enableDisplayNotification": false })).await;
    assert_eq!(off, json!({ "displayNotificationEnabled": false }));
    publish(user, alarm).await;
    let (base, name) = calendar.trim_start_matches("/calendars/").split_once('/').unwrap();
    let import = json!({
        "type": "CalendarEventSerializer$ImportEventDTO", "eventId": "x", "importId": "imp-1", "importURI": calendar,
        "importType": "ICS", "status": "success", "succeedCount": 10, "failedCount": 2,
    });
    publish(&format!("calendar:{base}:{name}"), import).await;
    let ended = json!({ "imports": { "imp-1": { "status": "completed", "succeedCount": 10, "failedCount": 2 } } });
    assert_eq!(live.hear().await, json!({ (calendar): ended }));
    publish(user, json!({ "type": "of a later version" })).await;
    publish(user, booking).await;
    assert_eq!(live.hear().await, json!({ "bookingLinkStateChanged": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_changes_is_a_few_frames_and_the_last_state() {
    let mut house = House::with(|config| config.push.pause_ms = 200).await;
    let node = house.node().await;
    house.consume(&node).await;
    let calendar = house.calendar("alice").await;
    let mut live = node.open("alice").await;
    live.register(&[&calendar]).await;
    let began = tokio::time::Instant::now();
    for n in 0..100 {
        house.put("alice", &calendar, &format!("event-{n}")).await;
    }
    let last = pushed(&calendar, &house.token("alice", &calendar).await);
    let mut frames = 1;
    while live.hear().await != last {
        frames += 1;
    }
    let most = 2 + began.elapsed().as_millis() / 200;
    assert!(frames <= most, "{frames} frames, {most} at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_a_right_hears_nothing_more() {
    let mut house = House::new().await;
    let node = house.node().await;
    house.consume(&node).await;
    let calendar = house.calendar("alice").await;
    let other = format!("/calendars/{}/other", house.id("alice").await);
    house.make_calendar("alice", &other).await;
    let mut live = node.open("alice").await;
    live.register(&[&calendar, &other]).await;
    for status in [403, 404] {
        house.faults.answer(&calendar, Some(status));
        let asked = house.faults.asked(&calendar);
        house.put("alice", &calendar, &format!("unseen-{status}")).await;
        until("it was looked at", || house.faults.asked(&calendar) > asked).await;
        house.put("alice", &other, &format!("seen-{status}")).await;
        assert_eq!(live.hear().await, pushed(&other, &house.token("alice", &other).await), "{status}");
    }
    house.faults.answer(&calendar, None);
    house.put("alice", &calendar, "seen-again").await;
    assert_eq!(live.hear().await, pushed(&calendar, &house.token("alice", &calendar).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_while_the_dav_server_is_away_is_told_later() {
    let mut house = House::new().await;
    let node = house.node().await;
    house.consume(&node).await;
    let calendar = house.calendar("alice").await;
    let mut live = node.open("alice").await;
    live.register(&[&calendar]).await;
    house.faults.answer(&calendar, Some(503));
    let asked = house.faults.asked(&calendar);
    house.put("alice", &calendar, "one").await;
    until("it was looked at", || house.faults.asked(&calendar) > asked).await;
    house.faults.answer(&calendar, None);
    assert_eq!(live.hear().await, pushed(&calendar, &house.token("alice", &calendar).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_made_up_for() {
    let house = House::new().await;
    let node = house.node().await;
    let calendar = house.calendar("alice").await;
    let quiet = format!("/calendars/{}/quiet", house.id("alice").await);
    house.make_calendar("alice", &quiet).await;
    let mut live = node.open("alice").await;
    live.register(&[&calendar, &quiet]).await;
    // Nobody consumes the messages: the change is not heard of.
    house.put("alice", &calendar, "one").await;
    house.bus.miss();
    let mut told = HashSet::new();
    for _ in 0..3 {
        told.insert(live.hear().await.to_string());
    }
    assert!(told.contains(&pushed(&calendar, &house.token("alice", &calendar).await).to_string()), "{told:?}");
    assert!(told.contains(r#"{"bookingLinkStateChanged":true}"#), "{told:?}");
    assert!(told.iter().any(|frame| frame.starts_with(r#"{"calendarList":{"updated":["#)), "{told:?}");
    until("the quiet one was looked at", || house.faults.asked(&quiet) == 2).await;
    assert_eq!(live.ask("{}").await, json!({}), "what did not change is not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_share_one_subscription() {
    let mut house = House::with(|config| config.push.connections_per_user = 1_000).await;
    let node = house.node().await;
    house.consume(&node).await;
    let calendar = house.calendar("alice").await;
    let opening = (0..100).map(async |_| {
        let mut live = node.open("alice").await;
        live.register(&[&calendar]).await;
        live
    });
    let mut lives = futures_util::future::join_all(opening).await;
    assert_eq!(house.bus.listening.load(Ordering::SeqCst), 2, "the calendar and the user");
    house.put("alice", &calendar, "one").await;
    let expected = pushed(&calendar, &house.token("alice", &calendar).await);
    for live in &mut lives {
        assert_eq!(live.hear().await, expected);
    }
    let stays = lives.pop().unwrap();
    // However they end: with a word, or without.
    for (n, live) in lives.into_iter().enumerate() {
        if n % 2 == 0 {
            assert_eq!(live.leave().await, Some(1000));
        }
    }
    assert_eq!(house.bus.listening.load(Ordering::SeqCst), 2);
    drop(stays);
    until("the bus is left", || house.bus.listening.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_harms_nobody_and_is_sent_away() {
    let house = House::with(|config| config.push.queue = 8).await;
    let node = house.node().await;
    let mut healthy = node.open("alice").await;
    let mut slow = open_slowly(&node, "alice").await;

    let mut sent = 0;
    // More than any buffer between the two holds.
    while sent < 400 {
        house.bus.publish("username:alice@example.org", big_news(sent).into()).await.unwrap();
        let heard = healthy.hear().await;
        let import = heard["/calendars/a/b"]["imports"].as_object().unwrap().keys().next().unwrap();
        assert!(import.starts_with(&format!("{sent}-")), "each is heard, in order");
        sent += 1;
    }
    let mut taken = 0;
    while slow.next().await.is_some() {
        taken += 1;
    }
    assert!(taken < sent, "it was sent away before it had everything");
    assert_eq!(healthy.ask("{}").await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_keeps_nobody_from_looking() {
    // Neither so few that the slow one is sent away, nor so many that they all find room.
    const QUEUE: usize = 200;
    const NEWS: usize = 350;
    let mut house = House::with(|config| {
        config.push.queue = QUEUE;
        config.push.lookups = 1;
    })
    .await;
    let node = house.node().await;
    house.consume(&node).await;
    let (hers, his) = (house.calendar("alice").await, house.calendar("bob").await);
    let mut healthy = node.open("alice").await;
    healthy.register(&[&hers]).await;
    let mut slow = open_slowly(&node, "bob").await;
    slow.register(&[&his]).await;

    // The slow one's look is under way when nothing more can be said to it.
    let asked = house.faults.asked(&his);
    let held = house.faults.hold(&his);
    house.put("bob", &his, "one").await;
    until("it is looked at", || house.faults.asked(&his) > asked).await;
    let mut quick = node.open("bob").await;
    for n in 0..NEWS {
        house.bus.publish("username:bob@example.org", big_news(n).into()).await.unwrap();
        // One at a time, or the bus itself would lose some.
        quick.hear().await;
    }
    held.close();
    house.put("alice", &hers, "two").await;
    assert_eq!(healthy.hear().await, pushed(&hers, &house.token("alice", &hers).await));
    assert_eq!(house.bus.listening.load(Ordering::SeqCst), 4, "the slow one is still there");
    // Once it reads again, it hears everything, and the state of its calendar.
    let state = pushed(&his, &house.token("bob", &his).await);
    let (mut news, mut state_heard) = (0, false);
    while news < NEWS || !state_heard {
        let heard = slow.hear().await;
        state_heard |= heard == state;
        news += usize::from(heard.get("/calendars/a/b").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_everybody_is_sent_on() {
    let house = House::new().await;
    let (node, other) = (house.node().await, house.node().await);
    let calendar = house.calendar("alice").await;
    let mut lives = Vec::new();
    for _ in 0..10 {
        let mut live = node.open("alice").await;
        live.register(&[&calendar]).await;
        lives.push(live);
    }
    // One that does not even say goodbye.
    let mute = node.open("alice").await;
    let ticket = node.ticket("alice").await;
    let push = node.push.clone();
    let closing = tokio::spawn(async move { push.close(Duration::from_secs(10)).await });
    for live in &mut lives {
        assert_eq!(live.end().await, Some(1012));
    }
    assert_eq!(closing.await.unwrap(), 0, "nobody is left");
    until("the bus is left", || house.bus.listening.load(Ordering::SeqCst) == 0).await;
    drop(mute);
    assert_eq!(node.enter(&ticket).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(other.enter(&ticket).await.is_ok(), "the ticket is good on another node");
}
