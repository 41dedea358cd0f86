//! Calendars: made, described, deleted.

use super::{ALICE, CALENDAR, World, event, root};

fn home(name: &str) -> String {
    format!("/calendars/{ALICE}/{name}")
}

#[tokio::test]
async fn a_calendar_is_made_with_its_properties() {
    let world = World::new().await;
    let client = world.alice();
    let body = format!(
        "{}<d:set><d:prop><d:displayname>Work &amp; more</d:displayname>\
         <cal:calendar-description>Office</cal:calendar-description><a:calendar-color>#0088ff</a:calendar-color>\
         <cal:supported-calendar-component-set><cal:comp name=\"VEVENT\"/></cal:supported-calendar-component-set>\
         <x:note xmlns:x=\"urn:x\" kind=\"dead\">kept</x:note></d:prop></d:set></cal:mkcalendar>",
        root("cal:mkcalendar")
    );
    client.send("MKCALENDAR", &home("work/"), &[], &body).await.expect(201);
    let published = world.published().await;
    assert_eq!(published[0].topic.name(), "calendar:calendar:created");
    assert_eq!(
        published[0].payload,
        serde_json::json!({
            "calendarPath": home("work"),
            "calendarProps": {
                "{http://calendarserver.org/ns/}getctag": "http://sabre.io/ns/sync/1",
                "{http://sabredav.org/ns}sync-token": 1,
                "{urn:ietf:params:xml:ns:caldav}supported-calendar-component-set": {},
                "{urn:ietf:params:xml:ns:caldav}schedule-calendar-transp": {},
                "{DAV:}displayname": "Work & more",
                "{urn:ietf:params:xml:ns:caldav}calendar-description": "Office",
                "{http://apple.com/ns/ical/}calendar-color": "#0088ff",
            },
            "connectedUser": format!("principals/users/{ALICE}"),
        })
    );
    let answer = client.propfind(&home("work/"), "0", "").await;
    assert_eq!(
        answer.responses(),
        format!(
            "<d:response><d:href>{}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/><cal:calendar/>\
             </d:resourcetype><cs:getctag>http://sabre.io/ns/sync/1</cs:getctag><s:sync-token>1</s:sync-token>\
             <cal:supported-calendar-component-set><cal:comp name=\"VEVENT\"/></cal:supported-calendar-component-set>\
             <cal:schedule-calendar-transp><cal:opaque/></cal:schedule-calendar-transp>\
             <d:displayname>Work &amp; more</d:displayname>\
             <cal:calendar-description>Office</cal:calendar-description>\
             <x1:calendar-color xmlns:x1=\"http://apple.com/ns/ical/\">#0088ff</x1:calendar-color>\
             <d:creationdate>2026-11-21T06:20:15Z</d:creationdate>\
             <x1:note xmlns:x1=\"urn:x\" kind=\"dead\">kept</x1:note></d:prop><d:status>HTTP/1.1 200 OK</d:status>\
             </d:propstat></d:response>",
            home("work/")
        )
    );
    let refused = client.put(&home("work/t.ics"), &super::calendar("VTODO", "t", &["SUMMARY:x"])).await.expect(403);
    assert!(refused.body.contains("<cal:supported-calendar-component "), "{}", refused.body);
}

#[tokio::test]
async fn a_calendar_is_made_by_extended_mkcol_too() {
    let world = World::new().await;
    let client = world.alice();
    let mkcol = |types: &str| {
        let root = root("d:mkcol");
        format!(
            "{root}<d:set><d:prop><d:resourcetype><d:collection/>{types}</d:resourcetype></d:prop></d:set></d:mkcol>"
        )
    };
    client.send("MKCOL", &home("a/"), &[], &mkcol("<cal:calendar/>")).await.expect(201);
    client.send("MKCOL", &home("a/"), &[], &mkcol("<cal:calendar/>")).await.expect(405);
    client.put(&home("a/j.ics"), &super::calendar("VJOURNAL", "j", &["SUMMARY:takes anything"])).await.expect(201);
    client.send("MKCOL", &home("b/"), &[], &mkcol("")).await.expect(403);
    client.send("MKCOL", &home("a/c/"), &[], &mkcol("<cal:calendar/>")).await.expect(403);
    client.send("MKCALENDAR", &home("inbox/"), &[], "").await.expect(405);
    client.send("MKCALENDAR", &home(""), &[], "").await.expect(405);
    client.send("MKCALENDAR", &format!("/addressbooks/{ALICE}/x/"), &[], "").await.expect(403);
    let hrefs = client.propfind(&home(""), "1", "<d:resourcetype/>").await.hrefs();
    assert_eq!(hrefs, [home(""), CALENDAR.to_owned(), home("a/"), home("inbox/"), home("outbox/")]);
}

#[tokio::test]
async fn only_the_default_calendar_is_called_default() {
    let world = World::new().await;
    world.alice().send("MKCALENDAR", &home("plain"), &[], "").await.expect(201);
    let answer = world.alice().propfind(&home("plain"), "0", "<d:displayname/>").await.responses();
    assert!(answer.contains("<d:displayname>plain</d:displayname>"), "{answer}");
    let answer = world.alice().propfind(CALENDAR, "0", "<d:displayname/>").await.responses();
    assert!(answer.contains("<d:displayname>#default</d:displayname>"), "{answer}");
}

