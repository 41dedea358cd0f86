//! COPY and MOVE of calendars and address books, and of objects between them (RFC 4918 §9.8, §9.9).

use convoke::config::Limits;
use convoke::dav::server::Settings;

use super::scheduling::{BOBS, deliveries, meeting, only_event};
use super::{ALICE, BOB, CALENDAR, Client, World, event, root};

fn home(name: &str) -> String {
    format!("/calendars/{ALICE}/{name}")
}

async fn relocate(client: &Client<'_>, method: &str, from: &str, to: &str, more: &[(&str, &str)]) -> u16 {
    let headers: Vec<_> = [("destination", to)].into_iter().chain(more.iter().copied()).collect();
    client.send(method, from, &headers, "").await.status.as_u16()
}

/// A calendar with two events and a property of its own.
async fn work(client: &Client<'_>) {
    let props = "<d:displayname>Work</d:displayname><note>no namespace</note>";
    let body = format!("{}<d:set><d:prop>{props}</d:prop></d:set></cal:mkcalendar>", root("cal:mkcalendar"));
    client.send("MKCALENDAR", &home("work/"), &[], &body).await.expect(201);
    client.put(&home("work/a.ics"), &event("a", "20300305T120000Z")).await.expect(201);
    client.put(&home("work/b%40x.ics"), &event("b", "20300306T120000Z")).await.expect(201);
}

#[tokio::test]
async fn a_calendar_is_moved_with_all_that_is_in_it() {
    let world = World::new().await;
    let client = world.alice();
    work(&client).await;
    let before = client.contents(&home("work/")).await;
    world.published().await;
    assert_eq!(relocate(&client, "MOVE", &home("work/"), &home("play/"), &[]).await, 201);
    client.propfind(&home("work/"), "0", "").await.expect(404);
    assert_eq!(client.contents(&home("play/")).await, before);
    let props = client.propfind(&home("play/"), "0", "<d:displayname/><note/>").await.responses();
    assert!(props.contains("<d:displayname>Work</d:displayname><note>no namespace</note>"), "{props}");
    let told: Vec<_> = world.topics().await.into_iter().filter(|t| !t.contains("alarm")).map(str::to_owned).collect();
    let count = |topic: &str| told.iter().filter(|t| *t == topic).count();
    assert_eq!(count("calendar:calendar:created"), 1, "{told:?}");
    assert_eq!(count("calendar:calendar:deleted"), 1, "{told:?}");
    assert_eq!(count("calendar:event:created"), 2, "{told:?}");
    assert_eq!(count("calendar:event:deleted"), 2, "{told:?}");
    assert_eq!(told.len(), 6, "nobody is invited: {told:?}");
}

#[tokio::test]
async fn a_calendar_is_copied_with_or_without_what_is_in_it() {
    let world = World::new().await;
    let client = world.alice();
    work(&client).await;
    let before = client.contents(&home("work/")).await;
    assert_eq!(relocate(&client, "COPY", &home("work/"), &home("deep/"), &[("depth", "infinity")]).await, 201);
    assert_eq!(relocate(&client, "COPY", &home("work/"), &home("flat/"), &[("depth", "0")]).await, 201);
    assert_eq!(relocate(&client, "COPY", &home("work/"), &home("x/"), &[("depth", "1")]).await, 400);
    assert_eq!(client.contents(&home("work/")).await, before);
    assert_eq!(client.contents(&home("deep/")).await, before);
    assert_eq!(client.contents(&home("flat/")).await, []);
    let props = client.propfind(&home("flat/"), "0", "<note/>").await.responses();
    assert!(props.contains("<note>no namespace</note>"), "{props}");
    // What is overwritten is gone, with the tokens that it issued.
    client.put(&home("deep/only.ics"), &event("only", "20300307T120000Z")).await.expect(201);
    assert_eq!(relocate(&client, "COPY", &home("work/"), &home("deep/"), &[("overwrite", "F")]).await, 412);
    assert_eq!(relocate(&client, "COPY", &home("work/"), &home("deep/"), &[("overwrite", "T")]).await, 204);
    assert_eq!(client.contents(&home("deep/")).await, before);
    assert_eq!(relocate(&client, "COPY", &home("work/"), &home("deep/"), &[("overwrite", "maybe")]).await, 400);
}

