//! Scheduling among people of one server: their calendars and inboxes change in the write that causes it.

use convoke::dav::server::Settings;
use serde_json::json;

use super::scheduling::{BOBS, CAROLS, deliver, deliveries, itip, meeting, only_event, topics};
use super::{ALICE, BOB, CALENDAR, CAROL, World, calendar, event};

/// The unfolded line about somebody.
fn line<'t>(text: &'t str, name: &str, who: &str) -> &'t str {
    let found = text.lines().find(|l| l.starts_with(name) && l.ends_with(&format!(":mailto:{who}")));
    found.unwrap_or_else(|| panic!("no {name} of {who}: {text}"))
}

async fn inbox(world: &World, email: &str, home: &str) -> Vec<(String, String)> {
    world.as_user(email).contents(&format!("/calendars/{home}/inbox/")).await
}

/// A world in which alice just invited bob, carol and a guest from elsewhere.
async fn invited() -> World {
    let world = World::new().await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(201);
    world
}

#[tokio::test]
async fn an_invitation_is_there_when_the_write_is_answered() {
    let world = invited().await;
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    assert!(copy.contains("SUMMARY:Planning") && !copy.contains("METHOD"), "{copy}");
    assert!(!copy.contains("SCHEDULE-STATUS"), "{copy}");
    let items = inbox(&world, "bob@example.org", BOB).await;
    assert_eq!(items.len(), 1);
    assert!(items[0].1.contains("METHOD:REQUEST"), "{items:?}");
    assert_eq!(format!("{BOBS}{}", items[0].0), path);
    assert_eq!(inbox(&world, "carol@example.org", CAROL).await.len(), 1);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(line(&own, "ATTENDEE", "bob@example.org").contains("SCHEDULE-STATUS=1.2"), "{own}");
    assert!(line(&own, "ATTENDEE", "guest@elsewhere.example").contains("SCHEDULE-STATUS=1.0"), "{own}");
    let published = world.published().await;
    assert_eq!(
        topics(&published),
        [
            "calendar:event:alarm:created",
            "calendar:event:created",
            "calendar:event:request",
            "calendar:event:updated",
            "calendar:event:request",
            "calendar:event:updated",
            "calendar:itip:localDelivery",
            "calendar:itip:localDelivery",
            "calendar:itip:localDelivery",
        ]
    );
    let told: Vec<(bool, String)> = published[6..]
        .iter()
        .map(|m| (m.payload["delivered"] == json!(true), m.payload["recipients"][0].as_str().unwrap().to_owned()))
        .collect();
    for (delivered, recipient) in &told {
        assert_eq!(*delivered, recipient.ends_with("@example.org"), "{told:?}");
    }
    // Whoever delivers them again all the same changes nothing.
    assert_eq!(topics(&deliver(&world, &published).await), Vec::<&str>::new());
}

#[tokio::test]
async fn an_answer_is_with_everybody_when_the_write_is_answered() {
    let world = invited().await;
    world.published().await;
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let accepted = copy.replace("PARTSTAT=NEEDS-ACTION:mailto:bob", "PARTSTAT=ACCEPTED:mailto:bob");
    world.bob().put(&path, &accepted).await.expect(204);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    let bob = line(&own, "ATTENDEE", "bob@example.org");
    assert!(bob.contains("PARTSTAT=ACCEPTED") && bob.contains("SCHEDULE-STATUS=2.0") && !bob.contains("RSVP"), "{bob}");
    let (_, carols) = only_event(&world.as_user("carol@example.org"), CAROLS).await;
    assert!(line(&carols, "ATTENDEE", "bob@example.org").contains("PARTSTAT=ACCEPTED"), "{carols}");
    assert_eq!(inbox(&world, "carol@example.org", CAROL).await.len(), 1, "an answer of somebody else is no message");
    let items = inbox(&world, "alice@example.org", ALICE).await;
    assert!(items.len() == 1 && items[0].1.contains("METHOD:REPLY"), "{items:?}");
    let (_, copy) = only_event(&world.bob(), BOBS).await;
    assert!(line(&copy, "ORGANIZER", "alice@example.org").contains("SCHEDULE-STATUS=1.2"), "{copy}");
    let published = world.published().await;
    assert_eq!(
        topics(&published),
        [
            "calendar:event:alarm:updated",
            "calendar:event:updated",
            "calendar:event:request",
            "calendar:event:updated",
            "calendar:event:reply",
            "calendar:itip:localDelivery"
        ]
    );
    assert_eq!(deliveries(&published), [("REPLY".to_owned(), "mailto:alice@example.org".to_owned())]);
}

