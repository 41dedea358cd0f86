//! The page that a browser sees at the address of a calendar.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convoke::config::Limits;
use convoke::dav::server::Settings;
use sha2::{Digest as _, Sha256};

use super::{ALICE, Answer, CALENDAR, Client, World, calendar, event, root};

/// What Firefox sends.
pub const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

async fn page(client: &Client<'_>, path: &str) -> Answer {
    client.send("GET", path, &[BROWSER], "").await.expect(200)
}

/// What stands in the section or cell of a day.
fn day<'a>(page: &'a str, date: &str) -> &'a str {
    let (before, after) = [format!("datetime=\"{date}\""), format!("id=\"h{date}\""), format!("id=\"d{date}\"")]
        .iter()
        .find_map(|mark| page.split_once(mark.as_str()))
        .unwrap_or_else(|| panic!("{date} is not shown"));
    assert!(!before.is_empty());
    after.split("</td>").next().unwrap().split("</section>").next().unwrap()
}

#[tokio::test]
async fn a_browser_sees_the_agenda_and_a_program_what_it_always_got() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&format!("{CALENDAR}e.ics"), &event("e", "20261118T090000Z")).await.expect(201);
    let html = page(&client, CALENDAR).await;
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(html.header("cache-control"), Some("private, no-cache"));
    assert_eq!(html.header("vary"), Some("Accept, Accept-Language"));
    assert!(html.body.contains("<h2 id=\"agenda\" tabindex=\"-1\">November 2026</h2>"), "{}", html.body);
    assert!(day(&html.body, "2026-11-18").contains("<time>09:00</time> <bdi>Lunch</bdi>"));
    for accept in [&[][..], &[("accept", "*/*")], &[("accept", "text/calendar, text/html;q=0.5")]] {
        let file = client.send("GET", CALENDAR, accept, "").await.expect(200);
        assert_eq!(file.header("content-type"), Some("text/calendar; charset=utf-8"));
        assert!(file.header("vary").unwrap().contains("Accept"));
        assert!(file.body.starts_with("BEGIN:VCALENDAR"));
    }
    let saved = page(&client, &format!("{CALENDAR}?export")).await;
    assert_eq!(saved.header("content-disposition"), Some("attachment; filename=\"calendar.ics\""));
    let object = page(&client, &format!("{CALENDAR}e.ics")).await;
    assert!(object.body.starts_with("BEGIN:VCALENDAR"));
}

#[tokio::test]
async fn the_page_needs_nothing_else_and_its_policy_allows_nothing_else() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&format!("{CALENDAR}e.ics"), &event("e", "20261118T090000Z")).await.expect(201);
    for view in ["month", "week", "list"] {
        let html = page(&client, &format!("{CALENDAR}?view={view}")).await;
        let style = html.body.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let digest = STANDARD.encode(Sha256::digest(style.as_bytes()));
        let policy = html.header("content-security-policy").unwrap();
        assert!(policy.starts_with(&format!("default-src 'none'; style-src 'sha256-{digest}';")), "{policy}");
        assert!(!policy.contains("unsafe"));
        let tags: Vec<&str> = html.body.split('<').skip(1).map(|tag| tag.split('>').next().unwrap()).collect();
        for tag in tags {
            let mut words = tag.split_ascii_whitespace();
            assert!(!matches!(words.next(), Some("script" | "img" | "iframe" | "object")), "{tag}");
            assert!(!words.any(|w| ["src=", "style=", "on"].iter().any(|name| w.starts_with(name))), "{tag}");
        }
        assert!(!style.contains("url(") && !style.contains("@import"));
    }
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again_and_what_is_sent_is_packed() {
    let world = World::new().await;
    let client = world.alice();
    let etag = page(&client, CALENDAR).await.header("etag").unwrap().to_owned();
    let again = client.send("GET", CALENDAR, &[BROWSER, ("if-none-match", &etag)], "").await.expect(304);
    assert!(again.body.is_empty() && again.header("etag") == Some(&etag));
    let german =
        client.send("GET", CALENDAR, &[BROWSER, ("accept-language", "de"), ("if-none-match", &etag)], "").await;
    german.expect(200);
    client.put(&format!("{CALENDAR}e.ics"), &event("e", "20261118T090000Z")).await.expect(201);
    client.send("GET", CALENDAR, &[BROWSER, ("if-none-match", &etag)], "").await.expect(200);
    let head = client.send("HEAD", CALENDAR, &[BROWSER, ("accept-encoding", "gzip")], "").await.expect(200);
    assert!(head.body.is_empty() && head.header("content-length").is_some());
}

