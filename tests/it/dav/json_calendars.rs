//! Calendars by JSON, as the Twake Calendar page asks for them (dav §8).

use serde_json::{Value, json};

use super::{ALICE, BOB, CALENDAR, Client, EVE, World, calendar, event};

/// What the page sends with every request.
pub const JSON: (&str, &str) = ("accept", "application/json, text/plain, */*");

/// A request with a JSON body, as it is.
pub async fn ask(client: &Client<'_>, method: &str, path: &str, body: &str) -> super::Answer {
    client.send(method, path, &[JSON], body).await
}

/// The JSON of an answer with this status.
pub async fn told(client: &Client<'_>, method: &str, path: &str, body: Value, status: u16) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ask(client, method, path, &body).await.expect(status);
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"), "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.body))
}

fn home() -> String {
    format!("/calendars/{ALICE}.json")
}

#[tokio::test]
async fn a_list_is_written_as_the_reference_writes_it() {
    let world = World::new().await;
    let answer = ask(&world.alice(), "GET", &home(), "").await.expect(200);
    let expected = format!(
        r##"{{"_links":{{"self":{{"href":"\/calendars\/{ALICE}.json"}}}},"_embedded":{{"dav:calendar":[{{"_links":{{"self":{{"href":"\/calendars\/{ALICE}\/{ALICE}.json"}}}},"dav:name":"#default","calendarserver:ctag":"http:\/\/sabre.io\/ns\/sync\/1"}}]}}}}"##
    );
    assert_eq!(answer.body, expected);
    // Asking for kinds of which there are none is answered with nothing at all.
    for parameters in ["personal=false", "sharedPublic=true&", "sharedPublicSubscription=true", "personal=True"] {
        let answer = ask(&world.alice(), "GET", &format!("{}?{parameters}", home()), "").await.expect(200);
        assert_eq!((answer.body.as_str(), answer.header("content-type")), ("", None), "{parameters}");
    }
}

