//! Rights that change while something is under way: what was taken back stays so.

use bytes::Bytes;
use convoke::dav::server::Settings;
use convoke::dav::{Actor, Body};
use convoke::store::{Access, CollectionKind, Expect, Instance, Op, PublicRight, Tie};

use futures_util::{StreamExt as _, stream};
use http::Request;
use tower::ServiceExt as _;

use super::meddling::Rival;
use super::sharing::{give, others, publish, share, subscribe};
use super::{ALICE, BOB, CAROL, World, calendar, event, root};

const WORK: &str = "/calendars/65aa00000000000000000001/work/";

/// A world in which bob may write in a calendar of alice; where he has it, and what says so.
async fn shared() -> (World, std::sync::Arc<Rival>, String, Instance) {
    let (world, rival) = Rival::world(Settings::default()).await;
    world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
    world.alice().put(&format!("{WORK}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    others(&world.bob(), BOB).await;
    give(&world.alice(), WORK, &[("bob@example.org", "read-write")]).await.expect(200);
    let bobs = others(&world.bob(), BOB).await.remove(0);
    let instance = world.dav.shared_in(BOB.parse().unwrap()).await.unwrap().remove(0).instance;
    (world, rival, bobs, instance)
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
        let (world, rival, bobs, instance) = shared().await;
        let path = if who == "alice" { WORK } else { &bobs };
        let body = match method {
            "PROPPATCH" => rename("Other"),
            "POST" => declined(),
            _ => String::new(),
        };
        rival.before_next_write(vec![Op::RemoveInstance(instance)]);
        let who = world.as_user(&format!("{who}@example.org"));
        who.send(method, path, &[DAV_SHARING], &body).await.expect(status);
        assert!(rival.has_happened());
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
        let (world, rival, bobs, instance) = shared().await;
        let path = if who == "alice" { WORK } else { &bobs };
        let body = match method {
            "PROPPATCH" => rename("Other"),
            "POST" => declined(),
            _ => String::new(),
        };
        rival.before_next_write(vec![Op::PutInstance(with_access(&instance, Access::Read))]);
        let who = world.as_user(&format!("{who}@example.org"));
        who.send(method, path, &[DAV_SHARING], &body).await.expect(status);
        assert!(rival.has_happened());
        let now = given(&world).await.remove(0);
        assert_eq!(now.delegation().unwrap().access, Access::Read, "{method}");
        assert_eq!(now.delegation().unwrap().hidden, hidden, "the change itself is made");
        assert_eq!(now.props.displayname.as_deref() == Some("Other"), method == "PROPPATCH");
    }
}

#[tokio::test]
async fn who_is_named_twice_is_given_it_once_and_has_it_no_longer_when_it_is_taken_back() {
    let (world, _) = Rival::world(Settings::default()).await;
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
    let (world, rival, _, instance) = shared().await;
    give(&world.alice(), WORK, &[("bob@example.org", "no-access")]).await.expect(200);
    rival.before_next_write(vec![Op::PutInstance(instance.clone())]);
    give(&world.alice(), WORK, &[("bob@example.org", "read")]).await.expect(200);
    assert!(rival.has_happened());
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

/// The status of a request whose body stops in the middle until alice has taken everything from bob.
async fn interrupted(world: &World, method: &str, path: &str, content_type: &str, body: &str) -> u16 {
    let request = |method: &str, path: &str, who: &str, content_type: &str, body: Body| {
        let mut request = Request::builder().method(method).uri(path).header("content-type", content_type);
        request = request.header("depth", "0");
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(Actor::User(who.parse().unwrap()));
        request
    };
    let (begin, rest) = body.split_at(body.len() / 2);
    let rest = Bytes::from(rest.to_owned());
    let taken = Body::from(share(&[("bob@example.org", "no-access")]));
    let taking = request("POST", WORK, "alice@example.org", DAV_SHARING.1, taken);
    let upstream = world.upstream.clone();
    let meanwhile = stream::once(async move {
        assert_eq!(upstream.oneshot(taking).await.unwrap().status(), 200);
        Ok::<_, std::io::Error>(rest)
    });
    let first = stream::once(std::future::ready(Ok(Bytes::from(begin.to_owned()))));
    let body = Body::from_stream(first.chain(meanwhile));
    let slow = request(method, path, "bob@example.org", content_type, body);
    world.upstream.clone().oneshot(slow).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn whoever_takes_their_time_over_a_body_may_do_what_they_may_at_its_end() {
    let (world, _, bobs, _) = shared().await;
    let path = format!("{bobs}b.ics");
    let status = interrupted(&world, "PUT", &path, "text/calendar", &event("b", "20300102T110000Z")).await;
    assert_eq!(status, 404);
    world.alice().get(&format!("{WORK}b.ics")).await.expect(404);

    give(&world.alice(), WORK, &[("bob@example.org", "administration")]).await.expect(200);
    let bobs = others(&world.bob(), BOB).await.remove(0);
    let body = share(&[("carol@example.org", "read")]);
    assert_eq!(interrupted(&world, "POST", &bobs, DAV_SHARING.1, &body).await, 404);
    assert_eq!(given(&world).await, []);
}

#[tokio::test]
async fn a_write_that_is_tried_again_is_judged_again() {
    let (world, rival, bobs, instance) = shared().await;
    let work = world.dav.collection(ALICE.parse().unwrap(), CollectionKind::Calendar, "work").await.unwrap().unwrap();
    let gone = Op::DeleteObject { collection: work.id, name: "a.ics".to_owned(), expect: Expect::Any };
    rival.before_next_write(vec![gone, Op::RemoveInstance(instance)]);
    world.bob().put(&format!("{bobs}a.ics"), &event("a", "20300103T110000Z")).await.expect(404);
    assert!(rival.has_happened());
    world.alice().get(&format!("{WORK}a.ics")).await.expect(404);
}

#[tokio::test]
async fn whoever_has_an_address_now_is_meant_by_it_and_not_whoever_had_it() {
    let (world, _, _, instance) = shared().await;
    // What bob has was given to an address that is carol's by now.
    let mut old = instance;
    if let Tie::Delegation(given) = &mut old.tie {
        (given.href, given.access) = ("mailto:carol@example.org".to_owned(), Access::Read);
    }
    let batch = convoke::store::Batch { ops: vec![Op::PutInstance(old.clone())], publish: Vec::new() };
    world.dav.write(batch).await.unwrap();
    give(&world.alice(), WORK, &[("carol@example.org", "read-write")]).await.expect(200);
    let accesses = |all: &[Instance]| -> Vec<_> {
        all.iter().map(|i| (i.home.to_string(), i.delegation().unwrap().access)).collect()
    };
    let both = [(BOB.to_owned(), Access::Read), (CAROL.to_owned(), Access::ReadWrite)];
    assert_eq!(accesses(&given(&world).await), both);
    give(&world.alice(), WORK, &[("carol@example.org", "no-access")]).await.expect(200);
    assert_eq!(given(&world).await, [old.clone()]);
    // An address that leads to nobody any more takes back what was given to it.
    if let Tie::Delegation(given) = &mut old.tie {
        given.href = "mailto:gone@example.org".to_owned();
    }
    let batch = convoke::store::Batch { ops: vec![Op::PutInstance(old)], publish: Vec::new() };
    world.dav.write(batch).await.unwrap();
    give(&world.alice(), WORK, &[("gone@example.org", "no-access")]).await.expect(200);
    assert_eq!(given(&world).await, []);
}

/// A subscription of carol to a calendar of alice.
fn followed(of: &Instance) -> Instance {
    let tie = Tie::Subscription { writes: false };
    let id = "65ab00000000000000000002".parse().unwrap();
    Instance { id, home: CAROL.parse().unwrap(), uri: "followed".to_owned(), tie, ..of.clone() }
}

async fn set_right(world: &World, privilege: &str) -> u16 {
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    let body = serde_json::json!({"public_right": privilege}).to_string();
    let path = format!("{}.json", WORK.trim_end_matches('/'));
    world.alice().send("ACL", &path, &headers, &body).await.status.as_u16()
}

#[tokio::test]
async fn whoever_subscribes_while_a_calendar_becomes_private_has_it_no_longer() {
    let (world, rival, _, instance) = shared().await;
    others(&world.as_user("carol@example.org"), CAROL).await;
    assert_eq!(set_right(&world, "{DAV:}read").await, 200);
    rival.before_next_write(vec![Op::PutInstance(followed(&instance))]);
    assert_eq!(set_right(&world, "").await, 200);
    assert!(rival.has_happened());
    assert_eq!(given(&world).await, [instance]);
}

#[tokio::test]
async fn what_becomes_private_at_that_moment_cannot_be_subscribed_to() {
    let (world, rival, _, instance) = shared().await;
    let carol = world.as_user("carol@example.org");
    others(&carol, CAROL).await;
    assert_eq!(set_right(&world, "{DAV:}read").await, 200);
    rival.before_next_write(vec![Op::SetPublicRight { collection: instance.of, right: None }]);
    let path = format!("/calendars/{CAROL}/followed/");
    subscribe(&carol, &path, WORK).await.expect(409);
    assert!(rival.has_happened());
    assert_eq!(given(&world).await, [instance]);
    subscribe(&carol, &path, WORK).await.expect(403);
}

#[tokio::test]
async fn a_subscription_that_shows_nothing_is_told_nothing() {
    let world = World::new().await;
    world.alice().send("MKCALENDAR", WORK, &[], "").await.expect(201);
    others(&world.as_user("carol@example.org"), CAROL).await;
    give(&world.alice(), WORK, &[("bob@example.org", "read")]).await.expect(200);
    let instance = given(&world).await.remove(0);
    let batch = convoke::store::Batch { ops: vec![Op::PutInstance(followed(&instance))], publish: Vec::new() };
    world.dav.write(batch).await.unwrap();
    for (right, told) in [(None, false), (Some(PublicRight::Read), true), (Some(PublicRight::FreeBusy), false)] {
        publish(&world, CollectionKind::Calendar, "work", right.clone()).await;
        world.published().await;
        let put = world.alice().put(&format!("{WORK}a.ics"), &event("a", "20300102T110000Z")).await;
        assert!(put.status.is_success());
        let paths: Vec<String> = world.published().await.iter().map(|m| m.payload["eventPath"].to_string()).collect();
        assert_eq!(paths.iter().any(|path| path.contains(CAROL)), told, "{right:?}: {paths:?}");
    }
}

#[tokio::test]
async fn what_becomes_private_at_that_moment_is_not_replaced_by_an_import() {
    let (world, rival, bobs, instance) = shared().await;
    let lines = ["DTSTART:20300102T110000Z", "DURATION:PT1H", "SUMMARY:Secret", "CLASS:PRIVATE"];
    let mut private = world.dav.object(instance.of, "a.ics").await.unwrap().unwrap();
    private.data = calendar("VEVENT", "a", &lines);
    private.meta.etag = "00000000000000000000000000000001".to_owned();
    private.meta.size = private.data.len() as u64;
    let put = Op::PutObject { collection: instance.of, object: private.clone(), expect: Expect::Present };
    for name in ["a.ics", "other.ics"] {
        rival.before_next_write(vec![put.clone()]);
        let path = format!("{bobs}{name}?import");
        world.bob().put(&path, &event("a", "20300103T110000Z")).await.expect(403);
        assert!(rival.has_happened());
        assert_eq!(world.dav.object(instance.of, "a.ics").await.unwrap(), Some(private.clone()), "{name}");
        // As it was before.
        world.alice().put(&format!("{WORK}a.ics"), &event("a", "20300102T110000Z")).await.expect(204);
    }
    world.bob().put(&format!("{bobs}a.ics?import"), &event("a", "20300103T110000Z")).await.expect(201);
}

#[tokio::test]
async fn nothing_is_written_with_a_right_that_ends_at_that_moment() {
    let (world, rival, bobs, instance) = shared().await;
    let carol = world.as_user("carol@example.org");
    others(&carol, CAROL).await;
    publish(&world, CollectionKind::Calendar, "work", Some(PublicRight::Write)).await;
    subscribe(&carol, &format!("/calendars/{CAROL}/theirs/"), WORK).await.expect(201);
    for path in [format!("{WORK}c.ics"), format!("/calendars/{CAROL}/theirs/c.ics")] {
        publish(&world, CollectionKind::Calendar, "work", Some(PublicRight::Write)).await;
        rival.before_next_write(vec![Op::SetPublicRight { collection: instance.of, right: Some(PublicRight::Read) }]);
        carol.put(&path, &event("c", "20300102T110000Z")).await.expect(403);
        assert!(rival.has_happened());
    }
    rival.before_next_write(vec![Op::PutInstance(with_access(&instance, Access::Read))]);
    world.bob().put(&format!("{bobs}b.ics"), &event("b", "20300102T110000Z")).await.expect(403);
    assert!(rival.has_happened());
    assert_eq!(world.alice().contents(WORK).await.len(), 1);
}

#[tokio::test]
async fn nobody_shares_with_a_right_that_ends_at_that_moment() {
    for is_public in [false, true] {
        let (world, rival, _, _) = shared().await;
        give(&world.alice(), WORK, &[("bob@example.org", "administration")]).await.expect(200);
        let (bobs, instance) = (others(&world.bob(), BOB).await.remove(0), given(&world).await.remove(0));
        rival.before_next_write(vec![Op::PutInstance(with_access(&instance, Access::ReadWrite))]);
        if is_public {
            let headers = [("content-type", "application/json"), ("accept", "application/json")];
            let body = serde_json::json!({"public_right": "{DAV:}write"}).to_string();
            let path = format!("{}.json", bobs.trim_end_matches('/'));
            world.bob().send("ACL", &path, &headers, &body).await.expect(409);
        } else {
            give(&world.bob(), &bobs, &[("carol@example.org", "read")]).await.expect(403);
        }
        assert!(rival.has_happened());
        assert_eq!(given(&world).await, [with_access(&instance, Access::ReadWrite)]);
        let source = world.dav.shared_in(BOB.parse().unwrap()).await.unwrap().remove(0).source;
        assert_eq!(source.public_right, None);
    }
}