#[tokio::test]
async fn days_hold_what_takes_place_on_them() {
    let world = World::new().await;
    let client = world.alice();
    let objects = [
        ("days", vec!["DTSTART;VALUE=DATE:20261117", "DTEND;VALUE=DATE:20261120", "SUMMARY:Fair"]),
        (
            "daily",
            vec!["DTSTART:20200101T070000Z", "DURATION:PT30M", "RRULE:FREQ=WEEKLY;BYDAY=MO,TH", "SUMMARY:Standup"],
        ),
        ("night", vec!["DTSTART:20261120T230000Z", "DURATION:PT3H", "SUMMARY:Maintenance"]),
        ("other", vec!["DTSTART:20261001T070000Z", "DURATION:PT30M", "SUMMARY:Elsewhen"]),
    ];
    for (uid, lines) in &objects {
        client.put(&format!("{CALENDAR}{uid}.ics"), &calendar("VEVENT", uid, lines)).await.expect(201);
    }
    let task = calendar("VTODO", "task", &["DUE:20261119T160000Z", "SUMMARY:Report", "STATUS:COMPLETED"]);
    client.put(&format!("{CALENDAR}task.ics"), &task).await.expect(201);
    let timeless = calendar("VTODO", "someday", &["SUMMARY:Someday"]);
    client.put(&format!("{CALENDAR}someday.ics"), &timeless).await.expect(201);
    for view in ["month", "week", "list"] {
        let html = page(&client, &format!("{CALENDAR}?view={view}&date=2026-11-18")).await.body;
        for (date, titles) in [
            ("2026-11-16", &["Standup"][..]),
            ("2026-11-17", &["Fair"]),
            ("2026-11-18", &["Fair"]),
            ("2026-11-19", &["Fair", "Standup", "Report"]),
            ("2026-11-20", &["Maintenance"]),
            ("2026-11-21", &["Maintenance"]),
        ] {
            let shown = day(&html, date);
            for title in ["Fair", "Standup", "Report", "Maintenance"] {
                assert_eq!(shown.contains(title), titles.contains(&title), "{view} {date} {title}");
            }
        }
        assert!(!html.contains("Elsewhen") && !html.contains("Someday"), "{view}");
    }
}

#[tokio::test]
async fn times_are_those_of_the_calendar_or_of_the_zone_that_is_chosen() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&format!("{CALENDAR}e.ics"), &event("e", "20261118T233000Z")).await.expect(201);
    let day_is = calendar("VEVENT", "d", &["DTSTART;VALUE=DATE:20261118", "SUMMARY:Holiday"]);
    client.put(&format!("{CALENDAR}d.ics"), &day_is).await.expect(201);
    let shown = |html: String, date: &str, time: &str| {
        assert!(day(&html, date).contains(&format!("<time>{time}</time> <bdi>Lunch")), "{date} {time} {html}");
        assert!(day(&html, "2026-11-18").contains("Holiday"), "a day is the same everywhere");
        assert!(!day(&html, "2026-11-19").contains("Holiday"));
        html
    };
    shown(page(&client, CALENDAR).await.body, "2026-11-18", "23:30");
    let zone = "<d:set><d:prop><cal:calendar-timezone-id>Europe/Paris</cal:calendar-timezone-id></d:prop></d:set>";
    let body = format!("{}{zone}</d:propertyupdate>", root("d:propertyupdate"));
    client.send("PROPPATCH", CALENDAR, &[], &body).await.expect(207);
    let html = shown(page(&client, CALENDAR).await.body, "2026-11-19", "00:30");
    assert!(html.contains("<option value=\"Europe/Paris\" selected>Paris</option>"));
    let chosen = page(&client, &format!("{CALENDAR}?view=month&tz=America%2FNew_York")).await.body;
    let html = shown(chosen, "2026-11-18", "18:30");
    assert!(
        html.contains("href=\"?view=week&amp;date=2026-11-21&amp;tz=America%2FNew%5FYork\""),
        "links keep the zone"
    );
    shown(page(&client, &format!("{CALENDAR}?tz=Nowhere")).await.body, "2026-11-19", "00:30");
}

