//! Every topic of messaging §1.2: what is done, which messages follow from it in which order, and what is in them. The page
//! `docs/messages.md` lists the topics; here each of them happens.

use std::collections::{BTreeMap, BTreeSet};

use convoke::dav::server::Settings;
use convoke::events::Topic;
use convoke::store::{Resource, ResourceStore as _};
use serde_json::json;

use super::scheduling::{BOBS, itip, only_event};
use super::sharing::{give, subscribe};
use super::{ALICE, BOB, CALENDAR, Client, DOMAIN, World, calendar, event, root};

const ROOM: &str = "65ee00000000000000000001";
const HALL: &str = "65ee00000000000000000002";

/// What a payload of a topic holds: what it always does, and what it may.
fn keys(topic: &str) -> (&'static [&'static str], &'static [&'static str]) {
    const EVENT: &[&str] = &["eventPath", "event", "rawEvent", "connectedUser"];
    const RESOURCE: &[&str] = &["resourceId", "eventId", "eventPath", "ics", "etag", "connectedUser"];
    const BOOK: &[&str] = &["path", "connectedUser"];
    match topic {
        "calendar:event:alarm:cancel" => (EVENT, &["etag"]),
        t if t.starts_with("calendar:event:") => (EVENT, &["import", "old_event", "eventSourcePath", "etag"]),
        t if t.starts_with("resource:") => (RESOURCE, &[]),
        "calendar:itip:localDelivery" => (
            &["sender", "method", "uid", "message", "hasChange", "recipients", "connectedUser"],
            &["oldMessage", "deletedObject", "calendarId", "delivered", "forced"],
        ),
        t if t.starts_with("calendar:calendar:") => (&["calendarPath", "calendarProps", "connectedUser"], &[]),
        t if t.starts_with("calendar:subscription:") => (&["calendarPath", "calendarSourcePath", "connectedUser"], &[]),
        t if t.starts_with("sabre:contact:") => (&["path", "owner", "carddata", "connectedUser"], &["sourcePath"]),
        "sabre:addressbook:updated"
        | "sabre:addressbook:subscription:created"
        | "sabre:addressbook:subscription:updated" => (BOOK, &[]),
        _ => (&["path", "owner", "connectedUser"], &[]),
    }
}

/// The topics seen so far.
struct Witness<'w> {
    world: &'w World,
    seen: BTreeSet<&'static str>,
}

impl Witness<'_> {
    /// What was told since the last call: topics, those that follow each other counted.
    #[track_caller]
    fn check(told: &[&'static str], expected: &[&str]) {
        let mut counted: Vec<(&str, usize)> = Vec::new();
        for topic in told {
            match counted.last_mut().filter(|(last, _)| last == topic) {
                Some((_, count)) => *count += 1,
                None => counted.push((topic, 1)),
            }
        }
        let counted: Vec<String> = counted
            .into_iter()
            .map(|(topic, count)| if count == 1 { topic.to_owned() } else { format!("{count} {topic}") })
            .collect();
        assert_eq!(counted, expected);
    }

    async fn told(&mut self) -> Vec<&'static str> {
        let messages = self.world.published().await;
        for message in &messages {
            let (always, sometimes) = keys(message.topic.name());
            let payload = message.payload.as_object().unwrap();
            let unknown: Vec<_> = payload.keys().filter(|k| !always.iter().chain(sometimes).any(|n| n == k)).collect();
            let missing: Vec<_> = always.iter().filter(|k| !payload.contains_key(**k)).collect();
            assert!(unknown.is_empty() && missing.is_empty(), "{}: {unknown:?} {missing:?}", message.topic.name());
            assert_eq!(
                message.topic.key_of(&message.payload).as_ref(),
                Some(&message.key),
                "as a broker would sort it"
            );
            self.seen.insert(message.topic.name());
        }
        messages.iter().map(|m| m.topic.name()).collect()
    }
}

macro_rules! expect {
    ($witness:expr, [$($topic:expr),* $(,)?]) => {
        let told = $witness.told().await;
        Witness::check(&told, &[$($topic),*]);
    };
}

fn rename(name: &str) -> String {
    format!(
        "{}<d:set><d:prop><d:displayname>{name}</d:displayname></d:prop></d:set></d:propertyupdate>",
        root("d:propertyupdate")
    )
}

