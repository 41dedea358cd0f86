//! Managed attachments: what RFC 8607 says of them, in the words of its own examples.

use convoke::config::Files;
use convoke::dav::server::Settings;
use convoke::store::{CollectionKind, PublicRight};

use super::scheduling::{BOBS, meeting, only_event};
use super::sharing::{give, others, publish};
use super::{ALICE, Answer, BOB, CALENDAR, Client, World, calendar, event};

const EVENT: &str = "/calendars/65aa00000000000000000001/65aa00000000000000000001/64.ics";
const OTHER: &str = "/calendars/65aa00000000000000000001/other/";
const AGENDA: &str = "<html><body><h1>Agenda</h1></body></html>";

async fn small_world(change: impl FnOnce(&mut Files)) -> World {
    let mut settings = Settings::default();
    change(&mut settings.files);
    World::with(settings).await
}

/// A world in which alice has an event.
async fn with_event(text: &str) -> World {
    let world = World::new().await;
    world.alice().put(EVENT, text).await.expect(201);
    world
}

/// The request of RFC 8607 §3.4.
async fn attach(client: &Client<'_>, path: &str, query: &str, body: &str) -> Answer {
    let headers = [
        ("content-type", "text/html; charset=\"utf-8\""),
        ("content-disposition", "attachment;filename=agenda.html"),
        ("prefer", "return=representation"),
    ];
    client.send("POST", &format!("{path}?{query}"), &headers, body).await
}

async fn added(client: &Client<'_>, path: &str) -> (String, String) {
    let answer = attach(client, path, "action=attachment-add", AGENDA).await.expect(201);
    (answer.header("cal-managed-id").unwrap().to_owned(), path_of(answer.header("location").unwrap()))
}

/// The path of an address of an attachment.
fn path_of(url: &str) -> String {
    url.strip_prefix("http://127.0.0.1:8080").unwrap_or_else(|| panic!("{url}")).to_owned()
}

fn unfolded(text: &str) -> String {
    text.replace("\r\n ", "")
}

/// The ATTACH lines of a text.
fn lines(text: &str) -> Vec<String> {
    unfolded(text).lines().filter(|line| line.starts_with("ATTACH")).map(str::to_owned).collect()
}

#[track_caller]
fn because(answer: Answer, tag: &str) {
    let body = answer.expect(403).body;
    assert!(body.contains(&format!("<cal:{tag} xmlns:cal=")), "{body}");
}

