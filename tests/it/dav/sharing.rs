//! Calendars that are shared: given by their owners, subscribed to by their readers.

use convoke::store::{CollectionKind, Op, PublicRight};
use serde_json::{Value, json};

use super::{ALICE, BOB, CALENDAR, CAROL, Client, EVE, World, calendar, event, root};

const WORK: &str = "/calendars/65aa00000000000000000001/work/";

/// The body of a request that shares with people: address, and the word of a right.
pub fn share(people: &[(&str, &str)]) -> String {
    let sharee = |(who, right): &(&str, &str)| {
        format!("<d:sharee><d:href>mailto:{who}</d:href><d:share-access><d:{right}/></d:share-access></d:sharee>")
    };
    let sharees: String = people.iter().map(sharee).collect();
    format!("{}{sharees}</d:share-resource>", root("d:share-resource"))
}

pub async fn give(owner: &Client<'_>, path: &str, people: &[(&str, &str)]) -> super::Answer {
    owner.send("POST", path, &[("content-type", "application/davsharing+xml")], &share(people)).await
}

pub async fn subscribe(reader: &Client<'_>, path: &str, source: &str) -> super::Answer {
    let body = format!(
        "{}<d:set><d:prop><d:resourcetype><d:collection/><cs:subscribed/></d:resourcetype><d:displayname>Theirs\
         </d:displayname><a:calendar-color>#00ff00</a:calendar-color><cs:source><d:href>{source}</d:href></cs:source>\
         </d:prop></d:set></d:mkcol>",
        root("d:mkcol")
    );
    reader.send("MKCOL", path, &[("content-type", "application/xml")], &body).await
}

/// Lets everybody of the domain do something.
pub async fn publish(world: &World, kind: CollectionKind, uri: &str, right: Option<PublicRight>) {
    let found = world.dav.collection(ALICE.parse().unwrap(), kind, uri).await.unwrap().unwrap();
    let ops = vec![Op::SetPublicRight { collection: found.id, right }];
    world.dav.write(convoke::store::Batch { ops, publish: Vec::new() }).await.unwrap();
}

/// The paths of the calendars in a home that somebody else owns.
pub async fn others(who: &Client<'_>, home: &str) -> Vec<String> {
    let listed = who.propfind(&format!("/calendars/{home}/"), "1", "<d:resourcetype/>").await.hrefs();
    let own = ["", "inbox/", "outbox/", &format!("{home}/")].map(|uri| format!("/calendars/{home}/{uri}"));
    listed.into_iter().filter(|href| !own.contains(href)).collect()
}

