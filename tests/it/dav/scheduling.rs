//! An invitation from the first PUT to the last cancellation, with every message on the way, where the queue delivers them.
//! What happens at once is in `scheduling_here`.

use std::collections::HashSet;

use convoke::dav::server::Settings;
use convoke::events::{Message, Topic};
use serde_json::{Value, json};

use super::{ALICE, BOB, CALENDAR, CAROL, Client, World, calendar};

pub const BOBS: &str = "/calendars/65aa00000000000000000002/65aa00000000000000000002/";
pub const CAROLS: &str = "/calendars/65aa00000000000000000003/65aa00000000000000000003/";

pub fn meeting(sequence: u32, start: &str, bob: &str) -> String {
    let lines = [
        &format!("SEQUENCE:{sequence}"),
        &format!("DTSTART:{start}"),
        "DURATION:PT1H",
        "SUMMARY:Planning",
        "ORGANIZER;CN=Alice:mailto:alice@example.org",
        "ATTENDEE;CN=Alice;PARTSTAT=ACCEPTED:mailto:alice@example.org",
        &format!("ATTENDEE;CN=Bob;RSVP=TRUE;PARTSTAT={bob}:mailto:bob@example.org"),
        "ATTENDEE;CN=Carol;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:carol@example.org",
        "ATTENDEE;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:guest@elsewhere.example",
    ];
    calendar("VEVENT", "meet", &lines)
}

/// The deliveries among the messages: method, recipient.
pub fn deliveries(messages: &[Message]) -> Vec<(String, String)> {
    let deliveries = messages.iter().filter(|m| m.topic.name() == "calendar:itip:localDelivery");
    deliveries
        .map(|m| {
            let text = |v: &Value| v.as_str().unwrap().to_owned();
            (text(&m.payload["method"]), text(&m.payload["recipients"][0]))
        })
        .collect()
}

/// Does with each delivery what its consumer does: `POST /itip` as each local recipient.
pub async fn deliver(world: &World, messages: &[Message]) -> Vec<Message> {
    for message in messages.iter().filter(|m| m.topic.name() == "calendar:itip:localDelivery") {
        let bare = |v: &Value| v.as_str().unwrap().trim_start_matches("mailto:").to_owned();
        let recipient = bare(&message.payload["recipients"][0]);
        if recipient.ends_with("@example.org") {
            let body = json!({
                "uid": message.payload["uid"], "sender": bare(&message.payload["sender"]), "recipient": recipient,
                "ical": message.payload["message"], "method": message.payload["method"], "sequence": "0",
            });
            itip(&world.as_user(&recipient), &body).await.expect(204);
        }
    }
    world.published().await
}

pub async fn itip(client: &Client<'_>, body: &Value) -> super::Answer {
    client.send("POST", "/itip", &[("content-type", "application/json")], &body.to_string()).await
}

pub fn topics(messages: &[Message]) -> Vec<&'static str> {
    messages.iter().map(|m| m.topic.name()).collect()
}

/// The one event of a calendar: its address and text.
pub async fn only_event(client: &Client<'_>, calendar: &str) -> (String, String) {
    let mut contents = client.contents(calendar).await;
    assert_eq!(contents.len(), 1, "{contents:?}");
    let (name, text) = contents.remove(0);
    (format!("{calendar}{name}"), text.replace("\r\n ", ""))
}

/// A world in which alice invited bob, carol and a guest, and the invitations reached bob and carol.
async fn invited() -> World {
    let world = World::with(Settings { immediate_deliveries: 0, ..Settings::default() }).await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    let put = world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(201);
    assert_eq!(put.header("etag"), None, "the server noted who is being told");
    let published = world.published().await;
    assert_eq!(
        topics(&published),
        [
            "calendar:event:alarm:created",
            "calendar:event:created",
            "calendar:itip:localDelivery",
            "calendar:itip:localDelivery",
            "calendar:itip:localDelivery"
        ]
    );
    let mut told = deliveries(&published);
    told.sort();
    let request = |to: &str| ("REQUEST".to_owned(), format!("mailto:{to}"));
    assert_eq!(told, [request("bob@example.org"), request("carol@example.org"), request("guest@elsewhere.example")]);
    let first = published.iter().find(|m| m.topic.name() == "calendar:itip:localDelivery").unwrap();
    assert_eq!(first.payload["sender"], json!("mailto:alice@example.org"));
    assert_eq!(first.payload["hasChange"], json!(true));
    assert_eq!(first.payload["calendarId"], json!(ALICE));
    assert_eq!(first.payload["connectedUser"], json!(format!("principals/users/{ALICE}")));
    assert_eq!(first.payload.get("oldMessage"), None);
    let delivered = deliver(&world, &published).await;
    assert_eq!(topics(&delivered), ["calendar:event:request", "calendar:event:updated"].repeat(2));
    world
}

