//! What a request may cost is bounded, and what is beyond is refused with a reason.

use convoke::config::{Files, Limits};
use convoke::dav::server::Settings;

use super::files::{at, write};
use super::{ALICE, CALENDAR, World, calendar, root};

const BOOK: &str = "/addressbooks/65aa00000000000000000001/contacts/";
/// A calendar for everything.
const WEEK: &str = "/calendars/65aa00000000000000000001/week/";
const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:Carol\r\nN:C;Carol;;;\r\nEND:VCARD\r\n";

async fn limited(limits: Limits) -> World {
    World::with(Settings { limits, ..Settings::default() }).await
}

#[tokio::test]
async fn other_notations_are_held_to_the_limits_of_text() {
    let world = limited(Limits { object_lines: 50, object_depth: 3, ..Limits::default() }).await;
    let client = world.alice();
    let jcal = |properties: &str, components: &str| {
        format!(
            "[\"vcalendar\",[[\"version\",{{}},\"text\",\"2.0\"],[\"prodid\",{{}},\"text\",\"x\"]],[[\"vevent\",\
             [[\"uid\",{{}},\"text\",\"u\"],[\"dtstamp\",{{}},\"date-time\",\"2030-01-01T00:00:00Z\"],\
             [\"dtstart\",{{}},\"date-time\",\"2030-01-01T00:00:00Z\"]{properties}],[{components}]]]]"
        )
    };
    let path = format!("{CALENDAR}a.ics");
    client.put(&path, &jcal(&",[\"x-a\",{},\"text\",\"b\"]".repeat(30), "")).await.expect(201);
    let many = jcal(&",[\"x-a\",{},\"text\",\"b\"]".repeat(60), "");
    let deep = jcal("", "[\"x-a\",[],[[\"x-b\",[],[]]]]");
    // Few lines, but an object for each octet or two.
    let bomb = jcal(&format!(",[\"x-a\",{{}},\"unknown\",\"\"{}]", ",{}".repeat(2000)), "");
    let xcal = format!(
        "<icalendar xmlns=\"urn:ietf:params:xml:ns:icalendar-2.0\"><vcalendar><properties><version><text>2.0</text>\
         </version></properties><components><vevent><properties><uid><text>u</text></uid>{}</properties></vevent>\
         </components></vcalendar></icalendar>",
        "<x-a><text>b</text></x-a>".repeat(60)
    );
    for body in [&many, &deep, &bomb, &xcal] {
        let refused = client.put(&path, body).await.expect(403);
        assert!(refused.body.contains("<cal:max-resource-size "), "{}", refused.body);
    }
    let card = format!("[\"vcard\",[[\"uid\",{{}},\"text\",\"c\"]{}]]", ",[\"x-a\",{},\"text\",\"b\"]".repeat(60));
    let refused = client.put(&format!("{BOOK}c.vcf"), &card).await.expect(403);
    assert!(refused.body.contains("<card:max-resource-size "), "{}", refused.body);
    let parameters = format!("X-A{}:b", ";P=1,2,3".repeat(200));
    let refused =
        client.put(&path, &calendar("VEVENT", "u", &["DTSTART:20300101T000000Z", &parameters])).await.expect(403);
    assert!(refused.body.contains("<cal:max-resource-size "), "{}", refused.body);
}

#[tokio::test]
async fn a_request_asks_for_so_many_properties_and_conditions() {
    let world = limited(Limits { properties: 5, conditions: 4, ..Limits::default() }).await;
    let client = world.alice();
    let many: String = (0..6).map(|n| format!("<p{n}/>")).collect();
    client.propfind(CALENDAR, "0", &many).await.expect(400);
    client.propfind(CALENDAR, "0", "<p1/><p2/><p3/><p4/><p5/>").await.expect(207);
    let update = format!("{}<d:set><d:prop>{many}</d:prop></d:set></d:propertyupdate>", root("d:propertyupdate"));
    client.send("PROPPATCH", CALENDAR, &[], &update).await.expect(400);
    client.send("PROPPATCH", &at(""), &[], &update).await.expect(400);
    let property = |inner: &str| format!("<d:property name=\"current-user-principal\">{inner}</d:property>");
    let nested = (0..6).fold(String::new(), |inner, _| property(&inner));
    client.report("/", "d:expand-property", &nested).await.expect(400);
    client.report("/", "d:expand-property", &property(&property(""))).await.expect(207);
    let search = |n: usize| {
        let condition = "<d:property-search><d:prop><d:displayname/></d:prop><d:match>a</d:match></d:property-search>";
        format!("{}<d:prop><d:displayname/></d:prop>", condition.repeat(n))
    };
    client.report("/principals/users/", "d:principal-property-search", &search(1)).await.expect(207);
    client.report("/principals/users/", "d:principal-property-search", &search(2)).await.expect(400);
    let filter = |n: usize| {
        let props = "<cal:prop-filter name=\"UID\"/>".repeat(n);
        let events = format!("<cal:comp-filter name=\"VEVENT\">{props}</cal:comp-filter>");
        format!("<cal:filter><cal:comp-filter name=\"VCALENDAR\">{events}</cal:comp-filter></cal:filter>")
    };
    client.report(CALENDAR, "cal:calendar-query", &filter(2)).await.expect(207);
    let refused = client.report(CALENDAR, "cal:calendar-query", &filter(3)).await.expect(403);
    assert!(refused.body.contains("<cal:supported-filter"), "{}", refused.body);
}

