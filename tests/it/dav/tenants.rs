//! What belongs to others stays theirs.

use convoke::dav::Actor;
use convoke::dav::server::Settings;

use super::{ALICE, BOB, EVE, World, event, root};

#[tokio::test]
async fn the_calendars_of_a_colleague_are_not_mine() {
    let world = World::new().await;
    let (bob, path) = (world.bob(), format!("/calendars/{BOB}/{BOB}/lunch.ics"));
    bob.put(&path, &event("lunch", "20300102T110000Z")).await.expect(201);
    let alice = world.alice();
    for (method, path) in [
        ("GET", path.as_str()),
        ("HEAD", &path),
        ("PUT", &path),
        ("DELETE", &path),
        ("PROPFIND", &path),
        ("PROPFIND", &format!("/calendars/{BOB}/{BOB}/")),
        ("PROPPATCH", &format!("/calendars/{BOB}/{BOB}/")),
        ("DELETE", &format!("/calendars/{BOB}/{BOB}/")),
        ("MKCALENDAR", &format!("/calendars/{BOB}/new/")),
        ("GET", &format!("/calendars/{BOB}/{BOB}/?export")),
        ("POST", &format!("/calendars/{BOB}/outbox/")),
        ("GET", &format!("/addressbooks/{BOB}/contacts/x.vcf")),
    ] {
        let body = match method {
            "PUT" => event("lunch", "20300102T110000Z"),
            "PROPPATCH" => format!(
                "{}<d:set><d:prop><d:displayname/></d:prop></d:set></d:propertyupdate>",
                root("d:propertyupdate")
            ),
            _ => String::new(),
        };
        alice.send(method, path, &[], &body).await.expect(403);
    }
    let reading = alice.propfind(&format!("/calendars/{BOB}/{BOB}/"), "0", "").await;
    assert!(
        reading.body.contains("User did not have the required privileges ({DAV:}read) for path"),
        "{}",
        reading.body
    );
    assert!(reading.body.contains("<d:need-privileges>"));
    // The home itself can be seen, but nothing in it.
    assert_eq!(alice.propfind(&format!("/calendars/{BOB}/"), "1", "").await.hrefs(), [format!("/calendars/{BOB}/")]);
    // Neither the copy nor the move of an object gets around it, in either direction.
    alice.put(&format!("/calendars/{ALICE}/{ALICE}/mine.ics"), &event("mine", "20300102T110000Z")).await.expect(201);
    for (from, to) in [
        (path.clone(), format!("/calendars/{ALICE}/{ALICE}/stolen.ics")),
        (format!("/calendars/{ALICE}/{ALICE}/mine.ics"), format!("/calendars/{BOB}/{BOB}/planted.ics")),
    ] {
        alice.send("COPY", &from, &[("destination", &to)], "").await.expect(403);
        alice.send("MOVE", &from, &[("destination", &to)], "").await.expect(403);
    }
    assert_eq!(bob.contents(&format!("/calendars/{BOB}/{BOB}/")).await.len(), 1);
}

#[tokio::test]
async fn another_domain_is_another_world() {
    let world = World::new().await;
    let alice = world.alice();
    let answer = alice.propfind(&format!("/calendars/{EVE}/"), "0", "").await.expect(403);
    assert!(answer.body.contains("Cross-domain calendar access is not allowed"), "{}", answer.body);
    alice.get(&format!("/calendars/{EVE}/{EVE}/x.ics")).await.expect(403);
    alice.propfind(&format!("/addressbooks/{EVE}/contacts/"), "0", "").await.expect(403);
    alice.propfind(&format!("/principals/users/{EVE}/"), "0", "").await.expect(403);
    alice.propfind("/calendars/ffffffffffffffffffffffff/", "0", "").await.expect(404);
    alice.propfind("/calendars/nobody/", "0", "").await.expect(404);
}

#[tokio::test]
async fn a_query_for_somebody_else_s_objects_finds_none() {
    let world = World::new().await;
    world.bob().put(&format!("/calendars/{BOB}/{BOB}/a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    let hrefs = format!(
        "<d:prop><d:getetag/></d:prop><d:href>/calendars/{BOB}/{BOB}/a.ics</d:href>\
         <d:href>/calendars/{EVE}/{EVE}/a.ics</d:href>"
    );
    // What lies elsewhere is not there; from further up it is somebody else's.
    let elsewhere = world.alice().report(super::CALENDAR, "cal:calendar-multiget", &hrefs).await.responses();
    assert_eq!(elsewhere.matches("HTTP/1.1 404 Not Found").count(), 2, "{elsewhere}");
    let answer = world.alice().report("/calendars/", "cal:calendar-multiget", &hrefs).await;
    assert_eq!(
        answer.responses(),
        format!(
            "<d:response><d:href>/calendars/{BOB}/{BOB}/a.ics</d:href><d:status>HTTP/1.1 403 Forbidden</d:status>\
             </d:response><d:response><d:href>/calendars/{EVE}/{EVE}/a.ics</d:href>\
             <d:status>HTTP/1.1 403 Forbidden</d:status></d:response>"
        )
    );
}

#[tokio::test]
async fn who_has_no_account_is_nobody() {
    let world = World::new().await;
    let answer = world.as_user("ghost@example.org").propfind("/", "0", "").await.expect(401);
    assert!(answer.body.contains("Authentification failure"));
}

#[tokio::test]
async fn credentials_and_identity_headers_of_a_request_mean_nothing() {
    let world = World::new().await;
    let headers = [
        ("authorization", "Basic YWRtaW4mYm9iQGV4YW1wbGUub3JnOnNlY3JldA=="),
        ("x-remote-user", "bob@example.org"),
        ("twakecalendartoken", "x"),
        ("depth", "0"),
    ];
    world.alice().send("PROPFIND", &format!("/calendars/{BOB}/{BOB}/"), &headers, "").await.expect(403);
}

#[tokio::test]
async fn the_program_acts_for_one_domain_only() {
    let world = World::new().await;
    let mut program = world.alice();
    program.actor = Some(Actor::Technical("65dd00000000000000000001".parse().unwrap()));
    program.put(&format!("/calendars/{BOB}/{BOB}/a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    program.get(&format!("/calendars/{BOB}/{BOB}/a.ics")).await.expect(200);
    program.get(&format!("/calendars/{EVE}/{EVE}/a.ics")).await.expect(403);
    assert_eq!(
        super::payload(&world.published().await[0])["connectedUser"],
        serde_json::json!("principals/technicalUser")
    );
}

#[tokio::test]
async fn people_are_found_within_the_domain_unless_that_is_private() {
    let search = "<d:property-search><d:prop><d:displayname/></d:prop><d:match>{}</d:match></d:property-search>\
                  <d:prop><d:displayname/><s:email-address/></d:prop>";
    let open = World::with(Settings { principal_privacy: false, ..Settings::default() }).await;
    let found = |world: World, text: &'static str| async move {
        let body = search.replace("{}", text);
        world.alice().report("/principals/users/", "d:principal-property-search", &body).await.hrefs()
    };
    assert_eq!(found(open, "DUR").await, [format!("/principals/users/{BOB}/")]);
    let open = World::with(Settings { principal_privacy: false, ..Settings::default() }).await;
    assert_eq!(found(open, "eve").await, Vec::<String>::new());
    assert_eq!(found(World::new().await, "dur").await, Vec::<String>::new());
    assert_eq!(found(World::new().await, "martin").await, [format!("/principals/users/{ALICE}/")]);
}
