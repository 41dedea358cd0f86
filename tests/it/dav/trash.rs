//! What was deleted, and the way back.

use convoke::dav::server::Settings;
use convoke::store::{DavStore, Purge, TrashView, TrashedThing, Upkeep};
use serde_json::Value;

use super::scheduling::{BOBS, deliver, meeting, only_event};
use super::{ALICE, BOB, CALENDAR, World, event};

const TRASH: &str = "/trash/65aa00000000000000000001/";
const BOOK: &str = "/addressbooks/65aa00000000000000000001/contacts/";
const WORK: &str = "/calendars/65aa00000000000000000001/work/";

async fn listed(world: &World) -> Vec<Value> {
    let list = world.alice().get(TRASH).await.expect(200);
    assert_eq!(list.header("content-type"), Some("application/json; charset=utf-8"));
    let list: Value = serde_json::from_str(&list.body).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn at(item: &Value) -> String {
    format!("{TRASH}{}", item["id"].as_str().unwrap())
}

async fn restored(world: &World, item: &Value) -> String {
    let answer = world.alice().send("POST", &at(item), &[], "").await.expect(201);
    let href = answer.header("location").unwrap().to_owned();
    assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["href"], href);
    href
}

#[tokio::test]
async fn a_deleted_event_comes_back_under_its_name() {
    let world = World::new().await;
    let (alice, text) = (world.alice(), event("a", "20300101T090000Z"));
    alice.put(&format!("{CALENDAR}a.ics"), &text).await.expect(201);
    let before = world.published().await;
    alice.delete(&format!("{CALENDAR}a.ics")).await.expect(204);
    assert_eq!(world.topics().await, ["calendar:event:alarm:deleted", "calendar:event:deleted"]);
    alice.get(&format!("{CALENDAR}a.ics")).await.expect(404);

    let items = listed(&world).await;
    assert_eq!(items.len(), 1);
    let item = &items[0];
    assert_eq!(item["collection"], CALENDAR);
    assert_eq!(item["name"], "a.ics");
    assert_eq!(item["type"], "VEVENT");
    assert_eq!(item["summary"], "Lunch");
    assert_eq!(item["deleted"], "2026-11-21T06:20:15Z");
    assert_eq!(item["until"], "2026-12-21T06:20:15Z");
    assert_eq!(alice.get(&at(item)).await.expect(200).body, text);
    let entries = world.sqlite.trash(ALICE.parse().unwrap(), TrashView::Deleted, None, 9).await.unwrap();
    let summary = Some("Lunch".to_owned());
    assert!(
        matches!(&entries[0].what, TrashedThing::Object { summary: kept, .. } if *kept == summary),
        "the list need not read the text: {entries:?}"
    );

    assert_eq!(restored(&world, item).await, format!("{CALENDAR}a.ics"));
    assert_eq!(alice.get(&format!("{CALENDAR}a.ics")).await.expect(200).body, text);
    let published = world.published().await;
    let topics = |messages: &[convoke::events::Message]| messages.iter().map(|m| m.topic.name()).collect::<Vec<_>>();
    assert_eq!(topics(&published), topics(&before), "as a new object tells");
    assert!(listed(&world).await.is_empty());
    alice.send("POST", &at(item), &[], "").await.expect(404);
}