#[tokio::test]
async fn an_invitation_reaches_calendar_and_inbox() {
    let world = invited().await;
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    assert!(path.contains("/sabredav-"), "{path}");
    assert!(copy.contains("PARTSTAT=NEEDS-ACTION:mailto:bob@example.org"), "{copy}");
    assert!(!copy.contains("METHOD"), "{copy}");
    let inbox = world.bob().contents(&format!("/calendars/{BOB}/inbox/")).await;
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].1.contains("METHOD:REQUEST"), "{}", inbox[0].1);
    assert_eq!(format!("{BOBS}{}", inbox[0].0), path);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert_eq!(own.matches("SCHEDULE-STATUS=1.0").count(), 3, "{own}");
}

#[tokio::test]
async fn the_same_message_twice_changes_nothing() {
    let world = invited().await;
    let text = meeting(1, "20300106T100000Z", "NEEDS-ACTION");
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(204);
    let published = world.published().await;
    assert!(!deliver(&world, &published).await.is_empty());
    let before =
        (only_event(&world.bob(), BOBS).await, world.bob().contents(&format!("/calendars/{BOB}/inbox/")).await);
    assert_eq!(topics(&deliver(&world, &published).await), Vec::<&str>::new());
    let after = (only_event(&world.bob(), BOBS).await, world.bob().contents(&format!("/calendars/{BOB}/inbox/")).await);
    assert_eq!(before, after);
}

#[tokio::test]
async fn an_answer_reaches_the_organizer_and_shows_in_the_other_copies() {
    let world = invited().await;
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let accepted = copy.replace("PARTSTAT=NEEDS-ACTION:mailto:bob", "PARTSTAT=ACCEPTED:mailto:bob");
    assert_ne!(accepted, copy);
    world.bob().put(&path, &accepted).await.expect(204);
    let published = world.published().await;
    assert_eq!(deliveries(&published), [("REPLY".to_owned(), "mailto:alice@example.org".to_owned())]);
    let reply = published.last().unwrap();
    assert!(reply.payload["oldMessage"].as_str().unwrap().contains("BEGIN:VCALENDAR"));
    let delivered = deliver(&world, &published).await;
    assert_eq!(topics(&delivered), ["calendar:event:request", "calendar:event:updated", "calendar:event:reply"]);
    assert!(delivered[0].payload["eventPath"].as_str().unwrap().starts_with(CAROLS), "{delivered:?}");
    assert_eq!(delivered[0].payload["connectedUser"], json!(format!("principals/users/{ALICE}")));
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    let bob = own.lines().find(|l| l.ends_with(":mailto:bob@example.org")).unwrap();
    assert!(bob.contains("PARTSTAT=ACCEPTED") && bob.contains("SCHEDULE-STATUS=2.0") && !bob.contains("RSVP"), "{bob}");
    let carol = own.lines().find(|l| l.ends_with(":mailto:carol@example.org")).unwrap();
    assert!(carol.contains("SCHEDULE-STATUS=1.2"), "{carol}");
    let (_, carols) = only_event(&world.as_user("carol@example.org"), CAROLS).await;
    assert!(
        carols.lines().any(|l| l.contains("PARTSTAT=ACCEPTED") && l.ends_with("mailto:bob@example.org")),
        "{carols}"
    );
    assert_eq!(world.as_user("carol@example.org").contents(&format!("/calendars/{CAROL}/inbox/")).await.len(), 1);
    // Delivered again, it tells nobody anything.
    assert_eq!(topics(&deliver(&world, &published).await), Vec::<&str>::new());
}

#[tokio::test]
async fn a_moved_copy_keeps_up_and_a_deletion_is_a_cancellation() {
    let world = invited().await;
    let (path, _) = only_event(&world.bob(), BOBS).await;
    let work = format!("/calendars/{BOB}/work/");
    world.bob().send("MKCALENDAR", &work, &[], "").await.expect(201);
    world.bob().send("MOVE", &path, &[("destination", &format!("{work}meet.ics"))], "").await.expect(201);
    world.published().await;
    let text = meeting(1, "20300106T100000Z", "NEEDS-ACTION");
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(204);
    let published = world.published().await;
    let update = published.iter().find(|m| m.topic.name() == "calendar:itip:localDelivery").unwrap();
    assert!(update.payload["oldMessage"].as_str().unwrap().contains("20300106T090000Z"));
    deliver(&world, &published).await;
    let (_, copy) = only_event(&world.bob(), &work).await;
    assert!(copy.contains("DTSTART:20300106T100000Z") && copy.contains("SEQUENCE:1"), "{copy}");
    assert_eq!(world.bob().contents(BOBS).await.len(), 0);

    world.alice().delete(&format!("{CALENDAR}meet.ics")).await.expect(204);
    let published = world.published().await;
    assert_eq!(topics(&published)[..2], ["calendar:event:alarm:deleted", "calendar:event:deleted"]);
    assert!(deliveries(&published).iter().all(|(method, _)| method == "CANCEL"));
    assert_eq!(deliveries(&published).len(), 3);
    let delivered = deliver(&world, &published).await;
    let cancelled = ["calendar:event:cancel", "calendar:event:alarm:cancel", "calendar:event:deleted"];
    assert_eq!(topics(&delivered), cancelled.repeat(2));
    let (_, copy) = only_event(&world.bob(), &work).await;
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
    // What was deleted already is not missed.
    world.bob().delete(&format!("{work}meet.ics")).await.expect(204);
    assert_eq!(deliveries(&world.published().await), [], "nobody is told that a cancelled event is not attended");
    assert_eq!(deliver(&world, &published).await.len(), 0);
}