#[tokio::test]
async fn the_page_speaks_the_language_of_the_reader() {
    let world = World::new().await;
    let client = world.alice();
    for (languages, tag, heading, first) in [
        ("fr-FR,fr;q=0.8,en;q=0.5", "fr", "novembre 2026", "lundi"),
        ("de-AT", "de", "November 2026", "Montag"),
        ("en-US", "en", "November 2026", "Sunday"),
        ("tlh, *;q=0.1", "en", "November 2026", "Monday"),
    ] {
        let html = client.send("GET", CALENDAR, &[BROWSER, ("accept-language", languages)], "").await.expect(200).body;
        assert!(html.contains(&format!("<html lang=\"{tag}\" dir=\"ltr\">")), "{languages}");
        assert!(html.contains(&format!(">{heading}</h2>")), "{languages}");
        let weekday = html.split("<abbr title=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(weekday, first, "{languages}");
    }
}

#[tokio::test]
async fn the_list_tells_all_there_is_to_know() {
    let world = World::new().await;
    let client = world.alice();
    let lines = [
        "DTSTART:20261118T090000Z",
        "DTEND:20261118T103000Z",
        "SUMMARY:Review <b>",
        "LOCATION:Room 1\\, second floor",
        "DESCRIPTION:First line\\nsecond line & more",
        "URL:https://example.org/review",
        "X-OPENPAAS-VIDEOCONFERENCE:javascript:alert(1)",
        "ORGANIZER;CN=Alice Martin:mailto:alice@example.org",
        "ATTENDEE;CN=Alice Martin;PARTSTAT=ACCEPTED:mailto:alice@example.org",
        "ATTENDEE;CN=Bob;PARTSTAT=TENTATIVE;ROLE=OPT-PARTICIPANT:mailto:bob@example.org",
        "ATTENDEE:mailto:carol@example.org",
        "ATTACH;FILENAME=plan.pdf:https://example.org/plan",
    ];
    client.put(&format!("{CALENDAR}e.ics"), &calendar("VEVENT", "e", &lines)).await.expect(201);
    let month = page(&client, CALENDAR).await.body;
    let link = month.split("class=\"event k0\"><a href=\"").nth(1).unwrap().split('"').next().unwrap();
    let link = link.replace("&amp;", "&");
    let (query, fragment) = link.split_once('#').unwrap();
    let html = page(&client, &format!("{CALENDAR}{query}")).await.body;
    assert!(html.contains(&format!("id=\"{fragment}\"><details open>")), "a link opens what it leads to");
    for expected in [
        "Review &lt;b&gt;",
        "Wednesday, 18 November 2026, 09:00 – 10:30",
        "Room 1, second floor",
        "First line\nsecond line &amp; more",
        "<a href=\"https://example.org/review\" rel=\"noopener noreferrer\">",
        "<bdi>Bob</bdi> <span class=\"quiet\">&lt;<bdi>bob@example.org</bdi>&gt;</span> <span class=\"badge\">tentative</span> \
         <span class=\"badge\">optional</span>",
        "<bdi>carol@example.org</bdi> <span class=\"badge\">no answer yet</span>",
        "<bdi>plan.pdf</bdi>",
    ] {
        assert!(html.contains(expected), "{expected}\n{html}");
    }
    assert!(!html.contains("href=\"javascript"), "only addresses of the web are links");
}

#[tokio::test]
async fn a_home_shows_all_its_calendars_and_the_root_shows_the_own_home() {
    let world = World::new().await;
    let client = world.alice();
    let home = format!("/calendars/{ALICE}/");
    let work = format!("{home}work/");
    let body = format!(
        "{}<d:set><d:prop><d:displayname>Work &amp; travel</d:displayname></d:prop></d:set></cal:mkcalendar>",
        root("cal:mkcalendar")
    );
    client.send("MKCALENDAR", &work, &[], &body).await.expect(201);
    client.put(&format!("{CALENDAR}e.ics"), &event("e", "20261118T090000Z")).await.expect(201);
    let trip = calendar("VEVENT", "t", &["DTSTART;VALUE=DATE:20261118", "SUMMARY:Trip"]);
    client.put(&format!("{work}t.ics"), &trip).await.expect(201);
    for path in ["/", "/calendars/", &home] {
        let html = page(&client, path).await.body;
        let shown = day(&html, "2026-11-18");
        assert!(shown.contains("Lunch") && shown.contains("Trip"), "{path}");
        assert!(
            html.contains(&format!("href=\"{work}?view=month&amp;date=2026-11-21\"><bdi>Work &amp; travel</bdi>")),
            "{path}"
        );
        assert!(html.contains(&format!("href=\"/addressbooks/{ALICE}/\"")), "{path}");
    }
    let only = page(&client, &work).await.body;
    assert!(only.contains("<h1><bdi>Work &amp; travel</bdi></h1>") && !only.contains("Lunch"));
    let plain = client.get(&home).await.expect(200).body;
    assert!(plain.contains("<h1>Calendars and contacts</h1>"), "programs see what they always saw");
}

#[tokio::test]
async fn the_page_says_what_to_paste_into_programs() {
    let settings = Settings {
        base: "/dav".to_owned(),
        public_url: "https://calendar.example.org".to_owned(),
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let html = page(&world.alice(), CALENDAR).await.body;
    for expected in [
        "<code dir=\"ltr\">alice@example.org</code>".to_owned(),
        "<code dir=\"ltr\">https://calendar.example.org/</code>".to_owned(),
        "<code dir=\"ltr\">calendar.example.org</code>".to_owned(),
        format!("<code dir=\"ltr\">https://calendar.example.org/dav{CALENDAR}</code>"),
        format!("<a href=\"https://calendar.example.org/dav{CALENDAR}?export\">"),
        format!("href=\"/dav/calendars/{ALICE}/?view=month"),
    ] {
        assert!(html.contains(&expected), "{expected}");
    }
    assert_eq!(html.matches("<svg ").count(), 2);
}

#[tokio::test]
async fn nobody_sees_the_agenda_of_somebody_else() {
    let world = World::new().await;
    world.alice().put(&format!("{CALENDAR}e.ics"), &event("e", "20261118T090000Z")).await.expect(201);
    for (reader, path) in [
        ("bob@example.org", CALENDAR.to_owned()),
        ("bob@example.org", format!("/calendars/{ALICE}/")),
        ("eve@other.example", CALENDAR.to_owned()),
        ("eve@other.example", format!("/calendars/{ALICE}/")),
    ] {
        let refused = world.as_user(reader).send("GET", &path, &[BROWSER], "").await.expect(403);
        assert!(!refused.body.contains("Lunch"));
    }
    let own = page(&world.bob(), "/").await.body;
    assert!(!own.contains("Lunch") && !own.contains(ALICE));
}

#[tokio::test]
async fn rules_without_end_and_crowds_end_where_the_page_does() {
    let limits = Limits { page_events: 300, ..Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }).await;
    let client = world.alice();
    let always = calendar("VEVENT", "a", &["DTSTART:20000101T000000Z", "RRULE:FREQ=SECONDLY", "SUMMARY:Tick"]);
    client.put(&format!("{CALENDAR}a.ics"), &always).await.expect(201);
    for view in ["month", "week", "list"] {
        let html = page(&client, &format!("{CALENDAR}?view={view}")).await.body;
        assert!(html.contains("This page shows 300 events and leaves out the others."), "{view}");
    }
    for odd in
        ["date=0001-01-01", "date=9999-12-31&view=week", "date=9999-12-31", "view=%00&date=%22%3E&tz=%3Cb%3E&open=%22"]
    {
        let html = page(&client, &format!("{CALENDAR}?{odd}")).await.body;
        assert!(!html.contains("<b>"), "{odd}");
    }
}

#[tokio::test]
async fn a_browser_sees_who_is_in_an_address_book() {
    let world = World::new().await;
    let client = world.alice();
    let book = format!("/addressbooks/{ALICE}/contacts/");
    let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Carol <b>\r\nN:;Carol;;;\r\nORG:Example Corp;Sales\r\n\
                EMAIL:carol+x@example.org\r\nEMAIL:nobody\r\nTEL:+33 1 23 45\r\nEND:VCARD\r\n";
    client.send("PUT", &format!("{book}c1.vcf"), &[("content-type", "text/vcard")], card).await.expect(201);
    let html = page(&client, &book).await.body;
    for expected in [
        "Carol &lt;b&gt;</bdi> <bdi class=\"place\">Example Corp, Sales</bdi>",
        "<a href=\"mailto:carol%2Bx@example.org\"><bdi>carol+x@example.org</bdi></a>",
        "<a href=\"tel:+3312345\">",
        "aria-current=\"page\"",
    ] {
        assert!(html.contains(expected), "{expected}\n{html}");
    }
    assert!(!html.contains("nobody"), "what is no address is no link");
    let cards = client.send("GET", &book, &[("accept", "text/vcard")], "").await.expect(200);
    assert!(cards.body.contains("FN:Carol <b>"));
    client.get(&book).await.expect(501);
    world.bob().send("GET", &book, &[BROWSER], "").await.expect(403);
    let members = page(&world.bob(), "/addressbooks/65dd00000000000000000001/domain-members/").await.body;
    assert!(members.contains("Alice Martin") && members.contains("mailto:carol@example.org"), "{members}");
}