#[tokio::test]
async fn a_property_is_expanded_once_and_page_by_page() {
    let world = World::new().await;
    let client = world.alice();
    let name = |name: &str, inner: &str| format!("<d:property name=\"{name}\">{inner}</d:property>");
    let body = name("current-user-principal", &name("displayname", "").repeat(2)) + &name("nothing", "");
    let answer = client.report("/", "d:expand-property", &body).await.responses();
    let expected = format!(
        "<d:response><d:href>/</d:href><d:propstat><d:prop><d:current-user-principal><d:response>\
         <d:href>/principals/users/{ALICE}/</d:href><d:propstat><d:prop><d:displayname>Alice Martin</d:displayname>\
         </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:current-user-principal></d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:nothing/></d:prop>\
         <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
    );
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn statements_of_availability_are_followed_so_far() {
    let world = limited(Limits { busy_times: 40, availability_bytes: 2000, ..Limits::default() }).await;
    let client = world.alice();
    let part = "BEGIN:AVAILABLE\r\nUID:b\r\nDTSTAMP:20300101T080000Z\r\nDTSTART:20300101T090000Z\r\n\
                DTEND:20300101T100000Z\r\nRRULE:FREQ=DAILY\r\nEND:AVAILABLE";
    let ask = async |end: &str| {
        let range = format!("<cal:time-range start=\"20300101T000000Z\" end=\"{end}\"/>");
        client.report(WEEK, "cal:free-busy-query", &range).await
    };
    client.send("MKCALENDAR", WEEK, &[], "").await.expect(201);
    client.put(&format!("{WEEK}a.ics"), &calendar("VAVAILABILITY", "a", &[part])).await.expect(201);
    ask("20300110T000000Z").await.expect(200);
    let refused = ask("20300301T000000Z").await.expect(403);
    assert!(refused.body.contains("<d:number-of-matches-within-limits/>"), "{}", refused.body);
    let long = format!("DESCRIPTION:{}", "x".repeat(2000));
    client.put(&format!("{WEEK}b.ics"), &calendar("VAVAILABILITY", "b", &[part, &long])).await.expect(201);
    let refused = ask("20300110T000000Z").await.expect(403);
    assert!(refused.body.contains("<d:number-of-matches-within-limits/>"), "{}", refused.body);
}

#[tokio::test]
async fn an_answer_about_many_people_tells_so_many_busy_times() {
    let world = limited(Limits { busy_times: 15, ..Limits::default() }).await;
    for (person, home) in [(world.alice(), ALICE), (world.bob(), super::BOB)] {
        let series =
            calendar("VEVENT", "s", &["DTSTART:20300101T090000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=10"]);
        person.put(&format!("/calendars/{home}/{home}/s.ics"), &series).await.expect(201);
    }
    let ask = async |attendees: &[&str]| {
        let attendees: String = attendees.iter().map(|a| format!("ATTENDEE:mailto:{a}\r\n")).collect();
        let body = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\nUID:f\r\n\
             DTSTAMP:20300101T080000Z\r\nDTSTART:20300101T000000Z\r\nDTEND:20300201T000000Z\r\n\
             ORGANIZER:mailto:alice@example.org\r\n{attendees}END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
        );
        world
            .alice()
            .send("POST", &format!("/calendars/{ALICE}/outbox/"), &[("content-type", "text/calendar")], &body)
            .await
    };
    ask(&["alice@example.org"]).await.expect(200);
    let refused = ask(&["alice@example.org", "bob@example.org"]).await.expect(403);
    assert!(refused.body.contains("<d:number-of-matches-within-limits/>"), "{}", refused.body);
}

