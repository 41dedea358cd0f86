//! What RFC 6638 §3.2.4 and dav §10.5 refuse, and the answers of the outbox.

use convoke::dav::server::Settings;

use super::scheduling::{BOBS, deliveries, meeting, only_event};
use super::{ALICE, BOB, CALENDAR, World, calendar, event};

const MEET: &str = "/calendars/65aa00000000000000000001/65aa00000000000000000001/meet.ics";
const WORK: &str = "/calendars/65aa00000000000000000001/work/";

#[tokio::test]
async fn a_home_has_one_scheduling_object_of_a_uid() {
    let world = World::new().await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    world.alice().put(MEET, &text).await.expect(201);
    world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
    world.published().await;
    let refused = world.alice().put(&format!("{WORK}again.ics"), &text).await.expect(403);
    assert!(refused.body.contains("unique-scheduling-object-resource"), "{}", refused.body);
    assert!(refused.body.contains(&format!("<d:href>{MEET}</d:href>")), "{}", refused.body);
    let copy = [("destination", "/calendars/65aa00000000000000000001/work/copy.ics")];
    let refused = world.alice().send("COPY", MEET, &copy, "").await.expect(403);
    assert!(refused.body.contains("unique-scheduling-object-resource"), "{}", refused.body);
    assert_eq!(deliveries(&world.published().await), []);
    // Who may write in one calendar of a home is not told where it is in another.
    super::sharing::give(&world.alice(), WORK, &[("bob@example.org", "read-write")]).await.expect(200);
    let bobs = super::sharing::others(&world.bob(), BOB).await.remove(0);
    let refused = world.bob().put(&format!("{bobs}again.ics"), &text).await.expect(403);
    assert!(refused.body.contains("<cal:unique-scheduling-object-resource xmlns"), "{}", refused.body);
    assert!(!refused.body.contains("meet.ics"), "{}", refused.body);
    // What is not scheduled may be there several times.
    world.alice().put(&format!("{CALENDAR}lunch.ics"), &event("lunch", "20300106T090000Z")).await.expect(201);
    world.alice().put(&format!("{WORK}lunch.ics"), &event("lunch", "20300106T090000Z")).await.expect(201);
}

#[tokio::test]
async fn an_organizer_does_not_give_the_event_away() {
    let world = World::new().await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    world.alice().put(MEET, &text).await.expect(201);
    let given = text.replace("ORGANIZER;CN=Alice:mailto:alice", "ORGANIZER;CN=Bob:mailto:bob");
    let refused = world.alice().put(MEET, &given).await.expect(403);
    assert!(refused.body.contains("<cal:allowed-organizer-scheduling-object-change "), "{}", refused.body);
    // Another address of the same person is the same person.
    let alias = text.replace("ORGANIZER;CN=Alice:mailto:alice", "ORGANIZER;CN=Alice:mailto:a.martin");
    world.alice().put(MEET, &alias).await.expect(204);
}

#[tokio::test]
async fn organizers_are_validated_where_the_configuration_says_so() {
    let world = World::with(Settings { organizer_validation: true, ..Settings::default() }).await;
    let with = |lines: &[&str]| {
        let mut all = vec!["DTSTART:20300106T090000Z"];
        all.extend(lines);
        calendar("VEVENT", "o", &all)
    };
    let path = format!("{CALENDAR}o.ics");
    let bob = "ATTENDEE:mailto:bob@example.org";
    for refused in [
        with(&[bob]),
        with(&[bob, "ORGANIZER:mailto:nobody@example.org"]),
        with(&[bob, "ORGANIZER:mailto:carol@example.org"]),
    ] {
        let answer = world.alice().put(&path, &refused).await.expect(403);
        assert!(answer.body.contains("ORGANIZER"), "{}", answer.body);
        world.alice().send("PUT", &format!("{path}?import"), &[], &refused).await.expect(201);
        world.alice().delete(&path).await.expect(204);
    }
    world.alice().put(&path, &with(&[])).await.expect(201);
    world.alice().put(&path, &with(&[bob, "ORGANIZER:mailto:alice@example.org"])).await.expect(204);
    // A copy has the organizer that it came with.
    let (copy_path, copy) = only_event(&world.bob(), BOBS).await;
    let accepted = copy.replace("ATTENDEE:mailto:bob", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob");
    world.bob().put(&copy_path, &accepted.replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED")).await.expect(204);
}

#[tokio::test]
async fn whom_the_server_does_not_schedule_hears_nothing() {
    let world = World::new().await;
    for agent in ["CLIENT", "NONE"] {
        let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION")
            .replace("ATTENDEE;CN=Bob;", &format!("ATTENDEE;CN=Bob;SCHEDULE-AGENT={agent};"));
        world.alice().put(MEET, &text).await.expect(201);
        assert_eq!(world.bob().contents(BOBS).await.len(), 0, "{agent}");
        world.alice().delete(MEET).await.expect(204);
    }
    // On the attendee's side: the answer is the client's business.
    world.alice().put(MEET, &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    world.published().await;
    let own = copy
        .replace("ORGANIZER;CN=Alice:", "ORGANIZER;CN=Alice;SCHEDULE-AGENT=CLIENT:")
        .replace("PARTSTAT=NEEDS-ACTION:mailto:bob", "PARTSTAT=ACCEPTED:mailto:bob");
    world.bob().put(&path, &own).await.expect(204);
    assert_eq!(deliveries(&world.published().await), []);
}

#[tokio::test]
async fn the_outbox_answers_for_everybody_who_is_asked_about() {
    let world = World::new().await;
    world.bob().put(&format!("{BOBS}busy.ics"), &event("busy", "20300106T090000Z")).await.expect(201);
    let outbox = format!("/calendars/{ALICE}/outbox/");
    let request = |organizer: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example Corp//Client 1.0//EN\r\nMETHOD:REQUEST\r\n\
             BEGIN:VFREEBUSY\r\nUID:fb\r\nDTSTAMP:20300101T080000Z\r\nDTSTART:20300106T000000Z\r\n\
             DTEND:20300107T000000Z\r\nORGANIZER:{organizer}\r\nATTENDEE:mailto:bob@example.org\r\n\
             ATTENDEE:/principals/users/{BOB}/\r\nATTENDEE:mailto:nobody@example.org\r\n\
             ATTENDEE:mailto:eve@other.example\r\nATTENDEE:urn:uuid:65aa0000000000000000abcd\r\n\
             END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
        )
    };
    for organizer in ["mailto:alice@example.org".to_owned(), format!("/principals/users/{ALICE}/")] {
        let answer = world.alice().send("POST", &outbox, &[], &request(&organizer)).await.expect(200).body;
        assert_eq!(answer.matches("<cal:request-status>2.0;Success</cal:request-status>").count(), 2, "{answer}");
        assert_eq!(answer.matches("<cal:request-status>3.7;").count(), 3, "{answer}");
        assert_eq!(answer.matches("FREEBUSY:20300106T090000Z/20300106T100000Z").count(), 2, "{answer}");
    }
    let refused = world.alice().send("POST", &outbox, &[], &request("mailto:bob@example.org")).await.expect(403);
    assert!(refused.body.contains("organizer-allowed"), "{}", refused.body);
    let invalid = request("mailto:alice@example.org").replace("METHOD:REQUEST", "METHOD:PUBLISH");
    let refused = world.alice().send("POST", &outbox, &[], &invalid).await.expect(403);
    assert!(refused.body.contains("valid-scheduling-message"), "{}", refused.body);
}
