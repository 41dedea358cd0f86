//! Schedule-Tag: writes that meet answers (RFC 6638 §3.2.10).

use super::scheduling::{BOBS, meeting, only_event};
use super::{CALENDAR, World, event};

const MEET: &str = "/calendars/65aa00000000000000000001/65aa00000000000000000001/meet.ics";

async fn tag_of(world: &World, email: &str, path: &str) -> String {
    let answer = world.as_user(email).get(path).await.expect(200);
    answer.header("schedule-tag").unwrap_or_else(|| panic!("{path} has no Schedule-Tag")).to_owned()
}

async fn accept(world: &World) {
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let accepted = copy.replace("PARTSTAT=NEEDS-ACTION:mailto:bob", "PARTSTAT=ACCEPTED:mailto:bob");
    world.bob().put(&path, &accepted).await.expect(204);
}

#[tokio::test]
async fn the_tag_stays_when_an_answer_arrives_and_changes_with_the_event() {
    let world = World::new().await;
    let put = world.alice().put(MEET, &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let tag = put.header("schedule-tag").unwrap().to_owned();
    assert_eq!(tag_of(&world, "alice@example.org", MEET).await, tag);
    let found = world.alice().propfind(MEET, "0", "<cal:schedule-tag/>").await.responses();
    assert!(found.contains(&format!("<cal:schedule-tag>{}</cal:schedule-tag>", tag.replace('"', "&quot;"))), "{found}");
    let head = world.alice().send("HEAD", MEET, &[], "").await.expect(200);
    assert_eq!(head.header("schedule-tag"), Some(&*tag));
    let carols = only_event(&world.as_user("carol@example.org"), super::scheduling::CAROLS).await.0;
    let carols_tag = tag_of(&world, "carol@example.org", &carols).await;
    let etag = world.alice().get(MEET).await.header("etag").unwrap().to_owned();

    accept(&world).await;
    assert_eq!(tag_of(&world, "alice@example.org", MEET).await, tag);
    assert_ne!(world.alice().get(MEET).await.header("etag").unwrap(), etag);
    assert_eq!(tag_of(&world, "carol@example.org", &carols).await, carols_tag, "bob's answer is nothing to her client");

    let moved = meeting(1, "20300106T100000Z", "NEEDS-ACTION");
    let put = world.alice().put(MEET, &moved).await.expect(204);
    assert_ne!(put.header("schedule-tag").unwrap(), tag);
    assert_ne!(tag_of(&world, "carol@example.org", &carols).await, carols_tag);
}

#[tokio::test]
async fn what_is_not_scheduled_has_no_tag() {
    let world = World::new().await;
    let path = format!("{CALENDAR}lunch.ics");
    let put = world.alice().put(&path, &event("lunch", "20300106T090000Z")).await.expect(201);
    assert_eq!(put.header("schedule-tag"), None);
    assert_eq!(world.alice().get(&path).await.header("schedule-tag"), None);
    let with_tag = [("if-schedule-tag-match", "\"x\"")];
    world.alice().send("PUT", &path, &with_tag, &event("lunch", "20300107T090000Z")).await.expect(412);
}

#[tokio::test]
async fn a_late_organizer_does_not_undo_an_answer() {
    let world = World::new().await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    let put = world.alice().put(MEET, &text).await.expect(201);
    let tag = put.header("schedule-tag").unwrap().to_owned();
    accept(&world).await;
    let renamed = text.replace("SUMMARY:Planning", "SUMMARY:Budget");
    let put = world.alice().send("PUT", MEET, &[("if-schedule-tag-match", &tag)], &renamed).await.expect(204);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(own.contains("SUMMARY:Budget"), "{own}");
    let bob = own.lines().find(|l| l.starts_with("ATTENDEE") && l.ends_with(":mailto:bob@example.org")).unwrap();
    assert!(bob.contains("PARTSTAT=ACCEPTED"), "{bob}");
    let (_, copy) = only_event(&world.bob(), BOBS).await;
    assert!(copy.contains("SUMMARY:Budget") && copy.contains("PARTSTAT=ACCEPTED:mailto:bob"), "{copy}");
    // The tag that was right before the event changed is not right any more.
    let old = [("if-schedule-tag-match", tag.as_str())];
    assert_ne!(put.header("schedule-tag").unwrap(), tag);
    let refused = world.alice().send("PUT", MEET, &old, &text).await.expect(412);
    assert!(refused.body.contains("If-Schedule-Tag-Match"), "{}", refused.body);
    world.alice().send("DELETE", MEET, &old, "").await.expect(412);
    let to = [
        ("if-schedule-tag-match", tag.as_str()),
        ("destination", "/calendars/65aa00000000000000000001/65aa00000000000000000001/m.ics"),
    ];
    world.alice().send("MOVE", MEET, &to, "").await.expect(412);
    let new = put.header("schedule-tag").unwrap().to_owned();
    world.alice().send("DELETE", MEET, &[("if-schedule-tag-match", &new)], "").await.expect(204);
    world.alice().send("DELETE", MEET, &[("if-schedule-tag-match", &new)], "").await.expect(412);
}

#[tokio::test]
async fn a_moved_object_keeps_its_tag() {
    let world = World::new().await;
    let put = world.alice().put(MEET, &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let tag = put.header("schedule-tag").unwrap().to_owned();
    world.published().await;
    let work = "/calendars/65aa00000000000000000001/work/";
    world.alice().send("MKCALENDAR", work, &[], "").await.expect(201);
    world.published().await;
    let to = format!("{work}meet.ics");
    let moved = world.alice().send("MOVE", MEET, &[("destination", &to)], "").await.expect(201);
    assert_eq!(moved.header("schedule-tag"), Some(&*tag));
    assert_eq!(tag_of(&world, "alice@example.org", &to).await, tag);
    assert_eq!(super::scheduling::deliveries(&world.published().await), []);
}
