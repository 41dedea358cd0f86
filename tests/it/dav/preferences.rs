//! What clients prefer (RFC 7240, RFC 8144, `Brief`), and the answers to those who only look whether there is something.

use super::{ALICE, CALENDAR, PROLOG, World, event, root};

fn propfind(props: &str) -> String {
    format!("{}<d:prop>{props}</d:prop></d:propfind>", root("d:propfind"))
}

#[tokio::test]
async fn three_ways_to_ask_for_little_are_understood() {
    let world = World::new().await;
    for header in [("prefer", "return=minimal"), ("prefer", "return-minimal"), ("brief", "t"), ("Brief", "T")] {
        let headers = [("depth", "0"), header];
        let body = propfind("<d:displayname/><d:nothing/>");
        let answer = world.alice().send("PROPFIND", CALENDAR, &headers, &body).await.expect(207);
        assert!(!answer.body.contains("nothing"), "{header:?}: {}", answer.body);
        assert_eq!(answer.header("preference-applied"), Some("return=minimal"), "{header:?}");
        assert_eq!(answer.header("vary"), Some("Brief,Prefer"));
    }
    for header in [("prefer", "return=representation"), ("brief", "f")] {
        let headers = [("depth", "0"), header];
        let body = propfind("<d:displayname/><d:nothing/>");
        let answer = world.alice().send("PROPFIND", CALENDAR, &headers, &body).await.expect(207);
        assert!(answer.body.contains("<d:nothing/>"), "{header:?}: {}", answer.body);
        assert_eq!(answer.header("preference-applied"), None);
    }
}

#[tokio::test]
async fn a_listing_may_leave_out_what_is_listed() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&format!("{CALENDAR}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    let headers = [("depth", "1"), ("prefer", "depth-noroot, return=minimal")];
    let answer = client.send("PROPFIND", CALENDAR, &headers, &propfind("<d:getetag/>")).await;
    let applied: Vec<_> = answer.headers.get_all("preference-applied").iter().collect();
    assert_eq!(applied, ["return=minimal", "depth-noroot"]);
    assert_eq!(answer.hrefs(), [format!("{CALENDAR}a.ics")]);
    // Of a resource alone there would be nothing left.
    let headers = [("depth", "0"), ("prefer", "depth-noroot")];
    let answer = client.send("PROPFIND", CALENDAR, &headers, &propfind("<d:getetag/>")).await;
    assert_eq!(answer.header("preference-applied"), None);
    assert_eq!(answer.hrefs(), [CALENDAR]);
    client.delete(&format!("{CALENDAR}a.ics")).await.expect(204);
    let headers = [("depth", "1"), ("prefer", "depth-noroot")];
    let answer = client.send("PROPFIND", CALENDAR, &headers, &propfind("<d:getetag/>")).await.expect(207);
    assert_eq!(answer.body, format!("{PROLOG}</d:multistatus>"));
}

#[tokio::test]
async fn a_change_that_worked_needs_no_words() {
    let world = World::new().await;
    let update = |name: &str| {
        format!("{}<d:set><d:prop><{name}>x</{name}></d:prop></d:set></d:propertyupdate>", root("d:propertyupdate"))
    };
    let minimal = [("prefer", "return=minimal")];
    let done = world.alice().send("PROPPATCH", CALENDAR, &minimal, &update("d:displayname")).await.expect(200);
    assert_eq!((done.body.as_str(), done.header("preference-applied")), ("", Some("return=minimal")));
    let failed = world.alice().send("PROPPATCH", CALENDAR, &minimal, &update("d:getetag")).await.responses();
    assert!(failed.contains("<d:cannot-modify-protected-property/>"), "{failed}");
}

#[tokio::test]
async fn protected_properties_are_protected_everywhere() {
    let world = World::new().await;
    for path in ["/".to_owned(), format!("/calendars/{ALICE}/"), format!("/principals/users/{ALICE}/")] {
        let body = format!(
            "{}<d:set><d:prop><d:resourcetype/><x:note xmlns:x=\"urn:x\"/></d:prop></d:set></d:propertyupdate>",
            root("d:propertyupdate")
        );
        assert_eq!(
            world.alice().send("PROPPATCH", &path, &[], &body).await.responses(),
            format!(
                "<d:response><d:href>{path}</d:href><d:propstat><d:prop><d:resourcetype/></d:prop>\
                 <d:status>HTTP/1.1 403 Forbidden</d:status><d:error><d:cannot-modify-protected-property/></d:error>\
                 </d:propstat><d:propstat><d:prop><x1:note xmlns:x1=\"urn:x\"/></d:prop>\
                 <d:status>HTTP/1.1 403 Forbidden</d:status></d:propstat></d:response>"
            )
        );
    }
}