#[tokio::test]
async fn an_attachment_is_added_replaced_and_removed() {
    let world = with_event(&event("64", "20300101T090000Z")).await;
    let alice = world.alice();
    let etag = alice.get(EVENT).await.header("etag").unwrap().to_owned();

    let answer = attach(&alice, EVENT, "action=attachment-add", AGENDA).await.expect(201);
    let id = answer.header("cal-managed-id").unwrap().to_owned();
    let url = answer.header("location").unwrap().to_owned();
    assert_eq!(answer.header("content-location"), Some(EVENT));
    assert_eq!(answer.header("content-type"), Some("text/calendar; charset=utf-8; component=vevent"));
    assert_eq!(answer.header("preference-applied"), Some("return=representation"));
    assert_ne!(answer.header("etag"), Some(etag.as_str()));
    let stored = alice.get(EVENT).await.expect(200);
    assert_eq!((stored.header("etag"), &stored.body), (answer.header("etag"), &answer.body));
    let line = format!("ATTACH;MANAGED-ID={id};FMTTYPE=text/html;SIZE=41;FILENAME=agenda.html:{url}");
    assert_eq!(lines(&answer.body), [line]);
    assert!(answer.body.contains("DTSTAMP:20261121T062015Z\r\n") && answer.body.contains("LAST-MODIFIED:2026112"));

    let read = alice.get(&path_of(&url)).await.expect(200);
    assert_eq!(read.body, AGENDA);
    for (name, value) in [
        ("content-type", "text/html; charset=\"utf-8\""),
        ("content-disposition", "attachment; filename=\"agenda.html\"; filename*=UTF-8''agenda%2Ehtml"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cache-control", "private"),
        ("content-length", "41"),
    ] {
        assert_eq!(read.header(name), Some(value), "{name}");
    }
    let etag = read.header("etag").unwrap();
    alice.send("GET", &path_of(&url), &[("if-none-match", etag)], "").await.expect(304);
    let part = alice.send("GET", &path_of(&url), &[("range", "bytes=6-11")], "").await.expect(206);
    assert_eq!(part.body, "<body>");

    let query = format!("managed-id={id}&action=attachment-update");
    let answer = attach(&alice, EVENT, &query, "<html></html>").await.expect(200);
    let (new, newer) = (answer.header("cal-managed-id").unwrap(), answer.header("location").unwrap());
    assert!(new != id && newer != url);
    assert_eq!(lines(&answer.body).len(), 1);
    assert!(
        lines(&answer.body)[0].contains(&format!("MANAGED-ID={new};FMTTYPE=text/html;SIZE=13;")),
        "{}",
        answer.body
    );
    assert_eq!(alice.get(&path_of(newer)).await.expect(200).body, "<html></html>");
    alice.get(&path_of(&url)).await.expect(404);

    let query = format!("{EVENT}?action=attachment-remove&managed-id={new}");
    let answer = alice.send("POST", &query, &[], "").await.expect(204);
    assert_eq!((answer.header("cal-managed-id"), answer.header("etag")), (None, None));
    assert!(lines(&alice.get(EVENT).await.body).is_empty());
    alice.get(&path_of(newer)).await.expect(404);
}

#[tokio::test]
async fn without_a_wish_for_it_no_object_is_sent_back_and_no_etag() {
    let world = with_event(&event("64", "20300101T090000Z")).await;
    let alice = world.alice();
    let path = format!("{EVENT}?action=attachment-add");
    // What iOS and macOS send.
    let headers =
        [("content-type", "image/png"), ("content-disposition", "attachment; filename=\"Bildschirm\u{e4}.png\"")];
    let answer = alice.send("POST", &path, &headers, "png").await.expect(201);
    assert_eq!((answer.body.as_str(), answer.header("etag")), ("", None));
    let id = answer.header("cal-managed-id").unwrap();
    assert!(answer.header("location").unwrap().ends_with("/Bildschirm%C3%A4.png"));
    let text = alice.get(EVENT).await.body;
    assert!(lines(&text)[0].contains("FMTTYPE=image/png;SIZE=3;FILENAME=Bildschirmä.png:"), "{text}");
    let path = format!("{EVENT}?action=attachment-update&managed-id={id}");
    let answer = alice.send("POST", &path, &headers, "").await.expect(204);
    assert!(answer.header("cal-managed-id").is_some_and(|new| new != id));
    let empty = path_of(answer.header("location").unwrap());
    assert_eq!(alice.get(&empty).await.expect(200).body, "");
}

#[tokio::test]
async fn instances_have_attachments_of_their_own() {
    let lines_of = ["DTSTART;TZID=Europe/Paris:20300101T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=5"];
    let world = with_event(&calendar("VEVENT", "64", &lines_of)).await;
    let alice = world.alice();
    let one = attach(&alice, EVENT, "action=attachment-add&rid=20300103T080000Z", "one").await.expect(201);
    assert_eq!(lines(&one.body).len(), 1);
    assert!(unfolded(&one.body).contains("RECURRENCE-ID;TZID=Europe/Paris:20300103T090000"), "{}", one.body);
    let all = attach(&alice, EVENT, "action=attachment-add", "all").await.expect(201);
    assert_eq!(lines(&all.body).len(), 3);
    let id = all.header("cal-managed-id").unwrap();
    let query = format!("action=attachment-remove&managed-id={id}&rid=M,20300104T080000Z");
    let left = attach(&alice, EVENT, &query, "").await.expect(200);
    let components: Vec<usize> = left.body.split("BEGIN:VEVENT").skip(1).map(|c| lines(c).len()).collect();
    assert_eq!(components, [0, 2, 0], "{}", left.body);
    alice.get(&path_of(all.header("location").unwrap())).await.expect(200);
    because(attach(&alice, EVENT, "action=attachment-add&rid=20300106T080000Z", "x").await, "valid-rid");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_names_its_parameter_and_keeps_nothing() {
    let world = with_event(&event("64", "20300101T090000Z")).await;
    let alice = world.alice();
    let before = alice.get(EVENT).await.body;
    for (query, tag) in [
        ("action=attachment-keep", "valid-action"),
        ("action=attachment-add&managed-id=97S", "valid-managed-id"),
        ("action=attachment-update&managed-id=97S", "valid-managed-id"),
        ("action=attachment-remove&managed-id=97S", "valid-managed-id"),
        ("action=attachment-remove", "valid-managed-id"),
        ("action=attachment-add&rid=20300101T090000Z", "valid-rid"),
        ("action=attachment-add&rid=x", "valid-rid"),
    ] {
        because(attach(&alice, EVENT, query, AGENDA).await, tag);
    }
    attach(&alice, &format!("{CALENDAR}nothing.ics"), "action=attachment-add", AGENDA).await.expect(404);
    let stale = [("if-match", "\"x\"")];
    alice.send("POST", &format!("{EVENT}?action=attachment-add"), &stale, "x").await.expect(412);
    assert_eq!(alice.get(EVENT).await.body, before);
    let quota = alice.propfind(&format!("/files/{ALICE}/"), "0", "<d:quota-used-bytes/>").await.responses();
    assert!(quota.contains("<d:quota-used-bytes>0<"), "{quota}");
}

#[tokio::test]
async fn there_are_limits_and_they_are_told() {
    let world = small_world(|files| {
        files.attachment_bytes = 50;
        files.attachments_per_object = 2;
        files.quota_bytes = 2000;
    })
    .await;
    let alice = world.alice();
    alice.put(EVENT, &event("64", "20300101T090000Z")).await.expect(201);
    let asked = "<cal:max-attachment-size/><cal:max-attachments-per-resource/><cal:managed-attachments-server-URL/>";
    let told = alice.propfind(CALENDAR, "0", asked).await.responses();
    let size = "<cal:max-attachment-size>50</cal:max-attachment-size>";
    let count = "<cal:max-attachments-per-resource>2</cal:max-attachments-per-resource>";
    assert!(told.contains(size) && told.contains(count), "{told}");
    let told = alice.propfind(&format!("/calendars/{ALICE}/"), "0", asked).await.responses();
    assert!(told.contains("<d:prop><cal:managed-attachments-server-URL/></d:prop>"), "{told}");
    let options = alice.send("OPTIONS", EVENT, &[], "").await.expect(200);
    assert!(options.header("dav").unwrap().split(", ").any(|token| token == "calendar-managed-attachments"));

    because(attach(&alice, EVENT, "action=attachment-add", &"x".repeat(51)).await, "max-attachment-size");
    for _ in 0..2 {
        added(&alice, EVENT).await;
    }
    because(attach(&alice, EVENT, "action=attachment-add", AGENDA).await, "max-attachments-per-resource");
    let used = alice.propfind(&format!("/files/{ALICE}/"), "1", "<d:quota-used-bytes/>").await.responses();
    assert_eq!(used.matches("<d:response>").count(), 1, "attachments are no files among others: {used}");
    alice.send("PUT", &format!("/files/{ALICE}/large"), &[], &"x".repeat(1500)).await.expect(201);
    alice.put(&format!("{CALENDAR}b.ics"), &event("b", "20300101T090000Z")).await.expect(201);
    let full = attach(&alice, &format!("{CALENDAR}b.ics"), "action=attachment-add", AGENDA).await.expect(507);
    assert!(full.body.contains("<d:quota-not-exceeded/>"), "{}", full.body);
}

#[tokio::test]
async fn who_can_read_the_object_can_read_what_is_attached_to_it() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.alice(), world.bob(), world.as_user("carol@example.org"));
    alice.send("MKCALENDAR", OTHER, &[], "").await.expect(201);
    let path = format!("{OTHER}a.ics");
    alice.put(&path, &event("a", "20300101T090000Z")).await.expect(201);
    let (_, url) = added(&alice, &path).await;
    bob.get(&url).await.expect(403);
    give(&alice, OTHER, &[("bob@example.org", "read")]).await.expect(200);
    bob.get(&url).await.expect(200);
    carol.get(&url).await.expect(403);
    publish(&world, CollectionKind::Calendar, "other", Some(PublicRight::Read)).await;
    carol.get(&url).await.expect(200);
    world.as_user("eve@other.example").get(&url).await.expect(403);

    let private = alice.get(&path).await.body.replace("SUMMARY:Lunch", "SUMMARY:Lunch\r\nCLASS:PRIVATE");
    alice.put(&path, &private).await.expect(204);
    bob.get(&url).await.expect(403);
    alice.get(&url).await.expect(200);
    for (method, status) in [("PUT", 405), ("DELETE", 405), ("PROPFIND", 405), ("HEAD", 200)] {
        let answer = alice.send(method, &url, &[], "").await.expect(status);
        assert!(status == 200 || answer.header("allow") == Some("OPTIONS, GET, HEAD"), "{method}");
    }
    let nobodys = url.replace('1', "2");
    alice.get(&nobodys).await.expect(404);
}

