//! Bad input gets the error of its kind, and what was stored stays as it was.

use convoke::config::Limits;
use convoke::dav::server::Settings;

use super::{ALICE, CALENDAR, World, calendar, event, root};

#[tokio::test]
async fn malformed_and_hostile_xml_is_refused_on_every_method_that_reads_xml() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&format!("{CALENDAR}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;&lol;&lol;\">]>\
                <d:propfind xmlns:d=\"DAV:\"><d:prop><d:x>&lol2;</d:x></d:prop></d:propfind>";
    let external = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
                    <d:propertyupdate xmlns:d=\"DAV:\"><d:set><d:prop><d:displayname>&x;</d:displayname></d:prop></d:set>\
                    </d:propertyupdate>";
    let deep = "<a>".repeat(100) + &"</a>".repeat(100);
    let wrong = "<d:lockinfo xmlns:d=\"DAV:\"/>";
    for method in ["PROPFIND", "PROPPATCH", "REPORT", "MKCALENDAR"] {
        let path = if method == "MKCALENDAR" { format!("/calendars/{ALICE}/new/") } else { CALENDAR.to_owned() };
        for body in ["<d:propfind", "<a></b>", "no xml", bomb, external, &deep] {
            let answer = client.send(method, &path, &[], body).await;
            assert_eq!(answer.status, 400, "{method} {body}: {}", answer.body);
            assert!(answer.body.starts_with("<?xml") && answer.body.contains("<d:error"), "{method} {body}");
            assert!(!answer.body.contains("root:"), "{}", answer.body);
        }
        let status = client.send(method, &path, &[], wrong).await.status;
        assert!(status == 400 || method == "REPORT" && status == 403, "{method}: {status}");
    }
    let dtd = client.send("PROPFIND", CALENDAR, &[], bomb).await;
    assert!(dtd.body.contains("<d:no-external-entities/>"), "{}", dtd.body);
    client.propfind(&format!("/calendars/{ALICE}/new/"), "0", "").await.expect(404);
    let props = client.propfind(CALENDAR, "0", "<d:displayname/><s:sync-token/>").await.responses();
    assert!(props.contains("#default") && props.contains("<s:sync-token>2<"), "{props}");
}

