//! Calendars and address books are made (RFC 4791 §5.3.1, RFC 5689), and homes are there before anybody asks.

use super::{ALICE, BOB, CALENDAR, CAROL, World, event, payload, root};

fn home(name: &str) -> String {
    format!("/calendars/{ALICE}/{name}")
}

fn mkcalendar(props: &str) -> String {
    format!("{}<d:set><d:prop>{props}</d:prop></d:set></cal:mkcalendar>", root("cal:mkcalendar"))
}

fn mkcol(props: &str) -> String {
    format!("{}<d:set><d:prop>{props}</d:prop></d:set></d:mkcol>", root("d:mkcol"))
}

const CALENDAR_TYPE: &str = "<d:resourcetype><d:collection/><cal:calendar/></d:resourcetype>";

#[tokio::test]
async fn a_calendar_may_have_any_name() {
    let world = World::new().await;
    let client = world.alice();
    for name in ["a%20b/", "%C3%A9t%C3%A9%20%F0%9F%8C%9E/", "50%25/", "q%3Fa%23b/", "a%2Bb/"] {
        let made = client.send("MKCALENDAR", &home(name), &[], "").await.expect(201);
        assert_eq!(made.header("cache-control"), Some("no-cache"));
        client.put(&home(&format!("{name}x%20y.ics")), &event("x", "20300102T110000Z")).await.expect(201);
        let hrefs = client.propfind(&home(name), "1", "<d:getetag/>").await.hrefs();
        assert_eq!(hrefs, [home(name), home(&format!("{name}x%20y.ics"))]);
        let hrefs = client.propfind(&home(""), "1", "<d:displayname/>").await.hrefs();
        assert!(hrefs.contains(&home(name)), "{name} in {hrefs:?}");
        client.delete(&home(name)).await.expect(204);
        // The name is free again, and the tokens of the first calendar mean nothing to the second.
        client.send("MKCALENDAR", &home(name), &[], "").await.expect(201);
        assert_eq!(client.propfind(&home(name), "1", "<d:getetag/>").await.hrefs(), [home(name)]);
    }
    let props = "<d:displayname/>";
    let answer = client.propfind(&home("a%20b/"), "0", props).await.responses();
    assert!(answer.contains("<d:displayname>a b</d:displayname>"), "{answer}");
}

#[tokio::test]
async fn properties_are_set_all_or_nothing_is_made() {
    let world = World::new().await;
    let client = world.alice();
    world.published().await;
    let props = "<d:displayname>Work</d:displayname><d:getetag>x</d:getetag>\
                 <cal:supported-calendar-component-set><cal:comp name=\"VEVENT\"/></cal:supported-calendar-component-set>";
    let failed = "<d:propstat><d:prop><d:displayname/><cal:supported-calendar-component-set/></d:prop>\
                  <d:status>HTTP/1.1 424 Failed Dependency</d:status></d:propstat><d:propstat><d:prop><d:getetag/></d:prop>\
                  <d:status>HTTP/1.1 403 Forbidden</d:status><d:error><d:cannot-modify-protected-property/></d:error>\
                  </d:propstat>";
    let answer = client.send("MKCALENDAR", &home("work/"), &[], &mkcalendar(props)).await.responses();
    assert_eq!(answer, format!("<d:response><d:href>{}</d:href>{failed}</d:response>", home("work/")));
    let answer =
        client.send("MKCOL", &home("work/"), &[], &mkcol(&format!("{CALENDAR_TYPE}{props}"))).await.expect(403);
    assert!(answer.body.contains("<d:mkcol-response ") && answer.body.contains("<d:getetag/>"), "{}", answer.body);
    assert!(answer.body.contains("424 Failed Dependency"), "{}", answer.body);
    let zone = "<cal:calendar-timezone>BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n</cal:calendar-timezone>";
    let answer = client.send("MKCALENDAR", &home("work/"), &[], &mkcalendar(zone)).await.responses();
    assert!(answer.contains("<cal:valid-calendar-data/>"), "{answer}");
    let comps =
        "<cal:supported-calendar-component-set><cal:comp name=\"VPARTY\"/></cal:supported-calendar-component-set>";
    let answer = client.send("MKCALENDAR", &home("work/"), &[], &mkcalendar(comps)).await.responses();
    assert!(answer.contains("<cal:supported-calendar-component/>"), "{answer}");
    client.propfind(&home("work/"), "0", "").await.expect(404);
    assert_eq!(world.topics().await, Vec::<&str>::new());
}

