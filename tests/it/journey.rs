//! The first whole journey, through the public surfaces.

use convoke::cli::play::{Caldav, Narrator, journey};

use crate::world::{ALICE, BOB, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_goes_all_the_way_and_back() {
    let world = World::start().await;
    let mut told = Vec::new();
    let outcome = journey(&world.surfaces(), ALICE, BOB, &world.http, &world.env, &mut Narrator::new(&mut told)).await;
    let told = String::from_utf8(told).unwrap();
    assert!(outcome.is_ok(), "{told}\n{:#}", outcome.unwrap_err());
    for expected in
        ["NEEDS-ACTION", "[fr]", "[en]", "method=REQUEST", "method=REPLY", "method=CANCEL", "SEQUENCE 0 -> 1"]
    {
        assert!(told.contains(expected), "the story lacks {expected}:\n{told}");
    }
    world.demo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_keeps_the_data() {
    let world = World::start().await;
    let session = world.sign_in(ALICE).await;
    let (uid, path) = {
        let public = world.public();
        let client = Caldav::new(&world.http, &public, &session.access_token);
        let home = client.discover_home().await.unwrap().pop().unwrap();
        let calendar = client.calendars(&home).await.unwrap().remove(0);
        let uid = world.env.uuid().to_string();
        let path = format!("{calendar}{uid}.ics");
        client.put(&path, &event(&uid), ("If-None-Match", "*")).await.unwrap();
        (uid, path)
    };

    let world = world.restart().await;
    // The old token stays good: the provider kept its keys.
    let public = world.public();
    let client = Caldav::new(&world.http, &public, &world.sign_in(ALICE).await.access_token);
    assert_eq!(client.get(&path).await.unwrap().data, event(&uid));
    world.demo.stop().await;
}

/// An event without guests.
pub fn event(uid: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example.org//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20300101T000000Z\r\nDTSTART:20300107T090000Z\r\nDTEND:20300107T100000Z\r\nSUMMARY:Alone\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}