#[tokio::test]
async fn clients_see_the_deletion_and_the_return_and_nothing_of_the_trash() {
    let world = World::new().await;
    let alice = world.alice();
    alice.put(&format!("{CALENDAR}a.ics"), &event("a", "20300101T090000Z")).await.expect(201);
    let sync = async |token: &str| {
        let body = format!("<d:sync-token>{token}</d:sync-token><d:sync-level>1</d:sync-level><d:prop/>");
        alice.report(CALENDAR, "d:sync-collection", &body).await.expect(207).body
    };
    let token = |body: &str| body.split("<d:sync-token>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let first = token(&sync("").await);
    alice.delete(&format!("{CALENDAR}a.ics")).await.expect(204);
    let gone = sync(&first).await;
    assert!(gone.contains("a.ics</d:href><d:status>HTTP/1.1 404"), "{gone}");
    let item = &listed(&world).await[0];
    restored(&world, item).await;
    let back = sync(&token(&gone)).await;
    assert!(back.contains("a.ics") && !back.contains("404 Not Found</d:status></d:response>"), "{back}");
    for path in ["/", "/calendars/65aa00000000000000000001/"] {
        let listing = alice.propfind(path, "1", "<d:resourcetype/>").await.expect(207).body;
        assert!(!listing.contains("trash"), "{listing}");
    }
}

#[tokio::test]
async fn a_name_that_is_taken_gives_way_and_a_uid_does_not() {
    let world = World::new().await;
    let alice = world.alice();
    let put = async |name: &str, uid: &str| {
        alice.put(&format!("{CALENDAR}{name}"), &event(uid, "20300101T090000Z")).await.expect(201)
    };
    put("a.ics", "a").await;
    alice.delete(&format!("{CALENDAR}a.ics")).await.expect(204);
    let item = listed(&world).await.remove(0);
    put("a.ics", "other").await;
    assert_eq!(restored(&world, &item).await, format!("{CALENDAR}a-2.ics"));

    alice.delete(&format!("{CALENDAR}a-2.ics")).await.expect(204);
    put("b.ics", "a").await;
    let item = listed(&world).await.remove(0);
    let refused = alice.send("POST", &at(&item), &[], "").await.expect(403);
    assert!(refused.body.contains("<cal:no-uid-conflict") && refused.body.contains("b.ics"), "{}", refused.body);
    assert_eq!(listed(&world).await, [item], "it is still there");
}

#[tokio::test]
async fn a_deleted_calendar_comes_back_with_properties_and_objects() {
    let world = World::new().await;
    let alice = world.alice();
    let body = "<cal:mkcalendar xmlns:d=\"DAV:\" xmlns:cal=\"urn:ietf:params:xml:ns:caldav\"><d:set><d:prop>\
        <d:displayname>Work</d:displayname><x xmlns=\"urn:x\">dead</x></d:prop></d:set></cal:mkcalendar>";
    alice.send("MKCALENDAR", WORK, &[], body).await.expect(201);
    for n in 0..250 {
        let start = format!("20300101T09{:02}00Z", n % 60);
        alice.put(&format!("{WORK}{n}.ics"), &event(&n.to_string(), &start)).await.expect(201);
    }
    alice.delete(&format!("{WORK}0.ics")).await.expect(204);
    let before = alice.contents(WORK).await;
    world.published().await;
    alice.delete(WORK).await.expect(204);
    let told = world.topics().await;
    assert_eq!(told.len(), 2 * 249 + 1, "search and alarms forget each of them");
    alice.get(WORK).await.expect(404);
    let items = listed(&world).await;
    assert_eq!(items.len(), 2, "the event that went alone, and the calendar with all that was in it");
    // The calendar first: an object needs a place.
    let single = items.iter().find(|item| item["type"] == "VEVENT").unwrap();
    let whole = items.iter().find(|item| item["type"] == "calendar").unwrap();
    let refused = alice.send("POST", &at(single), &[], "").await.expect(409);
    assert!(refused.body.contains("restore that first"), "{}", refused.body);
    assert_eq!(whole["summary"], "Work");
    assert_eq!(restored(&world, whole).await, WORK);
    assert_eq!(world.topics().await.len(), 2 * 249 + 1);
    assert_eq!(alice.contents(WORK).await, before);
    let props = alice.propfind(WORK, "0", "<d:displayname/><x xmlns=\"urn:x\"/>").await.expect(207).body;
    assert!(props.contains("<d:displayname>Work</d:displayname>") && props.contains(">dead<"), "{props}");
    assert_eq!(restored(&world, single).await, format!("{WORK}0.ics"));
    assert!(listed(&world).await.is_empty());
}

#[tokio::test]
async fn a_calendar_whose_place_is_taken_comes_back_beside_it() {
    let world = World::new().await;
    let alice = world.alice();
    alice.send("MKCALENDAR", WORK, &[], "").await.expect(201);
    alice.put(&format!("{WORK}a.ics"), &event("a", "20300101T090000Z")).await.expect(201);
    alice.delete(WORK).await.expect(204);
    alice.send("MKCALENDAR", WORK, &[], "").await.expect(201);
    let item = listed(&world).await.remove(0);
    let beside = "/calendars/65aa00000000000000000001/work-2/";
    assert_eq!(restored(&world, &item).await, beside);
    assert_eq!(alice.contents(beside).await.len(), 1);
    assert!(alice.contents(WORK).await.is_empty());
}

#[tokio::test]
async fn cards_and_address_books_are_kept_too() {
    let world = World::new().await;
    let alice = world.alice();
    let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:Carol\r\nN:;Carol;;;\r\nEND:VCARD\r\n";
    let vcard = [("content-type", "text/vcard")];
    alice.send("PUT", &format!("{BOOK}c.vcf"), &vcard, card).await.expect(201);
    alice.delete(&format!("{BOOK}c.vcf")).await.expect(204);
    let item = listed(&world).await.remove(0);
    assert_eq!(
        (&item["summary"], &item["type"], &item["collection"]),
        (&"Carol".into(), &"VCARD".into(), &BOOK.into())
    );
    world.published().await;
    restored(&world, &item).await;
    assert_eq!(world.topics().await, ["sabre:contact:created"]);
    assert_eq!(alice.get(&format!("{BOOK}c.vcf")).await.expect(200).body, card);
}

#[tokio::test]
async fn nobody_is_invited_by_what_comes_back() {
    let world = World::new().await;
    let alice = world.alice();
    alice.put(&format!("{CALENDAR}m.ics"), &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    alice.delete(&format!("{CALENDAR}m.ics")).await.expect(204);
    let cancelled = world.bob().contents(BOBS).await;
    let inbox = world.bob().contents(&format!("/calendars/{BOB}/inbox/")).await;
    world.published().await;
    let item = listed(&world).await.remove(0);
    restored(&world, &item).await;
    assert_eq!(world.topics().await, ["calendar:event:alarm:created", "calendar:event:created"]);
    assert_eq!(world.bob().contents(BOBS).await, cancelled);
    assert_eq!(world.bob().contents(&format!("/calendars/{BOB}/inbox/")).await, inbox);
}

/// Alice's meeting, which bob accepted and she deleted and took out of the trash again; as she has it then.
async fn taken_up_again(world: &World, place: &str) -> String {
    let path = format!("{place}m.ics");
    world.alice().put(&path, &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let (bobs, copy) = only_event(&world.bob(), BOBS).await;
    world
        .bob()
        .put(&bobs, &copy.replace("PARTSTAT=NEEDS-ACTION:mailto:bob", "PARTSTAT=ACCEPTED:mailto:bob"))
        .await
        .expect(204);
    world.published().await;
    world.alice().delete(if place == CALENDAR { &path } else { place }).await.expect(204);
    // What a calendar takes along is called off by the queue.
    deliver(world, &world.published().await).await;
    let (_, copy) = only_event(&world.bob(), BOBS).await;
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
    let item = listed(world).await.remove(0);
    restored(world, &item).await;
    world.alice().get(&path).await.expect(200).body.replace("\r\n ", "")
}

#[tokio::test]
async fn a_meeting_out_of_the_trash_can_be_called_again() {
    for place in [CALENDAR, WORK] {
        let world = World::new().await;
        if place == WORK {
            world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
        }
        let text = taken_up_again(&world, place).await;
        let answer = |text: &str, who: &str| {
            let line = text.lines().find(|l| l.starts_with("ATTENDEE") && l.ends_with(who)).unwrap();
            line.split("PARTSTAT=").nth(1).unwrap().split([';', ':']).next().unwrap().to_owned()
        };
        assert_eq!(answer(&text, "bob@example.org"), "NEEDS-ACTION", "it was called off since he answered: {text}");
        assert_eq!(answer(&text, "alice@example.org"), "ACCEPTED", "{text}");
        // Her client changes a word and leaves SEQUENCE alone.
        let changed = text.replace("SUMMARY:Planning", "SUMMARY:Planning after all");
        world.alice().put(&format!("{place}m.ics"), &changed).await.expect(204);
        let (_, copy) = only_event(&world.bob(), BOBS).await;
        assert!(copy.contains("SUMMARY:Planning after all") && !copy.contains("STATUS:CANCELLED"), "{place}: {copy}");
        assert_eq!(answer(&copy, "bob@example.org"), "NEEDS-ACTION", "{copy}");
    }
}

#[tokio::test]
async fn the_trash_is_its_owners_alone() {
    let world = World::new().await;
    world.alice().put(&format!("{CALENDAR}a.ics"), &event("a", "20300101T090000Z")).await.expect(201);
    world.alice().delete(&format!("{CALENDAR}a.ics")).await.expect(204);
    let item = listed(&world).await.remove(0);
    for stranger in ["bob@example.org", "eve@other.example"] {
        let client = world.as_user(stranger);
        for (method, path) in
            [("GET", TRASH), ("DELETE", TRASH), ("GET", &at(&item)), ("POST", &at(&item)), ("DELETE", &at(&item))]
        {
            client.send(method, path, &[], "").await.expect(403);
        }
    }
    let bobs = format!("/trash/{BOB}/{}", item["id"].as_str().unwrap());
    world.bob().send("POST", &bobs, &[], "").await.expect(404);
    assert_eq!(listed(&world).await.len(), 1);
    world.alice().send("PUT", &at(&item), &[], "x").await.expect(405);
    world.alice().get(&format!("/trash/{ALICE}/nothing")).await.expect(404);
    world.alice().get(&format!("{TRASH}?limit=0")).await.expect(400);
}

#[tokio::test]
async fn the_list_comes_in_pages_and_the_trash_is_emptied() {
    let world = World::new().await;
    let alice = world.alice();
    for n in 0..5 {
        alice.put(&format!("{CALENDAR}{n}.ics"), &event(&n.to_string(), "20300101T090000Z")).await.expect(201);
        alice.delete(&format!("{CALENDAR}{n}.ics")).await.expect(204);
    }
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let page: Value =
            serde_json::from_str(&alice.get(&format!("{TRASH}?limit=2{after}")).await.expect(200).body).unwrap();
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    names.sort();
    assert_eq!(names, ["0.ics", "1.ics", "2.ics", "3.ics", "4.ics"]);
    let first = listed(&world).await.remove(0);
    alice.delete(&at(&first)).await.expect(204);
    alice.delete(&at(&first)).await.expect(404);
    assert_eq!(listed(&world).await.len(), 4);
    alice.delete(TRASH).await.expect(204);
    assert!(listed(&world).await.is_empty());
}

#[tokio::test]
async fn a_calendar_is_forgotten_with_all_that_was_in_it() {
    let world = World::new().await;
    let alice = world.alice();
    alice.send("MKCALENDAR", WORK, &[], "").await.expect(201);
    alice.put(&format!("{WORK}a.ics"), &event("a", "20300101T090000Z")).await.expect(201);
    alice.delete(WORK).await.expect(204);
    let item = listed(&world).await.remove(0);
    alice.delete(&at(&item)).await.expect(204);
    assert_eq!(world.sqlite.purge(&Purge::Home(ALICE.parse().unwrap()), 9).await.unwrap(), 0, "nothing is left");
}

#[tokio::test]
async fn a_deletion_that_broke_off_can_be_restored_or_gone_on_with() {
    let world = World::new().await;
    let alice = world.alice();
    alice.send("MKCALENDAR", WORK, &[], "").await.expect(201);
    for n in 0..3 {
        alice.put(&format!("{WORK}{n}.ics"), &event(&n.to_string(), "20300101T090000Z")).await.expect(201);
    }
    alice.delete(WORK).await.expect(204);
    // As if the process had died before the calendar itself went: it is there, with nothing in it.
    let item = listed(&world).await.remove(0);
    let home = ALICE.parse().unwrap();
    let entry = world.sqlite.trash(home, TrashView::Deleted, None, 1).await.unwrap().remove(0);
    let calendar = convoke::store::Collection {
        id: entry.collection,
        home,
        kind: entry.kind,
        uri: entry.uri,
        props: Default::default(),
        sync_token: 1,
        public_right: None,
    };
    let ops = vec![convoke::store::Op::CreateCollection(calendar)];
    world.sqlite.write(convoke::store::Batch { ops, publish: Vec::new() }).await.unwrap();
    assert_eq!(restored(&world, &item).await, WORK);
    assert_eq!(alice.contents(WORK).await.len(), 3);
    assert!(listed(&world).await.is_empty());
}

#[tokio::test]
async fn without_days_nothing_is_kept() {
    let world = World::with(Settings { trash_days: 0, ..Settings::default() }).await;
    let alice = world.alice();
    alice.put(&format!("{CALENDAR}a.ics"), &event("a", "20300101T090000Z")).await.expect(201);
    alice.delete(&format!("{CALENDAR}a.ics")).await.expect(204);
    alice.send("MKCALENDAR", WORK, &[], "").await.expect(201);
    alice.put(&format!("{WORK}b.ics"), &event("b", "20300101T090000Z")).await.expect(201);
    alice.delete(WORK).await.expect(204);
    assert!(listed(&world).await.is_empty());
}
