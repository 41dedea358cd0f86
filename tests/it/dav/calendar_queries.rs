//! What calendar-query can ask beyond a screenful: any component, any side of time, any zone, any part.

use convoke::config::Limits;
use convoke::dav::server::Settings;

use super::{ALICE, BOB, CALENDAR, Client, World, calendar, event, root};

const MIXED: &str = "/calendars/65aa00000000000000000001/mixed/";

/// A calendar that takes everything, with one object of each kind.
async fn mixed() -> World {
    let world = World::new().await;
    let client = world.alice();
    client.send("MKCALENDAR", MIXED, &[], "").await.expect(201);
    let away = ["DTSTART:20300110T000000Z", "DTEND:20300111T000000Z", "SUMMARY:Away"];
    let busy =
        ["DTSTART:20300101T000000Z", "DTEND:20300201T000000Z", "FREEBUSY:20300112T080000Z/PT2H,20300113T080000Z/PT1H"];
    for (name, text) in [
        ("a.ics", calendar("VAVAILABILITY", "a", &away)),
        ("e.ics", event("e", "20300108T080000Z")),
        ("f.ics", calendar("VFREEBUSY", "f", &busy)),
        ("j.ics", calendar("VJOURNAL", "j", &["DTSTART;VALUE=DATE:20300109", "SUMMARY:Minutes"])),
        ("t.ics", calendar("VTODO", "t", &["DTSTART:20300108T090000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY"])),
        ("u.ics", calendar("VTODO", "u", &["SUMMARY:Some day"])),
    ] {
        client.put(&format!("{MIXED}{name}"), &text).await.expect(201);
    }
    world
}

fn query(filter: &str) -> String {
    format!(
        "<d:prop><d:getetag/></d:prop><cal:filter><cal:comp-filter name=\"VCALENDAR\">{filter}</cal:comp-filter></cal:filter>"
    )
}

