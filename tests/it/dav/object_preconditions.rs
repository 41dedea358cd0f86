//! What makes a calendar object one (RFC 4791 §4.1, §5.3.2.1): each rule that is broken has its name.

use convoke::config::Limits;
use convoke::dav::server::Settings;

use super::{ALICE, CALENDAR, World, calendar, event};

#[tokio::test]
async fn each_broken_rule_has_its_name() {
    let limits = Limits { first_year: 1900, last_year: 2100, instances: 50, attendees: 2, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let client = world.alice();
    let path = format!("{CALENDAR}a.ics");
    let before = event("a", "20300102T110000Z");
    client.put(&path, &before).await.expect(201);
    let of = |lines: &[&str]| calendar("VEVENT", "a", lines);
    let start = "DTSTART:20300102T110000Z";
    let attendees = ["ATTENDEE:mailto:x@elsewhere.example", "ATTENDEE:mailto:y@elsewhere.example"];
    for (text, condition) in [
        ("garbage".to_owned(), "valid-calendar-data"),
        (before.replace("BEGIN:VEVENT", "METHOD:REQUEST\r\nBEGIN:VEVENT"), "valid-calendar-object-resource"),
        (of(&[start, start]), "valid-calendar-object-resource"),
        (of(&["SUMMARY:Never"]), "valid-calendar-object-resource"),
        (calendar("VJOURNAL", "a", &["DTSTART:20300102T110000Z"]), "supported-calendar-component"),
        (of(&["DTSTART;TZID=Mars/Base:20300102T110000"]), "valid-timezone"),
        (of(&["DTSTART:18991231T110000Z"]), "min-date-time"),
        (of(&[start, "RDATE:18000101T110000Z,20300103T110000Z"]), "min-date-time"),
        (of(&["DTSTART:21010101T000000Z"]), "max-date-time"),
        (of(&[start, "RRULE:FREQ=DAILY;COUNT=51"]), "max-instances"),
        (of(&[start, attendees[0], attendees[1], "ATTENDEE:mailto:z@elsewhere.example"]), "max-attendees-per-instance"),
    ] {
        let refused = client.put(&path, &text).await.expect(403);
        assert!(refused.body.contains(&format!("<cal:{condition} ")), "{text}: {}", refused.body);
    }
    let other = client.send("PUT", &path, &[("content-type", "image/png")], "garbage").await.expect(403);
    assert!(other.body.contains("<cal:supported-calendar-data "), "{}", other.body);
    assert_eq!(client.get(&path).await.body, before, "what was refused changed nothing");
    let windows = "DTSTART;TZID=W. Europe Standard Time:20300102T110000";
    for lines in [vec![windows], vec![start, "RRULE:FREQ=DAILY;COUNT=50"], vec![start, "RRULE:FREQ=DAILY"]] {
        client.put(&path, &of(&lines)).await.expect(204);
    }
}

#[tokio::test]
async fn a_uid_belongs_to_one_object_of_a_calendar_and_stays_with_it() {
    let world = World::new().await;
    let client = world.alice();
    let path = format!("{CALENDAR}a.ics");
    client.put(&path, &event("a", "20300102T110000Z")).await.expect(201);
    for (name, text) in [("b.ics", event("a", "20300102T110000Z")), ("a.ics", event("b", "20300102T110000Z"))] {
        let refused = client.put(&format!("{CALENDAR}{name}"), &text).await.expect(403);
        assert!(refused.body.contains("<cal:no-uid-conflict "), "{}", refused.body);
        assert!(refused.body.contains(&format!("<d:href>{path}</d:href>")), "{}", refused.body);
    }
    // In another calendar of the same home it is another object.
    let work = format!("/calendars/{ALICE}/work/");
    client.send("MKCALENDAR", &work, &[], "").await.expect(201);
    client.put(&format!("{work}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    // A client that gives no UID may write its object again and again.
    let nameless = event("x", "20300102T110000Z").replace("UID:x\r\n", "");
    client.put(&format!("{work}n.ics"), &nameless).await.expect(201);
    let named = client.get(&format!("{work}n.ics")).await.body;
    client.put(&format!("{work}n.ics"), &nameless).await.expect(204);
    assert!(named.contains("\r\nUID:"), "{named}");
    assert_eq!(client.get(&format!("{work}n.ics")).await.body, named, "it goes on under the same");
}

#[tokio::test]
async fn strictness_is_there_for_those_who_ask() {
    let world = World::new().await;
    let client = world.alice();
    let put = async |name: &str, lines: &[&str]| {
        let text = calendar("VEVENT", name, lines);
        client.send("PUT", &format!("{CALENDAR}{name}.ics"), &[("prefer", "handling=strict")], &text).await
    };
    let start = "DTSTART:20300102T110000Z";
    put("fine", &[start, "RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20300103T110000Z"]).await.expect(201);
    for (lines, expected) in [
        (vec![start, "RRULE:FREQ=DAILY;COUNT=3;UNTIL=20300105T110000Z"], "COUNT and UNTIL MUST NOT both be present"),
        (
            vec![start, "RRULE:FREQ=DAILY;UNTIL=20300105"],
            "UNTIL value type (DATE) must match DTSTART value type (DATE-TIME)",
        ),
        (vec![start, "RRULE:FREQ=DAILY", "EXDATE;VALUE=DATE:20300103"], "EXDATE value type (DATE) must match"),
        (vec![start, "RECURRENCE-ID:20300102T110000Z"], "has no matching recurring master VEVENT"),
    ] {
        let refused = put("wrong", &lines).await.expect(400);
        assert!(refused.body.contains("Validation error in iCalendar (RFC 5545: "), "{}", refused.body);
        assert!(refused.body.contains(expected), "{expected}: {}", refused.body);
        client.put(&format!("{CALENDAR}lenient.ics"), &calendar("VEVENT", "lenient", &lines)).await;
        client.get(&format!("{CALENDAR}lenient.ics")).await.expect(200);
    }
    client.get(&format!("{CALENDAR}wrong.ics")).await.expect(404);
}

#[tokio::test]
async fn a_client_that_asks_gets_back_what_was_stored() {
    let world = World::new().await;
    let client = world.alice();
    let path = format!("{CALENDAR}a.ics");
    // Without DTSTAMP: something is mended, and the client is told the result.
    let text = event("a", "20300102T110000Z").replace("DTSTAMP:20300101T080000Z\r\n", "");
    let prefer = ("prefer", "return=representation");
    let put = client.send("PUT", &path, &[prefer], &text).await.expect(201);
    assert!(put.body.contains("DTSTAMP:20261121T062015Z"), "{}", put.body);
    assert_eq!(put.header("preference-applied"), Some("return=representation"));
    assert_eq!(put.header("etag").unwrap(), format!("\"{}\"", convoke::dav::precondition::etag_of(&put.body)));
    assert_eq!(put.header("content-type"), Some("text/calendar; charset=utf-8; component=vevent"));
    assert_eq!(client.get(&path).await.body, put.body);
    let again = client.send("PUT", &path, &[prefer], &event("a", "20300103T110000Z")).await.expect(200);
    assert_eq!(again.body, event("a", "20300103T110000Z"));
    let stale = [prefer, ("if-match", "\"stale\"")];
    let refused = client.send("PUT", &path, &stale, &event("a", "20300104T110000Z")).await.expect(412);
    assert_eq!(refused.body, again.body, "what is there, to be merged");
    assert_eq!(refused.header("etag"), again.header("etag"));
    client.send("PUT", &path, &stale[1..], &text).await.expect(412);
}
