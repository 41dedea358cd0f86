//! Address books that are shared: at both their addresses (dav §13.3).

use convoke::store::{Batch, CollectionKind, Instance, Op, PublicRight, Tie};
use serde_json::json;

use super::sharing::{give, publish, subscribe};
use super::{ALICE, BOB, CAROL, Client, World, root};

const FRIENDS: &str = "/addressbooks/65aa00000000000000000001/friends/";

fn card(uid: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{uid}\r\nN:{uid};;;;\r\nEND:VCARD\r\n")
}

async fn put(who: &Client<'_>, path: &str, uid: &str) -> super::Answer {
    who.send("PUT", path, &[("content-type", "text/vcard")], &card(uid)).await
}

async fn world() -> World {
    let world = World::new().await;
    let body = format!(
        "{}<d:set><d:prop><d:resourcetype><d:collection/><card:addressbook/></d:resourcetype></d:prop></d:set></d:mkcol>",
        root("d:mkcol")
    );
    world.alice().send("MKCOL", FRIENDS, &[("content-type", "application/xml")], &body).await.expect(201);
    put(&world.alice(), &format!("{FRIENDS}a.vcf"), "a").await.expect(201);
    world.published().await;
    world
}

pub async fn others(who: &Client<'_>, home: &str) -> Vec<String> {
    let listed = who.propfind(&format!("/addressbooks/{home}/"), "1", "<d:resourcetype/>").await.hrefs();
    let own = ["", "contacts/", "collected/"].map(|uri| format!("/addressbooks/{home}/{uri}"));
    listed.into_iter().filter(|href| !own.contains(href)).collect()
}

#[tokio::test]
async fn a_shared_book_is_used_at_both_its_addresses() {
    for (right, writes, shares) in [("read", 403, 403), ("read-write", 201, 403), ("administration", 201, 200)] {
        let world = world().await;
        world.bob().get(&format!("{FRIENDS}a.vcf")).await.expect(403);
        give(&world.alice(), FRIENDS, &[("bob@example.org", right)]).await.expect(200);
        let bobs = others(&world.bob(), BOB).await;
        assert_eq!(bobs.len(), 1, "{right}");
        let message = world.published().await.remove(0);
        assert_eq!(message.topic.name(), "sabre:addressbook:subscription:created");
        assert_eq!(message.payload["path"], json!(bobs[0].trim_matches('/')));
        for (place, name) in [(FRIENDS, "b"), (&bobs[0], "c")] {
            world.bob().get(&format!("{place}a.vcf")).await.expect(200);
            put(&world.bob(), &format!("{place}{name}.vcf"), name).await.expect(writes);
        }
        give(&world.bob(), FRIENDS, &[("carol@example.org", "read")]).await.expect(shares);
        give(&world.bob(), &bobs[0], &[("carol@example.org", "read")]).await.expect(405);
        world.as_user("carol@example.org").get(&format!("{}a.vcf", bobs[0])).await.expect(403);
        give(&world.alice(), FRIENDS, &[("bob@example.org", "no-access")]).await.expect(200);
        world.bob().get(&format!("{FRIENDS}a.vcf")).await.expect(403);
        world.bob().get(&format!("{}a.vcf", bobs[0])).await.expect(404);
    }
}

#[tokio::test]
async fn everybody_who_has_a_book_is_told_of_its_cards() {
    let world = world().await;
    give(&world.alice(), FRIENDS, &[("bob@example.org", "read-write")]).await.expect(200);
    publish(&world, CollectionKind::AddressBook, "friends", Some(PublicRight::Read)).await;
    let carol = world.as_user("carol@example.org");
    let carols = format!("/addressbooks/{CAROL}/theirs/");
    subscribe(&carol, &carols, FRIENDS).await.expect(201);
    assert_eq!(world.topics().await, ["sabre:addressbook:subscription:created"; 2]);
    let bobs = others(&world.bob(), BOB).await.remove(0);
    put(&world.bob(), &format!("{bobs}b.vcf"), "b").await.expect(201);
    let told: Vec<_> = world
        .published()
        .await
        .iter()
        .map(|m| (m.payload["path"].as_str().unwrap().to_owned(), m.payload["owner"].as_str().unwrap().to_owned()))
        .collect();
    let owner = |who: &str| format!("principals/users/{who}");
    assert_eq!(
        told,
        [
            (format!("{}b.vcf", &bobs[1..]), owner(BOB)),
            (format!("{}b.vcf", &FRIENDS[1..]), owner(ALICE)),
            (format!("{}b.vcf", &carols[1..]), owner(ALICE)),
        ]
    );
    carol.get(&format!("{carols}b.vcf")).await.expect(200);
    put(&carol, &format!("{carols}c.vcf"), "c").await.expect(403);
    world.bob().delete(&bobs).await.expect(204);
    carol.delete(&carols).await.expect(204);
    assert_eq!(world.topics().await, ["sabre:addressbook:subscription:deleted"; 2]);
    world.alice().get(&format!("{FRIENDS}b.vcf")).await.expect(200);
}