#[tokio::test]
async fn what_is_deleted_at_once_does_not_come_back_with_the_queue() {
    let world = invited().await;
    let published = world.published().await;
    let (path, _) = only_event(&world.bob(), BOBS).await;
    world.bob().delete(&path).await.expect(204);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(line(&own, "ATTENDEE", "bob@example.org").contains("PARTSTAT=DECLINED"), "{own}");
    // An update reaches carol, and bob no more.
    let text = meeting(1, "20300106T100000Z", "DECLINED");
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(204);
    assert_eq!(world.bob().contents(BOBS).await.len(), 0);
    let bobs = published.iter().find(|m| m.payload["recipients"][0] == json!("mailto:bob@example.org")).unwrap();
    assert_eq!(bobs.payload["delivered"], json!(true), "the consumer leaves his calendar alone");
}

#[tokio::test]
async fn a_cancellation_is_there_when_the_write_is_answered() {
    let world = invited().await;
    world.alice().delete(&format!("{CALENDAR}meet.ics")).await.expect(204);
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
    let methods: Vec<bool> =
        inbox(&world, "bob@example.org", BOB).await.iter().map(|(_, t)| t.contains("METHOD:CANCEL")).collect();
    assert_eq!(methods.iter().filter(|m| **m).count(), 1);
    world.bob().delete(&path).await.expect(204);
}

#[tokio::test]
async fn a_write_that_fails_reaches_nobody() {
    let world = World::new().await;
    world.alice().put(&format!("{CALENDAR}other.ics"), &event("meet", "20300101T090000Z")).await.expect(201);
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(403);
    let stale = [("if-match", "\"x\"")];
    world.alice().send("PUT", &format!("{CALENDAR}new.ics"), &stale, &text).await.expect(412);
    assert_eq!(world.bob().contents(BOBS).await.len(), 0);
    assert_eq!(inbox(&world, "bob@example.org", BOB).await.len(), 0);
}

#[tokio::test]
async fn somebody_of_another_domain_is_left_to_the_queue() {
    let world = World::new().await;
    let lines = [
        "DTSTART:20300106T090000Z",
        "ORGANIZER:mailto:alice@example.org",
        "ATTENDEE:mailto:eve@other.example",
        "ATTENDEE:mailto:nobody@example.org",
    ];
    world.alice().put(&format!("{CALENDAR}x.ics"), &calendar("VEVENT", "x", &lines)).await.expect(201);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    // Whether she exists is not to be told from the answer.
    assert_eq!(own.matches("SCHEDULE-STATUS=1.0").count(), 2, "{own}");
    let eve = world.as_user("eve@other.example").contents("/calendars/65aa0000000000000000000f/inbox/").await;
    assert_eq!(eve.len(), 0);
}

#[tokio::test]
async fn a_large_event_is_delivered_up_to_the_limit() {
    let world = World::with(Settings { immediate_deliveries: 1, ..Settings::default() }).await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(201);
    assert_eq!(world.bob().contents(BOBS).await.len(), 1);
    let carol = world.as_user("carol@example.org");
    assert_eq!(carol.contents(CAROLS).await.len(), 0);
    let published = world.published().await;
    deliver(&world, &published).await;
    assert_eq!(carol.contents(CAROLS).await.len(), 1);
}

#[tokio::test]
async fn principals_are_calendar_users() {
    let world = World::new().await;
    for (n, address) in [
        format!("/principals/users/{BOB}/"),
        format!("https://calendar.example.org/principals/users/{BOB}"),
        format!("urn:uuid:{BOB}"),
    ]
    .iter()
    .enumerate()
    {
        let uid = format!("u{n}");
        let attendee = format!("ATTENDEE;CN=Bob:{address}");
        let organizer = format!("ORGANIZER:/principals/users/{ALICE}/");
        let text = calendar("VEVENT", &uid, &["DTSTART:20300106T090000Z", &organizer, &attendee]);
        world.alice().put(&format!("{CALENDAR}{uid}.ics"), &text).await.expect(201);
        let own = world.alice().get(&format!("{CALENDAR}{uid}.ics")).await.expect(200).body.replace("\r\n ", "");
        assert!(line(&own, "ATTENDEE", "bob@example.org").contains("SCHEDULE-STATUS=1.2"), "{own}");
        line(&own, "ORGANIZER", "alice@example.org");
        assert_eq!(world.bob().contents(BOBS).await.len(), n + 1);
    }
    // Nobody of another domain is found that way.
    let text = calendar(
        "VEVENT",
        "eve",
        &[
            "DTSTART:20300106T090000Z",
            "ORGANIZER:mailto:alice@example.org",
            "ATTENDEE:/principals/users/65aa0000000000000000000f/",
        ],
    );
    world.alice().put(&format!("{CALENDAR}eve.ics"), &text).await.expect(201);
    let own = world.alice().get(&format!("{CALENDAR}eve.ics")).await.expect(200).body;
    assert!(own.contains("SCHEDULE-STATUS=3.7"), "{own}");
}