#[tokio::test]
async fn properties_change_all_or_none() {
    let world = World::new().await;
    let client = world.alice();
    let update = |changes: &str| format!("{}{changes}</d:propertyupdate>", root("d:propertyupdate"));
    let good = update(
        "<d:set><d:prop><d:displayname>Mine</d:displayname><a:calendar-order>3</a:calendar-order>\
         <x:note xmlns:x=\"urn:x\">n</x:note></d:prop></d:set>",
    );
    let path = CALENDAR.trim_end_matches('/');
    let answer = client.send("PROPPATCH", path, &[], &good).await;
    assert_eq!(
        answer.responses(),
        format!(
            "<d:response><d:href>{path}</d:href><d:propstat><d:prop><d:displayname/>\
             <x1:calendar-order xmlns:x1=\"http://apple.com/ns/ical/\"/><x1:note xmlns:x1=\"urn:x\"/></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        )
    );
    let bad = update(
        "<d:set><d:prop><d:displayname>Other</d:displayname><d:getetag>x</d:getetag></d:prop></d:set>\
         <d:remove><d:prop><x:note xmlns:x=\"urn:x\"/></d:prop></d:remove>",
    );
    let answer = client.send("PROPPATCH", CALENDAR, &[], &bad).await;
    assert_eq!(
        answer.responses(),
        format!(
            "<d:response><d:href>{CALENDAR}</d:href><d:propstat><d:prop><d:displayname/><x1:note xmlns:x1=\"urn:x\"/>\
             </d:prop><d:status>HTTP/1.1 424 Failed Dependency</d:status></d:propstat><d:propstat><d:prop><d:getetag/>\
             </d:prop><d:status>HTTP/1.1 403 Forbidden</d:status><d:error><d:cannot-modify-protected-property/></d:error>\
             </d:propstat></d:response>"
        )
    );
    let props = "<d:displayname/><x:note xmlns:x=\"urn:x\"/><s:sync-token/>";
    let answer = client.propfind(CALENDAR, "0", props).await.responses();
    assert!(answer.contains("<d:displayname>Mine</d:displayname>"), "{answer}");
    assert!(answer.contains("<x1:note xmlns:x1=\"urn:x\">n</x1:note>"), "{answer}");
    assert!(answer.contains("<s:sync-token>2</s:sync-token>"), "one change, one step: {answer}");
    let removal = update("<d:remove><d:prop><x:note xmlns:x=\"urn:x\"/><d:displayname/></d:prop></d:remove>");
    let answer = client.send("PROPPATCH", CALENDAR, &[], &removal).await.responses();
    assert!(answer.contains("HTTP/1.1 204 No Content"), "{answer}");
    let answer = client.propfind(CALENDAR, "0", props).await.responses();
    assert!(answer.contains("#default") && answer.contains("404"), "{answer}");
    let published = world.published().await;
    let names: Vec<_> = published.iter().map(|m| &m.payload["calendarProps"]["{DAV:}displayname"]).collect();
    assert_eq!(names, ["#default", "Mine"], "the properties from before each change");
}

#[tokio::test]
async fn only_one_zone_is_a_calendar_timezone() {
    let world = World::new().await;
    let client = world.alice();
    let body = format!(
        "{}<d:set><d:prop><cal:calendar-timezone>Europe/Paris</cal:calendar-timezone></d:prop></d:set></d:propertyupdate>",
        root("d:propertyupdate")
    );
    let answer = client.send("PROPPATCH", CALENDAR, &[], &body).await.responses();
    assert!(answer.contains("<cal:valid-calendar-data/>") && answer.contains("403"), "{answer}");
}

#[tokio::test]
async fn a_deleted_calendar_takes_its_objects_and_tells_of_each() {
    let world = World::new().await;
    let client = world.alice();
    client.send("MKCALENDAR", &home("work/"), &[], "").await.expect(201);
    for n in 0..3 {
        let text = event(&format!("e{n}"), "20300102T110000Z");
        client.put(&home(&format!("work/e{n}.ics")), &text).await.expect(201);
    }
    world.published().await;
    client.delete(&home("work/")).await.expect(204);
    client.propfind(&home("work/"), "0", "").await.expect(404);
    client.get(&home("work/e0.ics")).await.expect(404);
    let topics = world.topics().await;
    assert_eq!(topics.iter().filter(|t| **t == "calendar:event:deleted").count(), 3);
    assert_eq!(topics.iter().filter(|t| **t == "calendar:event:alarm:deleted").count(), 3);
    assert_eq!(topics.last(), Some(&"calendar:calendar:deleted"));
    client.delete(&home("work/")).await.expect(404);
}

#[tokio::test]
async fn what_every_home_has_cannot_be_deleted() {
    let world = World::new().await;
    let client = world.alice();
    let main = client.delete(CALENDAR).await.expect(403);
    assert!(main.body.contains("Forbidden: You can not delete your main calendar"), "{}", main.body);
    for path in [
        home("inbox/"),
        home("outbox/"),
        home(""),
        format!("/addressbooks/{ALICE}/contacts/"),
        format!("/addressbooks/{ALICE}/collected/"),
        "/".to_owned(),
        format!("/principals/users/{ALICE}/"),
    ] {
        client.delete(&path).await.expect(403);
    }
    client.put(&home("inbox/x.ics"), &event("x", "20300102T110000Z")).await.expect(403);
    client.put(&home("nowhere/x.ics"), &event("x", "20300102T110000Z")).await.expect(404);
}
