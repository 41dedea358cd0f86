//! One object in several notations, one calendar as a file, and bodies that are packed on the way.

use std::io::{Read as _, Write as _};

use convoke::config::Limits;
use convoke::dav::server::Settings;
use convoke::dav::{Actor, Body};
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::{ALICE, CALENDAR, World, calendar, event, root};

const PARIS: &str = "BEGIN:VTIMEZONE\r\nTZID:Europe/Paris\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n\
    DTSTART:19700329T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\n\
    TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n\
    END:STANDARD\r\nEND:VTIMEZONE\r\n";

/// An event in Paris, with or without the definition of its zone.
fn in_paris(uid: &str, zone: &str) -> String {
    calendar("VEVENT", uid, &["DTSTART;TZID=Europe/Paris:20300708T090000", "DURATION:PT1H", "SUMMARY:Lunch"])
        .replace("BEGIN:VEVENT", &format!("{zone}BEGIN:VEVENT"))
}

/// A request with a body of octets, and the octets of its answer.
async fn raw(
    world: &World,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::from(body)).unwrap();
    request.extensions_mut().insert(Actor::User("alice@example.org".parse().unwrap()));
    let (head, body) = world.upstream.clone().oneshot(request).await.unwrap().into_parts();
    (head.status.as_u16(), head.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn unpacked(octets: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(octets).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn an_object_is_put_and_got_in_every_notation() {
    let world = World::new().await;
    let client = world.alice();
    let path = format!("{CALENDAR}e.ics");
    let json = "[\"vcalendar\",[[\"version\",{},\"text\",\"2.0\"],[\"prodid\",{},\"text\",\"x\"]],[[\"vevent\",[\
                [\"uid\",{},\"text\",\"e\"],[\"dtstamp\",{},\"date-time\",\"2030-01-01T00:00:00Z\"],\
                [\"dtstart\",{},\"date-time\",\"2030-01-08T08:00:00Z\"]],[]]]]";
    let xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<icalendar xmlns=\"urn:ietf:params:xml:ns:icalendar-2.0\">\
               <vcalendar><properties><version><text>2.0</text></version><prodid><text>x</text></prodid></properties>\
               <components><vevent><properties><uid><text>e</text></uid>\
               <dtstamp><date-time>2030-01-01T00:00:00Z</date-time></dtstamp>\
               <dtstart><date-time>2030-01-08T08:00:00Z</date-time></dtstart></properties></vevent></components></vcalendar>\
               </icalendar>";
    let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:e\r\nDTSTAMP:20300101T000000Z\r\n\
                DTSTART:20300108T080000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    for (body, media_type) in
        [(json, "application/calendar+json"), (xml, "application/calendar+xml"), (text, "text/calendar")]
    {
        let put = client.send("PUT", &path, &[("content-type", media_type)], body).await;
        assert!(put.status.is_success(), "{}", put.body);
        assert_eq!(put.header("etag").is_some(), body == text, "only who knows the octets is told their name");
        for (expected, accept) in [
            (text, "text/calendar"),
            (text, "*/*"),
            (json, "application/calendar+json"),
            (json, "text/calendar;q=0.5, application/calendar+json"),
            (xml, "application/calendar+xml, text/calendar;q=0.9"),
            (text, "application/calendar+xml;q=0.1, text/calendar"),
        ] {
            let got = client.send("GET", &path, &[("accept", accept)], "").await.expect(200);
            assert_eq!(got.body, expected, "{accept}");
            assert!(got.header("etag").is_some());
        }
        client.delete(&path).await.expect(204);
    }
    for broken in ["[\"vcalendar\"", "<icalendar/>", "<a>"] {
        let refused = client.send("PUT", &path, &[("content-type", "text/calendar")], broken).await.expect(403);
        assert!(refused.body.contains("<cal:valid-calendar-data "), "{}", refused.body);
    }
}

#[tokio::test]
async fn definitions_of_well_known_zones_come_and_go_as_the_client_wants() {
    let world = World::new().await;
    let client = world.alice();
    let (with, without) = (format!("{CALENDAR}with.ics"), format!("{CALENDAR}without.ics"));
    client.put(&with, &in_paris("with", PARIS)).await.expect(201);
    client.put(&without, &in_paris("without", "")).await.expect(201);
    let own = PARIS.replace("TZOFFSETTO:+0200", "TZOFFSETTO:+0530");
    let odd = format!("{CALENDAR}odd.ics");
    client.put(&odd, &in_paris("odd", &own)).await.expect(201);
    for (path, wish, expected) in [
        (&with, None, true),
        (&with, Some("T"), true),
        (&with, Some("F"), false),
        (&without, None, false),
        (&without, Some("T"), true),
        (&without, Some("F"), false),
        // A definition that says something else than the name is the only one who knows.
        (&odd, Some("F"), true),
    ] {
        let headers: Vec<(&str, &str)> = wish.into_iter().map(|wish| ("caldav-timezones", wish)).collect();
        let got = client.send("GET", path, &headers, "").await.expect(200).body;
        assert_eq!(got.contains("BEGIN:VTIMEZONE"), expected, "{path} {wish:?}: {got}");
        assert!(got.contains("TZID=Europe/Paris"), "{got}");
        let body = format!(
            "{}<d:prop><cal:calendar-data/></d:prop><d:href>{path}</d:href></cal:calendar-multiget>",
            root("cal:calendar-multiget")
        );
        let got = client.send("REPORT", CALENDAR, &headers, &body).await.responses();
        assert_eq!(got.contains("BEGIN:VTIMEZONE"), expected, "{path} {wish:?}: {got}");
    }
    client.send("GET", &with, &[("caldav-timezones", "maybe")], "").await.expect(400);
}

#[tokio::test]
async fn the_zone_of_a_calendar_can_be_named() {
    let world = World::new().await;
    let client = world.alice();
    let patch = |zone: &str| {
        format!(
            "<d:propertyupdate xmlns:d=\"DAV:\" xmlns:cal=\"urn:ietf:params:xml:ns:caldav\"><d:set><d:prop>\
             <cal:calendar-timezone-id>{zone}</cal:calendar-timezone-id></d:prop></d:set></d:propertyupdate>"
        )
    };
    let refused = client.send("PROPPATCH", CALENDAR, &[], &patch("Mars/Base")).await.responses();
    assert!(refused.contains("403 Forbidden") && refused.contains("<cal:valid-timezone/>"), "{refused}");
    client.send("PROPPATCH", CALENDAR, &[], &patch("Asia/Tokyo")).await.expect(207);
    let told = client.propfind(CALENDAR, "0", "<cal:calendar-timezone-id/><cal:calendar-timezone/>").await.responses();
    assert!(told.contains("<cal:calendar-timezone-id>Asia/Tokyo</cal:calendar-timezone-id>"), "{told}");
    assert!(told.contains("TZID:Asia/Tokyo") && told.contains("TZOFFSETTO:+0900"), "{told}");
    // The day of an all-day event is now the day of Tokyo.
    let day = calendar("VEVENT", "d", &["DTSTART;VALUE=DATE:20300110", "SUMMARY:Day"]);
    client.put(&format!("{CALENDAR}d.ics"), &day).await.expect(201);
    let query = |start: &str, end: &str| {
        format!(
            "<d:prop/><cal:filter><cal:comp-filter name=\"VCALENDAR\"><cal:comp-filter name=\"VEVENT\">\
             <cal:time-range start=\"{start}\" end=\"{end}\"/></cal:comp-filter></cal:comp-filter></cal:filter>"
        )
    };
    for (start, end, expected) in
        [("20300109T150000Z", "20300109T160000Z", 1), ("20300110T150000Z", "20300110T160000Z", 0)]
    {
        let found = client.report(CALENDAR, "cal:calendar-query", &query(start, end)).await.hrefs();
        assert_eq!(found.len(), expected, "{start}");
    }
}

#[tokio::test]
async fn a_calendar_is_a_file_in_every_notation() {
    let world = World::new().await;
    let client = world.alice();
    for (name, text) in [
        ("a", in_paris("a", PARIS)),
        ("b", in_paris("b", PARIS)),
        ("t", calendar("VTODO", "t", &["DUE:20300108T120000Z"])),
    ] {
        client.put(&format!("{CALENDAR}{name}.ics"), &text).await.expect(201);
    }
    let text = client.get(CALENDAR).await.expect(200);
    assert_eq!(text.header("content-type"), Some("text/calendar; charset=utf-8"));
    assert_eq!(text.header("content-disposition"), None);
    assert_eq!(text.body.matches("BEGIN:VTIMEZONE").count(), 1, "{}", text.body);
    assert_eq!(text.body.matches("BEGIN:VEVENT").count(), 2);
    assert!(client.get(&format!("{CALENDAR}?export")).await.expect(200).header("content-disposition").is_some());
    let tree = convoke::ical::Component::parse(&text.body).unwrap();
    let tree = convoke::ical::jcal::from_jcal(&convoke::ical::jcal::to_jcal(&tree)).unwrap();

    let json = client.send("GET", CALENDAR, &[("accept", "application/calendar+json")], "").await.expect(200);
    let value: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(convoke::ical::jcal::from_jcal(&value).unwrap(), tree);
    assert_eq!(client.get(&format!("{CALENDAR}?export&accept=jcal")).await.body, json.body);
    let xml = client.send("GET", CALENDAR, &[("accept", "application/calendar+xml")], "").await.expect(200);
    assert_eq!(xml.header("content-type"), Some("application/calendar+xml; charset=utf-8"));
    assert_eq!(convoke::ical::xcal::from_xcal(&xml.body).unwrap(), tree);

    // It is sent again only when something changed.
    let etag = text.header("etag").unwrap();
    assert_ne!(json.header("etag"), Some(etag), "another notation is another text");
    let known = [("if-none-match", etag)];
    assert_eq!(client.send("GET", CALENDAR, &known, "").await.expect(304).header("etag"), Some(etag));
    client.put(&format!("{CALENDAR}c.ics"), &event("c", "20300108T080000Z")).await.expect(201);
    client.send("GET", CALENDAR, &known, "").await.expect(200);

    let empty = format!("/calendars/{ALICE}/empty/");
    client.send("MKCALENDAR", &empty, &[], "").await.expect(201);
    for accept in ["text/calendar", "application/calendar+json", "application/calendar+xml"] {
        let body = client.send("GET", &empty, &[("accept", accept)], "").await.expect(200).body;
        let tree = match body.as_bytes()[0] {
            b'[' => convoke::ical::jcal::from_jcal(&serde_json::from_str(&body).unwrap()).unwrap(),
            b'<' => convoke::ical::xcal::from_xcal(&body).unwrap(),
            _ => convoke::ical::Component::parse(&body).unwrap(),
        };
        assert_eq!(tree.components().count(), 0, "{body}");
    }
    let tasks = client.get(&format!("{CALENDAR}?export&componentType=VTODO")).await.expect(200).body;
    assert!(tasks.contains("UID:t") && !tasks.contains("VEVENT"), "{tasks}");
    let july = client.get(&format!("{CALENDAR}?export&start=2030-07-01&end=20300801&componentType=VEVENT")).await;
    assert_eq!(july.expect(200).body.matches("BEGIN:VEVENT").count(), 2);
    let stripped = client.send("GET", CALENDAR, &[("caldav-timezones", "F")], "").await.expect(200).body;
    assert!(!stripped.contains("VTIMEZONE"), "{stripped}");
}

#[tokio::test]
async fn long_answers_are_packed_for_those_who_take_it() {
    let world = World::new().await;
    let long = calendar("VEVENT", "long", &["DTSTART:20300108T080000Z", &format!("DESCRIPTION:{}", "x".repeat(5000))]);
    let path = format!("{CALENDAR}long.ics");
    world.alice().put(&path, &long).await.expect(201);
    let (status, headers, octets) = raw(&world, "GET", &path, &[("accept-encoding", "br, gzip")], Vec::new()).await;
    assert_eq!((status, headers["content-encoding"].to_str().unwrap()), (200, "gzip"));
    assert!(headers.contains_key("etag") && !headers.contains_key("content-length"));
    assert!(headers.get_all("vary").iter().any(|v| v == "Accept-Encoding"));
    assert!(octets.len() < 1000, "{}", octets.len());
    assert_eq!(unpacked(&octets), long);
    for refused in [vec![], vec![("accept-encoding", "gzip;q=0")], vec![("accept-encoding", "br")]] {
        let (_, headers, octets) = raw(&world, "GET", &path, &refused, Vec::new()).await;
        assert!(!headers.contains_key("content-encoding"));
        assert_eq!(octets, long.as_bytes());
    }
    let short = format!("{CALENDAR}short.ics");
    world.alice().put(&short, &event("short", "20300108T080000Z")).await.expect(201);
    let (_, headers, _) = raw(&world, "GET", &short, &[("accept-encoding", "gzip")], Vec::new()).await;
    assert!(!headers.contains_key("content-encoding"), "too short to be worth it");
    let (_, headers, octets) = raw(&world, "HEAD", &path, &[("accept-encoding", "gzip")], Vec::new()).await;
    assert!(octets.is_empty() && headers["content-length"] == *long.len().to_string());
}

#[tokio::test]
async fn an_answer_of_many_pages_is_packed_page_by_page() {
    let world = World::new().await;
    let text = format!("DESCRIPTION:{}", "x".repeat(300_000));
    for n in 0..9 {
        let lines = ["DTSTART:20300101T080000Z", &text];
        let object = calendar("VEVENT", &format!("big{n}"), &lines);
        world.alice().put(&format!("{CALENDAR}{n}.ics"), &object).await.expect(201);
    }
    let whole = world.alice().get(CALENDAR).await.expect(200).body;
    let (_, headers, octets) = raw(&world, "GET", CALENDAR, &[("accept-encoding", "gzip")], Vec::new()).await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert!(octets.len() < whole.len() / 20);
    assert_eq!(unpacked(&octets), whole);
}

#[tokio::test]
async fn packed_requests_are_read_and_bombs_are_not() {
    let limits = Limits { object_bytes: 4000, xml_bytes: 4000, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let path = format!("{CALENDAR}a.ics");
    let text = event("a", "20300108T080000Z");
    let gzip = [("content-encoding", "gzip"), ("content-type", "text/calendar")];
    let (status, headers, _) = raw(&world, "PUT", &path, &gzip, packed(&text)).await;
    assert_eq!(status, 201);
    assert_eq!(headers["etag"], format!("\"{}\"", convoke::dav::precondition::etag_of(&text)));
    assert_eq!(world.alice().get(&path).await.body, text);
    let find = format!("{}<d:prop><d:getetag/></d:prop></d:propfind>", root("d:propfind"));
    assert_eq!(raw(&world, "PROPFIND", CALENDAR, &gzip[..1], packed(&find)).await.0, 207);

    let bomb = packed(&"x".repeat(1 << 20));
    assert!(bomb.len() < 4000);
    let (status, _, body) = raw(&world, "PUT", &path, &gzip, bomb.clone()).await;
    assert_eq!(status, 403);
    assert!(String::from_utf8(body).unwrap().contains("<cal:max-resource-size "));
    assert_eq!(raw(&world, "PROPFIND", CALENDAR, &gzip[..1], bomb).await.0, 413);
    assert_eq!(raw(&world, "PUT", &path, &gzip, text.clone().into_bytes()).await.0, 400, "not packed at all");
    assert_eq!(raw(&world, "PUT", &path, &[("content-encoding", "br")], text.clone().into_bytes()).await.0, 415);
    assert_eq!(world.alice().get(&path).await.body, text);
}