async fn world() -> World {
    let world = World::with(Settings { principal_privacy: false, ..Settings::default() }).await;
    let made: chrono::DateTime<chrono::Utc> = "2026-02-01T09:00:00Z".parse().unwrap();
    for (id, administrators) in [(ROOM, Vec::new()), (HALL, vec![BOB.parse().unwrap()])] {
        let resource = Resource {
            id: id.parse().unwrap(),
            domain: DOMAIN.parse().unwrap(),
            name: "Room".to_owned(),
            description: String::new(),
            icon: String::new(),
            is_room: true,
            creator: None,
            administrators,
            deleted: false,
            created: made,
            updated: made,
        };
        world.sqlite.add_resource(&resource).await.unwrap();
    }
    for home in [ALICE, BOB] {
        let mail = if home == ALICE { "alice@example.org" } else { "bob@example.org" };
        world.as_user(mail).propfind(&format!("/calendars/{home}/"), "1", "").await.expect(207);
    }
    world.published_with_homes().await;
    world
}

async fn move_or_copy(client: &Client<'_>, method: &str, from: &str, to: &str) {
    client.send(method, from, &[("destination", to)], "").await.expect(201);
}

#[tokio::test]
async fn what_happens_to_events_and_calendars_is_told() {
    let world = world().await;
    let (alice, bob) = (world.alice(), world.bob());
    let mut witness = Witness { world: &world, seen: BTreeSet::new() };
    let home = format!("/calendars/{ALICE}/");
    let work = format!("{home}work/");

    alice.send("MKCALENDAR", &work, &[], "").await.expect(201);
    expect!(witness, ["calendar:calendar:created"]);
    alice.send("PROPPATCH", &work, &[], &rename("Work")).await.expect(207);
    expect!(witness, ["calendar:calendar:updated"]);
    alice.put(&format!("{work}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    expect!(witness, ["calendar:event:alarm:created", "calendar:event:created"]);
    alice.put(&format!("{work}a.ics"), &event("a", "20300103T110000Z")).await.expect(204);
    expect!(witness, ["calendar:event:alarm:updated", "calendar:event:updated"]);
    // The reference tells nobody of a copy, and nobody's alarms of a move.
    move_or_copy(&alice, "COPY", &format!("{work}a.ics"), &format!("{CALENDAR}copy.ics")).await;
    expect!(witness, ["calendar:event:alarm:created", "calendar:event:created"]);
    alice.delete(&format!("{CALENDAR}copy.ics")).await.expect(204);
    expect!(witness, ["calendar:event:alarm:deleted", "calendar:event:deleted"]);
    move_or_copy(&alice, "MOVE", &format!("{work}a.ics"), &format!("{CALENDAR}a.ics")).await;
    expect!(
        witness,
        [
            "calendar:event:alarm:deleted",
            "calendar:event:deleted",
            "calendar:event:alarm:created",
            "calendar:event:created",
        ]
    );
    move_or_copy(&alice, "MOVE", &format!("{CALENDAR}a.ics"), &format!("{work}a.ics")).await;
    witness.told().await;

    // With bob as somebody who has the calendar, and as somebody who subscribed to another.
    give(&alice, &work, &[("bob@example.org", "read-write")]).await.expect(200);
    expect!(witness, ["calendar:calendar:created", "calendar:calendar:updated"]);
    give(&alice, &work, &[("bob@example.org", "read")]).await.expect(200);
    expect!(witness, ["2 calendar:calendar:updated"]);
    alice.put(&format!("{work}b.ics"), &event("b", "20300102T110000Z")).await.expect(201);
    expect!(witness, ["calendar:event:alarm:created", "2 calendar:event:created"]);
    let public = json!({"public_right": "{DAV:}read"}).to_string();
    alice.send("ACL", &format!("{home}work.json"), &[("accept", "application/json")], &public).await.expect(200);
    expect!(witness, ["2 calendar:calendar:updated"]);
    let sub = format!("/calendars/{BOB}/sub/");
    subscribe(&bob, &sub, &work).await.expect(201);
    expect!(witness, ["calendar:subscription:created"]);
    bob.send("PROPPATCH", &sub, &[], &rename("Theirs")).await.expect(207);
    expect!(witness, ["calendar:subscription:updated"]);
    alice.delete(&format!("{work}b.ics")).await.expect(204);
    expect!(witness, ["calendar:event:alarm:deleted", "3 calendar:event:deleted"]);
    bob.delete(&sub).await.expect(204);
    expect!(witness, ["calendar:subscription:deleted"]);

    // Calendars as a whole, with what is in them.
    move_or_copy(&alice, "COPY", &work, &format!("{home}deep/")).await;
    expect!(witness, ["calendar:calendar:created", "calendar:event:alarm:created", "calendar:event:created"]);
    move_or_copy(&alice, "MOVE", &format!("{home}deep/"), &format!("{home}deeper/")).await;
    let moved = witness.told().await;
    for (topic, count) in [
        ("calendar:calendar:created", 1),
        ("calendar:calendar:deleted", 1),
        ("calendar:event:created", 1),
        ("calendar:event:deleted", 1),
        ("calendar:event:alarm:created", 1),
        ("calendar:event:alarm:deleted", 1),
    ] {
        assert_eq!(moved.iter().filter(|t| **t == topic).count(), count, "{topic}: {moved:?}");
    }
    alice.delete(&work).await.expect(204);
    expect!(
        witness,
        [
            "calendar:event:alarm:deleted",
            "2 calendar:event:deleted",
            "calendar:calendar:deleted",
            "calendar:calendar:updated",
            "calendar:calendar:deleted",
        ]
    );
    let program = Client { actor: Some(convoke::dav::Actor::Technical(DOMAIN.parse().unwrap())), ..world.alice() };
    program.delete(&home).await.expect(204);
    let told = witness.told().await;
    assert!(told.contains(&"calendar:calendar:deleted") && told.contains(&"calendar:event:deleted"), "{told:?}");
}

fn meeting(lines: &[&str]) -> String {
    let more = ["DTSTART:20300106T090000Z", "DURATION:PT1H", "SUMMARY:Planning", "ORGANIZER:mailto:alice@example.org"];
    calendar("VEVENT", "meet", &[&more, lines].concat())
}

#[tokio::test]
async fn what_passes_between_organizer_and_attendees_is_told() {
    let world = world().await;
    let (alice, bob) = (world.alice(), world.bob());
    let mut witness = Witness { world: &world, seen: BTreeSet::new() };
    let (path, of_bob) = (format!("{CALENDAR}meet.ics"), "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org");
    alice.put(&path, &meeting(&[of_bob])).await.expect(201);
    expect!(
        witness,
        [
            "calendar:event:alarm:created",
            "calendar:event:created",
            "calendar:event:request",
            "calendar:event:updated",
            "calendar:itip:localDelivery",
        ]
    );
    let (copy, text) = only_event(&bob, BOBS).await;
    bob.put(&copy, &text.replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED")).await.expect(204);
    expect!(
        witness,
        [
            "calendar:event:alarm:updated",
            "calendar:event:updated",
            "calendar:event:reply",
            "calendar:itip:localDelivery",
        ]
    );
    let moved = alice.get(&path).await.expect(200).body.replace("T090000Z", "T100000Z");
    alice.put(&path, &moved).await.expect(204);
    witness.told().await;
    let counter = json!({
        "uid": "meet", "sender": "bob@example.org", "recipient": "alice@example.org", "method": "COUNTER",
        "ical": meeting(&[of_bob]).replace("BEGIN:VEVENT", "METHOD:COUNTER\r\nBEGIN:VEVENT"),
    });
    itip(&bob, &counter).await.expect(204);
    expect!(witness, ["calendar:itip:localDelivery"]);
    alice.delete(&path).await.expect(204);
    expect!(
        witness,
        [
            "calendar:event:alarm:deleted",
            "calendar:event:deleted",
            "calendar:event:cancel",
            "calendar:event:alarm:cancel",
            "calendar:event:deleted",
            "calendar:itip:localDelivery",
        ]
    );

    // A room answers by itself, a hall by its administrator.
    let room = format!("ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:{ROOM}@example.org");
    alice.put(&path, &meeting(&[&room])).await.expect(201);
    let told = witness.told().await;
    for topic in ["resource:calendar:event:created", "resource:calendar:event:accepted"] {
        assert_eq!(told.iter().filter(|t| **t == topic).count(), 1, "{topic}: {told:?}");
    }
    let hall = format!("ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:{HALL}@example.org");
    let in_hall = meeting(&[&hall]).replace("UID:meet", "UID:hall");
    alice.put(&format!("{CALENDAR}hall.ics"), &in_hall).await.expect(201);
    let told = witness.told().await;
    assert!(told.contains(&"resource:calendar:event:created"), "{told:?}");
    let (copy, text) = only_event(&bob, &format!("/calendars/{HALL}/{HALL}/")).await;
    bob.put(&copy, &text.replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=DECLINED")).await.expect(204);
    let told = witness.told().await;
    assert!(told.contains(&"resource:calendar:event:declined"), "{told:?}");
}

fn card(uid: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{uid}\r\nN:{uid};;;;\r\nEND:VCARD\r\n")
}

#[tokio::test]
async fn what_happens_to_cards_and_books_is_told() {
    let world = world().await;
    let (alice, bob) = (world.alice(), world.bob());
    let mut witness = Witness { world: &world, seen: BTreeSet::new() };
    let home = format!("/addressbooks/{ALICE}/");
    let body = format!(
        "{}<d:set><d:prop><d:resourcetype><d:collection/><card:addressbook/></d:resourcetype></d:prop></d:set></d:mkcol>",
        root("d:mkcol")
    );
    alice.send("MKCOL", &format!("{home}work/"), &[], &body).await.expect(201);
    expect!(witness, ["sabre:addressbook:created"]);
    alice.send("PROPPATCH", &format!("{home}work/"), &[], &rename("Work")).await.expect(207);
    expect!(witness, ["sabre:addressbook:updated"]);
    alice.put(&format!("{home}work/c.vcf"), &card("c")).await.expect(201);
    expect!(witness, ["sabre:contact:created"]);
    alice.put(&format!("{home}work/c.vcf"), &card("c").replace("FN:c", "FN:C")).await.expect(204);
    expect!(witness, ["sabre:contact:updated"]);
    give(&alice, &format!("{home}work/"), &[("bob@example.org", "read-write")]).await.expect(200);
    expect!(witness, ["sabre:addressbook:subscription:created"]);
    let given = super::sharing_books::others(&bob, BOB).await.remove(0);
    bob.send("PROPPATCH", &given, &[], &rename("Theirs")).await.expect(207);
    expect!(witness, ["sabre:addressbook:subscription:updated"]);
    bob.put(&format!("{given}d.vcf"), &card("d")).await.expect(201);
    expect!(witness, ["2 sabre:contact:created"]);
    alice.delete(&format!("{home}work/d.vcf")).await.expect(204);
    expect!(witness, ["2 sabre:contact:deleted"]);
    move_or_copy(&alice, "COPY", &format!("{home}work/"), &format!("{home}copy/")).await;
    expect!(witness, ["sabre:addressbook:created", "sabre:contact:created"]);
    move_or_copy(&alice, "COPY", &format!("{home}work/c.vcf"), &format!("{home}contacts/c.vcf")).await;
    expect!(witness, ["sabre:contact:created"]);
    alice.delete(&format!("{home}work/")).await.expect(204);
    expect!(
        witness,
        ["2 sabre:contact:deleted", "sabre:addressbook:subscription:deleted", "sabre:addressbook:deleted"]
    );
}

/// Topics of which the DAV server publishes nothing: those that nobody does, and those of other rooms.
const OF_OTHERS: [Topic; 4] =
    [Topic::AlarmRequest, Topic::ContactUpdate, Topic::NotificationEmail, Topic::MailOutgoing];

#[test]
fn the_page_lists_every_topic_with_a_test_that_is_there() {
    let page = std::fs::read_to_string("docs/messages.md").unwrap();
    let mut tests: BTreeMap<String, String> = BTreeMap::new();
    for entry in std::fs::read_dir("tests/it/dav").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            tests.insert(name, std::fs::read_to_string(path).unwrap());
        }
    }
    for topic in Topic::ALL {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", topic.name())));
        let row = row.unwrap_or_else(|| panic!("{topic} is not listed"));
        let named: Vec<&str> = row.split('`').filter_map(|part| part.strip_prefix("dav::")).collect();
        assert_eq!(named.is_empty(), OF_OTHERS.contains(&topic), "{row}");
        for test in named {
            let (module, name) = test.split_once("::").unwrap();
            assert!(tests[module].contains(&format!("fn {name}(")), "{test} is no test");
            assert!(tests[module].contains(topic.name()), "{test} says nothing of {topic}");
        }
    }
}
