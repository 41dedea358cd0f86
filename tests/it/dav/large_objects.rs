//! Collections of large objects: an answer is put together from small parts, and nothing is lost between two of them.

use super::{CALENDAR, Client, World, calendar};

const EVENTS: usize = 14;

/// An event of more than half a megabyte: a few of them are all that is read at once.
fn large(n: usize) -> String {
    let words = format!("DESCRIPTION:{}", "Bring the documents. ".repeat(30_000));
    calendar(
        "VEVENT",
        &format!("large-{n:02}"),
        &[&format!("DTSTART:203001{:02}T090000Z", n + 1), "DURATION:PT1H", &words],
    )
}

async fn world() -> World {
    let world = World::new().await;
    for n in 0..EVENTS {
        world.alice().put(&format!("{CALENDAR}{n:02}.ics"), &large(n)).await.expect(201);
    }
    world
}

/// The events in an answer, in order of their appearance.
fn events(body: &str) -> Vec<usize> {
    body.split("UID:large-").skip(1).map(|rest| rest[..2].parse().unwrap()).collect()
}

fn all() -> Vec<usize> {
    (0..EVENTS).collect()
}

async fn sync(client: &Client<'_>, token: &str, limit: Option<usize>) -> (String, String) {
    let limit = limit.map_or_else(String::new, |n| format!("<d:limit><d:nresults>{n}</d:nresults></d:limit>"));
    let body = format!(
        "<d:sync-token>{token}</d:sync-token><d:sync-level>1</d:sync-level>{limit}<d:prop><cal:calendar-data/></d:prop>"
    );
    let answer = client.report(CALENDAR, "d:sync-collection", &body).await.expect(207).body;
    let token = answer.split("<d:sync-token>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    (answer, token)
}

#[tokio::test]
async fn reports_answer_all_of_them() {
    let world = world().await;
    let alice = world.alice();
    let data = "<d:prop><cal:calendar-data/></d:prop>";
    let query = format!("{data}<cal:filter><cal:comp-filter name=\"VCALENDAR\"/></cal:filter>");
    assert_eq!(events(&alice.report(CALENDAR, "cal:calendar-query", &query).await.expect(207).body), all());
    let listed = alice.propfind(CALENDAR, "1", "<d:getetag/><cal:calendar-data/>").await.expect(207).body;
    assert_eq!(events(&listed), all());
    assert_eq!(events(&alice.get(&format!("{CALENDAR}?export")).await.expect(200).body), all());

    // In the order asked, with what is not there between.
    let names: Vec<String> = (0..EVENTS).rev().flat_map(|n| [format!("{n:02}.ics"), format!("gone-{n}.ics")]).collect();
    let hrefs: String = names.iter().map(|name| format!("<d:href>{CALENDAR}{name}</d:href>")).collect();
    let body = format!("{data}{hrefs}");
    let answer = alice.report(CALENDAR, "cal:calendar-multiget", &body).await.expect(207);
    assert_eq!(events(&answer.body), all().into_iter().rev().collect::<Vec<_>>());
    assert_eq!(answer.body.matches("404 Not Found").count(), EVENTS);
    assert_eq!(answer.hrefs(), names.iter().map(|name| format!("{CALENDAR}{name}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_synchronisation_tells_each_of_them_once() {
    let world = world().await;
    let alice = world.alice();
    let (answer, before) = sync(&alice, "", None).await;
    assert_eq!(events(&answer), all());
    // All are written anew but one, which goes.
    alice.delete(&format!("{CALENDAR}05.ics")).await.expect(204);
    let left: Vec<usize> = all().into_iter().filter(|n| *n != 5).collect();
    for n in &left {
        let text = large(*n).replace("DURATION:PT1H", "DURATION:PT2H");
        alice.put(&format!("{CALENDAR}{n:02}.ics"), &text).await.expect(204);
    }
    let (answer, last) = sync(&alice, &before, None).await;
    assert_eq!(events(&answer), left);
    assert_eq!(answer.matches("05.ics</d:href><d:status>HTTP/1.1 404").count(), 1);
    let (answer, _) = sync(&alice, &last, None).await;
    assert_eq!(events(&answer), Vec::<usize>::new());
    for from in ["", &before] {
        let (mut token, mut found) = (from.to_owned(), Vec::new());
        while token != last {
            let (answer, next) = sync(&alice, &token, Some(9)).await;
            assert!(events(&answer).len() <= 9);
            found.extend(events(&answer));
            assert_ne!(next, token, "it goes on");
            token = next;
        }
        assert_eq!(found, left, "from {from:?}");
    }
}