#[tokio::test]
async fn a_browser_gets_a_page_of_what_is_there() {
    let world = World::new().await;
    let client = world.alice();
    let script = "<script>alert(1)</script>";
    let body = format!(
        "{}<d:set><d:prop><d:displayname>{}</d:displayname></d:prop></d:set></d:propertyupdate>",
        root("d:propertyupdate"),
        script.replace('<', "&lt;")
    );
    client.send("PROPPATCH", CALENDAR, &[], &body).await.responses();
    for (path, leads_to) in [
        ("/".to_owned(), "/calendars/".to_owned()),
        ("/calendars/".to_owned(), format!("/calendars/{ALICE}/")),
        (format!("/calendars/{ALICE}/"), CALENDAR.to_owned()),
        (format!("/addressbooks/{ALICE}/"), format!("/addressbooks/{ALICE}/contacts/")),
        ("/principals/".to_owned(), "/principals/users/".to_owned()),
        ("/principals/users/".to_owned(), format!("/principals/users/{ALICE}/")),
        (format!("/principals/users/{ALICE}/"), format!("/principals/users/{ALICE}/notifications/")),
        ("/principals/resources/".to_owned(), "/principals/resources/".to_owned()),
    ] {
        let page = client.get(&path).await.expect(200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert_eq!(page.header("content-security-policy"), Some("default-src 'none'"), "{path}");
        assert!(page.body.contains(&format!("<a href=\"{leads_to}\">")), "{path}: {}", page.body);
        assert!(!page.body.contains(script), "{path}: {}", page.body);
        let head = client.send("HEAD", &path, &[], "").await.expect(200);
        assert_eq!((head.body.as_str(), head.header("content-type")), ("", Some("text/html; charset=utf-8")));
    }
    client.get("/calendars/65aa0000000000000000000f/").await.expect(403);
    client.get("/nowhere/").await.expect(404);
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let world = World::new().await;
    let client = world.alice();
    let path = format!("{CALENDAR}a.ics");
    let put = client.put(&path, &event("a", "20300102T110000Z")).await.expect(201);
    let etag = put.header("etag").unwrap().to_owned();
    for condition in [etag.clone(), format!("\"other\", {etag}"), "*".to_owned()] {
        let answer = client.send("GET", &path, &[("if-none-match", &condition)], "").await.expect(304);
        assert_eq!((answer.body.as_str(), answer.header("etag")), ("", Some(etag.as_str())), "{condition}");
    }
    client.send("GET", &path, &[("if-none-match", "\"other\"")], "").await.expect(200);
}

#[tokio::test]
async fn options_name_what_each_place_can_take() {
    let world = World::new().await;
    let mut anybody = world.alice();
    anybody.actor = None;
    for (path, takes, refuses) in
        [("/", "PROPFIND", "PUT"), ("/principals/users/", "REPORT", "MKCALENDAR"), ("/calendars/", "GET", "DELETE")]
    {
        let answer = anybody.send("OPTIONS", path, &[], "").await.expect(200);
        let allow: Vec<_> = answer.header("allow").unwrap().split(", ").collect();
        assert!(allow.contains(&takes) && !allow.contains(&refuses), "{path}: {allow:?}");
    }
    let answer = anybody.send("OPTIONS", CALENDAR, &[], "").await.expect(200);
    let allow: Vec<_> = answer.header("allow").unwrap().split(", ").collect();
    for method in ["PROPFIND", "REPORT", "MKCALENDAR", "DELETE", "ACL", "PROPPATCH"] {
        assert!(allow.contains(&method), "{method}: {allow:?}");
    }
}

#[tokio::test]
async fn collections_tell_their_limits_and_their_state() {
    let world = World::new().await;
    let client = world.alice();
    let props = "<d:creationdate/><d:resource-id/><d:getetag/><cal:min-date-time/><cal:max-date-time/>\
                 <cal:max-attendees-per-instance/><cal:max-resource-size/><cal:supported-calendar-data/>";
    let answer = client.propfind(CALENDAR, "0", props).await.responses();
    assert!(!answer.contains("404"), "{answer}");
    for expected in [
        "<d:creationdate>2026-11-21T06:20:15Z</d:creationdate>",
        "<cal:min-date-time>00010101T000000Z</cal:min-date-time>",
        "<cal:max-attendees-per-instance>1000</cal:max-attendees-per-instance>",
    ] {
        assert!(answer.contains(expected), "{expected} in {answer}");
    }
    // The ETag changes with the content, the id does not change, and no two resources share one.
    let part = |text: &str, name: &str| {
        text.split(&format!("<d:{name}>")).nth(1).unwrap().split("</d:").next().unwrap().to_owned()
    };
    client.put(&format!("{CALENDAR}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    let later = client.propfind(CALENDAR, "0", props).await.responses();
    assert_ne!(part(&answer, "getetag"), part(&later, "getetag"));
    let ids = |text: &str| text.matches("urn:uuid:").count();
    let home = format!("/calendars/{ALICE}/");
    let listing = client.propfind(&home, "1", "<d:resource-id/>").await.responses();
    let mut all: Vec<_> = listing.split("urn:uuid:").skip(1).map(|id| &id[..36]).collect();
    assert_eq!((ids(&answer), all.len()), (1, 4), "{listing}");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4, "{listing}");
    // `allprop` leaves the collection's ETag out, unless it is asked for by name.
    let allprop = |include: &str| format!("{}<d:allprop/>{include}</d:propfind>", root("d:propfind"));
    let headers = [("depth", "1")];
    let body = client.send("PROPFIND", CALENDAR, &headers, &allprop("")).await.responses();
    assert_eq!(body.matches("<d:getetag>").count(), 1, "only of the object: {body}");
    let body =
        client.send("PROPFIND", CALENDAR, &headers, &allprop("<d:include><d:getetag/></d:include>")).await.responses();
    assert_eq!(body.matches("<d:getetag>").count(), 2, "{body}");
    let answer = client.propfind(&home, "0", "<cal:supported-calendar-component-sets/>").await.responses();
    assert!(answer.contains("<cal:supported-calendar-component-sets/></d:prop><d:status>HTTP/1.1 200 OK"), "{answer}");
}
