//! Free and busy times: what takes time, what leaves none, who may ask, and how much.

use convoke::config::Limits;
use convoke::dav::server::Settings;

use super::{ALICE, BOB, CALENDAR, Client, World, calendar, event};

const WEEK: &str = "/calendars/65aa00000000000000000001/week/";

async fn busy(client: &Client<'_>, path: &str, range: &str) -> Vec<String> {
    let body = format!("<cal:time-range {range}/>");
    let answer = client.report(path, "cal:free-busy-query", &body).await.expect(200).body;
    answer.lines().filter(|l| l.starts_with("FREEBUSY")).map(str::to_owned).collect()
}

const OFFICE_HOURS: [&str; 6] = [
    "BEGIN:AVAILABLE",
    "UID:hours",
    "DTSTART:20300107T080000Z",
    "DTEND:20300107T160000Z",
    "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
    "END:AVAILABLE",
];

#[tokio::test]
async fn busy_times_and_availability_count_like_events() {
    let world = World::new().await;
    let client = world.alice();
    client.send("MKCALENDAR", WEEK, &[], "").await.expect(201);
    let times = [
        "DTSTART:20300101T000000Z",
        "DTEND:20300201T000000Z",
        "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20300108T100000Z/PT1H",
        "FREEBUSY;FBTYPE=FREE:20300108T120000Z/PT1H",
        "FREEBUSY:20300108T140000Z/20300108T150000Z,20300109T000000Z/PT30M",
    ];
    for (name, text) in [
        ("a.ics", calendar("VAVAILABILITY", "a", &OFFICE_HOURS)),
        ("e.ics", event("e", "20300108T090000Z")),
        ("f.ics", calendar("VFREEBUSY", "f", &times)),
        ("t.ics", calendar("VTODO", "t", &["DTSTART:20300108T110000Z", "DUE:20300108T120000Z"])),
    ] {
        client.put(&format!("{WEEK}{name}"), &text).await.expect(201);
    }
    let day = "start=\"20300108T000000Z\" end=\"20300109T000000Z\"";
    let expected = [
        "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20300108T000000Z/20300108T080000Z",
        "FREEBUSY:20300108T090000Z/20300108T100000Z",
        "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20300108T100000Z/20300108T110000Z",
        "FREEBUSY:20300108T140000Z/20300108T150000Z",
        "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20300108T160000Z/20300109T000000Z",
    ];
    assert_eq!(busy(&client, WEEK, day).await, expected);
    assert_eq!(busy(&client, &format!("/calendars/{ALICE}/"), day).await, expected, "a home is all its calendars");
    // A calendar that counts as free is not asked about in a home, but on its own it is.
    let transparent = "<d:propertyupdate xmlns:d=\"DAV:\" xmlns:cal=\"urn:ietf:params:xml:ns:caldav\"><d:set><d:prop>\
                       <cal:schedule-calendar-transp><cal:transparent/></cal:schedule-calendar-transp></d:prop></d:set>\
                       </d:propertyupdate>";
    client.send("PROPPATCH", WEEK, &[], transparent).await.expect(207);
    assert_eq!(busy(&client, &format!("/calendars/{ALICE}/"), day).await, Vec::<String>::new());
    assert_eq!(busy(&client, WEEK, day).await, expected);
}

#[tokio::test]
async fn the_availability_of_an_inbox_is_told_to_those_who_invite() {
    let world = World::new().await;
    let inbox = format!("/calendars/{ALICE}/inbox/");
    let property = calendar("VAVAILABILITY", "a", &OFFICE_HOURS).replace('\r', "&#13;");
    let patch = |value: &str| {
        format!(
            "<d:propertyupdate xmlns:d=\"DAV:\" xmlns:cal=\"urn:ietf:params:xml:ns:caldav\"><d:set><d:prop>\
             <cal:calendar-availability>{value}</cal:calendar-availability></d:prop></d:set></d:propertyupdate>"
        )
    };
    let client = world.alice();
    for refused in ["nonsense", &calendar("VEVENT", "a", &["DTSTART:20300107T080000Z"]).replace('\r', "&#13;")] {
        let answer = client.send("PROPPATCH", &inbox, &[], &patch(refused)).await.responses();
        assert!(answer.contains("403 Forbidden") && answer.contains("<cal:valid-calendar-data/>"), "{answer}");
    }
    let answer = client.send("PROPPATCH", &inbox, &[], &patch(&property)).await.responses();
    assert!(answer.contains("200 OK"), "{answer}");
    let told = client.propfind(&inbox, "0", "<cal:calendar-availability/>").await.responses();
    assert!(told.contains("BEGIN:AVAILABLE"), "{told}");
    client.put(&format!("{CALENDAR}e.ics"), &event("e", "20300108T090000Z")).await.expect(201);
    let request = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\nUID:fb1\r\n\
                   DTSTAMP:20300101T000000Z\r\nDTSTART:20300108T060000Z\r\nDTEND:20300108T180000Z\r\n\
                   ORGANIZER:mailto:bob@example.org\r\nATTENDEE:mailto:alice@example.org\r\nEND:VFREEBUSY\r\nEND:VCALENDAR\r\n";
    let answer = world.bob().send("POST", &format!("/calendars/{BOB}/outbox/"), &[], request).await.expect(200).body;
    let lines: Vec<&str> = answer.lines().filter(|l| l.starts_with("FREEBUSY")).collect();
    assert_eq!(
        lines,
        [
            "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20300108T060000Z/20300108T080000Z",
            "FREEBUSY:20300108T090000Z/20300108T100000Z",
            "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20300108T160000Z/20300108T180000Z",
        ]
    );
}

#[tokio::test]
async fn colleagues_may_ask_and_strangers_may_not() {
    let world = World::new().await;
    world.alice().put(&format!("{CALENDAR}e.ics"), &event("e", "20300108T090000Z")).await.expect(201);
    let day = "start=\"20300108T000000Z\" end=\"20300109T000000Z\"";
    let told = busy(&world.bob(), CALENDAR, day).await;
    assert_eq!(told, ["FREEBUSY:20300108T090000Z/20300108T100000Z"]);
    let range = format!("<cal:time-range {day}/>");
    world.as_user("eve@other.example").report(CALENDAR, "cal:free-busy-query", &range).await.expect(403);
    world.bob().report(&format!("/calendars/{ALICE}/"), "cal:free-busy-query", &range).await.expect(403);
    world.alice().report(&format!("/calendars/{ALICE}/inbox/"), "cal:free-busy-query", &range).await.expect(403);
}

#[tokio::test]
async fn questions_that_are_too_large_are_refused() {
    let limits = Limits { busy_days: 31, busy_times: 10, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let client = world.alice();
    let daily = calendar("VEVENT", "d", &["DTSTART:20300101T080000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY"]);
    client.put(&format!("{CALENDAR}d.ics"), &daily).await.expect(201);
    let ask = async |end: &str| {
        let range = format!("<cal:time-range start=\"20300101T000000Z\" end=\"{end}\"/>");
        client.report(CALENDAR, "cal:free-busy-query", &range).await
    };
    ask("20300110T000000Z").await.expect(200);
    for end in ["20300115T000000Z", "20300301T000000Z"] {
        let refused = ask(end).await.expect(403);
        assert!(refused.body.contains("<d:number-of-matches-within-limits/>"), "{}", refused.body);
    }
}