#[tokio::test]
async fn json_is_spoken_by_address_or_by_accept() {
    let world = World::new().await;
    let alice = world.alice();
    let own = CALENDAR.trim_end_matches('/');
    for (path, accept) in [
        (format!("{own}.json"), ""),
        (format!("{own}.json"), "*/*"),
        (format!("{own}.json"), "application/calendar+json"),
        (own.to_owned(), "application/json"),
        (format!("{own}?export"), "application/json, text/plain, */*"),
        (format!("/calendars/{ALICE}/events.json"), "application/json"),
    ] {
        let headers = [("accept", accept)];
        let headers = if accept.is_empty() { &[][..] } else { &headers[..] };
        let answer = alice.send("GET", &path, headers, "").await.expect(200);
        let entry: Value = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{path} {accept}: {e}"));
        assert_eq!(entry["_links"]["self"]["href"], json!(format!("{own}.json")), "{path} {accept}");
    }
    // Programs that know nothing of it get what they ask for.
    alice.put(&format!("{own}/a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    let jcal = alice.send("GET", own, &[("accept", "application/calendar+json")], "").await.expect(200);
    assert!(jcal.body.starts_with("[\"vcalendar\""), "{}", jcal.body);
    assert!(alice.get(&format!("{own}?export")).await.expect(200).body.starts_with("BEGIN:VCALENDAR"));
    // A name that ends in .json loses it, as in the reference.
    alice.put(&format!("{own}/b.json"), &event("b", "20300102T110000Z")).await.expect(201);
    assert!(alice.propfind(CALENDAR, "1", "<d:getetag/>").await.hrefs().contains(&format!("{own}/b")));
}

#[tokio::test]
async fn a_calendar_is_made_changed_and_deleted() {
    let world = World::new().await;
    let alice = world.alice();
    let path = format!("/calendars/{ALICE}/7c1e.json");
    let body = json!({"id": "7c1e", "dav:name": "Project", "apple:color": "#D0ECDA", "apple:order": 2, "caldav:description": "",
        "unknown": [1]});
    ask(&alice, "POST", &home(), &body.to_string()).await.expect(201);
    ask(&alice, "POST", &home(), &body.to_string()).await.expect(405);
    let made = told(&alice, "GET", &path, Value::Null, 200).await;
    let expected = json!({"_links": {"self": {"href": path}}, "dav:name": "Project", "caldav:description": "",
        "calendarserver:ctag": "http://sabre.io/ns/sync/1", "apple:color": "#D0ECDA", "apple:order": "2"});
    assert_eq!(made, expected);
    let components = alice.propfind(&path.replace(".json", "/"), "0", "<cal:supported-calendar-component-set/>").await;
    assert!(components.body.contains("<cal:comp name=\"VEVENT\"/><cal:comp name=\"VTODO\"/>"), "{}", components.body);
    ask(&alice, "PROPPATCH", &path, &json!({"dav:name": "P2", "apple:color": null}).to_string()).await.expect(204);
    ask(&alice, "PROPPATCH", &path, &json!({"dav:getetag": "x"}).to_string()).await.expect(403);
    ask(&alice, "PROPPATCH", &path, &json!({"nothing": "known"}).to_string()).await.expect(204);
    ask(&alice, "PROPPATCH", &path, &json!({"apple:order": "first"}).to_string()).await.expect(409);
    let changed = told(&alice, "GET", &path, Value::Null, 200).await;
    assert_eq!((&changed["dav:name"], changed.get("apple:color")), (&json!("P2"), None));
    assert_eq!(changed["calendarserver:ctag"], json!("http://sabre.io/ns/sync/2"));
    ask(&world.bob(), "PROPPATCH", &path, &json!({"dav:name": "Mine"}).to_string()).await.expect(403);
    ask(&alice, "DELETE", &path, "").await.expect(204);
    ask(&alice, "GET", &path, "").await.expect(404);
    ask(&world.bob(), "POST", &home(), &body.to_string()).await.expect(403);
    ask(&alice, "POST", &format!("/calendars/{EVE}.json"), &body.to_string()).await.expect(403);
}

#[tokio::test]
async fn an_id_that_leads_elsewhere_is_refused() {
    let world = World::new().await;
    for id in [
        json!(""),
        json!(null),
        json!(7),
        json!("a/b"),
        json!("a\\b"),
        json!(".."),
        json!("a%2Fb"),
        json!("%5c"),
        json!("\u{0}"),
    ] {
        let body = json!({ "id": id });
        ask(&world.alice(), "POST", &home(), &body.to_string()).await.expect(400);
        ask(&world.alice(), "POST", &format!("/addressbooks/{ALICE}.json"), &body.to_string()).await.expect(400);
    }
}

#[tokio::test]
async fn no_body_makes_the_server_fail() {
    let world = World::new().await;
    let alice = world.alice();
    alice.put(&format!("{CALENDAR}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    let own = CALENDAR.trim_end_matches('/');
    let places = [
        "/calendars.json".to_owned(),
        home(),
        format!("{own}.json"),
        format!("{own}/a.ics"),
        format!("/calendars/{ALICE}/inbox.json"),
        format!("/addressbooks/{ALICE}.json"),
        format!("/addressbooks/{ALICE}/contacts.json"),
        "/addressbooks.json".to_owned(),
        "/query.json".to_owned(),
        "/calendars/freebusy".to_owned(),
        format!("/principals/users/{ALICE}.json"),
        "/".to_owned(),
    ];
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let bodies = [
        "",
        "{",
        "[]",
        "{}",
        "null",
        "{\"match\":7}",
        "{\"match\":{\"start\":\"x\",\"end\":\"y\"}}",
        "{\"sync-token\":{}}",
        "{\"uid\":{}}",
        "{\"eventPaths\":{}}",
        "{\"eventPaths\":[7,\"/x\",\"/calendars/x/y/z.ics\"]}",
        "{\"share\":[]}",
        "{\"share\":{\"set\":[{}],\"remove\":7}}",
        "{\"share\":{\"set\":[{\"dav:read\":true}]}}",
        "{\"invite-reply\":7}",
        "{\"public_right\":7}",
        "{\"public_right\":\"{DAV:}nonsense\"}",
        "{\"prop\":7}",
        "{\"properties\":7}",
        "{\"calendarserver:source\":7,\"id\":\"s\"}",
        "{\"id\":\"s\",\"openpaas:source\":{}}",
        "{\"users\":7,\"start\":1,\"end\":2}",
        "{\"start\":\"20300101T000000\",\"end\":\"20300102T000000\",\"users\":[7]}",
        "{\"scope\":{\"calendars\":[7]}}",
        "{\"dav:share-resource\":{}}",
        "{\"dav:invite-reply\":{}}",
        "{\"dav:publish-addressbook\":{}}",
        "{\"dav:name\":7}",
        "{\"match\":{\"start\":\"99999999T000000\",\"end\":\"99999999T000001\"}}",
        "\u{feff}{}",
        &deep,
        "{\"match\":{\"start\":\"00010101T000000\",\"end\":\"99991231T235959\"}}",
    ];
    for method in ["GET", "POST", "REPORT", "PROPPATCH", "PROPFIND", "ACL", "ITIP"] {
        for place in &places {
            for body in bodies {
                let answer = ask(&alice, method, place, body).await;
                let status = answer.status.as_u16();
                assert!(status < 500 || status == 501, "{method} {place} {body:.60}: {status} {}", answer.body);
            }
        }
    }
    assert_eq!(alice.get(&format!("{CALENDAR}a.ics")).await.expect(200).body, event("a", "20300102T110000Z"));
}

#[tokio::test]
async fn what_is_shared_is_told_with_its_source_and_its_rights() {
    let world = World::new().await;
    let (alice, bob) = (world.alice(), world.bob());
    let own = format!("/calendars/{ALICE}/{ALICE}.json");
    let share = json!({"share": {"set": [
        {"dav:href": "mailto:bob@example.org", "dav:read-write": true, "common-name": "Bob"},
        {"dav:href": "mailto:carol@example.org", "dav:administration": true, "dav:read": true},
        {"dav:href": "mailto:nobody@example.org"}], "remove": []}});
    let answer = ask(&alice, "POST", &own, &share.to_string()).await.expect(200);
    assert_eq!(answer.header("x-sabre-status"), Some("everything-went-well"));
    let list = format!(
        "/calendars/{BOB}.json?personal=true&sharedDelegationStatus=accepted&sharedPublicSubscription=true&withRights=true"
    );
    let answer = ask(&bob, "GET", &list, "").await.expect(200);
    let source = format!("\"calendarserver:delegatedsource\":\"\\/calendars\\/{ALICE}\\/{ALICE}.json\"");
    assert!(answer.body.contains(&source), "{}", answer.body);
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    let given = &told["_embedded"]["dav:calendar"][1];
    assert_eq!(given["dav:name"], json!("#default"));
    let access: Vec<&Value> = given["invite"].as_array().unwrap().iter().map(|invite| &invite["access"]).collect();
    assert_eq!(access, [&json!(1), &json!(3), &json!(5)]);
    assert_eq!(given["invite"][1]["properties"], json!({"{DAV:}displayname": "Bob"}));
    let me = json!(format!("principals/users/{BOB}"));
    let mine: Vec<&Value> =
        given["acl"].as_array().unwrap().iter().filter(|a| a["principal"] == me).map(|a| &a["privilege"]).collect();
    assert_eq!(mine, [&json!("{DAV:}write"), &json!("{DAV:}write-properties"), &json!("{DAV:}read")]);
    // Not asked for, not told.
    let plain = ask(&bob, "GET", &format!("/calendars/{BOB}.json"), "").await.expect(200);
    assert!(!plain.body.contains("delegatedsource"), "{}", plain.body);
    for (body, status) in [
        (json!({"share": {"set": [{"dav:href": "mailto:alice@example.org", "dav:read": true}]}}), 400),
        (json!({"share": {"set": [{"dav:href": "mailto:eve@other.example", "dav:read": true}]}}), 403),
    ] {
        ask(&alice, "POST", &own, &body.to_string()).await.expect(status);
    }
    let link = given["_links"]["self"]["href"].as_str().unwrap();
    ask(&bob, "POST", link, &share.to_string()).await.expect(403);
    ask(&bob, "ACL", link, &json!({"public_right": "{DAV:}read"}).to_string()).await.expect(403);
    ask(&bob, "POST", link, &json!({"invite-reply": {"invitestatus": "later"}}).to_string()).await.expect(400);
    ask(&bob, "POST", link, &json!({"invite-reply": {"invitestatus": "noresponse"}}).to_string()).await.expect(200);
    let accepted =
        ask(&bob, "GET", &format!("/calendars/{BOB}.json?sharedDelegationStatus=accepted"), "").await.expect(200);
    assert_eq!(accepted.body, "");
}

#[tokio::test]
async fn nobody_but_the_owner_reads_a_private_event_anywhere() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.alice(), world.bob(), world.as_user("carol@example.org"));
    let secret = calendar(
        "VEVENT",
        "secret",
        &["DTSTART:20300102T110000Z", "DURATION:PT1H", "SUMMARY:Surgery", "CLASS:PRIVATE", "LOCATION:Clinic"],
    );
    alice.put(&format!("{CALENDAR}secret.ics"), &secret).await.expect(201);
    let own = format!("/calendars/{ALICE}/{ALICE}.json");
    let share = json!({"share": {"set": [{"dav:href": "mailto:bob@example.org", "dav:administration": true}]}});
    ask(&alice, "POST", &own, &share.to_string()).await.expect(200);
    ask(&alice, "ACL", &own, &json!({"public_right": "{DAV:}read"}).to_string()).await.expect(200);
    let carol_home = format!("/calendars/{}.json", super::CAROL);
    let body = json!({"id": "sub", "dav:name": "Hers", "calendarserver:source": {"href": own}});
    ask(&carol, "POST", &carol_home, &body.to_string()).await.expect(201);
    let list = told(&bob, "GET", &format!("/calendars/{BOB}.json?sharedDelegationStatus=any"), Value::Null, 200).await;
    let instance = list["_embedded"]["dav:calendar"][0]["_links"]["self"]["href"].as_str().unwrap().to_owned();
    let month = json!({"match": {"start": "20300101T000000", "end": "20300201T000000"}}).to_string();
    let paths =
        |calendar: &str| json!({"eventPaths": [format!("{}/secret.ics", calendar.replace(".json", ""))]}).to_string();
    let sub = format!("/calendars/{}/sub.json", super::CAROL);
    let scope = |calendar: &str| {
        json!({"scope": {"calendars": [calendar]}, "match": {"start": "20300101T000000", "end": "20300201T000000"}})
            .to_string()
    };
    for (who, calendar) in [(&bob, &instance), (&carol, &sub), (&carol, &own)] {
        let object = calendar.replace(".json", "/secret.ics");
        for (method, path, body) in [
            ("REPORT", calendar.clone(), month.clone()),
            ("REPORT", object.clone(), month.clone()),
            ("REPORT", "/calendars.json".to_owned(), paths(calendar)),
            ("GET", format!("{calendar}?allEvents=true"), String::new()),
            ("POST", "/query.json".to_owned(), scope(calendar)),
        ] {
            // Whatever the owner has just seen.
            ask(&alice, "REPORT", &own, &month).await.expect(200);
            let answer = ask(who, method, &path, &body).await;
            assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.body);
            assert!(answer.body.contains("Busy"), "{method} {path}: {}", answer.body);
            assert!(
                !answer.body.contains("Surgery") && !answer.body.contains("Clinic"),
                "{method} {path}: {}",
                answer.body
            );
        }
    }
    assert!(ask(&alice, "REPORT", &own, &month).await.body.contains("Surgery"));
}

#[tokio::test]
async fn programs_are_told_of_the_calendars_of_their_domain_only() {
    let world = World::new().await;
    let mut program = world.alice();
    program.actor = Some(convoke::dav::Actor::Technical("65dd00000000000000000001".parse().unwrap()));
    world.alice().propfind("/", "0", "").await;
    world.alice().get(CALENDAR).await.expect(200);
    world.as_user("eve@other.example").get(&format!("/calendars/{EVE}/{EVE}/")).await.expect(200);
    let all = told(&program, "GET", "/calendars.json", Value::Null, 200).await;
    assert_eq!(all, json!({ ALICE: [ALICE] }));
    let refused = ask(&world.alice(), "GET", "/calendars.json", "").await.expect(403);
    assert!(refused.body.contains("Only technical users"), "{}", refused.body);
    ask(&world.alice(), "GET", "/addressbooks.json", "").await.expect(403);
}
