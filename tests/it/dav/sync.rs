//! The life of a client that keeps a copy in step by sync tokens.

use super::{ALICE, CALENDAR, World, event, root};

/// One report: the answer's responses and the token of the next one.
async fn sync(world: &World, calendar: &str, token: &str, more: &str) -> (String, String) {
    let body = format!(
        "<d:sync-token>{token}</d:sync-token><d:sync-level>1</d:sync-level>{more}<d:prop><d:getetag/></d:prop>"
    );
    let answer = world.alice().report(calendar, "d:sync-collection", &body).await.responses();
    let (responses, rest) = answer.split_once("<d:sync-token>").unwrap();
    (responses.to_owned(), rest.split('<').next().unwrap().to_owned())
}

fn names(responses: &str) -> Vec<&str> {
    let hrefs = responses.split("<d:href>").skip(1).map(|r| r.split('<').next().unwrap());
    hrefs.map(|h| h.rsplit('/').next().unwrap()).collect()
}

async fn put(world: &World, name: &str, hour: u32) {
    let text = event(name, &format!("20300102T{hour:02}0000Z"));
    let answer = world.alice().put(&format!("{CALENDAR}{name}.ics"), &text).await;
    assert!(answer.status.is_success(), "{}", answer.body);
}

#[tokio::test]
async fn a_client_stays_in_step() {
    let world = World::new().await;
    put(&world, "a", 8).await;
    put(&world, "b", 8).await;
    put(&world, "gone", 8).await;
    world.alice().delete(&format!("{CALENDAR}gone.ics")).await.expect(204);
    let (first, token) = sync(&world, CALENDAR, "", "").await;
    assert_eq!(names(&first), ["a.ics", "b.ics"], "nothing of what is gone");
    assert_eq!(token, "http://sabre.io/ns/sync/5");
    let (nothing, same) = sync(&world, CALENDAR, &token, "").await;
    assert_eq!((nothing.as_str(), same.as_str()), ("", token.as_str()));

    put(&world, "c", 9).await;
    put(&world, "a", 9).await;
    world.alice().delete(&format!("{CALENDAR}b.ics")).await.expect(204);
    let (changes, token) = sync(&world, CALENDAR, &token, "").await;
    let etag = convoke::dav::precondition::etag_of(&event("c", "20300102T090000Z"));
    assert!(
        changes.starts_with(&format!(
            "<d:response><d:href>{CALENDAR}c.ics</d:href><d:propstat><d:prop><d:getetag>&quot;{etag}&quot;</d:getetag>\
             </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        )),
        "{changes}"
    );
    assert!(
        changes.ends_with(&format!(
            "<d:response><d:href>{CALENDAR}b.ics</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>"
        )),
        "{changes}"
    );
    assert_eq!(names(&changes), ["c.ics", "a.ics", "b.ics"]);
    assert_eq!(token, "http://sabre.io/ns/sync/8");
    // Created and deleted again since: it may be told, but only as gone.
    put(&world, "short", 9).await;
    world.alice().delete(&format!("{CALENDAR}short.ics")).await.expect(204);
    let (changes, _) = sync(&world, CALENDAR, &token, "").await;
    assert!(!changes.contains("200 OK"), "{changes}");
}

#[tokio::test]
async fn the_token_of_the_calendar_is_that_of_the_report() {
    let world = World::new().await;
    put(&world, "a", 8).await;
    let (_, token) = sync(&world, CALENDAR, "", "").await;
    let props = world.alice().propfind(CALENDAR, "0", "<d:sync-token/><cs:getctag/>").await.responses();
    assert!(
        props.contains(&format!("<d:sync-token>{token}</d:sync-token><cs:getctag>{token}</cs:getctag>")),
        "{props}"
    );
}

#[tokio::test]
async fn changes_come_in_portions_that_add_up() {
    let world = World::new().await;
    for n in 0..7 {
        put(&world, &format!("e{n}"), 8).await;
    }
    let limit = "<d:limit><d:nresults>3</d:nresults></d:limit>";
    let mut token = String::new();
    let mut seen = Vec::new();
    for round in 0..3 {
        let (responses, next) = sync(&world, CALENDAR, &token, limit).await;
        let cut = format!(
            "<d:response><d:href>{CALENDAR}</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status>\
             <d:error><d:number-of-matches-within-limits/></d:error></d:response>"
        );
        assert_eq!(responses.ends_with(&cut), round < 2, "{responses}");
        seen.extend(names(&responses).into_iter().filter(|n| !n.is_empty()).map(str::to_owned));
        token = next;
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..7).map(|n| format!("e{n}.ics")).collect::<Vec<_>>());
    assert_eq!(sync(&world, CALENDAR, &token, limit).await.0, "");
}

#[tokio::test]
async fn a_token_that_was_never_issued_is_refused() {
    let world = World::new().await;
    put(&world, "a", 8).await;
    for token in ["bogus", "http://sabre.io/ns/sync/99", "http://sabre.io/ns/sync/-1", "http://sabre.io/ns/sync/", "2"]
    {
        let body = format!("<d:sync-token>{token}</d:sync-token><d:sync-level>1</d:sync-level><d:prop/>");
        let answer = world.alice().report(CALENDAR, "d:sync-collection", &body).await.expect(403);
        assert!(answer.body.contains("<d:valid-sync-token/>"), "{token}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_calendar_made_again_does_not_know_old_tokens() {
    let world = World::new().await;
    let client = world.alice();
    let work = format!("/calendars/{ALICE}/work/");
    client.send("MKCALENDAR", &work, &[], "").await.expect(201);
    client.put(&format!("{work}a.ics"), &event("a", "20300102T080000Z")).await.expect(201);
    let (_, token) = sync(&world, &work, "", "").await;
    client.delete(&work).await.expect(204);
    client.send("MKCALENDAR", &work, &[], "").await.expect(201);
    let body = format!("<d:sync-token>{token}</d:sync-token><d:sync-level>1</d:sync-level><d:prop/>");
    client.report(&work, "d:sync-collection", &body).await.expect(403);
    let (nothing, fresh) = sync(&world, &work, "", "").await;
    assert_eq!(nothing, "");
    assert_ne!(fresh, token);
}

#[tokio::test]
async fn only_one_level_is_kept_in_step() {
    let world = World::new().await;
    let body = "<d:sync-token/><d:sync-level>infinite</d:sync-level><d:prop/>";
    let answer = world.alice().report(CALENDAR, "d:sync-collection", body).await.expect(403);
    assert!(answer.body.contains("<d:sync-traversal-supported/>"), "{}", answer.body);
    world.alice().report(&format!("/calendars/{ALICE}/"), "d:sync-collection", "<d:sync-token/>").await.expect(403);
}

#[tokio::test]
async fn data_can_come_with_the_changes() {
    let world = World::new().await;
    put(&world, "a", 8).await;
    let body = format!(
        "{}<d:sync-token/><d:sync-level>1</d:sync-level><d:prop><cal:calendar-data/></d:prop></d:sync-collection>",
        root("d:sync-collection")
    );
    let answer = world.alice().send("REPORT", CALENDAR, &[], &body).await.responses();
    assert!(answer.contains("<cal:calendar-data>BEGIN:VCALENDAR\nVERSION:2.0\n"), "{answer}");
}