#[tokio::test]
async fn a_propfind_gets_cards_in_the_form_that_it_asks_for() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&format!("{BOOK}c.vcf"), CARD).await.expect(201);
    for (place, depth) in [(BOOK.to_owned(), "1"), (format!("{BOOK}c.vcf"), "0")] {
        let four = "<card:address-data content-type=\"text/vcard\" version=\"4.0\"/>";
        let answer = client.propfind(&place, depth, four).await.responses();
        assert!(answer.contains("VERSION:4.0") && !answer.contains("VERSION:3.0"), "{answer}");
        let plain = client.propfind(&place, depth, "<card:address-data/>").await.responses();
        assert!(plain.contains("VERSION:3.0"), "{plain}");
    }
    client.propfind(BOOK, "1", "<card:address-data content-type=\"text/html\"/>").await.expect(403);
}

#[tokio::test]
async fn large_objects_are_all_fetched_at_once() {
    let world = World::new().await;
    let client = world.alice();
    let mut hrefs = String::new();
    for n in 0..30 {
        let text = format!("DESCRIPTION:{}", "x".repeat(200_000));
        let object = calendar("VEVENT", &format!("u{n}"), &["DTSTART:20300101T000000Z", &text]);
        client.put(&format!("{CALENDAR}{n}.ics"), &object).await.expect(201);
        hrefs.push_str(&format!("<d:href>{CALENDAR}{n}.ics</d:href>"));
    }
    let body = format!("<d:prop><d:getetag/><cal:calendar-data/></d:prop>{hrefs}");
    let answer = client.report(CALENDAR, "cal:calendar-multiget", &body).await.hrefs();
    assert_eq!(answer, (0..30).map(|n| format!("{CALENDAR}{n}.ics")).collect::<Vec<_>>());
}

#[tokio::test]
async fn homes_tell_the_reports_that_they_answer() {
    let world = World::new().await;
    let client = world.alice();
    for (home, reports) in [
        (format!("/calendars/{ALICE}/"), &["cal:calendar-multiget", "cal:calendar-query", "cal:free-busy-query"][..]),
        (format!("/addressbooks/{ALICE}/"), &["card:addressbook-multiget"][..]),
    ] {
        let told = client.propfind(&home, "0", "<d:supported-report-set/>").await.responses();
        for report in reports {
            assert!(told.contains(&format!("<d:report><{report}/></d:report>")), "{home} {report}: {told}");
        }
    }
}

#[tokio::test]
async fn what_a_client_does_not_accept_is_not_sent() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&format!("{BOOK}c.vcf"), CARD).await.expect(201);
    let get = async |accept: &str| client.send("GET", BOOK, &[("accept", accept)], "").await;
    assert_eq!(get("text/vcard").await.expect(200).body, CARD);
    assert_eq!(get("text/vcard;q=0, */*").await.status, get("*/*").await.status);
}

#[tokio::test]
async fn what_is_moved_stays_within_the_depth_of_folders() {
    let files = Files { depth: 3, ..Files::default() };
    let world = World::with(Settings { files, ..Settings::default() }).await;
    let client = world.alice();
    for folder in ["a", "a/b", "x", "x/y"] {
        client.send("MKCOL", &at(folder), &[], "").await.expect(201);
    }
    write(&client, "a/b/f", "text").await.expect(201);
    for method in ["MOVE", "COPY"] {
        client.send(method, &at("a"), &[("destination", &at("x/a"))], "").await.expect(403);
        client.get(&at("x/a/b/f")).await.expect(404);
    }
    client.send("COPY", &at("a"), &[("destination", &at("x/a")), ("depth", "0")], "").await.expect(201);
    client.send("MOVE", &at("a/b"), &[("destination", &at("x/b"))], "").await.expect(201);
    client.get(&at("x/b/f")).await.expect(200);
}

#[tokio::test]
async fn properties_of_files_are_within_the_quota() {
    let files = Files { quota_bytes: 1000, ..Files::default() };
    let world = World::with(Settings { files, ..Settings::default() }).await;
    let client = world.alice();
    write(&client, "f", "text").await.expect(201);
    let set = |octets: usize| {
        let value = "x".repeat(octets);
        format!("{}<d:set><d:prop><a>{value}</a></d:prop></d:set></d:propertyupdate>", root("d:propertyupdate"))
    };
    client.send("PROPPATCH", &at("f"), &[], &set(500)).await.expect(207);
    let full = client.send("PROPPATCH", &at("f"), &[], &set(2000)).await.expect(507);
    assert!(full.body.contains("<d:quota-not-exceeded/>"), "{}", full.body);
    client.send("COPY", &at("f"), &[("destination", &at("g"))], "").await.expect(507);
    client.send("PROPPATCH", &at("f"), &[], &set(1)).await.expect(207);
    client.send("COPY", &at("f"), &[("destination", &at("g"))], "").await.expect(201);
}

