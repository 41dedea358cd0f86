//! What clients say on a connection, and what they are answered (messaging §5.2, §5.3, §5.5).

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::push_support::{House, PATIENCE, email, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_web_client_sees_that_we_are_there() {
    let house = House::new().await;
    let mut live = house.node().await.open("alice").await;
    assert_eq!(live.ask(json!({ "type": "ping", "timestamp": 1_800_000_000_000_u64 })).await, json!({}));
    assert_eq!(live.ask("{}").await, json!({}));
    assert_eq!(live.ask(r#"["anything else"]"#).await, json!({}));
    live.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(live.ask("{}").await, json!({}), "binary frames are passed over");
    assert_eq!(live.leave().await, Some(1000), "a farewell is answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_are_answered_and_change_nothing() {
    let house = House::new().await;
    let calendar = house.calendar("alice").await;
    let mut live = house.node().await.open("alice").await;
    let error = |text: &str| json!({ "error": text });
    for (frame, expected) in [
        ("no json".to_owned(), error("Internal Error")),
        (String::new(), error("Internal Error")),
        (r#"{"enableDisplayNotification":1}"#.to_owned(), error("Internal Error")),
        (r#"{"enableDisplayNotification":true,"x":1}"#.to_owned(), error("Internal Error")),
        (format!(r#"{{"register":["{calendar}","/principals/x/y"]}}"#), error("Invalid Request")),
        (format!(r#"{{"unregister":["{calendar}","/calendars/x"]}}"#), error("Invalid Request")),
        (
            format!(r#"{{"register":["{calendar}"],"unregister":["{calendar}/x.ics"]}}"#),
            error("register and unregister cannot contain duplicated entries"),
        ),
    ] {
        assert_eq!(live.ask(&frame).await, expected, "{frame}");
    }
    assert_eq!(house.faults.all_asked(), [], "nothing was looked at");
    assert_eq!(house.bus.listening.load(Ordering::SeqCst), 1, "nothing but the list of calendars is listened to");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_read_is_registered() {
    let house = House::new().await;
    let (own, foreign) = (house.calendar("alice").await, house.calendar("bob").await);
    let alice = house.id("alice").await;
    let book = format!("/addressbooks/{alice}/contacts");
    let missing = format!("/calendars/{alice}/nothing-here");
    let nobody = "/calendars/ffffffffffffffffffffffff/x";
    let broken = format!("/calendars/{alice}/broken");
    house.faults.answer(&broken, Some(500));
    let inbox = format!("/calendars/{alice}/inbox");
    let mut live = house.node().await.open("alice").await;

    let frame = json!({
        "register": [format!("{own}/some.ics"), book, own, foreign, missing, nobody, broken, inbox, 7, null],
        "unregister": [format!("/calendars/{alice}/never-registered")],
    });
    assert_eq!(
        live.ask(&frame).await,
        json!({
            "registered": [own, book],
            "unregistered": [format!("/calendars/{alice}/never-registered")],
            "notRegistered": {
                (foreign): "Forbidden",
                (missing): "NotFound",
                (nobody): "NotFound",
                (broken): "Internal Error",
                (inbox): "Internal Error",
            },
        })
    );
    assert!(house.faults.all_asked().iter().all(|(_, who)| *who == email("alice")), "asked as nobody else");
    assert_eq!(house.bus.listening.load(Ordering::SeqCst), 3);

    assert_eq!(live.ask(json!({ "register": [own] })).await, json!({ "registered": [own] }));
    assert_eq!(house.faults.asked(&own), 1, "what is registered is not checked again");
    assert_eq!(house.bus.listening.load(Ordering::SeqCst), 3);

    assert_eq!(live.ask(json!({ "unregister": [own] })).await, json!({ "unregistered": [own] }));
    until("the bus is left", || house.bus.listening.load(Ordering::SeqCst) == 2).await;
    assert_eq!(live.ask(json!({ "unregister": [own] })).await, json!({ "unregistered": [own] }));
    live.register(&[&own]).await;
    assert_eq!(house.faults.asked(&own), 2);
    assert_eq!(live.leave().await, Some(1000));
    until("nothing is left behind", || house.bus.listening.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_about_subscriptions_are_carried_out_in_order() {
    let house = House::new().await;
    let calendar = house.calendar("alice").await;
    let mut live = house.node().await.open("alice").await;
    for n in 0..40 {
        let key = if n % 2 == 0 { "register" } else { "unregister" };
        live.say(json!({ (key): [calendar] })).await;
    }
    for n in 0..40 {
        let key = if n % 2 == 0 { "registered" } else { "unregistered" };
        assert_eq!(live.hear().await, json!({ (key): [calendar] }), "answer {n}");
    }
    until("the last word holds", || house.bus.listening.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_so_many_subscriptions() {
    let house = House::with(|config| config.push.subscriptions = 2).await;
    let alice = house.id("alice").await;
    let calendars: Vec<String> = (0..3).map(|n| format!("/calendars/{alice}/cal-{n}")).collect();
    for calendar in &calendars {
        house.make_calendar("alice", calendar).await;
    }
    let mut live = house.node().await.open("alice").await;
    let answer = live.ask(json!({ "register": calendars })).await;
    assert_eq!(answer["registered"].as_array().unwrap().len(), 2, "{answer}");
    let refused: Vec<&Value> = answer["notRegistered"].as_object().unwrap().values().collect();
    assert_eq!(refused, ["Too Many Subscriptions"]);
    let first = answer["registered"][0].as_str().unwrap().to_owned();
    let third = answer["notRegistered"].as_object().unwrap().keys().next().unwrap().clone();
    let answer = live.ask(json!({ "unregister": [first], "register": [third] })).await;
    assert_eq!(answer, json!({ "registered": [third], "unregistered": [first] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_message_ends_its_connection_and_no_other() {
    let house = House::with(|config| config.push.frame_bytes = 1_000).await;
    let node = house.node().await;
    let (mut one, mut other) = (node.open("alice").await, node.open("alice").await);
    let fitting = format!("{{\"x\":\"{}\"}}", "x".repeat(900));
    assert_eq!(one.ask(&fitting).await, json!({}));
    one.say(format!("{{\"x\":\"{}\"}}", "x".repeat(1_100))).await;
    assert_eq!(one.end().await, Some(1009));
    assert_eq!(other.ask("{}").await, json!({}));
    // Also when it comes in pieces.
    let piece = |text: String, last| {
        use tokio_tungstenite::tungstenite::protocol::frame::{Frame, coding};
        let data = if text.starts_with('{') { coding::Data::Text } else { coding::Data::Continue };
        Message::Frame(Frame::message(text, coding::OpCode::Data(data), last))
    };
    other.0.send(piece(format!("{{{}", " ".repeat(600)), false)).await.unwrap();
    other.0.send(piece(" ".repeat(600), false)).await.unwrap();
    assert_eq!(other.end().await, Some(1009));
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_come_by_themselves_and_are_answered() {
    let house = House::with(|config| config.push.ping_interval_s = 1).await;
    let mut live = house.node().await.open("alice").await;
    for _ in 0..2 {
        let ping = tokio::time::timeout(PATIENCE, live.0.next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(ping, Message::Ping(_)), "{ping:?}");
    }
    live.0.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    let pong = async {
        loop {
            if let Message::Pong(text) = live.0.next().await.unwrap().unwrap() {
                return text;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, pong).await.unwrap(), "there?");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_no_ping_is_gone() {
    let house = House::with(|config| {
        config.push.ping_interval_s = 1;
        config.push.silence_s = 3;
    })
    .await;
    let node = house.node().await;
    let (mut mute, mut alive) = (node.open("alice").await, node.open("bob").await);
    // Who does not read answers no pings.
    let watching = async { alive.end().await };
    tokio::select! {
        end = watching => panic!("the one who answers was sent away: {end:?}"),
        () = until("the mute one is gone", || house.bus.listening.load(Ordering::SeqCst) == 1) => {}
    }
    assert_eq!(mute.end().await, Some(1013));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_in_time_and_the_client_may_come_back() {
    let house = House::with(|config| config.push.lifetime_s = 1).await;
    let node = house.node().await;
    let mut live = node.open("alice").await;
    assert_eq!(live.end().await, Some(1012));
    node.open("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bus_clients_are_told_and_kept() {
    let house = House::new().await;
    let calendar = house.calendar("alice").await;
    let node = house.node().await;
    house.bus.away.store(true, Ordering::SeqCst);
    let mut live = node.enter(&node.ticket("alice").await).await.unwrap();
    assert_eq!(live.hear().await, json!({ "error": "default-subscriptions-failed" }));
    let answer = live.ask(json!({ "register": [calendar] })).await;
    assert_eq!(answer, json!({ "notRegistered": { (calendar.as_str()): "Internal Error" } }));
    house.bus.away.store(false, Ordering::SeqCst);
    assert_eq!(live.hear().await, json!({ "calendarListRegistered": true }), "it is made up for by itself");
    assert_eq!(live.hear().await, json!({ "bookingLinkStateChanged": true }), "something may have happened meanwhile");
    live.register(&[&calendar]).await;
}

/// Frames that are likely to go wrong: the known keys with anything in them.
fn frames() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        "(/(calendars|addressbooks|principals)){0,2}(/[a-c%2:.é]{0,3}){0,4}",
        Just("/calendars/a/b".to_owned()),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        path.prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("register".to_owned()),
        Just("unregister".to_owned()),
        Just("enableDisplayNotification".to_owned()),
        "[a-z]{0,4}",
    ];
    let json = leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    prop_oneof![8 => json.prop_map(|json| json.to_string()), 1 => any::<String>()]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_frame_ends_the_connection_and_each_is_answered() {
    let house = House::new().await;
    let mut live = house.node().await.open("alice").await;
    let (frames_out, mut frames_in) = tokio::sync::mpsc::channel::<(String, std::sync::mpsc::Sender<Value>)>(1);
    let testing = tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(ProptestConfig { cases: 512, ..ProptestConfig::default() });
        runner
            .run(&frames(), |frame| {
                let (tell, told) = std::sync::mpsc::channel();
                frames_out.blocking_send((frame, tell)).unwrap();
                let answer = told.recv().unwrap();
                let fields = answer.as_object().expect("an object");
                let known = ["registered", "unregistered", "notRegistered", "displayNotificationEnabled", "error"];
                prop_assert!(fields.keys().all(|key| known.contains(&key.as_str())), "{answer}");
                Ok(())
            })
            .unwrap();
    });
    while let Some((frame, tell)) = frames_in.recv().await {
        tell.send(live.ask(frame).await).unwrap();
    }
    testing.await.unwrap();
    assert_eq!(live.ask("{}").await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_are_no_websocket_end_their_connection_only() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let house = House::new().await;
    let node = house.node().await;
    let mut other = node.open("alice").await;
    for octets in [&[0xff; 64][..], &[0x81, 0x01, b'x'], &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff]] {
        let mut live = node.open("alice").await;
        let tokio_tungstenite::MaybeTlsStream::Plain(socket) = live.0.get_mut() else { panic!("plain TCP") };
        socket.write_all(octets).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{octets:?} holds the connection");
    }
    assert_eq!(other.ask("{}").await, json!({}));
    until("nothing is left behind", || house.bus.listening.load(Ordering::SeqCst) == 1).await;
}
