//! The whole program, through its ports: what no room shows alone.

use bytes::Bytes;
use convoke::app::demo::{Demo, DemoOptions};
use convoke::cli::play::{Caldav, Mailbox};
use convoke::clock::Env;
use http::{Request, StatusCode};

use crate::world::{ALICE, World};

async fn default_calendar(client: &Caldav<'_>) -> String {
    let home = client.discover_home().await.unwrap().pop().unwrap();
    client.calendars(&home).await.unwrap().remove(0)
}

/// A weekly series that began long ago, with a guest from elsewhere.
fn running_series(uid: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example.org//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20200101T000000Z\r\nDTSTART:20200107T090000Z\r\nDTEND:20200107T100000Z\r\nRRULE:FREQ=WEEKLY\r\n\
         SUMMARY:Weekly\r\nORGANIZER:mailto:{}\r\nATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:guest@elsewhere.example\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n",
        ALICE.mail
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_running_series_is_told() {
    let world = World::start().await;
    let (public, session) = (world.public(), world.sign_in(ALICE).await);
    let alice = Caldav::new(&world.http, &public, &session.access_token);
    let mut mails = Mailbox::open(&world.http, &world.surfaces().mails).await.unwrap();
    let uid = world.env.uuid().to_string();
    let path = format!("{}{uid}.ics", default_calendar(&alice).await);

    alice.put(&path, &running_series(&uid), ("If-None-Match", "*")).await.unwrap();
    mails.next("guest@elsewhere.example", "REQUEST").await.unwrap();
    alice.delete(&path).await.unwrap();
    let cancelled = mails.next("guest@elsewhere.example", "CANCEL").await.unwrap();
    assert!(cancelled.calendar.contains(&format!("UID:{uid}")), "{}", cancelled.calendar);
    world.demo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sees_that_all_is_well() {
    let world = World::start().await;
    let get = async |path: &str| {
        let url = format!("{}{path}", world.admin());
        let response = world.http.fetch(Request::get(url).body(Bytes::new()).unwrap()).await.unwrap();
        (response.status(), String::from_utf8(response.body().to_vec()).unwrap())
    };
    let (status, health) = get("/healthcheck").await;
    assert_eq!(status, StatusCode::OK, "{health}");
    assert!(health.contains("\"status\":\"healthy\""), "{health}");
    world.sign_in(ALICE).await;
    let (_, metrics) = get("/metrics").await;
    for family in ["http_requests_total{", "queue_waiting{"] {
        assert!(metrics.contains(family), "{family} is missing in\n{metrics}");
    }
    world.demo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_a_clear_error_and_loses_nothing() {
    let world = World::start().await;
    let (public, session) = (world.public(), world.sign_in(ALICE).await);
    let alice = Caldav::new(&world.http, &public, &session.access_token);
    let calendar = default_calendar(&alice).await;
    let path = format!("{calendar}kept.ics");
    let kept = crate::journey::event("kept");
    alice.put(&path, &kept, ("If-None-Match", "*")).await.unwrap();

    let deep = format!("{}{}", "BEGIN:VCALENDAR\r\n".repeat(100), "END:VCALENDAR\r\n".repeat(100));
    let endless = kept.replace("SUMMARY:Alone", "RRULE:FREQ=SECONDLY\r\nSUMMARY:Alone");
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><d:propfind xmlns:d=\"DAV:\"><d:prop>&b;</d:prop></d:propfind>";
    let external = "<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><d:propfind xmlns:d=\"DAV:\"><d:prop><d:x>&f;</d:x></d:prop></d:propfind>";
    let nested = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
    let cases = [
        ("PUT", path.as_str(), "this is no calendar", 403),
        ("PUT", path.as_str(), "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n", 403),
        ("PUT", path.as_str(), deep.as_str(), 403),
        ("PROPFIND", calendar.as_str(), bomb, 400),
        ("PROPFIND", calendar.as_str(), external, 400),
        ("PROPFIND", calendar.as_str(), nested.as_str(), 400),
        ("REPORT", calendar.as_str(), "<d:nonsense xmlns:d=\"DAV:\"", 400),
    ];
    for (method, at, body, expected) in cases {
        let answer = alice.request(method, at, &[("Content-Type", "text/calendar")], body).await.unwrap();
        let (status, text) = (answer.status(), String::from_utf8_lossy(answer.body()).into_owned());
        let shown: String = body.chars().take(60).collect();
        assert_eq!(status.as_u16(), expected, "{method} {shown:?}: {text}");
        assert!(text.contains("error"), "{method} {shown:?} explains nothing: {text:?}");
    }
    assert_eq!(alice.get(&path).await.unwrap().data, kept);

    // A rule with a million instances is stored, and a query over it is bounded.
    alice
        .put(&format!("{calendar}endless.ics"), &endless.replace("UID:kept", "UID:endless"), ("If-None-Match", "*"))
        .await
        .unwrap();
    let expand = r#"<c:calendar-query xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><c:calendar-data><c:expand start="20300101T000000Z" end="20400101T000000Z"/></c:calendar-data></d:prop><c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"><c:time-range start="20300101T000000Z" end="20400101T000000Z"/></c:comp-filter></c:comp-filter></c:filter></c:calendar-query>"#;
    let answer = alice.request("REPORT", &calendar, &[("Depth", "1")], expand).await.unwrap();
    assert!(answer.status().as_u16() < 500, "{}", answer.status());
    assert!(answer.body().len() < 8 << 20, "an expansion of {} octets", answer.body().len());

    for token in ["", "nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."] {
        let stranger = Caldav::new(&world.http, &public, token);
        let answer = stranger.request("GET", &path, &[], "").await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{token:?}");
    }
    world.demo.stop().await;
}

#[tokio::test]
async fn the_demo_is_for_this_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let options = DemoOptions { listen: everywhere, ..crate::world::options(folder.path(), None) };
    let refused = Demo::start(options, Env::system()).await.err().expect("refused").to_string();
    assert!(refused.starts_with("--listen: 0.0.0.0:0 is not a loopback address"), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_folded_within_a_character_is_mended() {
    let world = World::start().await;
    let (public, session) = (world.public(), world.sign_in(ALICE).await);
    let alice = Caldav::new(&world.http, &public, &session.access_token);
    let path = format!("{}folded.ics", default_calendar(&alice).await);
    let text = crate::journey::event("folded").replace("SUMMARY:Alone", "SUMMARY:Caf\u{e9} at noon");
    let octets = text.into_bytes();
    let within = octets.iter().position(|&b| b == 0xc3).unwrap() + 1;
    let folded = [&octets[..within], b"\r\n ", &octets[within..]].concat();
    assert!(std::str::from_utf8(&folded).is_err());
    let request = Request::put(format!("{public}{path}"))
        .header("Authorization", format!("Bearer {}", session.access_token))
        .header("Content-Type", "text/calendar; charset=utf-8")
        .body(Bytes::from(folded))
        .unwrap();
    let answer = world.http.fetch(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
    assert!(answer.headers().get("etag").is_none(), "what is stored is not what was sent");
    assert!(alice.get(&path).await.unwrap().data.contains("SUMMARY:Caf\u{e9} at noon\r\n"));
    world.demo.stop().await;
}
