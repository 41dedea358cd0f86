//! What attendees change in their copies (RFC 6638 §3.2.2.1), and what organizers change that asks everybody anew (§3.2.8).

use convoke::dav::server::Settings;

use super::scheduling::{BOBS, CAROLS, deliveries, meeting, only_event};
use super::{CALENDAR, CAROL, Client, World, calendar};

const MEET: &str = "/calendars/65aa00000000000000000001/65aa00000000000000000001/meet.ics";

/// The unfolded line about somebody.
fn line<'t>(text: &'t str, who: &str) -> &'t str {
    let found = text.lines().find(|l| l.starts_with("ATTENDEE") && l.ends_with(&format!(":mailto:{who}@example.org")));
    found.unwrap_or_else(|| panic!("no line of {who}: {text}"))
}

fn accepted(copy: &str) -> String {
    let accepted = copy.replace("PARTSTAT=NEEDS-ACTION:mailto:bob", "PARTSTAT=ACCEPTED:mailto:bob");
    assert_ne!(accepted, copy);
    accepted
}

async fn accept(client: &Client<'_>) {
    let (path, copy) = only_event(client, BOBS).await;
    client.put(&path, &accepted(&copy)).await.expect(204);
}

fn series(lines: &[&str]) -> String {
    let mut all = vec![
        "DTSTART:20300106T090000Z",
        "DURATION:PT1H",
        "RRULE:FREQ=DAILY;COUNT=5",
        "SUMMARY:Planning",
        "ORGANIZER;CN=Alice:mailto:alice@example.org",
        "ATTENDEE;CN=Alice;PARTSTAT=ACCEPTED:mailto:alice@example.org",
        "ATTENDEE;CN=Bob;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org",
    ];
    all.extend(lines);
    calendar("VEVENT", "meet", &all)
}

