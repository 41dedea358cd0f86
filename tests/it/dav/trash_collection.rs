//! A calendar comes back part by part, whatever became of it and of its names meanwhile; on every engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use convoke::clock::Env;
use convoke::config::Durability;
use convoke::dav::server::Settings;
use convoke::ids::{HomeId, TrashId};
use convoke::sqlite::Sqlite;
use convoke::store::mongo::MongoDav;
use convoke::store::{
    Batch, Collection, CollectionKind, Expect, Op, Purge, SharedDavStore, TrashView, Trashed, TrashedThing,
};
use serde_json::Value;

use super::scheduling::meeting;
use super::{ALICE, CALENDAR, World, event};
use crate::meddling::Meddling;
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

const TRASH: &str = "/trash/65aa00000000000000000001/";
const WORK: &str = "/calendars/65aa00000000000000000001/work/";

/// A world over each engine, with an empty calendar.
async fn worlds() -> Vec<(World, Option<TestMongo>)> {
    let mut worlds = vec![(World::new().await, None)];
    for databases in [REPLICA_SET, STANDALONE].into_iter().filter_map(TestMongo::on) {
        let dav = Arc::new(MongoDav::open(databases.connect().await).await.unwrap());
        worlds.push((World::over(Settings::default(), Some(dav)).await, Some(databases)));
    }
    for (world, _) in &worlds {
        world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
    }
    worlds
}

fn home() -> HomeId {
    ALICE.parse().unwrap()
}

fn text(uid: &str, hour: u32) -> String {
    event(uid, &format!("20300101T{hour:02}0000Z"))
}

async fn put(world: &World, path: &str, text: &str) {
    let answer = world.alice().put(path, text).await;
    assert!(answer.status.is_success(), "{}", answer.body);
}

async fn work(dav: &SharedDavStore) -> Option<Collection> {
    dav.collection(home(), CollectionKind::Calendar, "work").await.unwrap()
}

/// Deletes an object of the calendar as the deletion of the whole does, a day ago.
async fn delete_as_part(world: &World, name: &str) {
    let work = work(&world.dav).await.unwrap();
    let object = world.dav.object(work.id, name).await.unwrap().unwrap();
    let deleted: chrono::DateTime<chrono::Utc> = "2026-11-20T00:00:00Z".parse().unwrap();
    let id = format!("{:08x}{}", deleted.timestamp(), &Env::system().object_id().to_string()[8..]);
    let entry = Trashed {
        id: id.parse().unwrap(),
        home: work.home,
        collection: work.id,
        kind: work.kind,
        uri: work.uri.clone(),
        deleted,
        until: "2026-12-20T00:00:00Z".parse().unwrap(),
        what: TrashedThing::Object { meta: object.meta.clone(), with_collection: true, summary: None },
    };
    let expect = Expect::Etag(object.meta.etag.clone());
    let ops = vec![
        Op::Trash { entry: Box::new(entry), data: object.data },
        Op::DeleteObject { collection: work.id, name: name.to_owned(), expect },
    ];
    world.dav.write(Batch { ops, publish: Vec::new() }).await.unwrap();
}

async fn listed(world: &World) -> Vec<Value> {
    let list = world.alice().get(TRASH).await.expect(200);
    serde_json::from_str::<Value>(&list.body).unwrap()["items"].as_array().unwrap().clone()
}

/// Restores the calendar; where it is, and the names that stayed in the trash with the reasons.
async fn restore(world: &World) -> (String, Vec<(String, String)>) {
    let entry = listed(world).await.into_iter().find(|item| item["type"] == "calendar").expect("a calendar");
    let path = format!("{TRASH}{}", entry["id"].as_str().unwrap());
    let answer = world.alice().send("POST", &path, &[], "").await.expect(201);
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let stayed: Vec<_> =
        told["stayed"].as_array().unwrap().iter().map(|item| (text(&item["name"]), text(&item["reason"]))).collect();
    assert_eq!(told["stayed_count"], stayed.len());
    (text(&told["href"]), stayed)
}

