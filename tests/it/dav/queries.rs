//! Reports on objects: by time, by property, by address.

use super::{ALICE, BOB, CALENDAR, World, calendar, event};

const WEEKLY: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Paris\r\n\
    BEGIN:DAYLIGHT\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nDTSTART:19700329T020000\r\n\
    RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:+0200\r\n\
    TZOFFSETTO:+0100\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\n\
    END:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:r1\r\nDTSTAMP:20300101T080000Z\r\n\
    DTSTART;TZID=Europe/Paris:20300107T090000\r\nDTEND;TZID=Europe/Paris:20300107T093000\r\nSUMMARY:Stand-up\r\n\
    RRULE:FREQ=WEEKLY;UNTIL=20300201T000000Z\r\nEXDATE;TZID=Europe/Paris:20300114T090000\r\nEND:VEVENT\r\n\
    BEGIN:VEVENT\r\nUID:r1\r\nDTSTAMP:20300101T080000Z\r\nDTSTART;TZID=Europe/Paris:20300123T100000\r\n\
    DTEND;TZID=Europe/Paris:20300123T103000\r\nSUMMARY:Moved\r\n\
    RECURRENCE-ID;TZID=Europe/Paris:20300121T090000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

async fn filled() -> World {
    let world = World::new().await;
    let client = world.alice();
    for (name, text) in [
        (
            "d1.ics",
            calendar("VEVENT", "d1", &["DTSTART;VALUE=DATE:20300110", "DTEND;VALUE=DATE:20300111", "SUMMARY:Day"]),
        ),
        ("r1.ics", WEEKLY.to_owned()),
        ("s1.ics", event("s1", "20300108T080000Z")),
        ("t1.ics", calendar("VTODO", "t1", &["DUE:20300108T120000Z", "SUMMARY:Report", "STATUS:NEEDS-ACTION"])),
        ("t2.ics", calendar("VTODO", "t2", &["SUMMARY:Some day", "COMPLETED:20300109T120000Z"])),
        ("z1.ics", calendar("VEVENT", "z1", &["DTSTART:20300109T000000Z", "SUMMARY:Moment"])),
    ] {
        client.put(&format!("{CALENDAR}{name}"), &text).await.expect(201);
    }
    world
}

/// The names of what a filter within VCALENDAR finds.
async fn found(world: &World, filter: &str) -> Vec<String> {
    let body = format!(
        "<d:prop><d:getetag/></d:prop><cal:filter><cal:comp-filter name=\"VCALENDAR\">{filter}</cal:comp-filter></cal:filter>"
    );
    let hrefs = world.alice().report(CALENDAR, "cal:calendar-query", &body).await.hrefs();
    hrefs.iter().map(|h| h.strip_prefix(CALENDAR).unwrap().to_owned()).collect()
}

fn within(component: &str, start: &str, end: &str) -> String {
    format!("<cal:comp-filter name=\"{component}\"><cal:time-range start=\"{start}\" end=\"{end}\"/></cal:comp-filter>")
}

#[tokio::test]
async fn a_time_range_finds_what_takes_place_in_it() {
    let world = filled().await;
    for (start, end, expected) in [
        ("20300107T000000Z", "20300109T000000Z", vec!["r1.ics", "s1.ics"]),
        ("20300107T083000Z", "20300108T080000Z", vec![]),
        ("20300108T085959Z", "20300108T200000Z", vec!["s1.ics"]),
        ("20300110T235959Z", "20300111T100000Z", vec!["d1.ics"]),
        ("20300111T000000Z", "20300112T000000Z", vec![]),
        // The excluded occurrence, and the place from which the moved one went away.
        ("20300114T000000Z", "20300115T000000Z", vec![]),
        ("20300121T000000Z", "20300122T000000Z", vec![]),
        ("20300123T000000Z", "20300124T000000Z", vec!["r1.ics"]),
        ("20300128T000000Z", "20300129T000000Z", vec!["r1.ics"]),
        ("20300204T000000Z", "20310101T000000Z", vec![]),
        // A moment without length belongs to the range that starts with it.
        ("20300109T000000Z", "20300109T000001Z", vec!["z1.ics"]),
        ("20300108T230000Z", "20300109T000000Z", vec![]),
    ] {
        assert_eq!(found(&world, &within("VEVENT", start, end)).await, expected, "{start} to {end}");
    }
}