#[tokio::test]
async fn attendees_change_only_what_is_theirs() {
    let world = invited().await;
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let hacked = copy.replace("SUMMARY:Planning", "SUMMARY:Hacked");
    let refused = world.bob().put(&path, &hacked).await.expect(403);
    assert!(
        refused.body.contains("Attendees are not allowed to change SUMMARY on scheduling objects"),
        "{}",
        refused.body
    );
    assert!(refused.body.contains("<cal:allowed-attendee-scheduling-object-change "), "{}", refused.body);
    assert_eq!(only_event(&world.bob(), BOBS).await.1, copy);
    assert_eq!(world.published().await.len(), 0);
    let own = copy.replace("SUMMARY:Planning", "SUMMARY:Planning\r\nTRANSP:TRANSPARENT");
    world.bob().put(&path, &own).await.expect(204);
    assert_eq!(deliveries(&world.published().await), []);
}

#[tokio::test]
async fn a_deleted_copy_is_a_declined_invitation() {
    let world = invited().await;
    let (path, _) = only_event(&world.bob(), BOBS).await;
    world.bob().delete(&path).await.expect(204);
    let published = world.published().await;
    assert_eq!(deliveries(&published), [("REPLY".to_owned(), "mailto:alice@example.org".to_owned())]);
    deliver(&world, &published).await;
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(own.lines().any(|l| l.contains("PARTSTAT=DECLINED") && l.ends_with("mailto:bob@example.org")), "{own}");
    assert_eq!(world.bob().contents(BOBS).await.len(), 0);
}

#[tokio::test]
async fn whoever_wants_silence_gets_it() {
    let world = World::new().await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    let path = format!("{CALENDAR}meet.ics");
    let put = world.alice().send("PUT", &path, &[("schedule-reply", "F")], &text).await.expect(201);
    assert!(put.header("etag").is_some(), "stored as it came");
    world.alice().send("DELETE", &path, &[("schedule-reply", "F")], "").await.expect(204);
    assert_eq!(deliveries(&world.published().await), []);
}

#[tokio::test]
async fn a_message_is_delivered_only_by_its_recipient() {
    let world = World::new().await;
    let ical = meeting(0, "20300106T090000Z", "NEEDS-ACTION").replace("BEGIN:VEVENT", "METHOD:REQUEST\r\nBEGIN:VEVENT");
    let body = json!({"uid": "meet", "sender": "alice@example.org", "recipient": "bob@example.org", "ical": ical});
    let carol = world.as_user("carol@example.org");
    assert_eq!(itip(&carol, &body).await.expect(403).body, "");
    for key in ["uid", "sender", "recipient", "ical"] {
        let mut incomplete = body.clone();
        incomplete.as_object_mut().unwrap().remove(key);
        assert_eq!(itip(&world.bob(), &incomplete).await.expect(400).body, "", "{key}");
        incomplete[key] = json!("");
        itip(&world.bob(), &incomplete).await.expect(400);
    }
    for (key, value) in [("ical", "garbage"), ("method", "DANCE"), ("uid", "other")] {
        let mut wrong = body.clone();
        wrong[key] = json!(value);
        itip(&world.bob(), &wrong).await.expect(400);
    }
    world.bob().send("POST", "/itip", &[], "no json").await.expect(400);
    assert_eq!(world.bob().contents(BOBS).await.len(), 0);
    // By the verb, and on a path, which must be one's own.
    let text = body.to_string();
    world.bob().send("ITIP", &format!("/calendars/{ALICE}/{ALICE}/"), &[], &text).await.expect(403);
    world.bob().send("ITIP", &format!("/calendars/{BOB}/nowhere/"), &[], &text).await.expect(404);
    world.bob().send("ITIP", &format!("/calendars/{BOB}/"), &[], &text).await.expect(204);
    let overridden = [("x-http-method-override", "ITIP")];
    world.bob().send("POST", &format!("{BOBS}x.ics"), &overridden, &text).await.expect(204);
    assert_eq!(world.bob().contents(BOBS).await.len(), 1);
}