#[tokio::test]
async fn there_is_a_reason_for_every_place_where_no_calendar_can_be() {
    let world = World::new().await;
    let client = world.alice();
    client.send("MKCALENDAR", &home("a/"), &[], "").await.expect(201);
    let books = format!("/addressbooks/{ALICE}/");
    for (method, path, body, status, condition) in [
        ("MKCALENDAR", home("a/"), String::new(), 405, "<d:resource-must-be-null/>"),
        ("MKCALENDAR", CALENDAR.to_owned(), String::new(), 405, "<d:resource-must-be-null/>"),
        ("MKCALENDAR", home("inbox/"), String::new(), 405, "<d:resource-must-be-null/>"),
        ("MKCALENDAR", home(""), String::new(), 405, "<d:resource-must-be-null/>"),
        ("MKCOL", "/principals/".to_owned(), String::new(), 405, "<d:resource-must-be-null/>"),
        ("MKCALENDAR", home("a/b/"), String::new(), 403, "<cal:calendar-collection-location-ok "),
        ("MKCALENDAR", home("nowhere/b/"), String::new(), 409, ""),
        ("MKCALENDAR", "/nowhere/at/all/".to_owned(), String::new(), 409, ""),
        ("MKCOL", "/addressbooks/x/".to_owned(), String::new(), 405, ""),
        ("MKCOL", "/addressbooks/ffffffffffffffffffffffff/".to_owned(), String::new(), 405, ""),
        ("MKCALENDAR", format!("{books}cal/"), String::new(), 403, "<cal:calendar-collection-location-ok "),
        ("MKCOL", format!("{books}plain/"), String::new(), 403, "<d:valid-resourcetype/>"),
        (
            "MKCOL",
            home("x/"),
            mkcol("<d:resourcetype><d:collection/><x xmlns=\"urn:x\"/></d:resourcetype>"),
            403,
            "<d:valid-resourcetype/>",
        ),
        (
            "MKCOL",
            home("x/"),
            mkcol("<d:resourcetype><d:collection/><card:addressbook/></d:resourcetype>"),
            403,
            "<d:valid-resourcetype/>",
        ),
        ("MKCOL", home("x/"), "<d:propfind xmlns:d=\"DAV:\"/>".to_owned(), 415, ""),
        ("MKCALENDAR", home("x/"), "<cal:mkcalendar".to_owned(), 400, ""),
        ("MKCALENDAR", format!("/calendars/{BOB}/x/"), String::new(), 403, "need-privileges"),
    ] {
        let answer = client.send(method, &path, &[], &body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.body);
        assert!(answer.body.contains(condition), "{method} {path}: {}", answer.body);
    }
    client.propfind(&home("x/"), "0", "").await.expect(404);
}