#[tokio::test]
async fn series_are_found_however_long_ago_they_began_and_however_far_they_go() {
    let world = World::new().await;
    for (name, start, rule) in [
        ("birthday", "DTSTART;VALUE=DATE:18990305", "RRULE:FREQ=YEARLY"),
        ("daily", "DTSTART:20100101T120000Z", "RRULE:FREQ=DAILY"),
        ("finite", "DTSTART:20260101T120000Z", "RRULE:FREQ=DAILY;COUNT=5000"),
    ] {
        let text = calendar("VEVENT", name, &[start, rule, "SUMMARY:x"]);
        world.alice().put(&format!("{CALENDAR}{name}.ics"), &text).await.expect(201);
    }
    for (day, expected) in [
        ("19000305", vec!["birthday.ics"]),
        ("20260305", vec!["birthday.ics", "daily.ics", "finite.ics"]),
        ("20270306", vec!["daily.ics", "finite.ics"]),
        ("20390305", vec!["birthday.ics", "daily.ics", "finite.ics"]),
        ("20990305", vec!["birthday.ics", "daily.ics"]),
    ] {
        // Asked twice: what is remembered is what was worked out.
        for _ in 0..2 {
            let range = within("VEVENT", &format!("{day}T000000Z"), &format!("{day}T235959Z"));
            assert_eq!(found(&world, &range).await, expected, "{day}");
        }
    }
    // A changed series is another one.
    let text = calendar("VEVENT", "daily", &["DTSTART:20400101T120000Z", "RRULE:FREQ=DAILY", "SUMMARY:x"]);
    world.alice().put(&format!("{CALENDAR}daily.ics"), &text).await.expect(204);
    let range = within("VEVENT", "20270306T000000Z", "20270306T235959Z");
    assert_eq!(found(&world, &range).await, ["finite.ics"]);
}

#[tokio::test]
async fn tasks_are_found_by_due_date_or_when_they_were_done() {
    let world = filled().await;
    assert_eq!(found(&world, &within("VTODO", "20300108T000000Z", "20300109T000000Z")).await, ["t1.ics"]);
    assert_eq!(found(&world, &within("VTODO", "20300109T000000Z", "20300110T000000Z")).await, ["t2.ics"]);
    assert_eq!(found(&world, "<cal:comp-filter name=\"VTODO\"/>").await, ["t1.ics", "t2.ics"]);
}

#[tokio::test]
async fn properties_and_parameters_are_looked_into() {
    let world = filled().await;
    let lines = [
        "DTSTART:20300301T080000Z",
        "SUMMARY:Ünïcode, with a comma",
        "ORGANIZER:mailto:carol@example.org",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:dave@example.org",
        "ATTENDEE;PARTSTAT=ACCEPTED:mailto:erin@example.org",
    ];
    let text = calendar("VEVENT", "p1", &lines).replace("e, with", "e\\, with");
    world.alice().put(&format!("{CALENDAR}p1.ics"), &text).await.expect(201);
    let prop = |inner: &str| format!("<cal:comp-filter name=\"VEVENT\">{inner}</cal:comp-filter>");
    let text_match = |name: &str, text: &str| {
        prop(&format!("<cal:prop-filter name=\"{name}\"><cal:text-match>{text}</cal:text-match></cal:prop-filter>"))
    };
    // What a client gets that names no collation is i;ascii-casemap (RFC 4791 §7.5).
    assert_eq!(found(&world, &text_match("SUMMARY", "ÜNïCODE, WITH")).await, ["p1.ics"]);
    assert_eq!(found(&world, &text_match("SUMMARY", "ünïCODE, WITH")).await, Vec::<String>::new());
    let unicode =
        text_match("SUMMARY", "ünïCODE, WITH").replace("text-match>ü", "text-match collation=\"i;unicode-casemap\">ü");
    assert_eq!(found(&world, &unicode).await, ["p1.ics"]);
    assert_eq!(found(&world, &text_match("UID", "s1")).await, ["s1.ics"]);
    assert_eq!(found(&world, &text_match("DESCRIPTION", "x")).await, Vec::<String>::new());
    let negated = "<cal:prop-filter name=\"SUMMARY\"><cal:text-match negate-condition=\"yes\">a</cal:text-match></cal:prop-filter>";
    assert_eq!(found(&world, &prop(negated)).await, ["r1.ics", "s1.ics", "z1.ics"]);
    let absent = "<cal:prop-filter name=\"DTEND\"><cal:is-not-defined/></cal:prop-filter>";
    assert_eq!(found(&world, &prop(absent)).await, ["p1.ics", "s1.ics", "z1.ics"]);
    for (name, partstat, expected) in
        [("dave", "NEEDS-ACTION", vec!["p1.ics"]), ("dave", "ACCEPTED", vec![]), ("erin", "ACCEPTED", vec!["p1.ics"])]
    {
        let invited = format!(
            "<cal:prop-filter name=\"ATTENDEE\"><cal:text-match collation=\"i;ascii-casemap\">{name}@</cal:text-match>\
             <cal:param-filter name=\"PARTSTAT\"><cal:text-match>{partstat}</cal:text-match></cal:param-filter></cal:prop-filter>"
        );
        assert_eq!(found(&world, &prop(&invited)).await, expected, "{name} {partstat}");
    }
    let older = "<cal:prop-filter name=\"DTSTAMP\"><cal:time-range end=\"20300101T080001Z\"/></cal:prop-filter>";
    assert_eq!(found(&world, &prop(older)).await.len(), 5);
    let older = "<cal:prop-filter name=\"DTSTAMP\"><cal:time-range end=\"20300101T080000Z\"/></cal:prop-filter>";
    assert_eq!(found(&world, &prop(older)).await.len(), 0);
    assert_eq!(found(&world, "<cal:comp-filter name=\"VTODO\"><cal:is-not-defined/></cal:comp-filter>").await.len(), 5);
}

