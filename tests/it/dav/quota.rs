//! What a home may hold in its calendars and address books (RFC 4331).

use convoke::dav::server::Settings;
use convoke::store::HomeRoom;

use super::scheduling::{BOBS, meeting};
use super::{BOB, CALENDAR, World, event};

const HOME: &str = "/calendars/65aa00000000000000000001/";
const BOOK: &str = "/addressbooks/65aa00000000000000000001/contacts/";
const FULL: &str = "<d:quota-not-exceeded/>";

async fn with(room: HomeRoom) -> World {
    World::with(Settings { room, ..Settings::default() }).await
}

fn octets(octets: u64) -> HomeRoom {
    HomeRoom { octets: Some(octets), ..HomeRoom::default() }
}

fn quota(used: usize, left: usize) -> String {
    format!("<d:quota-used-bytes>{used}</d:quota-used-bytes><d:quota-available-bytes>{left}</d:quota-available-bytes>")
}

#[tokio::test]
async fn a_home_that_is_full_takes_nothing_more_and_says_so() {
    let (text, world) = (event("a", "20300101T090000Z"), with(octets(600)).await);
    let alice = world.alice();
    alice.put(&format!("{CALENDAR}a.ics"), &text).await.expect(201);
    let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:Carol\r\nN:;Carol;;;\r\nEND:VCARD\r\n";
    let vcard = [("content-type", "text/vcard")];
    alice.send("PUT", &format!("{BOOK}c.vcf"), &vcard, card).await.expect(201);
    let used = text.len() + card.len();
    let large = text.replace("Lunch", &"x".repeat(600));

    for refused in [
        alice.put(&format!("{CALENDAR}b.ics"), &large.replace("UID:a", "UID:b")).await,
        alice.put(&format!("{CALENDAR}a.ics"), &large).await,
        alice.put(&format!("{CALENDAR}b.ics?import"), &large.replace("UID:a", "UID:b")).await,
        alice
            .send(
                "PUT",
                &format!("{BOOK}d.vcf"),
                &vcard,
                &card.replace("Carol", &"x".repeat(300)).replace("UID:c", "UID:d"),
            )
            .await,
    ] {
        let refused = refused.expect(507);
        assert!(refused.body.contains(FULL), "{}", refused.body);
    }
    assert_eq!(alice.get(&format!("{CALENDAR}a.ics")).await.expect(200).body, text, "nothing is lost");

    let asked = "<d:quota-used-bytes/><d:quota-available-bytes/>";
    let home = alice.propfind(HOME, "1", asked).await.responses();
    assert!(
        home.contains(&format!("<d:href>{HOME}</d:href><d:propstat><d:prop>{}", quota(used, 600 - used))),
        "{home}"
    );
    let of_calendar = quota(text.len(), 600 - used);
    assert!(home.contains(&format!("<d:href>{CALENDAR}</d:href><d:propstat><d:prop>{of_calendar}")), "{home}");
    let calendar = alice.propfind(CALENDAR, "0", asked).await.responses();
    assert!(calendar.contains(&of_calendar), "{calendar}");

    // What is deleted, and is in the trash, takes no room.
    alice.delete(&format!("{CALENDAR}a.ics")).await.expect(204);
    let home = alice.propfind(HOME, "0", asked).await.responses();
    assert!(home.contains(&quota(card.len(), 600 - card.len())), "{home}");
}

#[tokio::test]
async fn what_is_put_back_must_fit() {
    let text = event("a", "20300101T090000Z");
    let world = with(octets(text.len() as u64 + 10)).await;
    let alice = world.alice();
    alice.put(&format!("{CALENDAR}a.ics"), &text).await.expect(201);
    alice.delete(&format!("{CALENDAR}a.ics")).await.expect(204);
    alice.put(&format!("{CALENDAR}b.ics"), &event("b", "20300101T090000Z")).await.expect(201);
    let list: serde_json::Value =
        serde_json::from_str(&alice.get("/trash/65aa00000000000000000001/").await.expect(200).body).unwrap();
    let item = format!("/trash/65aa00000000000000000001/{}", list["items"][0]["id"].as_str().unwrap());
    let refused = alice.send("POST", &item, &[], "").await.expect(507);
    assert!(refused.body.contains(FULL), "{}", refused.body);
    alice.delete(&format!("{CALENDAR}b.ics")).await.expect(204);
    alice.send("POST", &item, &[], "").await.expect(201);
}