/// A world in which alice has a second calendar with one event.
pub async fn world() -> World {
    let world = World::new().await;
    world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
    world.alice().put(&format!("{WORK}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    others(&world.bob(), BOB).await;
    world.published().await;
    world
}

/// The same, shared with bob; the path of what bob has.
async fn shared(right: &str) -> (World, String) {
    let world = world().await;
    give(&world.alice(), WORK, &[("bob@example.org", right)]).await.expect(200);
    world.published().await;
    let theirs = others(&world.bob(), BOB).await;
    assert_eq!(theirs.len(), 1, "{theirs:?}");
    (world, theirs.into_iter().next().unwrap())
}

fn told(messages: &[convoke::events::Message]) -> Vec<(&'static str, String, Value)> {
    messages
        .iter()
        .map(|m| {
            let path = m.payload.get("calendarPath").or(m.payload.get("eventPath")).cloned().unwrap_or_default();
            let rest = m.payload.get("calendarProps").cloned().unwrap_or_default();
            (m.topic.name(), path.as_str().unwrap_or_default().to_owned(), rest)
        })
        .collect()
}

fn place(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}

#[tokio::test]
async fn who_is_given_a_calendar_has_it_at_once_and_is_told() {
    let world = world().await;
    let people = [("bob@example.org", "read-write"), ("carol@example.org", "freebusy"), ("ghost@example.org", "read")];
    let answer = give(&world.alice(), WORK, &people).await.expect(200);
    assert_eq!(answer.header("x-sabre-status"), Some("everything-went-well"));
    let bobs = others(&world.bob(), BOB).await;
    assert_eq!(bobs.len(), 1);
    let carols: Vec<_> = world.dav.shared_in(CAROL.parse().unwrap()).await.unwrap();
    let carols = format!("/calendars/{CAROL}/{}", carols[0].instance.uri);
    assert_eq!(
        told(&world.published().await),
        [
            ("calendar:calendar:created", place(&bobs[0]), json!({"access": "dav:read-write"})),
            ("calendar:calendar:updated", place(WORK), json!({"delegation_updated": true})),
            ("calendar:calendar:created", carols, json!({"access": "dav:freebusy"})),
        ]
    );
    // Who may only know when somebody is busy sees no calendar.
    assert!(others(&world.as_user("carol@example.org"), CAROL).await.is_empty());

    give(&world.alice(), WORK, &[("bob@example.org", "read")]).await.expect(200);
    assert_eq!(others(&world.bob(), BOB).await, bobs, "it stays where it is");
    give(&world.alice(), WORK, &[("bob@example.org", "no-access")]).await.expect(200);
    assert_eq!(
        told(&world.published().await),
        [
            ("calendar:calendar:updated", place(&bobs[0]), json!({"access": "dav:read"})),
            ("calendar:calendar:updated", place(WORK), json!({"delegation_updated": true})),
            ("calendar:calendar:deleted", place(&bobs[0]), Value::Null),
            ("calendar:calendar:updated", place(WORK), json!({"delegation_updated": true})),
        ]
    );
    world.bob().get(&format!("{}a.ics", bobs[0])).await.expect(404);
    world.bob().put(&format!("{}b.ics", bobs[0]), &event("b", "20300102T110000Z")).await.expect(404);
}

#[tokio::test]
async fn what_cannot_be_shared_is_refused_as_a_whole() {
    let world = world().await;
    let both = [("bob@example.org", "read"), ("eve@other.example", "read")];
    let answer = give(&world.alice(), WORK, &both).await.expect(403);
    assert!(answer.body.contains("Cross-domain delegation is not allowed"), "{}", answer.body);
    let answer = give(&world.alice(), WORK, &[("bob@example.org", "read"), ("alice@example.org", "read")]).await;
    assert!(answer.expect(400).body.contains("Cannot delegate a calendar to yourself"));
    give(&world.bob(), WORK, &[("carol@example.org", "read")]).await.expect(403);
    give(&world.as_user("eve@other.example"), WORK, &[("eve@other.example", "read")]).await.expect(403);
    give(&world.alice(), &format!("{CALENDAR}../inbox/"), &[("bob@example.org", "read")]).await.expect(404);
    give(&world.alice(), &format!("/calendars/{ALICE}/inbox/"), &[("bob@example.org", "read")]).await.expect(501);
    world.alice().send("POST", WORK, &[], "").await.expect(400);
    assert!(others(&world.bob(), BOB).await.is_empty());
    assert!(world.published().await.is_empty());
    assert!(world.dav.shared_in(EVE.parse().unwrap()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_administrator_shares_on_and_cannot_touch_the_owner() {
    let (world, bobs) = shared("administration").await;
    give(&world.bob(), &bobs, &[("carol@example.org", "read-write"), ("alice@example.org", "read")]).await.expect(200);
    give(&world.bob(), &bobs, &[("alice@example.org", "no-access")]).await.expect(200);
    give(&world.bob(), &bobs, &[("bob@example.org", "administration")]).await.expect(200);
    give(&world.bob(), &bobs, &[("bob@example.org", "read")]).await.expect(400);
    let carols = others(&world.as_user("carol@example.org"), CAROL).await;
    assert_eq!(carols.len(), 1);
    world.alice().put(&format!("{WORK}b.ics"), &event("b", "20300103T110000Z")).await.expect(201);
    world.as_user("carol@example.org").get(&format!("{}b.ics", carols[0])).await.expect(200);
    give(&world.as_user("carol@example.org"), &carols[0], &[("bob@example.org", "no-access")]).await.expect(403);
}

#[tokio::test]
async fn everybody_who_has_the_calendar_is_told_of_its_events() {
    let (world, bobs) = shared("read-write").await;
    publish(&world, CollectionKind::Calendar, "work", Some(PublicRight::Read)).await;
    let carol = world.as_user("carol@example.org");
    let carols = format!("/calendars/{CAROL}/theirs/");
    subscribe(&carol, &carols, WORK).await.expect(201);
    assert_eq!(told(&world.published().await), [("calendar:subscription:created", place(&carols), Value::Null)]);
    let paths = |messages: &[convoke::events::Message]| -> Vec<(&'static str, String)> {
        told(messages).into_iter().map(|(topic, path, _)| (topic, path)).collect()
    };
    world.bob().put(&format!("{bobs}b.ics"), &event("b", "20300103T110000Z")).await.expect(201);
    let messages = world.published().await;
    assert_eq!(
        paths(&messages),
        [
            ("calendar:event:alarm:created", format!("{bobs}b.ics")),
            ("calendar:event:created", format!("{carols}b.ics")),
            ("calendar:event:created", format!("{WORK}b.ics")),
            ("calendar:event:created", format!("{bobs}b.ics")),
        ]
    );
    assert_eq!(messages[1].payload["eventSourcePath"], json!(format!("{WORK}b.ics")));
    for message in &messages {
        assert_eq!(message.payload["connectedUser"], json!(format!("principals/users/{BOB}")));
    }
    world.alice().get(&format!("{WORK}b.ics")).await.expect(200);
    world.alice().delete(&format!("{WORK}b.ics")).await.expect(204);
    assert_eq!(
        paths(&world.published().await),
        [
            ("calendar:event:alarm:deleted", format!("{WORK}b.ics")),
            ("calendar:event:deleted", format!("{carols}b.ics")),
            ("calendar:event:deleted", format!("{WORK}b.ics")),
            ("calendar:event:deleted", format!("{bobs}b.ics")),
        ]
    );
    // With the calendar goes what everybody has of it.
    world.alice().delete(WORK).await.expect(204);
    let all = paths(&world.published().await);
    let about: Vec<_> = all.iter().filter(|(topic, _)| !topic.contains(":event:")).cloned().collect();
    assert_eq!(
        about,
        [
            ("calendar:calendar:deleted", place(&bobs)),
            ("calendar:calendar:updated", place(WORK)),
            ("calendar:subscription:deleted", place(&carols)),
            ("calendar:calendar:deleted", place(WORK)),
        ]
    );
    assert!(others(&world.bob(), BOB).await.is_empty());
    carol.propfind(&carols, "0", "").await.expect(404);
}

#[tokio::test]
async fn nothing_of_a_private_event_is_told_to_others() {
    let (world, bobs) = shared("administration").await;
    give(&world.alice(), WORK, &[("carol@example.org", "freebusy")]).await.expect(200);
    world.published().await;
    let lines = ["DTSTART:20300104T110000Z", "DURATION:PT1H", "SUMMARY:Secret", "LOCATION:Secret"];
    let private = |class: &str| {
        let alarm = ["BEGIN:VALARM", "ACTION:DISPLAY", "DESCRIPTION:Secret", "TRIGGER:-PT5M", "END:VALARM"];
        calendar("VEVENT", "p", &[&lines[..], &[class], &alarm[..]].concat())
    };
    world.alice().put(&format!("{WORK}p.ics"), &calendar("VEVENT", "p", &lines)).await.expect(201);
    world.alice().put(&format!("{WORK}p.ics"), &private("class:confidential")).await.expect(204);
    world.alice().delete(&format!("{WORK}p.ics")).await.expect(204);
    let messages = world.published().await;
    let (mut to_bob, mut to_carol) = (0, 0);
    for message in messages {
        let path = message.payload["eventPath"].as_str().unwrap().to_owned();
        let text = message.payload.to_string();
        if path.starts_with(&bobs) && message.topic.name() == "calendar:event:deleted" {
            assert!(!text.contains("Secret") && text.contains("Busy"), "{text}");
            to_bob += 1;
        } else if path.starts_with(&bobs) && message.topic.name() == "calendar:event:updated" {
            // What it was before was no secret.
            assert!(!message.payload["event"].to_string().contains("Secret"), "{text}");
            assert!(!message.payload["rawEvent"].to_string().contains("Secret"), "{text}");
            to_bob += 1;
        } else if path.contains(CAROL) {
            assert!(!text.contains("Secret") && text.contains("Busy"), "{text}");
            to_carol += 1;
        }
    }
    assert_eq!((to_bob, to_carol), (2, 3));
}

#[tokio::test]
async fn others_see_of_a_private_event_when_it_is_and_cannot_change_it() {
    let (world, bobs) = shared("administration").await;
    publish(&world, CollectionKind::Calendar, "work", Some(PublicRight::Write)).await;
    let carol = world.as_user("carol@example.org");
    let subscribed = format!("/calendars/{CAROL}/theirs/");
    subscribe(&carol, &subscribed, WORK).await.expect(201);
    let lines = ["DTSTART:20300104T110000Z", "DURATION:PT1H", "SUMMARY:Secret", "LOCATION:Secret", "CLASS:PRIVATE"];
    let text = calendar("VEVENT", "p", &lines);
    world.alice().put(&format!("{WORK}p.ics"), &text).await.expect(201);
    let mut program = world.alice();
    program.actor = Some(convoke::dav::Actor::Technical("65dd00000000000000000001".parse().unwrap()));
    let data = "<d:prop><d:getetag/><cal:calendar-data/></d:prop>";
    let bob = world.bob();
    for (client, place) in [(&bob, bobs.as_str()), (&carol, &subscribed), (&carol, WORK), (&program, WORK)] {
        let p = format!("{place}p.ics");
        let week = "<cal:time-range start=\"20300101T000000Z\" end=\"20300108T000000Z\"/>";
        let events = |inside: &str| {
            format!(
                "<cal:filter><cal:comp-filter name=\"VCALENDAR\"><cal:comp-filter name=\"VEVENT\">{inside}\
                 </cal:comp-filter></cal:comp-filter></cal:filter>"
            )
        };
        let expand = "<d:prop><cal:calendar-data><cal:expand start=\"20300101T000000Z\" end=\"20300108T000000Z\"/>\
             </cal:calendar-data></d:prop>";
        let seen = [
            client.get(&p).await.expect(200).body,
            client.get(&format!("{place}?export")).await.expect(200).body,
            client.send("GET", &p, &[("accept", "application/calendar+json")], "").await.expect(200).body,
            client.propfind(place, "1", "<cal:calendar-data/>").await.expect(207).body,
            client.report(place, "cal:calendar-query", &format!("{data}{}", events(week))).await.expect(207).body,
            client.report(place, "cal:calendar-query", &format!("{expand}{}", events(week))).await.expect(207).body,
            client
                .report(place, "cal:calendar-multiget", &format!("{data}<d:href>{p}</d:href>"))
                .await
                .expect(207)
                .body,
            client
                .report(place, "d:sync-collection", &format!("<d:sync-token/><d:sync-level>1</d:sync-level>{data}"))
                .await
                .expect(207)
                .body,
        ];
        for body in seen {
            assert!(body.contains("Busy") && !body.contains("Secret"), "{place}: {body}");
        }
        let word = "<cal:prop-filter name=\"SUMMARY\"><cal:text-match>Secret</cal:text-match></cal:prop-filter>";
        let found = client.report(place, "cal:calendar-query", &format!("{data}{}", events(word))).await;
        assert!(found.hrefs().is_empty(), "a filter must not look at what is hidden");
        let other = text.replace("Secret", "Mine");
        for answer in [
            client.put(&p, &other).await,
            client.delete(&p).await,
            client.send("MOVE", &p, &[("destination", &format!("{place}q.ics"))], "").await,
            client.send("COPY", &format!("{place}a.ics"), &[("destination", &p)], "").await,
        ] {
            let body = answer.expect(403).body;
            assert!(body.contains("You can not modify private events you do not own"), "{body}");
        }
    }
    // A copy is a copy of what was seen.
    let mine = format!("/calendars/{BOB}/{BOB}/copy.ics");
    bob.send("COPY", &format!("{bobs}p.ics"), &[("destination", &mine)], "").await.expect(201);
    let copy = bob.get(&mine).await.expect(200);
    assert!(copy.body.contains("Busy") && !copy.body.contains("Secret"), "{}", copy.body);
    assert_eq!(world.alice().get(&format!("{WORK}p.ics")).await.expect(200).body, text);
}

#[tokio::test]
async fn a_name_of_one_s_own_stays_and_another_goes_along() {
    let (world, bobs) = shared("read").await;
    give(&world.alice(), WORK, &[("carol@example.org", "read-write")]).await.expect(200);
    let carol = world.as_user("carol@example.org");
    let carols = others(&carol, CAROL).await.remove(0);
    world.published().await;
    let rename = |name: &str, color: &str| {
        format!(
            "{}<d:set><d:prop><d:displayname>{name}</d:displayname><a:calendar-color>{color}</a:calendar-color></d:prop>\
             </d:set></d:propertyupdate>",
            root("d:propertyupdate")
        )
    };
    world.bob().send("PROPPATCH", &bobs, &[], &rename("Mine", "#111111")).await.expect(207);
    assert_eq!(world.published().await[0].payload["calendarPath"], json!(place(&bobs)));
    world.alice().send("PROPPATCH", WORK, &[], &rename("Team", "#222222")).await.expect(207);
    let messages = world.published().await;
    assert_eq!(messages.len(), 1, "only its owner's path is told");
    let looks = async |who: &Client<'_>, path: &str| {
        let body = who.propfind(path, "0", "<d:displayname/><a:calendar-color/>").await.responses();
        ["Mine", "Team", "#111111", "#222222"].into_iter().filter(|word| body.contains(word)).collect::<Vec<_>>()
    };
    assert_eq!(looks(&world.alice(), WORK).await, ["Team", "#222222"]);
    assert_eq!(looks(&world.bob(), &bobs).await, ["Mine", "#111111"]);
    assert_eq!(looks(&carol, &carols).await, ["Team"]);
}

#[tokio::test]
async fn what_was_put_away_comes_back_by_subscribing() {
    let (world, bobs) = shared("read-write").await;
    let bob = world.bob();
    bob.delete(&bobs).await.expect(204);
    assert_eq!(told(&world.published().await), [("calendar:calendar:deleted", place(&bobs), Value::Null)]);
    bob.propfind(&bobs, "0", "").await.expect(404);
    assert!(others(&bob, BOB).await.is_empty());
    let invite = world.alice().propfind(WORK, "0", "<cs:invite/><d:invite/>").await.responses();
    assert!(invite.contains("mailto:bob@example.org"), "{invite}");
    give(&world.alice(), WORK, &[("bob@example.org", "read")]).await.expect(200);
    assert!(others(&bob, BOB).await.is_empty(), "another right does not bring it back");
    let again = format!("/calendars/{BOB}/again/");
    subscribe(&bob, &again, WORK).await.expect(403);
    publish(&world, CollectionKind::Calendar, "work", Some(PublicRight::Read)).await;
    subscribe(&bob, &again, WORK).await.expect(201);
    assert_eq!(others(&bob, BOB).await, [bobs]);
}

#[tokio::test]
async fn a_subscription_shows_what_everybody_may_see() {
    let world = world().await;
    let (bob, theirs) = (world.bob(), format!("/calendars/{BOB}/theirs/"));
    subscribe(&bob, &theirs, WORK).await.expect(403);
    subscribe(&bob, &theirs, &format!("/calendars/{ALICE}/none/")).await.expect(404);
    subscribe(&bob, &theirs, &format!("/calendars/{EVE}/{EVE}/")).await.expect(403);
    subscribe(&bob, &theirs, "https://elsewhere.example/holidays.ics").await.expect(403);
    subscribe(&bob, &format!("/calendars/{CAROL}/theirs/"), WORK).await.expect(403);
    publish(&world, CollectionKind::Calendar, "work", Some(PublicRight::Read)).await;
    subscribe(&bob, &theirs, WORK).await.expect(201);
    subscribe(&bob, &theirs, WORK).await.expect(405);
    let props =
        "<d:resourcetype/><d:displayname/><a:calendar-color/><cs:source/><d:owner/><d:current-user-privilege-set/>";
    let source = place(WORK);
    assert_eq!(
        bob.propfind(&theirs, "0", props).await.responses(),
        format!(
            "<d:response><d:href>{theirs}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/><cal:calendar/>\
             <cs:subscribed/></d:resourcetype><d:displayname>Theirs</d:displayname>\
             <x1:calendar-color xmlns:x1=\"http://apple.com/ns/ical/\">#00ff00</x1:calendar-color>\
             <cs:source><d:href>{source}</d:href></cs:source><d:owner><d:href>/principals/users/{BOB}/</d:href></d:owner>\
             <d:current-user-privilege-set><d:privilege><cal:read-free-busy/></d:privilege><d:privilege><d:read/>\
             </d:privilege><d:privilege><d:read-acl/></d:privilege><d:privilege><d:read-current-user-privilege-set/>\
             </d:privilege></d:current-user-privilege-set></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
             </d:response>"
        )
    );
    world.published().await;
    bob.delete(&theirs).await.expect(204);
    assert_eq!(world.topics().await, ["calendar:subscription:deleted"]);
    world.alice().get(&format!("{WORK}a.ics")).await.expect(200);
}

#[tokio::test]
async fn a_file_of_a_calendar_is_another_under_another_name() {
    let world = world().await;
    publish(&world, CollectionKind::Calendar, "work", Some(PublicRight::Read)).await;
    let (bob, theirs) = (world.bob(), format!("/calendars/{BOB}/theirs/"));
    subscribe(&bob, &theirs, WORK).await.expect(201);
    let file = format!("{theirs}?export");
    let first = bob.get(&file).await.expect(200);
    let etag = first.header("etag").unwrap().to_owned();
    bob.send("GET", &file, &[("if-none-match", &etag)], "").await.expect(304);
    for change in ["<d:displayname>Renamed</d:displayname>", "<a:calendar-color>#123456</a:calendar-color>"] {
        let etag = bob.get(&file).await.expect(200).header("etag").unwrap().to_owned();
        let body = format!("{}<d:set><d:prop>{change}</d:prop></d:set></d:propertyupdate>", root("d:propertyupdate"));
        bob.send("PROPPATCH", &theirs, &[], &body).await.expect(207);
        bob.send("GET", &file, &[("if-none-match", &etag)], "").await.expect(200);
    }
    let text = bob.get(&file).await.expect(200).body;
    assert!(text.contains("X-WR-CALNAME:Renamed") && text.contains("#123456"), "{text}");
}

#[tokio::test]
async fn with_whom_it_is_shared_is_told_to_all_who_have_it() {
    let (world, bobs) = shared("read").await;
    let props = "<cs:invite/><d:invite/><d:share-access/><d:resourcetype/><d:owner/><cs:shared-url/>\
         <d:sharer-resource-uri/><cs:allowed-sharing-modes/>";
    let invites = format!(
        "<cs:invite><cs:organizer><d:href>/principals/users/{ALICE}</d:href></cs:organizer><cs:user><cs:invite-accepted/>\
         <cs:access><cs:read/></cs:access><d:href>mailto:bob@example.org</d:href></cs:user></cs:invite><d:invite><d:sharee>\
         <d:href>/principals/users/{ALICE}</d:href><d:prop/><d:share-access><d:shared-owner/></d:share-access>\
         <d:invite-accepted/></d:sharee><d:sharee><d:href>mailto:bob@example.org</d:href><d:prop/><d:share-access><d:read/>\
         </d:share-access><d:invite-accepted/></d:sharee></d:invite>"
    );
    let source = place(WORK);
    let owner = format!("<d:owner><d:href>/principals/users/{ALICE}/</d:href></d:owner>");
    assert_eq!(
        world.bob().propfind(&bobs, "0", props).await.responses(),
        format!(
            "<d:response><d:href>{bobs}</d:href><d:propstat><d:prop>{invites}<d:share-access><d:read/></d:share-access>\
             <d:resourcetype><d:collection/><cal:calendar/><cs:shared/></d:resourcetype>{owner}<cs:shared-url><d:href>{source}\
             </d:href></cs:shared-url><d:sharer-resource-uri><d:href>{source}</d:href></d:sharer-resource-uri></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><cs:allowed-sharing-modes/></d:prop>\
             <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
        )
    );
    let own = world.alice().propfind(WORK, "0", props).await.responses();
    assert!(own.contains(&invites), "{own}");
    assert!(own.contains("<d:share-access><d:not-shared/></d:share-access>"), "{own}");
    assert!(own.contains("<cs:allowed-sharing-modes><cs:can-be-shared/></cs:allowed-sharing-modes>"), "{own}");
}

#[tokio::test]
async fn a_delegate_schedules_in_the_owner_s_name() {
    let (world, bobs) = shared("read-write").await;
    let lines = [
        "DTSTART:20300105T110000Z",
        "DURATION:PT1H",
        "SUMMARY:Planning",
        "ORGANIZER:mailto:alice@example.org",
        "ATTENDEE;PARTSTAT=ACCEPTED:mailto:alice@example.org",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:carol@example.org",
    ];
    world.bob().put(&format!("{bobs}meet.ics"), &calendar("VEVENT", "meet", &lines)).await.expect(201);
    let messages = world.published().await;
    let sent = messages.iter().find(|m| m.topic.name() == "calendar:itip:localDelivery").unwrap();
    assert_eq!(sent.payload["sender"], json!("mailto:alice@example.org"));
    assert_eq!(sent.payload["connectedUser"], json!(format!("principals/users/{BOB}")));
    assert_eq!(format!("/calendars/{BOB}/{}/", sent.payload["calendarId"].as_str().unwrap()), bobs);
    let carol = world.as_user("carol@example.org");
    assert_eq!(carol.contents(&format!("/calendars/{CAROL}/{CAROL}/")).await.len(), 1);
    world.bob().delete(&format!("{bobs}meet.ics")).await.expect(204);
    let (_, copy) = carol.contents(&format!("/calendars/{CAROL}/{CAROL}/")).await.remove(0);
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
}