#[tokio::test]
async fn alarms_are_found_by_the_time_they_go_off() {
    let world = World::new().await;
    let text = event("a", "20300108T080000Z")
        .replace("END:VEVENT", "BEGIN:VALARM\r\nUID:x\r\nACTION:DISPLAY\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\nEND:VEVENT");
    world.alice().put(&format!("{CALENDAR}a.ics"), &text).await.expect(201);
    let alarm = |start: &str, end: &str| {
        format!("<cal:comp-filter name=\"VEVENT\">{}</cal:comp-filter>", within("VALARM", start, end))
    };
    assert_eq!(found(&world, &alarm("20300108T074500Z", "20300108T074600Z")).await, ["a.ics"]);
    assert_eq!(found(&world, &alarm("20300108T080000Z", "20300108T090000Z")).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_series_is_expanded_into_its_occurrences() {
    let world = filled().await;
    let body = "<d:prop><cal:calendar-data><cal:expand start=\"20300107T000000Z\" end=\"20300124T000000Z\"/>\
                </cal:calendar-data></d:prop><cal:filter><cal:comp-filter name=\"VCALENDAR\"><cal:comp-filter name=\"VEVENT\">\
                <cal:prop-filter name=\"UID\"><cal:text-match>r1</cal:text-match></cal:prop-filter></cal:comp-filter>\
                </cal:comp-filter></cal:filter>";
    let answer = world.alice().report(CALENDAR, "cal:calendar-query", body).await;
    let data = "BEGIN:VCALENDAR&#13;\nVERSION:2.0&#13;\nPRODID:-//x//EN&#13;\nBEGIN:VEVENT&#13;\nUID:r1&#13;\n\
                DTSTAMP:20300101T080000Z&#13;\nDTSTART:20300107T080000Z&#13;\nDTEND:20300107T083000Z&#13;\n\
                SUMMARY:Stand-up&#13;\nRECURRENCE-ID:20300107T080000Z&#13;\nEND:VEVENT&#13;\nBEGIN:VEVENT&#13;\n\
                UID:r1&#13;\nDTSTAMP:20300101T080000Z&#13;\nDTSTART:20300123T090000Z&#13;\nDTEND:20300123T093000Z&#13;\n\
                SUMMARY:Moved&#13;\nRECURRENCE-ID:20300121T080000Z&#13;\nEND:VEVENT&#13;\nEND:VCALENDAR&#13;\n";
    assert_eq!(
        answer.responses(),
        format!(
            "<d:response><d:href>{CALENDAR}r1.ics</d:href><d:propstat><d:prop><cal:calendar-data>{data}\
             </cal:calendar-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        )
    );
}

#[tokio::test]
async fn only_the_parts_asked_for_are_sent() {
    let world = filled().await;
    let data = "<cal:calendar-data><cal:comp name=\"VCALENDAR\"><cal:prop name=\"VERSION\"/><cal:comp name=\"VEVENT\">\
                <cal:prop name=\"SUMMARY\"/><cal:prop name=\"UID\"/></cal:comp></cal:comp></cal:calendar-data>";
    let body = format!("<d:prop>{data}</d:prop><d:href>{CALENDAR}r1.ics</d:href>");
    let answer = world.alice().report(CALENDAR, "cal:calendar-multiget", &body).await.responses();
    let data = answer.split("<cal:calendar-data>").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(
        data.replace("&#13;", ""),
        "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:r1\nSUMMARY:Stand-up\nEND:VEVENT\nBEGIN:VEVENT\nUID:r1\n\
         SUMMARY:Moved\nEND:VEVENT\nEND:VCALENDAR\n"
    );
    let limit = "<cal:calendar-data><cal:limit-recurrence-set start=\"20300107T000000Z\" end=\"20300108T000000Z\"/></cal:calendar-data>";
    let body = format!("<d:prop>{limit}</d:prop><d:href>{CALENDAR}r1.ics</d:href>");
    let answer = world.alice().report(CALENDAR, "cal:calendar-multiget", &body).await.responses();
    assert!(answer.contains("RRULE:FREQ=WEEKLY") && !answer.contains("Moved"), "{answer}");
}

#[tokio::test]
async fn multiget_answers_for_every_address() {
    let world = filled().await;
    let body = format!(
        "<d:prop><d:getetag/><cal:calendar-data/></d:prop><d:href>{CALENDAR}s1.ics</d:href>\
         <d:href>https://calendar.example.org{CALENDAR}none.ics</d:href><d:href>relative.ics</d:href>"
    );
    let text = event("s1", "20300108T080000Z");
    let etag = convoke::dav::precondition::etag_of(&text);
    let answer = world.alice().report(CALENDAR, "cal:calendar-multiget", &body).await;
    assert_eq!(
        answer.responses(),
        format!(
            "<d:response><d:href>{CALENDAR}s1.ics</d:href><d:propstat><d:prop><d:getetag>&quot;{etag}&quot;</d:getetag>\
             <cal:calendar-data>{}</cal:calendar-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
             </d:response><d:response><d:href>https://calendar.example.org{CALENDAR}none.ics</d:href>\
             <d:status>HTTP/1.1 404 Not Found</d:status></d:response><d:response><d:href>relative.ics</d:href>\
             <d:status>HTTP/1.1 404 Not Found</d:status></d:response>",
            text.replace("\r\n", "\n")
        )
    );
}

#[tokio::test]
async fn multiget_knows_addresses_below_the_mount() {
    let world = filled().await;
    for prefix in ["/dav", "https://calendar.example.org/dav"] {
        let body = format!("<d:prop><d:getetag/></d:prop><d:href>{prefix}{CALENDAR}s1.ics</d:href>");
        let answer = world.alice().report(CALENDAR, "cal:calendar-multiget", &body).await.responses();
        assert!(answer.contains("HTTP/1.1 200 OK") && !answer.contains("404"), "{answer}");
    }
}

#[tokio::test]
async fn a_calendar_of_ten_thousand_objects_streams() {
    let world = World::new().await;
    let client = world.alice();
    let count = 1234;
    for n in 0..count {
        let text = event(&format!("e{n:05}"), "20300108T080000Z");
        client.put(&format!("{CALENDAR}e{n:05}.ics"), &text).await.expect(201);
    }
    let hrefs = client.propfind(CALENDAR, "1", "<d:getetag/>").await.hrefs();
    assert_eq!(hrefs.len(), count + 1);
    assert!(hrefs.is_sorted());
    let query = found(&world, &within("VEVENT", "20300108T000000Z", "20300109T000000Z")).await;
    assert_eq!(query.len(), count);
    let hrefs: String = hrefs.iter().skip(1).map(|h| format!("<d:href>{h}</d:href>")).collect();
    let body = format!("<d:prop><cal:calendar-data/></d:prop>{hrefs}");
    let answer = client.report(CALENDAR, "cal:calendar-multiget", &body).await;
    assert_eq!(answer.header("content-length"), None, "a long answer is not held back to be measured");
    assert_eq!(answer.hrefs().len(), count);
}

#[tokio::test]
async fn busy_times_are_told_without_what_for() {
    let world = filled().await;
    let client = world.alice();
    for (uid, line) in [("free", "TRANSP:TRANSPARENT"), ("off", "STATUS:CANCELLED"), ("maybe", "STATUS:TENTATIVE")] {
        let text = calendar("VEVENT", uid, &["DTSTART:20300109T100000Z", "DURATION:PT1H", line]);
        client.put(&format!("{CALENDAR}{uid}.ics"), &text).await.expect(201);
    }
    let range = "<cal:time-range start=\"20300107T000000Z\" end=\"20300124T000000Z\"/>";
    let answer = client.report(CALENDAR, "cal:free-busy-query", range).await.expect(200);
    assert_eq!(
        answer.body,
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//convoke//convoke//EN\r\nCALSCALE:GREGORIAN\r\nBEGIN:VFREEBUSY\r\n\
         DTSTART:20300107T000000Z\r\nDTEND:20300124T000000Z\r\nDTSTAMP:20261121T062015Z\r\n\
         FREEBUSY:20300107T080000Z/20300107T083000Z\r\nFREEBUSY:20300108T080000Z/20300108T090000Z\r\n\
         FREEBUSY;FBTYPE=BUSY-TENTATIVE:20300109T100000Z/20300109T110000Z\r\n\
         FREEBUSY:20300110T000000Z/20300111T000000Z\r\nFREEBUSY:20300123T090000Z/20300123T093000Z\r\n\
         END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
    );
    assert_eq!(answer.header("content-type"), Some("text/calendar; charset=utf-8"));
}

#[tokio::test]
async fn the_outbox_tells_when_colleagues_are_busy() {
    let world = filled().await;
    let request = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\nUID:fb1\r\n\
                   DTSTAMP:20300101T000000Z\r\nDTSTART:20300108T000000Z\r\nDTEND:20300109T000000Z\r\n\
                   ORGANIZER:mailto:bob@example.org\r\nATTENDEE:mailto:alice@example.org\r\n\
                   ATTENDEE:MAILTO:Alice@example.org\r\n\
                   ATTENDEE:mailto:eve@other.example\r\nATTENDEE:mailto:nobody@example.org\r\nEND:VFREEBUSY\r\n\
                   END:VCALENDAR\r\n";
    let outbox = format!("/calendars/{BOB}/outbox/");
    let answer = world.bob().send("POST", &outbox, &[("content-type", "text/calendar")], request).await.expect(200);
    let unknown = |who: &str| {
        format!(
            "<cal:response><cal:recipient><d:href>mailto:{who}</d:href></cal:recipient>\
             <cal:request-status>3.7;Could not find principal</cal:request-status></cal:response>"
        )
    };
    let body = answer.body.split_once("xmlns:card=\"urn:ietf:params:xml:ns:carddav\">").unwrap().1;
    assert_eq!(
        body,
        format!(
            "<cal:response><cal:recipient><d:href>mailto:alice@example.org</d:href></cal:recipient>\
             <cal:request-status>2.0;Success</cal:request-status><cal:calendar-data>BEGIN:VCALENDAR\nVERSION:2.0\n\
             PRODID:-//convoke//convoke//EN\nCALSCALE:GREGORIAN\nMETHOD:REPLY\nBEGIN:VFREEBUSY\n\
             DTSTART:20300108T000000Z\nDTEND:20300109T000000Z\nDTSTAMP:20261121T062015Z\n\
             FREEBUSY:20300108T080000Z/20300108T090000Z\nATTENDEE:mailto:alice@example.org\nUID:fb1\n\
             ORGANIZER:mailto:bob@example.org\nEND:VFREEBUSY\nEND:VCALENDAR\n</cal:calendar-data></cal:response>{}{}\
             </cal:schedule-response>",
            unknown("eve@other.example"),
            unknown("nobody@example.org")
        )
    );
    let forged = request.replace("ORGANIZER:mailto:bob", "ORGANIZER:mailto:alice");
    world.bob().send("POST", &outbox, &[], &forged).await.expect(403);
    world.bob().send("POST", &outbox, &[], "garbage").await.expect(403);
    world.alice().send("POST", &format!("/calendars/{ALICE}/work/"), &[], request).await.expect(404);
}

#[tokio::test]
async fn reports_that_do_not_fit_the_resource_are_refused() {
    let world = filled().await;
    let client = world.alice();
    let query = "<cal:filter><cal:comp-filter name=\"VCALENDAR\"/></cal:filter>";
    let refused = client.report("/principals/users/", "cal:calendar-query", query).await.expect(403);
    assert!(refused.body.contains("<d:supported-report/>"), "{}", refused.body);
    client.report(&format!("/addressbooks/{ALICE}/contacts/"), "cal:calendar-query", query).await.expect(403);
    client.report(CALENDAR, "d:unheard-of", "").await.expect(403);
    client.send("REPORT", CALENDAR, &[], "").await.expect(400);
    client.report(&format!("/calendars/{ALICE}/outbox/"), "cal:calendar-query", query).await.expect(403);
}