#[tokio::test]
async fn what_every_home_has_stays_where_it_is() {
    let world = World::new().await;
    let client = world.alice();
    work(&client).await;
    let contacts = format!("/addressbooks/{ALICE}/contacts/");
    for (method, from, to, status) in [
        ("MOVE", CALENDAR.to_owned(), home("x/"), 403),
        ("MOVE", home("inbox/"), home("x/"), 403),
        ("COPY", home("outbox/"), home("x/"), 403),
        ("MOVE", contacts.clone(), format!("/addressbooks/{ALICE}/x/"), 403),
        ("COPY", home("work/"), CALENDAR.to_owned(), 403),
        ("COPY", home("work/"), home("inbox/"), 403),
        ("COPY", home("work/"), home("work/"), 403),
        ("COPY", home("work/"), home("work"), 403),
        ("COPY", home("work/"), home("other/inner/"), 403),
        ("COPY", home("work/"), home(""), 403),
        ("COPY", home("work/"), format!("/addressbooks/{ALICE}/x/"), 403),
        ("COPY", home("work/"), format!("/calendars/{BOB}/x/"), 403),
        ("MOVE", home(""), home("x/"), 403),
        ("MOVE", home("nothing/"), home("x/"), 404),
        ("MOVE", home("work/a.ics"), home("nothing/a.ics"), 409),
        ("COPY", contacts, format!("/addressbooks/{ALICE}/copy/"), 201),
    ] {
        assert_eq!(relocate(&client, method, &from, &to, &[]).await, status, "{method} {from} {to}");
    }
    assert_eq!(relocate(&world.bob(), "COPY", &home("work/"), &format!("/calendars/{BOB}/x/"), &[]).await, 403);
    assert_eq!(client.contents(&home("work/")).await.len(), 2);
}

