//! Messages that a real esn-sabre published (`tests/data/esn-sabre`): each is understood, and what the built-in server
//! publishes looks the same.

use std::collections::{BTreeMap, BTreeSet};

use convoke::events::{
    AddressBookChanged, CalendarChanged, ContactChanged, EventChanged, LocalDelivery, Message, ResourceEvent,
    SubscriptionChanged, Topic,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::dav::{ALICE, BOB, CALENDAR, World};

struct Capture {
    action: String,
    topic: Topic,
    body: Value,
}

fn captures() -> Vec<Capture> {
    let mut captures = Vec::new();
    for topic in Topic::ALL {
        let file = format!("tests/data/esn-sabre/messages/{}.jsonl", topic.name().replace(':', "-"));
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for line in text.lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let action = line["action"].as_str().unwrap().to_owned();
            captures.push(Capture { action, topic, body: line["body"].take() });
        }
    }
    captures
}

/// Reads it as the type of its topic, and writes it again.
fn there_and_back(topic: Topic, body: &Value) -> Result<Value, String> {
    fn of<T: DeserializeOwned + Serialize>(body: &Value) -> Result<Value, String> {
        let typed: T = serde_json::from_value(body.clone()).map_err(|e| e.to_string())?;
        serde_json::to_value(&typed).map_err(|e| e.to_string())
    }
    match topic {
        Topic::EventCreated
        | Topic::EventUpdated
        | Topic::EventDeleted
        | Topic::EventRequest
        | Topic::EventReply
        | Topic::EventCancel
        | Topic::AlarmCreated
        | Topic::AlarmUpdated
        | Topic::AlarmDeleted
        | Topic::AlarmCancel
        | Topic::AlarmRequest => of::<EventChanged>(body),
        Topic::ItipLocalDelivery => of::<LocalDelivery>(body),
        Topic::CalendarCreated | Topic::CalendarUpdated | Topic::CalendarDeleted => of::<CalendarChanged>(body),
        Topic::ResourceCreated | Topic::ResourceAccepted | Topic::ResourceDeclined => of::<ResourceEvent>(body),
        Topic::SubscriptionCreated | Topic::SubscriptionUpdated | Topic::SubscriptionDeleted => {
            of::<SubscriptionChanged>(body)
        }
        Topic::ContactCreated | Topic::ContactUpdated | Topic::ContactDeleted | Topic::ContactUpdate => {
            of::<ContactChanged>(body)
        }
        Topic::AddressBookCreated
        | Topic::AddressBookUpdated
        | Topic::AddressBookDeleted
        | Topic::BookSubscriptionCreated
        | Topic::BookSubscriptionUpdated
        | Topic::BookSubscriptionDeleted => of::<AddressBookChanged>(body),
        Topic::NotificationEmail | Topic::MailOutgoing => Err("esn-sabre does not publish it".to_owned()),
    }
}

/// Paths are written with one slash at the beginning.
fn with_plain_paths(mut body: Value) -> Value {
    for field in ["eventPath", "eventSourcePath", "calendarPath"] {
        if let Some(path) = body.get(field).and_then(Value::as_str) {
            body[field] = json!(format!("/{}", path.trim_start_matches('/')));
        }
    }
    body
}

#[test]
fn every_message_is_understood_and_nothing_in_it_is_lost() {
    let captures = captures();
    assert_eq!(captures.len(), 322);
    for Capture { action, topic, body } in &captures {
        let again = there_and_back(*topic, body).unwrap_or_else(|e| panic!("{topic} of {action}: {e}"));
        assert_eq!(with_plain_paths(again), with_plain_paths(body.clone()), "{topic} of {action}");
    }
}

#[test]
fn every_message_gets_the_key_of_what_it_is_about() {
    for Capture { action, topic, body } in captures() {
        let key = topic.key_of(&body).unwrap_or_else(|| panic!("{topic} of {action} has no key"));
        let expected = match topic {
            Topic::ItipLocalDelivery => {
                format!("{}\n{}", body["uid"].as_str().unwrap(), body["recipients"][0].as_str().unwrap())
            }
            _ => {
                let path = ["eventPath", "calendarPath", "path"].iter().find_map(|f| body.get(*f)).unwrap();
                format!("/{}", path.as_str().unwrap().trim_start_matches('/'))
            }
        };
        assert_eq!(key, expected, "{topic} of {action}");
    }
}