#[tokio::test]
async fn clients_that_write_the_same_otherwise_may_answer() {
    let world = World::new().await;
    world.alice().put(MEET, &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    // Thunderbird writes an end for a duration, programs on Android know no name of the organizer.
    let otherwise =
        accepted(&copy).replace("DURATION:PT1H", "DTEND:20300106T100000Z").replace("ORGANIZER;CN=Alice:", "ORGANIZER:");
    world.bob().put(&path, &otherwise).await.expect(204);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(line(&own, "bob").contains("PARTSTAT=ACCEPTED"), "{own}");
}

#[tokio::test]
async fn the_rhythm_of_a_series_is_the_organizers() {
    let world = World::new().await;
    world.alice().put(MEET, &series(&[])).await.expect(201);
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    world.published().await;
    for (from, to, name) in [
        ("RRULE:FREQ=DAILY;COUNT=5", "RRULE:FREQ=DAILY;COUNT=2", "RRULE"),
        ("DURATION:PT1H", "DURATION:PT2H", "DURATION"),
        ("SUMMARY:", "RDATE:20300201T090000Z\r\nSUMMARY:", "RDATE"),
    ] {
        let refused = world.bob().put(&path, &copy.replace(from, to)).await.expect(403);
        assert!(refused.body.contains("<cal:allowed-attendee-scheduling-object-change "), "{}", refused.body);
        assert!(refused.body.contains(&format!("change {name} on")), "{}", refused.body);
    }
    assert_eq!(only_event(&world.bob(), BOBS).await.1, copy);
    assert_eq!(world.published().await.len(), 0);
}

#[tokio::test]
async fn what_others_answered_is_not_an_attendees_to_change() {
    let world = World::new().await;
    world.alice().put(MEET, &meeting(3, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let (carols_path, carols) = only_event(&world.as_user("carol@example.org"), CAROLS).await;
    let carols = carols.replace("PARTSTAT=NEEDS-ACTION:mailto:carol", "PARTSTAT=TENTATIVE:mailto:carol");
    world.as_user("carol@example.org").put(&carols_path, &carols).await.expect(204);
    // A client that knows nothing of her answer, and counts by itself.
    let late = accepted(&copy).replace("SEQUENCE:3", "SEQUENCE:9").replace("SUMMARY:", "STATUS:CANCELLED\r\nSUMMARY:");
    world.bob().put(&path, &late).await.expect(204);
    let (_, copy) = only_event(&world.bob(), BOBS).await;
    assert!(line(&copy, "carol").contains("PARTSTAT=TENTATIVE"), "{copy}");
    assert!(copy.contains("SEQUENCE:3") && !copy.contains("STATUS:CANCELLED"), "{copy}");
    // The organizer's next message is not older than that.
    let text = meeting(3, "20300106T090000Z", "ACCEPTED").replace("SUMMARY:Planning", "SUMMARY:Budget");
    world.alice().put(MEET, &text).await.expect(204);
    assert!(only_event(&world.bob(), BOBS).await.1.contains("SUMMARY:Budget"));
}

#[tokio::test]
async fn an_update_that_was_under_way_while_somebody_answered_is_not_lost() {
    let world = World::with(Settings { immediate_deliveries: 0, ..Settings::default() }).await;
    world.alice().put(MEET, &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    super::scheduling::deliver(&world, &world.published().await).await;
    let renamed = meeting(0, "20300106T090000Z", "NEEDS-ACTION").replace("SUMMARY:Planning", "SUMMARY:Budget");
    world.alice().put(MEET, &renamed).await.expect(204);
    let under_way = world.published().await;
    // A client writes DTSTAMP anew with every change.
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let stamp = copy.lines().find(|l| l.starts_with("DTSTAMP")).unwrap();
    world.bob().put(&path, &accepted(&copy).replace(stamp, "DTSTAMP:20261121T062020Z")).await.expect(204);
    super::scheduling::deliver(&world, &under_way).await;
    let (_, copy) = only_event(&world.bob(), BOBS).await;
    assert!(copy.contains("SUMMARY:Budget") && line(&copy, "bob").contains("PARTSTAT=ACCEPTED"), "{copy}");
}

#[tokio::test]
async fn the_guard_can_be_switched_off() {
    let world = World::with(Settings { guard_attendee_changes: false, ..Settings::default() }).await;
    world.alice().put(MEET, &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let own = copy.replace("SUMMARY:Planning", "STATUS:TENTATIVE\r\nSUMMARY:Mine");
    world.bob().put(&path, &own).await.expect(204);
    assert!(only_event(&world.bob(), BOBS).await.1.contains("STATUS:TENTATIVE\r\nSUMMARY:Mine"));
}

#[tokio::test]
async fn a_moved_meeting_asks_everybody_anew() {
    let world = World::new().await;
    world.alice().put(MEET, &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    accept(&world.bob()).await;
    world.alice().put(MEET, &meeting(1, "20300107T090000Z", "ACCEPTED")).await.expect(204);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(line(&own, "bob").contains("PARTSTAT=NEEDS-ACTION") && line(&own, "bob").contains("RSVP=TRUE"), "{own}");
    assert!(line(&own, "alice").contains("PARTSTAT=ACCEPTED"), "{own}");
    let (_, copy) = only_event(&world.bob(), BOBS).await;
    assert!(
        copy.contains("DTSTART:20300107T090000Z") && line(&copy, "bob").contains("PARTSTAT=NEEDS-ACTION"),
        "{copy}"
    );
}

#[tokio::test]
async fn an_override_without_another_answer_makes_none_at_the_organizer() {
    let world = World::new().await;
    world.alice().put(MEET, &series(&[])).await.expect(201);
    accept(&world.bob()).await;
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    world.published().await;
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let (_, event) = copy.split_once("BEGIN:VEVENT").unwrap();
    let event = event
        .replace("RRULE:FREQ=DAILY;COUNT=5\r\n", "")
        .replace("DTSTART:20300106T090000Z", "RECURRENCE-ID:20300107T090000Z\r\nDTSTART:20300107T090000Z")
        .replace(
            "END:VEVENT",
            "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT5M\r\nDESCRIPTION:x\r\nEND:VALARM\r\nEND:VEVENT",
        );
    world.bob().put(&path, &copy.replace("END:VCALENDAR\r\n", &format!("BEGIN:VEVENT{event}"))).await.expect(204);
    assert_eq!(only_event(&world.alice(), CALENDAR).await.1, own);
    // Who consumes the queue finds that it repeats the answer.
    assert_eq!(deliveries(&world.published().await), [("REPLY".to_owned(), "mailto:alice@example.org".to_owned())]);
}

#[tokio::test]
async fn an_update_that_says_nothing_to_people_lies_in_no_inbox() {
    let world = World::new().await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    world.alice().put(MEET, &text).await.expect(201);
    world.alice().put(MEET, &text.replace("SUMMARY:", "CATEGORIES:Work\r\nSUMMARY:")).await.expect(204);
    assert!(only_event(&world.bob(), BOBS).await.1.contains("CATEGORIES:Work"));
    let inbox = |home: &str| format!("/calendars/{home}/inbox/");
    assert_eq!(world.as_user("carol@example.org").contents(&inbox(CAROL)).await.len(), 1);
}

#[tokio::test]
async fn somebody_who_is_invited_twice_answers_once() {
    let world = World::new().await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION")
        .replace("alice@example.org", "x@example.org")
        .replace("bob@example.org", "alice@example.org")
        .replace("x@example.org", "bob@example.org")
        .replace("guest@elsewhere.example", "a.martin@example.org");
    world.bob().put(&format!("{BOBS}meet.ics"), &text).await.expect(201);
    let (path, copy) = only_event(&world.alice(), CALENDAR).await;
    world.published().await;
    let answer = copy.replace("PARTSTAT=NEEDS-ACTION:mailto:alice", "PARTSTAT=ACCEPTED:mailto:alice");
    world.alice().put(&path, &answer).await.expect(204);
    let (_, own) = only_event(&world.bob(), BOBS).await;
    assert!(line(&own, "alice").contains("PARTSTAT=ACCEPTED"), "{own}");
    assert!(line(&own, "a.martin").contains("PARTSTAT=NEEDS-ACTION"), "{own}");
    let told = world.published().await;
    assert!(told.iter().any(|m| m.payload["delivered"] == serde_json::json!(true)), "{told:?}");
    // The other address is taken off: she still comes.
    let without: String =
        own.lines().filter(|l| !l.ends_with("a.martin@example.org")).map(|l| format!("{l}\r\n")).collect();
    world.bob().put(&format!("{BOBS}meet.ics"), &without).await.expect(204);
    let (_, copy) = only_event(&world.alice(), CALENDAR).await;
    assert!(!copy.contains("STATUS:CANCELLED") && !copy.contains("a.martin"), "{copy}");
    assert!(line(&copy, "alice").contains("PARTSTAT=ACCEPTED"), "{copy}");
}

#[tokio::test]
async fn a_deleted_calendar_takes_leave_of_its_meetings() {
    let world = World::new().await;
    let work = "/calendars/65aa00000000000000000001/work/";
    world.alice().send("MKCALENDAR", work, &[], "").await.expect(201);
    world.alice().put(&format!("{work}meet.ics"), &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let his = BOBS.replace("65aa00000000000000000002/65aa00000000000000000002", "65aa00000000000000000002/his");
    world.bob().send("MKCALENDAR", &his, &[], "").await.expect(201);
    let (path, _) = only_event(&world.bob(), BOBS).await;
    world.bob().send("MOVE", &path, &[("destination", &format!("{his}meet.ics"))], "").await.expect(201);
    world.published().await;
    world.bob().delete(&his).await.expect(204);
    let told = world.published().await;
    assert_eq!(deliveries(&told), [("REPLY".to_owned(), "mailto:alice@example.org".to_owned())]);
    super::scheduling::deliver(&world, &told).await;
    let (_, own) = only_event(&world.alice(), work).await;
    assert!(line(&own, "bob").contains("PARTSTAT=DECLINED"), "{own}");
    world.alice().delete(work).await.expect(204);
    let told = world.published().await;
    assert_eq!(deliveries(&told).iter().filter(|(method, _)| method == "CANCEL").count(), 3);
    super::scheduling::deliver(&world, &told).await;
    assert!(only_event(&world.as_user("carol@example.org"), CAROLS).await.1.contains("STATUS:CANCELLED"));
}

#[tokio::test]
async fn a_calendar_can_be_deleted_in_silence() {
    let world = World::new().await;
    let work = "/calendars/65aa00000000000000000001/work/";
    world.alice().send("MKCALENDAR", work, &[], "").await.expect(201);
    world.alice().put(&format!("{work}meet.ics"), &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    world.published().await;
    world.alice().send("DELETE", work, &[("schedule-reply", "F")], "").await.expect(204);
    assert_eq!(deliveries(&world.published().await), []);
}
