//! REPORT by JSON: what takes place, what changed, and when people are busy (dav §8.5, §8.6).

use std::collections::BTreeSet;

use convoke::dav::server::Settings;
use serde_json::{Value, json};

use super::json_calendars::{ask, told};
use super::{ALICE, CALENDAR, EVE, World, calendar, event};

fn own() -> String {
    format!("/calendars/{ALICE}/{ALICE}.json")
}

fn month() -> Value {
    json!({"match": {"start": "20300101T000000", "end": "2030-02-01T00:00:00Z"}})
}

fn names(report: &Value) -> BTreeSet<String> {
    let items = report["_embedded"]["dav:item"].as_array().unwrap();
    let href = |item: &Value| item["_links"]["self"]["href"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let names: BTreeSet<String> = items.iter().map(href).collect();
    assert_eq!(names.len(), items.len(), "each once");
    names
}

#[tokio::test]
async fn occurrences_come_expanded_in_utc_each_with_its_id() {
    let world = World::new().await;
    let alice = world.alice();
    let series = calendar(
        "VEVENT",
        "r",
        &[
            "DTSTART;TZID=Europe/Paris:20300107T090000",
            "DURATION:PT30M",
            "SUMMARY:Zoé/Stand-up",
            "RRULE:FREQ=WEEKLY;COUNT=3",
            "EXDATE;TZID=Europe/Paris:20300114T090000",
        ],
    );
    alice.put(&format!("{CALENDAR}r.ics"), &series).await.expect(201);
    alice.put(&format!("{CALENDAR}later.ics"), &event("later", "20300302T110000Z")).await.expect(201);
    let answer = ask(&alice, "REPORT", &own(), &month().to_string()).await.expect(200);
    assert!(answer.body.contains(r#""Zo\u00e9\/Stand-up""#), "{}", answer.body);
    let report: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(report["_embedded"]["sync-token"], json!("http://sabre.io/ns/sync/3"));
    let items = report["_embedded"]["dav:item"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    let top: Vec<&Value> = items[0]["data"][1].as_array().unwrap().iter().map(|p| &p[0]).collect();
    assert_eq!(top, [&json!("prodid"), &json!("calscale"), &json!("version")]);
    let occurrences: Vec<Value> = items[0]["data"][2].as_array().unwrap().iter().map(|c| c[1].clone()).collect();
    let value = |properties: &Value, name: &str| {
        properties.as_array().unwrap().iter().find(|p| p[0] == name).map(|p| json!([p[1], p[2], p[3]]))
    };
    for (occurrence, start) in occurrences.iter().zip(["2030-01-07T08:00:00Z", "2030-01-21T08:00:00Z"]) {
        assert_eq!(value(occurrence, "dtstart"), Some(json!([{}, "date-time", start])));
        assert_eq!(value(occurrence, "recurrence-id"), Some(json!([{}, "date-time", start])));
        assert_eq!(value(occurrence, "rrule"), None);
    }
    assert_eq!(occurrences.len(), 2);
    let object = told(&alice, "REPORT", &format!("{CALENDAR}r.ics"), month(), 200).await;
    assert_eq!((&object["data"], &object["etag"]), (&items[0]["data"], &items[0]["etag"]));
    let outside = json!({"match": {"start": "20310101T000000", "end": "20310201T000000"}});
    let object = told(&alice, "REPORT", &format!("{CALENDAR}r.ics"), outside, 200).await;
    assert_eq!(object["data"][2], json!([]));
    for wrong in [
        json!({}),
        json!({"match": {}}),
        json!({"match": {"start": "20300101T000000"}}),
        json!({"match": {"start": "20300201T000000", "end": "20300101T000000"}}),
    ] {
        ask(&alice, "REPORT", &own(), &wrong.to_string()).await.expect(400);
        ask(&alice, "REPORT", &format!("{CALENDAR}r.ics"), &wrong.to_string()).await.expect(400);
    }
}

#[tokio::test]
async fn what_is_remembered_is_never_out_of_date() {
    let world = World::new().await;
    let alice = world.alice();
    for summary in ["One", "Two", "One"] {
        let text = event("a", "20300102T110000Z").replace("Lunch", summary);
        alice.put(&format!("{CALENDAR}a.ics"), &text).await;
        for _ in 0..2 {
            let answer = ask(&alice, "REPORT", &own(), &month().to_string()).await.expect(200);
            assert!(answer.body.contains(&format!("\"{summary}\"")), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_full_calendar_comes_page_by_page_and_nothing_twice() {
    let world = World::new().await;
    let alice = world.alice();
    let count = 450;
    for n in 0..count {
        let text = event(&format!("e{n}"), &format!("203001{:02}T{:02}0000Z", 1 + n % 28, n % 24));
        alice.put(&format!("{CALENDAR}e{n}.ics"), &text).await.expect(201);
    }
    let expected: BTreeSet<String> = (0..count).map(|n| format!("e{n}.ics")).collect();
    assert_eq!(names(&told(&alice, "REPORT", &own(), month(), 200).await), expected);
    assert_eq!(names(&told(&alice, "GET", &format!("{}?allEvents=true", own()), Value::Null, 200).await), expected);
    assert_eq!(names(&told(&alice, "REPORT", &own(), json!({"sync-token": ""}), 207).await), expected);
    assert_eq!(names(&told(&alice, "REPORT", &own(), json!({"sync-token": 1}), 207).await), expected);
    let paths: Vec<String> = expected.iter().map(|name| format!("{CALENDAR}{name}")).collect();
    let found = told(&alice, "REPORT", "/calendars.json", json!({ "eventPaths": paths }), 207).await;
    assert_eq!(names(&found), expected);
}

#[tokio::test]
async fn changes_are_told_by_every_form_of_token() {
    let world = World::new().await;
    let alice = world.alice();
    for name in ["a", "b"] {
        alice.put(&format!("{CALENDAR}{name}.ics"), &event(name, "20300102T110000Z")).await.expect(201);
    }
    alice.delete(&format!("{CALENDAR}a.ics")).await.expect(204);
    for token in [json!("http://sabre.io/ns/sync/3"), json!("3"), json!(3)] {
        let report = told(&alice, "REPORT", &own(), json!({ "sync-token": token }), 207).await;
        assert_eq!(report["sync-token"], json!("http://sabre.io/ns/sync/4"));
        let items = json!([{"_links": {"self": {"href": format!("{CALENDAR}a.ics")}}, "status": 404}]);
        assert_eq!(report["_embedded"]["dav:item"], items);
    }
    // One that is ahead changes nothing (dav §8.5).
    let report = told(&alice, "REPORT", &own(), json!({"sync-token": "http://sabre.io/ns/sync/99"}), 207).await;
    assert_eq!(
        (&report["_embedded"]["dav:item"], &report["sync-token"]),
        (&json!([]), &json!("http://sabre.io/ns/sync/4"))
    );
    ask(&alice, "REPORT", &own(), "{\"sync-token\":\"abc\"}").await.expect(400);
    // null is like no token at all.
    ask(&alice, "REPORT", &own(), "{\"sync-token\":null}").await.expect(400);
}

#[tokio::test]
async fn an_event_is_found_by_uid_and_by_address() {
    let world = World::new().await;
    let alice = world.alice();
    alice.put(&format!("{CALENDAR}file.ics"), &event("the-uid", "20300102T110000Z")).await.expect(201);
    let home = format!("/calendars/{ALICE}.json");
    let found = told(&alice, "REPORT", &home, json!({"uid": "the-uid"}), 200).await;
    let item = &found["_embedded"]["dav:item"][0];
    assert_eq!(item["_links"]["self"]["href"], json!(format!("{CALENDAR}file.ics")));
    assert_eq!(item["data"][2][0][1][2], json!(["dtstart", {}, "date-time", "2030-01-02T11:00:00Z"]));
    ask(&alice, "REPORT", &home, "{\"uid\":\"other\"}").await.expect(404);
    ask(&alice, "REPORT", &home, "{}").await.expect(400);
    // Nobody else finds it, nor learns that it is there.
    ask(&world.bob(), "REPORT", &home, "{\"uid\":\"the-uid\"}").await.expect(404);
    ask(&world.as_user("eve@other.example"), "REPORT", &home, "{\"uid\":\"the-uid\"}").await.expect(404);
    let paths = json!({"eventPaths": [format!("{CALENDAR}file.ics"), format!("{CALENDAR}none.ics"), "/elsewhere", 7]});
    let found = told(&alice, "REPORT", "/calendars.json", paths.clone(), 207).await;
    assert_eq!(found["_embedded"]["dav:item"].as_array().unwrap().len(), 1);
    ask(&world.bob(), "REPORT", "/calendars.json", &paths.to_string()).await.expect(403);
}

#[tokio::test]
async fn busy_times_are_told_in_true_utc_occurrence_by_occurrence() {
    let world = World::new().await;
    let alice = world.alice();
    let put = async |uid: &str, lines: &[&str]| {
        alice.put(&format!("{CALENDAR}{uid}.ics"), &calendar("VEVENT", uid, lines)).await.expect(201);
    };
    let paris = "DTSTART;TZID=Europe/Paris:20300107T090000";
    put("series", &[paris, "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2"]).await;
    put("free", &[paris, "DURATION:PT1H", "TRANSP:TRANSPARENT"]).await;
    put("cancelled", &[paris, "DURATION:PT1H", "STATUS:CANCELLED"]).await;
    let bob = "ORGANIZER:mailto:bob@example.org";
    put("maybe", &[paris, "DURATION:PT1H", bob, "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:alice@example.org"]).await;
    put("others", &[paris, "DURATION:PT1H", bob, "ATTENDEE;PARTSTAT=ACCEPTED:mailto:carol@example.org"]).await;
    put("agreed", &[paris, "DURATION:PT1H", bob, "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a.martin@example.org"]).await;
    put("edited", &[paris, "DURATION:PT1H"]).await;
    let body = json!({"start": "20300101T000000", "end": "20300201T000000Z", "users": [ALICE],
        "uids": ["edited/20300107T080000Z"]});
    let answer = told(&world.bob(), "POST", "/calendars/freebusy", body, 200).await;
    let time = |uid: &str, day: u32| json!({"uid": uid, "start": format!("2030010{day}T080000Z"), "end": format!("2030010{day}T090000Z")});
    let busy = json!([{"id": ALICE, "busy": [time("agreed", 7), time("series", 7), time("series", 8)]}]);
    assert_eq!(answer["users"], json!([{"id": ALICE, "calendars": busy}]));
    assert_eq!(answer["start"], json!("20300101T000000"));
    for (users, status) in [(json!([EVE]), 403), (json!(["ffffffffffffffffffffffff"]), 404), (json!(["nobody"]), 404)] {
        let body = json!({"start": "20300101T000000Z", "end": "20300201T000000Z", "users": users});
        ask(&world.bob(), "POST", "/calendars/freebusy", &body.to_string()).await.expect(status);
    }
    let query = json!({"type": "free-busy-query", "match": {"start": "20300107T000000Z", "end": "20300108T000000Z"}});
    let answer = told(&world.bob(), "REPORT", &own(), query, 200).await;
    assert_eq!(answer["_links"]["self"]["href"], json!(format!("/calendars/{ALICE}/{ALICE}")));
    let properties = answer["data"][2][0][1].as_array().unwrap();
    assert!(properties.iter().any(|p| p[0] == "freebusy"), "{answer}");
    assert!(!answer.to_string().contains("SUMMARY") && !answer.to_string().contains("Lunch"));
}

#[tokio::test]
async fn several_calendars_are_asked_at_once() {
    let world = World::new().await;
    let alice = world.alice();
    let home = format!("/calendars/{ALICE}.json");
    ask(&alice, "POST", &home, "{\"id\":\"work\",\"dav:name\":\"Work\"}").await.expect(201);
    alice.put(&format!("/calendars/{ALICE}/work/w.ics"), &event("w", "20300102T110000Z")).await.expect(201);
    alice.put(&format!("{CALENDAR}a.ics"), &event("a", "20300302T110000Z")).await.expect(201);
    let work = format!("/calendars/{ALICE}/work.json");
    let body = json!({"scope": {"calendars": [work, own()]}, "match": month()["match"]});
    let answer = told(&alice, "POST", "/query.json", body.clone(), 200).await;
    let calendars = answer["_embedded"]["dav:calendar"].as_array().unwrap();
    assert_eq!(calendars.iter().map(|c| &c["dav:name"]).collect::<Vec<_>>(), [&json!("Work"), &json!("#default")]);
    assert_eq!(calendars[0]["_embedded"]["dav:item"][0]["data"][2][0][1][0][3], json!("w"));
    assert_eq!(calendars[1]["_embedded"]["dav:item"], json!([]));
    ask(&world.bob(), "POST", "/query.json", &body.to_string()).await.expect(403);
    ask(&alice, "POST", "/query.json", "{}").await.expect(400);
}

#[tokio::test]
async fn a_calendar_that_is_not_there_is_looked_for_once() {
    let (world, store) = super::meddling::Rival::world(Settings::default()).await;
    let alice = world.alice();
    alice.propfind(CALENDAR, "0", "").await.expect(207);
    let paths = |calendars: usize, objects: usize| {
        let path = |n: usize| format!("/calendars/{ALICE}/none{}/o{n}.ics", n % calendars);
        json!({"eventPaths": (0..objects).map(path).collect::<Vec<_>>()}).to_string()
    };
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    let before = store.looked_for();
    alice.send("REPORT", "/calendars.json", &headers, &paths(3, 5_000)).await.expect(207);
    assert!(store.looked_for() - before <= 10, "{}", store.looked_for() - before);
    alice.send("REPORT", "/calendars.json", &headers, &paths(1_000, 2_000)).await.expect(207);
    alice.send("REPORT", "/calendars.json", &headers, &paths(1_001, 1_001)).await.expect(400);
}