#[test]
fn odd_shapes_are_understood() {
    // PHP writes an empty map as a list (messaging §1.1), and leaves out what it does not know.
    let calendar = json!({"calendarPath": format!("/calendars/{ALICE}/work"), "calendarProps": []});
    let typed: CalendarChanged = serde_json::from_value(calendar).unwrap();
    assert_eq!((typed.calendar_props, typed.connected_user), (json!([]), None));
    let unknown = json!({"path": "addressbooks/x/y/z.vcf", "brandNew": {"a": 1}});
    assert!(serde_json::from_value::<ContactChanged>(unknown).is_ok(), "unknown fields are ignored (messaging §2.4)");
    let slashes = json!({"eventPath": format!("//calendars/{ALICE}/{ALICE}/a.ics"), "event": ["vcalendar", [], []]});
    let typed: EventChanged = serde_json::from_value(slashes.clone()).unwrap();
    assert_eq!(typed.event_path.to_string(), format!("/calendars/{ALICE}/{ALICE}/a.ics"));
    assert_eq!(Topic::EventCreated.key_of(&slashes), Some(typed.event_path.to_string()));
    for topic in Topic::ALL {
        assert_eq!(topic.key_of(&json!({})), None);
        assert_eq!(topic.key_of(&json!([])), None);
        assert_eq!(topic.key_of(&json!({"eventPath": 3, "path": "", "calendarPath": null, "uid": {}})), None);
    }
}

/// Where the built-in server deliberately differs from esn-sabre: topic, what differs, why.
const DIFFERENCES: &[(Topic, &str, &str)] = &[
    (
        Topic::ItipLocalDelivery,
        "deletedObject",
        "ours: without the object that was deleted, the end of a series that goes on cannot be told from that of one that is over",
    ),
    (
        Topic::ItipLocalDelivery,
        "delivered",
        "ours: the message is in the recipient's calendar already, and must not be put there again",
    ),
];

/// Topics that the built-in server does not publish, and why.
const SILENT: &[(Topic, &str)] = &[
    (Topic::ResourceCreated, RESOURCES),
    (Topic::ResourceAccepted, RESOURCES),
    (Topic::ResourceDeclined, RESOURCES),
    (Topic::SubscriptionCreated, SUBSCRIPTIONS),
    (Topic::SubscriptionUpdated, SUBSCRIPTIONS),
    (Topic::SubscriptionDeleted, SUBSCRIPTIONS),
    (Topic::ContactCreated, BOOKS),
    (Topic::ContactUpdated, BOOKS),
    (Topic::ContactDeleted, BOOKS),
    (Topic::AddressBookCreated, BOOKS),
    (Topic::AddressBookUpdated, BOOKS),
    (Topic::AddressBookDeleted, BOOKS),
    (Topic::BookSubscriptionCreated, SUBSCRIPTIONS),
    (Topic::BookSubscriptionUpdated, SUBSCRIPTIONS),
    (Topic::BookSubscriptionDeleted, SUBSCRIPTIONS),
];
const RESOURCES: &str = "the built-in server has no resources yet";
const SUBSCRIPTIONS: &str = "the built-in server shares nothing yet";
const BOOKS: &str = "nobody in the house asks about address books yet, so the built-in server tells nothing of them";

/// Keys and types of an object; of the properties of a calendar, too.
fn shape(body: &Value) -> BTreeMap<String, &'static str> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let mut shape = BTreeMap::new();
    for (key, value) in body.as_object().into_iter().flatten() {
        shape.insert(key.clone(), kind(value));
        if key == "calendarProps" {
            for (name, value) in value.as_object().into_iter().flatten() {
                shape.insert(format!("calendarProps.{name}"), kind(value));
            }
        }
    }
    shape
}