#[tokio::test]
async fn a_collection_that_is_too_large_to_go_at_once_stays_whole() {
    let limits = Limits { copied_bytes: 300, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let client = world.alice();
    work(&client).await;
    assert_eq!(relocate(&client, "MOVE", &home("work/"), &home("x/"), &[]).await, 507);
    assert_eq!(client.contents(&home("work/")).await.len(), 2);
    client.propfind(&home("x/"), "0", "").await.expect(404);
}

#[tokio::test]
async fn a_collection_that_is_shared_with_too_many_to_tell_at_once_stays_whole() {
    let limits = Limits { told_bytes: 2_000, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let client = world.alice();
    work(&client).await;
    client.send("MKCALENDAR", &home("other/"), &[], "").await.expect(201);
    let people = [("bob@example.org", "read"), ("carol@example.org", "read")];
    super::sharing::give(&client, &home("work/"), &people).await.expect(200);
    world.published().await;
    // Two events, told to two people each, when it goes and when something takes its place.
    assert_eq!(relocate(&client, "MOVE", &home("work/"), &home("x/"), &[]).await, 507);
    assert_eq!(relocate(&client, "COPY", &home("other/"), &home("work/"), &[]).await, 507);
    assert_eq!(client.contents(&home("work/")).await.len(), 2);
    assert!(world.published().await.is_empty());
    assert_eq!(relocate(&client, "COPY", &home("work/"), &home("y/"), &[]).await, 201, "a copy is nobody else's");
    super::sharing::give(&client, &home("work/"), &[("bob@example.org", "no-access")]).await.expect(200);
    assert_eq!(relocate(&client, "MOVE", &home("work/"), &home("x/"), &[]).await, 201);
}

#[tokio::test]
async fn an_object_keeps_to_the_rules_wherever_it_goes() {
    let world = World::new().await;
    let client = world.alice();
    work(&client).await;
    client.send("MKCALENDAR", &home("other/"), &[], "").await.expect(201);
    // One UID in two calendars is fine, within one calendar it is a conflict; a new name is neither.
    assert_eq!(relocate(&client, "COPY", &home("work/a.ics"), &home("other/a.ics"), &[]).await, 201);
    assert_eq!(relocate(&client, "COPY", &home("work/a.ics"), &home("work/c.ics"), &[]).await, 403);
    assert_eq!(relocate(&client, "COPY", &home("work/a.ics"), &home("other/c.ics"), &[]).await, 403);
    assert_eq!(relocate(&client, "MOVE", &home("work/a.ics"), &home("work/c.ics"), &[]).await, 201);
    assert_eq!(relocate(&client, "MOVE", &home("work/c.ics"), &home("other/a.ics"), &[("overwrite", "F")]).await, 412);
    assert_eq!(relocate(&client, "MOVE", &home("work/c.ics"), &home("other/a.ics"), &[]).await, 204);
    assert_eq!(relocate(&client, "MOVE", &home("other/a.ics"), &home("other/a.ics"), &[]).await, 403);
    // `@` may be written in two ways.
    client.get(&home("work/b@x.ics")).await.expect(200);
    assert_eq!(relocate(&client, "MOVE", &home("work/b@x.ics"), &home("work/b%40x.ics"), &[]).await, 403);
    client.delete(&home("work/b@x.ics")).await.expect(204);
    client.get(&home("work/b%40x.ics")).await.expect(404);
}

#[tokio::test]
async fn only_finite_depths_are_answered() {
    let world = World::new().await;
    let client = world.alice();
    for path in ["/", CALENDAR, &home("")] {
        let refused = client.propfind(path, "infinity", "<d:resourcetype/>").await.expect(403);
        assert!(refused.body.contains("<d:propfind-finite-depth/>"), "{}", refused.body);
        client.propfind(path, "many", "<d:resourcetype/>").await.expect(400);
        client.send("PROPFIND", path, &[], "").await.expect(207);
    }
}

#[tokio::test]
async fn a_meeting_that_something_takes_the_place_of_is_called_off() {
    let world = World::new().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.put(&format!("{CALENDAR}a.ics"), &event("a", "20300305T120000Z")).await.expect(201);
    alice.put(&format!("{CALENDAR}meet.ics"), &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let over = format!("{CALENDAR}meet.ics");
    assert_eq!(relocate(&alice, "MOVE", &format!("{CALENDAR}a.ics"), &over, &[]).await, 204);
    let (_, copy) = only_event(&bob, BOBS).await;
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
    let told = deliveries(&world.published().await);
    assert!(told.contains(&("CANCEL".to_owned(), "mailto:guest@elsewhere.example".to_owned())), "{told:?}");
}

#[tokio::test]
async fn an_invitation_that_something_takes_the_place_of_is_declined() {
    let world = World::new().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.put(&format!("{CALENDAR}meet.ics"), &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let (path, _) = only_event(&bob, BOBS).await;
    bob.put(&format!("{BOBS}b.ics"), &event("b", "20300305T120000Z")).await.expect(201);
    let quiet = [("schedule-reply", "F"), ("overwrite", "F")];
    assert_eq!(relocate(&bob, "COPY", &format!("{BOBS}b.ics"), &path, &quiet).await, 412);
    assert_eq!(relocate(&bob, "MOVE", &format!("{BOBS}b.ics"), &path, &[]).await, 204);
    let (_, own) = only_event(&alice, CALENDAR).await;
    assert!(own.contains("PARTSTAT=DECLINED"), "{own}");
    assert!(bob.get(&path).await.expect(200).body.contains("UID:b"));
}

#[tokio::test]
async fn meetings_of_a_calendar_that_another_takes_the_place_of_are_called_off() {
    let world = World::new().await;
    let (alice, bob) = (world.alice(), world.bob());
    work(&alice).await;
    alice.send("MKCALENDAR", &home("other/"), &[], "").await.expect(201);
    alice.put(&home("other/meet.ics"), &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    alice.put(&home("other/a.ics"), &event("a", "20300305T120000Z")).await.expect(201);
    assert_eq!(relocate(&alice, "COPY", &home("work/"), &home("other/"), &[]).await, 204);
    let (_, copy) = only_event(&bob, BOBS).await;
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
    // The same meetings, somewhere else, are not.
    alice
        .put(&home("work/meet.ics"), &meeting(0, "20300106T090000Z", "NEEDS-ACTION").replace("UID:meet", "UID:b2"))
        .await
        .expect(201);
    world.published().await;
    assert_eq!(relocate(&alice, "MOVE", &home("work/"), &home("other/"), &[]).await, 204);
    assert!(deliveries(&world.published().await).is_empty());
}