#[tokio::test]
async fn attendees_read_what_the_organizer_attached() {
    let world = World::new().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.put(EVENT, &meeting(0, "20300106T090000Z", "NEEDS-ACTION")).await.expect(201);
    let (id, url) = added(&alice, EVENT).await;
    let (path, copy) = only_event(&bob, BOBS).await;
    assert!(lines(&copy)[0].contains(&format!("MANAGED-ID={id};")), "{copy}");
    assert_eq!(bob.get(&url).await.expect(200).body, AGENDA);
    // An answer leaves it alone.
    let accepted = bob.get(&path).await.body.replace("NEEDS-ACTION;CN=Bob", "ACCEPTED;CN=Bob");
    bob.put(&path, &accepted.replace("RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:bob", "PARTSTAT=ACCEPTED:mailto:bob"))
        .await
        .expect(204);
    bob.get(&url).await.expect(200);

    let query = format!("action=attachment-update&managed-id={id}");
    let answer = attach(&alice, EVENT, &query, "new").await.expect(200);
    let newer = path_of(answer.header("location").unwrap());
    assert_eq!(bob.get(&newer).await.expect(200).body, "new");
    bob.get(&url).await.expect(404);
    let id = answer.header("cal-managed-id").unwrap();
    alice.send("POST", &format!("{EVENT}?action=attachment-remove&managed-id={id}"), &[], "").await.expect(204);
    assert!(lines(&only_event(&bob, BOBS).await.1).is_empty());
    bob.get(&newer).await.expect(404);
}