#[tokio::test]
async fn bodies_that_are_too_large_are_cut_off() {
    let limits = Limits { object_bytes: 2000, xml_bytes: 2000, object_lines: 50, object_depth: 3, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let client = world.alice();
    let path = format!("{CALENDAR}a.ics");
    let before = event("a", "20300102T110000Z");
    client.put(&path, &before).await.expect(201);
    let long = calendar("VEVENT", "a", &["DTSTART:20300102T110000Z", &format!("SUMMARY:{}", "x".repeat(3000))]);
    let many = calendar("VEVENT", "a", &["DTSTART:20300102T110000Z", &"X:1\r\n".repeat(60)]);
    let deep = calendar("VEVENT", "a", &[&"BEGIN:X\r\n".repeat(5), &"END:X\r\n".repeat(5)]);
    for text in [&long, &many, &deep] {
        let refused = client.put(&path, text).await.expect(403);
        assert!(refused.body.contains("<cal:max-resource-size "), "{}", refused.body);
    }
    client.put(&format!("/addressbooks/{ALICE}/contacts/x.vcf"), &"x".repeat(3000)).await.expect(403);
    let xml = format!("{}<!-- {} --></d:propfind>", root("d:propfind"), "x".repeat(3000));
    client.send("PROPFIND", CALENDAR, &[], &xml).await.expect(413);
    client.send("POST", "/itip", &[], &"x".repeat(3000)).await.expect(413);
    assert_eq!(client.get(&path).await.body, before);
}

#[tokio::test]
async fn malformed_icalendar_is_refused_and_leaves_the_object_alone() {
    let world = World::new().await;
    let client = world.alice();
    let path = format!("{CALENDAR}a.ics");
    let before = event("a", "20300102T110000Z");
    client.put(&path, &before).await.expect(201);
    world.published().await;
    let two = event("a", "20300102T110000Z").replace(
        "END:VCALENDAR",
        "BEGIN:VEVENT\r\nUID:b\r\nDTSTAMP:20300101T080000Z\r\nDTSTART:20300102T110000Z\r\nEND:VEVENT\r\nEND:VCALENDAR",
    );
    let mixed = two
        .replace("BEGIN:VEVENT\r\nUID:b", "BEGIN:VTODO\r\nUID:a")
        .replace("0Z\r\nEND:VEVENT\r\nEND:VCAL", "0Z\r\nEND:VTODO\r\nEND:VCAL");
    let empty = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n";
    let method = before.replace("BEGIN:VEVENT", "METHOD:REQUEST\r\nBEGIN:VEVENT");
    for (text, status, expected) in [
        ("garbage", 403, "This resource only supports valid iCalendar 2.0 data. Parse error:"),
        ("", 403, "<cal:valid-calendar-data "),
        ("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n", 403, "<cal:valid-calendar-data "),
        ("BEGIN:VCARD\r\nEND:VCARD\r\n", 403, "expected a VCALENDAR, found VCARD"),
        ("[\"vcalendar\"", 403, "not valid jCal"),
        (empty, 403, "<cal:supported-calendar-component "),
        (&method, 403, "Validation error in iCalendar: A calendar object on a CalDAV server MUST NOT have a METHOD"),
        (&two, 403, "may only have components with the same UID"),
        (&mixed, 403, "Validation error in iCalendar: "),
    ] {
        let refused = client.put(&path, text).await.expect(status);
        assert!(refused.body.contains(expected), "{text}: {}", refused.body);
    }
    assert_eq!(client.get(&path).await.body, before);
    assert_eq!(world.topics().await, Vec::<&str>::new());
}

#[tokio::test]
async fn a_rule_with_a_million_occurrences_hides_nothing_else() {
    let world = World::new().await;
    let client = world.alice();
    let flood = ["DTSTART:20300101T000000Z", "DURATION:PT1S", "RRULE:FREQ=SECONDLY;COUNT=10000000"];
    client.put(&format!("{CALENDAR}flood.ics"), &calendar("VEVENT", "flood", &flood)).await.expect(201);
    let broken = ["DTSTART:20300108T080000Z", "RRULE:FREQ=WEEKLY;UNTIL=INVALID DATE"];
    client.put(&format!("{CALENDAR}broken.ics"), &calendar("VEVENT", "broken", &broken)).await.expect(201);
    client.put(&format!("{CALENDAR}s.ics"), &event("s", "20300108T080000Z")).await.expect(201);
    let range = "start=\"20300108T000000Z\" end=\"20300109T000000Z\"";
    let body = format!(
        "<d:prop><cal:calendar-data><cal:expand {range}/></cal:calendar-data></d:prop><cal:filter>\
         <cal:comp-filter name=\"VCALENDAR\"><cal:comp-filter name=\"VEVENT\"><cal:time-range {range}/></cal:comp-filter>\
         </cal:comp-filter></cal:filter>"
    );
    let hrefs = client.report(CALENDAR, "cal:calendar-query", &body).await.hrefs();
    assert!(hrefs.contains(&format!("{CALENDAR}s.ics")), "{hrefs:?}");
    assert!(hrefs.contains(&format!("{CALENDAR}broken.ics")), "{hrefs:?}");
    let busy = format!("<cal:time-range {range}/>");
    let answer = client.report(CALENDAR, "cal:free-busy-query", &busy).await.expect(200);
    assert!(answer.body.contains("20300108T080000Z"), "{}", answer.body);
}

#[tokio::test]
async fn durations_beyond_all_time_break_nothing() {
    let world = World::new().await;
    let client = world.alice();
    let start = ["DTSTART:20260101T100000Z", "RRULE:FREQ=DAILY", "SUMMARY:x"];
    let endless = "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:long\r\nDTSTAMP:20300101T080000Z\r\n\
                   RECURRENCE-ID;RANGE=THISANDFUTURE:20260103T100000Z\r\nDTSTART:20260103T110000Z\r\n\
                   DURATION:P99999999W\r\nEND:VEVENT\r\nEND:VCALENDAR";
    let long = calendar("VEVENT", "long", &start).replace("END:VEVENT\r\nEND:VCALENDAR", endless);
    let put = client.put(&format!("{CALENDAR}long.ics"), &long).await;
    assert!(put.status == 201 || put.status.is_client_error(), "{put:?}");
    for (name, trigger, gap) in [
        ("a", "-P9999999W", "P9999999999W"),
        ("b", "-P9999999999W9999999999W", "PT1M"),
        ("c", "-PT15M", "P9999999999W"),
        ("d", "-PT15M", "P500000W"),
    ] {
        let (trigger, gap) = (format!("TRIGGER:{trigger}"), format!("DURATION:{gap}"));
        let lines = ["DTSTART:20300108T080000Z", "BEGIN:VALARM", &trigger, "REPEAT:1000", &gap, "END:VALARM"];
        client.put(&format!("{CALENDAR}{name}.ics"), &calendar("VEVENT", name, &lines)).await.expect(201);
    }
    let filter = "<d:prop><d:getetag/></d:prop><cal:filter><cal:comp-filter name=\"VCALENDAR\">\
                  <cal:comp-filter name=\"VEVENT\"><cal:comp-filter name=\"VALARM\">\
                  <cal:time-range start=\"20300108T070000Z\" end=\"20300108T090000Z\"/></cal:comp-filter>\
                  </cal:comp-filter></cal:comp-filter></cal:filter>";
    let hrefs = client.report(CALENDAR, "cal:calendar-query", filter).await.hrefs();
    assert_eq!(hrefs, [format!("{CALENDAR}c.ics"), format!("{CALENDAR}d.ics")]);
    // As far away as an instant can be.
    let path = format!("{CALENDAR}?export&expand=1&start=8210266876000&end=8210266876799");
    let daily = calendar("VEVENT", "daily", &start);
    client.put(&format!("{CALENDAR}daily.ics"), &daily).await.expect(201);
    client.get(&path).await.expect(200);
}

#[tokio::test]
async fn a_long_text_is_not_repeated_for_thousands_of_occurrences() {
    let limits = Limits { expansion_bytes: 20_000, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let client = world.alice();
    let text = format!("DESCRIPTION:{}", "x".repeat(1000));
    for (name, rule) in [("few", "RRULE:FREQ=DAILY;COUNT=10"), ("many", "RRULE:FREQ=DAILY;COUNT=1000")] {
        let lines = ["DTSTART:20300101T080000Z", rule, &text];
        client.put(&format!("{CALENDAR}{name}.ics"), &calendar("VEVENT", name, &lines)).await.expect(201);
    }
    let export = client.get(&format!("{CALENDAR}?export&expand=1&start=0&end=9999999999")).await.expect(200).body;
    assert_eq!(export.matches("UID:few").count(), 10);
    assert_eq!(export.matches("UID:many").count(), 1, "as it is stored");
    let hrefs = ["few.ics", "many.ics", "few.ics", "f%65w.ics", "gone.ics", "gone.ics"];
    let hrefs: String = hrefs.iter().map(|name| format!("<d:href>{CALENDAR}{name}</d:href>")).collect();
    let expand = "<cal:expand start=\"20300101T000000Z\" end=\"20400101T000000Z\"/>";
    let body = format!("<d:prop><cal:calendar-data>{expand}</cal:calendar-data></d:prop>{hrefs}");
    let answer = client.report(CALENDAR, "cal:calendar-multiget", &body).await.responses();
    assert_eq!(answer.matches("UID:few").count(), 10);
    assert_eq!(answer.matches("UID:many").count(), 1);
    assert_eq!(answer.matches("gone.ics").count(), 1);
}

#[tokio::test]
async fn answers_of_many_octets_are_whole() {
    let world = World::new().await;
    let client = world.alice();
    let text = format!("DESCRIPTION:{}", "x".repeat(300_000));
    for n in 0..9 {
        let lines = ["DTSTART:20300101T080000Z", &text];
        client.put(&format!("{CALENDAR}{n}.ics"), &calendar("VEVENT", &format!("big{n}"), &lines)).await.expect(201);
    }
    let each_once = |body: &str| (0..9).all(|n| body.matches(&format!("UID:big{n}")).count() == 1);
    let export = client.get(&format!("{CALENDAR}?export")).await.expect(200);
    assert!(each_once(&export.body) && export.body.ends_with("END:VCALENDAR\r\n"));
    assert_eq!(export.header("content-length"), None, "sent in pieces");
    let data = "<d:prop><cal:calendar-data/></d:prop>";
    let filter = "<cal:filter><cal:comp-filter name=\"VCALENDAR\"/></cal:filter>";
    let found = client.report(CALENDAR, "cal:calendar-query", &format!("{data}{filter}")).await.responses();
    assert!(each_once(&found));
    let hrefs: String = (0..9).map(|n| format!("<d:href>{CALENDAR}{n}.ics</d:href>")).collect();
    let got = client.report(CALENDAR, "cal:calendar-multiget", &format!("{data}{hrefs}")).await.responses();
    assert!(each_once(&got));
}

#[tokio::test]
async fn more_attendees_than_allowed_are_refused() {
    let limits = Limits { attendees: 3, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let attendees: Vec<String> = (0..4).map(|n| format!("ATTENDEE:mailto:g{n}@elsewhere.example")).collect();
    let mut lines = vec!["DTSTART:20300102T110000Z", "ORGANIZER:mailto:alice@example.org"];
    lines.extend(attendees.iter().map(String::as_str));
    let refused = world.alice().put(&format!("{CALENDAR}a.ics"), &calendar("VEVENT", "a", &lines)).await.expect(403);
    assert!(refused.body.contains("<cal:max-attendees-per-instance "), "{}", refused.body);
    lines.pop();
    world.alice().put(&format!("{CALENDAR}a.ics"), &calendar("VEVENT", "a", &lines)).await.expect(201);
}

#[tokio::test]
async fn methods_and_filters_nobody_knows_are_refused() {
    let world = World::new().await;
    let client = world.alice();
    client.send("LOCK", CALENDAR, &[], "").await.expect(501);
    client.send("BREW", "/", &[], "").await.expect(501);
    let filter = "<cal:filter><cal:comp-filter name=\"VCALENDAR\"><cal:comp-filter name=\"VEVENT\">\
                  <cal:prop-filter name=\"SUMMARY\"><cal:text-match collation=\"i;klingon\">x</cal:text-match></cal:prop-filter>\
                  </cal:comp-filter></cal:comp-filter></cal:filter>";
    let refused = client.report(CALENDAR, "cal:calendar-query", filter).await.expect(403);
    assert!(refused.body.contains("<cal:supported-collation "), "{}", refused.body);
    client.report(CALENDAR, "cal:calendar-query", "<d:prop/>").await.expect(403);
    client.send("POST", CALENDAR, &[("x-http-method-override", "b\u{e4}d")], "").await.expect(400);
    client.send("POST", &format!("{CALENDAR}x.ics"), &[("x-http-method-override", "delete")], "").await.expect(404);
}

#[tokio::test]
async fn an_event_that_never_starts_is_refused() {
    let world = World::new().await;
    let text = calendar("VEVENT", "never", &["SUMMARY:Never"]);
    let refused = world.alice().put(&format!("{CALENDAR}never.ics"), &text).await.expect(403);
    assert!(refused.body.contains("<cal:valid-calendar-object-resource"), "{}", refused.body);
    assert_eq!(world.alice().contents(CALENDAR).await.len(), 0);
    let task = calendar("VTODO", "some-day", &["SUMMARY:Some day"]);
    world.alice().put(&format!("{CALENDAR}some-day.ics"), &task).await.expect(201);
}