#[tokio::test]
async fn a_counter_proposal_lies_in_the_organizer_s_inbox() {
    let world = invited().await;
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let ical = copy.replace("BEGIN:VEVENT", "METHOD:COUNTER\r\nBEGIN:VEVENT").replace("T090000Z", "T110000Z");
    let body = json!({
        "uid": "meet", "sender": "bob@example.org", "recipient": "alice@example.org", "ical": ical, "method": "COUNTER",
    });
    let before = only_event(&world.alice(), CALENDAR).await;
    let overridden = [("x-http-method-override", "ITIP")];
    world.bob().send("POST", &path, &overridden, &body.to_string()).await.expect(204);
    let published = world.published().await;
    assert_eq!(deliveries(&published), [("COUNTER".to_owned(), "mailto:alice@example.org".to_owned())]);
    assert!(published[0].payload["oldMessage"].as_str().unwrap().contains("SCHEDULE-STATUS"), "the organizer's own");
    assert_eq!(published[0].payload["calendarId"], json!(BOB));
    assert_eq!(only_event(&world.alice(), CALENDAR).await, before);
    let inbox = world.alice().contents(&format!("/calendars/{ALICE}/inbox/")).await;
    assert!(inbox[0].1.contains("METHOD:COUNTER"), "{inbox:?}");
    itip(&world.as_user("carol@example.org"), &body).await.expect(403);
}

#[tokio::test]
async fn different_organizers_in_one_object_are_refused() {
    let world = World::new().await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION").replace(
        "END:VCALENDAR",
        "BEGIN:VEVENT\r\nUID:meet\r\nDTSTAMP:20300101T080000Z\r\nRECURRENCE-ID:20300113T090000Z\r\n\
         DTSTART:20300113T090000Z\r\nORGANIZER:mailto:bob@example.org\r\nATTENDEE:mailto:carol@example.org\r\n\
         END:VEVENT\r\nEND:VCALENDAR",
    );
    let refused = world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(403);
    assert!(refused.body.contains("All VEVENT components must share the same ORGANIZER property."), "{}", refused.body);
    assert_eq!(world.alice().contents(CALENDAR).await.len(), 0);
}

#[tokio::test]
async fn each_guest_of_a_large_event_has_a_delivery_and_an_order_of_their_own() {
    let world = World::new().await;
    let guests: Vec<String> = (0..250).map(|n| format!("ATTENDEE:mailto:g{n:04}@elsewhere.example")).collect();
    let mut lines = vec!["DTSTART:20300102T110000Z", "ORGANIZER:mailto:alice@example.org"];
    lines.extend(guests.iter().map(String::as_str));
    world.alice().put(&format!("{CALENDAR}big.ics"), &calendar("VEVENT", "big", &lines)).await.expect(201);
    let published = world.published().await;
    let deliveries: Vec<_> = published.iter().filter(|m| m.topic == Topic::ItipLocalDelivery).collect();
    assert!(deliveries.iter().all(|m| m.payload["recipients"].as_array().unwrap().len() == 1));
    let keys: HashSet<&str> = deliveries.iter().map(|m| m.key.as_str()).collect();
    assert_eq!((deliveries.len(), keys.len()), (250, 250));
}

#[tokio::test]
async fn an_answer_is_noted_on_the_organizer_only() {
    let world = invited().await;
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let accepted = copy.replace("PARTSTAT=NEEDS-ACTION:mailto:bob", "PARTSTAT=ACCEPTED:mailto:bob");
    world.bob().put(&path, &accepted).await.expect(204);
    let (_, copy) = only_event(&world.bob(), BOBS).await;
    let unfolded = copy.replace("\r\n ", "");
    let noted: Vec<&str> = unfolded.lines().filter(|l| l.contains("SCHEDULE-STATUS=1.0")).collect();
    assert!(matches!(noted[..], [line] if line.starts_with("ORGANIZER")), "{copy}");
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_told_nothing() {
    let world = World::new().await;
    let lines =
        ["DTSTART:20300106T090000Z", "ORGANIZER:mailto:alice@example.org", "ATTENDEE:invalid:nomail", "SUMMARY:x"];
    world.alice().put(&format!("{CALENDAR}x.ics"), &calendar("VEVENT", "x", &lines)).await.expect(201);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(own.contains("SCHEDULE-STATUS=3.7:invalid:nomail"), "{own}");
    assert_eq!(deliveries(&world.published().await), []);
}
