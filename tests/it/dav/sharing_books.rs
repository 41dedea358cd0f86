//! Address books that are shared: at both their addresses (dav §13.3).

use convoke::store::{CollectionKind, PublicRight};
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
