//! Rooms and other resources: their principals and homes, and how they answer when they are invited.

use convoke::dav::server::Settings;
use convoke::store::{Resource, ResourceStore as _};
use http::StatusCode;
use serde_json::json;

use super::scheduling::{deliver, only_event, topics};
use super::{ALICE, BOB, CALENDAR, CAROL, Client, DOMAIN, OTHER_DOMAIN, World, calendar, root};

/// A room that nobody decides about.
pub const ROOM: &str = "65ee00000000000000000001";
/// A room that carol decides about.
pub const HALL: &str = "65ee00000000000000000002";
/// A thing of another domain.
const BEAMER: &str = "65ee0000000000000000000f";

fn resource(id: &str, domain: &str, name: &str, is_room: bool) -> Resource {
    Resource {
        id: id.parse().unwrap(),
        domain: domain.parse().unwrap(),
        name: name.to_owned(),
        description: String::new(),
        icon: String::new(),
        is_room,
        creator: None,
        administrators: Vec::new(),
        deleted: false,
        created: "2026-02-01T09:00:00Z".parse().unwrap(),
        updated: "2026-02-01T09:00:00Z".parse().unwrap(),
    }
}

/// A world with a room, a hall that carol looks after, and a beamer of another domain; everybody may know everybody.
pub async fn world() -> World {
    furnished(Settings { principal_privacy: false, ..Settings::default() }).await
}

async fn furnished(settings: Settings) -> World {
    let world = World::with(settings).await;
    let mut hall = resource(HALL, DOMAIN, "Great hall", true);
    hall.administrators = vec![CAROL.parse().unwrap()];
    let beamer = resource(BEAMER, OTHER_DOMAIN, "Foreign beamer", false);
    for resource in [resource(ROOM, DOMAIN, "Blue room", true), hall, beamer] {
        world.sqlite.add_resource(&resource).await.unwrap();
    }
    world
}

pub fn mail_of(resource: &str) -> String {
    format!("{resource}@example.org")
}

pub fn calendar_of(resource: &str) -> String {
    format!("/calendars/{resource}/{resource}/")
}

/// A meeting in a room, of one hour.
pub fn booking(uid: &str, organizer: &str, room: &str, start: &str, more: &[&str]) -> String {
    let organizer_line = format!("ORGANIZER:mailto:{organizer}");
    let chair = format!("ATTENDEE;PARTSTAT=ACCEPTED:mailto:{organizer}");
    let room = format!("ATTENDEE;CUTYPE=RESOURCE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{room}@example.org");
    let start = format!("DTSTART:{start}");
    let mut lines = vec![start.as_str(), "DURATION:PT1H", "SUMMARY:Planning", &organizer_line, &chair, &room];
    lines.extend(more);
    calendar("VEVENT", uid, &lines)
}

/// What the room answered, as the organizer's object at `path` says it, in the order of its VEVENTs.
async fn answers(client: &Client<'_>, path: &str, room: &str) -> Vec<String> {
    let text = client.get(path).await.expect(200).body.replace("\r\n ", "");
    let address = format!(":mailto:{room}@example.org");
    let lines = text.lines().filter(|l| l.starts_with("ATTENDEE") && l.ends_with(&address));
    lines.map(|l| l.split("PARTSTAT=").nth(1).unwrap().split([';', ':']).next().unwrap().to_owned()).collect()
}

/// The answer in an object in the calendar of alice.
pub async fn answer(world: &World, name: &str, room: &str) -> String {
    answers(&world.alice(), &format!("{CALENDAR}{name}"), room).await.join(" ")
}

pub async fn book(world: &World, name: &str, start: &str, more: &[&str]) -> String {
    let uid = name.trim_end_matches(".ics");
    let text = booking(uid, "alice@example.org", ROOM, start, more);
    world.alice().put(&format!("{CALENDAR}{name}"), &text).await.expect(201);
    answer(world, name, ROOM).await
}

