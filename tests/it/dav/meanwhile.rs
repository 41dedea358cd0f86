//! What a request does when somebody else changes the same things while it is at it.

use super::meddling::{Deed, When};
use super::sharing::{give, others};
use super::{BOB, CALENDAR, World, calendar, event};

const WORK: &str = "/calendars/65aa00000000000000000001/work/";

fn named(summary: &str) -> String {
    event("a", "20300101T090000Z").replace("SUMMARY:Lunch", &format!("SUMMARY:{summary}"))
}

/// A world with an event of alice, its address and its ETag.
async fn world() -> (World, String, String) {
    let world = World::new().await;
    let path = format!("{CALENDAR}a.ics");
    let put = world.alice().put(&path, &named("Lunch")).await.expect(201);
    let etag = put.header("etag").unwrap().to_owned();
    (world, path, etag)
}

#[tokio::test]
async fn an_import_overwrites_nothing_but_what_its_condition_names() {
    let (world, path, etag) = world().await;
    let meddled = world.meddled(vec![Deed::put(&path, &named("From the phone"))]);
    let import = format!("{path}?import");
    let refused = meddled.alice().send("PUT", &import, &[("if-match", &etag)], &named("From a file")).await;
    refused.expect(412);
    assert!(world.alice().get(&path).await.expect(200).body.contains("SUMMARY:From the phone"));
}

#[tokio::test]
async fn an_import_of_what_is_not_there_finds_it_there() {
    let world = World::new().await;
    let path = format!("{CALENDAR}a.ics");
    let meddled = world.meddled(vec![Deed::put(&path, &named("From the phone"))]);
    let import = format!("{path}?import");
    meddled.alice().send("PUT", &import, &[("if-none-match", "*")], &named("From a file")).await.expect(412);
    assert!(world.alice().get(&path).await.expect(200).body.contains("SUMMARY:From the phone"));
}

#[tokio::test]
async fn an_import_without_conditions_takes_the_place_of_what_came_last() {
    let (world, path, _) = world().await;
    // The same UID comes up elsewhere in the calendar while the import is at it.
    let other = format!("{CALENDAR}b.ics");
    world.alice().delete(&path).await.expect(204);
    let meddled = world.meddled(vec![Deed::put(&other, &named("From the phone"))]);
    meddled.alice().put(&format!("{path}?import"), &named("From a file")).await.expect(201);
    assert!(world.alice().get(&path).await.expect(200).body.contains("SUMMARY:From a file"));
    world.alice().get(&other).await.expect(404);
}

#[tokio::test]
async fn what_became_private_meanwhile_is_not_for_others_to_import_over() {
    let world = World::new().await;
    world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
    let path = format!("{WORK}a.ics");
    world.alice().put(&path, &named("Lunch")).await.expect(201);
    give(&world.alice(), WORK, &[("bob@example.org", "read-write")]).await.expect(200);
    let bobs = others(&world.bob(), BOB).await.remove(0);
    let private = named("Doctor").replace("SUMMARY:", "CLASS:PRIVATE\r\nSUMMARY:");
    // Under another name than the one that is written.
    let meddled = world.meddled(vec![Deed::put(&path, &private)]);
    meddled.bob().put(&format!("{bobs}b.ics?import"), &named("From a file")).await.expect(403);
    assert_eq!(world.alice().get(&path).await.expect(200).body, private);
}

#[tokio::test]
async fn what_keeps_being_changed_is_not_answered_as_gone() {
    let (world, path, _) = world().await;
    let changes = || (0..5).map(|n| Deed::put(&path, &named(&format!("Change {n}")))).collect();
    world.meddled(changes()).alice().delete(&path).await.expect(409);
    world.alice().get(&path).await.expect(200);
    let to = format!("{CALENDAR}b.ics");
    let meddled = world.meddled(changes());
    meddled.alice().send("MOVE", &path, &[("destination", &to)], "").await.expect(409);
    world.alice().get(&path).await.expect(200);
    world.alice().get(&to).await.expect(404);
}

#[tokio::test]
async fn what_is_put_into_a_calendar_at_the_last_moment_is_in_the_trash_with_it() {
    let world = World::new().await;
    world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
    let path = format!("{WORK}a.ics");
    world.alice().put(&path, &named("Lunch")).await.expect(201);
    // The deletion finds the calendar changed until it has one attempt left; then there is nothing in it, and then there is.
    let mut deeds: Vec<Deed> = (0..4).map(|n| Deed::put(&path, &named(&format!("Change {n}")))).collect();
    deeds.push(Deed { method: "DELETE", ..Deed::put(&path, "") });
    let last = calendar("VEVENT", "late", &["DTSTART:20300102T090000Z", "SUMMARY:Late"]);
    deeds.push(Deed { when: When::Look, ..Deed::put(&format!("{WORK}late.ics"), &last) });
    world.meddled(deeds).alice().delete(WORK).await.expect(204);
    world.alice().propfind(WORK, "0", "").await.expect(404);

    let list = world.alice().get("/trash/65aa00000000000000000001/").await.expect(200).body;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let whole = list["items"].as_array().unwrap().iter().find(|item| item["type"] == "calendar").unwrap();
    let id = whole["id"].as_str().unwrap();
    world.alice().send("POST", &format!("/trash/65aa00000000000000000001/{id}"), &[], "").await.expect(201);
    assert_eq!(world.alice().get(&format!("{WORK}late.ics")).await.expect(200).body, last);
}