async fn found(client: &Client<'_>, path: &str, filter: &str) -> Vec<String> {
    let hrefs = client.report(path, "cal:calendar-query", &query(filter)).await.hrefs();
    hrefs.iter().map(|h| h.rsplit('/').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_kind_of_component_has_its_place_in_time() {
    let world = mixed().await;
    let client = world.alice();
    let within = |name: &str, range: &str| {
        format!("<cal:comp-filter name=\"{name}\"><cal:time-range {range}/></cal:comp-filter>")
    };
    for (name, range, expected) in [
        ("VJOURNAL", "start=\"20300109T120000Z\" end=\"20300110T000000Z\"", vec!["j.ics"]),
        ("VJOURNAL", "start=\"20300110T000000Z\"", vec![]),
        ("VAVAILABILITY", "start=\"20300110T120000Z\" end=\"20300110T130000Z\"", vec!["a.ics"]),
        ("VAVAILABILITY", "start=\"20300111T000000Z\"", vec![]),
        ("VFREEBUSY", "start=\"20300115T000000Z\" end=\"20300116T000000Z\"", vec!["f.ics"]),
        ("VFREEBUSY", "start=\"20310115T000000Z\"", vec![]),
        ("VEVENT", "start=\"20300108T085959Z\"", vec!["e.ics"]),
        ("VEVENT", "end=\"20300108T080000Z\"", vec![]),
        ("VEVENT", "end=\"20300108T080001Z\"", vec!["e.ics"]),
        // An endless series, and a task of no time at all.
        ("VTODO", "start=\"20990101T000000Z\"", vec!["t.ics", "u.ics"]),
        ("VTODO", "start=\"20300109T000000Z\" end=\"20300110T000000Z\"", vec!["u.ics"]),
        ("VTODO", "end=\"20200101T000000Z\"", vec!["u.ics"]),
    ] {
        assert_eq!(found(&client, MIXED, &within(name, range)).await, expected, "{name} {range}");
    }
    // Without a type: all that takes place then.
    let any = "<cal:time-range start=\"20300108T000000Z\" end=\"20300109T000000Z\"/>";
    assert_eq!(found(&client, MIXED, any).await, ["e.ics", "f.ics", "t.ics", "u.ics"]);
    assert_eq!(found(&client, MIXED, "").await.len(), 6);
    let no_task = "<cal:comp-filter name=\"VTODO\"><cal:is-not-defined/></cal:comp-filter>";
    assert_eq!(found(&client, MIXED, no_task).await, ["a.ics", "e.ics", "f.ics", "j.ics"]);
}

#[tokio::test]
async fn tasks_and_endless_series_are_expanded_too() {
    let world = mixed().await;
    let expand = "<cal:expand start=\"20990101T000000Z\" end=\"20990115T000000Z\"/>";
    let body = format!("<d:prop><cal:calendar-data>{expand}</cal:calendar-data></d:prop><d:href>{MIXED}t.ics</d:href>");
    let answer = world.alice().report(MIXED, "cal:calendar-multiget", &body).await.responses();
    assert_eq!(answer.matches("BEGIN:VTODO").count(), 2, "{answer}");
    assert!(answer.contains("RECURRENCE-ID:20990106T090000Z") && !answer.contains("RRULE"), "{answer}");
}

#[tokio::test]
async fn a_home_is_asked_about_all_its_calendars() {
    let world = mixed().await;
    let client = world.alice();
    client.put(&format!("{CALENDAR}d.ics"), &event("d", "20300108T080000Z")).await.expect(201);
    let home = format!("/calendars/{ALICE}/");
    let events = "<cal:comp-filter name=\"VEVENT\"/>";
    assert_eq!(found(&client, &home, events).await, ["d.ics", "e.ics"]);
    let body = format!("{}{}</cal:calendar-query>", root("cal:calendar-query"), query(events));
    for path in [home.as_str(), CALENDAR] {
        let nothing = client.send("REPORT", path, &[("depth", "0")], &body).await.responses();
        assert_eq!(nothing, "", "the members are not asked about");
    }
    let one = client.send("REPORT", &format!("{MIXED}e.ics"), &[("depth", "0")], &body).await.hrefs();
    assert_eq!(one, [format!("{MIXED}e.ics")]);
    client.report(&format!("/calendars/{BOB}/"), "cal:calendar-query", &query(events)).await.expect(403);
}

#[tokio::test]
async fn filters_that_mean_nothing_or_cannot_be_applied_are_told_apart() {
    let world = World::new().await;
    let client = world.alice();
    let range = "<cal:time-range start=\"20300101T000000Z\" end=\"20300102T000000Z\"/>";
    for (filter, condition) in [
        (
            "<cal:comp-filter name=\"VEVENT\"><cal:comp-filter name=\"VTODO\"/></cal:comp-filter>".to_owned(),
            "valid-filter",
        ),
        (
            format!(
                "<cal:comp-filter name=\"VEVENT\"><cal:prop-filter name=\"SUMMARY\">{range}</cal:prop-filter></cal:comp-filter>"
            ),
            "valid-filter",
        ),
        ("<cal:comp-filter name=\"VEVENT\"><cal:time-range/></cal:comp-filter>".to_owned(), "valid-filter"),
        (
            "<cal:comp-filter name=\"VEVENT\"><cal:time-range start=\"2030\"/></cal:comp-filter>".to_owned(),
            "valid-filter",
        ),
        (format!("<cal:comp-filter name=\"VTIMEZONE\">{range}</cal:comp-filter>"), "supported-filter"),
    ] {
        let refused = client.report(CALENDAR, "cal:calendar-query", &query(&filter)).await.expect(403);
        assert!(refused.body.contains(&format!("<cal:{condition} ")), "{filter}: {}", refused.body);
    }
    let outermost = "<cal:filter><cal:comp-filter name=\"VEVENT\"/></cal:filter>";
    let refused = client.report(CALENDAR, "cal:calendar-query", outermost).await.expect(403);
    assert!(refused.body.contains("<cal:valid-filter "), "{}", refused.body);
}

#[tokio::test]
async fn floating_times_are_read_in_the_zone_of_the_query() {
    let world = World::new().await;
    let client = world.alice();
    let text = calendar("VEVENT", "f", &["DTSTART:20300108T080000", "DURATION:PT1H", "SUMMARY:Wherever I am"]);
    client.put(&format!("{CALENDAR}f.ics"), &text).await.expect(201);
    let filter = "<cal:filter><cal:comp-filter name=\"VCALENDAR\"><cal:comp-filter name=\"VEVENT\">\
                  <cal:time-range start=\"20300108T130000Z\" end=\"20300108T133000Z\"/></cal:comp-filter></cal:comp-filter>\
                  </cal:filter>";
    let expand = "<d:prop><cal:calendar-data><cal:expand start=\"20300108T000000Z\" end=\"20300109T000000Z\"/>\
                  </cal:calendar-data></d:prop>";
    let ask = |zone: &str| format!("{expand}{filter}{zone}");
    assert_eq!(client.report(CALENDAR, "cal:calendar-query", &ask("")).await.responses(), "");
    let new_york = ask("<cal:timezone-id>America/New_York</cal:timezone-id>");
    let found = client.report(CALENDAR, "cal:calendar-query", &new_york).await.responses();
    assert!(found.contains("DTSTART:20300108T130000Z"), "{found}");
    let defined = "BEGIN:VCALENDAR&#13;\nVERSION:2.0&#13;\nPRODID:x&#13;\nBEGIN:VTIMEZONE&#13;\nTZID:America/New_York&#13;\n\
                   BEGIN:STANDARD&#13;\nDTSTART:20071104T020000&#13;\nTZOFFSETFROM:-0400&#13;\nTZOFFSETTO:-0500&#13;\n\
                   RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU&#13;\nEND:STANDARD&#13;\nBEGIN:DAYLIGHT&#13;\n\
                   DTSTART:20070311T020000&#13;\nTZOFFSETFROM:-0500&#13;\nTZOFFSETTO:-0400&#13;\n\
                   RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU&#13;\nEND:DAYLIGHT&#13;\nEND:VTIMEZONE&#13;\nEND:VCALENDAR&#13;\n";
    let by_definition = ask(&format!("<cal:timezone>{defined}</cal:timezone>"));
    assert_eq!(client.report(CALENDAR, "cal:calendar-query", &by_definition).await.hrefs().len(), 1);
    for (zone, condition) in [
        ("<cal:timezone-id>Mars/Base</cal:timezone-id>", "valid-timezone"),
        ("<cal:timezone>no zone</cal:timezone>", "valid-calendar-data"),
    ] {
        let refused = client.report(CALENDAR, "cal:calendar-query", &ask(zone)).await.expect(403);
        assert!(refused.body.contains(&format!("<cal:{condition} ")), "{}", refused.body);
    }
}

#[tokio::test]
async fn each_collation_finds_what_it_sees_as_equal() {
    let world = World::new().await;
    let client = world.alice();
    let text = event("a", "20300108T080000Z").replace("Lunch", "Café");
    client.put(&format!("{CALENDAR}a.ics"), &text).await.expect(201);
    for (collation, needle, expected) in [
        ("i;octet", "Café", 1),
        ("i;octet", "café", 0),
        ("i;ascii-casemap", "cAFé", 1),
        ("i;ascii-casemap", "CAFÉ", 0),
        ("i;unicode-casemap", "CAFÉ", 1),
        ("i;unicode-casemap", "cafe\u{301}", 1),
    ] {
        let filter = format!(
            "<cal:comp-filter name=\"VEVENT\"><cal:prop-filter name=\"SUMMARY\">\
             <cal:text-match collation=\"{collation}\">{needle}</cal:text-match></cal:prop-filter></cal:comp-filter>"
        );
        assert_eq!(found(&client, CALENDAR, &filter).await.len(), expected, "{collation} {needle}");
    }
}

#[tokio::test]
async fn a_query_that_finds_too_much_says_so() {
    let limits = Limits { query_results: 2, first_year: 1900, last_year: 2100, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let client = world.alice();
    for n in 0..3 {
        client.put(&format!("{CALENDAR}{n}.ics"), &event(&n.to_string(), "20300108T080000Z")).await.expect(201);
    }
    let answer = client.report(CALENDAR, "cal:calendar-query", &query("")).await.responses();
    assert!(
        answer.ends_with(&format!(
            "<d:response><d:href>{CALENDAR}</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status>\
             <d:error><d:number-of-matches-within-limits/></d:error></d:response>"
        )),
        "{answer}"
    );
    assert_eq!(answer.matches("200 OK").count(), 2);
    for (range, condition) in [
        ("start=\"18991231T000000Z\" end=\"20300102T000000Z\"", "min-date-time"),
        ("start=\"20300101T000000Z\" end=\"21010102T000000Z\"", "max-date-time"),
    ] {
        let filter = format!("<cal:comp-filter name=\"VEVENT\"><cal:time-range {range}/></cal:comp-filter>");
        let refused = client.report(CALENDAR, "cal:calendar-query", &query(&filter)).await.expect(403);
        assert!(refused.body.contains(&format!("<cal:{condition} ")), "{}", refused.body);
    }
    let props = "<cal:min-date-time/><cal:max-date-time/><cal:max-attendees-per-instance/><cal:max-instances/>";
    let told = client.propfind(CALENDAR, "0", props).await.responses();
    assert!(told.contains("<cal:min-date-time>19000101T000000Z</cal:min-date-time>"), "{told}");
    assert!(told.contains("<cal:max-date-time>21001231T235959Z</cal:max-date-time>"), "{told}");
    assert!(told.contains("<cal:max-attendees-per-instance>1000</cal:max-attendees-per-instance>"), "{told}");
    assert!(told.contains("<cal:max-instances/></d:prop><d:status>HTTP/1.1 404"), "no limit is told: {told}");
}

#[tokio::test]
async fn data_comes_in_the_part_and_the_notation_asked_for() {
    let world = mixed().await;
    let client = world.alice();
    let get = async |data: &str, name: &str| {
        let body = format!("<d:prop>{data}</d:prop><d:href>{MIXED}{name}</d:href>");
        client.report(MIXED, "cal:calendar-multiget", &body).await
    };
    let without = "<cal:calendar-data><cal:comp name=\"VCALENDAR\"><cal:comp name=\"VEVENT\"><cal:prop name=\"UID\"/>\
                   <cal:prop name=\"SUMMARY\" novalue=\"yes\"/></cal:comp></cal:comp></cal:calendar-data>";
    let part = get(without, "e.ics").await.responses();
    assert!(part.contains("UID:e&#13;\nSUMMARY:&#13;\nEND:VEVENT"), "{part}");
    let limited = "<cal:calendar-data><cal:limit-freebusy-set start=\"20300113T000000Z\" end=\"20300114T000000Z\"/>\
                   </cal:calendar-data>";
    let part = get(limited, "f.ics").await.responses();
    assert!(part.contains("FREEBUSY:20300113T080000Z/PT1H&#13;\n"), "{part}");
    let json = get("<cal:calendar-data content-type=\"application/calendar+json\"/>", "e.ics").await.responses();
    assert!(
        json.contains("[&quot;vcalendar&quot;,[[&quot;version&quot;,{},&quot;text&quot;,&quot;2.0&quot;]"),
        "{json}"
    );
    let xml = get("<cal:calendar-data content-type=\"application/calendar+xml\" version=\"2.0\"/>", "e.ics").await;
    let xml = xml.responses();
    assert!(xml.contains("&lt;uid&gt;&lt;text&gt;e&lt;/text&gt;&lt;/uid&gt;"), "{xml}");
    for data in ["content-type=\"text/html\"", "content-type=\"text/calendar\" version=\"1.0\""] {
        let refused = get(&format!("<cal:calendar-data {data}/>"), "e.ics").await.expect(403);
        assert!(refused.body.contains("<cal:supported-calendar-data "), "{}", refused.body);
    }
}

#[tokio::test]
async fn multiget_fetches_only_from_where_it_was_sent_to() {
    let world = mixed().await;
    let client = world.alice();
    client.put(&format!("{CALENDAR}d.ics"), &event("d", "20300108T080000Z")).await.expect(201);
    let hrefs = format!(
        "<d:prop><d:getetag/></d:prop><d:href>{CALENDAR}d.ics</d:href><d:href>{MIXED}e.ics</d:href>\
         <d:href>{MIXED}none.ics</d:href><d:href>{MIXED}</d:href>"
    );
    let status = async |path: &str| {
        let answer = client.report(path, "cal:calendar-multiget", &hrefs).await.responses();
        let statuses = answer.split("HTTP/1.1 ").skip(1).map(|s| s[..3].to_owned());
        statuses.collect::<Vec<_>>()
    };
    assert_eq!(status(MIXED).await, ["404", "200", "404", "404"]);
    assert_eq!(status(CALENDAR).await, ["200", "404", "404", "404"]);
    assert_eq!(status(&format!("/calendars/{ALICE}/")).await, ["200", "200", "404", "404"]);
}