#[tokio::test]
async fn without_a_limit_only_what_is_used_is_told() {
    let world = World::new().await;
    let answer = world.alice().propfind(CALENDAR, "0", "<d:quota-used-bytes/><d:quota-available-bytes/>").await;
    let answer = answer.responses();
    assert!(
        answer.contains("<d:quota-used-bytes>0</d:quota-used-bytes></d:prop><d:status>HTTP/1.1 200 OK"),
        "{answer}"
    );
    assert!(answer.contains("<d:prop><d:quota-available-bytes/></d:prop><d:status>HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn objects_and_collections_are_counted() {
    let world = with(HomeRoom { objects: Some(2), collections: Some(5), ..HomeRoom::default() }).await;
    let alice = world.alice();
    let put = async |path: &str, uid: &str| alice.put(path, &event(uid, "20300101T090000Z")).await;
    put(&format!("{CALENDAR}a.ics"), "a").await.expect(201);
    put(&format!("{CALENDAR}b.ics"), "b").await.expect(201);
    assert!(put(&format!("{CALENDAR}c.ics"), "c").await.expect(507).body.contains(FULL));
    put(&format!("{CALENDAR}b.ics"), "b").await.expect(204);
    // A calendar and two books are there, for every home has them.
    alice.send("MKCALENDAR", &format!("{HOME}1/"), &[], "").await.expect(201);
    let moved = format!("{HOME}1/a.ics");
    alice.send("MOVE", &format!("{CALENDAR}a.ics"), &[("destination", &moved)], "").await.expect(201);
    put(&format!("{CALENDAR}c.ics"), "c").await.expect(201);
    alice.send("MOVE", &moved, &[("destination", &format!("{CALENDAR}a.ics"))], "").await.expect(507);
    alice.send("MKCALENDAR", &format!("{HOME}2/"), &[], "").await.expect(201);
    assert!(alice.send("MKCALENDAR", &format!("{HOME}3/"), &[], "").await.expect(507).body.contains(FULL));
    alice.send("COPY", &format!("{HOME}1/"), &[("destination", &format!("{HOME}3/"))], "").await.expect(507);
    alice.send("MOVE", &format!("{HOME}1/"), &[("destination", &format!("{HOME}3/"))], "").await.expect(201);
}

/// Fills bob's calendar up to the last octet but a few.
async fn bob_is_full(room: usize) -> World {
    let world = with(octets(room as u64)).await;
    let small = event("filling", "20300101T090000Z");
    let filling = small.replace("Lunch", &"x".repeat(room - small.len() + "Lunch".len() - 20));
    world.bob().put(&format!("{BOBS}filling.ics"), &filling).await.expect(201);
    world
}

#[tokio::test]
async fn a_meeting_is_stored_though_an_invitee_has_no_room() {
    let world = bob_is_full(3_000).await;
    world.published().await;
    world.alice().put(&format!("{CALENDAR}m.ics"), &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    assert_eq!(world.bob().contents(BOBS).await.len(), 1, "nothing fits in");
    let published = world.published().await;
    let to_bob = published.iter().find(|m| {
        m.topic.name() == "calendar:itip:localDelivery" && m.payload["recipients"][0] == "mailto:bob@example.org"
    });
    let to_bob = to_bob.expect("the queue sees to it");
    assert_ne!(to_bob.payload["delivered"], true);
    // It says that it does not fit, and whoever delivers it sends the mail all the same.
    let envelope = serde_json::json!({
        "uid": to_bob.payload["uid"], "sender": "alice@example.org", "recipient": "bob@example.org",
        "ical": to_bob.payload["message"], "method": "REQUEST",
    });
    let refused = world.bob().send("POST", "/itip", &[], &envelope.to_string()).await.expect(507);
    assert!(refused.body.contains(FULL), "{}", refused.body);
    world.bob().delete(&format!("{BOBS}filling.ics")).await.expect(204);
    world.bob().send("POST", "/itip", &[], &envelope.to_string()).await.expect(204);
    assert_eq!(world.bob().contents(BOBS).await.len(), 1);
    assert_eq!(world.bob().contents(&format!("/calendars/{BOB}/inbox/")).await.len(), 1);
}

#[tokio::test]
async fn what_is_there_is_kept_in_step_in_a_full_home() {
    let world = with(octets(4_000)).await;
    let text = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
    world.alice().put(&format!("{CALENDAR}m.ics"), &text).await.expect(201);
    let used: usize = world.bob().contents(BOBS).await.iter().map(|(_, text)| text.len()).sum();
    let small = event("filling", "20300101T090000Z");
    let filling = small.replace("Lunch", &"x".repeat(4_000 - used - small.len() - 30));
    world.bob().put(&format!("{BOBS}filling.ics"), &filling).await.expect(201);
    let longer =
        text.replace("SEQUENCE:0", "SEQUENCE:1").replace("SUMMARY:Planning", &format!("SUMMARY:{}", "y".repeat(60)));
    world.alice().put(&format!("{CALENDAR}m.ics"), &longer).await.expect(204);
    let copies = world.bob().contents(BOBS).await;
    assert!(copies.iter().any(|(_, text)| text.replace("\r\n ", "").contains(&"y".repeat(60))), "{copies:?}");
}
