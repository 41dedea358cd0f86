//! What one write may tell everybody who is invited: the text once, and no more octets than the limit.

use convoke::config::Limits;
use convoke::dav::server::Settings;

use super::scheduling::{BOBS, only_event, topics};
use super::{CALENDAR, World, calendar};

const WORK: &str = "/calendars/65aa00000000000000000001/work/";

/// A meeting of alice with bob and so many from elsewhere, with a description of so many octets.
fn meeting(uid: &str, guests: usize, octets: usize) -> String {
    let mut lines = vec![
        "DTSTART:20300106T090000Z".to_owned(),
        "DURATION:PT1H".to_owned(),
        "SUMMARY:Planning".to_owned(),
        format!("DESCRIPTION:{}", "x".repeat(octets)),
        "ORGANIZER:mailto:alice@example.org".to_owned(),
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org".to_owned(),
    ];
    lines.extend((0..guests).map(|n| format!("ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:guest{n}@elsewhere.example")));
    calendar("VEVENT", uid, &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

async fn limited(message_bytes: u64, immediate_bytes: u64) -> World {
    let limits = Limits { message_bytes, immediate_bytes, ..Limits::default() };
    World::with(Settings { limits, ..Settings::default() }).await
}

/// Octets of the database and its log.
fn stored(world: &World) -> u64 {
    let files = std::fs::read_dir(world._dir.path()).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn what_is_too_large_for_so_many_is_refused() {
    let world = limited(100_000, 8 << 20).await;
    let alice = world.alice();
    let path = format!("{CALENDAR}m.ics");
    let refused = alice.put(&path, &meeting("m", 50, 5_000)).await.expect(403);
    assert!(refused.body.contains("<cal:max-resource-size ") && refused.body.contains("51 people"), "{}", refused.body);
    alice.get(&path).await.expect(404);
    alice.put(&path, &meeting("m", 5, 5_000)).await.expect(201);
    // With what it was before it is twice as much.
    alice.put(&path, &meeting("m", 15, 5_000)).await.expect(403);
    alice.put(&path, &meeting("m", 6, 5_000)).await.expect(204);
    // Nobody is told of what is nobody's meeting, or is not to be told of.
    let own = meeting("own", 0, 200_000).replace("ORGANIZER:mailto:alice", "X-A:").replace("ATTENDEE", "X-B");
    alice.put(&format!("{CALENDAR}own.ics"), &own).await.expect(201);
    let quiet = [("schedule-reply", "F")];
    alice.send("PUT", &format!("{CALENDAR}q.ics"), &quiet, &meeting("q", 50, 5_000)).await.expect(201);
}

#[tokio::test]
async fn an_answer_to_a_large_meeting_is_one_message() {
    let world = limited(40_000, 8 << 20).await;
    world.alice().put(&format!("{CALENDAR}m.ics"), &meeting("m", 1, 10_000)).await.expect(201);
    let (path, copy) = only_event(&world.bob(), BOBS).await;
    let accepted = copy.replace("PARTSTAT=NEEDS-ACTION:mailto:bob", "PARTSTAT=ACCEPTED:mailto:bob");
    world.bob().put(&path, &accepted).await.expect(204);
    let (_, own) = only_event(&world.alice(), CALENDAR).await;
    assert!(own.contains("PARTSTAT=ACCEPTED"), "{own}");
}

#[tokio::test]
async fn a_deletion_tells_when_it_was_and_not_what() {
    let world = limited(100_000, 8 << 20).await;
    let alice = world.alice();
    let path = format!("{CALENDAR}m.ics");
    // It came by an import: to invite so many with it would be too much, to call it off is not.
    alice.put(&format!("{path}?import"), &meeting("m", 50, 50_000)).await.expect(201);
    world.published().await;
    alice.delete(&path).await.expect(204);
    let told = world.published().await;
    let told: Vec<_> = told.iter().filter(|m| m.topic.name() == "calendar:itip:localDelivery").collect();
    assert_eq!(told.len(), 51);
    for message in told {
        let deleted = message.payload["deletedObject"].as_str().unwrap();
        assert!(deleted.contains("DTSTART:20300106T090000Z") && !deleted.contains("DESCRIPTION"), "{deleted}");
        assert!(message.payload["message"].as_str().unwrap().contains("METHOD:CANCEL"));
    }
}

#[tokio::test]
async fn a_deletion_that_tells_too_much_says_how_it_goes_without() {
    let world = limited(20_000, 8 << 20).await;
    let alice = world.alice();
    for calendar in [CALENDAR, WORK] {
        if calendar == WORK {
            alice.send("MKCALENDAR", WORK, &[], "").await.expect(201);
        }
        alice.put(&format!("{calendar}m.ics?import"), &meeting("m", 100, 10)).await.expect(201);
        world.published().await;
        if calendar == WORK {
            // The calendar goes, and so does what is in it.
            alice.delete(WORK).await.expect(204);
            let told = world.published().await;
            assert!(!topics(&told).contains(&"calendar:itip:localDelivery") && told.len() == 3, "{:?}", topics(&told));
            continue;
        }
        let path = format!("{calendar}m.ics");
        let refused = alice.delete(&path).await.expect(403);
        assert!(refused.body.contains("Schedule-Reply: F"), "{}", refused.body);
        alice.send("DELETE", &path, &[("schedule-reply", "F")], "").await.expect(204);
    }
}

#[tokio::test]
async fn what_is_large_reaches_people_by_the_queue() {
    let world = limited(512 << 20, 30_000).await;
    let three = |uid: &str, octets: usize| {
        let text = meeting(uid, 0, octets);
        text.replace("mailto:bob@example.org", "mailto:bob@example.org\r\nATTENDEE:mailto:carol@example.org")
    };
    let statuses = async |name: &str| {
        let text = world.alice().get(&format!("{CALENDAR}{name}")).await.expect(200).body.replace("\r\n ", "");
        let lines = text.lines().filter(|line| line.starts_with("ATTENDEE"));
        lines.map(|line| line.split("SCHEDULE-STATUS=").nth(1).unwrap()[..3].to_owned()).collect::<Vec<_>>()
    };
    world.alice().put(&format!("{CALENDAR}small.ics"), &three("small", 1_000)).await.expect(201);
    assert_eq!(statuses("small.ics").await, ["1.2", "1.2"]);
    world.alice().put(&format!("{CALENDAR}large.ics"), &three("large", 40_000)).await.expect(201);
    assert_eq!(statuses("large.ics").await, ["1.2", "1.0"], "the first, and the others by the queue");
}

#[tokio::test]
async fn what_many_are_told_is_stored_once() {
    let world = World::new().await;
    let path = format!("{CALENDAR}m.ics");
    world.alice().put(&path, &meeting("m", 200, 100_000)).await.expect(201);
    let changed = meeting("m", 200, 100_000).replace("SUMMARY:Planning", "SUMMARY:Planning more");
    world.alice().put(&path, &changed).await.expect(204);
    let octets = stored(&world);
    let told = world.published().await;
    let texts: u64 = told.iter().map(|m| m.payload["message"].as_str().map_or(0, str::len) as u64).sum();
    assert!(texts > 400 * 100_000, "everybody gets the whole: {texts}");
    assert!(octets < 20_000_000, "the database has {octets}");
}