fn meeting(sequence: u32, summary: &str, status: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example.org//test//EN\r\nBEGIN:VEVENT\r\nUID:meet-1\r\n\
         DTSTAMP:20300101T080000Z\r\nSEQUENCE:{sequence}\r\nDTSTART:20300106T090000Z\r\nDTEND:20300106T100000Z\r\n\
         SUMMARY:{summary}\r\n{status}ORGANIZER;CN=Alice:mailto:alice@example.org\r\n\
         ATTENDEE;CN=Alice;PARTSTAT=ACCEPTED:mailto:alice@example.org\r\n\
         ATTENDEE;CN=Bob;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:bob@example.org\r\n\
         BEGIN:VALARM\r\nACTION:EMAIL\r\nTRIGGER:-PT10M\r\nSUMMARY:soon\r\nDESCRIPTION:soon\r\n\
         ATTENDEE:mailto:alice@example.org\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

/// Delivers the iTIP messages among these, as the consumer does, and gives what is published because of it.
async fn deliver(world: &World, messages: &[Message]) -> Vec<Message> {
    let bare = |address: &Value| address.as_str().unwrap().trim_start_matches("mailto:").to_owned();
    for message in messages.iter().filter(|m| m.topic == Topic::ItipLocalDelivery) {
        let recipient = bare(&message.payload["recipients"][0]);
        let body = json!({
            "uid": message.payload["uid"], "sender": bare(&message.payload["sender"]), "recipient": recipient,
            "ical": message.payload["message"], "method": message.payload["method"], "sequence": "0",
        });
        let client = world.as_user(&recipient);
        client.send("POST", "/itip", &[("content-type", "application/json")], &body.to_string()).await.expect(204);
    }
    world.published().await
}

/// Everything the built-in server has to say: a calendar's life and an invitation's.
async fn a_full_life() -> Vec<Message> {
    let world = World::new().await;
    let alice = world.alice();
    let work = format!("/calendars/{ALICE}/work/");
    alice.send("MKCALENDAR", &work, &[], "").await.expect(201);
    let rename = "<?xml version=\"1.0\"?><propertyupdate xmlns=\"DAV:\"><set><prop><displayname>Office</displayname>\
                  </prop></set></propertyupdate>";
    alice.send("PROPPATCH", &work, &[("content-type", "application/xml")], rename).await.expect(207);
    alice.send("DELETE", &work, &[], "").await.expect(204);

    let path = format!("{CALENDAR}meet.ics");
    alice.put(&path, &meeting(0, "Lunch", "")).await.expect(201);
    let mut told = world.published().await;
    told.extend(deliver(&world, &told).await);
    alice.put(&path, &meeting(1, "Brunch", "")).await.expect(204);
    let update = world.published().await;
    told.extend(deliver(&world, &update).await);
    told.extend(update);
    let bobs = format!("/calendars/{BOB}/{BOB}/");
    let (name, copy) = world.bob().contents(&bobs).await.remove(0);
    let accepted = copy.replace("\r\n ", "").replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED");
    world.bob().put(&format!("{bobs}{name}"), &accepted).await.expect(204);
    let reply = world.published().await;
    told.extend(deliver(&world, &reply).await);
    told.extend(reply);
    // Another UID under the same name, as esn-sabre notices it, and an import.
    alice.put(&format!("{CALENDAR}other.ics?import=1"), &crate::journey::event("other-1")).await.expect(201);
    alice.send("DELETE", &path, &[], "").await.expect(204);
    let cancel = world.published().await;
    told.extend(deliver(&world, &cancel).await);
    told.extend(cancel);
    told
}

#[tokio::test]
async fn the_built_in_server_publishes_the_same_shapes() {
    let mut shapes: BTreeMap<Topic, BTreeSet<BTreeMap<String, &str>>> = BTreeMap::new();
    let mut kinds: BTreeMap<(Topic, String), BTreeSet<&str>> = BTreeMap::new();
    for Capture { topic, body, .. } in captures() {
        let shape = shape(&body);
        for (key, kind) in &shape {
            kinds.entry((topic, key.clone())).or_default().insert(kind);
        }
        shapes.entry(topic).or_default().insert(shape);
    }
    let told = a_full_life().await;
    let mut wrong = BTreeSet::new();
    let mut used = BTreeSet::new();
    for Message { topic, key, payload, .. } in &told {
        assert_eq!(topic.key_of(payload).as_ref(), Some(key), "one key whoever publishes: {topic}");
        let Some(known) = shapes.get(topic) else {
            wrong.insert(format!("{topic}: esn-sabre does not publish it"));
            continue;
        };
        let mut ours = shape(payload);
        for (_, key, _) in DIFFERENCES.iter().filter(|(of, ..)| of == topic) {
            if ours.remove(*key).is_some() {
                used.insert((*topic, *key));
            }
        }
        let keys = |shape: &BTreeMap<String, &str>| {
            let plain = shape.keys().filter(|k| !k.contains('.')).cloned();
            plain.filter(|k| !DIFFERENCES.iter().any(|(of, key, _)| of == topic && key == k)).collect::<Vec<_>>()
        };
        if !known.iter().any(|theirs| keys(theirs) == keys(&ours)) {
            wrong.insert(format!("{topic}: nobody has exactly the keys {:?}", keys(&ours)));
        }
        for (key, kind) in &ours {
            let theirs = kinds.get(&(*topic, key.clone()));
            if !theirs.is_some_and(|kinds| kinds.contains(kind)) {
                wrong.insert(format!("{topic}: {key} is of type {kind}, there {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let listed: BTreeSet<_> = DIFFERENCES.iter().map(|(topic, key, _)| (*topic, *key)).collect();
    assert_eq!(listed, used, "a difference that is listed is there");

    let said: BTreeSet<Topic> = told.iter().map(|m| m.topic).collect();
    let silent: BTreeSet<Topic> = shapes.keys().copied().filter(|t| !said.contains(t)).collect();
    let listed: BTreeSet<Topic> = SILENT.iter().map(|(topic, _)| *topic).collect();
    assert_eq!(silent, listed, "what esn-sabre says and the built-in server does not");
}
