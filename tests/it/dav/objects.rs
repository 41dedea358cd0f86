//! Objects: stored as they came, read as they are, copied and moved.

use super::{ALICE, CALENDAR, World, calendar, event};

fn path(name: &str) -> String {
    format!("{CALENDAR}{name}")
}

#[tokio::test]
async fn what_was_put_comes_back_byte_for_byte() {
    let world = World::new().await;
    let client = world.alice();
    let odd = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Odd//EN\nX-WR-Whatever;X=\"1,2\":kept\nBEGIN:VEVENT\nUID:odd\n\
               DTSTAMP:20300101T080000Z\nDTSTART;TZID=\"Europe/Paris\":20300102T110000\nSUMMARY:fol\n ded\\, here\n\
               end:VEVENT\nEND:VCALENDAR";
    let put = client.put(&path("odd.ics"), odd).await.expect(201);
    let got = client.get(&path("odd.ics")).await.expect(200);
    assert_eq!(got.body, odd);
    assert_eq!(put.header("etag"), got.header("etag"));
    assert_eq!(got.header("content-type"), Some("text/calendar; charset=utf-8; component=vevent"));
    assert_eq!(got.header("last-modified"), Some("Sat, 21 Nov 2026 06:20:15 GMT"));
    let head = client.send("HEAD", &path("odd.ics"), &[], "").await.expect(200);
    assert_eq!(head.header("content-length"), Some(odd.len().to_string().as_str()));
    assert_eq!(head.body, "");
}

#[tokio::test]
async fn an_overwrite_is_204_and_has_another_etag() {
    let world = World::new().await;
    let client = world.alice();
    let first = client.put(&path("a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    let second = client.put(&path("a.ics"), &event("a", "20300102T120000Z")).await.expect(204);
    assert_ne!(first.header("etag"), second.header("etag"));
    client.delete(&path("a.ics")).await.expect(204);
    client.delete(&path("a.ics")).await.expect(404);
    client.get(&path("a.ics")).await.expect(404);
}

#[tokio::test]
async fn an_object_that_had_to_be_mended_has_no_etag_header() {
    let world = World::new().await;
    let client = world.alice();
    let text = event("nd", "20300102T110000Z").replace("DTSTAMP:20300101T080000Z\r\n", "");
    let put = client.put(&path("nd.ics"), &text).await.expect(201);
    assert_eq!(put.header("etag"), None);
    let warning = "iCalendar validation warning: DTSTAMP MUST appear exactly once in a VEVENT component";
    assert_eq!(put.header("x-sabre-ew-gross"), Some(warning));
    assert!(client.get(&path("nd.ics")).await.body.contains("DTSTAMP:20261121T062015Z"));
    // Whoever asks for strictness gets it.
    let strict = client.send("PUT", &path("strict.ics"), &[("prefer", "handling=strict")], &text).await.expect(400);
    assert!(strict.body.contains("Validation error in iCalendar: DTSTAMP MUST"), "{}", strict.body);
}

#[tokio::test]
async fn every_alarm_gets_a_name() {
    let world = World::new().await;
    let client = world.alice();
    let text = event("a", "20300102T110000Z")
        .replace("END:VEVENT", "BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\nEND:VEVENT");
    assert_eq!(client.put(&path("a.ics"), &text).await.expect(201).header("etag"), None);
    assert!(client.get(&path("a.ics")).await.body.contains("UID:alarm-"));
}

#[tokio::test]
async fn a_uid_belongs_to_one_object_of_a_calendar() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&path("a.ics"), &event("same", "20300102T110000Z")).await.expect(201);
    let taken = client.put(&path("b.ics"), &event("same", "20300102T110000Z")).await.expect(403);
    assert!(
        taken.body.contains(&format!(
            "<cal:no-uid-conflict xmlns:cal=\"urn:ietf:params:xml:ns:caldav\"><d:href>{CALENDAR}a.ics</d:href>"
        )),
        "{}",
        taken.body
    );
    client.get(&path("b.ics")).await.expect(404);
    client.put(&path("a.ics"), &event("same", "20300103T110000Z")).await.expect(204);
}