fn names<T>(of: &[(String, T)]) -> Vec<&str> {
    let mut names: Vec<&str> = of.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_name_that_is_in_the_trash_twice_comes_back_once() {
    for (world, _databases) in worlds().await {
        for (name, hour) in [("same", 8), ("changed", 8), ("other", 8)] {
            put(&world, &format!("{WORK}{name}.ics"), &text(name, hour)).await;
        }
        for name in ["same.ics", "changed.ics"] {
            delete_as_part(&world, name).await;
        }
        // A client that synchronises while the deletion goes on puts back what it has.
        put(&world, &format!("{WORK}same.ics"), &text("same", 8)).await;
        put(&world, &format!("{WORK}changed.ics"), &text("changed", 9)).await;
        world.alice().delete(WORK).await.expect(204);
        assert_eq!(listed(&world).await.len(), 1);

        let (href, stayed) = restore(&world).await;
        assert_eq!(href, WORK);
        let back = world.alice().contents(WORK).await;
        assert_eq!(names(&back), ["changed.ics", "other.ics", "same.ics"]);
        let changed = back.iter().find(|(name, _)| name == "changed.ics").unwrap();
        assert_eq!(changed.1, text("changed", 9), "the newer one");
        assert_eq!(names(&stayed), ["changed.ics"]);
        // What stayed can be read, and removed.
        let left = listed(&world).await;
        assert_eq!(left.len(), 1);
        let path = format!("{TRASH}{}", left[0]["id"].as_str().unwrap());
        assert_eq!(world.alice().get(&path).await.expect(200).body, text("changed", 8));
        world.alice().delete(&path).await.expect(204);
        assert!(listed(&world).await.is_empty());
    }
}

#[tokio::test]
async fn what_was_written_since_is_left_alone() {
    for (world, _databases) in worlds().await {
        for name in ["same", "changed", "named", "elsewhere", "missing"] {
            put(&world, &format!("{WORK}{name}.ics"), &text(name, 8)).await;
        }
        let before = work(&world.dav).await.unwrap();
        world.alice().delete(WORK).await.expect(204);
        // As if a restoring had broken off: the calendar is there, and a client writes what it has to it.
        let again = Collection { sync_token: 50, ..before };
        let ops = vec![Op::CreateCollection(again)];
        world.dav.write(Batch { ops, publish: Vec::new() }).await.unwrap();
        for (name, uid, hour) in
            [("same", "same", 8), ("changed", "changed", 9), ("named", "new", 8), ("x", "elsewhere", 9)]
        {
            put(&world, &format!("{WORK}{name}.ics"), &text(uid, hour)).await;
        }
        let (href, stayed) = restore(&world).await;
        assert_eq!(href, WORK);
        assert_eq!(names(&stayed), ["changed.ics", "elsewhere.ics"]);
        assert!(stayed.iter().any(|(_, reason)| reason.contains("x.ics")), "{stayed:?}");
        let back = world.alice().contents(WORK).await;
        assert_eq!(names(&back), ["changed.ics", "missing.ics", "named-2.ics", "named.ics", "same.ics", "x.ics"]);
        let text_of = |name: &str| back.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(text_of("changed.ics"), text("changed", 9));
        assert_eq!(text_of("named-2.ics"), text("named", 8));
        let left: Vec<_> = listed(&world).await.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        // What stands in its way goes: then it comes back by itself.
        world.alice().delete(&format!("{WORK}x.ics")).await.expect(204);
        let item = listed(&world).await.into_iter().find(|item| item["name"] == "elsewhere.ics").unwrap();
        let path = format!("{TRASH}{}", item["id"].as_str().unwrap());
        world.alice().send("POST", &path, &[], "").await.expect(201);
        world.alice().get(&format!("{WORK}elsewhere.ics")).await.expect(200);
    }
}

#[tokio::test]
async fn a_meeting_that_the_home_has_by_now_stays_in_the_trash() {
    for (world, _databases) in worlds().await {
        let meeting = meeting(0, "20300106T090000Z", "NEEDS-ACTION");
        put(&world, &format!("{WORK}m.ics"), &meeting).await;
        put(&world, &format!("{WORK}n.ics"), &text("n", 8)).await;
        world.alice().delete(WORK).await.expect(204);
        put(&world, &format!("{CALENDAR}m.ics"), &meeting).await;
        let (_, stayed) = restore(&world).await;
        assert_eq!(names(&stayed), ["m.ics"]);
        assert_eq!(names(&world.alice().contents(WORK).await), ["n.ics"]);
        assert_eq!(listed(&world).await.len(), 1);
    }
}

#[tokio::test]
async fn a_deletion_under_way_does_not_take_the_entry_from_a_restoring() {
    let folder = tempfile::tempdir().unwrap();
    let file = Sqlite::open(&folder.path().join("convoke.db"), Durability::Normal, Env::system()).unwrap();
    let databases = TestMongo::on(REPLICA_SET);
    let mut stores: Vec<SharedDavStore> = vec![Arc::new(file)];
    if let Some(databases) = &databases {
        stores.push(Arc::new(MongoDav::open(databases.connect().await).await.unwrap()));
    }
    for store in stores {
        let is_armed = Arc::new(AtomicBool::new(false));
        let meddling = {
            let (inner, is_armed) = (Arc::clone(&store), Arc::clone(&is_armed));
            Meddling::with(store, move |batch| {
                let is_end = batch.ops.iter().all(|op| matches!(op, Op::Untrash { .. } | Op::ExpectToken { .. }));
                let acts = is_end && !batch.ops.is_empty() && is_armed.swap(false, Ordering::SeqCst);
                let inner = Arc::clone(&inner);
                Box::pin(async move {
                    if acts {
                        finish_deletion(&inner).await;
                    }
                    Ok(())
                })
            })
        };
        let world = World::over(Settings::default(), Some(meddling)).await;
        world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
        for name in ["a", "b"] {
            put(&world, &format!("{WORK}{name}.ics"), &text(name, 8)).await;
        }
        world.alice().delete(WORK).await.expect(204);
        is_armed.store(true, Ordering::SeqCst);
        let (href, stayed) = restore(&world).await;
        assert!(!is_armed.load(Ordering::SeqCst), "it was deleted meanwhile");
        assert_eq!((href.as_str(), stayed.len()), (WORK, 0));
        assert_eq!(names(&world.alice().contents(WORK).await), ["a.ics", "b.ics"]);
        assert!(listed(&world).await.is_empty());
    }
}

/// What the end of a deletion does: the rest goes into the trash, its entry is written, the calendar goes.
async fn finish_deletion(store: &SharedDavStore) {
    let work = work(store).await.unwrap();
    let part = |id, what| Trashed {
        id,
        home: work.home,
        collection: work.id,
        kind: work.kind,
        uri: work.uri.clone(),
        deleted: "2026-11-21T06:20:15Z".parse().unwrap(),
        until: "2026-12-21T06:20:15Z".parse().unwrap(),
        what,
    };
    let mut ops = Vec::new();
    for object in store.query(work.id, &Default::default(), None, 100).await.unwrap().objects {
        let what = TrashedThing::Object { meta: object.meta.clone(), with_collection: true, summary: None };
        let entry = Box::new(part(TrashId(Env::system().object_id()), what));
        ops.push(Op::Trash { entry, data: object.data });
        ops.push(Op::DeleteObject { collection: work.id, name: object.meta.name, expect: Expect::Any });
    }
    let what = TrashedThing::Collection { props: work.props.clone(), token: work.sync_token + 2 };
    ops.push(Op::Trash { entry: Box::new(part(TrashId(work.id.0), what)), data: String::new() });
    ops.push(Op::DeleteCollection(work.id));
    store.write(Batch { ops, publish: Vec::new() }).await.unwrap();
}

#[tokio::test]
async fn what_nothing_leads_to_any_more_can_be_reached() {
    for (world, _databases) in worlds().await {
        put(&world, &format!("{WORK}a.ics"), &text("a", 8)).await;
        delete_as_part(&world, "a.ics").await;
        let work = work(&world.dav).await.unwrap();
        world.dav.write(Batch { ops: vec![Op::DeleteCollection(work.id)], publish: Vec::new() }).await.unwrap();
        let item = listed(&world).await.pop().expect("it is listed");
        assert_eq!((&item["summary"], &item["calendar"]), (&"Lunch".into(), &"work".into()));
        let path = format!("{TRASH}{}", item["id"].as_str().unwrap());
        let refused = world.alice().send("POST", &path, &[], "").await.expect(409);
        assert!(refused.body.contains("make one of that address first"), "{}", refused.body);
        world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
        world.alice().send("POST", &path, &[], "").await.expect(201);
        assert_eq!(names(&world.alice().contents(WORK).await), ["a.ics"]);
        let view = TrashView::Of(work.id);
        assert!(world.dav.trash(home(), view, None, 9).await.unwrap().is_empty());
        assert_eq!(world.dav.purge(&Purge::Home(home()), 9).await.unwrap(), 0);
    }
}