#[tokio::test]
async fn a_room_is_a_principal_with_a_home() {
    let world = world().await;
    let path = format!("/principals/resources/{ROOM}/");
    let asked = "<d:displayname/><s:email-address/><cal:calendar-home-set/><cal:calendar-user-type/>\
                 <cal:calendar-user-address-set/><cal:schedule-inbox-URL/><d:group-membership/><d:resourcetype/>";
    let told = world.bob().propfind(&path, "0", asked).await.responses();
    for part in [
        "<d:displayname>Blue room</d:displayname>",
        &format!("<s:email-address>{ROOM}@example.org</s:email-address>"),
        &format!("<cal:calendar-home-set><d:href>/calendars/{ROOM}/</d:href>"),
        "<cal:calendar-user-type>ROOM</cal:calendar-user-type>",
        &format!("<d:href>mailto:{ROOM}@example.org</d:href><d:href>{path}</d:href>"),
        &format!("<d:href>/calendars/{ROOM}/inbox/</d:href>"),
        "<d:group-membership/>",
        "<d:principal/>",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let itself = world.as_user(&mail_of(ROOM));
    let told = itself.propfind("/", "0", "<d:current-user-principal/>").await.responses();
    assert!(told.contains(&format!("<d:href>{path}</d:href>")), "{told}");
    let told = itself.propfind(&format!("/calendars/{ROOM}/"), "1", "<d:displayname/><d:owner/>").await.responses();
    assert!(told.contains("<d:displayname>Blue room</d:displayname>"), "{told}");
    assert!(told.contains(&format!("<d:owner><d:href>{path}</d:href></d:owner>")), "{told}");
    assert!(
        world.as_user(&mail_of(BEAMER)).get("/").await.status == StatusCode::UNAUTHORIZED,
        "it is of another domain"
    );
}

#[tokio::test]
async fn resources_are_found_by_name_and_address_within_the_domain() {
    let world = world().await;
    let listed = world.bob().propfind("/principals/resources/", "1", "<d:displayname/>").await.hrefs();
    let expected = [ROOM, HALL].map(|id| format!("/principals/resources/{id}/"));
    assert_eq!(listed[1..], expected);
    let search = async |at: &str, property: &str, text: &str| {
        let body = format!(
            "<d:property-search><d:prop><{property}/></d:prop><d:match>{text}</d:match></d:property-search>\
             <d:prop><d:displayname/></d:prop>"
        );
        world.bob().report(at, "d:principal-property-search", &body).await.hrefs()
    };
    assert_eq!(search("/principals/resources/", "d:displayname", "blue").await, [expected[0].clone()]);
    assert_eq!(search("/principals/", "d:displayname", "hall").await, [expected[1].clone()]);
    assert_eq!(search("/principals/resources/", "s:email-address", &mail_of(ROOM)).await, [expected[0].clone()]);
    assert_eq!(search("/principals/users/", "d:displayname", "blue").await, Vec::<String>::new());
    assert_eq!(search("/principals/", "d:displayname", "beamer").await, Vec::<String>::new());
    for (context, found) in [("location", 2), ("resource", 0), ("user", 0), ("attendee", 2)] {
        let body = format!(
            "{}<cs:search-token>great</cs:search-token><d:prop><d:displayname/></d:prop>\
             </cs:calendarserver-principal-search>",
            root("cs:calendarserver-principal-search").replacen('>', &format!(" context=\"{context}\">"), 1)
        );
        let found_now = world.bob().send("REPORT", "/principals/", &[("depth", "0")], &body).await.hrefs();
        assert_eq!(found_now.len(), found / 2, "{context}");
    }
    world.sqlite.delete_resource(HALL.parse().unwrap()).await.unwrap();
    let listed = world.bob().propfind("/principals/resources/", "1", "<d:displayname/>").await.hrefs();
    assert_eq!(listed[1..], expected[..1]);
}

#[tokio::test]
async fn private_principals_hide_resources_but_for_who_knows_them() {
    let world = furnished(Settings::default()).await;
    assert_eq!(world.bob().propfind("/principals/resources/", "1", "").await.hrefs().len(), 1);
    let body = "<d:property-search><d:prop><d:displayname/></d:prop><d:match>room</d:match></d:property-search>";
    let found = world.bob().report("/principals/resources/", "d:principal-property-search", body).await.hrefs();
    assert_eq!(found, Vec::<String>::new());
    world.bob().propfind(&format!("/principals/resources/{ROOM}/"), "0", "").await.expect(207);
}

#[tokio::test]
async fn nothing_of_another_domain_is_shown() {
    let world = world().await;
    let told = world.bob().propfind(&format!("/principals/resources/{BEAMER}/"), "0", "").await.expect(403);
    assert!(!told.body.contains("Foreign"), "{}", told.body);
    let home = format!("/calendars/{BEAMER}/");
    for path in [home.clone(), calendar_of(BEAMER), format!("{}x.ics", calendar_of(BEAMER))] {
        for method in ["PROPFIND", "DELETE", "REPORT"] {
            let status = world.bob().send(method, &path, &[("depth", "0")], "").await.status;
            assert!([403, 404].contains(&status.as_u16()) || (method == "REPORT" && status == 400), "{method} {path}");
        }
    }
    world.bob().put(&format!("{}x.ics", calendar_of(BEAMER)), "x").await.expect(403);
    world.bob().propfind(&calendar_of("65ee000000000000000000aa"), "0", "").await.expect(404);
    world.bob().propfind(&format!("/principals/team-calendars/{ROOM}/"), "0", "").await.expect(404);
    // Somebody of another domain cannot book the room either.
    let text = booking("far", "eve@other.example", ROOM, "20300106T090000Z", &[]);
    let eve = world.as_user("eve@other.example");
    eve.put(&format!("/calendars/{}/{0}/far.ics", super::EVE), &text).await.expect(201);
    assert_eq!(world.as_user(&mail_of(ROOM)).contents(&calendar_of(ROOM)).await.len(), 0);
}

#[tokio::test]
async fn a_free_room_accepts_in_the_write_that_invites_it() {
    let world = world().await;
    assert_eq!(book(&world, "meet.ics", "20300106T090000Z", &["ATTENDEE:mailto:bob@example.org"]).await, "ACCEPTED");
    let (path, copy) = only_event(&world.as_user(&mail_of(ROOM)), &calendar_of(ROOM)).await;
    let line = copy.lines().find(|l| l.contains(ROOM)).unwrap();
    assert!(line.contains("PARTSTAT=ACCEPTED") && !copy.contains("METHOD"), "{copy}");
    // Bob knows from the beginning that it takes place there.
    let bobs = format!("/calendars/{BOB}/{BOB}/");
    let (bobs, _) = only_event(&world.bob(), &bobs).await;
    assert_eq!(answers(&world.bob(), &bobs, ROOM).await, ["ACCEPTED"]);
    let own = world.alice().get(&format!("{CALENDAR}meet.ics")).await.body.replace("\r\n ", "");
    let line = own.lines().find(|l| l.contains(ROOM)).unwrap();
    assert!(line.contains("SCHEDULE-STATUS=2.0") && !line.contains("RSVP"), "{line}");
    let inbox = world.alice().contents(&format!("/calendars/{ALICE}/inbox/")).await;
    assert!(inbox.len() == 1 && inbox[0].1.contains("METHOD:REPLY"), "{inbox:?}");

    let published = world.published().await;
    let told: Vec<_> = published.iter().filter(|m| m.topic.name().starts_with("resource:")).collect();
    assert_eq!(
        told.iter().map(|m| m.topic.name()).collect::<Vec<_>>(),
        ["resource:calendar:event:created", "resource:calendar:event:accepted"]
    );
    let name = path.rsplit('/').next().unwrap();
    for (message, event_id) in told.iter().zip([name, "meet"]) {
        let payload = &message.payload;
        assert_eq!(payload["resourceId"], json!(ROOM));
        assert_eq!(payload["eventId"], json!(event_id));
        assert_eq!(payload["eventPath"], json!(path));
        assert_eq!(payload["connectedUser"], json!(format!("principals/resources/{ROOM}")));
        assert_eq!(payload["ics"].as_str().unwrap().replace("\r\n ", ""), copy);
        assert!(payload["etag"].as_str().unwrap().starts_with('"'), "{payload}");
    }
    assert!(topics(&published).contains(&"calendar:event:reply"), "{:?}", topics(&published));
    // Whoever delivers it all again changes nothing.
    assert_eq!(topics(&deliver(&world, &published).await), Vec::<&str>::new());
}

#[tokio::test]
async fn a_taken_room_declines_until_it_is_free() {
    let world = world().await;
    assert_eq!(book(&world, "one.ics", "20300106T090000Z", &[]).await, "ACCEPTED");
    world.published().await;
    assert_eq!(book(&world, "two.ics", "20300106T093000Z", &[]).await, "DECLINED");
    let told = world.published().await;
    let told: Vec<_> = topics(&told).into_iter().filter(|t| t.starts_with("resource:")).collect();
    assert_eq!(told, ["resource:calendar:event:declined"], "there is nothing left to decide");
    assert_eq!(book(&world, "three.ics", "20300106T100000Z", &[]).await, "ACCEPTED", "one ends when the other begins");
    // Asked again at another time.
    let text = booking("two", "alice@example.org", ROOM, "20300106T110000Z", &["SEQUENCE:1"]);
    world.alice().put(&format!("{CALENDAR}two.ics"), &text).await.expect(204);
    assert_eq!(answer(&world, "two.ics", ROOM).await, "ACCEPTED");
    // What is cancelled takes no time.
    world.alice().delete(&format!("{CALENDAR}one.ics")).await.expect(204);
    assert_eq!(book(&world, "four.ics", "20300106T090000Z", &[]).await, "ACCEPTED");
}

#[tokio::test]
async fn an_organizer_cannot_answer_for_a_room() {
    let world = world().await;
    assert_eq!(book(&world, "one.ics", "20300106T090000Z", &[]).await, "ACCEPTED");
    let forged = |summary: &str| {
        let text = booking("two", "alice@example.org", ROOM, "20300106T090000Z", &[]);
        let text = text.replace("CUTYPE=RESOURCE;PARTSTAT=NEEDS-ACTION", "CUTYPE=RESOURCE;PARTSTAT=ACCEPTED");
        text.replace("SUMMARY:Planning", summary)
    };
    world.alice().put(&format!("{CALENDAR}two.ics"), &forged("SUMMARY:Planning")).await.expect(201);
    assert_eq!(answer(&world, "two.ics", ROOM).await, "DECLINED");
    world.alice().put(&format!("{CALENDAR}two.ics"), &forged("SUMMARY:Else")).await.expect(204);
    assert_eq!(answer(&world, "two.ics", ROOM).await, "DECLINED");
    // Nor for the hall, by moving what its administrator accepted.
    let text = booking("hall", "alice@example.org", HALL, "20300106T090000Z", &[]);
    let accepted = text.replace("CUTYPE=RESOURCE;PARTSTAT=NEEDS-ACTION", "CUTYPE=RESOURCE;PARTSTAT=ACCEPTED");
    world.alice().put(&format!("{CALENDAR}hall.ics"), &accepted).await.expect(201);
    assert_eq!(answer(&world, "hall.ics", HALL).await, "NEEDS-ACTION");
}

#[tokio::test]
async fn series_are_compared_occurrence_by_occurrence() {
    let world = world().await;
    // A Monday meeting without end, moved once to a Tuesday.
    let weekly = booking("weekly", "alice@example.org", ROOM, "20300107T090000Z", &["RRULE:FREQ=WEEKLY"]);
    let moved = booking("weekly", "alice@example.org", ROOM, "20300115T090000Z", &["RECURRENCE-ID:20300114T090000Z"]);
    let moved = &moved[moved.find("BEGIN:VEVENT").unwrap()..moved.find("END:VCALENDAR").unwrap()];
    let text = weekly.replace("END:VCALENDAR", &format!("{moved}END:VCALENDAR"));
    world.alice().put(&format!("{CALENDAR}weekly.ics"), &text).await.expect(201);
    assert_eq!(answer(&world, "weekly.ics", ROOM).await, "ACCEPTED ACCEPTED");
    for (name, start, expected) in [
        ("monday.ics", "20300121T093000Z", "DECLINED"),
        ("far.ics", "20360107T090000Z", "DECLINED"),
        ("moved-from.ics", "20300114T090000Z", "ACCEPTED"),
        ("moved-to.ics", "20300115T083000Z", "DECLINED"),
        ("tuesday.ics", "20300122T090000Z", "ACCEPTED"),
    ] {
        assert_eq!(book(&world, name, start, &[]).await, expected, "{name}");
    }
    // A series that meets another one somewhere is refused as a whole; one that keeps clear of it is not.
    assert_eq!(book(&world, "daily.ics", "20300124T090000Z", &["RRULE:FREQ=DAILY;COUNT=5"]).await, "DECLINED");
    assert_eq!(book(&world, "days.ics", "20300124T130000Z", &["RRULE:FREQ=DAILY"]).await, "ACCEPTED");
    // Of a series that was accepted, one occurrence that is moved onto another event is refused alone.
    let onto = booking("weekly", "alice@example.org", ROOM, "20300129T130000Z", &["RECURRENCE-ID:20300128T090000Z"]);
    let onto = &onto[onto.find("BEGIN:VEVENT").unwrap()..onto.find("END:VCALENDAR").unwrap()];
    let stored = world.alice().get(&format!("{CALENDAR}weekly.ics")).await.body;
    let text = stored.replace("END:VCALENDAR", &format!("{onto}END:VCALENDAR"));
    world.alice().put(&format!("{CALENDAR}weekly.ics"), &text).await.expect(204);
    assert_eq!(answer(&world, "weekly.ics", ROOM).await, "ACCEPTED ACCEPTED DECLINED");
}

#[tokio::test]
async fn of_two_who_book_at_once_one_gets_the_room() {
    let world = world().await;
    for round in 0..5 {
        let day = format!("203001{:02}T090000Z", round + 10);
        let alices = booking(&format!("a{round}"), "alice@example.org", ROOM, &day, &[]);
        let bobs = booking(&format!("b{round}"), "bob@example.org", ROOM, &day, &[]);
        let (a, b) = (format!("{CALENDAR}a{round}.ics"), format!("/calendars/{BOB}/{BOB}/b{round}.ics"));
        let (alice, bob) = (world.alice(), world.bob());
        let (first, second) = tokio::join!(alice.put(&a, &alices), bob.put(&b, &bobs));
        first.expect(201);
        second.expect(201);
        let mut got = [answers(&alice, &a, ROOM).await, answers(&bob, &b, ROOM).await].concat();
        got.sort();
        assert_eq!(got, ["ACCEPTED", "DECLINED"], "round {round}");
    }
}

#[tokio::test]
async fn an_administrator_decides_and_the_organizer_hears() {
    let world = world().await;
    let text = booking("meet", "alice@example.org", HALL, "20300106T090000Z", &["RRULE:FREQ=WEEKLY;COUNT=3"]);
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(201);
    assert_eq!(answer(&world, "meet.ics", HALL).await, "NEEDS-ACTION");
    let told = topics(&world.published().await);
    assert!(told.contains(&"resource:calendar:event:created") && !told.contains(&"calendar:event:reply"), "{told:?}");

    let (path, copy) = only_event(&world.as_user(&mail_of(HALL)), &calendar_of(HALL)).await;
    let accepted = copy.replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED");
    assert_ne!(accepted, copy);
    world.bob().put(&path, &accepted).await.expect(403);
    world.bob().get(&path).await.expect(200);
    world.as_user("carol@example.org").get(&path).await.expect(200);
    world.as_user("carol@example.org").put(&path, &accepted).await.expect(204);
    assert_eq!(answer(&world, "meet.ics", HALL).await, "ACCEPTED");
    let published = world.published().await;
    let told = published.iter().find(|m| m.topic.name() == "resource:calendar:event:accepted").unwrap();
    assert_eq!(told.payload["eventId"], json!("meet"));
    assert_eq!(told.payload["connectedUser"], json!(format!("principals/users/{CAROL}")));
    // The program does the same on behalf of who clicked a link in a mail.
    let declined = accepted.replace("PARTSTAT=ACCEPTED;CUTYPE", "PARTSTAT=DECLINED;CUTYPE");
    let declined = declined.replace("CUTYPE=RESOURCE;PARTSTAT=ACCEPTED", "CUTYPE=RESOURCE;PARTSTAT=DECLINED");
    assert_ne!(declined, accepted);
    let program = Client { world: &world, actor: Some(convoke::dav::Actor::Technical(DOMAIN.parse().unwrap())) };
    program.put(&path, &declined).await.expect(204);
    assert_eq!(answer(&world, "meet.ics", HALL).await, "DECLINED");
    assert!(topics(&world.published().await).contains(&"resource:calendar:event:declined"));
}

#[tokio::test]
async fn what_an_administrator_books_needs_no_decision_and_no_double_booking() {
    let world = world().await;
    let carol = world.as_user("carol@example.org");
    let carols = format!("/calendars/{CAROL}/{CAROL}/");
    for (name, expected) in [("one", "ACCEPTED"), ("two", "DECLINED")] {
        let text = booking(name, "carol@example.org", HALL, "20300106T090000Z", &[]);
        let path = format!("{carols}{name}.ics");
        carol.put(&path, &text).await.expect(201);
        assert_eq!(answers(&carol, &path, HALL).await, [expected]);
    }
}

#[tokio::test]
async fn moving_what_was_accepted_asks_the_administrator_again() {
    let world = world().await;
    let text = booking("meet", "alice@example.org", HALL, "20300106T090000Z", &[]);
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(201);
    let (path, copy) = only_event(&world.as_user(&mail_of(HALL)), &calendar_of(HALL)).await;
    let carol = world.as_user("carol@example.org");
    carol.put(&path, &copy.replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED")).await.expect(204);
    let stored = world.alice().get(&format!("{CALENDAR}meet.ics")).await.body;
    let renamed = stored.replace("SUMMARY:Planning", "SUMMARY:Planning more");
    world.alice().put(&format!("{CALENDAR}meet.ics"), &renamed).await.expect(204);
    assert_eq!(answer(&world, "meet.ics", HALL).await, "ACCEPTED", "a word changes nothing");
    let moved = renamed.replace("20300106T090000Z", "20300106T150000Z");
    world.alice().put(&format!("{CALENDAR}meet.ics"), &moved).await.expect(204);
    assert_eq!(answer(&world, "meet.ics", HALL).await, "NEEDS-ACTION");
}

#[tokio::test]
async fn an_invitation_from_the_queue_is_answered_too() {
    let world = furnished(Settings { immediate_deliveries: 0, principal_privacy: false, ..Settings::default() }).await;
    let text = booking("meet", "alice@example.org", ROOM, "20300106T090000Z", &[]);
    world.alice().put(&format!("{CALENDAR}meet.ics"), &text).await.expect(201);
    assert_eq!(answer(&world, "meet.ics", ROOM).await, "NEEDS-ACTION");
    let published = world.published().await;
    let told = deliver(&world, &published).await;
    assert_eq!(answer(&world, "meet.ics", ROOM).await, "ACCEPTED");
    let told: Vec<_> = topics(&told).into_iter().filter(|t| t.starts_with("resource:")).collect();
    assert_eq!(told, ["resource:calendar:event:created", "resource:calendar:event:accepted"]);
}

#[tokio::test]
async fn the_outbox_tells_when_a_room_is_taken() {
    let world = world().await;
    assert_eq!(book(&world, "meet.ics", "20300106T090000Z", &["TRANSP:TRANSPARENT"]).await, "ACCEPTED");
    let request = calendar(
        "VFREEBUSY",
        "ask",
        &[
            "DTSTART:20300106T000000Z",
            "DTEND:20300107T000000Z",
            "ORGANIZER:mailto:bob@example.org",
            &format!("ATTENDEE:mailto:{ROOM}@example.org"),
            &format!("ATTENDEE:mailto:{BEAMER}@other.example"),
        ],
    );
    let request = request.replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:REQUEST");
    let told = world.bob().send("POST", &format!("/calendars/{BOB}/outbox/"), &[], &request).await.expect(200).body;
    assert!(told.contains("FREEBUSY:20300106T090000Z/20300106T100000Z"), "{told}");
    assert!(told.contains("3.7;"), "what is of another domain is nobody: {told}");
}

#[tokio::test]
async fn a_deleted_room_is_not_booked() {
    let world = world().await;
    world.sqlite.delete_resource(ROOM.parse().unwrap()).await.unwrap();
    assert_eq!(book(&world, "meet.ics", "20300106T090000Z", &[]).await, "NEEDS-ACTION");
    world.bob().propfind(&format!("/principals/resources/{ROOM}/"), "0", "").await.expect(404);
}

#[tokio::test]
async fn the_calendar_of_a_room_belongs_to_the_room() {
    let world = world().await;
    let path = calendar_of(ROOM);
    let principal = format!("/principals/resources/{ROOM}");
    let program = Client { actor: Some(convoke::dav::Actor::Technical(DOMAIN.parse().unwrap())), ..world.alice() };
    for client in [world.bob(), world.as_user(&mail_of(ROOM)), program.clone()] {
        let told = client.propfind(&path, "0", "<d:owner/><d:acl/>").await.responses();
        assert!(told.contains(&format!("<d:owner><d:href>{principal}/</d:href></d:owner>")), "{told}");
        assert!(told.contains(&format!("<d:principal><d:href>{principal}/</d:href></d:principal>")), "{told}");
        assert!(!told.contains(&format!("/principals/users/{ROOM}")), "{told}");
    }
    let body =
        format!("{}<d:prop><d:displayname/></d:prop></d:acl-principal-prop-set>", root("d:acl-principal-prop-set"));
    let told = world.bob().send("REPORT", &path, &[("depth", "0")], &body).await.responses();
    assert!(told.contains(&format!("<d:href>{principal}/</d:href>")) && told.contains("Blue room"), "{told}");
    let json = [("accept", "application/json")];
    let listed = format!("/calendars/{ROOM}/{ROOM}.json?withRights=true");
    for client in [world.bob(), program] {
        let told = client.send("GET", &listed, &json, "").await.expect(200).body.replace("\\/", "/");
        assert!(told.contains(&format!("\"principal\":\"principals/resources/{ROOM}\"")), "{told}");
        assert!(!told.contains(&format!("principals/users/{ROOM}")), "{told}");
    }
}