#[tokio::test]
async fn an_object_refers_only_to_what_its_writer_can_read() {
    let world = with_event(&event("64", "20300101T090000Z")).await;
    let (alice, bob) = (world.alice(), world.bob());
    let (id, url) = added(&alice, EVENT).await;
    let text = alice.get(EVENT).await.body;
    let stolen = text.replace("UID:64", "UID:stolen");
    because(bob.put(&format!("{BOBS}stolen.ics"), &stolen).await, "valid-managed-id-parameter");
    bob.get(&url).await.expect(403);
    let foreign = event("f", "20300101T090000Z")
        .replace("SUMMARY:Lunch", "SUMMARY:Lunch\r\nATTACH;MANAGED-ID=97S:https://cal.example.com/attach/64/34X22R");
    because(alice.put(&format!("{CALENDAR}f.ics"), &foreign).await, "valid-managed-id-parameter");
    // What comes from another server is its link, and no more ours.
    alice.put(&format!("{CALENDAR}f.ics?import"), &foreign).await.expect(201);
    assert_eq!(
        lines(&alice.get(&format!("{CALENDAR}f.ics")).await.body),
        ["ATTACH:https://cal.example.com/attach/64/34X22R"]
    );

    // RFC 8607 §3.7: another object may have it, too, and lies about it are put right.
    let again = unfolded(&text).replace("UID:64", "UID:again").replace("SIZE=41", "SIZE=1").replace(&url, "/evil");
    alice.put(&format!("{CALENDAR}again.ics"), &again).await.expect(201);
    let kept = alice.get(&format!("{CALENDAR}again.ics")).await.body;
    assert_eq!(lines(&kept), lines(&text));
    let without = event("64", "20300101T090000Z");
    alice.put(EVENT, &without).await.expect(204);
    alice.get(&url).await.expect(200);
    alice
        .send("POST", &format!("{CALENDAR}again.ics?action=attachment-remove&managed-id={id}"), &[], "")
        .await
        .expect(204);
    alice.get(&url).await.expect(404);
}