/// A subscription of bob to alice's book from a time when it was public, at `theirs`.
async fn left_over(world: &World) -> Instance {
    let book = world.dav.collection(ALICE.parse().unwrap(), CollectionKind::AddressBook, "friends").await.unwrap();
    let book = book.unwrap();
    let instance = Instance {
        id: "65ab00000000000000000001".parse().unwrap(),
        of: book.id,
        kind: book.kind,
        home: BOB.parse().unwrap(),
        uri: "theirs".to_owned(),
        props: Default::default(),
        tie: Tie::Subscription { writes: true },
    };
    let ops = vec![Op::PutInstance(instance.clone())];
    world.dav.write(Batch { ops, publish: Vec::new() }).await.unwrap();
    instance
}

#[tokio::test]
async fn what_was_given_to_somebody_cannot_be_kept_as_a_subscription() {
    let world = world().await;
    give(&world.alice(), FRIENDS, &[("bob@example.org", "read-write")]).await.expect(200);
    let theirs = format!("/addressbooks/{BOB}/theirs/");
    subscribe(&world.bob(), &theirs, FRIENDS).await.expect(403);
    let body = json!({"id": "theirs", "openpaas:source": {"_links": {"self": {"href":
        format!("/addressbooks/{ALICE}/friends.json")}}}});
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    world.bob().send("POST", &format!("/addressbooks/{BOB}.json"), &headers, &body.to_string()).await.expect(403);
    publish(&world, CollectionKind::AddressBook, "friends", Some(PublicRight::Read)).await;
    subscribe(&world.bob(), &theirs, FRIENDS).await.expect(201);
    put(&world.bob(), &format!("{theirs}b.vcf"), "b").await.expect(403);
}

#[tokio::test]
async fn a_subscriber_may_do_what_everybody_may_and_no_more() {
    let world = world().await;
    left_over(&world).await;
    let (bob, theirs) = (world.bob(), format!("/addressbooks/{BOB}/theirs/"));
    let mine = format!("/addressbooks/{BOB}/contacts/a.vcf");
    for (right, reads, writes) in
        [(None, 403, 403), (Some(PublicRight::Read), 200, 403), (Some(PublicRight::Write), 200, 201)]
    {
        publish(&world, CollectionKind::AddressBook, "friends", right).await;
        bob.get(&format!("{theirs}a.vcf")).await.expect(reads);
        put(&bob, &format!("{theirs}b.vcf"), "b").await.expect(writes);
        bob.send("MOVE", &format!("{theirs}a.vcf"), &[("destination", &mine)], "").await.expect(writes);
    }
    publish(&world, CollectionKind::AddressBook, "friends", None).await;
    bob.delete(&format!("{theirs}b.vcf")).await.expect(403);
    world.alice().get(&format!("{FRIENDS}b.vcf")).await.expect(200);
}

#[tokio::test]
async fn with_what_was_given_goes_a_subscription_that_nothing_else_carries() {
    for (right, left) in [(None, 0), (Some(PublicRight::Read), 1)] {
        let world = world().await;
        give(&world.alice(), FRIENDS, &[("bob@example.org", "read-write")]).await.expect(200);
        left_over(&world).await;
        publish(&world, CollectionKind::AddressBook, "friends", right).await;
        give(&world.alice(), FRIENDS, &[("bob@example.org", "no-access")]).await.expect(200);
        assert_eq!(world.dav.shared_in(BOB.parse().unwrap()).await.unwrap().len(), left);
    }
}