#[tokio::test]
async fn locks_take_so_much_room() {
    let files = Files { lock_bytes: 1500, ..Files::default() };
    let world = World::with(Settings { files, ..Settings::default() }).await;
    let client = world.alice();
    let lock = async |path: &str, owner: usize| {
        let body = format!(
            "{}<d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype><d:owner>{}</d:owner>\
             </d:lockinfo>",
            root("d:lockinfo"),
            "x".repeat(owner)
        );
        client.send("LOCK", &at(path), &[], &body).await.status.as_u16()
    };
    assert_eq!(lock("a", 1000).await, 201);
    assert_eq!(lock("b", 1000).await, 507);
    assert_eq!(lock("b", 10).await, 201);
}

#[tokio::test]
async fn any_match_leaves_the_other_conditions_alone() {
    let world = World::new().await;
    let client = world.alice();
    client.send("MKCOL", &at("a"), &[], "").await.expect(201);
    let delete = async |headers: &[(&str, &str)]| client.send("DELETE", &at("a"), headers, "").await.status.as_u16();
    assert_eq!(delete(&[("if-match", "*"), ("if-none-match", "*")]).await, 412);
    assert_eq!(delete(&[("if-match", "*"), ("if", "(<urn:uuid:none>)")]).await, 412);
    assert_eq!(delete(&[("if-none-match", "*")]).await, 412);
    assert_eq!(delete(&[("if-match", "*")]).await, 204);
    assert_eq!(delete(&[("if-match", "*")]).await, 412);
}

#[tokio::test]
async fn a_rule_is_followed_so_many_steps() {
    let found = async |limits: Limits| {
        let world = limited(limits).await;
        let client = world.alice();
        // A Friday that is a 29 February, looked for day by day.
        let rule = "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=FR";
        let rare = calendar("VEVENT", "n", &["DTSTART:20300101T090000Z", "DURATION:PT1H", rule]);
        client.put(&format!("{CALENDAR}n.ics"), &rare).await.expect(201);
        let range = "<cal:time-range start=\"20350101T000000Z\" end=\"20360101T000000Z\"/>";
        let uid = "<cal:prop-filter name=\"UID\"/>";
        let events = format!("<cal:comp-filter name=\"VEVENT\">{range}{uid}</cal:comp-filter>");
        let filter = format!("<cal:filter><cal:comp-filter name=\"VCALENDAR\">{events}</cal:comp-filter></cal:filter>");
        client.report(CALENDAR, "cal:calendar-query", &filter).await.hrefs().len()
    };
    assert_eq!(found(Limits::default()).await, 0);
    // It might be there.
    assert_eq!(found(Limits { recurrence_steps: 100, ..Limits::default() }).await, 1);
}

#[tokio::test]
async fn alarms_and_occurrences_are_not_multiplied() {
    let world = limited(Limits { recurrence_steps: 2000, ..Limits::default() }).await;
    let client = world.alice();
    // A second after the start of each day, and asked about the night: each alarm has to be looked at in vain.
    let alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nTRIGGER:PT1S\r\nEND:VALARM";
    let alarms = |n: usize| vec![alarm; n].join("\r\n");
    let series = |uid: &str, n: usize| {
        calendar("VEVENT", uid, &["DTSTART:20300101T090000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY", &alarms(n)])
    };
    client.put(&format!("{CALENDAR}few.ics"), &series("few", 3)).await.expect(201);
    client.put(&format!("{CALENDAR}many.ics"), &series("many", 2000)).await.expect(201);
    let range = "<cal:time-range start=\"20300201T200000Z\" end=\"20300201T210000Z\"/>";
    let alarms = format!(
        "<cal:comp-filter name=\"VEVENT\"><cal:comp-filter name=\"VALARM\">{range}</cal:comp-filter></cal:comp-filter>"
    );
    let filter = format!("<cal:filter><cal:comp-filter name=\"VCALENDAR\">{alarms}</cal:comp-filter></cal:filter>");
    let found = client.report(CALENDAR, "cal:calendar-query", &filter).await.hrefs();
    assert_eq!(found, [format!("{CALENDAR}many.ics")], "what is not looked at any more might go off");
}

#[tokio::test]
async fn a_condition_names_so_many_resources() {
    let world = limited(Limits { conditions: 10, ..Limits::default() }).await;
    let client = world.alice();
    write(&client, "f", "text").await.expect(201);
    let lists = |n: usize| (0..n).map(|i| format!("<{}> (Not <DAV:no-lock>) ", at(&i.to_string()))).collect::<String>();
    let put = async |n: usize| client.send("PUT", &at("f"), &[("if", lists(n).trim())], "text").await.status.as_u16();
    assert_eq!(put(10).await, 204);
    assert_eq!(put(11).await, 400);
}