#[tokio::test]
async fn jcal_is_taken_and_given() {
    let world = World::new().await;
    let client = world.alice();
    let jcal = r#"["vcalendar",[["version",{},"text","2.0"],["prodid",{},"text","-//x//EN"]],[["vevent",
        [["uid",{},"text","j"],["dtstamp",{},"date-time","2030-01-01T08:00:00Z"],
        ["dtstart",{},"date-time","2030-01-02T11:00:00Z"]],[]]]]"#;
    assert_eq!(client.put(&path("j.ics"), jcal).await.expect(201).header("etag"), None);
    let text = client.get(&path("j.ics")).await.body;
    assert!(text.contains("DTSTART:20300102T110000Z\r\n"), "{text}");
    let json = client.send("GET", &path("j.ics"), &[("accept", "application/calendar+json")], "").await.expect(200);
    assert_eq!(json.header("content-type"), Some("application/calendar+json"));
    assert!(json.body.contains(r#"["dtstart",{},"date-time","2030-01-02T11:00:00Z"]"#), "{}", json.body);
}

#[tokio::test]
async fn a_move_between_calendars_takes_the_object_along() {
    let world = World::new().await;
    let client = world.alice();
    let work = format!("/calendars/{ALICE}/work/");
    client.send("MKCALENDAR", &work, &[], "").await.expect(201);
    client.put(&path("a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    world.published().await;
    let to = format!("https://calendar.example.org{work}b%20c.ics");
    client.send("MOVE", &path("a.ics"), &[("destination", &to)], "").await.expect(201);
    client.get(&path("a.ics")).await.expect(404);
    assert_eq!(client.get(&format!("{work}b%20c.ics")).await.expect(200).body, event("a", "20300102T110000Z"));
    let published = world.published().await;
    let told: Vec<_> = published.iter().map(|m| (m.topic.name(), m.payload["eventPath"].as_str().unwrap())).collect();
    let (from, to) = (format!("{}a.ics", CALENDAR), format!("{work}b c.ics"));
    assert_eq!(
        told,
        [
            ("calendar:event:alarm:deleted", from.as_str()),
            ("calendar:event:deleted", &from),
            ("calendar:event:alarm:created", &to),
            ("calendar:event:created", &to),
        ]
    );
}

#[tokio::test]
async fn a_move_within_a_calendar_renames_the_object() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&path("a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    client.send("MOVE", &path("a.ics"), &[("destination", &path("b.ics"))], "").await.expect(201);
    assert_eq!(client.contents(CALENDAR).await.len(), 1);
}

#[tokio::test]
async fn a_copy_overwrites_only_where_it_may() {
    let world = World::new().await;
    let client = world.alice();
    let work = format!("/calendars/{ALICE}/work/");
    client.send("MKCALENDAR", &work, &[], "").await.expect(201);
    client.put(&path("a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    let to = format!("{work}a.ics");
    client.send("COPY", &path("a.ics"), &[("destination", &to), ("overwrite", "F")], "").await.expect(201);
    client.send("COPY", &path("a.ics"), &[("destination", &to), ("overwrite", "F")], "").await.expect(412);
    client.send("COPY", &path("a.ics"), &[("destination", &to)], "").await.expect(204);
    // The same calendar has no place for the UID a second time.
    client.send("COPY", &path("a.ics"), &[("destination", &path("b.ics"))], "").await.expect(403);
    let missing = format!("/calendars/{ALICE}/nowhere/a.ics");
    client.send("COPY", &path("a.ics"), &[("destination", &missing)], "").await.expect(409);
    client.send("COPY", &path("a.ics"), &[("destination", &path("a.ics"))], "").await.expect(403);
    client.send("COPY", &path("a.ics"), &[], "").await.expect(400);
    client.get(&path("a.ics")).await.expect(200);
}

#[tokio::test]
async fn an_import_replaces_and_invites_nobody() {
    let world = World::new().await;
    let client = world.alice();
    let lines = [
        "DTSTART:20300109T090000Z",
        "ORGANIZER:mailto:alice@example.org",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org",
    ];
    let text = calendar("VEVENT", "imp", &lines);
    let import = format!("{}?import", path("imp.ics"));
    client.put(&import, &text).await.expect(201);
    client.put(&import, &text).await.expect(201);
    let published = world.published().await;
    let topics: Vec<_> = published.iter().map(|m| m.topic.name()).collect();
    assert_eq!(topics, ["calendar:event:alarm:created", "calendar:event:created"].repeat(2));
    assert_eq!(published[0].payload["import"], serde_json::json!(true));
    assert_eq!(client.get(&path("imp.ics")).await.body, text);
}

#[tokio::test]
async fn a_calendar_is_exported_as_one_file() {
    let world = World::new().await;
    let client = world.alice();
    let zoned = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Paris\r\nBEGIN:STANDARD\r\n\
                 DTSTART:19701025T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n\
                 BEGIN:VEVENT\r\nUID:UID\r\nDTSTAMP:20300101T080000Z\r\nDTSTART;TZID=Europe/Paris:20300102T110000\r\n\
                 END:VEVENT\r\nEND:VCALENDAR\r\n";
    for uid in ["a", "b"] {
        client.put(&path(&format!("{uid}.ics")), &zoned.replace("UID:UID", &format!("UID:{uid}"))).await.expect(201);
    }
    let export = client.get(&format!("{CALENDAR}?export")).await.expect(200);
    assert_eq!(export.header("content-disposition"), Some("attachment; filename=\"calendar.ics\""));
    assert_eq!(export.body.matches("BEGIN:VTIMEZONE").count(), 1);
    assert_eq!(export.body.matches("BEGIN:VEVENT").count(), 2);
    assert!(export.body.starts_with("BEGIN:VCALENDAR\r\n") && export.body.ends_with("END:VCALENDAR\r\n"));
    convoke::ical::Component::parse(&export.body).unwrap();
    assert_eq!(client.get(CALENDAR).await.expect(200).body, export.body, "what the calendar is");
    assert_eq!(client.get(&format!("{CALENDAR}?export&start=soon")).await.expect(400).status, 400);
}

#[tokio::test]
async fn an_unchanged_object_is_not_sent_again() {
    let world = World::new().await;
    let client = world.alice();
    let etag = client.put(&path("a.ics"), &event("a", "20300102T110000Z")).await.header("etag").unwrap().to_owned();
    let answer = client.send("GET", &path("a.ics"), &[("if-none-match", &etag)], "").await.expect(304);
    assert_eq!((answer.body.as_str(), answer.header("etag")), ("", Some(etag.as_str())));
    let since = [("if-modified-since", "Sat, 21 Nov 2026 06:20:15 GMT")];
    client.send("GET", &path("a.ics"), &since, "").await.expect(304);
    let since = [("if-modified-since", "Sat, 21 Nov 2026 06:20:14 GMT")];
    client.send("GET", &path("a.ics"), &since, "").await.expect(200);
}