#[tokio::test]
async fn attachments_go_with_what_is_moved_copied_deleted_and_brought_back() {
    let world = with_event(&event("64", "20300101T090000Z")).await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.send("MKCALENDAR", OTHER, &[], "").await.expect(201);
    let (_, url) = added(&alice, EVENT).await;
    let (moved, copied) = (format!("{OTHER}64.ics"), format!("{CALENDAR}copy.ics"));
    alice.send("MOVE", EVENT, &[("destination", &moved)], "").await.expect(201);
    alice.get(&url).await.expect(200);
    alice.send("COPY", &moved, &[("destination", &copied)], "").await.expect(201);
    alice.delete(&moved).await.expect(204);
    alice.get(&url).await.expect(200);
    give(&alice, OTHER, &[("bob@example.org", "read-write")]).await.expect(200);
    alice.delete(&copied).await.expect(204);
    // Both are in the trash now.
    let trash = alice.get(&format!("/trash/{ALICE}/")).await.expect(200).body;
    let trash: serde_json::Value = serde_json::from_str(&trash).unwrap();
    let item = trash["items"].as_array().unwrap().iter().find(|item| item["name"] == "64.ics").unwrap();
    let item = format!("/trash/{ALICE}/{}", item["id"].as_str().unwrap());
    alice.send("POST", &item, &[], "").await.expect(201);
    assert_eq!(alice.get(&url).await.expect(200).body, AGENDA);
    bob.get(&url).await.expect(200);
}

#[tokio::test]
async fn who_may_write_to_a_calendar_may_attach_to_its_events() {
    let world = World::new().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.send("MKCALENDAR", OTHER, &[], "").await.expect(201);
    alice.put(&format!("{OTHER}a.ics"), &event("a", "20300101T090000Z")).await.expect(201);
    attach(&bob, &format!("{OTHER}a.ics"), "action=attachment-add", AGENDA).await.expect(403);
    give(&alice, OTHER, &[("bob@example.org", "read-write")]).await.expect(200);
    let theirs = others(&bob, BOB).await.remove(0);
    let (_, url) = added(&bob, &format!("{theirs}a.ics")).await;
    assert!(url.starts_with(&format!("/attachments/{ALICE}/")), "it is in the room of the calendar's owner: {url}");
    bob.get(&url).await.expect(200);
    alice.get(&url).await.expect(200);
}
