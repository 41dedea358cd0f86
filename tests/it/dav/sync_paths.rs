//! Tokens and paths: what stands at a path may be another thing than before, and no client is told half of it.

use convoke::store::{CollectionKind, PublicRight};
use serde_json::{Value, json};

use super::sharing::subscribe;
use super::{ALICE, BOB, CAROL, Client, World, event};

const SHOWN: &str = "/calendars/65aa00000000000000000002/shown/";
const ALICES: &str = "/calendars/65aa00000000000000000001/work/";
const CAROLS: &str = "/calendars/65aa00000000000000000003/work/";

/// Alice and carol each have a public calendar with so many events.
async fn world(alices: usize, carols: usize) -> World {
    let world = World::new().await;
    for (who, path, n) in [("alice", ALICES, alices), ("carol", CAROLS, carols)] {
        let client = world.as_user(&format!("{who}@example.org"));
        client.send("MKCALENDAR", path, &[], "").await.expect(201);
        fill(&client, path, who, n).await;
    }
    for home in [ALICE, CAROL] {
        let found = world.dav.collection(home.parse().unwrap(), CollectionKind::Calendar, "work").await;
        let right = Some(PublicRight::Read);
        let ops = vec![convoke::store::Op::SetPublicRight { collection: found.unwrap().unwrap().id, right }];
        world.dav.write(convoke::store::Batch { ops, publish: Vec::new() }).await.unwrap();
    }
    world
}

async fn fill(client: &Client<'_>, path: &str, name: &str, n: usize) {
    for n in 0..n {
        let name = format!("{name}-{n}");
        let answer = client.put(&format!("{path}{name}.ics"), &event(&name, "20300102T110000Z")).await;
        assert!(answer.status.is_success(), "{}", answer.body);
    }
}

/// What a client that holds a token is told: the names, and the next token; `None` where it is to begin anew.
async fn sync(client: &Client<'_>, path: &str, token: &str) -> Option<(Vec<String>, String)> {
    let body = format!("<d:sync-token>{token}</d:sync-token><d:sync-level>1</d:sync-level><d:prop/>");
    let answer = client.report(path, "d:sync-collection", &body).await;
    if answer.status == 403 {
        assert!(answer.body.contains("<d:valid-sync-token/>"), "{}", answer.body);
        return None;
    }
    let answer = answer.responses();
    let (responses, rest) = answer.split_once("<d:sync-token>").unwrap();
    let names = responses.split("</d:href>").filter_map(|r| r.rsplit('/').next()).filter(|n| n.ends_with(".ics"));
    Some((names.map(str::to_owned).collect(), rest.split('<').next().unwrap().to_owned()))
}

/// The same by JSON: the names or the status of the whole.
async fn json_sync(client: &Client<'_>, path: &str, token: &str) -> Vec<(String, u64)> {
    let path = format!("{}.json", path.trim_end_matches('/'));
    let body = json!({ "sync-token": token }).to_string();
    let answer = client.send("REPORT", &path, &[("content-type", "application/json")], &body).await.expect(207);
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let item = |item: &Value| {
        let href = item["_links"]["self"]["href"].as_str().unwrap();
        (href.rsplit('/').next().unwrap().to_owned(), item["status"].as_u64().unwrap())
    };
    answer["_embedded"]["dav:item"].as_array().unwrap().iter().map(item).collect()
}

#[tokio::test]
async fn a_token_of_what_stood_there_before_is_refused() {
    for (alices, carols) in [(3, 9), (9, 3)] {
        let world = world(alices, carols).await;
        let (bob, carol) = (world.bob(), world.as_user("carol@example.org"));
        subscribe(&bob, SHOWN, ALICES).await.expect(201);
        let (names, token) = sync(&bob, SHOWN, "").await.unwrap();
        assert_eq!(names.len(), alices);
        assert_eq!(sync(&bob, SHOWN, &token).await.unwrap().0, Vec::<String>::new());
        bob.delete(SHOWN).await.expect(204);
        subscribe(&bob, SHOWN, CAROLS).await.expect(201);
        // Now, and once the other calendar has outgrown the token.
        for _ in 0..2 {
            assert_eq!(sync(&bob, SHOWN, &token).await, None, "it is of alice's calendar");
            let told = json_sync(&bob, SHOWN, &token).await;
            assert_eq!(told.iter().map(|(_, status)| *status).collect::<Vec<_>>(), [410], "{told:?}");
            fill(&carol, CAROLS, "more", 12).await;
        }
        let (names, token) = sync(&bob, SHOWN, "").await.unwrap();
        assert_eq!(names.len(), carols + 12);
        fill(&carol, CAROLS, "last", 1).await;
        assert_eq!(sync(&bob, SHOWN, &token).await.unwrap().0, ["last-0.ics"]);
        assert_eq!(json_sync(&bob, SHOWN, &token).await, [("last-0.ics".to_owned(), 200)]);
    }
}

#[tokio::test]
async fn a_calendar_at_the_path_of_a_subscription_knows_none_of_its_tokens() {
    let world = world(5, 0).await;
    let bob = world.bob();
    subscribe(&bob, SHOWN, ALICES).await.expect(201);
    let (_, token) = sync(&bob, SHOWN, "").await.unwrap();
    bob.delete(SHOWN).await.expect(204);
    bob.send("MKCALENDAR", SHOWN, &[], "").await.expect(201);
    assert_eq!(sync(&bob, SHOWN, &token).await, None);
    fill(&bob, SHOWN, "own", 12).await;
    assert_eq!(sync(&bob, SHOWN, &token).await, None, "also when it has as many changes");
    // The other way round, and where the owner deletes what is shown.
    let (_, token) = sync(&bob, SHOWN, "").await.unwrap();
    bob.delete(SHOWN).await.expect(204);
    subscribe(&bob, SHOWN, ALICES).await.expect(201);
    fill(&world.alice(), ALICES, "more", 20).await;
    assert_eq!(sync(&bob, SHOWN, &token).await, None);
    let (_, token) = sync(&bob, SHOWN, "").await.unwrap();
    world.alice().delete(ALICES).await.expect(204);
    bob.send("MKCALENDAR", SHOWN, &[], "").await.expect(201);
    fill(&bob, SHOWN, "own", 40).await;
    assert_eq!(sync(&bob, SHOWN, &token).await, None);
}

#[tokio::test]
async fn who_subscribed_before_paths_were_watched_begins_anew_once() {
    let world = world(3, 0).await;
    let bob = world.bob();
    for token_is_asked_first in [true, false] {
        subscribe(&bob, SHOWN, ALICES).await.expect(201);
        let file = rusqlite::Connection::open(world._dir.path().join("convoke.db")).unwrap();
        let changed = file.execute("UPDATE instances SET since = NULL", []).unwrap();
        assert_eq!(changed, 1);
        let token = "http://sabre.io/ns/sync/4";
        let old = if token_is_asked_first { sync(&bob, SHOWN, token).await } else { None };
        assert_eq!(old, None, "nobody knows what it is of");
        let (names, next) = sync(&bob, SHOWN, "").await.unwrap();
        assert_eq!(names.len(), 3);
        assert_eq!(sync(&bob, SHOWN, token).await, None);
        assert_eq!(sync(&bob, SHOWN, &next).await, Some((Vec::new(), next.clone())), "from then on all is well");
        assert!(json_sync(&bob, SHOWN, &next).await.is_empty());
        bob.delete(SHOWN).await.expect(204);
    }
    assert_eq!(world.dav.shared_in(BOB.parse().unwrap()).await.unwrap(), []);
}
