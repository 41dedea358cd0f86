//! Rights that change while something is under way: what was taken back stays so.

use convoke::dav::server::Settings;
use convoke::store::{Access, CollectionKind, Instance, Op, Tie};

use super::meddling::Meddling;
use super::sharing::{give, others};
use super::{ALICE, BOB, World, event, root};

const WORK: &str = "/calendars/65aa00000000000000000001/work/";

/// A world in which bob may write in a calendar of alice; where he has it, and what says so.
async fn shared() -> (World, std::sync::Arc<Meddling>, String, Instance) {
    let (world, meddling) = Meddling::world(Settings::default()).await;
    world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
    world.alice().put(&format!("{WORK}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    others(&world.bob(), BOB).await;
    give(&world.alice(), WORK, &[("bob@example.org", "read-write")]).await.expect(200);
    let bobs = others(&world.bob(), BOB).await.remove(0);
    let instance = world.dav.shared_in(BOB.parse().unwrap()).await.unwrap().remove(0).instance;
    (world, meddling, bobs, instance)
}

/// What others have of alice's calendar.
async fn given(world: &World) -> Vec<Instance> {
    let work = world.dav.collection(ALICE.parse().unwrap(), CollectionKind::Calendar, "work").await.unwrap().unwrap();
    world.dav.instances(&work).await.unwrap()
}

fn with_access(instance: &Instance, access: Access) -> Instance {
    let mut other = instance.clone();
    if let Tie::Delegation(given) = &mut other.tie {
        given.access = access;
    }
    other
}

fn rename(name: &str) -> String {
    format!(
        "{}<d:set><d:prop><d:displayname>{name}</d:displayname></d:prop></d:set></d:propertyupdate>",
        root("d:propertyupdate")
    )
}

const DAV_SHARING: (&str, &str) = ("content-type", "application/davsharing+xml");

fn declined() -> String {
    format!("{}<d:invite-declined/></d:invite-reply>", root("d:invite-reply"))
}

#[tokio::test]
async fn what_was_taken_back_does_not_come_back_with_a_change_of_it() {
    for (who, method, status) in
        [("bob", "PROPPATCH", 404), ("bob", "DELETE", 404), ("bob", "POST", 404), ("alice", "PROPPATCH", 207)]
    {
        let (world, meddling, bobs, instance) = shared().await;
        let path = if who == "alice" { WORK } else { &bobs };
        let body = match method {
            "PROPPATCH" => rename("Other"),
            "POST" => declined(),
            _ => String::new(),
        };
        meddling.before_next_write(vec![Op::RemoveInstance(instance)]);
        let who = world.as_user(&format!("{who}@example.org"));
        who.send(method, path, &[DAV_SHARING], &body).await.expect(status);
        assert!(meddling.has_happened());
        assert_eq!(given(&world).await, [], "{method}");
        world.bob().put(&format!("{bobs}b.ics"), &event("b", "20300102T110000Z")).await.expect(404);
    }
}

#[tokio::test]
async fn what_was_lowered_stays_low_when_it_is_changed() {
    for (who, method, status, hidden) in [
        ("bob", "PROPPATCH", 207, false),
        ("bob", "DELETE", 204, true),
        ("bob", "POST", 200, true),
        ("alice", "PROPPATCH", 207, false),
    ] {
        let (world, meddling, bobs, instance) = shared().await;
        let path = if who == "alice" { WORK } else { &bobs };
        let body = match method {
            "PROPPATCH" => rename("Other"),
            "POST" => declined(),
            _ => String::new(),
        };
        meddling.before_next_write(vec![Op::PutInstance(with_access(&instance, Access::Read))]);
        let who = world.as_user(&format!("{who}@example.org"));
        who.send(method, path, &[DAV_SHARING], &body).await.expect(status);
        assert!(meddling.has_happened());
        let now = given(&world).await.remove(0);
        assert_eq!(now.delegation().unwrap().access, Access::Read, "{method}");
        assert_eq!(now.delegation().unwrap().hidden, hidden, "the change itself is made");
        assert_eq!(now.props.displayname.as_deref() == Some("Other"), method == "PROPPATCH");
    }
}

#[tokio::test]
async fn who_is_named_twice_is_given_it_once_and_has_it_no_longer_when_it_is_taken_back() {
    let (world, _) = Meddling::world(Settings::default()).await;
    let (bob, path) = (world.bob(), format!("/calendars/{BOB}/work/"));
    bob.send("MKCALENDAR", &path, &[], "").await.expect(201);
    others(&world.alice(), ALICE).await;
    let people = [
        ("alice@example.org", "read"),
        ("a.martin@example.org", "administration"),
        ("alice@example.org", "freebusy"),
        ("A.Martin@example.org", "read-write"),
    ];
    give(&bob, &path, &people).await.expect(200);
    let theirs = world.dav.shared_in(ALICE.parse().unwrap()).await.unwrap();
    assert_eq!(theirs.len(), 1);
    assert_eq!(theirs[0].instance.delegation().unwrap().access, Access::ReadWrite, "the last counts");
    give(&bob, &path, &[("alice@example.org", "no-access")]).await.expect(200);
    assert!(world.dav.shared_in(ALICE.parse().unwrap()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_two_give_at_the_same_moment_is_given_once() {
    let (world, meddling, _, instance) = shared().await;
    give(&world.alice(), WORK, &[("bob@example.org", "no-access")]).await.expect(200);
    meddling.before_next_write(vec![Op::PutInstance(instance.clone())]);
    give(&world.alice(), WORK, &[("bob@example.org", "read")]).await.expect(200);
    assert!(meddling.has_happened());
    assert_eq!(given(&world).await, [with_access(&instance, Access::Read)]);
}

#[tokio::test]
async fn what_was_once_given_twice_is_lowered_and_taken_back_as_a_whole() {
    for (right, left) in [("read", 1), ("no-access", 0)] {
        let (world, _, _, instance) = shared().await;
        let double = Instance { id: "65ab00000000000000000001".parse().unwrap(), uri: "again".to_owned(), ..instance };
        let batch = convoke::store::Batch { ops: vec![Op::PutInstance(double)], publish: Vec::new() };
        world.dav.write(batch).await.unwrap();
        give(&world.alice(), WORK, &[("bob@example.org", right)]).await.expect(200);
        let now = given(&world).await;
        assert_eq!(now.len(), left, "{right}");
        assert!(now.iter().all(|i| i.delegation().unwrap().access == Access::Read));
    }
}