#[tokio::test]
async fn an_attendee_delegates() {
    let world = World::new().await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION")
        .replace("ATTENDEE;CN=Carol;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:carol@example.org\r\n", "");
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(201);
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let delegated = copy.replace(
        "ATTENDEE;CN=Bob;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org",
        "ATTENDEE;CN=Bob;PARTSTAT=DELEGATED;DELEGATED-TO=\"mailto:carol@example.org\":mailto:bob@example.org\r\n\
         ATTENDEE;CN=Carol;DELEGATED-FROM=\"mailto:bob@example.org\":mailto:carol@example.org",
    );
    assert_ne!(delegated, copy);
    world.bob().put(&path, &delegated).await.expect(204);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(line(&own, "ATTENDEE", "bob@example.org").contains("PARTSTAT=DELEGATED"), "{own}");
    let carol = line(&own, "ATTENDEE", "carol@example.org");
    assert!(carol.contains("DELEGATED-FROM") && carol.contains("PARTSTAT=NEEDS-ACTION"), "{own}");
    let (_, invitation) = only_event(&world.as_user("carol@example.org"), CAROLS).await;
    assert!(invitation.contains("SUMMARY:Planning"), "{invitation}");
    let told = deliveries(&world.published().await);
    assert!(told.contains(&("REQUEST".to_owned(), "mailto:carol@example.org".to_owned())), "{told:?}");
}

#[tokio::test]
async fn a_task_is_assigned_and_done() {
    let world = World::new().await;
    let lines = [
        "DUE:20300106T090000Z",
        "SUMMARY:Report",
        "ORGANIZER:mailto:alice@example.org",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org",
    ];
    world.alice().put(&format!("{CALENDAR}task.ics"), &calendar("VTODO", "task", &lines)).await.expect(201);
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let done = copy
        .replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=COMPLETED")
        .replace("END:VTODO", "PERCENT-COMPLETE:100\r\nSTATUS:COMPLETED\r\nCOMPLETED:20300105T090000Z\r\nEND:VTODO");
    world.bob().put(&path, &done).await.expect(204);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(own.contains("PERCENT-COMPLETE:100") && own.contains("COMPLETED:20300105T090000Z"), "{own}");
    assert!(line(&own, "ATTENDEE", "bob@example.org").contains("PARTSTAT=COMPLETED"), "{own}");
}

#[tokio::test]
async fn a_refresh_is_answered_and_a_refused_proposal_lies_in_the_inbox() {
    let world = invited().await;
    world.published().await;
    let refresh = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REFRESH\r\nBEGIN:VEVENT\r\nUID:meet\r\n\
        DTSTAMP:20300101T080000Z\r\nORGANIZER:mailto:alice@example.org\r\nATTENDEE:mailto:guest@elsewhere.example\r\n\
        END:VEVENT\r\nEND:VCALENDAR\r\n";
    let body = json!({"uid": "meet", "sender": "guest@elsewhere.example", "recipient": "alice@example.org",
        "ical": refresh, "method": "REFRESH"});
    itip(&world.alice(), &body).await.expect(204);
    let published = world.published().await;
    assert_eq!(deliveries(&published), [("REQUEST".to_owned(), "mailto:guest@elsewhere.example".to_owned())]);
    let stranger = json!({"uid": "meet", "sender": "eve@other.example", "recipient": "alice@example.org",
        "ical": refresh, "method": "REFRESH"});
    itip(&world.alice(), &stranger).await.expect(204);
    assert_eq!(world.published().await.len(), 0, "only who is invited gets an answer");

    let declined = refresh.replace("REFRESH", "DECLINECOUNTER");
    let body = json!({"uid": "meet", "sender": "alice@example.org", "recipient": "bob@example.org",
        "ical": declined, "method": "DECLINECOUNTER"});
    for _ in 0..2 {
        itip(&world.bob(), &body).await.expect(204);
    }
    let items = inbox(&world, "bob@example.org", BOB).await;
    assert_eq!(items.iter().filter(|(_, text)| text.contains("METHOD:DECLINECOUNTER")).count(), 1, "{items:?}");
}
