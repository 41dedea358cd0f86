//! Groups that follow from what was shared: who acts for whom, as calendarserver's clients ask for it, and who is of a team.

use super::sharing::{give, others};
use super::{ALICE, BOB, CALENDAR, CAROL, Client, World, root};

const OF_ALICE: &str = "/principals/users/65aa00000000000000000001/";

/// The addresses in one property of a principal.
async fn addresses(client: &Client<'_>, path: &str, property: &str) -> Vec<String> {
    let told = client.propfind(path, "0", &format!("<{property}/>")).await.responses();
    let (_, propstat) = told.split_once("</d:href>").unwrap();
    let value = propstat.split_once(&format!("<{property}>")).map_or("", |(_, rest)| rest);
    let value = value.split_once(&format!("</{property}>")).map_or("", |(value, _)| value);
    value.split("<d:href>").skip(1).map(|rest| rest.split("</d:href>").next().unwrap().to_owned()).collect()
}

fn user(id: &str) -> String {
    format!("/principals/users/{id}/")
}

/// Those who read and those who write for alice, as somebody is told.
async fn proxies(client: &Client<'_>) -> [Vec<String>; 2] {
    let read = addresses(client, &format!("{OF_ALICE}calendar-proxy-read/"), "d:group-member-set").await;
    [read, addresses(client, &format!("{OF_ALICE}calendar-proxy-write/"), "d:group-member-set").await]
}

/// For whom somebody reads and for whom they write, as they are told themselves.
async fn acts_for(client: &Client<'_>, id: &str) -> [Vec<String>; 2] {
    let read = addresses(client, &user(id), "cs:calendar-proxy-read-for").await;
    [read, addresses(client, &user(id), "cs:calendar-proxy-write-for").await]
}

#[tokio::test]
async fn who_was_given_somebodys_default_calendar_acts_for_them() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.alice(), world.bob(), world.as_user("carol@example.org"));
    assert_eq!(proxies(&alice).await, [Vec::<String>::new(), Vec::new()]);
    let people = [("bob@example.org", "read-write"), ("carol@example.org", "read")];
    give(&alice, CALENDAR, &people).await.expect(200);

    assert_eq!(proxies(&alice).await, [vec![user(CAROL)], vec![user(BOB)]]);
    assert_eq!(acts_for(&bob, BOB).await, [vec![], vec![OF_ALICE.to_owned()]]);
    assert_eq!(acts_for(&carol, CAROL).await, [vec![OF_ALICE.to_owned()], vec![]]);
    let groups = addresses(&bob, &user(BOB), "d:group-membership").await;
    assert_eq!(groups[1..], [format!("{OF_ALICE}calendar-proxy-write/")]);

    // Everybody else is told of nobody but themselves.
    assert_eq!(proxies(&bob).await, [vec![], vec![user(BOB)]]);
    assert_eq!(proxies(&carol).await, [vec![user(CAROL)], vec![]]);
    assert_eq!(acts_for(&alice, BOB).await, [Vec::<String>::new(), Vec::new()]);
    assert_eq!(addresses(&alice, &user(BOB), "d:group-membership").await.len(), 1);
    world.as_user("eve@other.example").propfind(&format!("{OF_ALICE}calendar-proxy-read/"), "0", "").await.expect(403);

    // Another right, none, and what its holder put away.
    give(&alice, CALENDAR, &[("bob@example.org", "freebusy"), ("carol@example.org", "administration")])
        .await
        .expect(200);
    assert_eq!(proxies(&alice).await, [vec![], vec![user(CAROL)]]);
    assert_eq!(acts_for(&bob, BOB).await, [Vec::<String>::new(), Vec::new()]);
    give(&alice, CALENDAR, &[("bob@example.org", "read"), ("carol@example.org", "no-access")]).await.expect(200);
    assert_eq!(proxies(&alice).await, [vec![user(BOB)], vec![]]);
    bob.delete(&others(&bob, BOB).await[0]).await.expect(204);
    assert_eq!(proxies(&alice).await, [Vec::<String>::new(), Vec::new()]);
    assert_eq!(acts_for(&bob, BOB).await, [Vec::<String>::new(), Vec::new()]);
}

#[tokio::test]
async fn a_calendar_besides_makes_nobody_act_for_its_owner() {
    let world = World::new().await;
    let work = format!("/calendars/{ALICE}/work/");
    world.alice().send("MKCALENDAR", &work, &[], "").await.expect(201);
    give(&world.alice(), &work, &[("bob@example.org", "read-write")]).await.expect(200);
    assert_eq!(proxies(&world.alice()).await, [Vec::<String>::new(), Vec::new()]);
    assert_eq!(acts_for(&world.bob(), BOB).await, [Vec::<String>::new(), Vec::new()]);
}

#[tokio::test]
async fn a_client_learns_the_calendars_of_those_it_acts_for_in_one_request() {
    let world = World::new().await;
    give(&world.alice(), CALENDAR, &[("bob@example.org", "read-write")]).await.expect(200);
    // As Apple's calendar asks for the delegates' accounts.
    let body = format!(
        "{}<d:property name=\"calendar-proxy-write-for\" namespace=\"http://calendarserver.org/ns/\">\
         <d:property name=\"displayname\"/>\
         <d:property name=\"calendar-home-set\" namespace=\"urn:ietf:params:xml:ns:caldav\"/></d:property>\
         </d:expand-property>",
        root("d:expand-property")
    );
    let told = world.bob().send("REPORT", &user(BOB), &[("depth", "0")], &body).await.responses();
    for part in [OF_ALICE, "Alice Martin", &format!("<d:href>/calendars/{ALICE}/</d:href>")] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