#[tokio::test]
async fn everybody_of_a_domain_has_a_home_before_the_first_request() {
    let world = World::new().await;
    for (id, mail) in [(ALICE, "alice@example.org"), (BOB, "bob@example.org"), (CAROL, "carol@example.org")] {
        let client = world.as_user(mail);
        let (calendars, books) = (format!("/calendars/{id}/"), format!("/addressbooks/{id}/"));
        // An object is stored before anything was listed.
        client.put(&format!("{calendars}{id}/first.ics"), &event("first", "20300102T110000Z")).await.expect(201);
        let hrefs = client.propfind(&calendars, "1", "<d:resourcetype/>").await.hrefs();
        let expected = ["".to_owned(), format!("{id}/"), "inbox/".to_owned(), "outbox/".to_owned()];
        assert_eq!(hrefs, expected.map(|name| format!("{calendars}{name}")));
        let hrefs = client.propfind(&books, "1", "<d:resourcetype/>").await.hrefs();
        assert_eq!(hrefs, ["", "contacts/", "collected/"].map(|name| format!("{books}{name}")));
    }
    // Each default calendar was told of once, with nobody as its maker.
    let published = world.published_with_homes().await;
    let made: Vec<_> = published.iter().filter(|m| m.topic.name() == "calendar:calendar:created").collect();
    let paths: Vec<_> = made.iter().map(|m| payload(m)["calendarPath"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths, [ALICE, BOB, CAROL].map(|id| format!("/calendars/{id}/{id}")));
    assert!(made.iter().all(|m| payload(m)["connectedUser"].is_null()));
    assert_eq!(payload(made[0])["calendarProps"]["{DAV:}displayname"], "#default");
}

#[tokio::test]
async fn invitations_go_where_the_person_wants_them() {
    let world = World::new().await;
    let client = world.alice();
    let inbox = home("inbox/");
    let update = |href: &str| {
        format!(
            "{}<d:set><d:prop><cal:schedule-default-calendar-URL>{href}</cal:schedule-default-calendar-URL></d:prop>\
             </d:set></d:propertyupdate>",
            root("d:propertyupdate")
        )
    };
    let at = |path: &str| format!("<d:href>{path}</d:href>");
    client.send("MKCALENDAR", &home("work/"), &[], "").await.expect(201);
    let todos =
        "<cal:supported-calendar-component-set><cal:comp name=\"VTODO\"/></cal:supported-calendar-component-set>";
    client.send("MKCALENDAR", &home("todos/"), &[], &mkcalendar(todos)).await.expect(201);
    for wrong in [home("nowhere/"), home("todos/"), inbox.clone(), format!("/calendars/{BOB}/{BOB}/"), "x".to_owned()] {
        let answer = client.send("PROPPATCH", &inbox, &[], &update(&at(&wrong))).await.responses();
        assert!(answer.contains("<cal:valid-schedule-default-calendar-URL/>"), "{wrong}: {answer}");
    }
    let answer = client.send("PROPPATCH", &inbox, &[], &update(&at(&home("work/")))).await.responses();
    assert!(answer.contains("200 OK"), "{answer}");
    for path in [inbox.clone(), format!("/principals/users/{ALICE}/")] {
        let answer = client.propfind(&path, "0", "<cal:schedule-default-calendar-URL/>").await.responses();
        assert!(answer.contains(&at(&home("work/"))), "{path}: {answer}");
    }

    let props = "<cal:schedule-default-calendar-URL/><d:displayname/>";
    let answer = world.bob().propfind(&format!("/principals/users/{ALICE}/"), "0", props).await.responses();
    assert!(answer.contains("Alice Martin") && !answer.contains("work"), "a colleague reads: {answer}");

    // An invitation arrives there, and as long as they do the calendar stays.
    let message = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example Corp//Client 1.0//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n\
         UID:lunch\r\nDTSTAMP:20300101T080000Z\r\nDTSTART:20300102T110000Z\r\nDURATION:PT1H\r\n\
         ORGANIZER:mailto:bob@example.org\r\nATTENDEE:mailto:bob@example.org\r\n\
         ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:alice@example.org\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let envelope = serde_json::json!({
        "uid": "lunch", "sender": "bob@example.org", "recipient": "alice@example.org", "method": "REQUEST",
        "ical": message,
    });
    client.send("POST", "/itip", &[], &envelope.to_string()).await.expect(204);
    assert_eq!(client.contents(&home("work/")).await.len(), 1);
    assert_eq!(client.contents(CALENDAR).await.len(), 0);
    let refused = client.delete(&home("work/")).await.expect(403);
    assert!(refused.body.contains("<cal:default-calendar-needed "), "{}", refused.body);

    // Without a choice, and with an empty one, it is the default calendar again.
    client.send("PROPPATCH", &inbox, &[], &update("")).await.responses();
    let answer = client.propfind(&inbox, "0", "<cal:schedule-default-calendar-URL/>").await.responses();
    assert!(answer.contains(&at(CALENDAR)), "{answer}");
    client.delete(&home("work/")).await.expect(204);
}

#[tokio::test]
async fn a_book_is_made_with_its_properties_or_not_at_all() {
    let world = World::new().await;
    let client = world.alice();
    let path = format!("/addressbooks/{ALICE}/friends/");
    let kind = "<d:resourcetype><d:collection/><card:addressbook/></d:resourcetype>";
    let bad = mkcol(&format!("{kind}<d:displayname>F</d:displayname><cs:getctag>1</cs:getctag>"));
    let answer = client.send("MKCOL", &path, &[], &bad).await.expect(403);
    assert!(answer.body.contains("<cs:getctag/>"), "{}", answer.body);
    client.propfind(&path, "0", "").await.expect(404);
    client.send("MKCOL", &path, &[], &mkcol(&format!("{kind}<d:displayname>F</d:displayname>"))).await.expect(201);
    client.send("MKCOL", &path, &[], &mkcol(kind)).await.expect(405);
}
