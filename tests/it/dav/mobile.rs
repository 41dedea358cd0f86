//! Names of calendars and address books for programs that show them as they come.

use convoke::store::{CollectionKind, PublicRight};

use super::sharing::{give, publish, subscribe};
use super::{ALICE, BOB, CALENDAR, Client, World};

const PHONE: &str = "DAVx5/4.5 (dav4jvm; okhttp/5.1.0) Android/15";

/// The names in a home, as they are told to a program, without those of what has none.
async fn names(client: &Client<'_>, home: &str, agent: &str, props: &str) -> Vec<String> {
    let body = format!("{}<d:prop>{props}</d:prop></d:propfind>", super::root("d:propfind"));
    let headers = [("depth", "1"), ("user-agent", agent)];
    let told = client.send("PROPFIND", home, &headers, &body).await.responses();
    let found =
        told.split("<d:displayname>").skip(1).map(|rest| rest.split("</d:displayname>").next().unwrap().to_owned());
    found.filter(|name| !name.is_empty()).collect()
}

const ASKED: &str = "<d:displayname/><d:resourcetype/>";

#[tokio::test]
async fn calendars_go_by_names_that_say_enough() {
    let world = World::new().await;
    let bobs = format!("/calendars/{BOB}/");
    world.alice().send("MKCALENDAR", &format!("/calendars/{ALICE}/work/"), &[], "").await.expect(201);
    give(&world.alice(), CALENDAR, &[("bob@example.org", "read")]).await.expect(200);
    publish(&world, CollectionKind::Calendar, "work", Some(PublicRight::Read)).await;
    subscribe(&world.bob(), &format!("{bobs}sub/"), &format!("/calendars/{ALICE}/work/")).await.expect(201);

    let told = names(&world.bob(), &bobs, PHONE, ASKED).await;
    assert_eq!(told, ["My agenda", "Agenda - Alice Martin", "Theirs - Alice Martin"]);
    assert_eq!(names(&world.bob(), &bobs, "Mozilla/5.0 Thunderbird/128.0", ASKED).await, told);
    // Others know what #default stands for, and who only wants names is told those that there are.
    let plain = ["#default", "#default", "Theirs"];
    assert_eq!(names(&world.bob(), &bobs, "macOS/15.1 CalendarAgent/1", ASKED).await, plain);
    assert_eq!(names(&world.bob(), &bobs, PHONE, "<d:displayname/>").await, plain);
}

#[tokio::test]
async fn address_books_do_too() {
    let world = World::new().await;
    let alices = format!("/addressbooks/{ALICE}/");
    let mut told = names(&world.alice(), &alices, PHONE, ASKED).await;
    told.sort();
    assert_eq!(told, ["My Collected Contacts", "My Contacts"]);
    give(&world.alice(), &format!("{alices}contacts/"), &[("bob@example.org", "read")]).await.expect(200);
    let told = names(&world.bob(), &format!("/addressbooks/{BOB}/"), PHONE, ASKED).await;
    assert!(told.contains(&"Contacts - Alice Martin".to_owned()), "{told:?}");
}
