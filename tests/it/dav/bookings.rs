//! What a room has answered, when the meeting is another one later: nothing is kept that somebody else may have by now.

use super::resources::{HALL, ROOM, answer, book, booking, calendar_of, mail_of, world};
use super::scheduling::only_event;
use super::{ALICE, CALENDAR};

/// A Monday meeting in a room whose second occurrence is moved to the Tuesday, as series and as override.
fn weekly(uid: &str, room: &str) -> (String, String) {
    let booking = |start: &str, more: &[&str]| booking(uid, "alice@example.org", room, start, more);
    let series = booking("20300107T090000Z", &["RRULE:FREQ=WEEKLY;COUNT=10"]);
    let moved = booking("20300115T090000Z", &["RECURRENCE-ID:20300114T090000Z"]);
    let moved = &moved[moved.find("BEGIN:VEVENT").unwrap()..moved.find("END:VCALENDAR").unwrap()];
    let whole = series.replace("END:VCALENDAR", &format!("{moved}END:VCALENDAR"));
    (series, whole)
}

/// The same text after every resource in it accepted.
fn accepted(text: &str) -> String {
    text.replace("CUTYPE=RESOURCE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE", "CUTYPE=RESOURCE;PARTSTAT=ACCEPTED")
}

#[tokio::test]
async fn an_occurrence_that_moves_back_finds_the_room_taken() {
    let world = world().await;
    let path = format!("{CALENDAR}weekly.ics");
    let (series, whole) = weekly("weekly", ROOM);
    world.alice().put(&path, &whole).await.expect(201);
    assert_eq!(answer(&world, "weekly.ics", ROOM).await, "ACCEPTED ACCEPTED");
    // Its Monday is free, and somebody takes it.
    assert_eq!(book(&world, "other.ics", "20300114T090000Z", &[]).await, "ACCEPTED");
    world.alice().put(&path, &accepted(&series)).await.expect(204);
    assert_eq!(answer(&world, "weekly.ics", ROOM).await, "DECLINED", "both would be in the room on Monday the 14th");
}

#[tokio::test]
async fn an_occurrence_that_moves_back_onto_free_time_keeps_the_room() {
    let world = world().await;
    let path = format!("{CALENDAR}weekly.ics");
    let (series, whole) = weekly("weekly", ROOM);
    world.alice().put(&path, &whole).await.expect(201);
    world.alice().put(&path, &accepted(&series)).await.expect(204);
    assert_eq!(answer(&world, "weekly.ics", ROOM).await, "ACCEPTED");
    assert_eq!(book(&world, "other.ics", "20300114T090000Z", &[]).await, "DECLINED");
    assert_eq!(book(&world, "tuesday.ics", "20300115T090000Z", &[]).await, "ACCEPTED");
}

#[tokio::test]
async fn an_administrator_is_asked_about_an_occurrence_that_moves_back() {
    let world = world().await;
    let path = format!("{CALENDAR}weekly.ics");
    let (series, whole) = weekly("weekly", HALL);
    world.alice().put(&path, &whole).await.expect(201);
    let (copy_path, copy) = only_event(&world.as_user(&mail_of(HALL)), &calendar_of(HALL)).await;
    let carol = world.as_user("carol@example.org");
    carol.put(&copy_path, &copy.replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED")).await.expect(204);
    assert_eq!(answer(&world, "weekly.ics", HALL).await, "ACCEPTED ACCEPTED");
    // Another word leaves the answer as it is.
    let word = accepted(&whole).replace("SUMMARY:Planning", "SUMMARY:Planning more");
    world.alice().put(&path, &word).await.expect(204);
    assert_eq!(answer(&world, "weekly.ics", HALL).await, "ACCEPTED ACCEPTED");
    world.alice().put(&path, &accepted(&series)).await.expect(204);
    assert_eq!(answer(&world, "weekly.ics", HALL).await, "NEEDS-ACTION");
}

#[tokio::test]
async fn a_meeting_that_was_called_off_has_no_room_any_more() {
    let world = world().await;
    let path = format!("{CALENDAR}meet.ics");
    assert_eq!(book(&world, "meet.ics", "20300106T090000Z", &[]).await, "ACCEPTED");
    let stored = world.alice().get(&path).await.expect(200).body;
    let off = stored.replace("SUMMARY:Planning", "STATUS:CANCELLED\r\nSUMMARY:Planning");
    world.alice().put(&path, &off).await.expect(204);
    assert_eq!(book(&world, "other.ics", "20300106T090000Z", &[]).await, "ACCEPTED");
    world.alice().put(&path, &stored).await.expect(204);
    assert_eq!(answer(&world, "meet.ics", ROOM).await, "DECLINED");
}

#[tokio::test]
async fn a_meeting_that_is_taken_up_again_is_the_administrators_to_decide() {
    let world = world().await;
    let path = format!("{CALENDAR}hall.ics");
    let text = booking("hall", "alice@example.org", HALL, "20300106T090000Z", &[]);
    world.alice().put(&path, &text).await.expect(201);
    let (copy_path, copy) = only_event(&world.as_user(&mail_of(HALL)), &calendar_of(HALL)).await;
    let carol = world.as_user("carol@example.org");
    carol.put(&copy_path, &copy.replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED")).await.expect(204);
    let stored = world.alice().get(&path).await.expect(200).body;
    assert_eq!(answer(&world, "hall.ics", HALL).await, "ACCEPTED");
    let off = stored.replace("SUMMARY:Planning", "STATUS:CANCELLED\r\nSUMMARY:Planning");
    world.alice().put(&path, &off).await.expect(204);
    world.alice().put(&path, &stored).await.expect(204);
    assert_eq!(answer(&world, "hall.ics", HALL).await, "NEEDS-ACTION");
}

#[tokio::test]
async fn a_meeting_out_of_the_trash_has_no_room_any_more() {
    let world = world().await;
    let path = format!("{CALENDAR}meet.ics");
    assert_eq!(book(&world, "meet.ics", "20300106T090000Z", &[]).await, "ACCEPTED");
    world.alice().delete(&path).await.expect(204);
    assert_eq!(book(&world, "other.ics", "20300106T090000Z", &[]).await, "ACCEPTED");
    let list = world.alice().get(&format!("/trash/{ALICE}/")).await.expect(200).body;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let id = list["items"][0]["id"].as_str().unwrap();
    world.alice().send("POST", &format!("/trash/{ALICE}/{id}"), &[], "").await.expect(201);
    assert_eq!(answer(&world, "meet.ics", ROOM).await, "NEEDS-ACTION");
    let stored = world.alice().get(&path).await.expect(200).body;
    world.alice().put(&path, &stored.replace("SUMMARY:Planning", "SUMMARY:Planning more")).await.expect(204);
    assert_eq!(answer(&world, "meet.ics", ROOM).await, "DECLINED");
}
