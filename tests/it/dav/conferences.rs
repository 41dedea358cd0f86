//! What is added to an object, and left out of it, on its way into a calendar: video conferences, and attachments within it.

use convoke::config::InlineAttachments;
use convoke::dav::server::Settings;
use serde_json::json;

use super::scheduling::itip;
use super::{CALENDAR, World, calendar};

const OPENPAAS: &str = "X-OPENPAAS-VIDEOCONFERENCE:https://meet.example.org/abc";
const RFC_7986: &str = "CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL=Join video call:https://meet.example.org/abc";

fn call(lines: &[&str]) -> String {
    let more = ["DTSTART:20300102T110000Z", "DURATION:PT1H", "SUMMARY:Call"];
    calendar("VEVENT", "call", &[&more, lines].concat())
}

async fn stored(world: &World, name: &str) -> String {
    world.alice().get(&format!("{CALENDAR}{name}")).await.expect(200).body.replace("\r\n ", "")
}

#[tokio::test]
async fn a_video_conference_is_found_by_every_client() {
    let world = World::new().await;
    let path = format!("{CALENDAR}call.ics");
    let put = world.alice().put(&path, &call(&[OPENPAAS])).await.expect(201);
    assert_eq!(put.header("etag"), None, "it is not what was sent");
    let text = stored(&world, "call.ics").await;
    assert!(text.contains(OPENPAAS) && text.contains(RFC_7986), "{text}");
    let moved = text.replace(OPENPAAS, "X-OPENPAAS-VIDEOCONFERENCE:https://meet.example.org/new");
    world.alice().put(&path, &moved).await.expect(204);
    let text = stored(&world, "call.ics").await;
    assert!(text.contains("Join video call:https://meet.example.org/new") && !text.contains("/abc"), "{text}");

    let of_program = call(&[RFC_7986]).replace("UID:call", "UID:other");
    world.alice().put(&format!("{CALENDAR}other.ics"), &of_program).await.expect(201);
    let text = stored(&world, "other.ics").await;
    assert!(text.contains(OPENPAAS), "{text}");
}

#[tokio::test]
async fn so_is_one_that_comes_by_invitation() {
    let world = World::new().await;
    let invitation = call(&[
        "ORGANIZER:mailto:guest@elsewhere.example",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:alice@example.org",
        OPENPAAS,
    ]);
    let body = json!({
        "uid": "call", "sender": "guest@elsewhere.example", "recipient": "alice@example.org",
        "ical": invitation.replace("BEGIN:VEVENT", "METHOD:REQUEST\r\nBEGIN:VEVENT"), "method": "REQUEST",
    });
    itip(&world.alice(), &body).await.expect(204);
    let contents = world.alice().contents(CALENDAR).await;
    assert!(contents[0].1.replace("\r\n ", "").contains(RFC_7986), "{contents:?}");
}

/// An event with a file in it, one that is linked, and an alarm with a sound.
fn with_files() -> String {
    call(&[
        "ATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY:aGVsbG8=",
        "ATTACH:https://files.example.org/a.txt",
        "BEGIN:VALARM",
        "UID:alarm",
        "ACTION:AUDIO",
        "TRIGGER:-PT5M",
        "ATTACH;FMTTYPE=audio/basic;ENCODING=BASE64;VALUE=BINARY:aGVsbG8=",
        "END:VALARM",
    ])
}

async fn world(inline_attachments: InlineAttachments) -> World {
    World::with(Settings { inline_attachments, ..Settings::default() }).await
}

#[tokio::test]
async fn files_within_events_are_kept_left_out_or_refused() {
    let path = format!("{CALENDAR}call.ics");
    let kept = World::new().await;
    kept.alice().put(&path, &with_files()).await.expect(201).header("etag").unwrap();
    assert_eq!(stored(&kept, "call.ics").await, with_files());

    let dropped = world(InlineAttachments::Drop).await;
    let put = dropped.alice().put(&path, &with_files()).await.expect(201);
    assert_eq!(put.header("etag"), None);
    let text = stored(&dropped, "call.ics").await;
    assert!(!text.contains("BINARY") && text.contains("ATTACH:https://files.example.org/a.txt"), "{text}");
    assert!(text.contains("ACTION:AUDIO"), "{text}");

    let refusing = world(InlineAttachments::Refuse).await;
    let refused = refusing.alice().put(&path, &with_files()).await.expect(403);
    assert!(refused.body.contains("<cal:valid-calendar-object-resource"), "{}", refused.body);
    refusing.alice().get(&path).await.expect(404);
    refusing.alice().put(&path, &call(&["ATTACH:https://files.example.org/a.txt"])).await.expect(201);
}
